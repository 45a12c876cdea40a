//! Claims about the queue: against a model, against the published bounds, and one by one.

mod bounds;
mod model;
mod order;
mod shares;

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use self::model::Model;
use super::*;

/// Any instant will do: only differences count.
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from; no claim depends on which")]
fn start() -> Instant {
    Instant::now()
}

/// The same cases every time.
fn config(cases: u32, seed: u64) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..ProptestConfig::default() }
}

fn weight(thousandths: u32) -> Weight {
    Weight::new(f64::from(thousandths) / 1_000.0).expect("within bounds")
}

/// A queue of numbers with these flows.
struct Desk {
    queue: FairQueue<usize>,
    flows: Vec<FlowId>,
    now: Instant,
    pushed: usize,
    /// What each flow was charged in all, from which refunds are taken.
    paid: Vec<Charge>,
}

impl Desk {
    /// Each flow is another tenant's.
    fn new(flows: &[(Qos, Weight)]) -> Self {
        let flows: Vec<_> = flows.iter().enumerate().map(|(place, (qos, weight))| (place, *qos, *weight)).collect();
        Self::of(&flows)
    }

    /// Flows of these tenants.
    fn of(flows: &[(usize, Qos, Weight)]) -> Self {
        let mut queue = FairQueue::new();
        let name = |tenant: usize| Arc::from(format!("tenant-{tenant}"));
        let flows: Vec<_> =
            flows.iter().map(|(tenant, qos, weight)| queue.flow(&name(*tenant), *qos, *weight)).collect();
        let paid = vec![Charge::default(); flows.len()];
        Self { queue, flows, now: start(), pushed: 0, paid }
    }

    fn charge(&mut self, flow: usize, session: u64, delta: i64) {
        self.queue.charge(self.flows[flow], session, delta, &mut self.paid[flow]);
    }

    fn charge_flow(&mut self, flow: FlowId, session: u64, delta: i64) {
        self.charge(self.place(flow), session, delta);
    }

    fn pop_of(&mut self, allowed: Allowed) -> Option<Popped<usize>> {
        let popped = self.queue.pop(self.now, allowed)?;
        let flow = self.place(popped.flow);
        self.paid[flow] = self.paid[flow].and(popped.charged);
        Some(popped)
    }

    fn silver(flows: usize) -> Self {
        Self::new(&vec![(Qos::Silver, Weight::ONE); flows])
    }

    fn push(&mut self, flow: usize, session: u64, cost: u64) -> Ticket {
        self.ask(flow, session, cost, Turn::New)
    }

    fn ask(&mut self, flow: usize, session: u64, cost: u64, turn: Turn) -> Ticket {
        let ask = Ask { flow: self.flows[flow], session, cost, turn, now: self.now };
        self.pushed += 1;
        self.queue.push(ask, self.pushed - 1)
    }

    fn pop(&mut self) -> Option<Popped<usize>> {
        self.pop_of(Allowed::ALL)
    }

    /// The flow that is served next, by its place.
    fn turn(&mut self) -> usize {
        let popped = self.pop().expect("somebody waits");
        self.place(popped.flow)
    }

    fn place(&self, flow: FlowId) -> usize {
        self.flows.iter().position(|other| *other == flow).expect("a flow of this desk")
    }

    /// Numbers in the order in which they are served.
    fn drain(&mut self) -> Vec<usize> {
        std::iter::from_fn(|| self.pop().map(|popped| popped.item)).collect()
    }

    fn sessions(&self) -> usize {
        self.queue.flows().map(|flow| flow.sessions).sum()
    }
}

#[test]
fn a_flow_is_one_per_tenant_and_class() {
    let mut queue: FairQueue<()> = FairQueue::new();
    let (a, b): (Arc<str>, Arc<str>) = (Arc::from("a"), Arc::from("b"));
    let flows = [
        queue.flow(&a, Qos::Silver, Weight::ONE),
        queue.flow(&a, Qos::Gold, Weight::ONE),
        queue.flow(&b, Qos::Silver, Weight::ONE),
    ];
    assert!(flows[0] != flows[1] && flows[1] != flows[2] && flows[0] != flows[2]);
    assert_eq!(queue.flow(&Arc::from("a"), Qos::Silver, weight(2_500)), flows[0]);
    let views: Vec<_> = queue.flows().collect();
    assert_eq!(views.len(), 3);
    assert_eq!((views[0].weight, views[1].weight), (weight(2_500), Weight::ONE));
    assert_eq!((&*views[2].tenant, views[2].qos, views[2].ahead), ("b", Qos::Silver, 0));
}

