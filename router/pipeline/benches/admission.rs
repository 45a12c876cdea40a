//! What sharing costs a request: a turn at once, and a turn while ten thousand wait, of ever more
//! sessions.

use std::collections::VecDeque;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use atp_core::{Qos, RateFacts, Weight};
use atp_pipeline::flow::flow_cell::FlowCell;
use atp_pipeline::flow::lane::LaneCell;
use atp_pipeline::flow::pool::{Coming, Pool, Request};
use atp_pipeline::flow::turn::Turn;
use atp_pipeline::flow::waiter::Waiting;
use atp_routing::control::Verdict;
use atp_routing::window::WindowRules;
use atp_routing::{ControlRules, Order};
use criterion::{Criterion, criterion_group, criterion_main};

/// A pool of one lane of so many slots.
struct House {
    pool: Arc<Pool>,
    flows: Vec<Arc<FlowCell>>,
    order: Order,
    now: Instant,
}

impl House {
    fn new(slots: u32, tenants: usize) -> Self {
        let now = tokio::time::Instant::now().into_std();
        let window = WindowRules { min: slots, start: slots, max: slots };
        let rules = ControlRules { window, ..ControlRules::default() };
        let lane = LaneCell::new("far".into(), "m".into(), rules, now);
        let pool = Pool::new("m".into(), Box::new([lane]), Arc::new(drop), now);
        let flow = |tenant| pool.flow(&Arc::from(format!("tenant-{tenant}")), Qos::Silver, Weight::ONE);
        let flows = (0..tenants).map(flow).collect();
        Self { pool, flows, order: Order::from_slice(&[0]), now }
    }

    fn request(&self, tenant: usize) -> Option<Request<'_>> {
        let flow = self.flows.get(tenant % self.flows.len())?;
        Some(Request { flow, tokens: 500, order: &self.order })
    }

    fn try_turn(&self, tenant: usize) -> Option<Turn> {
        self.pool.try_turn(self.request(tenant)?, self.now)
    }

    fn wait(&self, tenant: usize, session: u64) -> Option<Waiting> {
        self.pool.wait(self.request(tenant)?, session, Coming::New { most: usize::MAX }, self.now).ok()
    }

    fn end(&self, turn: Turn) {
        turn.end(self.now, Verdict::Served, 600, &RateFacts::default());
    }
}

/// What `rounds` of `round` take.
fn measured(rounds: u64, mut round: impl FnMut()) -> Duration {
    let before = tokio::time::Instant::now();
    (0..rounds).for_each(|_| round());
    before.elapsed()
}

/// Nobody waits: taking a slot, and the whole of a try's bookkeeping.
fn uncontended(criterion: &mut Criterion) {
    const BATCH: u64 = 10_000;
    let house = House::new(100_000, 10);
    let mut group = criterion.benchmark_group("admission");
    group.bench_function("uncontended, turn taken", |bencher| {
        let mut turns = Vec::with_capacity(BATCH as usize);
        bencher.iter_custom(|rounds| {
            let mut time = Duration::ZERO;
            for _ in 0..rounds.div_ceil(BATCH) {
                time += measured(BATCH, || turns.extend(black_box(house.try_turn(turns.len()))));
                turns.drain(..).for_each(|turn| house.end(turn));
            }
            time.mul_f64(rounds as f64 / (rounds.div_ceil(BATCH) * BATCH) as f64)
        });
    });
    group.bench_function("uncontended, turn taken and given back", |bencher| {
        bencher.iter_custom(|rounds| {
            measured(rounds, || {
                if let Some(turn) = black_box(house.try_turn(0)) {
                    house.end(turn);
                }
            })
        });
    });
    group.finish();
}

/// So many wait, of so many sessions: one more comes, a slot comes back, and whose turn it is takes it.
fn contended(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admission");
    for (waiting, sessions) in [(100, 1_000), (10_000, 10), (10_000, 1_000), (10_000, 100_000)] {
        let house = House::new(1, 100);
        let mut turn = house.try_turn(0);
        let mut place: u64 = 0;
        let mut come = || {
            place += 1;
            house.wait(place as usize, place / 100 % (sessions / 10))
        };
        let mut line: VecDeque<Waiting> = std::iter::repeat_with(&mut come).take(waiting).flatten().collect();
        let name = format!("contended, {waiting} wait, {sessions} sessions");
        group.bench_function(&name, |bencher| {
            bencher.iter_custom(|rounds| {
                measured(rounds, || {
                    line.extend(come());
                    if let Some(turn) = turn.take() {
                        house.end(turn);
                    }
                    turn = next(&mut line);
                })
            });
        });
    }
    group.finish();
}

/// Who has been given the turn: the first, where all cost the same.
fn next(line: &mut VecDeque<Waiting>) -> Option<Turn> {
    for _ in 0..line.len() {
        let mut waiting = line.pop_front()?;
        match Pin::new(&mut waiting).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(grant) => return Some(grant.turn),
            Poll::Pending => line.push_back(waiting),
        }
    }
    None
}

criterion_group!(benches, uncontended, contended);
criterion_main!(benches);
