//! What a request will use and cost at one model, and how far such estimates were off.
//!
//! Input: the router counts tokens by one tokenizer, each provider by its own and with frames of its own
//! around the messages. [`Inputs`] learns the difference. Output: how long answers are depends on the kind
//! of work; [`Outputs`] learns their distribution by cluster, which is near to log-normal, and cuts it at
//! the request's own limit. The guard band is `mean + k * sigma` with k by class of service (facts of the
//! mission: gold 2.0, silver 1.0, bronze 0.5): who is served first reserves more.
//!
//! All of it is state that can be serialised and functions of what is given: time is Unix milliseconds.

mod accuracy;
mod inputs;
mod moments;
mod normal;
mod outputs;

use atp_core::{Features, Forecast, Language, MicroUsd, Price, Qos, Usage};
use serde::{Deserialize, Serialize};

pub use accuracy::{Accuracy, Record};
pub use inputs::Inputs;
pub use outputs::Outputs;

/// What is to be estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The kind of work, as [`crate::task::cluster`] tells it.
    pub cluster: u16,
    /// The language of the prompt.
    pub language: Language,
    /// Input tokens by the router's tokenizer.
    pub tokens: u64,
    /// Messages.
    pub messages: u32,
    /// Images.
    pub images: u32,
    /// The most output tokens of one choice; `Some(0)` where nothing is written (embeddings), `None`
    /// where nothing bounds it.
    pub max_output: Option<u64>,
    /// How many choices are asked for; 0 counts as 1.
    pub n: u64,
}

impl Ask {
    /// What these features, in this cluster, ask for.
    #[must_use]
    pub const fn new(features: &Features, cluster: u16, max_output: Option<u64>, n: u64) -> Self {
        Self {
            cluster,
            language: features.language,
            tokens: features.tokens,
            messages: features.messages,
            images: features.images,
            max_output,
            n,
        }
    }

    /// How many choices, at least one.
    fn choices(&self) -> u64 {
        self.n.max(1)
    }
}

/// A number that is not known exactly.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spread {
    /// What is expected.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
}

/// How many standard deviations are added for a class of service.
#[must_use]
pub const fn guard(qos: Qos) -> f64 {
    match qos {
        Qos::Gold => 2.0,
        Qos::Silver => 1.0,
        Qos::Bronze => 0.5,
    }
}

/// What is known of one model's tokens.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Estimator {
    /// Of its input.
    pub inputs: Inputs,
    /// Of its output.
    pub outputs: Outputs,
    /// Of how far it was off.
    pub record: Record,
}

impl Estimator {
    /// What a request is expected to use and cost. The guard band of the cost joins those of input and
    /// output, which err independently: the root of the sum of their squares.
    #[must_use]
    pub fn forecast(&self, ask: &Ask, price: Option<Price>, qos: Qos) -> Forecast {
        let k = guard(qos);
        let input = self.inputs.expect(ask);
        let output = self.outputs.expect(ask.cluster, ask.max_output);
        let choices = ask.choices() as f64;
        // Choices are drawn independently: their variances add up.
        let output = Spread { mean: output.mean * choices, deviation: output.deviation * choices.sqrt() };
        let most = ask.max_output.map_or(f64::INFINITY, |most| most as f64 * choices);
        let above = (k * output.deviation).min((most - output.mean).max(0.0));
        let tokens = Usage { input: round(input.mean), output: round(output.mean), ..Usage::default() };
        let dollars = |band: f64, per_million: u64| band * per_million as f64 / 1e6;
        let cost = price.map(|price| price.cost(&tokens));
        let guarded = price.zip(cost).map(|(price, cost)| {
            let band = dollars(k * input.deviation, price.input).hypot(dollars(above, price.output));
            MicroUsd(cost.0.saturating_add(band.ceil() as u64))
        });
        // Rounded up: a guard band of less than a token is one.
        let output_guarded = ((output.mean + above).ceil() as u64).max(tokens.output);
        Forecast { input: tokens.input, output: tokens.output, output_guarded, cost, guarded }
    }

    /// The output tokens that an answer has at least, by the same guard band on the other side: the median less `k`
    /// deviations of the logarithm, so that it is above zero, and 84 of 100 answers are longer where k is 1.
    #[must_use]
    pub fn least(&self, ask: &Ask, qos: Qos) -> u64 {
        let each = self.outputs.least(ask.cluster, ask.max_output, guard(qos));
        (each * ask.choices() as f64).floor() as u64
    }

    /// Takes in what a request has used, as its provider told it: only of answers that came to their own
    /// end, or to the limit of `ask`. `predicted` is what had been forecast; `cost` is what it came to.
    pub fn learn(&mut self, ask: &Ask, predicted: &Forecast, usage: &Usage, cost: Option<MicroUsd>, now_ms: u64) {
        self.record.add(predicted, usage, cost, now_ms);
        self.inputs.learn(ask, usage.input);
        self.outputs.learn(ask.cluster, ask.max_output, usage.output as f64 / ask.choices() as f64);
    }

    /// How far its forecasts were off of late.
    #[must_use]
    pub fn accuracy(&self) -> Accuracy {
        self.record.accuracy()
    }
}

/// The nearest whole number; below zero it is zero.
fn round(value: f64) -> u64 {
    // A float that is too large for the type saturates.
    value.round() as u64
}

#[cfg(test)]
mod tests;
