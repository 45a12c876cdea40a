//! What the admin port said at one moment. What a router does not tell is nothing, so that one of another version can be
//! watched too.

use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

/// One answer and when it came.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) flow: Flow,
    pub(super) choosing: Choosing,
}

impl Sample {
    /// Reads an answer of `/admin/flow`, with what `/admin/arms` and its like added to it; `None` where it is not one.
    pub(super) fn read(told: &Value, at: Instant) -> Option<Self> {
        let known = ["pools", "lanes", "tenants"].iter().all(|part| told.get(part).is_some_and(Value::is_array));
        let flow = Flow::deserialize(told).ok().filter(|_| known)?;
        // What cannot be read of choosing is not shown; the rest is.
        let choosing = Choosing::deserialize(told).unwrap_or_default();
        Some(Self { at, flow, choosing })
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Flow {
    pub(super) requests: Requests,
    pub(super) retry_budget: RetryBudget,
    pub(super) jain: Option<f64>,
    pub(super) pools: Vec<Pool>,
    pub(super) lanes: Vec<Lane>,
    pub(super) tenants: Vec<Tenant>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Requests {
    pub(super) ended: u64,
    pub(super) in_flight: u64,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct RetryBudget {
    pub(super) balance: u64,
    pub(super) per_mille: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pool {
    pub(super) model: String,
    pub(super) waiting: Waiting,
    pub(super) granted: u64,
    pub(super) enqueued: u64,
    pub(super) dropped: u64,
    pub(super) preempted: u64,
    pub(super) wait_ms: Quantiles,
    pub(super) drain_tokens_per_second: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Waiting {
    pub(super) gold: u64,
    pub(super) silver: u64,
    pub(super) bronze: u64,
}

impl Waiting {
    pub(super) fn all(self) -> u64 {
        self.gold.saturating_add(self.silver).saturating_add(self.bronze)
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Quantiles {
    pub(super) p50: Option<f64>,
    pub(super) p95: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lane {
    pub(super) lane: String,
    pub(super) state: String,
    pub(super) in_flight: u64,
    pub(super) limit: u64,
    pub(super) min: u64,
    pub(super) max: u64,
    pub(super) cuts: u64,
    pub(super) rest_ms: Option<f64>,
    pub(super) first_token_ms: Quantiles,
    pub(super) tokens_per_minute: Option<u64>,
    pub(super) requests_per_minute: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tenant {
    pub(super) tenant: String,
    pub(super) qos: String,
    pub(super) model: String,
    pub(super) weight: f64,
    /// The weight with the factor of the class.
    pub(super) effective_weight: f64,
    pub(super) served_tokens: u64,
    pub(super) in_flight: u64,
    pub(super) waiting: u64,
}

impl Tenant {
    /// Whether two rows are about the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        (&self.model, &self.tenant, &self.qos) == (&other.model, &other.tenant, &other.qos)
    }
}

/// What is chosen and spent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choosing {
    pub(super) arms: Vec<Arm>,
    pub(super) budgets: Vec<Account>,
    pub(super) experiments: Vec<Experiment>,
}

/// A model of a route, at one kind of work.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Arm {
    pub(super) route: String,
    pub(super) cluster: String,
    pub(super) model: String,
    pub(super) pulls: f64,
    pub(super) scores: f64,
    pub(super) quality: f64,
    pub(super) interval: (f64, f64),
    pub(super) reliability: f64,
}

/// A budget and whose it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Account {
    pub(super) whose: String,
    pub(super) name: String,
    pub(super) per: String,
    pub(super) limit: Limits,
    pub(super) spent: Limits,
    pub(super) reserved: Limits,
    pub(super) remaining: Limits,
    pub(super) burn_usd_per_min: f64,
    pub(super) denied: Denied,
}

/// Money and tokens, where there is a bound.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Limits {
    pub(super) usd: Option<f64>,
    pub(super) tokens: Option<u64>,
}

/// Requests that were refused, for want of which.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Denied {
    pub(super) usd: u64,
    pub(super) tokens: u64,
}

/// The challengers of a route.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Experiment {
    pub(super) route: String,
    pub(super) max_usd_per_day: f64,
    pub(super) challengers: Vec<Challenger>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Challenger {
    pub(super) model: String,
    pub(super) samples: u64,
    pub(super) wins: u64,
    pub(super) win_rate: f64,
    pub(super) interval: (f64, f64),
    pub(super) finding: String,
    pub(super) spend_today_usd: f64,
}
