//! The load generator: closed and open loops over HTTP/1.1, for `atp load` and the benches.
//!
//! One thread, one hand-written client, bytes built once: the measuring end must not be what is
//! measured. A closed loop keeps so many requests under way; an open loop sends at a fixed rate and
//! counts each latency from the moment at which the request *should* have left, so that a gateway
//! that stalls is charged for everybody who waited (no coordinated omission).

mod client;
mod drive;
mod hold;
mod plan;
mod report;
mod tally;
#[cfg(test)]
mod tests;
mod ticker;

pub use drive::{Mark, run, run_marked};
pub use hold::{Held, HoldPlan, hold};
pub use plan::{Plan, Scenario, Target};
pub use report::{Quantiles, Report};
