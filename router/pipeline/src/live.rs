//! A snapshot made ready for the request path: names in a table, patterns in order, every metric
//! handle resolved, so that a request hashes one name and no label.

mod check;
mod choices;
mod names;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use atp_core::port::ModelCard;
use atp_core::{Caller, Error, Exchange, Operation, Price, Qos, Status, Timeouts};

use self::choices::Choices;
use self::names::Names;
use crate::attempt::Hedging;
use crate::cache::Cell;
use crate::clock;
use crate::flow::flow_cell::FlowCell;
use crate::flow::pool::Pool;
use crate::flow::{Registry, Tenants};
use crate::lane::Lane;
use crate::leave::Spawn;
use crate::limit::KeyState;
use crate::metrics::{PipelineMetrics, RouteMetrics};
use crate::money::Money;
use crate::plan::known::Known;
use crate::plan::lives::Lives;
use crate::plan::{Asked, Choice};
use crate::snapshot::{MidStream, Model, OnDisconnect, QosByName, Queue, RawProvider, Retries, Snapshot, Target};
use crate::view::FlowView;

/// Who is told to own a route.
const OWNER: &str = "atp";

/// The configuration that new exchanges begin with.
pub(crate) struct Live {
    pub(crate) version: u64,
    pub(crate) created: u64,
    pub(crate) retries: Retries,
    pub(crate) max_concurrent: usize,
    pub(crate) keys: Box<[KeyState]>,
    pub(crate) tenants: Tenants,
    pub(crate) flow: Registry,
    pub(crate) money: Money,
    /// The models, in configured order.
    models: Vec<Arc<Route>>,
    /// Those whose names are not patterns, for listing.
    listed: Vec<Arc<Route>>,
    names: HashMap<Arc<str>, Arc<Route>>,
    /// The longest literal prefix first, so that the first match is the best.
    patterns: Vec<(Pattern, Arc<Route>)>,
    choices: Choices,
    /// Where the models stand that routes may choose.
    pub(crate) lives: Lives,
    raw: HashMap<Arc<str>, Arc<Route>>,
}

/// A model, or a raw provider, and the lanes that serve it.
pub(crate) struct Route {
    /// The configured name; a pattern for a wildcard model.
    pub(crate) name: Arc<str>,
    pub(crate) lanes: Box<[Lane]>,
    /// One weight per lane, where any is configured.
    pub(crate) weights: Option<Box<[f64]>>,
    pub(crate) on_disconnect: OnDisconnect,
    /// What happens to a stream that breaks off.
    pub(crate) failover: MidStream,
    /// Who waits for it.
    pub(crate) pool: Arc<Pool>,
    pub(crate) queue: Queue,
    pub(crate) hedge: Option<Arc<Hedging>>,
    /// Its answers that can be given again, where it is configured for that.
    pub(crate) cache: Option<Arc<Cell>>,
    /// The pool's flows by tenant and class, so that a request hashes no name.
    flows: Box<[OnceLock<Arc<FlowCell>>]>,
    /// What is known of the model beyond its configuration.
    pub(crate) known: Arc<Known>,
    /// Its configured status.
    status: Status,
    /// The labels of the data that it may see.
    pub(crate) scopes: Box<[Arc<str>]>,
    /// The highest class that it is served with.
    most: Option<QosByName>,
    /// The shortest total of its lanes.
    pub(crate) total: Duration,
    pub(crate) metrics: RouteMetrics,
    /// Whether the one warning of this snapshot has been given.
    pub(crate) warned_price: Arc<AtomicBool>,
    pub(crate) warned_usage: Arc<AtomicBool>,
    /// What was asked for, where it is a pattern whose targets depend on that.
    names: Option<Names>,
}

/// A route and what the pattern's `*` stands for in the name asked for.
pub(crate) struct Found {
    pub(crate) route: Arc<Route>,
    pub(crate) star: Option<Range<usize>>,
}

struct Pattern {
    prefix: Box<str>,
    suffix: Box<str>,
}

impl Pattern {
    fn parse(name: &str) -> Option<Self> {
        let (prefix, suffix) = name.split_once('*')?;
        Some(Self { prefix: prefix.into(), suffix: suffix.into() })
    }

