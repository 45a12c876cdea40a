//! Values and ports that every room of the router shares.
//!
//! This crate knows no runtime, no socket, no vendor and no wall clock: it holds the words of the
//! house (exchange, answer, outcome, usage, money, error) and the ports through which rooms reach
//! each other ([`port::Gateway`], [`port::Provider`], [`port::Ledger`]). Time enters as a value.

pub mod answer;
pub mod body;
pub mod caller;
pub mod choice;
pub mod error;
pub mod exchange;
pub mod fields;
pub mod id;
pub mod money;
pub mod percore;
pub mod plan;
pub mod port;
pub mod qos;
pub mod rate;
pub mod resume;
pub mod secret;
pub mod task;
pub mod timing;
pub mod usage;

pub use answer::{Answer, AnswerBody, Finish, FullBody, Notes, Reply, Report, Reused};
pub use body::{Payload, Rope};
pub use caller::Caller;
pub use choice::{Capabilities, Capability, Grade, Hints, Quality, Status, Weights};
pub use error::{Error, ErrorKind, Retry, Side};
pub use exchange::{Exchange, Operation, Restarts, Reuse};
pub use fields::{Field, FieldSpan, Fields};
pub use id::RequestId;
pub use money::{MicroUsd, Price};
pub use plan::{Candidate, Decision, Dropped, Forecast, Observation, Plan, PlanEvent, Role, Terms, Upshot};
pub use qos::{Qos, Weight};
pub use rate::{RateFact, RateFacts};
pub use resume::{Continuity, Resume};
pub use secret::Secret;
pub use task::{Features, Language, Signs, TaskKind};
pub use timing::Timeouts;
pub use usage::Usage;
