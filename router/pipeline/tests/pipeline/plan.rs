//! Names behind which the router chooses: who is asked, who comes next, what the books say, what is learnt.

mod challengers;
mod learning;
mod money;
mod names;
mod panels;
mod storm;
mod walking;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use atp_core::port::{Dialect, Journal, JournalFile, Kept};
use atp_core::{Capability, Exchange, Features, Hints, MicroUsd, Payload, Price, Signs};
use atp_pipeline::snapshot::{Escalation, Manner, ModelFacts, RouteRules, Sticky};
use atp_pipeline::{Model, Snapshot};
use atp_routing::bandit::Strategy;
use bytes::Bytes;

use crate::kit::*;

/// A dialect that sees what a test writes into a body: `json` asks for JSON, `prefix` begins like others do.
pub(crate) const SEEING: Dialect = Dialect {
    features: |exchange, _| {
        let body = match &exchange.payload {
            Payload::Rope(rope) => rope.to_bytes(),
            Payload::Once { .. } => Bytes::new(),
        };
        let has = |word: &str| body.windows(word.len()).any(|window| window == word.as_bytes());
        Features {
            tokens: 10,
            needs: has("json").then_some(Capability::Json).into_iter().collect(),
            prefix: u64::from(has("prefix")),
            ..Features::default()
        }
    },
    signs: |_, answer| {
        let text = String::from_utf8_lossy(answer);
        Signs {
            chars: text.len() as u64,
            refusal: text.contains("sorry"),
            json: text.starts_with('{').then(|| text.ends_with('}')),
            confidence: text.contains("perhaps").then_some(0.3),
            fences_closed: true,
            ..Signs::default()
        }
    },
    ..DIALECT
};

/// A journal that remembers.
#[derive(Default)]
pub(crate) struct Lines(Mutex<Vec<(JournalFile, String)>>);

impl Lines {
    pub(crate) fn of(&self, file: JournalFile) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|(of, _)| *of == file).map(|(_, line)| line.clone()).collect()
    }
}

impl Journal for Lines {
    fn write(&self, file: JournalFile, line: String) -> Kept {
        self.0.lock().unwrap().push((file, line));
        Kept::Queued
    }
}

/// A model with one target, a quality, and a price in multiples of [`PRICE`].
pub(crate) fn graded(name: &str, quality: f64, times: u64, provider: &Arc<Scripted>) -> Model {
    let price =
        Price { input: PRICE.input * times, output: PRICE.output * times, cached_input: PRICE.cached_input * times };
    let facts = ModelFacts { quality: Some(quality), ..ModelFacts::default() };
    without_breakers(Model { price: Some(price), facts, ..model(name, &[provider]) })
}

/// A route that takes the cheapest acceptable one, and spends nothing on learning.
pub(crate) fn cheapest(name: &str, candidates: &[&str]) -> RouteRules {
    RouteRules {
        name: name.into(),
        listed: true,
        candidates: candidates.iter().map(|name| Arc::from(*name)).collect(),
        manner: Manner::One(Strategy::Cheapest),
        weights: None,
        explore: 0.0,
        prior_weight: 10.0,
        half_life: Duration::from_secs(86_400),
        safety: None,
        escalation: Escalation::default(),
        sticky: Sticky { session: true, prefix: true, ttl: Duration::from_secs(600) },
        experiment: None,
    }
}

/// What `auto` chooses among in most of these tests: a cheap model of quality .65, one of .8 at twice the price,
/// one of .9 at four times the price.
pub(crate) struct Three {
    pub(crate) house: House,
    pub(crate) far: [Arc<Scripted>; 3],
    pub(crate) lines: Arc<Lines>,
}

impl Three {
    pub(crate) fn new(plays: [Vec<Play>; 3]) -> Self {
        Self::with(plays, |_| {})
    }

    /// The same, with something changed in the configuration.
    pub(crate) fn with(plays: [Vec<Play>; 3], change: impl Fn(&mut Snapshot)) -> Self {
        let [low, middle, high] = plays;
        let far = [Scripted::new("low", low), Scripted::new("middle", middle), Scripted::new("high", high)];
        let lines = Arc::new(Lines::default());
        let snapshot = Self::snapshot(&far, change);
        let house = House::seeing([&far[0], &far[1], &far[2]], &snapshot, SEEING, Some(Arc::clone(&lines) as _));
        Self { house, far, lines }
    }

    pub(crate) fn snapshot(far: &[Arc<Scripted>; 3], change: impl Fn(&mut Snapshot)) -> Snapshot {
        let models =
            vec![graded("cheap", 0.65, 1, &far[0]), graded("solid", 0.8, 2, &far[1]), graded("best", 0.9, 4, &far[2])];
        let mut snapshot = snapshot(models);
        snapshot.routes = vec![cheapest("auto", &["cheap", "solid", "best"])];
        change(&mut snapshot);
        snapshot
    }

    pub(crate) fn calls(&self) -> [usize; 3] {
        [0, 1, 2].map(|place| self.far[place].calls())
    }
}

/// A request with hints.
pub(crate) fn hinted(hints: Hints, exchange: Exchange) -> Exchange {
    Exchange { hints: Some(Box::new(hints)), ..exchange }
}

/// A request that may take so long.
pub(crate) fn within(slo: Duration, exchange: Exchange) -> Exchange {
    hinted(Hints { latency_slo: Some(slo), ..Hints::default() }, exchange)
}

/// A request that may cost so much.
pub(crate) fn for_at_most(most: u64, exchange: Exchange) -> Exchange {
    hinted(Hints { max_cost: Some(MicroUsd(most)), ..Hints::default() }, exchange)
}

/// A request with these words in its body.
pub(crate) fn saying(words: &'static str, exchange: Exchange) -> Exchange {
    Exchange { payload: Payload::Rope(Bytes::from_static(words.as_bytes()).into()), ..exchange }
}
