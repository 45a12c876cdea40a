//! The ordered steps of the request path.
//!
//! [`stack`] is the table of contents: which step stands where, and why. [`Pipeline`] is the one
//! service behind every entrance; it knows no vendor, no dialect and no database, only the ports of
//! `atp-core` and the decisions of `atp-routing`.
//!
//! What is configured comes in as a [`Snapshot`] of plain values, is resolved once into routes with
//! metric handles ([`Pipeline::swap`]), and is read without a lock. An exchange keeps what it began
//! with until it ends, so that a reload drops no stream.

mod attempt;
mod cache;
mod choose;
mod clock;
pub mod flow;
mod lane;
mod leave;
mod limit;
mod live;
pub mod metrics;
pub mod money;
pub mod permit;
mod pipeline;
mod plan;
mod queue;
mod settle;
pub mod snapshot;
pub mod stack;
mod sync;
pub mod view;

pub use leave::Spawn;
pub use metrics::PipelineMetrics;
pub use money::{BudgetLine, BudgetView};
pub use pipeline::{BudgetState, Parts, Pipeline};
pub use plan::Knowledge;
pub use snapshot::{
    CacheRules, Hedge, KeyLimit, MidStream, Model, OnDisconnect, Queue, RateLimit, RawProvider, Retries, Snapshot,
    Target, Tenant,
};
pub use view::{ArmStatus, ClusterStats, ExperimentStatus, FlowView, ModelStatus};

/// The log target of the lines that tell how requests ended: failures at `warn` and `error`, all others
/// at `debug`. A filter on it chooses which requests get a line.
pub const REQUESTS: &str = "atp::requests";
