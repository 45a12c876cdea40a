//! What the books hold of the caller's budgets, and what comes of it when they close.

use std::time::Instant;

use atp_core::{Continuity, Operation, Report};
use atp_routing::budget::Amount;
use bytes::Bytes;

use super::{Books, Ending};
use crate::clock;

impl Books {
    /// The most output tokens that a try may ask its provider for.
    pub(crate) fn ceiling(&self, continuity: Continuity<'_>) -> Option<u64> {
        self.reserved.as_ref().and_then(|reserved| reserved.ceiling(continuity))
    }

    /// A piece of the answer goes out: what of it does. All of it, but where no more of a stream can be paid for.
    pub(super) fn meter(&mut self, piece: Bytes, report: &Report) -> Bytes {
        let writes = matches!(self.operation, Operation::Chat | Operation::Completions);
        match &mut self.reserved {
            Some(reserved) if self.stream => return reserved.piece(piece, report),
            // What its provider tells comes with it, or not at all.
            Some(reserved) if writes && report.usage.is_none() => reserved.part(piece.len() as u64),
            _ => {}
        }
        piece
    }

    /// The proper end of a stream of which no more can be paid for; `None` while it may go on.
    pub(super) fn cut_short(&self) -> Option<Bytes> {
        let sample = self.reserved.as_ref()?.ends_behind()?;
        self.shared.metrics.money.cut();
        Some((self.shared.dialect.length)(self.operation, &sample))
    }

    /// The caller of an answer in one piece leaves: what its provider has made of it counts.
    pub(super) fn meter_unseen(&mut self, ending: Ending<'_>, now: Instant) {
        let Some(reserved) = self.reserved.as_ref().filter(|_| matches!(ending, Ending::Left)) else { return };
        let made = self.made_unseen(reserved.estimate().0, reserved.qos(), now);
        if let Some(reserved) = &mut self.reserved {
            reserved.made(made);
        }
    }

    /// Gives back what is held, and counts what was used, of which the provider or else the router's own
    /// meter tells; `tokens` is 0 where nothing was.
    pub(super) fn settle_reserved(&mut self, ending: Ending<'_>, report: &Report, tokens: u64, now: Instant) {
        let Some(mut reserved) = self.reserved.take() else { return };
        let told = self.joined(report.usage);
        if told.is_none() && tokens > 0 {
            let metered = reserved.metered();
            self.metered = Some(metered);
            self.charged = self.cost(Some(metered));
        }
        let used = told.or(self.metered).map(|usage| Amount {
            // Where the parts of an answer are not all known, what is known of it.
            cost: self.charged.or_else(|| self.cost(Some(usage))).unwrap_or_default(),
            tokens: usage.total(),
        });
        let unix_ms = clock::unix_ms(now);
        reserved.settle(used.unwrap_or_default(), unix_ms);
        let (ask, forecast) = reserved.estimate();
        // Where the router chose the model, it learns from the choice.
        if let (Some(usage), Some(route), None) = (told, &self.route, &self.chosen)
            && matches!(ending, Ending::Served)
            && report.finish.is_some()
            && reserved.ended_itself()
        {
            route.known.used(ask, forecast, &usage, self.charged, unix_ms);
        }
    }
}
