//! What a choice costs: at most 2 us among 50 arms with the default strategy; and what a lesson costs.

use std::hint::black_box;

use atp_core::{Quality, Weights};
use atp_routing::bandit::{ArmNow, ArmRules, Brain, BrainRules, Context, D, Lesson, Strategy};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const CLUSTERS: u16 = 32;
const HALF_LIFE: u64 = 86_400_000;

fn context(dice: &mut StdRng) -> Context {
    let mut x: [f64; D] = std::array::from_fn(|_| dice.random());
    x[0] = 1.0;
    Context { cluster: dice.random_range(0..CLUSTERS), x }
}

fn lesson(arm: usize, now_ms: u64, dice: &mut StdRng) -> Lesson {
    Lesson {
        arm,
        context: context(dice),
        weights: Weights::of(Quality::Balanced),
        served: Some(true),
        quality: Some((dice.random(), 1.0)),
        quiet: false,
        cost: Some(dice.random()),
        latency: Some(dice.random()),
        now_ms,
    }
}

fn taught(strategy: Strategy, count: usize, dice: &mut StdRng) -> Brain {
    let arm = |place| ArmRules { name: format!("model-{place}").into(), quality: Some(0.8) };
    let arms = (0..count).map(arm).collect();
    let mut brain =
        Brain::new(BrainRules { strategy, arms, explore: 0.05, prior_weight: 10.0, half_life_ms: HALF_LIFE });
    for turn in 0..200 * count as u64 {
        brain.learn(&lesson(turn as usize % count, turn, dice));
    }
    brain
}

fn choose(criterion: &mut Criterion) {
    let mut dice = StdRng::seed_from_u64(1);
    let weights = Weights::of(Quality::Balanced);
    let mut group = criterion.benchmark_group("choose");
    for strategy in Strategy::ALL {
        for count in [3, 50] {
            let brain = taught(strategy, count, &mut dice);
            let arms: Vec<ArmNow> =
                (0..count).map(|arm| ArmNow { arm, cost: dice.random(), latency: dice.random() }).collect();
            let contexts: Vec<Context> = (0..64).map(|_| context(&mut dice)).collect();
            let mut turn = 0usize;
            group.bench_function(BenchmarkId::new(strategy.label(), count), |bench| {
                bench.iter(|| {
                    turn += 1;
                    let now_ms = HALF_LIFE / 10;
                    brain.pick(black_box(contexts.get(turn % 64)?), weights, black_box(&arms), now_ms, &mut dice)
                });
            });
        }
    }
    let mut brain = taught(Strategy::Contextual, 5, &mut dice);
    let lessons: Vec<Lesson> = (0..64).map(|turn| lesson(turn % 5, 2_000, &mut dice)).collect();
    let mut turn = 0usize;
    group.bench_function("learn", |bench| {
        bench.iter(|| {
            turn += 1;
            brain.learn(black_box(lessons.get(turn % 64)?))
        });
    });
    group.finish();
}

criterion_group!(benches, choose);
criterion_main!(benches);
