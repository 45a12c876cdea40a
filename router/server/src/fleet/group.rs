//! The adapters of one name.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Instant;

use atp_adapters::remote::client::{Endpoint, Remote, RemoteConfig, Standing};
use atp_proto::adapter::v1::{CapabilitiesResponse, HealthResponse, HealthStatus};
use rand::RngExt;
use serde_json::{Value, json};

use super::Terms;
use crate::config::Registered;

/// Adapters of one name. Its provider is held by the configuration in force, and by whatever is under way.
#[derive(Default)]
pub(super) struct Group {
    remote: Weak<Remote>,
    fixed: Vec<Arc<Endpoint>>,
    members: Vec<Member>,
    /// What its members served when there was one, until when that is remembered. A name whose only adapter is being
    /// replaced is out of order for a moment, not unknown.
    models: BTreeSet<String>,
    any_model: bool,
    empty_since: Option<Instant>,
}

/// An adapter that has registered.
pub(super) struct Member {
    /// Names this stay.
    pub(super) lease: String,
    /// The adapter's own name among its replicas.
    pub(super) id: String,
    pub(super) endpoint: Arc<Endpoint>,
    facts: CapabilitiesResponse,
    health: Option<HealthResponse>,
    seen: Instant,
}

impl Member {
    pub(super) fn new(endpoint: Arc<Endpoint>, facts: CapabilitiesResponse, now: Instant) -> Self {
        // Whoever holds it may speak for the adapter: as long as a key.
        let lease = format!("{:032x}", rand::rng().random::<u128>());
        Self { lease, id: facts.adapter_id.clone(), endpoint, facts, health: None, seen: now }
    }

    fn status(&self) -> HealthStatus {
        self.health.as_ref().map_or(HealthStatus::Healthy, HealthResponse::status)
    }

    /// Whether it is to be asked like its neighbours.
    fn standing(&self, now: Instant, terms: &Terms) -> Standing {
        let late = now.saturating_duration_since(self.seen) > terms.late();
        if late || self.status() == HealthStatus::Unhealthy { Standing::Last } else { Standing::Usual }
    }

    fn is_leaving(&self) -> bool {
        self.status() == HealthStatus::Draining
    }
}

impl Group {
    /// The provider of the name, with other adapters in the place of those that were configured before.
    pub(super) fn provide(&mut self, config: RemoteConfig, fixed: Vec<Arc<Endpoint>>) -> Arc<Remote> {
        self.fixed = fixed;
        let remote = Arc::new(Remote::new(config, self.endpoints()));
        self.remote = Arc::downgrade(&remote);
        remote
    }

    /// Takes up a member in the place of one of the same id. Tells whether there was one, and whether names or models
    /// are new.
    pub(super) fn take(&mut self, member: Member) -> (bool, bool) {
        let before = self.members.len();
        self.members.retain(|known| known.id != member.id);
        let replaced = self.members.len() < before;
        self.members.push(member);
        self.empty_since = None;
        self.publish();
        (replaced, self.learn())
    }

    /// Notes a report; whether the lease is this group's.
    pub(super) fn hear(&mut self, lease: &str, health: &HealthResponse, now: Instant, terms: &Terms) -> bool {
        let Some(member) = self.members.iter_mut().find(|member| member.lease == lease) else { return false };
        let leaving = member.is_leaving();
        (member.health, member.seen) = (Some(*health), now);
        member.endpoint.stand(member.standing(now, terms));
        if leaving != member.is_leaving() {
            self.publish();
        }
        true
    }

    /// Lets a member go; its id, where the lease is this group's.
    pub(super) fn drop_lease(&mut self, lease: &str, now: Instant) -> Option<String> {
        let place = self.members.iter().position(|member| member.lease == lease)?;
        let gone = self.members.remove(place);
        self.emptied(now);
        self.publish();
        Some(gone.id)
    }

    /// Forgets who has been silent for too long, and puts back who is late. Tells the ids of those who are gone.
    pub(super) fn forget(&mut self, now: Instant, terms: &Terms) -> Vec<String> {
        let silent = |member: &Member| now.saturating_duration_since(member.seen) > terms.silence;
        let gone: Vec<String> = self.members.iter().filter(|each| silent(each)).map(|each| each.id.clone()).collect();
        self.members.retain(|member| !silent(member));
        for member in &self.members {
            member.endpoint.stand(member.standing(now, terms));
        }
        if !gone.is_empty() {
            self.emptied(now);
            self.publish();
        }
        gone
    }

    /// Whether the name has been without an adapter for so long that its models are forgotten now.
    pub(super) fn lapsed(&mut self, now: Instant, terms: &Terms) -> bool {
        let over = |since: Instant| now.saturating_duration_since(since) > terms.silence;
        if !self.empty_since.is_some_and(over) {
            return false;
        }
        self.empty_since = None;
        self.models.clear();
        self.any_model = false;
        true
    }

    /// What the configuration has to know; `None` where nobody has registered.
    pub(super) fn registered(&self, name: &Arc<str>) -> Option<Registered> {
        if self.members.is_empty() && self.empty_since.is_none() {
            return None;
        }
        let models = self.models.iter().cloned().collect();
        Some(Registered { name: name.to_string(), models, any_model: self.any_model })
    }

    /// How many have registered.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn shown(&self, name: &str, now: Instant) -> Value {
        let one = |endpoint: &Endpoint| {
            json!({
                "endpoint": endpoint.place().to_string(),
                "in_flight": endpoint.under_way(),
                "reachable": endpoint.reachable(),
            })
        };
        let member = |member: &Member| {
            let health = member.health.unwrap_or_default();
            let mut told = one(&member.endpoint);
            let more = json!({
                "adapter_id": member.id,
                "adapter_type": member.facts.adapter_type,
                "version": member.facts.version,
                "models": member.facts.models,
                "status": member.status().as_str_name().trim_start_matches("HEALTH_STATUS_").to_lowercase(),
                "silent_ms": u64::try_from(now.saturating_duration_since(member.seen).as_millis()).unwrap_or(u64::MAX),
                "p95_ms": health.p95_ms,
                "error_rate": health.error_rate,
                "requests_per_second": health.requests_per_second,
                "uptime_seconds": health.uptime_seconds,
            });
            if let (Value::Object(told), Value::Object(more)) = (&mut told, more) {
                told.extend(more);
            }
            told
        };
        json!({
            "name": name,
            "configured": self.fixed.iter().map(|endpoint| one(endpoint)).collect::<Vec<_>>(),
            "registered": self.members.iter().map(member).collect::<Vec<_>>(),
        })
    }

    fn emptied(&mut self, now: Instant) {
        if self.members.is_empty() {
            self.empty_since = Some(now);
        }
    }

    /// Takes over what the members serve; whether that is new.
    fn learn(&mut self) -> bool {
        let models: BTreeSet<String> = self.members.iter().flat_map(|member| member.facts.models.clone()).collect();
        let any = self.members.iter().any(|member| member.facts.models.is_empty());
        let news = self.members.len() == 1 || models != self.models || any != self.any_model;
        (self.models, self.any_model) = (models, any);
        news
    }

    fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        let members = self.members.iter().filter(|member| !member.is_leaving()).map(|member| &member.endpoint);
        self.fixed.iter().chain(members).cloned().collect()
    }

    fn publish(&self) {
        if let Some(remote) = self.remote.upgrade() {
            remote.put(self.endpoints());
        }
    }
}