    /// What the `*` stands for: at least one byte.
    fn matches(&self, name: &str) -> Option<Range<usize>> {
        let rest = name.strip_prefix(&*self.prefix)?.strip_suffix(&*self.suffix)?;
        let start = self.prefix.len();
        (!rest.is_empty()).then_some(start..start + rest.len())
    }
}

impl Live {
    /// Resolves a snapshot. Rate limiters whose key and rate are unchanged are taken over from
    /// `before`, so that a reload is no way to a fresh burst.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`], naming the field, the value and the way out.
    pub(crate) fn resolve(
        snapshot: &Snapshot,
        metrics: &PipelineMetrics,
        spawn: &Spawn,
        before: Option<&Self>,
        now: Instant,
    ) -> Result<Self, Error> {
        check::check(snapshot)?;
        let asked: Vec<Vec<Arc<str>>> = snapshot
            .models
            .iter()
            .map(|model| before.and_then(|live| live.model(&model.name)).map_or_else(Vec::new, |route| route.stars()))
            .collect();
        let mut live = Self {
            version: snapshot.version,
            created: snapshot.created,
            retries: snapshot.retries,
            max_concurrent: snapshot.max_concurrent.map_or(usize::MAX, std::num::NonZeroUsize::get),
            keys: KeyState::resolve(&snapshot.keys, before.map_or(&[], |live| &live.keys)),
            tenants: Tenants::resolve(&snapshot.tenants, before.map(|live| &live.tenants)),
            flow: Registry::resolve(snapshot, &asked, before.map(|live| &live.flow), spawn, now),
            money: Money::resolve(snapshot, before.map(|live| &live.money), clock::unix_ms(now)),
            models: Vec::new(),
            listed: Vec::new(),
            names: HashMap::new(),
            patterns: Vec::new(),
            choices: Choices::default(),
            lives: Lives::default(),
            raw: HashMap::new(),
        };
        let pools: Vec<Arc<Pool>> = live.flow.pools.iter().map(|entry| Arc::clone(&entry.pool)).collect();
        let mut pools = pools.into_iter();
        for (model, pool) in snapshot.models.iter().zip(&mut pools) {
            let cache = before.and_then(|live| live.model(&model.name)?.cache.as_ref());
            let cache = Cell::of(model, || metrics.cache.of(&model.name), cache);
            let mut route = Route { cache, ..Route::model(model, pool, live.tenants.len(), metrics) };
            route.names = Names::of(model, &live.flow.directory, spawn);
            if let Some(before) = before.and_then(|live| live.model(&model.name)) {
                route.known = Arc::clone(&before.known);
                route.adopt_names(before, now);
            }
            live.add_model(model, &Arc::new(route));
        }
        live.choices = Choices::resolve(snapshot, &live.names, before.map(|live| &live.choices));
        live.lives = Lives::new(live.choices(), before.map(|live| &live.lives));
        // A stable sort: of two equally long prefixes the one with the longer suffix, then the one
        // configured first, wins.
        live.patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse((pattern.prefix.len(), pattern.suffix.len())));
        for (raw, pool) in snapshot.providers.iter().zip(pools) {
            let name = Arc::clone(raw.provider.name());
            let route = Arc::new(Route::raw(raw, pool, live.tenants.len(), metrics));
            live.raw.insert(name, route);
        }
        live.set_weights();
        Ok(live)
    }

    fn add_model(&mut self, model: &Model, route: &Arc<Route>) {
        self.models.push(Arc::clone(route));
        if !model.name.contains('*') {
            self.listed.push(Arc::clone(route));
        }
        for name in std::iter::once(&model.name).chain(&model.aliases) {
            match Pattern::parse(name) {
                Some(pattern) => self.patterns.push((pattern, Arc::clone(route))),
                None => _ = self.names.insert(Arc::clone(name), Arc::clone(route)),
            }
        }
    }

    /// The models, each once.
    fn models(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.models.iter()
    }

    /// The names of models that may see data with this label.
    pub(crate) fn seers_of(&self, label: &Arc<str>) -> impl Iterator<Item = &str> {
        self.models().filter(|route| route.scopes.contains(label)).map(|route| &*route.name)
    }

    /// How many models are configured.
    pub(crate) fn model_count(&self) -> usize {
        self.models().count()
    }

    /// The model of this configured name.
    fn model(&self, name: &str) -> Option<&Arc<Route>> {
        self.models().find(|route| &*route.name == name)
    }

    /// Who shares which model.
    pub(crate) fn flow_view(&self, now: Instant) -> FlowView {
        let named = self.models().flat_map(|route| {
            route.all_named().into_iter().map(|named| (Arc::clone(&named.pool), named.queue, &route.pool))
        });
        self.flow.view(named, now)
    }

    /// Gives every flow its tenant's weight.
    pub(crate) fn set_weights(&self) {
        self.flow.set_weights(&self.tenants);
        let named = self.models().flat_map(|route| route.all_named());
        named.for_each(|named| named.pool.set_weights(&self.tenants));
    }

    /// Lets time do its part where no request does.
    pub(crate) fn sweep(&self, now: Instant) {
        self.models().for_each(|route| route.sweep_names(now));
        self.flow.sweep(now);
        self.money.sweep(clock::unix_ms(now));
        self.models().filter_map(|route| route.cache.as_ref()).for_each(|cache| cache.sweep(now));
    }

    /// The route that `exchange` asks for, where its name is no model's: the names of models go before routes,
    /// and routes before patterns.
    pub(crate) fn asked(&self, exchange: &Exchange) -> Option<&Asked> {
        self.choices.asked(&exchange.model).filter(|_| exchange.operation != Operation::Raw)
    }

    /// The choice of a route, by its own name.
    pub(crate) fn choice(&self, route: &str) -> Option<&Arc<Choice>> {
        self.choices.named(route)
    }

    /// Every route, in configured order.
    pub(crate) fn choices(&self) -> impl Iterator<Item = &Arc<Choice>> + Clone {
        self.choices.all()
    }

    /// Who serves what `exchange` asks for.
    pub(crate) fn find(&self, exchange: &Exchange) -> Option<Found> {
        if exchange.operation == Operation::Raw {
            return self.raw.get(&exchange.model).map(|route| Found { route: Arc::clone(route), star: None });
        }
        self.find_model(&exchange.model)
    }

    /// Who serves the model of this name.
    pub(crate) fn find_model(&self, name: &str) -> Option<Found> {
        if let Some(route) = self.names.get(name) {
            return Some(Found { route: Arc::clone(route), star: None });
        }
        if self.choices.has(name) {
            return None;
        }
        self.patterns.iter().find_map(|(pattern, route)| {
            let star = pattern.matches(name)?;
            Some(Found { route: Arc::clone(route), star: Some(star) })
        })
    }

    /// Whether any target is configured.
    pub(crate) fn can_serve(&self) -> bool {
        !self.names.is_empty() || !self.patterns.is_empty() || !self.raw.is_empty()
    }

    /// Every name that can be asked for, patterns as they are.
    pub(crate) fn model_names(&self) -> impl Iterator<Item = &str> {
        let patterns = self.patterns.iter().map(|(_, route)| &*route.name);
        self.names.keys().map(|name| &**name).chain(self.choices.names()).chain(patterns)
    }

    pub(crate) fn provider_names(&self) -> impl Iterator<Item = &str> {
        self.raw.keys().map(|name| &**name)
    }

    pub(crate) fn cards(&self) -> Vec<ModelCard> {
        let models = self.listed.iter().map(|route| self.card_of(Arc::clone(&route.name), route));
        let routes = self.choices.listed().map(|name| self.card_of_route(name));
        models.chain(routes).collect()
    }

    pub(crate) fn card(&self, name: &str) -> Option<ModelCard> {
        let model = self.find_model(name).map(|found| self.card_of(Arc::from(name), &found.route));
        model.or_else(|| self.choices.asked(name).map(|_| self.card_of_route(&Arc::from(name))))
    }

    fn card_of_route(&self, name: &Arc<str>) -> ModelCard {
        ModelCard { id: Arc::clone(name), owner: Arc::from(OWNER), created: self.created }
    }

    fn card_of(&self, id: Arc<str>, route: &Route) -> ModelCard {
        let owner = route.lanes.first().map_or_else(|| Arc::from(""), |lane| Arc::clone(lane.provider.name()));
        ModelCard { id, owner, created: self.created }
    }
}

