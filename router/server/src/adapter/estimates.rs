//! What requests will use: the tokens counted here, the answers' lengths as they were of late, the prices known.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use atp_adapters::remote::host::{Estimate, Estimates};
use atp_core::port::Reading;
use atp_core::{Exchange, Price, Qos, Usage};
use atp_dialects::openai::features;
use atp_routing::estimate::{Ask, Estimator};
use atp_routing::task;

use crate::clock;
use crate::config::Resolved;
use crate::config::prices;
use crate::config::resolved::{self, ProviderKind, TargetPrice};

/// Models about which something is remembered. Names come from requests, so that they have to be bounded.
const MODELS: usize = 256;

/// How many answers of a kind make an estimate as sure as it gets to half of it.
const HALF_SURE: f64 = 10.0;

/// 1.645 standard deviations above the mean lie 95 of 100 (of a normal distribution).
const P95: f64 = 1.645;

type PriceOf = Box<dyn Fn(&str) -> Option<Price> + Send + Sync>;

/// Estimates that learn.
pub(super) struct Learned {
    models: Mutex<BTreeMap<Arc<str>, Estimator>>,
    price: PriceOf,
}

impl Learned {
    /// Nothing learnt yet; the prices are those of the configuration, then those that are shipped.
    pub(super) fn new(config: &Resolved, provider: &resolved::Provider) -> Self {
        let targets = config.models.iter().flat_map(|model| &model.targets);
        let ours = targets.filter(|target| target.provider == provider.name);
        let known: BTreeMap<String, Price> = ours
            .filter_map(|target| match target.price {
                TargetPrice::Known(price) => Some((target.model.as_text().into_owned(), price)),
                TargetPrice::Unknown | TargetPrice::ByName(_) => None,
            })
            .collect();
        let kind = provider.kind.clone();
        let price = move |model: &str| {
            known.get(model).copied().or_else(|| match &kind {
                ProviderKind::Simulated(config) => config.price(model),
                // What answers for every persona is one model.
                ProviderKind::Persona(personas) => {
                    let vendor = personas.upstream.http().and_then(|http| http.vendor.as_deref());
                    prices::shipped().lookup(vendor, &personas.model)
                }
                other => prices::shipped().lookup(other.http().and_then(|http| http.vendor.as_deref()), model),
            })
        };
        Self { models: Mutex::default(), price: Box::new(price) }
    }

    fn models(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Estimator>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask(exchange: &Exchange) -> Ask {
    let features = features::features(exchange, Reading::Estimate);
    let fields = &exchange.fields;
    Ask::new(&features, task::cluster(&features, None), fields.max_tokens, fields.n.unwrap_or(1))
}

impl Estimates for Learned {
    fn estimate(&self, exchange: &Exchange) -> Estimate {
        let ask = ask(exchange);
        let price = (self.price)(&exchange.model);
        let models = self.models();
        let fresh = Estimator::default();
        let known = models.get(&exchange.model).unwrap_or(&fresh);
        let forecast = known.forecast(&ask, price, Qos::Silver);
        let (input, output) = (known.inputs.expect(&ask), known.outputs.expect(ask.cluster, ask.max_output));
        let seen = known.outputs.seen(ask.cluster);
        let dollars = |tokens: f64, per_million: u64| tokens * per_million as f64 / 1e12;
        let variance_usd = price.map_or(0.0, |price| {
            dollars(input.deviation, price.input).powi(2) + dollars(output.deviation, price.output).powi(2)
        });
        let most = ask.max_output.map_or(f64::INFINITY, |most| most as f64);
        let p95 = Usage {
            input: (input.mean + P95 * input.deviation).ceil() as u64,
            output: (output.mean + P95 * output.deviation).min(most).ceil() as u64,
            ..Usage::default()
        };
        let mut assumptions =
            vec!["input tokens are counted by the o200k tokenizer and corrected to the model's".to_owned()];
        if seen < 1.0 {
            assumptions.push("no answer of this kind of work has been seen: its length is a guess".to_owned());
        }
        if price.is_none() {
            assumptions.push(format!("the price of {:?} is not known", exchange.model));
        }
        Estimate {
            input: forecast.input,
            output: forecast.output,
            usd_micros: forecast.cost.map(|cost| cost.0),
            p95_tokens: p95.total(),
            p95_usd_micros: price.map(|price| price.cost(&p95).0),
            variance_tokens: input.deviation.powi(2) + output.deviation.powi(2),
            variance_usd,
            confidence: seen / (seen + HALF_SURE),
            assumptions,
        }
    }

    fn learn(&self, exchange: &Exchange, usage: &Usage) {
        let ask = ask(exchange);
        let price = (self.price)(&exchange.model);
        let mut models = self.models();
        if models.len() >= MODELS && !models.contains_key(&exchange.model) {
            return;
        }
        let known = models.entry(Arc::clone(&exchange.model)).or_default();
        let predicted = known.forecast(&ask, price, Qos::Silver);
        let cost = price.map(|price| price.cost(usage));
        known.learn(&ask, &predicted, usage, cost, u64::try_from(clock::unix().as_millis()).unwrap_or(u64::MAX));
    }
}
