//! How much a provider is asked at once: the router's own control, and the forms that it has to beat.

mod fixed;
mod gradient;
mod ours;

use atp_core::RateFacts;
use atp_routing::share::Idle;
use rand::rngs::StdRng;
use std::fmt::Debug;
use std::time::{Duration, Instant};

pub(crate) use fixed::Fixed;
pub(crate) use gradient::Gradient;
pub(crate) use ours::Ours;

/// A lane's control. Everything but the limit has a default that does nothing.
pub(crate) trait Limiter: Debug {
    /// Tries that may be under way at once; 0 while nobody may begin.
    fn limit(&self) -> u32;

    /// What the limit never exceeds.
    fn most(&self) -> u32 {
        self.limit()
    }

    /// Whether it is open at all.
    fn gate(&self) -> Gate {
        Gate::Open
    }

    /// When a limit of 0 ends.
    fn opens_at(&self) -> Option<Instant> {
        None
    }

    /// Takes a request's tokens from the lane's rate, and tells how many; none where no rate is known. The error
    /// is how long until they are there, if that is known.
    fn admit(&mut self, _tokens: u64, _idle: Idle, _now: Instant) -> Result<u64, Option<Duration>> {
        Ok(0)
    }

    /// The first token of a try.
    fn first_token(&mut self, _now: Instant, _begun: Begun, _facts: &RateFacts) {}

    /// The answer of a try that is no stream, and of how many tokens it is.
    fn answered(&mut self, now: Instant, begun: Begun, _output: u64, facts: &RateFacts) {
        self.first_token(now, begun, facts);
    }

    /// A try ended.
    fn ended(&mut self, _now: Instant, _end: &Ending, _dice: &mut StdRng) {}

    /// Time has passed.
    fn tick(&mut self, _now: Instant) {}

    /// The time to first token that one try in twenty exceeds.
    fn p95_first_token(&self) -> Option<Duration> {
        None
    }
}

/// Whether a lane is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// Nobody may begin.
    Shut,
    /// One may, to find out.
    Probing,
}

/// What is known of a try since its beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) at: Instant,
    /// Tries under way when it began, itself included.
    pub(crate) in_flight: u32,
    pub(crate) input: u64,
    /// The tokens that the lane's rate was charged.
    pub(crate) paid: u64,
}

/// How a try ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    pub(crate) begun: Begun,
    pub(crate) tokens: u64,
    pub(crate) outcome: TryOutcome,
    pub(crate) limits: RateFacts,
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TryOutcome {
    Served,
    Refused(Option<Duration>),
    Failed,
    Cancelled,
}
