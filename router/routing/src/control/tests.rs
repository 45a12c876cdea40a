//! Claims about the whole control: in closed loops, and for arbitrary reports.

use atp_core::RateFact;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::sim::*;
use super::*;

/// What a lane did between two seconds, its capacity then being 1.
#[derive(Debug)]
struct Did {
    goodput: f64,
    refused: f64,
    behind: f64,
    limits: Vec<u32>,
}

fn did(sim: &Sim, from: usize, to: usize, capacity: f64) -> Did {
    Did {
        goodput: sim.goodput(from, to) / capacity,
        refused: sim.refused(from, to),
        behind: sim.behind(from, to),
        limits: sim.seconds[from..to].iter().map(|second| second.limit).collect(),
    }
}

/// Spans of a simulation, and the capacity in each: what is claimed holds from half a minute after each
/// change on.
const SPANS: [(usize, usize, f64); 3] = [(60, 120, 1.0), (150, 240, 0.5), (270, 360, 1.0)];

/// A self-hosted lane of so many slots and seconds per answer, halved after 120 s and whole again after
/// 240 s.
fn slots(count: usize, rest: f64, per_input_token: f64, seed: u64) -> (Sim, f64) {
    let mut sim = Sim::new(ControlRules::default(), Behind::Slots(count), Demand::Endless, seed);
    sim.rest.mean = rest;
    sim.per_input_token = per_input_token;
    sim.run(120);
    sim.behind = Behind::Slots(count / 2);
    sim.run(240);
    sim.behind = Behind::Slots(count);
    sim.run(360);
    (sim, count as f64 / (rest + 0.3 + per_input_token * 500.0))
}

#[test]
fn a_queue_behind_the_lane_is_short_and_its_slots_are_busy() {
    for (count, rest, per_token) in [(16, 5.0, 0.0), (16, 5.0, 0.001), (200, 5.0, 0.0)] {
        let (sim, capacity) = slots(count, rest, per_token, 7);
        for (from, to, factor) in SPANS {
            let did = did(&sim, from, to, capacity * factor);
            let busy = sim.busy(from, to) / (count as f64 * factor);
            assert!(busy >= 0.95, "{count} x {rest} {from}: {busy} {did:?}");
            // The longest queue of each second; at most this many seconds' work.
            assert!(did.behind <= 9.0, "{count} x {rest} {from}: {did:?}");
        }
    }
}

#[test]
fn a_window_that_opened_too_wide_is_drained() {
    let mut sim = Sim::new(ControlRules::default(), Behind::Slots(4), Demand::Endless, 7);
    sim.run(300);
    let did = did(&sim, 150, 300, 4.0 / 5.3);
    assert!(sim.busy(150, 300) >= 3.8 && did.behind <= 6.0, "sixty-four began at once: {did:?}");
}

/// A hosted lane with a bucket, halved after 120 s and whole again after 240 s.
fn hosted(per_second: f64, depth: f64, unit: Unit, told: How, seed: u64) -> Sim {
    let make = |factor: f64, now: Ns, level: f64| {
        let mut behind = bucket(per_second * factor, depth * factor, unit);
        if let Behind::Bucket { retry_after, headers, at, level: filled, .. } = &mut behind {
            *retry_after = (told == How::RetryAfter).then_some(Duration::from_secs(1));
            *headers = told == How::Headers;
            *at = now;
            *filled = level;
        }
        behind
    };
    let mut sim = Sim::new(ControlRules::default(), make(1.0, 0, depth), Demand::Endless, seed);
    sim.run(120);
    sim.behind = make(0.5, sim.now, 0.0);
    sim.run(240);
    sim.behind = make(1.0, sim.now, 0.0);
    sim.run(360);
    sim
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Nothing,
    RetryAfter,
    Headers,
}

/// The share of 429s that is right for a lane of so many a second: 1 %, and for slow lanes one in ten seconds,
/// because a doubled capacity could not be found within 30 s otherwise.
fn few(per_second: f64) -> f64 {
    (0.1 / per_second).max(0.01)
}

#[test]
fn a_limited_rate_is_found_by_refusals_alone() {
    for (per_second, depth) in [(20.0, 20.0), (20.0, 200.0), (100.0, 100.0), (50.0, 1_500.0)] {
        let sim = hosted(per_second, depth, Unit::Request, How::Nothing, 7);
        for (from, to, factor) in SPANS {
            let did = did(&sim, from, to, per_second * factor);
            assert!(did.goodput >= 0.95, "{per_second}/{depth} {from}: {did:?}");
            assert!(did.refused <= few(per_second * factor), "{per_second}/{depth} {from}: {did:?}");
        }
    }
}

