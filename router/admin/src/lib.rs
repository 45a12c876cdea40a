//! The control-plane surface: health, metrics, and what the router knows about itself.
//!
//! Everything that is shown comes through [`Control`], which the server implements; this crate knows
//! HTTP and nothing else. It has a listener of its own; [`health::lookup`] lends the four paths
//! that every load balancer and scraper asks for to the router's own port, so that their bytes are made in
//! one place.

mod browser;
mod control;
pub mod health;
mod query;
mod reply;
mod routes;
mod serve;
#[cfg(test)]
mod tests;

pub use control::{Check, CheckState, ChoicePart, Control, FlowPart, ObservationQuery, Readiness, Version};
pub use health::HealthLookup;
pub use serve::{Serving, serve};
