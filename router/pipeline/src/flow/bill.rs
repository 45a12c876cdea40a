//! What one exchange is charged for its share of a model.
//!
//! Tokens that are used while somebody waits count in the order of turns; tokens that are used while
//! nobody waits are free. A request that waited was charged its estimate when it got its turn, and is
//! charged the difference to the truth, up or down, when it ends. One that began at once was charged
//! nothing, and is charged what it uses from when on somebody waits. Streams are looked at every few
//! dozen pieces, so that one that runs beyond its estimate pays while it runs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use atp_core::{Caller, Exchange, Payload, Usage};
use atp_routing::fair_queue::Charge;

use super::flow_cell::FlowCell;
use super::pool::{Pool, signed};

/// Bytes of a request's body that are taken for a token: English text in JSON comes to about four.
const BYTES_PER_TOKEN: u64 = 4;
/// Bytes of a stream that are taken for a token, where pieces hold more than one.
const STREAM_BYTES_PER_TOKEN: u64 = 256;
/// A stream is looked at again after so many pieces,
const PIECES: u64 = 32;
/// or so many bytes.
const BYTES: u64 = 4 * 1024;

/// The bill of one exchange.
pub(crate) struct Bill {
    pub(crate) pool: Arc<Pool>,
    pub(crate) flow: Arc<FlowCell>,
    session: Option<Arc<str>>,
    caller: Arc<Caller>,
    stream: bool,
    /// The prompt, estimated.
    pub(crate) input: u64,
    /// Prompt and answer, estimated.
    pub(crate) expected: u64,
    basis: Basis,
    /// What the flow has been charged.
    charged: Charge,
    pieces: u64,
    bytes: u64,
    next_look: (u64, u64),
    settled: bool,
}

/// What of an exchange's use counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Basis {
    /// All of it: it had to wait, or went ahead of those who did.
    Whole,
    /// What it uses while somebody waits: so much of it was free.
    From(u64),
}

impl Bill {
    /// The bill of an exchange that has used nothing.
    pub(crate) fn new(pool: &Arc<Pool>, flow: Arc<FlowCell>, exchange: &Exchange) -> Self {
        let bytes = match &exchange.payload {
            Payload::Rope(rope) => rope.len(),
            Payload::Once { head, .. } => head.len(),
        };
        let input = (bytes as u64 / BYTES_PER_TOKEN).max(1);
        let asked = exchange.fields.max_tokens.map(|most| most.saturating_mul(exchange.fields.n.unwrap_or(1).max(1)));
        let output = pool.expected_output().min(asked.unwrap_or(u64::MAX));
        Self {
            pool: Arc::clone(pool),
            flow,
            session: exchange.session.clone(),
            caller: Arc::clone(&exchange.caller),
            stream: exchange.stream,
            input,
            expected: input.saturating_add(output),
            basis: Basis::From(0),
            charged: Charge::default(),
            pieces: 0,
            bytes: 0,
            next_look: (PIECES, BYTES),
            settled: false,
        }
    }

    /// Whose turn it is within the flow. Names that fall together only share a turn.
    pub(crate) fn session(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.session.as_deref().unwrap_or(&self.caller.key).hash(&mut hasher);
        hasher.finish()
    }

    /// It began at once: nobody waits, so its prompt is free, or others wait whom it went ahead of.
    pub(crate) fn began_at_once(&mut self) {
        self.basis = Basis::From(self.input);
        if self.pool.waiting() > 0 {
            self.basis = Basis::Whole;
            self.charge(self.expected);
        }
    }

    /// It waited, and was charged so much for its turn.
    pub(crate) fn waited(&mut self, charged: Charge) {
        self.basis = Basis::Whole;
        self.charged = self.charged.and(charged);
    }

    /// A piece of the answer goes out.
    pub(crate) fn piece(&mut self, bytes: usize) {
        self.pieces += 1;
        self.bytes += bytes as u64;
        if self.stream && (self.pieces >= self.next_look.0 || self.bytes >= self.next_look.1) {
            self.next_look = (self.pieces + PIECES, self.bytes + BYTES);
            self.look();
        }
    }

    /// Charges what a stream has used since it was last looked at.
    fn look(&mut self) {
        let used = self.input + self.output();
        if self.pool.waiting() == 0 {
            if let Basis::From(free) = &mut self.basis {
                *free = used.saturating_sub(self.charged.tokens());
            }
            return;
        }
        let due = self.due(used);
        if due > self.charged.tokens() {
            self.charge(due - self.charged.tokens());
        }
    }

    /// What of so many used tokens counts.
    fn due(&self, used: u64) -> u64 {
        match self.basis {
            Basis::Whole => used,
            Basis::From(free) => used.saturating_sub(free),
        }
    }

    fn charge(&mut self, tokens: u64) {
        self.correct(signed(tokens));
    }

    fn correct(&mut self, delta: i64) {
        let session = self.session();
        self.pool.charge(&self.flow, session, delta, &mut self.charged);
    }

    /// The answer so far, estimated.
    pub(crate) fn output(&self) -> u64 {
        if self.stream { self.pieces.max(self.bytes / STREAM_BYTES_PER_TOKEN) } else { self.bytes / BYTES_PER_TOKEN }
    }

    /// The exchange has ended: what was charged is corrected to what was used, which is returned.
    /// `usage` is what the provider told; `asked` whether a provider was asked at all.
    pub(crate) fn settle(&mut self, usage: Option<Usage>, asked: Asked) -> u64 {
        let used = match (usage, asked) {
            (Some(usage), _) => usage.total(),
            (None, Asked::Yes) => self.input + self.output(),
            (None, Asked::No) => 0,
        };
        if std::mem::replace(&mut self.settled, true) {
            return used;
        }
        if let Some(usage) = usage {
            self.pool.used_output(usage.output);
        }
        if used > 0 {
            self.flow.served.fetch_add(used, Ordering::Relaxed);
        }
        let charged = self.charged.tokens();
        let due = match self.basis {
            Basis::Whole => used,
            // Nobody waits: what was used since the last look is free.
            Basis::From(_) if self.pool.waiting() == 0 => charged.min(used),
            Basis::From(_) => self.due(used).max(charged.min(used)),
        };
        if due != charged {
            self.correct(signed(due).saturating_sub(signed(charged)));
        }
        used
    }
}

/// Whether a provider was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Yes,
    No,
}

impl Drop for Bill {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(None, Asked::No);
        }
    }
}
