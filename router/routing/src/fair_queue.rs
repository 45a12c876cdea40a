//! Whose turn it is: fair queueing in tokens, by flow and, within a flow, by session.
//!
//! A *flow* is what one tenant asks of one model in one class; its weight is the tenant's weight times the
//! class's factor. While several flows wait, each gets tokens in proportion to its weight. A tenant that uses several
//! classes at once has no more than the weight of the best of them: it is divided among them by their factors, so that
//! each weighs `w f M / S`, where `M` is the largest and `S` the sum of the factors in use. Within a flow, its
//! sessions share, each with a weight of 1.0 unless told otherwise. Nobody's share is kept for him while he does
//! not use it, and nobody can save it up.
//!
//! # Source
//!
//! Start-time fair queueing (P. Goyal, H. Vin, H. Cheng, SIGCOMM 1996, IEEE/ACM ToN 1997), because it is fair
//! whatever the rate of the server does, and an overloaded provider's rate does much; the same at two levels, as
//! in section 3 there (for hierarchies in general: J. Bennett, H. Zhang, SIGCOMM 1996). Each flow has a start tag
//! in virtual time; the least one is served and moves by `cost / weight`; virtual time is the latest start tag
//! served; a flow that comes back starts at virtual time or where it left, whichever is later; when nobody waits,
//! all begin anew.
//!
//! The cost of an exchange is known only at its end. As in virtual token counters (Y. Sheng et al., OSDI 2024), a
//! tag is corrected by what is used beyond the estimate, at once and while the exchange runs, and by what was not
//! used. Six things are ours:
//!
//! - What a flow uses while no other waits moves virtual time with it, and is free; while others wait, it is
//!   charged whether or not the flow itself waits for anything.
//! - A refund undoes what was charged since the flow began to wait, or since it last waited alone, and never more:
//!   what was forgotten is not given back.
//! - A flow that begins while others are behind virtual time (after refunds) begins beside them.
//! - A tenant's classes share its weight, as it is used (see `FairQueue::beside`): each charge counts by the weight that
//!   its flow has then, and what is given back is given back at what it was charged.
//! - Classes that are served out of turn, from a reserve, are charged for it, up to a lead (see `classes`).
//! - Sessions come in any number and are forgotten (see `sessions`).
//!
//! # Proof
//!
//! Let `l` be the largest cost of a flow's requests and `w` its weight. A flow's tag is raised only when it is the
//! least, and virtual time is then at least that; so the tags of all who wait lie between virtual time `v` and
//! `v + l/w`. Over any interval in which flows `f` and `m` both wait, each one's tag moves by what it was charged
//! divided by its weight, hence
//!
//! ```text
//! | W_f/w_f - W_m/w_m |  <=  l_f/w_f + l_m/w_m                        (Goyal et al., theorem 1)
//! ```
//!
//! Corrections widen this. Let `E` be the largest sum, over the exchanges of one flow that are in flight at once,
//! of what their estimates are wrong by, divided by its weight (with one exchange in flight: its error). Tags then
//! lie between `v - E` and `v + l/w + E`; with the refunds that meet a floor at either end the bound grows by at
//! most `6 E`. Nothing accumulates: what is wrong with an exchange is gone when it ends.
//!
//! For tenants: while a tenant's classes `c` all wait, the tag of each moves by its own `W_c S / (w f_c M)`, and lies within
//! `l_c / w_c` of virtual time's way `V`, where `w_c` is its part; the parts add up to `w M`, so that together they get
//! `w M V` and at most `sum l_c` more or less: what the best class alone would get. That is what the bound says with `w M` for
//! the weight and `sum l_c` for the largest request. Who uses classes in turn gains nothing either: a class counts as in
//! use for as long after its last service as one charge of a sibling lasts, so what a sibling was charged at its full
//! weight, while this one was used, is followed by as much that is charged at its part.
//!
//! Nobody starves. While a flow's request waits and its flow is charged `C`, another flow `m` gets at most
//! `w_m (C + l_f)/w_f + l_m`: there are finitely many flows, and each passes at most so often. Within a flow, while
//! the first of a session waits (weights of 1.0), its siblings get at most `3 n l`, where `n` is the most sessions
//! that wait at once, even if every one of them is new. Where a reserve serves a class out of turn, this counts the
//! turns in which every class is allowed; the class itself then waits for at most 128 of its requests' worth longer.
//!
//! `tests/order` compares with a model that has no data structures, `tests/bounds` checks each bound over arbitrary
//! histories.
//!
//! # Cost and units
//!
//! Costs and charges in tokens, virtual time in whole numbers (see `tag`). Everything is O(log n) in the flows of a
//! class or the sessions of a flow, leaving by ticket too. Memory is that of who waits; of the flows, which are
//! tenants times classes; and of sessions that are ahead of their siblings, which are those served within the last
//! few requests' worth of virtual time.

