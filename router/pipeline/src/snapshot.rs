//! What the pipeline is told about the configuration: plain values, made by the server from its
//! resolved configuration and never changed.

mod choice;
mod flow;
mod money;

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use atp_core::port::Provider;
use atp_core::{Price, Qos, Timeouts};
use atp_routing::breaker::BreakerRules;
use atp_routing::window::WindowRules;
use atp_routing::{RetryBudget, Rules};

pub use self::choice::{Ensemble, EnsembleMode, Escalation, Experiment, Judge, Manner, ModelFacts, RouteRules, Sticky};
pub use self::flow::{CacheRules, Hedge, MidStream, Queue, Tenant};
pub use self::money::{Budget, Budgets, Per, Spent, Whose};

/// One configuration, as far as the request path needs it.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// Counts the configurations that this process has had.
    pub version: u64,
    /// Seconds since the Unix epoch: when it was loaded.
    pub created: u64,
    /// The models, in configured order.
    pub models: Vec<Model>,
    /// The names behind which the router chooses a model, in configured order.
    pub routes: Vec<RouteRules>,
    /// What may be spent.
    pub budgets: Budgets,
    /// The providers that `/providers/{name}/*` reaches, by their own names.
    pub providers: Vec<RawProvider>,
    /// What each key may do; `Caller::index` points into it.
    pub keys: Vec<KeyLimit>,
    /// Who shares the models; `Caller::tenant_index` points into it. Empty is one tenant of weight 1.
    pub tenants: Vec<Tenant>,
    /// Whether some key is gold, so that slots have to be kept free for it.
    pub has_gold: bool,
    /// How many exchanges may be in flight at once; `None` sets no bound.
    pub max_concurrent: Option<NonZeroUsize>,
    /// Trying again.
    pub retries: Retries,
}

/// A name that can be asked for, and who serves it.
#[derive(Clone)]
pub struct Model {
    /// The name, or a pattern with one `*`: `gpt-*`, `groq/*`.
    pub name: Arc<str>,
    /// Other names (or patterns) for the same model.
    pub aliases: Vec<Arc<str>>,
    /// Who serves it, in configured order; at least one.
    pub targets: Vec<Target>,
    /// What it costs, where the target has no price of its own.
    pub price: Option<Price>,
    /// What happens to the provider's work when the caller leaves.
    pub on_disconnect: OnDisconnect,
    /// How many may wait for it, and how long.
    pub queue: Queue,
    /// Whether and when a second target is asked beside the first.
    pub hedge: Option<Hedge>,
    /// Whether identical requests of a tenant that can only have one answer share it.
    pub coalesce: bool,
    /// Whether its answers are kept to be given again.
    pub cache: Option<CacheRules>,
    /// What happens to a stream that breaks off.
    pub failover: MidStream,
    /// The highest class that it is served with, where it is not every caller's own.
    pub qos: Option<QosByName>,
    /// What choosing goes by.
    pub facts: ModelFacts,
}

impl Model {
    /// A model without aliases and price, whose work ends when the caller leaves, with the default
    /// queue and nothing that has to be asked for.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, targets: Vec<Target>) -> Self {
        Self {
            name: name.into(),
            aliases: Vec::new(),
            targets,
            price: None,
            on_disconnect: OnDisconnect::default(),
            queue: Queue::default(),
            hedge: None,
            coalesce: false,
            cache: None,
            failover: MidStream::default(),
            qos: None,
            facts: ModelFacts::default(),
        }
    }
}

/// Finds a price by the provider's name for the model.
pub type PriceByName = Arc<dyn Fn(&str) -> Option<Price> + Send + Sync>;

/// Finds the highest class by what the `*` of the model's name stands for; nothing, where it has none.
pub type QosByName = Arc<dyn Fn(&str) -> Option<Qos> + Send + Sync>;

/// One provider's model that serves a name.
#[derive(Clone)]
pub struct Target {
    /// Who is asked.
    pub provider: Arc<dyn Provider>,
    /// The provider's name for the model. Under a pattern, a `*` in it stands for what the
    /// pattern's `*` matched.
    pub model: Arc<str>,
    /// Its share of first places. Where no target of the model has one, the configured order
    /// holds; where some have one, the others count as 1. At 0 it is asked only after all others.
    pub weight: Option<f64>,
    /// The timers of a try.
    pub timeouts: Timeouts,
    /// What it costs here, where that differs from the model's price.
    pub price: Option<Price>,
    /// Where to look a price up once the name is known: under a pattern, where neither the target
    /// nor the model has one.
    pub price_by_name: Option<PriceByName>,
    /// How many tries it may carry at once. Targets with the same provider and model share what they
    /// carry; where their bounds differ, the narrowest hold.
    pub window: WindowRules,
    /// When it is left alone because it fails.
    pub breaker: BreakerRules,
    /// Whether it goes on with an answer whose beginning it is given as the last message.
    pub prefill: bool,
}

impl Target {
    /// A target without weight and price, with the default timers.
    #[must_use]
    pub fn new(provider: Arc<dyn Provider>, model: impl Into<Arc<str>>) -> Self {
        Self {
            provider,
            model: model.into(),
            weight: None,
            timeouts: Timeouts::default(),
            price: None,
            price_by_name: None,
            window: WindowRules::default(),
            breaker: BreakerRules::default(),
            prefill: false,
        }
    }

    /// Whether callers choose the model, by what a pattern's `*` stands for.
    pub(crate) fn is_open(&self) -> bool {
        self.model.contains('*')
    }

    /// The provider's name for the model where the pattern's `*` stands for `star`.
    pub(crate) fn model_of(&self, star: &str) -> Arc<str> {
        if self.is_open() { self.model.replacen('*', star, 1).into() } else { Arc::clone(&self.model) }
    }
}

/// A provider that is reached as it is.
#[derive(Clone)]
pub struct RawProvider {
    /// The provider; its own name is the one in the path.
    pub provider: Arc<dyn Provider>,
    /// The timers of a try.
    pub timeouts: Timeouts,
}

/// What one key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLimit {
    /// The key's configured name, as in `Caller::key`.
    pub key: Arc<str>,
    /// Its request rate; `None` sets no bound.
    pub rate: Option<RateLimit>,
}

/// A request rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The time in which room for one request grows back: half a second lets two requests a second
    /// through in the long run. Zero sets no bound.
    pub period: Duration,
    /// Requests that may come at once. So many as take a century to grow back are the most that
    /// count.
    pub burst: NonZeroU32,
}

/// What happens to the provider's work when the caller leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDisconnect {
    /// It is cancelled at once.
    #[default]
    Cancel,
    /// It goes on for up to this many more output tokens.
    ///
    /// Tokens are the provider's own count where it tells one on the way; until then each piece of
    /// the stream that follows the first content counts as one, which is how providers cut their
    /// streams. An answer that is not a stream shows nothing on the way, so it goes on only where
    /// the request itself asks for no more tokens than these.
    Drain(u64),
    /// It goes on to its end.
    Complete,
}

/// Trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retries {
    /// What the whole gateway may spend on it.
    pub budget: RetryBudget,
    /// What one exchange may.
    pub rules: Rules,
}
