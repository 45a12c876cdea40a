//! Every interleaving of slots and hand-overs, explored by loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p atp-pipeline --test loom_flow --release`.
#![cfg(loom)]

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use atp_core::{Qos, RateFacts, Weight};
use atp_pipeline::flow::flow_cell::FlowCell;
use atp_pipeline::flow::lane::LaneCell;
use atp_pipeline::flow::pool::{Coming, Pool, Request};
use atp_pipeline::flow::slots::Slots;
use atp_pipeline::flow::turn::Turn;
use atp_pipeline::flow::waiter::{Grant, Waiting};
use atp_routing::control::Verdict;
use atp_routing::window::WindowRules;
use atp_routing::{ControlRules, Order};
use loom::thread;

/// A pool of one lane of one slot.
#[derive(Clone)]
struct House {
    lane: Arc<LaneCell>,
    pool: Arc<Pool>,
    flow: Arc<FlowCell>,
    order: Order,
    now: Instant,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn lane(now: Instant) -> Arc<LaneCell> {
    let window = WindowRules { min: 1, start: 1, max: 1 };
    LaneCell::new("far".into(), "m".into(), ControlRules { window, ..ControlRules::default() }, now)
}

impl House {
    fn at(lane: &Arc<LaneCell>, name: &str, now: Instant) -> Self {
        // Nobody has to be started who waits for time.
        let pool = Pool::new(name.into(), Box::new([Arc::clone(lane)]), Arc::new(drop), now);
        let flow = pool.flow(&Arc::from("tenant"), Qos::Silver, Weight::ONE);
        Self { lane: Arc::clone(lane), pool, flow, order: Order::from_slice(&[0]), now }
    }

    fn new(now: Instant) -> Self {
        Self::at(&lane(now), "m", now)
    }

    fn request(&self) -> Request<'_> {
        Request { flow: &self.flow, tokens: 1, order: &self.order }
    }

    fn try_turn(&self) -> Option<Turn> {
        self.pool.try_turn(self.request(), self.now)
    }

    fn wait(&self) -> Waiting {
        self.pool.wait(self.request(), 0, Coming::New { most: 10 }, self.now).expect("the queue has room")
    }

    fn end(&self, turn: Turn) {
        turn.end(self.now, Verdict::Cancelled, 0, &RateFacts::default());
    }

    /// Fails where anything is still borrowed.
    fn closed(&self) {
        assert_eq!(self.lane.load().in_flight, 0, "every slot is back");
        assert_eq!(self.pool.waiting(), 0, "nobody waits");
        assert!(self.try_turn().is_some(), "and a turn can be had");
    }
}

fn poll(waiting: &mut Waiting) -> Option<Grant> {
    match Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(grant) => Some(grant),
        Poll::Pending => None,
    }
}

/// All interleavings with up to two preemptions, where nearly all faults show; all of them take hours.
fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(run);
}

#[test]
fn a_slot_that_comes_back_while_somebody_begins_to_wait_is_not_lost() {
    let now = now();
    model(move || {
        let house = House::new(now);
        let first = house.try_turn().expect("nobody is there");
        let other = house.clone();
        let ending = thread::spawn(move || other.end(first));
        let turn = match house.try_turn() {
            Some(turn) => {
                ending.join().expect("no thread fails");
                turn
            }
            None => {
                let mut waiting = house.wait();
                ending.join().expect("no thread fails");
                poll(&mut waiting).expect("the slot was handed over").turn
            }
        };
        assert_eq!(house.lane.load().in_flight, 1);
        house.end(turn);
        house.closed();
    });
}

#[test]
fn a_turn_handed_to_somebody_who_leaves_goes_to_the_next() {
    let now = now();
    model(move || {
        let house = House::new(now);
        let first = house.try_turn().expect("nobody is there");
        let leaving = house.wait();
        let mut next = house.wait();
        let other = house.clone();
        let ending = thread::spawn(move || other.end(first));
        drop(leaving);
        ending.join().expect("no thread fails");
        let grant = poll(&mut next).expect("one of the two ways it came here");
        assert_eq!(house.lane.load().in_flight, 1, "neither lost nor doubled");
        house.end(grant.turn);
        house.closed();
    });
}

#[test]
fn who_comes_while_a_slot_is_handed_over_takes_no_second_one() {
    let now = now();
    model(move || {
        let house = House::new(now);
        let first = house.try_turn().expect("nobody is there");
        let mut waiting = house.wait();
        let other = house.clone();
        let ending = thread::spawn(move || other.end(first));
        let quick = house.try_turn();
        ending.join().expect("no thread fails");
        if let Some(turn) = quick {
            // It came after the slot was back and before it was handed over; then the end of its own try
            // hands it over.
            assert!(poll(&mut waiting).is_none() && house.lane.load().in_flight == 1);
            house.end(turn);
        }
        let grant = poll(&mut waiting).expect("nobody else is left");
        assert_eq!(house.lane.load().in_flight, 1);
        house.end(grant.turn);
        house.closed();
    });
}

#[test]
fn two_pools_that_share_a_lane_hand_its_slot_to_one_of_them_and_then_to_the_other() {
    let now = now();
    model(move || {
        let lane = lane(now);
        let (left, right) = (House::at(&lane, "left", now), House::at(&lane, "right", now));
        let first = left.try_turn().expect("nobody is there");
        let mut in_left = left.wait();
        let other = left.clone();
        let ending = thread::spawn(move || other.end(first));
        let mut in_right = right.wait();
        ending.join().expect("no thread fails");
        let (mut one, mut two) = (poll(&mut in_left), poll(&mut in_right));
        assert!(one.is_some() != two.is_some(), "the slot went to one of them");
        assert_eq!(lane.load().in_flight, 1);
        if let Some(grant) = one.take().or(two.take()) {
            left.end(grant.turn);
        }
        let last = poll(&mut in_left).or_else(|| poll(&mut in_right)).expect("then to the other");
        left.end(last.turn);
        left.closed();
        assert_eq!(right.pool.waiting(), 0);
    });
}

#[test]
fn a_window_is_cut_whole_and_no_try_begins_beyond_what_it_allows() {
    loom::model(|| {
        let slots = Arc::new(Slots::new(2));
        let take = |slots: &Arc<Slots>| {
            let slots = Arc::clone(slots);
            thread::spawn(move || slots.try_take(|limit| limit))
        };
        let takers = [take(&slots), take(&slots)];
        assert_eq!(slots.set_limit(1), 2);
        let cut_at = slots.load().in_flight;
        let taken = takers.map(|taker| taker.join().expect("no thread fails")).into_iter().flatten().count();
        let load = slots.load();
        assert_eq!((load.limit, load.in_flight as usize), (1, taken));
        assert!(taken <= 2 && taken >= 1 && load.in_flight <= cut_at.max(1), "none began under a limit that was gone");
        for _ in 0..taken {
            slots.give_back();
        }
        assert_eq!(slots.load().in_flight, 0);
        assert_eq!(slots.try_take(|limit| limit), Some(1));
        assert_eq!(slots.try_take(|limit| limit), None);
    });
}
