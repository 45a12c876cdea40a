//! Who waits how long and by how much services differ: the published bounds, over arbitrary histories.

use std::collections::HashMap;

use super::*;
use crate::fair_queue::tag::flow_rate;

/// One that was given its turn and runs.
struct Run {
    flow: usize,
    session: u64,
    error: i64,
}

/// Something that happens to a gateway.
#[derive(Debug, Clone)]
enum Event {
    /// The error is what it will use beyond its estimate, as far as that leaves more than nothing.
    Push {
        flow: usize,
        session: u64,
        cost: u64,
        error: i64,
    },
    Pop,
    Remove(prop::sample::Index),
    End(prop::sample::Index),
}

const FLOWS: usize = 4;

fn events(errors: std::ops::Range<i64>) -> impl Strategy<Value = Vec<Event>> {
    let cost = prop_oneof![1u64..20, 1u64..2_000];
    let push = (0..FLOWS, 0u64..5, cost, errors).prop_map(|(flow, session, cost, error)| Event::Push {
        flow,
        session,
        cost,
        error: error.max(-(cost as i64)),
    });
    let event = prop_oneof![
        12 => push,
        9 => Just(Event::Pop),
        2 => any::<prop::sample::Index>().prop_map(Event::Remove),
        9 => any::<prop::sample::Index>().prop_map(Event::End),
    ];
    prop::collection::vec(event, 1..600)
}

/// What one flow has been charged, in virtual time, and what its bounds are made of.
#[derive(Debug, Clone, Default)]
struct Account {
    rate: i128,
    charged: i128,
    /// The largest request that was pushed.
    largest: i128,
    /// The sum of the errors of what is in flight, and the largest that it has been.
    wrong: i128,
    most_wrong: i128,
}

/// A gateway that keeps account of what it does.
struct World {
    desk: Desk,
    tickets: Vec<Ticket>,
    /// By number: the error, and the charges of all flows when it was pushed.
    pushed: Vec<(i64, Vec<i128>)>,
    running: Vec<Run>,
    accounts: Vec<Account>,
    /// For each pair of flows that wait: how far the one's service was ahead of the other's since both
    /// began to wait, at least and at most.
    spans: HashMap<(usize, usize), (i128, i128)>,
    widest: HashMap<(usize, usize), i128>,
}

impl World {
    fn new(weights: &[u32]) -> Self {
        let flows: Vec<_> = weights.iter().map(|thousandths| (Qos::Silver, weight(*thousandths))).collect();
        let rates = flows.iter().map(|(qos, weight)| i128::from(flow_rate(*weight, *qos)));
        let accounts = rates.map(|rate| Account { rate, ..Account::default() }).collect();
        let (tickets, pushed, running) = (Vec::new(), Vec::new(), Vec::new());
        let (spans, widest) = (HashMap::new(), HashMap::new());
        Self { desk: Desk::new(&flows), tickets, pushed, running, accounts, spans, widest }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Push { flow, session, cost, error } => {
                self.tickets.push(self.desk.push(*flow, *session, *cost));
                self.pushed.push((*error, self.accounts.iter().map(|account| account.charged).collect()));
                let account = &mut self.accounts[*flow];
                account.largest = account.largest.max(i128::from(*cost) * account.rate);
            }
            Event::Pop => self.pop(),
            Event::Remove(which) if !self.tickets.is_empty() => {
                self.desk.queue.remove(self.tickets[which.index(self.tickets.len())]);
            }
            Event::End(which) if !self.running.is_empty() => self.end(which.index(self.running.len())),
            Event::Remove(_) | Event::End(_) => {}
        }
        self.measure();
    }

    fn pop(&mut self) {
        let waiting = self.desk.queue.len();
        let Some(popped) = self.desk.pop() else { return assert_eq!(waiting, 0) };
        let flow = self.desk.place(popped.flow);
        let (error, _) = self.pushed[popped.item];
        self.check_wait(flow, popped.item);
        let account = &mut self.accounts[flow];
        account.charged += i128::from(popped.charged.tokens()) * account.rate;
        account.wrong += i128::from(error.abs()) * account.rate;
        account.most_wrong = account.most_wrong.max(account.wrong);
        self.running.push(Run { flow, session: popped.session, error });
    }

    fn end(&mut self, which: usize) {
        let run = self.running.swap_remove(which);
        self.desk.charge(run.flow, run.session, run.error);
        let account = &mut self.accounts[run.flow];
        account.charged += i128::from(run.error) * account.rate;
        account.wrong -= i128::from(run.error.abs()) * account.rate;
    }

    /// No starvation: while somebody waits, no other flow gets more than its own flow does, by weight,
    /// and a largest request of each.
    fn check_wait(&self, flow: usize, item: usize) {
        let before = &self.pushed[item].1;
        let own = self.accounts[flow].charged - before[flow] + self.accounts[flow].largest;
        for (other, account) in self.accounts.iter().enumerate().filter(|(other, _)| *other != flow) {
            let got = account.charged - before[other];
            assert!(got <= own + account.largest + 6 * self.worst(), "flow {other} passes flow {flow}");
        }
    }

    fn measure(&mut self) {
        for one in 0..FLOWS {
            for other in one + 1..FLOWS {
                let both = [one, other].iter().all(|flow| self.desk.queue.waiting_of(self.desk.flows[*flow]) > 0);
                if !both {
                    self.spans.remove(&(one, other));
                    continue;
                }
                let ahead = self.accounts[one].charged - self.accounts[other].charged;
                let (least, most) = self.spans.entry((one, other)).or_insert((ahead, ahead));
                (*least, *most) = ((*least).min(ahead), (*most).max(ahead));
                let widest = self.widest.entry((one, other)).or_default();
                *widest = (*widest).max(*most - *least);
            }
        }
    }

    /// The most that the requests of one flow in flight at once were wrong by.
    fn worst(&self) -> i128 {
        self.accounts.iter().map(|account| account.most_wrong).max().unwrap_or(0)
    }

    /// The bound of Goyal et al. for every two flows over every interval in which both waited, widened by
    /// what estimates were wrong by.
    fn check_shares(&self) {
        for ((one, other), widest) in &self.widest {
            let bound = self.accounts[*one].largest + self.accounts[*other].largest + 6 * self.worst();
            assert!(*widest <= bound, "flows {one} and {other} differ by {widest}, more than {bound}");
        }
    }
}

