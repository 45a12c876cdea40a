//! A snapshot made ready for the request path: names in a table, patterns in order, every metric
//! handle resolved, so that a request hashes one name and no label.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use atp_core::port::ModelCard;
use atp_core::{Error, ErrorKind, Exchange, Operation, Price, Timeouts};

use crate::flow::Tenants;
use crate::lane::Lane;
use crate::limit::KeyState;
use crate::metrics::{PipelineMetrics, RouteMetrics};
use crate::snapshot::{Model, OnDisconnect, RawProvider, Retries, Snapshot, Target};

/// The configuration that new exchanges begin with.
pub(crate) struct Live {
    pub(crate) version: u64,
    pub(crate) created: u64,
    pub(crate) retries: Retries,
    pub(crate) max_concurrent: usize,
    pub(crate) keys: Box<[KeyState]>,
    pub(crate) tenants: Tenants,
    /// The models whose names are not patterns, in configured order, for listing.
    listed: Vec<Arc<Route>>,
    names: HashMap<Arc<str>, Arc<Route>>,
    /// The longest literal prefix first, so that the first match is the best.
    patterns: Vec<(Pattern, Arc<Route>)>,
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
    /// The shortest total of its lanes.
    pub(crate) total: Duration,
    pub(crate) metrics: RouteMetrics,
    /// Whether the one warning of this snapshot has been given.
    pub(crate) warned_price: AtomicBool,
    pub(crate) warned_usage: AtomicBool,
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
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        let mut live = Self {
            version: snapshot.version,
            created: snapshot.created,
            retries: snapshot.retries,
            max_concurrent: snapshot.max_concurrent.map_or(usize::MAX, std::num::NonZeroUsize::get),
            keys: KeyState::resolve(&snapshot.keys, before.map_or(&[], |live| &live.keys)),
            tenants: Tenants::resolve(&snapshot.tenants, before.map(|live| &live.tenants)),
            listed: Vec::new(),
            names: HashMap::new(),
            patterns: Vec::new(),
            raw: HashMap::new(),
        };
        for model in &snapshot.models {
            live.add_model(model, metrics)?;
        }
        // A stable sort: of two equally long prefixes the one with the longer suffix, then the one
        // configured first, wins.
        live.patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse((pattern.prefix.len(), pattern.suffix.len())));
        for raw in &snapshot.providers {
            let name = Arc::clone(raw.provider.name());
            let route = Arc::new(Route::raw(raw, metrics));
            if live.raw.insert(Arc::clone(&name), route).is_some() {
                return Err(configuration(format!("providers.{name}: the name stands twice; choose another")));
            }
        }
        Ok(live)
    }

    fn add_model(&mut self, model: &Model, metrics: &PipelineMetrics) -> Result<(), Error> {
        let route = Arc::new(Route::model(model, metrics)?);
        if !model.name.contains('*') {
            self.listed.push(Arc::clone(&route));
        }
        for name in std::iter::once(&model.name).chain(&model.aliases) {
            if let Some(pattern) = Pattern::parse(name) {
                if pattern.suffix.contains('*') {
                    return Err(configuration(format!("models.{name}: a pattern may hold one `*`; it holds more")));
                }
                self.patterns.push((pattern, Arc::clone(&route)));
            } else if self.names.insert(Arc::clone(name), Arc::clone(&route)).is_some() {
                return Err(configuration(format!(
                    "models.{name}: the name stands twice, as a model or an alias; choose another"
                )));
            }
        }
        Ok(())
    }

    /// Who serves what `exchange` asks for.
    pub(crate) fn find(&self, exchange: &Exchange) -> Option<Found> {
        if exchange.operation == Operation::Raw {
            return self.raw.get(&exchange.model).map(|route| Found { route: Arc::clone(route), star: None });
        }
        self.find_model(&exchange.model)
    }

    fn find_model(&self, name: &str) -> Option<Found> {
        if let Some(route) = self.names.get(name) {
            return Some(Found { route: Arc::clone(route), star: None });
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
        self.names.keys().map(|name| &**name).chain(patterns)
    }

    pub(crate) fn provider_names(&self) -> impl Iterator<Item = &str> {
        self.raw.keys().map(|name| &**name)
    }

    pub(crate) fn cards(&self) -> Vec<ModelCard> {
        self.listed.iter().map(|route| self.card_of(Arc::clone(&route.name), route)).collect()
    }

    pub(crate) fn card(&self, name: &str) -> Option<ModelCard> {
        self.find_model(name).map(|found| self.card_of(Arc::from(name), &found.route))
    }

    /// The state of sharing.
    pub(crate) fn flow(&self) -> crate::view::FlowView {
        crate::view::FlowView { jain: 1.0, ..Default::default() }
    }

    fn card_of(&self, id: Arc<str>, route: &Route) -> ModelCard {
        let owner = route.lanes.first().map_or_else(|| Arc::from(""), |lane| Arc::clone(lane.provider.name()));
        ModelCard { id, owner, created: self.created }
    }
}

impl Route {
    fn model(model: &Model, metrics: &PipelineMetrics) -> Result<Self, Error> {
        let name = &model.name;
        if model.targets.is_empty() {
            return Err(configuration(format!("models.{name}.targets: the list is empty; name at least one target")));
        }
        for (index, target) in model.targets.iter().enumerate() {
            check_target(model, index, target)?;
        }
        let lanes = model.targets.iter().map(|target| Lane::new(name, target, model.price, metrics)).collect();
        let weighted = model.targets.iter().any(|target| target.weight.is_some());
        let weights = weighted.then(|| model.targets.iter().map(|target| target.weight.unwrap_or(1.0)).collect());
        let totals = model.targets.iter().map(|target| target.timeouts.total);
        Ok(Self {
            weights,
            on_disconnect: model.on_disconnect,
            total: totals.min().unwrap_or(Timeouts::default().total),
            ..Self::bare(Arc::clone(name), lanes, metrics)
        })
    }

    fn raw(raw: &RawProvider, metrics: &PipelineMetrics) -> Self {
        // The label cannot be a model's: it is the path that leads there.
        let name: Arc<str> = format!("providers/{}", raw.provider.name()).into();
        let target = Target { timeouts: raw.timeouts, ..Target::new(Arc::clone(&raw.provider), "") };
        let lane = Lane::new(&name, &target, None::<Price>, metrics);
        Self { total: raw.timeouts.total, ..Self::bare(name, Box::new([lane]), metrics) }
    }

    fn bare(name: Arc<str>, lanes: Box<[Lane]>, metrics: &PipelineMetrics) -> Self {
        Self {
            metrics: metrics.route(&name),
            name,
            lanes,
            weights: None,
            on_disconnect: OnDisconnect::Cancel,
            total: Timeouts::default().total,
            warned_price: AtomicBool::new(false),
            warned_usage: AtomicBool::new(false),
        }
    }
}

fn check_target(model: &Model, index: usize, target: &Target) -> Result<(), Error> {
    let name = &model.name;
    if let Some(weight) = target.weight
        && !(weight.is_finite() && weight >= 0.0)
    {
        return Err(configuration(format!(
            "models.{name}.targets[{index}].weight: {weight} is not a number of 0 or more"
        )));
    }
    let is_pattern = std::iter::once(name).chain(&model.aliases).any(|name| name.contains('*'));
    if target.model.contains('*') && !is_pattern {
        return Err(configuration(format!(
            "models.{name}.targets[{index}].model: `{}` holds a `*`, but `{name}` is not a pattern that could fill it",
            target.model
        )));
    }
    Ok(())
}

fn configuration(text: String) -> Error {
    Error::router(ErrorKind::Configuration, text)
}
