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
//! | [`retry_budget`] | whether the whole gateway can afford another try |

pub mod backoff;
pub mod plan;
pub mod retry_budget;
pub mod walk;

pub use backoff::Backoff;
pub use plan::Order;
pub use retry_budget::RetryBudget;
pub use walk::{Again, Rules, Step, Walk};
