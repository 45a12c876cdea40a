//! Rows and sums as they are shown to people.

use atp_core::port::{Outcome, UsageRow};
use serde::Serialize;

/// A ledger row as text and numbers: what `/admin/usage` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageRecord {
    /// The request id, as in `x-request-id`.
    pub id: String,
    /// When the request began, in milliseconds since the Unix epoch (taken from the id).
    pub at_ms: u64,
    /// The key that asked.
    pub key: String,
    /// The tenant that the key belongs to.
    pub tenant: String,
    /// What was asked.
    pub operation: String,
    /// The model asked for.
    pub model: String,
    /// The router's model that answered, where the router chose it.
    pub chosen: Option<String>,
    /// The provider that answered last; empty where none was asked.
    pub provider: String,
    /// The provider's name for the model.
    pub target: String,
    /// Whether the answer was a stream.
    pub stream: bool,
    /// How it ended.
    pub outcome: String,
    /// The error's code, where there was one.
    pub error: Option<String>,
    /// The status that the caller saw.
    pub status: u16,
    /// Why the model stopped.
    pub finish: Option<String>,
    /// Whether the tokens are the router's own estimate, because the provider told none.
    pub metered: bool,
    /// Prompt tokens, cached ones included; `None` where the provider told none.
    pub input_tokens: Option<u64>,
    /// Completion tokens, reasoning included.
    pub output_tokens: Option<u64>,
    /// The part of the input that was read from the provider's cache.
    pub cached_tokens: Option<u64>,
    /// The part of the output that was spent on reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Whole micro-dollars; `None` where the price or the usage is unknown.
    pub cost_micro_usd: Option<u64>,
    /// How many tries were made.
    pub attempts: u32,
    /// Microseconds from the request's head to the first byte of the answer.
    pub first_byte_us: u64,
    /// Microseconds from the request's head to the end of the answer.
    pub total_us: u64,
    /// Microseconds of the router's own work before the first byte.
    pub overhead_us: u64,
}

impl From<&UsageRow> for UsageRecord {
    fn from(row: &UsageRow) -> Self {
        Self {
            id: row.id.to_string(),
            at_ms: row.id.unix_millis(),
            key: String::from(&*row.key),
            tenant: String::from(&*row.tenant),
            operation: String::from(row.operation.label()),
            model: String::from(&*row.model),
            chosen: row.chosen.as_deref().map(String::from),
            provider: String::from(&*row.provider),
            target: String::from(&*row.target),
            stream: row.stream,
            outcome: String::from(row.outcome.label()),
            error: row.error.map(String::from),
            status: row.status,
            finish: row.finish.map(|finish| String::from(finish.label())),
            metered: row.metered,
            input_tokens: row.usage.map(|usage| usage.input),
            output_tokens: row.usage.map(|usage| usage.output),
            cached_tokens: row.usage.map(|usage| usage.cached_input),
            reasoning_tokens: row.usage.map(|usage| usage.reasoning),
            cost_micro_usd: row.cost.map(|cost| cost.0),
            attempts: row.attempts,
            first_byte_us: row.first_byte_us,
            total_us: row.total_us,
            overhead_us: row.overhead_us,
        }
    }
}

/// The sums of one group of rows. Sums saturate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Total {
    /// The key, model, provider or tenant.
    pub name: String,
    /// Exchanges, however they ended.
    pub requests: u64,
    /// Those whose answer came to its end.
    pub served: u64,
    /// Those refused before a provider was asked.
    pub refused: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those whose caller left.
    pub cancelled: u64,
    /// Prompt tokens, cached ones included.
    pub input_tokens: u64,
    /// Completion tokens, reasoning included.
    pub output_tokens: u64,
    /// The part of the input that was read from a provider's cache.
    pub cached_tokens: u64,
    /// The part of the output that was spent on reasoning.
    pub reasoning_tokens: u64,
    /// Whole micro-dollars of the rows whose cost is known.
    pub cost_micro_usd: u64,
    /// Served exchanges whose cost is unknown: the sum above lacks them.
    pub unpriced: u64,
}

impl Total {
    /// Adds one row.
    pub(super) fn add(&mut self, row: &UsageRow) {
        self.requests += 1;
        match row.outcome {
            Outcome::Served => self.served += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Cancelled => self.cancelled += 1,
        }
        let usage = row.usage.unwrap_or_default();
        self.input_tokens = self.input_tokens.saturating_add(usage.input);
        self.output_tokens = self.output_tokens.saturating_add(usage.output);
        self.cached_tokens = self.cached_tokens.saturating_add(usage.cached_input);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(usage.reasoning);
        self.cost_micro_usd = self.cost_micro_usd.saturating_add(row.cost.map_or(0, |cost| cost.0));
        self.unpriced += u64::from(row.outcome == Outcome::Served && row.cost.is_none());
    }
}
