//! What goes into a queue, and what comes out of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atp_core::{Qos, Weight};

/// A tenant's requests of one class, given out by [`FairQueue::flow`](super::FairQueue::flow) and of meaning to that queue alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub(super) u32);

/// Whether a request comes for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It has not been charged yet.
    New,
    /// It had its turn, was charged, and has to try again (failed over, preempted): it goes before
    /// what waits in its flow, behind those that came back before it, and costs nothing.
    Again,
}

/// A request for a turn.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Whose it is.
    pub flow: FlowId,
    /// The session within the flow.
    pub session: u64,
    /// The tokens that it is expected to use, input and output. Not looked at for [`Turn::Again`].
    pub cost: u64,
    /// Whether it comes for the first time.
    pub turn: Turn,
    /// When it came.
    pub now: Instant,
}

/// Who has been given a turn.
#[derive(Debug)]
pub struct Popped<T> {
    /// What was pushed.
    pub item: T,
    /// Whose it is.
    pub flow: FlowId,
    /// The session within the flow.
    pub session: u64,
    /// What flow and session were charged; what the request uses beyond or does not use is told by
    /// [`FairQueue::charge`](super::FairQueue::charge).
    pub charged: Charge,
    /// How long it waited.
    pub waited: Duration,
}

/// What a flow was charged for one exchange so far. What is given back of it is given back at what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Charge {
    tokens: u64,
    /// What they cost in virtual time. Tokens that were used while nobody waited cost nothing.
    time: u128,
}

impl Charge {
    pub(super) fn new(tokens: u64, time: u128) -> Self {
        Self { tokens, time }
    }

    /// The tokens.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    pub(super) fn time(&self) -> u128 {
        self.time
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_add(other.tokens), time: self.time.saturating_add(other.time) }
    }

    /// Takes out so many tokens, or all where there are fewer, at what they cost on average.
    pub(super) fn take(&mut self, tokens: u64) -> Self {
        let tokens = tokens.min(self.tokens);
        let (all, part) = (u128::from(self.tokens.max(1)), u128::from(tokens));
        // Neither product is too long: time per token is, and so is what remains, below 2^64.
        let time = (self.time / all) * part + (self.time % all) * part / all;
        (self.tokens, self.time) = (self.tokens - tokens, self.time - time);
        Self { tokens, time }
    }
}

/// A set of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed(pub(super) u8);

impl Allowed {
    /// No class.
    pub const NONE: Self = Self(0);
    /// Every class.
    pub const ALL: Self = Self(0b111);

    /// This class alone.
    #[must_use]
    pub const fn only(qos: Qos) -> Self {
        Self(1 << qos as u8)
    }

    /// This class and those of the set.
    #[must_use]
    pub const fn with(self, qos: Qos) -> Self {
        Self(self.0 | Self::only(qos).0)
    }

    /// Whether the class is in the set.
    #[must_use]
    pub const fn contains(self, qos: Qos) -> bool {
        self.0 & Self::only(qos).0 != 0
    }
}

/// A flow as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowView {
    /// Its number.
    pub flow: FlowId,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// Its class.
    pub qos: Qos,
    /// Its tenant's weight, without the class's factor.
    pub weight: Weight,
    /// Tokens charged so far, less what was given back.
    pub charged: u64,
    /// Requests that wait.
    pub waiting: usize,
    /// Sessions that wait or are remembered because they are ahead of their siblings.
    pub sessions: usize,
    /// How many of its own tokens it is ahead of virtual time; negative when it is owed some.
    pub ahead: i64,
}