fn play(weights: &[u32], events: &[Event]) {
    let mut world = World::new(weights);
    for event in events {
        world.happen(event);
    }
    while !world.desk.queue.is_empty() {
        world.happen(&Event::Pop);
    }
    world.check_shares();
}

proptest! {
    #![proptest_config(config(300, 0x1996_0097))]

    #[test]
    fn services_differ_by_no_more_than_the_published_bound(
        weights in prop::collection::vec(100u32..10_000, FLOWS),
        events in events(0..1),
    ) {
        play(&weights, &events);
    }

    #[test]
    fn wrong_estimates_widen_the_bound_by_what_they_are_wrong(
        weights in prop::collection::vec(100u32..10_000, FLOWS),
        events in events(-2_000..2_000),
    ) {
        play(&weights, &events);
    }

    /// Siblings that come anew with every request, in any number: what they get while one waits is
    /// bounded by how many wait at once.
    #[test]
    fn no_session_starves(
        steps in prop::collection::vec((1u64..200, 0usize..3, 0usize..3), 50..400),
        own in 1u64..200,
    ) {
        let mut desk = Desk::silver(1);
        let (mut names, mut passed, mut most) = (0, 0, 0);
        desk.push(0, u64::MAX, own);
        for (cost, pushes, pops) in steps {
            for _ in 0..pushes {
                names += 1;
                desk.push(0, names, cost);
            }
            most = most.max(desk.queue.len() as u64);
            for _ in 0..pops {
                let Some(popped) = desk.pop() else { break };
                passed = if popped.session == u64::MAX { 0 } else { passed + popped.charged.tokens() };
                if popped.session == u64::MAX {
                    desk.push(0, u64::MAX, own);
                    most = desk.queue.len() as u64;
                }
                prop_assert!(passed <= 3 * most * 200, "{passed} tokens of others, at most {most} waited");
            }
        }
    }
}

/// What a tenant does that may use all three classes as it likes, while two others always wait in one each.
#[derive(Debug, Clone)]
enum Trick {
    Push {
        class: usize,
        cost: u64,
    },
    /// So many turns are given.
    Turns(usize),
}

fn tricks(most: u64) -> impl Strategy<Value = Vec<Trick>> {
    let push = (0usize..3, prop_oneof![1u64..20, 1u64..most]).prop_map(|(class, cost)| Trick::Push { class, cost });
    prop::collection::vec(prop_oneof![3 => push, 2 => (1usize..8).prop_map(Trick::Turns)], 100..800)
}

proptest! {
    #![proptest_config(config(200, 0x5bad_5eed))]

    /// However it comes and goes: all its classes together get no more than its best class alone may, which is
    /// what a tenant gets that always waits in that class, and what its requests are worth that overlap.
    #[test]
    fn a_tenant_of_several_classes_gets_no_more_than_its_best_class_would(
        tricks in tricks(1_000),
        best in 0usize..3,
    ) {
        let classes = &Qos::ALL[..=best];
        let mut flows: Vec<_> = classes.iter().map(|qos| (0, *qos, Weight::ONE)).collect();
        flows.push((1, Qos::ALL[best], Weight::ONE));
        flows.push((2, Qos::Silver, Weight::ONE));
        let mut desk = Desk::of(&flows);
        let mut tokens = vec![0u64; flows.len()];
        for flow in classes.len()..flows.len() {
            desk.push(flow, 1, 50);
            desk.push(flow, 1, 50);
        }
        for trick in tricks {
            match trick {
                Trick::Push { class, cost } => _ = desk.push(class % classes.len(), 1, cost),
                Trick::Turns(turns) => {
                    for _ in 0..turns {
                        let popped = desk.pop().expect("two always wait");
                        let flow = desk.place(popped.flow);
                        tokens[flow] += popped.charged.tokens();
                        if flow >= classes.len() {
                            desk.push(flow, 1, 50);
                        }
                    }
                }
            }
            let own: u64 = tokens[..classes.len()].iter().sum();
            let bound = 3 * 1_000 * classes.len() as u64;
            prop_assert!(own <= tokens[classes.len()] + bound, "{tokens:?}");
        }
    }
}