#[test]
fn a_limited_token_rate_is_found_by_refusals_alone() {
    for (per_second, depth) in [(40.0, 80.0), (40.0, 400.0)] {
        let sim = hosted(per_second * 800.0, depth * 800.0, Unit::Token, How::Nothing, 7);
        for (from, to, factor) in SPANS {
            let share = sim.tokens(from, to) / (per_second * 800.0 * factor);
            let did = did(&sim, from, to, per_second * factor);
            // Requests of all lengths leave gaps in a bucket of two seconds.
            let least = if depth < 100.0 { 0.93 } else { 0.95 };
            assert!(share >= least, "{depth} {from}: {share} {did:?}");
            assert!(did.refused <= few(per_second * factor), "{depth} {from}: {did:?}");
        }
    }
}

#[test]
fn a_told_rate_is_used_to_the_full_without_refusals() {
    let sim = hosted(20.0, 1_200.0, Unit::Request, How::Headers, 7);
    for (from, to, factor) in SPANS {
        let did = did(&sim, from, to, 20.0 * factor);
        assert!(did.goodput >= 0.95 && did.refused <= 0.001, "{from}: {did:?}");
    }
}

#[test]
fn nobody_begins_before_a_named_pause_is_over() {
    let sim = hosted(20.0, 40.0, Unit::Request, How::RetryAfter, 7);
    assert!(sim.refusals.len() > 10);
    for refused in &sim.refusals {
        let pause = refused + 1..refused + SECOND;
        let early = sim.begun.iter().find(|begun| pause.contains(begun));
        assert_eq!(early, None, "after the refusal at {refused}");
    }
    let did = did(&sim, 60, 120, 20.0);
    assert!(did.goodput >= 0.95 && did.refused <= 0.01, "{did:?}");
}

#[test]
fn a_lane_that_refuses_by_concurrency_keeps_its_slots_busy() {
    let mut sim = Sim::new(ControlRules::default(), Behind::Refusing(100), Demand::Endless, 7);
    sim.rest.mean = 1.0;
    sim.run(300);
    let did = did(&sim, 100, 300, 100.0 / 1.3);
    assert!(did.goodput >= 0.93 && did.refused <= 0.015, "{did:?}");
}

#[test]
fn a_line_that_is_full_is_no_rate() {
    for (seed, line) in [(7, 16), (8, 16), (9, 8), (10, 24)] {
        let mut sim = Sim::new(ControlRules::default(), Behind::Line(64, line), Demand::Endless, seed);
        sim.run(240);
        sim.behind = Behind::Line(32, line);
        sim.run(360);
        // Half of what is answered there has to end before the first of the others is begun with.
        let busy = sim.busy(260, 360) / 32.0;
        let did = did(&sim, 260, 360, 32.0 / 5.3);
        assert!(busy >= 0.95 && did.refused <= 0.01, "line of {line}: {busy} {did:?}");
        assert!(did.behind <= 4.0, "line of {line}: {did:?}");
    }
}

#[test]
fn the_window_of_whole_answers_stops_opening_where_they_wait() {
    for seed in 7..10 {
        let mut sim = Sim::new(ControlRules::default(), Behind::Slots(64), Demand::Endless, seed);
        sim.answers = Answers::Whole;
        sim.per_output_token = 0.015;
        sim.rest = Spread { mean: 0.2, sigma: 0.2 };
        for (from, to, slots) in [(0, 240, 64), (240, 480, 32)] {
            sim.behind = Behind::Slots(slots);
            sim.run(to);
            let from = usize::try_from(from).unwrap() + 60;
            let to = usize::try_from(to).unwrap();
            let (busy, behind) = (sim.busy(from, to) / slots as f64, sim.behind(from, to) / slots as f64);
            let limits = did(&sim, from, to, 1.0).limits;
            assert!(busy >= 0.85 && behind <= 0.6, "{slots} slots: {busy} busy, {behind} wait: {limits:?}");
            assert!(limits.iter().all(|limit| *limit <= 2 * slots as u32), "{limits:?}");
        }
    }
}

#[test]
fn hedges_of_whole_answers_have_a_time_of_their_own() {
    let (mut now, mut control) = (start(), Control::new(ControlRules::default(), start()));
    for answer in 0u64..100 {
        now += Duration::from_millis(10);
        let began = now - Duration::from_secs(1 + answer % 2 * 2);
        let sample = Answered { began, in_flight: 1, input_tokens: 10, output_tokens: Some(10) };
        let published = control.answered(now + Duration::from_secs(3), sample);
        assert_eq!(published.p95_answer, control.p95_answer());
    }
    let p95 = control.p95_answer().unwrap().as_secs_f64();
    assert!((p95 / 6.0 - 1.0).abs() <= 0.06, "{p95}");
    assert_eq!(control.p95_first_token(), None);
}

