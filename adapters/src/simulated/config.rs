//! The configuration of a simulated provider: models as distributions.

use std::collections::BTreeMap;
use std::fmt;

use atp_core::Price;
use schemars::JsonSchema;
use serde::Deserialize;

use super::distribution::Distribution;

/// A provider that runs inside the router, declares itself simulated and behaves as configured:
/// for a first try, for tests and for benchmarks.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SimulatedConfig {
    /// Where all chance comes from. Two providers with the same seed and the same requests in the
    /// same order behave the same.
    pub seed: u64,
    /// The models by name. Without this field: `sim-fast`, `sim-balanced` and `sim-high`.
    pub models: BTreeMap<String, SimulatedModel>,
}

impl Default for SimulatedConfig {
    /// Three models that differ in quality, price and speed, all quick enough for a first try.
    fn default() -> Self {
        let ready = |quality, price, first, speed: f64| SimulatedModel {
            quality,
            price,
            time_to_first_token_ms: Distribution::LogNormal { median: first, sigma: 0.2 },
            tokens_per_second: Distribution::Normal { mean: speed, deviation: speed / 10.0 },
            ..SimulatedModel::default()
        };
        let price = |input, output| SimulatedPrice { input, output, cached_input: input / 10 };
        let models = [
            ("sim-fast", ready(0.6, price(100_000, 400_000), 40.0, 200.0)),
            ("sim-balanced", ready(0.8, price(1_000_000, 4_000_000), 120.0, 100.0)),
            ("sim-high", ready(0.95, price(5_000_000, 20_000_000), 300.0, 60.0)),
        ];
        Self { seed: 0, models: models.into_iter().map(|(name, model)| (name.to_owned(), model)).collect() }
    }
}

/// One simulated model.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SimulatedModel {
    /// How good its answers are, from 0 to 1: the chance that a keyword of the prompt is carried
    /// into the answer. Coverage of the prompt's keywords therefore measures it.
    pub quality: f64,
    /// What it costs, in micro-dollars per million tokens.
    pub price: SimulatedPrice,
    /// Milliseconds from a free seat to the first token.
    pub time_to_first_token_ms: Distribution,
    /// Tokens a second after the first one, drawn once per request.
    pub tokens_per_second: Distribution,
    /// The length of an answer in tokens, where nothing in the request cuts it shorter.
    pub output_tokens: Distribution,
    /// The context window in tokens, prompt and answer together. A request that needs more is
    /// refused with 400 `context_length_exceeded`.
    pub context_tokens: u64,
    /// How many components an embedding has where the request does not say `dimensions`.
    pub embedding_dimensions: u32,
    /// How many requests are served at once; more wait in the queue. Unlimited when absent.
    pub capacity: Option<u32>,
    /// How many requests may wait for a seat, first come first served; more are refused with 429.
    pub queue_len: u32,
    /// The most requests a second; more are refused with 429 and `Retry-After`. None when absent.
    pub rate_limit: Option<SimulatedRateLimit>,
    /// The share of requests, from 0 to 1, that are refused with 500.
    pub error_rate: f64,
    /// The share of answers, from 0 to 1, that fall silent before their end and never go on.
    pub stall_rate: f64,
    /// The share of answers, from 0 to 1, whose connection breaks before their end.
    pub cut_rate: f64,
    /// The share of streams, from 0 to 1, that tell an error after they have begun.
    pub stream_error_rate: f64,
    /// The share of answers in text, from 0 to 1, that decline to answer.
    pub refusal_rate: f64,
    /// The share of answers, from 0 to 1, that were asked for as JSON and end in the middle of it.
    pub bad_json_rate: f64,
    /// The mean probability that it tells for its tokens, from 0.35 to 0.99, where a request asks for `logprobs`.
    pub confidence: f64,
}

impl Default for SimulatedModel {
    /// A free, perfect and quick model without limits or faults.
    fn default() -> Self {
        Self {
            quality: 1.0,
            price: SimulatedPrice::default(),
            time_to_first_token_ms: Distribution::Constant(50.0),
            tokens_per_second: Distribution::Constant(100.0),
            output_tokens: Distribution::Normal { mean: 64.0, deviation: 12.0 },
            context_tokens: 128_000,
            embedding_dimensions: 256,
            capacity: None,
            queue_len: 64,
            rate_limit: None,
            error_rate: 0.0,
            stall_rate: 0.0,
            cut_rate: 0.0,
            stream_error_rate: 0.0,
            refusal_rate: 0.0,
            bad_json_rate: 0.0,
            confidence: 0.695,
        }
    }
}

/// A price in micro-dollars per million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SimulatedPrice {
    /// Per million input tokens.
    pub input: u64,
    /// Per million output tokens.
    pub output: u64,
    /// Per million input tokens that the prompt cache held.
    pub cached_input: u64,
}

/// A rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatedRateLimit {
    /// Requests a second in the long run, more than 0.
    pub requests_per_second: f64,
    /// Requests that may come at once after a pause, at least 1.
    pub burst: u32,
}