mod classes;
mod items;
mod order;
mod sessions;
mod tag;
mod turn;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use atp_core::{Qos, Weight};

use self::classes::Classes;
pub use self::items::Ticket;
use self::items::{Item, Items, Line, List};
use self::sessions::Sessions;
use self::tag::{Meter, flow_rate};
pub use self::turn::{Allowed, Ask, Charge, FlowId, FlowView, Popped, Turn};

#[derive(Debug)]
struct Flow {
    tenant: Arc<str>,
    /// The tenant's place.
    of: usize,
    qos: Qos,
    weight: Weight,
    meter: Meter,
    /// The longest virtual time that one charge took since its tenant last used no other class.
    longest: u128,
    charged: u64,
    waiting: usize,
    /// Those who had a turn before.
    again: List,
    sessions: Sessions,
}

/// Who waits for one model, in fair order. See the module's documentation.
#[derive(Debug)]
pub struct FairQueue<T> {
    items: Items<T>,
    flows: Vec<Flow>,
    /// Places in `tenants`.
    names: HashMap<Arc<str>, usize>,
    /// Each one's flows by class.
    tenants: Vec<[Option<FlowId>; 3]>,
    classes: Classes,
    /// The last serial number given: arrivals and services in their order.
    serial: u64,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> FairQueue<T> {
    /// A queue in which nobody waits. It allocates with the first flow.
    #[must_use]
    pub fn new() -> Self {
        Self {
            items: Items::new(),
            flows: Vec::new(),
            names: HashMap::new(),
            tenants: Vec::new(),
            classes: Classes::new(),
            serial: 0,
        }
    }

    /// The flow of a tenant and class, made if it is not known, with this weight from now on.
    pub fn flow(&mut self, tenant: &Arc<str>, qos: Qos, weight: Weight) -> FlowId {
        let of = self.names.get(tenant).copied().unwrap_or(self.tenants.len());
        let known = self.tenants.get(of).and_then(|flows| flows.get(qos as usize).copied().flatten());
        if let Some(flow) = known {
            self.set_weight(flow, weight);
            return flow;
        }
        if of == self.tenants.len() {
            self.names.insert(Arc::clone(tenant), of);
            self.tenants.push([None; 3]);
        }
        // Fewer than tenants times classes.
        let flow = FlowId(self.flows.len() as u32);
        self.flows.push(Flow {
            tenant: Arc::clone(tenant),
            of,
            qos,
            weight,
            meter: Meter::new(flow_rate(weight, qos)),
            longest: 0,
            charged: 0,
            waiting: 0,
            again: List::default(),
            sessions: Sessions::default(),
        });
        if let Some(place) = self.tenants.get_mut(of).and_then(|flows| flows.get_mut(qos as usize)) {
            *place = Some(flow);
        }
        flow
    }

    /// Sets a flow's weight. What was charged before keeps the weight that it was charged with.
    pub fn set_weight(&mut self, flow: FlowId, weight: Weight) {
        let flow = self.at(flow);
        if flow.weight != weight {
            flow.weight = weight;
            flow.meter.set_rate(flow_rate(weight, flow.qos));
        }
    }

    /// Sets a session's weight within its flow, which is 1.0 otherwise. It is kept while the session
    /// is forgotten, until it is set to 1.0.
    pub fn set_session_weight(&mut self, flow: FlowId, session: u64, weight: Weight) {
        self.at(flow).sessions.set_weight(session, weight);
    }

    /// Waits for a turn.
    pub fn push(&mut self, ask: Ask, value: T) -> Ticket {
        let Ask { flow: FlowId(flow), session, cost, turn, now: since } = ask;
        if self.at(ask.flow).waiting == 0 {
            self.begin(flow);
        }
        let serial = self.next();
        let Self { items, flows, classes, .. } = self;
        let of = at(flows, flow);
        of.waiting += 1;
        classes.arrived(of.qos);
        let (line, list, cost) = match turn {
            Turn::Again => (Line::Again, &mut of.again, 0),
            Turn::New => {
                let (place, list) = of.sessions.enter(session, cost, serial);
                (Line::Session(place), list, cost)
            }
        };
        items.append(list, serial, Item { value, flow, line, session, cost, since })
    }

    /// Gives a turn to the first in fair order among the allowed classes, and charges it.
    pub fn pop(&mut self, now: Instant, allowed: Allowed) -> Option<Popped<T>> {
        let pick = self.classes.pick(allowed)?;
        let serial = self.next();
        let (sum, most) = self.beside(pick.flow);
        let Self { items, flows, classes, .. } = self;
        let flow = at(flows, pick.flow);
        let item = match items.first(&flow.again) {
            Some(ticket) => items.take(&mut flow.again, ticket)?,
            None => {
                let (place, line) = flow.sessions.first()?;
                let ticket = items.first(line)?;
                let item = items.take(flow.sessions.line(place), ticket)?;
                flow.sessions.served(place, item.cost, serial);
                item
            }
        };
        let charged = flow.charge(item.cost, sum, most);
        let time = charged.time();
        flow.waiting -= 1;
        classes.served(pick, time, flow.meter.tag, (flow.waiting > 0).then_some(serial));
        let waited = now.saturating_duration_since(item.since);
        Some(Popped { item: item.value, flow: FlowId(pick.flow), session: item.session, charged, waited })
    }

    /// Leaves the queue: what was pushed, unless it has been given its turn or has left. Nothing was
    /// charged for it, so nothing is given back.
    pub fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let Item { flow: id, line, .. } = *self.items.get(ticket)?;
        let Self { items, flows, classes, .. } = self;
        let flow = at(flows, id);
        let item = match line {
            Line::Again => items.take(&mut flow.again, ticket)?,
            Line::Session(place) => {
                let item = items.take(flow.sessions.line(place), ticket)?;
                flow.sessions.left(place);
                item
            }
        };
        flow.waiting -= 1;
        classes.departed(id, flow.qos, flow.waiting);
        Some(item.value)
    }