#[test]
fn times_that_vary_by_nature_close_no_window() {
    let mut sim = Sim::new(ControlRules::default(), Behind::Free, Demand::Poisson(60.0), 7);
    sim.first = Spread { mean: 0.5, sigma: 0.8 };
    sim.run(300);
    // Sixty a second that stay for five and a half seconds.
    let did = did(&sim, 60, 300, 60.0);
    assert!(did.goodput >= 0.97, "{did:?}");
    assert!(sim.seconds[60..].iter().all(|second| second.limit >= 330), "{did:?}");
}

#[test]
fn a_lane_that_became_slower_by_itself_is_not_taken_for_full() {
    let mut sim = Sim::new(ControlRules::default(), Behind::Free, Demand::Poisson(40.0), 7);
    sim.run(120);
    sim.first.mean *= 4.0;
    sim.run(400);
    let did = did(&sim, 240, 400, 40.0);
    assert!(did.goodput >= 0.95, "{did:?}");
}

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "any moment will do as the zero of a test's time")]
    Instant::now()
}

fn end(began: Instant, verdict: Verdict, limits: &RateFacts) -> Ended<'_> {
    Ended { began, in_flight: 10, tokens: 800, verdict, limits }
}

#[test]
fn a_lane_that_failed_is_probed_by_one_and_comes_back_small() {
    let (mut now, mut rng, none) = (start(), StdRng::seed_from_u64(1), RateFacts::default());
    let mut control = Control::new(ControlRules::default(), now);
    assert_eq!(control.began(now), Began::Freely);
    let mut last = control.tick(now);
    for _ in 0..5 {
        last = control.ended(now, end(now, Verdict::Failed, &none), &mut rng);
    }
    assert_eq!((last.limit, last.state), (0, State::Ejected));
    assert_eq!(last.change.map(|change| change.why), Some(Why::Ejected));
    assert_eq!(control.began(now), Began::Refused);
    now = last.opens_at.unwrap();
    let open = control.tick(now);
    assert_eq!((open.limit, open.state), (1, State::Probing));
    assert_eq!((control.began(now), control.began(now)), (Began::Probe, Began::Refused));
    // The head of its answer is enough, however long the answer is.
    last = control.first_token(now, FirstToken { began: now, in_flight: 1, input_tokens: 10 });
    assert_eq!(last.state, State::Serving);
    assert!((2..=4).contains(&last.limit), "no herd, and no further probe: {last:?}");
    // Until one more was served, the first failure ejects it again.
    now += Duration::from_secs(1);
    last = control.ended(now, end(now, Verdict::Failed, &none), &mut rng);
    assert_eq!((last.limit, last.state), (0, State::Ejected));
}

#[test]
fn a_callers_fault_or_leaving_tells_nothing() {
    let (now, mut rng, none) = (start(), StdRng::seed_from_u64(1), RateFacts::default());
    let mut control = Control::new(ControlRules::default(), now);
    let before = control.tick(now);
    for _ in 0..100 {
        assert_eq!(control.ended(now, end(now, Verdict::Cancelled, &none), &mut rng), before);
    }
}

#[test]
fn a_pause_shuts_the_lane_and_the_longest_one_counts() {
    let (now, mut rng, none) = (start(), StdRng::seed_from_u64(1), RateFacts::default());
    let mut control = Control::new(ControlRules::default(), now);
    let refuse = |seconds| Verdict::Overloaded { pause: Some(Duration::from_secs(seconds)) };
    let mut last = control.tick(now);
    for seconds in [20, 5, 10] {
        last = control.ended(now, end(now, refuse(seconds), &none), &mut rng);
    }
    let opens = last.opens_at.unwrap() - now;
    assert_eq!((last.limit, last.state), (0, State::Serving));
    assert!(opens >= Duration::from_secs(20) && opens <= Duration::from_millis(20_500), "{opens:?}");
    assert_eq!(control.tick(now + Duration::from_secs(20) - Duration::from_nanos(1)).limit, 0);
    let open = control.tick(now + opens);
    assert!(open.limit > 0 && open.opens_at.is_none());
    let forever = control.ended(now, end(now, refuse(u64::MAX), &none), &mut rng);
    assert_eq!(forever.limit, 0, "a pause beyond what a clock can say is still a pause");
}