/// What is wrong in a configuration: the field, the value found and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The field's path below the provider: `models.sim-fast.quality`.
    pub path: String,
    /// What was found and what is allowed.
    pub problem: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl SimulatedConfig {
    /// What a model costs; `None` for a model that is not configured.
    #[must_use]
    pub fn price(&self, model: &str) -> Option<Price> {
        let SimulatedPrice { input, output, cached_input } = self.models.get(model)?.price;
        Some(Price { input, output, cached_input })
    }

    /// Everything that is wrong in it; empty when it can be served.
    #[must_use]
    pub fn faults(&self) -> Vec<ConfigFault> {
        let mut faults = Vec::new();
        if self.models.is_empty() {
            let problem = "empty; name at least one model, or leave the field out for the three ready ones";
            faults.push(ConfigFault { path: "models".to_owned(), problem: problem.to_owned() });
        }
        for (name, model) in &self.models {
            model.faults(|field, problem| faults.push(ConfigFault { path: format!("models.{name}.{field}"), problem }));
        }
        faults
    }
}

impl SimulatedModel {
    fn faults(&self, mut fault: impl FnMut(&str, String)) {
        let shares = [
            ("quality", self.quality),
            ("error_rate", self.error_rate),
            ("stall_rate", self.stall_rate),
            ("cut_rate", self.cut_rate),
            ("stream_error_rate", self.stream_error_rate),
            ("refusal_rate", self.refusal_rate),
            ("bad_json_rate", self.bad_json_rate),
        ];
        for (field, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                fault(field, format!("{share} is not between 0 and 1"));
            }
        }
        let draws = [
            ("time_to_first_token_ms", &self.time_to_first_token_ms, 0.0),
            ("tokens_per_second", &self.tokens_per_second, MIN_SPEED),
            ("output_tokens", &self.output_tokens, 1.0),
        ];
        for (field, draw, least) in draws {
            if let Err(problem) = draw.check(least) {
                fault(field, problem);
            }
        }
        if !(0.35..=0.99).contains(&self.confidence) {
            fault("confidence", format!("{} is not between 0.35 and 0.99", self.confidence));
        }
        self.limit_faults(fault);
    }

    fn limit_faults(&self, mut fault: impl FnMut(&str, String)) {
        if self.context_tokens < 16 {
            fault("context_tokens", format!("{} is less than 16", self.context_tokens));
        }
        if !(1..=MAX_DIMENSIONS).contains(&self.embedding_dimensions) {
            let found = self.embedding_dimensions;
            fault("embedding_dimensions", format!("{found} is not between 1 and {MAX_DIMENSIONS}"));
        }
        if self.capacity == Some(0) {
            fault("capacity", "0 serves nobody; leave the field out for no limit".to_owned());
        }
        if let Some(limit) = self.rate_limit {
            if !(limit.requests_per_second > 0.0 && limit.requests_per_second <= 1e9) {
                let found = limit.requests_per_second;
                fault("rate_limit.requests_per_second", format!("{found} is not above 0 and at most 1e9"));
            }
            if limit.burst == 0 {
                fault("rate_limit.burst", "0 lets no request through; 1 is the least".to_owned());
            }
        }
    }
}

/// The slowest model: a token in a thousand seconds.
pub(super) const MIN_SPEED: f64 = 0.001;

/// The most components that an embedding may have.
pub(super) const MAX_DIMENSIONS: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_serves_three_models_without_a_fault() {
        let config = SimulatedConfig::default();
        assert_eq!(config.faults(), []);
        assert_eq!(config.models.keys().collect::<Vec<_>>(), ["sim-balanced", "sim-fast", "sim-high"]);
        let price = config.price("sim-high").unwrap();
        assert!(price.output > config.price("sim-fast").unwrap().output);
        assert_eq!(config.price("gpt-4"), None);
    }

    #[test]
    fn every_fault_names_field_and_value() {
        let config: SimulatedConfig = serde_json::from_str(
            r#"{ "models": { "m": { "quality": 1.5, "capacity": 0, "tokens_per_second": 0, "cut_rate": -0.5,
                 "output_tokens": { "uniform": { "min": 9, "max": 3 } }, "context_tokens": 3,
                 "rate_limit": { "requests_per_second": 0, "burst": 0 }, "embedding_dimensions": 0,
                 "refusal_rate": 2, "bad_json_rate": -1, "confidence": 1 } } }"#,
        )
        .unwrap();
        let faults: Vec<String> = config.faults().iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "models.m.quality: 1.5 is not between 0 and 1",
                "models.m.cut_rate: -0.5 is not between 0 and 1",
                "models.m.refusal_rate: 2 is not between 0 and 1",
                "models.m.bad_json_rate: -1 is not between 0 and 1",
                "models.m.tokens_per_second: 0 is less than 0.001",
                "models.m.output_tokens: min 9 is more than max 3",
                "models.m.confidence: 1 is not between 0.35 and 0.99",
                "models.m.context_tokens: 3 is less than 16",
                "models.m.embedding_dimensions: 0 is not between 1 and 4096",
                "models.m.capacity: 0 serves nobody; leave the field out for no limit",
                "models.m.rate_limit.requests_per_second: 0 is not above 0 and at most 1e9",
                "models.m.rate_limit.burst: 0 lets no request through; 1 is the least",
            ]
        );
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        let error = serde_json::from_str::<SimulatedConfig>(r#"{ "models": { "m": { "qualty": 1 } } }"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `qualty`"), "{error}");
        let error = serde_json::from_str::<SimulatedConfig>(
            r#"{ "models": { "m": { "output_tokens": { "normal": { "mean": 1, "sd": 2 } } } } }"#,
        )
        .unwrap_err();
        assert!(error.to_string().contains("unknown field `sd`"), "{error}");
    }
}
