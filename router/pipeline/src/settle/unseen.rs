//! What a provider has made of an answer of which nothing has gone out: its caller left, another model was
//! faster, or it broke off while it was held back.
//!
//! Of a stream that was held back, what had come is counted as if it had gone out. Of an answer in one piece
//! nothing is seen before it is there, though its provider is at work on it all the time: what it has made is
//! taken from the estimate, on its lower side (`docs/budgets.md`).

use std::time::Instant;

use atp_core::{Error, MicroUsd, Qos, Report, Usage};
use atp_routing::estimate::Ask;
use bytes::Bytes;

use super::{Books, Ending};
use crate::clock;
use crate::flow::Bill;
use crate::flow::lane::Awaited;

/// Output tokens a second of a slow provider: the pace that is taken for one whose whole answers have not been
/// timed yet.
const PACE: f64 = 10.0;

/// The status of an answer that has begun, though nobody has seen it.
const STATUS_BEGUN: u16 = 200;

impl Books {
    /// The output tokens that have been made at least of an answer in one piece that nobody waits for any more:
    /// the estimate's lower bound, or the part of it that the time was enough for, taken against the time in
    /// which 95 of 100 whole answers of this provider are there.
    pub(super) fn made_unseen(&self, ask: &Ask, qos: Qos, now: Instant) -> u64 {
        let Some((route, turn)) = self.route.as_ref().zip(self.turn.as_ref()) else { return 0 };
        if self.stream || !self.trying {
            return 0;
        }
        let (least, seconds) = (route.known.least(ask, qos), turn.runs_for(now).as_secs_f64());
        let made = match turn.p95(Awaited::Answer) {
            Some(p95) if !p95.is_zero() => least as f64 * seconds / p95.as_secs_f64(),
            _ => seconds * PACE,
        };
        // A float that is too large for the type saturates.
        least.min(made as u64)
    }

    /// Closes the books of a leg whose provider is left, and tells what that has used and cost: as it was
    /// metered, or else the `prompt`, which its provider has got, and what of the answer was made.
    pub(crate) fn leaves(&mut self, prompt: u64, ask: &Ask, qos: Qos) -> (Usage, Option<MicroUsd>) {
        let made = self.made_unseen(ask, qos, clock::now()).max(self.come());
        self.close(Ending::Left, &Report::default());
        let counted = Usage { input: prompt, output: made, ..Usage::default() };
        let usage = self.metered.unwrap_or(counted);
        (usage, self.charged.or_else(|| self.cost(Some(usage))))
    }

    /// A piece of a held answer that will not go out: it counts all the same.
    pub(crate) fn withheld(&mut self, piece: Bytes, report: &Report) {
        if let Some(bill) = &mut self.bill {
            bill.piece(piece.len());
        }
        self.meter(piece, report);
    }

    /// The answer broke off while it was held back: what came of it is settled, and told. The exchange may
    /// still be answered by another.
    pub(crate) fn breaks(&mut self, error: &Error, report: &Report, now: Instant) -> (Usage, Option<MicroUsd>) {
        let prompt = self.bill.as_ref().map_or(0, |bill| bill.input);
        let counted = Usage { input: prompt, output: self.come(), ..Usage::default() };
        let status = std::mem::replace(&mut self.status, STATUS_BEGUN);
        self.settle_use(Ending::Failed(error), report, now);
        (self.status, self.rested) = (status, true);
        let usage = report.usage.or(self.metered.take()).unwrap_or(counted);
        (usage, self.charged.take().or_else(|| self.cost(Some(usage))))
    }

    /// What has come of a stream.
    fn come(&self) -> u64 {
        self.bill.as_ref().filter(|_| self.stream).map_or(0, Bill::output)
    }
}