#[test]
fn a_pause_of_hours_is_obeyed_for_a_minute_and_then_probed() {
    let (mut now, mut rng, none) = (start(), StdRng::seed_from_u64(1), RateFacts::default());
    let mut control = Control::new(ControlRules::default(), now);
    let refusal = Verdict::Overloaded { pause: Some(Duration::from_secs(24 * 3_600)) };
    let mut last = control.ended(now, end(now, refusal, &none), &mut rng);
    for _ in 0..3 {
        let opens = last.opens_at.unwrap() - now;
        assert!(last.limit == 0 && opens >= LONGEST_PAUSE && opens <= LONGEST_PAUSE.mul_f64(1.01), "{opens:?}");
        now += opens;
        let open = control.tick(now);
        assert_eq!((open.limit, open.state), (1, State::Probing));
        assert_eq!((control.began(now), control.began(now)), (Began::Probe, Began::Refused));
        // It still holds.
        last = control.ended(now, end(now, refusal, &none), &mut rng);
    }
    now = last.opens_at.unwrap();
    control.tick(now);
    assert_eq!(control.began(now), Began::Probe);
    last = control.ended(now, end(now, Verdict::Served, &none), &mut rng);
    assert_eq!((last.state, last.opens_at), (State::Serving, None));
}

#[test]
fn what_is_told_about_one_model_of_many_shuts_none_of_the_others() {
    let (now, mut rng) = (start(), StdRng::seed_from_u64(1));
    let fact = RateFact { limit: Some(10), remaining: Some(0), reset: Some(Duration::from_secs(600)) };
    let empty = RateFacts { requests: fact, tokens: fact };
    let refusal = Verdict::Overloaded { pause: Some(Duration::from_secs(600)) };
    let ask = |models| {
        let mut control = Control::new(ControlRules { models, ..ControlRules::default() }, now);
        let head = control.told(now, &empty);
        (head, control.ended(now, end(now, refusal, &empty), &mut rng))
    };
    let [(one_head, one), (many_head, many)] = [Models::One, Models::Many].map(ask);
    assert!(one_head.rate.is_some() && one.limit == 0);
    assert!(many_head.rate.is_none() && many.rate.is_none() && many.opens_at.is_none());
    assert!((1..64).contains(&many.limit), "the refusal narrows the window: {many:?}");
}

proptest! {
    #[test]
    fn any_reports_in_any_order_keep_the_limit_in_bounds(
        steps in prop::collection::vec((0u64..5_000, 0u64..30_000, 0u32..200, any::<u32>(), 0u8..12), 1..200),
        seed: u64,
    ) {
        let rules = ControlRules {
            window: WindowRules { min: 2, start: 8, max: 100 },
            breaker: BreakerRules::default(),
            models: Models::One,
        };
        let (origin, mut rng, none) = (start(), StdRng::seed_from_u64(seed), RateFacts::default());
        let mut now = origin + Duration::from_secs(60);
        let mut control = Control::new(rules, origin);
        for (pause, age, in_flight, tokens, what) in steps {
            now += Duration::from_millis(pause);
            let began = now - Duration::from_millis(age);
            let input_tokens = u64::from(tokens);
            let ended = |verdict| Ended { began, in_flight, tokens: input_tokens, verdict, limits: &none };
            let published = match what {
                0..=3 => control.first_token(now, FirstToken { began, in_flight, input_tokens }),
                4 => control.tick(now),
                5 => { control.began(now); control.tick(now) }
                6 | 7 => control.ended(now, ended(Verdict::Served), &mut rng),
                8 => {
                    let pause = (tokens % 2 == 0).then(|| Duration::from_millis(input_tokens % 3_000));
                    control.ended(now, ended(Verdict::Overloaded { pause }), &mut rng)
                }
                9 => control.ended(now, ended(Verdict::TimedOut), &mut rng),
                10 => control.ended(now, ended(Verdict::Failed), &mut rng),
                _ => control.ended(now, ended(Verdict::Cancelled), &mut rng),
            };
            match published.state {
                State::Serving if published.opens_at.is_none() => prop_assert!((2..=100).contains(&published.limit)),
                State::Serving | State::Ejected => prop_assert_eq!(published.limit, 0),
                State::Probing => prop_assert!(published.limit <= 1),
            }
            prop_assert!(published.limit > 0 || published.opens_at.is_some_and(|at| at > now), "{:?}", published);
            prop_assert_eq!(control.view(now).limit, published.limit);
        }
    }
}
