//! The router's own dialect: requests of `/v1/ask`, `/v1/plan`, `/v1/feedback` and `/v1/observe`, the messages
//! that answer them, and its errors.
//!
//! It knows no other dialect: who joins it with the one that models are asked in is the entrance.

pub mod errors;
pub mod frame;
mod messages;
pub mod request;
mod value;

pub use frame::Framing;
pub use messages::{
    Answered, Noted, aborted, chunk, decision, event, final_message, noted, plan_line, planned, whole_answer,
};
pub use request::{Ask, Asked};
