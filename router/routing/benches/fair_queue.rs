//! What a turn costs while others wait: the lock of a pool is held for as long.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atp_core::{Qos, Weight};
use atp_routing::fair_queue::{Allowed, Ask, Charge, FairQueue, FlowId, Ticket, Turn};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

/// What the pipeline queues: a shared waiter.
type Waiter = Arc<u64>;

/// A queue with flows, and a source of costs that repeats itself.
struct Bench {
    queue: FairQueue<Waiter>,
    flows: Vec<FlowId>,
    waiter: Waiter,
    now: Instant,
    dice: u64,
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn new(flows: usize) -> Self {
        let mut queue = FairQueue::new();
        let qos = |place: usize| Qos::ALL.get(place % 3).copied().unwrap_or_default();
        let flows = (0..flows)
            .map(|place| queue.flow(&Arc::from(format!("tenant-{place}")), qos(place), Weight::ONE))
            .collect();
        Self { queue, flows, waiter: Arc::new(0), now: Instant::now(), dice: 1 }
    }

    fn dice(&mut self) -> u64 {
        // Marsaglia's xorshift.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice
    }

    fn flow(&mut self) -> FlowId {
        let place = self.dice() as usize % self.flows.len();
        self.flows.get(place).copied().unwrap_or_else(|| unreachable!("a remainder of the length"))
    }

    fn push(&mut self, flow: FlowId, session: u64) -> Ticket {
        let cost = 200 + self.dice() % 4_000;
        let ask = Ask { flow, session, cost, turn: Turn::New, now: self.now };
        self.queue.push(ask, Arc::clone(&self.waiter))
    }

    fn pop(&mut self) -> u64 {
        self.queue.pop(self.now, Allowed::ALL).map_or(0, |popped| popped.charged.tokens())
    }
}

/// One push and one pop.
fn push_and_pop(c: &mut Criterion) {
    let mut group = c.benchmark_group("fair_queue/push_and_pop");
    for waiting in [0, 10_000] {
        let mut bench = Bench::new(100);
        for _ in 0..waiting {
            let flow = bench.flow();
            let session = bench.dice() % 8;
            bench.push(flow, session);
        }
        group.bench_function(format!("{waiting}_waiting_in_100_flows"), |b| {
            b.iter(|| {
                let flow = bench.flow();
                let session = bench.dice() % 8;
                bench.push(flow, session);
                black_box(bench.pop())
            });
        });
    }
    for sessions in [10, 1_000, 100_000] {
        let mut bench = Bench::new(1);
        let flow = bench.flow();
        for session in 0..sessions {
            bench.push(flow, session);
        }
        // Every session comes again as soon as it was served: all of them always wait.
        group.bench_function(format!("{sessions}_sessions"), |b| {
            b.iter(|| {
                if let Some(popped) = bench.queue.pop(bench.now, Allowed::ALL) {
                    bench.push(flow, black_box(popped.session));
                }
            });
        });
        // And sessions that come once: made, served, remembered, forgotten.
        let mut next = sessions;
        group.bench_function(format!("{sessions}_sessions_ever_new"), |b| {
            b.iter(|| {
                next += 1;
                bench.push(flow, next);
                black_box(bench.pop())
            });
        });
    }
    group.finish();
}

/// Push and pop by themselves.
fn halves(c: &mut Criterion) {
    let filled = || {
        let mut bench = Bench::new(100);
        for _ in 0..10_000 {
            let flow = bench.flow();
            let session = bench.dice() % 8;
            bench.push(flow, session);
        }
        bench
    };
    let mut group = c.benchmark_group("fair_queue/10000_waiting");
    const ROUND: u64 = 1_000;
    group.bench_function("push", |b| {
        b.iter_custom(|rounds| {
            measured(
                rounds,
                filled,
                |bench| {
                    let flow = bench.flow();
                    let session = bench.dice() % 8;
                    black_box(bench.push(flow, session));
                },
                ROUND,
            )
        });
    });
    group.bench_function("pop", |b| {
        b.iter_custom(|rounds| {
            measured(
                rounds,
                filled,
                |bench| {
                    black_box(bench.pop());
                },
                ROUND,
            )
        });
    });
    group.finish();
}

/// The time of so many steps, on a fresh queue after each `batch` of them.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn measured(steps: u64, fresh: impl Fn() -> Bench, step: impl Fn(&mut Bench), batch: u64) -> Duration {
    let mut total = Duration::ZERO;
    let mut left = steps;
    while left > 0 {
        let mut bench = fresh();
        let now = left.min(batch);
        let begun = Instant::now();
        for _ in 0..now {
            step(&mut bench);
        }
        total += Instant::now().duration_since(begun);
        left -= now;
    }
    total
}

/// A running charge, and a caller who leaves.
fn charge_and_remove(c: &mut Criterion) {
    let mut bench = Bench::new(100);
    for _ in 0..10_000 {
        let flow = bench.flow();
        let session = bench.dice() % 8;
        bench.push(flow, session);
    }
    let mut group = c.benchmark_group("fair_queue/10000_waiting");
    group.bench_function("charge", |b| {
        b.iter(|| {
            let (flow, session) = (bench.flow(), bench.dice() % 8);
            let mut paid = Charge::default();
            bench.queue.charge(flow, session, 40, &mut paid);
            bench.queue.charge(flow, session, -40, &mut paid);
        });
    });
    group.bench_function("push_and_remove", |b| {
        b.iter(|| {
            let flow = bench.flow();
            let session = bench.dice() % 8;
            let ticket = bench.push(flow, session);
            black_box(bench.queue.remove(ticket))
        });
    });
    let mut bench = Bench::new(1);
    let flow = bench.flow();
    let mut tickets: Vec<_> = (0..100_000).map(|session| bench.push(flow, session)).collect();
    group.bench_function("remove_of_100000_sessions", |b| {
        b.iter_batched(
            || (),
            |()| {
                let place = bench.dice() as usize % tickets.len();
                let old = tickets.swap_remove(place);
                black_box(bench.queue.remove(old));
                let session = bench.dice() % 1_000_000;
                tickets.push(bench.push(flow, session));
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = push_and_pop, halves, charge_and_remove
}
criterion_main!(benches);
