//! Wire formats: finding and changing fields in a request body without re-serialising it, reading
//! along a stream of events, and turning errors into bytes and back.
//!
//! Pure functions and small state machines over bytes: no clock, no task, no socket. What a
//! provider says is told through the words of [`atp_core`]; what a caller sends is passed on as it
//! is, but for the spans that policy changes.

#[cfg(test)]
extern crate self as atp_dialects;

mod json;
pub mod native;
pub mod openai;
pub mod scan;
pub mod splice;
pub mod sse;

#[cfg(test)]
mod tests;
