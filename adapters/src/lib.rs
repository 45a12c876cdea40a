//! Providers: how each vendor's models are reached, behind [`atp_core::port::Provider`].
//!
//! Vendors that speak OpenAI's dialect are rows of `vendors.toml`, not modules.

#[cfg(test)]
pub(crate) mod conformance;
mod deadlines;
mod dice;
mod going_on;
mod head;
pub mod http_client;
#[cfg(feature = "local")]
pub mod local;
pub mod ollama;
pub mod openai_compatible;
pub mod persona;
mod refusal;
pub mod remote;
pub mod simulated;
pub mod vendors;
