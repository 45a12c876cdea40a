//! Any provider behind the door of `AdapterService`.
//!
//! One call of `Complete` is one try: the exchange is made again on this side, the provider is asked as it would be
//! in the router's own process, and its answer goes back piece by piece. The call's future and its stream own all that
//! was borrowed, so that a router that leaves ends the provider's work.

mod complete;
mod embed;
mod exchange;
mod health;
mod listen;
mod oldest;
mod service;

use std::sync::Arc;

use atp_core::port::Provider;
use atp_core::{Exchange, Usage};
use atp_proto::adapter::v1::CapabilitiesResponse;

pub use exchange::chat;
pub use health::Health;
pub use listen::{Door, Settings, claim, serve};

/// What a request will use, as far as somebody can tell before anybody is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Estimate {
    /// Input tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// What all of it costs, in millionths of a dollar; `None` where no price is known.
    pub usd_micros: Option<u64>,
    /// All tokens, of which 95 of 100 such requests use no more.
    pub p95_tokens: u64,
    /// The cost of those.
    pub p95_usd_micros: Option<u64>,
    /// The variance of the tokens.
    pub variance_tokens: f64,
    /// The variance of the cost, in squared dollars.
    pub variance_usd: f64,
    /// From 0 to 1: how much of it is founded on requests that have been seen.
    pub confidence: f64,
    /// What was taken for granted.
    pub assumptions: Vec<String>,
}

/// Who estimates, and learns from what was used.
pub trait Estimates: Send + Sync {
    /// What a request will use.
    fn estimate(&self, exchange: &Exchange) -> Estimate;

    /// What a request has used.
    fn learn(&self, exchange: &Exchange, usage: &Usage);
}

/// A provider, and what is told of it.
#[derive(Clone)]
pub struct Host {
    provider: Arc<dyn Provider>,
    facts: Arc<CapabilitiesResponse>,
    estimates: Arc<dyn Estimates>,
    health: Arc<Health>,
    /// The largest request, in bytes.
    most: usize,
}

impl Host {
    /// Puts a provider behind the door. Requests of more than `most` bytes are refused.
    #[must_use]
    pub fn new(
        provider: Arc<dyn Provider>,
        facts: CapabilitiesResponse,
        estimates: Arc<dyn Estimates>,
        most: usize,
    ) -> Self {
        Self { provider, facts: Arc::new(facts), estimates, health: Arc::default(), most }
    }

    /// How it fares.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// What it can do.
    #[must_use]
    pub fn facts(&self) -> &CapabilitiesResponse {
        &self.facts
    }
}