#[test]
fn a_session_is_first_in_first_out_and_waiting_is_counted() {
    let mut desk = Desk::silver(1);
    for _ in 0..5 {
        desk.push(0, 7, 10);
    }
    assert_eq!((desk.queue.len(), desk.queue.len_of(Qos::Silver), desk.queue.len_of(Qos::Gold)), (5, 5, 0));
    assert_eq!(desk.queue.waiting_of(desk.flows[0]), 5);
    desk.now += Duration::from_millis(30);
    let popped = desk.pop().expect("first");
    assert_eq!(
        (popped.item, popped.session, popped.charged.tokens(), popped.waited),
        (0, 7, 10, Duration::from_millis(30))
    );
    assert_eq!(desk.drain(), [1, 2, 3, 4]);
    assert!(desk.queue.is_empty() && desk.pop().is_none());
    assert_eq!((desk.queue.waiting_of(desk.flows[0]), desk.sessions()), (0, 0));
}

#[test]
fn a_ticket_of_another_life_of_its_slot_finds_nothing() {
    let mut desk = Desk::silver(1);
    let old = desk.push(0, 1, 1);
    assert_eq!(desk.queue.remove(old), Some(0));
    let new = desk.push(0, 1, 1);
    assert_eq!(desk.queue.remove(old), None);
    assert_eq!(desk.pop().map(|popped| popped.item), Some(1));
    assert_eq!(desk.queue.remove(new), None);
    assert!(desk.queue.is_empty());
}

#[test]
fn a_slab_that_was_given_back_does_not_confuse_tickets() {
    let mut desk = Desk::silver(1);
    let tickets: Vec<_> = (0..5_000).map(|_| desk.push(0, 1, 1)).collect();
    assert_eq!(desk.drain().len(), 5_000);
    for _ in 0..5_000 {
        desk.push(0, 1, 1);
    }
    assert!(tickets.into_iter().all(|ticket| desk.queue.remove(ticket).is_none()));
    assert_eq!(desk.queue.len(), 5_000);
}

#[test]
fn one_that_comes_again_is_before_its_flow_and_costs_nothing() {
    let mut desk = Desk::silver(2);
    desk.push(0, 1, 100);
    assert_eq!(desk.turn(), 0);
    for session in 1..4 {
        desk.push(0, session, 100);
        desk.push(1, session, 100);
    }
    // Two come back, in this order: 7 and 8.
    desk.ask(0, 1, 100, Turn::Again);
    desk.ask(0, 2, 100, Turn::Again);
    let mut of_flow = Vec::new();
    let mut charged = Vec::new();
    while let Some(popped) = desk.pop() {
        if desk.place(popped.flow) == 0 {
            of_flow.push(popped.item);
            charged.push(popped.charged.tokens());
        }
    }
    assert_eq!(of_flow, [7, 8, 1, 3, 5]);
    assert_eq!(charged, [0, 0, 100, 100, 100]);
}

#[test]
fn one_that_comes_again_can_leave_again() {
    let mut desk = Desk::silver(1);
    let first = desk.ask(0, 1, 100, Turn::Again);
    desk.ask(0, 1, 100, Turn::Again);
    assert_eq!(desk.queue.remove(first), Some(0));
    assert_eq!(desk.queue.remove(first), None);
    assert_eq!(desk.drain(), [1]);
}

#[test]
fn charges_of_any_size_and_sign_break_nothing() {
    let mut desk = Desk::new(&[(Qos::Bronze, Weight::LEAST), (Qos::Gold, Weight::MOST)]);
    for _ in 0..3 {
        for flow in 0..2 {
            desk.push(flow, 1, u64::MAX);
            desk.push(flow, 2, 0);
            desk.charge(flow, 1, i64::MAX);
            desk.charge(flow, 9, i64::MIN);
            desk.charge(flow, 1, i64::MIN);
        }
        assert!(desk.pop().is_some());
    }
    assert_eq!(desk.drain().len(), 12 - 3);
    assert_eq!(desk.sessions(), 0);
}

#[test]
fn a_hundred_thousand_idle_sessions_leave_nothing_behind() {
    let mut desk = Desk::silver(2);
    // The flow never falls idle, so that nothing is cleared by that.
    desk.push(0, u64::MAX, 100);
    let mut most = 0;
    for session in 0..100_000 {
        desk.push(0, session, 100);
        loop {
            let popped = desk.pop().expect("two wait");
            // What it has used beyond its estimate, while others wait.
            desk.charge_flow(popped.flow, popped.session, 50);
            if popped.session != u64::MAX {
                break;
            }
            desk.push(0, u64::MAX, 100);
        }
        most = most.max(desk.sessions());
    }
    assert!(most < 16, "{most} sessions are remembered though two or three wait");
    desk.drain();
    assert_eq!(desk.sessions(), 0);
}

#[test]
fn a_hundred_thousand_sessions_at_once_are_served_and_forgotten() {
    let mut desk = Desk::silver(1);
    let tickets: VecDeque<_> = (0..100_000).map(|session| desk.push(0, session, 10 + session % 7)).collect();
    assert_eq!(desk.sessions(), 100_000);
    for ticket in tickets.iter().step_by(2) {
        assert!(desk.queue.remove(*ticket).is_some());
    }
    assert_eq!((desk.queue.len(), desk.sessions()), (50_000, 50_000));
    assert_eq!(desk.drain().len(), 50_000);
    assert_eq!(desk.sessions(), 0);
}
