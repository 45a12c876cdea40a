//! What the control of a lane costs: a word per start, a short lock per first token and per end.

use std::hint::black_box;
use std::time::{Duration, Instant};

use atp_core::RateFacts;
use atp_routing::control::{Control, ControlRules, Ended, FirstToken, Verdict};
use atp_routing::rate::{Pace, admit};
use criterion::{Criterion, criterion_group, criterion_main};
use rand::SeedableRng;
use rand::rngs::StdRng;

#[expect(clippy::disallowed_methods, reason = "some instant to count from")]
fn start() -> Instant {
    Instant::now()
}

fn control(criterion: &mut Criterion) {
    let origin = start();
    let mut rng = StdRng::seed_from_u64(1);
    let none = RateFacts::default();
    let pace = Pace { ns_per_token: 50_000, burst_tokens: 10_000, ..Pace::default() };
    let mut group = criterion.benchmark_group("control");

    let (mut word, mut now_ns) = (0u64, 0u64);
    group.bench_function("admit", |bench| {
        bench.iter(|| {
            now_ns += 40_000_000;
            word = admit(black_box(word), black_box(now_ns), black_box(800), &pace).unwrap_or(word);
            word
        });
    });

    let mut lane = Control::new(ControlRules::default(), origin);
    let mut now = origin + Duration::from_secs(10);
    let mut place = 0u64;
    group.bench_function("first_token", |bench| {
        bench.iter(|| {
            now += Duration::from_micros(500);
            place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let began = now - Duration::from_millis(300 + (place >> 57));
            let sample = FirstToken { began, in_flight: 50, input_tokens: 300 + (place >> 55) };
            black_box(lane.first_token(now, sample))
        });
    });

    for (name, verdict) in [("ended_served", Verdict::Served), ("ended_refused", Verdict::Overloaded { pause: None })] {
        group.bench_function(name, |bench| {
            bench.iter(|| {
                now += Duration::from_micros(500);
                let began = now - Duration::from_secs(2);
                let sample = Ended { began, in_flight: 50, tokens: 800, verdict, limits: &none };
                black_box(lane.ended(now, sample, &mut rng))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, control);
criterion_main!(benches);