impl Route {
    fn model(model: &Model, pool: Arc<Pool>, tenants: usize, metrics: &PipelineMetrics) -> Self {
        let name = &model.name;
        let lanes = model.targets.iter().map(|target| Lane::new(name, target, model.price, metrics)).collect();
        let weighted = model.targets.iter().any(|target| target.weight.is_some());
        let weights = weighted.then(|| model.targets.iter().map(|target| target.weight.unwrap_or(1.0)).collect());
        let totals = model.targets.iter().map(|target| target.timeouts.total);
        Self {
            weights,
            on_disconnect: model.on_disconnect,
            failover: model.failover,
            status: model.facts.status,
            scopes: model.facts.data_scopes.clone().unwrap_or_default().into(),
            queue: model.queue,
            hedge: model.hedge.as_ref().map(|hedge| Arc::new(Hedging::new(hedge, clock::now()))),
            total: totals.min().unwrap_or(Timeouts::default().total),
            most: model.qos.clone(),
            ..Self::bare(pool, lanes, tenants, metrics)
        }
    }

    fn raw(raw: &RawProvider, pool: Arc<Pool>, tenants: usize, metrics: &PipelineMetrics) -> Self {
        let target = Target { timeouts: raw.timeouts, ..Target::new(Arc::clone(&raw.provider), "") };
        let lane = Lane::new(pool.name(), &target, None::<Price>, metrics);
        Self { total: raw.timeouts.total, ..Self::bare(pool, Box::new([lane]), tenants, metrics) }
    }

