//! The router's own fair queue.

use atp_core::{Qos, Weight};
use atp_routing::fair_queue::{Allowed, Ask, Charge, FairQueue, FlowId, Ticket, Turn};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::{Charges, Coming, Queue, Room};
use crate::traffic::{Job, Tenant};

#[derive(Debug)]
pub(crate) struct Fair {
    queue: FairQueue<usize>,
    tenants: Vec<(Arc<str>, Weight)>,
    tickets: BTreeMap<usize, Ticket>,
    /// What each request was charged.
    paid: BTreeMap<usize, Charge>,
}

impl Fair {
    pub(crate) fn new(tenants: &[Tenant]) -> Self {
        let named = |tenant: &Tenant| (Arc::from(tenant.name), Weight::new(tenant.weight).unwrap_or_default());
        Self {
            queue: FairQueue::new(),
            tenants: tenants.iter().map(named).collect(),
            tickets: BTreeMap::new(),
            paid: BTreeMap::new(),
        }
    }

    fn flow(&mut self, job: &Job) -> Option<FlowId> {
        let (name, weight) = self.tenants.get(job.tenant)?;
        Some(self.queue.flow(name, job.qos, *weight))
    }
}

impl Queue for Fair {
    fn push(&mut self, job: &Job, coming: Coming, now: Instant) {
        let Some(flow) = self.flow(job) else { return };
        let turn = match coming {
            Coming::New => Turn::New,
            Coming::Again => Turn::Again,
        };
        let ask = Ask { flow, session: job.session, cost: job.estimate, turn, now };
        let ticket = self.queue.push(ask, job.id);
        self.tickets.insert(job.id, ticket);
    }

    fn pop(&mut self, room: Room, now: Instant) -> Option<usize> {
        let mut allowed = Allowed::NONE;
        for qos in Qos::ALL.into_iter().filter(|qos| room.admits(*qos)) {
            allowed = allowed.with(qos);
        }
        let popped = self.queue.pop(now, allowed)?;
        self.tickets.remove(&popped.item);
        let paid = self.paid.entry(popped.item).or_default();
        *paid = paid.and(popped.charged);
        Some(popped.item)
    }

    fn leave(&mut self, job: &Job) -> bool {
        self.tickets.remove(&job.id).and_then(|ticket| self.queue.remove(ticket)).is_some()
    }

    fn len(&self) -> usize {
        self.queue.len()
    }

    fn len_of(&self, qos: Qos) -> usize {
        self.queue.len_of(qos)
    }

    fn waits(&mut self, job: &Job) -> usize {
        self.flow(job).map_or(0, |flow| self.queue.waiting_of(flow))
    }

    fn equal_part(&self, qos: Qos, most: usize) -> usize {
        let flows = self.queue.flows().filter(|flow| flow.qos == qos && flow.waiting > 0).count();
        most / flows.max(1)
    }

    fn charge(&mut self, job: &Job, delta: i64) {
        if let Some(flow) = self.flow(job) {
            self.queue.charge(flow, job.session, delta, self.paid.entry(job.id).or_default());
        }
    }

    fn charges(&self) -> Charges {
        Charges::Tokens
    }
}
