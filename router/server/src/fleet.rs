//! Adapters in processes of their own: those that the configuration names, and those that register themselves.
//!
//! Who owns what: the fleet owns the members, a group of them for each name, behind one short lock that no request ever
//! takes; requests read the list of adapters that the group's provider holds. Who registers, reports, leaves or is
//! forgotten changes a group, and then that list. What the names and models of the registered are is part of the
//! configuration: where they change, the configuration is made anew, by the same way as after a change of its file.

mod group;
pub(crate) mod service;
mod terms;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use atp_adapters::remote::client::{Endpoint, EndpointError, Place, Remote, RemoteConfig};
use atp_proto::adapter::v1::{HealthResponse, RegisterRequest};
use atp_telemetry::Metrics;
use prometheus::{IntCounter, IntGauge};
use tokio::sync::Notify;
use tonic::Status;

use self::group::{Group, Member};
pub(crate) use self::terms::Terms;
use crate::clock;
use crate::config::resolved::{GrpcProvider, Trust};
use crate::config::{Registered, Resolved};
use crate::providers::WHOLE_ANSWER_CAP;

/// The fleet. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Fleet(Arc<Inner>);

struct Inner {
    groups: Mutex<BTreeMap<Arc<str>, Group>>,
    terms: ArcSwap<Terms>,
    workers: usize,
    /// Names or models have changed, so that the configuration has to be made anew.
    changed: Notify,
    registered: IntGauge,
    updates: IntCounter,
}

/// What the fleet counts.
pub(crate) struct Counts {
    /// Adapters that have registered.
    pub(crate) registered: IntGauge,
    /// Reports of theirs.
    pub(crate) updates: IntCounter,
}

impl Counts {
    /// Counts that are shown.
    pub(crate) fn register(metrics: &Metrics) -> prometheus::Result<Self> {
        let Self { registered, updates } = Self::new()?;
        Ok(Self { registered: metrics.register(registered)?, updates: metrics.register(updates)? })
    }

    fn new() -> prometheus::Result<Self> {
        Ok(Self {
            registered: IntGauge::new("adapters_registered", "Adapters that have registered and may be asked.")?,
            updates: IntCounter::new("adapter_health_updates_total", "Reports of adapters that have registered.")?,
        })
    }
}

impl Fleet {
    /// A fleet of which nothing is shown and with which nobody registers: to read a configuration by the code that
    /// serves it.
    pub(crate) fn offline(config: &Resolved) -> prometheus::Result<Self> {
        Ok(Self::new(Terms::of(config), 1, Counts::new()?))
    }

    /// An empty fleet, for `workers` cores.
    pub(crate) fn new(terms: Terms, workers: usize, counts: Counts) -> Self {
        let Counts { registered, updates } = counts;
        let terms = ArcSwap::from_pointee(terms);
        Self(Arc::new(Inner { groups: Mutex::default(), terms, workers, changed: Notify::new(), registered, updates }))
    }

    /// Makes the provider of a name: the adapters that are configured, and those that register.
    ///
    /// # Errors
    /// A place or certificates that cannot be used.
    pub(crate) fn provider(&self, name: &Arc<str>, config: &GrpcProvider) -> Result<Arc<Remote>, EndpointError> {
        let fixed = config.endpoints.iter().map(|place| self.endpoint(place.clone(), &config.trust));
        let fixed: Vec<Arc<Endpoint>> = fixed.map(|made| made.map(Arc::new)).collect::<Result<_, _>>()?;
        let mut groups = self.groups();
        let group = groups.entry(Arc::clone(name)).or_default();
        let config = RemoteConfig { name: Arc::clone(name), whole_answer_cap: WHOLE_ANSWER_CAP };
        Ok(group.provide(config, fixed))
    }

    /// Puts other terms in force: they hold for what is said from now on.
    pub(crate) fn agree(&self, terms: Terms) {
        self.0.terms.store(Arc::new(terms));
    }

    /// The names and models of those that have registered, for the configuration.
    pub(crate) fn registered(&self) -> Vec<Registered> {
        self.groups().iter().filter_map(|(name, group)| group.registered(name)).collect()
    }

    /// Resolves once names or models have changed. Cancel-safe.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Forgets who has been silent for too long.
    pub(crate) fn sweep(&self) {
        let terms = self.0.terms.load();
        let now = clock::now();
        let mut changed = false;
        for (name, group) in self.groups().iter_mut() {
            for gone in group.forget(now, &terms) {
                tracing::warn!(adapter = gone, provider = &**name, "an adapter has been silent and is forgotten");
                changed = true;
            }
            changed |= group.lapsed(now, &terms);
        }
        if changed {
            self.count();
            self.0.changed.notify_one();
        }
    }

    /// Takes up an adapter and tells its lease.
    fn register(&self, request: RegisterRequest) -> Result<String, Status> {
        let facts = request.capabilities.unwrap_or_default();
        terms::check(&request.name, &facts)?;
        let place = Place::parse(&request.endpoint).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let terms = self.0.terms.load();
        terms.may_be_called(&request.name)?;
        let models = facts.models.clone();
        let endpoint =
            self.endpoint(place, &terms.trust).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let member = Member::new(Arc::new(endpoint.serving(models)), facts, clock::now());
        let (id, place, lease) = (member.id.clone(), member.endpoint.place().to_string(), member.lease.clone());
        let name: Arc<str> = Arc::from(request.name);
        let (replaced, news) = self.groups().entry(Arc::clone(&name)).or_default().take(member);
        tracing::info!(adapter = id, provider = &*name, place, replaced, "an adapter has registered");
        self.count();
        if news {
            self.0.changed.notify_one();
        }
        Ok(lease)
    }

    /// Notes a sign of life; whether the lease is known.
    fn report(&self, lease: &str, health: HealthResponse) -> Result<(), Status> {
        self.0.updates.inc();
        let now = clock::now();
        let terms = self.0.terms.load();
        let heard = self.groups().values_mut().any(|group| group.hear(lease, &health, now, &terms));
        heard.then_some(()).ok_or_else(|| Status::not_found("this lease is not known here; register again"))
    }

    /// Lets an adapter go.
    fn leave(&self, lease: &str) {
        let now = clock::now();
        for (name, group) in self.groups().iter_mut() {
            if let Some(id) = group.drop_lease(lease, now) {
                tracing::info!(adapter = id, provider = &**name, "an adapter has left");
            }
        }
        self.count();
    }

    /// What is to be shown of them.
    pub(crate) fn shown(&self) -> serde_json::Value {
        let now: Instant = clock::now();
        self.groups().iter().map(|(name, group)| group.shown(name, now)).collect()
    }

    fn endpoint(&self, place: Place, trust: &Trust) -> Result<Endpoint, EndpointError> {
        Endpoint::new(place, trust.client(), self.0.workers)
    }

    fn count(&self) {
        let members: usize = self.groups().values().map(Group::len).sum();
        self.0.registered.set(i64::try_from(members).unwrap_or(i64::MAX));
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Group>> {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