    fn bare(pool: Arc<Pool>, lanes: Box<[Lane]>, tenants: usize, metrics: &PipelineMetrics) -> Self {
        Self {
            metrics: metrics.route(pool.name()),
            name: Arc::clone(pool.name()),
            lanes,
            queue: Queue::default(),
            hedge: None,
            cache: None,
            flows: (0..tenants * Qos::ALL.len()).map(|_| OnceLock::new()).collect(),
            pool,
            weights: None,
            on_disconnect: OnDisconnect::Cancel,
            failover: MidStream::Off,
            known: Known::new(clock::now()),
            status: Status::default(),
            scopes: Box::default(),
            most: None,
            total: Timeouts::default().total,
            warned_price: Arc::default(),
            warned_usage: Arc::default(),
            names: None,
        }
    }

    /// This route with another pool: that of a name behind its pattern. What is counted, and what hedges may
    /// cost, is the pattern's.
    fn with_pool(&self, pool: Arc<Pool>) -> Self {
        Self {
            name: Arc::clone(&self.name),
            lanes: self.lanes.iter().map(Lane::anew).collect(),
            weights: self.weights.clone(),
            on_disconnect: self.on_disconnect,
            failover: self.failover,
            pool,
            queue: self.queue,
            hedge: self.hedge.clone(),
            cache: self.cache.clone(),
            flows: self.flows.iter().map(|_| OnceLock::new()).collect(),
            known: Arc::clone(&self.known),
            status: self.status,
            scopes: self.scopes.clone(),
            most: self.most.clone(),
            total: self.total,
            metrics: self.metrics.clone(),
            warned_price: Arc::clone(&self.warned_price),
            warned_usage: Arc::clone(&self.warned_usage),
            names: None,
        }
    }

    /// Where the model stands in its life.
    pub(crate) fn phase(&self) -> Status {
        self.known.status().unwrap_or(self.status)
    }

    /// The class that an exchange is served with here: its own, or the highest that the model is served with.
    pub(crate) fn class(&self, exchange: &Exchange, star: Option<&Range<usize>>) -> Qos {
        let Some(most) = &self.most else { return exchange.qos };
        let matched = star.and_then(|star| exchange.model.get(star.clone())).unwrap_or_default();
        most(matched).map_or(exchange.qos, |most| most.min(exchange.qos))
    }

    /// The flow of the caller's tenant and this class.
    ///
    /// A reload between authentication and here may have moved the tenants, so the name decides and the
    /// index is only where to look first.
    pub(crate) fn flow(&self, tenants: &Tenants, caller: &Caller, qos: Qos) -> Arc<FlowCell> {
        let fresh = || self.pool.flow(&caller.tenant, qos, tenants.weight(caller.tenant_index, &caller.tenant));
        let place = caller.tenant_index.saturating_mul(Qos::ALL.len()).saturating_add(qos as usize);
        match self.flows.get(place) {
            Some(known) if tenants.is_named(caller.tenant_index, &caller.tenant) => {
                Arc::clone(known.get_or_init(fresh))
            }
            _ => fresh(),
        }
    }
}
