//! Decisions as values.
//!
//! Everything here is plain state with functions of `now` and `rng`: no clock, no task, no lock, no
//! socket. That makes each decision provable by properties, replayable from a seed, and fast. What
//! has to be shared between cores is wrapped where it is used, in the pipeline.
//!
//! | module | decides |
//! |---|---|
//! | [`plan`] | in which order the targets of a model are asked |
//! | [`walk`] | after a failed try: which target next, when, or not at all |
//! | [`backoff`] | how long to pause before a target is asked again |
//! | [`budget`] | what may be spent: reserve, extend, settle, by windows of time |
//! | [`burn`] | how fast money is spent, and whether one request is far out of the ordinary |
//! | [`retry_budget`] | whether the whole gateway can afford another try |
//! | [`fair_queue`] | whose turn it is: fair shares in tokens, by flow and session |
//! | [`share`] | who may use the last slots of a window, and who gives one up |
//! | [`drain`] | when somebody who is refused should come back |
//! | [`control`] | what a lane may carry now, from the next four |
//! | [`window`] | how many tries of a lane may be in flight |
//! | [`rate`] | at which pace they may begin |
//! | [`breaker`] | whether a lane that fails is left alone |
//! | [`quantile`] | how long the lane's first tokens take |
//! | [`hedge`] | whether a second lane may be asked before the first has answered |
//! | [`candidate`] | which models may answer a request at all, and why the others not |
//! | [`sticky`] | who keeps to the model that answered last |
//! | [`bandit`] | which of several models answers best for which work |
//! | [`decide`] | who answers, who is next, and why: a plan |
//! | [`journal`] | nothing: what was decided, line by line, and whether it would be decided so again |
//! | [`offpolicy`] | what another way of choosing would have been worth |
//! | [`task`] | which requests are alike |
//! | [`estimate`] | what a request will use and cost, and how far such estimates were off |
//! | [`consensus`] | whether several answers say the same, and which is given |
//! | [`experiment`] | whether a challenger answers better than the champion |
//! | [`lifecycle`] | when a model is promoted, and when demoted |

pub mod backoff;
pub mod bandit;
pub mod breaker;
pub mod budget;
pub mod burn;
pub mod candidate;
pub mod consensus;
pub mod control;
pub mod decide;
pub mod drain;
pub mod estimate;
pub mod experiment;
pub mod fair_queue;
pub mod hedge;
pub mod journal;
pub mod lifecycle;
pub mod offpolicy;
pub mod plan;
pub mod quantile;
pub mod rate;
pub mod retry_budget;
pub mod share;
pub mod sticky;
pub mod task;
pub mod walk;
pub mod window;

pub use backoff::Backoff;
pub use control::{Control, ControlRules};
pub use drain::Drain;
pub use fair_queue::FairQueue;
pub use plan::Order;
pub use retry_budget::RetryBudget;
pub use share::Shares;
pub use walk::{Again, Rules, Step, Walk};

/// The moment `pause` after `now`; a pause beyond what a clock can say is a day.
fn later(now: std::time::Instant, pause: std::time::Duration) -> std::time::Instant {
    const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);
    now.checked_add(pause).unwrap_or_else(|| now + DAY)
}
