//! The order of service is that of the model, whatever happens in between.

use super::*;

/// Something that happens to a queue.
#[derive(Debug, Clone)]
enum Event {
    Push {
        flow: usize,
        session: u64,
        cost: u64,
        turn: Turn,
    },
    Pop(Allowed),
    /// One of the tickets given so far, used ones too.
    Remove(prop::sample::Index),
    Charge {
        flow: usize,
        session: u64,
        delta: i64,
    },
    Weigh {
        flow: usize,
        weight: u32,
    },
    WeighSession {
        flow: usize,
        session: u64,
        weight: u32,
    },
}

const FLOWS: usize = 5;

fn events() -> impl Strategy<Value = Event> {
    let flow = 0..FLOWS;
    let session = 0u64..6;
    // Few values, so that tags are often equal; and now and then a large one.
    let cost = prop_oneof![4 => 0u64..4, 3 => Just(100u64), 1 => 0u64..100_000];
    let turn = prop_oneof![9 => Just(Turn::New), 1 => Just(Turn::Again)];
    let allowed = prop_oneof![4 => Just(Allowed::ALL), 3 => (0u8..8).prop_map(Allowed)];
    let weight = prop_oneof![Just(1_000u32), 100u32..5_000];
    let delta = prop_oneof![-5i64..6, -200_000i64..200_000];
    prop_oneof![
        10 => (flow.clone(), session.clone(), cost, turn)
            .prop_map(|(flow, session, cost, turn)| Event::Push { flow, session, cost, turn }),
        8 => allowed.prop_map(Event::Pop),
        3 => any::<prop::sample::Index>().prop_map(Event::Remove),
        5 => (flow.clone(), session.clone(), delta)
            .prop_map(|(flow, session, delta)| Event::Charge { flow, session, delta }),
        1 => (flow.clone(), weight.clone()).prop_map(|(flow, weight)| Event::Weigh { flow, weight }),
        1 => (flow, session, weight)
            .prop_map(|(flow, session, weight)| Event::WeighSession { flow, session, weight }),
    ]
}

/// Of three tenants, each in up to three classes.
fn flows() -> impl Strategy<Value = Vec<(usize, Qos, Weight)>> {
    let weights = prop::collection::vec(prop_oneof![Just(1_000u32), 100u32..5_000], FLOWS);
    let places = prop::sample::subsequence((0..9usize).collect::<Vec<_>>(), FLOWS);
    (places, weights).prop_map(|(places, weights)| {
        let flow = |(place, thousandths): (usize, u32)| (place / 3, Qos::ALL[place % 3], weight(thousandths));
        places.into_iter().zip(weights).map(flow).collect()
    })
}

/// Both halves, and the tickets given so far.
struct Pair {
    desk: Desk,
    model: Model,
    tickets: Vec<Ticket>,
}

impl Pair {
    fn happen(&mut self, event: &Event) {
        let Self { desk, model, tickets } = self;
        match *event {
            Event::Push { flow, session, cost, turn } => {
                model.push(flow, session, cost, turn, desk.pushed);
                tickets.push(desk.ask(flow, session, cost, turn));
            }
            Event::Pop(allowed) => {
                let popped = desk.pop_of(allowed);
                assert_eq!(popped.map(|popped| (popped.item, popped.charged.tokens())), model.pop(allowed));
            }
            Event::Remove(_) if tickets.is_empty() => {}
            Event::Remove(ref which) => {
                let number = which.index(tickets.len());
                let removed = desk.queue.remove(tickets[number]);
                assert_eq!(removed, model.remove(number).then_some(number));
            }
            Event::Charge { flow, session, delta } => {
                desk.charge(flow, session, delta);
                model.charge(flow, session, delta);
            }
            Event::Weigh { flow, weight: thousandths } => {
                desk.queue.set_weight(desk.flows[flow], weight(thousandths));
                model.set_weight(flow, weight(thousandths));
            }
            Event::WeighSession { flow, session, weight: thousandths } => {
                desk.queue.set_session_weight(desk.flows[flow], session, weight(thousandths));
                model.set_session_weight(flow, session, weight(thousandths));
            }
        }
        self.agree();
    }

    fn agree(&self) {
        for qos in Qos::ALL {
            assert_eq!(self.desk.queue.len_of(qos), self.model.len_of(qos));
        }
        for (place, flow) in self.desk.flows.iter().enumerate() {
            assert_eq!(self.desk.queue.waiting_of(*flow), self.model.waiting_of(place));
        }
    }
}

proptest! {
    #![proptest_config(config(500, 0x5f4a_11ce))]

    #[test]
    fn the_order_of_service_is_that_of_the_model(
        flows in flows(),
        events in prop::collection::vec(events(), 1..200),
    ) {
        let mut pair = Pair { desk: Desk::of(&flows), model: Model::new(&flows), tickets: Vec::new() };
        for event in events {
            pair.happen(&event);
        }
        while !pair.desk.queue.is_empty() {
            pair.happen(&Event::Pop(Allowed::ALL));
        }
        prop_assert_eq!(pair.desk.sessions(), 0);
        prop_assert_eq!(pair.model.pop(Allowed::ALL), None);
        prop_assert!(pair.tickets.iter().all(|ticket| pair.desk.queue.remove(*ticket).is_none()));
    }
}
