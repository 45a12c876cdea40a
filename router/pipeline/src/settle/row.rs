//! Closing the books: the metrics, the ledger's row and the log line of an exchange that has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atp_core::port::{Outcome, UsageRow};
use atp_core::{ErrorKind, Report, Side};

use super::{Books, Ending, STATUS_LEFT};
use crate::REQUESTS;

impl Books {
    pub(super) fn write(&self, now: Instant, ending: Ending<'_>, report: &Report) {
        let outcome = self.outcome(ending);
        let times = self.times(now);
        self.count(outcome, ending, &times);
        self.log(outcome, ending, times.total);
        self.shared.ledger.record(self.row(outcome, ending, report, &times));
    }

    fn times(&self, now: Instant) -> Times {
        let total = now.saturating_duration_since(self.received);
        let first_byte = self.answered_at.map(|at| at.saturating_duration_since(self.received));
        // Of a stream what came before its first byte counts; of a whole answer everything.
        let own = first_byte.filter(|_| self.stream).unwrap_or(total);
        let own = own.saturating_sub(self.waited).saturating_sub(self.queued);
        Times { total, first_byte: first_byte.unwrap_or_default(), own }
    }

    fn count(&self, outcome: Outcome, ending: Ending<'_>, times: &Times) {
        let error = match ending {
            Ending::Failed(error) => Some(error),
            Ending::Served | Ending::Left => None,
        };
        let metrics = &self.shared.metrics;
        metrics.count(Some(self.operation), outcome, error);
        if let Some(route) = &self.route {
            route.metrics.duration.observe(times.total.as_secs_f64());
        }
        // Where nobody was asked there is no work to tell from a provider's.
        if self.asked_at.is_some() {
            metrics.overhead.observe(times.own.as_secs_f64());
        }
    }

    fn row(&self, outcome: Outcome, ending: Ending<'_>, report: &Report, times: &Times) -> UsageRow {
        let empty = &self.shared.empty;
        let provider = self.current().map_or(empty, |lane| lane.provider.name());
        let (error, status) = match ending {
            Ending::Served => (None, self.status),
            Ending::Left => (Some(ErrorKind::Cancelled.code()), STATUS_LEFT),
            Ending::Failed(error) if self.status == 0 => {
                (Some(error.kind().code()), (self.shared.dialect.status)(error))
            }
            // What broke off after its head was sent keeps the status that the caller saw.
            Ending::Failed(error) => (Some(error.kind().code()), self.status),
        };
        UsageRow {
            id: self.id,
            key: Arc::clone(&self.caller.key),
            tenant: Arc::clone(&self.caller.tenant),
            operation: self.operation,
            model: Arc::clone(&self.asked),
            chosen: self.chosen_model(),
            provider: Arc::clone(provider),
            target: Arc::clone(self.model.as_ref().unwrap_or(empty)),
            stream: self.stream,
            outcome,
            error,
            status,
            finish: report.finish,
            usage: self.with_spent(self.joined(report.usage).or(self.metered)),
            metered: self.metered.is_some(),
            cost: self.charged,
            attempts: self.all_attempts(),
            first_byte_us: micros(times.first_byte),
            total_us: micros(times.total),
            overhead_us: micros(times.own),
        }
    }

    /// One line per exchange: a failure where an operator should see it, the rest for those who
    /// look. Refusals are the caller's business and come in storms; they are counted, and told only
    /// at debug level, as is what was served.
    fn log(&self, outcome: Outcome, ending: Ending<'_>, total: Duration) {
        let failed = outcome == Outcome::Failed;
        match ending {
            Ending::Failed(error) if failed && error.side() == Side::Router => {
                tell!(ERROR, self, total, error, "request failed");
            }
            Ending::Failed(error) if failed && error.side() == Side::Provider => {
                tell!(WARN, self, total, error, "request failed");
            }
            Ending::Failed(error) => tell!(DEBUG, self, total, error, "request refused"),
            Ending::Served | Ending::Left => tracing::debug!(
                target: REQUESTS,
                request_id = %self.id, key_name = &*self.caller.key, model = &*self.asked, provider = self.provider(),
                operation = self.operation.label(), attempts = self.all_attempts(), duration_ms = millis(total),
                outcome = outcome.label(), "request ended"
            ),
        }
    }

    fn provider(&self) -> &str {
        self.current().map_or("", |lane| lane.provider.name())
    }
}

/// What an exchange's time was spent on.
struct Times {
    total: Duration,
    first_byte: Duration,
    /// The router's own work.
    own: Duration,
}

/// The one set of fields of a failed exchange's line; the level of a line is part of its call site.
macro_rules! tell {
    ($level:ident, $books:expr, $total:expr, $error:expr, $text:literal) => {
        tracing::event!(
            target: REQUESTS,
            tracing::Level::$level,
            request_id = %$books.id, key_name = &*$books.caller.key, model = &*$books.asked, provider = $books.provider(),
            operation = $books.operation.label(), attempts = $books.all_attempts(), duration_ms = millis($total),
            step = $books.step.name(), error = $error.kind().code(), side = $error.side().label(),
            text = $error.public(), cause = $error.cause().unwrap_or(""), $text
        )
    };
}
use tell;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
