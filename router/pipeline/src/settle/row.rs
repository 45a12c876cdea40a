//! Closing the books: the metrics, the ledger's row and the log line of an exchange that has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atp_core::port::{Outcome, UsageRow};
use atp_core::{ErrorKind, MicroUsd, Report, Side};

use super::{Books, Ending, STATUS_LEFT};

impl Books {
    pub(super) fn write(&self, now: Instant, ending: Ending<'_>, report: &Report, cost: Option<MicroUsd>) {
        let outcome = self.outcome(ending);
        let error = match ending {
            Ending::Failed(error) => Some(error),
            Ending::Served | Ending::Left => None,
        };
        let total = now.saturating_duration_since(self.received);
        let overhead = self.overhead(total);
        let metrics = &self.shared.metrics;
        metrics.count(Some(self.operation), outcome, error);
        if let Some(route) = &self.route {
            route.metrics.duration.observe(total.as_secs_f64());
        }
        if self.asked_at.is_some() {
            metrics.overhead.observe(overhead.as_secs_f64());
        }
        self.log(outcome, ending, total);
        let empty = &self.shared.empty;
        let lane = self.current();
        self.shared.ledger.record(UsageRow {
            id: self.id,
            key: Arc::clone(&self.caller.key),
            tenant: Arc::clone(&self.caller.tenant),
            operation: self.operation,
            model: Arc::clone(&self.asked),
            provider: Arc::clone(lane.map_or(empty, |lane| lane.provider.name())),
            target: Arc::clone(self.model.as_ref().unwrap_or(empty)),
            stream: self.stream,
            outcome,
            error: match ending {
                Ending::Served => None,
                Ending::Failed(error) => Some(error.kind().code()),
                Ending::Left => Some(ErrorKind::Cancelled.code()),
            },
            status: match ending {
                Ending::Left => STATUS_LEFT,
                // What broke off after its head was sent keeps the status that the caller saw.
                Ending::Failed(error) if self.status == 0 => (self.shared.status)(error),
                Ending::Failed(_) | Ending::Served => self.status,
            },
            finish: report.finish,
            usage: report.usage,
            cost,
            attempts: self.attempts,
            first_byte_us: micros(self.first_byte()),
            total_us: micros(total),
            overhead_us: micros(overhead),
        });
    }

    fn first_byte(&self) -> Duration {
        self.answered_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(self.received))
    }

    /// The router's own work: of a stream what came before its first byte, of a whole answer
    /// everything but the provider's time.
    fn overhead(&self, total: Duration) -> Duration {
        let own = if self.stream && self.answered_at.is_some() { self.first_byte() } else { total };
        own.saturating_sub(self.waited)
    }

    /// One line per exchange: a failure where an operator should see it, the rest for those who
    /// look. Refusals are the caller's business and come in storms; they are counted, and told only
    /// at debug level.
    fn log(&self, outcome: Outcome, ending: Ending<'_>, total: Duration) {
        let provider = self.current().map_or("", |lane| lane.provider.name());
        let duration_ms = u64::try_from(total.as_millis()).unwrap_or(u64::MAX);
        macro_rules! event {
            ($level:ident, $text:literal $(, $field:ident = $value:expr)*) => {
                tracing::$level!(
                    request_id = %self.id, key = &*self.caller.key, model = &*self.asked, provider,
                    operation = self.operation.label(), attempts = self.attempts, duration_ms,
                    $($field = $value,)* $text
                )
            };
        }
        match ending {
            Ending::Served => event!(debug, "request served"),
            Ending::Left => event!(debug, "request left by its caller"),
            Ending::Failed(error) => {
                let (code, cause, side, step) =
                    (error.kind().code(), error.cause().unwrap_or(""), error.side().label(), self.step.name());
                let text = error.public();
                match (outcome, error.side()) {
                    (Outcome::Failed, Side::Router) => {
                        event!(
                            error,
                            "request failed",
                            error = code,
                            side = side,
                            step = step,
                            cause = cause,
                            text = text
                        );
                    }
                    (Outcome::Failed, Side::Provider) => {
                        event!(
                            warn,
                            "request failed",
                            error = code,
                            side = side,
                            step = step,
                            cause = cause,
                            text = text
                        );
                    }
                    _ => event!(
                        debug,
                        "request refused",
                        error = code,
                        side = side,
                        step = step,
                        cause = cause,
                        text = text
                    ),
                }
            }
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
