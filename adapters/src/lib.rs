//! Providers: how each vendor's models are reached, behind [`atp_core::port::Provider`].
//!
//! Vendors that speak OpenAI's dialect are rows of `vendors.toml`, not modules.

#[cfg(test)]
pub(crate) mod conformance;
mod going_on;
pub mod http_client;
pub mod ollama;
pub mod openai_compatible;
pub mod persona;
pub mod remote;
pub mod simulated;
pub mod vendors;