    /// Charges a flow and a session for tokens used beyond the estimate (positive), or gives back what
    /// was estimated and not used (negative). Tokens that are used while nobody else waits are free. `paid` is what
    /// the exchange has been charged so far: no more than that is given back.
    pub fn charge(&mut self, flow: FlowId, session: u64, delta: i64, paid: &mut Charge) {
        let tokens = delta.unsigned_abs();
        if delta < 0 {
            let back = paid.take(tokens);
            self.refund(flow, session, back);
        } else if delta > 0 {
            let charged = match self.items.len() {
                0 => Charge::new(tokens, 0),
                _ => self.use_more(flow, session, tokens),
            };
            *paid = paid.and(charged);
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.len() == 0
    }

    /// How many of a class wait.
    #[must_use]
    pub fn len_of(&self, qos: Qos) -> usize {
        self.classes.waiting(qos)
    }

    /// How many of a flow wait.
    #[must_use]
    pub fn waiting_of(&self, flow: FlowId) -> usize {
        self.flows.get(flow.0 as usize).map_or(0, |flow| flow.waiting)
    }

    /// All flows, in the order in which they were made.
    pub fn flows(&self) -> impl Iterator<Item = FlowView> {
        self.flows.iter().zip(0..).map(|(flow, id)| FlowView {
            flow: FlowId(id),
            tenant: Arc::clone(&flow.tenant),
            qos: flow.qos,
            weight: flow.weight,
            charged: flow.charged,
            waiting: flow.waiting,
            sessions: flow.sessions.len(),
            ahead: match flow.meter.ahead_of(self.classes.clock(flow.qos)) {
                // Who does not wait will begin at virtual time, however old its tag is.
                behind if flow.waiting == 0 => behind.max(0),
                ahead => ahead,
            },
        })
    }

    /// A flow begins to wait.
    fn begin(&mut self, id: u32) {
        let serial = self.next();
        let Self { flows, classes, .. } = self;
        if let Some((alone, qos)) = classes.alone() {
            at(flows, alone).meter.forget_below(classes.level(qos));
        }
        let flow = at(flows, id);
        flow.meter.lift(classes.clock(flow.qos), classes.level(flow.qos));
        classes.enter(id, flow.qos, flow.meter.tag, serial);
    }

    /// By how many times a token of this flow counts, as a fraction: the sum of the factors of the classes that its
    /// tenant uses over the largest of them. A class is in use while it waits, and until virtual time has passed its
    /// tag by as much as one charge of this flow takes, so that nobody gains by using classes in turn.
    fn beside(&mut self, flow: u32) -> (u64, u64) {
        let Self { flows, tenants, classes, .. } = self;
        let (of, qos, longest) = {
            let own = at(flows, flow);
            (own.of, own.qos, own.longest)
        };
        let own = u64::from(qos.factor());
        let (mut sum, mut most) = (own, own);
        for sibling in tenants.get(of).into_iter().flatten().flatten().filter(|sibling| sibling.0 != flow) {
            let sibling = at(flows, sibling.0);
            let ends = sibling.meter.tag.saturating_add(longest);
            if sibling.waiting > 0 || ends > classes.clock(sibling.qos) {
                let factor = u64::from(sibling.qos.factor());
                (sum, most) = (sum + factor, most.max(factor));
            }
        }
        if sum == own {
            at(flows, flow).longest = 0;
        }
        (sum, most)
    }

    fn use_more(&mut self, flow: FlowId, session: u64, tokens: u64) -> Charge {
        let (sum, most) = self.beside(flow.0);
        let Self { flows, classes, .. } = self;
        let of = at(flows, flow.0);
        let waits = classes.waits(flow.0, of.qos);
        if !waits {
            of.meter.lift(classes.clock(of.qos), classes.level(of.qos));
        }
        let charged = of.charge(tokens, sum, most);
        classes.moved(flow.0, of.qos, of.meter.tag);
        if waits && classes.alone().is_some() {
            classes.pass(charged.time());
        }
        of.sessions.charge(session, tokens);
        charged
    }

    fn refund(&mut self, flow: FlowId, session: u64, back: Charge) {
        let Self { flows, classes, .. } = self;
        let of = at(flows, flow.0);
        of.charged = of.charged.saturating_sub(back.tokens());
        of.meter.give_back(back.time());
        classes.moved(flow.0, of.qos, of.meter.tag);
        of.sessions.refund(session, back.tokens());
    }

    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn at(&mut self, flow: FlowId) -> &mut Flow {
        at(&mut self.flows, flow.0)
    }
}

impl Flow {
    /// Charges tokens that count `sum / most` times each.
    fn charge(&mut self, tokens: u64, sum: u64, most: u64) -> Charge {
        let time = self.meter.time_beside(tokens, sum, most);
        self.meter.pass(time);
        self.longest = self.longest.max(time);
        self.charged = self.charged.saturating_add(tokens);
        Charge::new(tokens, time)
    }
}

#[expect(clippy::indexing_slicing, reason = "a flow's number is given out by `FairQueue::flow`, and flows stay")]
fn at(flows: &mut [Flow], flow: u32) -> &mut Flow {
    &mut flows[flow as usize]
}

#[cfg(test)]
mod tests;
