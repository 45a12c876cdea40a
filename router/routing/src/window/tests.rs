//! Claims about the window alone.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::control::Answered;

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "any moment will do as the zero of a test's time")]
    Instant::now()
}

fn sample(began: Instant, in_flight: u32) -> FirstToken {
    FirstToken { began, in_flight, input_tokens: 500 }
}

proptest! {
    #[test]
    fn the_limit_stays_within_its_bounds(
        bounds in (0u32..50, 0u32..20_000, 0u32..20_000),
        steps in prop::collection::vec((0u64..20_000, 0u64..60_000, any::<u32>(), any::<u64>(), 0u8..8), 1..200),
    ) {
        let rules = WindowRules { min: bounds.0, start: bounds.1, max: bounds.2 };
        let (low, high) = (rules.min.max(1), rules.max.max(rules.min).max(1));
        let mut now = start();
        let mut window = Window::new(rules, now);
        for (pause, age, in_flight, input_tokens, what) in steps {
            now += Duration::from_millis(pause);
            let began = now.checked_sub(Duration::from_millis(age)).unwrap_or(now);
            match what {
                0..=2 => { window.first_token(now, &FirstToken { began, in_flight, input_tokens }); }
                3 => window.overloaded(now, began, in_flight),
                4 => { window.tick(now); }
                6 | 7 => {
                    let output_tokens = (what == 6).then_some(input_tokens);
                    window.answered(now, &Answered { began, in_flight, input_tokens, output_tokens });
                }
                _ => window.restart(now),
            }
            prop_assert!((low..=high).contains(&window.limit()), "{}", window.limit());
        }
    }

    #[test]
    fn a_round_trip_has_one_cut(ages in prop::collection::vec(0u64..5_000, 1..50)) {
        let now = start() + Duration::from_secs(10);
        let mut window = Window::new(WindowRules::default(), start());
        window.overloaded(now, now, 64);
        let after = window.limit();
        for age in ages {
            // All of them began before the cut.
            window.overloaded(now + Duration::from_millis(age), now - Duration::from_millis(1), 64);
        }
        prop_assert_eq!((window.limit(), window.cuts()), (after, 1));
    }
}

#[test]
fn slow_start_doubles_in_a_round_while_full_and_not_else() {
    let mut now = start();
    let mut window = Window::new(WindowRules::default(), now);
    now += Duration::from_millis(300);
    (1..=64).for_each(|in_flight| {
        window.first_token(now, &sample(now - Duration::from_millis(300), in_flight));
    });
    let full = window.limit();
    assert!((66..=128).contains(&full), "{full}");
    for _ in 0..100 {
        now += Duration::from_millis(300);
        window.first_token(now, &sample(now - Duration::from_millis(300), 10));
    }
    assert_eq!(window.limit(), full, "it was not full");
}

#[test]
fn streams_that_keep_their_slots_widen_the_window_all_the_same() {
    let (mut now, trip) = (start(), Duration::from_millis(300));
    let mut window = Window::new(WindowRules::default(), now);
    let mut open = 0;
    for _ in 0..50 {
        // As many begin as may, and none ends.
        let began = now;
        now += trip;
        for in_flight in open + 1..=window.limit() {
            window.first_token(now, &sample(began, in_flight));
            open = in_flight;
        }
        // Then all is still, and looked at every now and then.
        for _ in 0..3 {
            now += trip / 3;
            window.in_use(now, open, 0);
        }
    }
    assert!(open >= 5_000, "{open} after 30 seconds");
    // They are in use although nothing is heard of them.
    for _ in 0..600 {
        now += Duration::from_secs(1);
        window.in_use(now, open, 0);
        window.tick(now);
    }
    assert!(window.limit() >= open, "{}", window.limit());
}

fn whole(began: Instant, in_flight: u32, output: u64) -> Answered {
    Answered { began, in_flight, input_tokens: 500, output_tokens: Some(output) }
}

#[test]
fn beside_streams_whole_answers_open_the_window_and_tell_nothing_about_queues() {
    let mut now = start();
    let mut window = Window::new(WindowRules::default(), now);
    for round in 0u64..200 {
        // Answers of the same length that take longer and longer.
        now += Duration::from_millis(500);
        window.answered(now, &whole(now - Duration::from_millis(100 + round * 100), window.limit(), 200));
        if round % 16 == 0 {
            window.first_token(now, &sample(now - Duration::from_millis(200), 1));
        }
    }
    assert!(window.limit() > 100, "{}", window.limit());
    assert_eq!(window.queueing_cuts(), 0);
}

#[test]
fn without_streams_whole_answers_are_compared_with_others_of_their_length() {
    for (late, queue) in [(1.0, false), (2.0, true)] {
        let mut now = start();
        let mut window = Window::new(WindowRules::default(), now);
        for round in 0u64..400 {
            let output = 20 << (round % 6);
            // A hundredth of a second for each token; then all of it takes longer.
            let seconds = (0.2 + output as f64 / 100.0) * if round < 200 { 1.0 } else { late };
            now += Duration::from_millis(100);
            let began = now.checked_sub(Duration::from_secs_f64(seconds)).unwrap_or(now);
            window.answered(now, &whole(began, window.limit(), output));
        }
        assert_eq!(window.queueing_cuts() > 0, queue, "{late} times as late: {}", window.limit());
    }
}

#[test]
fn an_idle_window_falls_to_what_was_used() {
    let mut now = start();
    let mut window = Window::new(WindowRules { start: 10, ..WindowRules::default() }, now);
    for round in 0..2_000u32 {
        now += Duration::from_millis(10);
        window.first_token(now, &sample(now - Duration::from_millis(300), window.limit().min(500 + round)));
    }
    let wide = window.limit();
    assert!(wide > 100, "{wide}");
    for _ in 0..600 {
        now += Duration::from_secs(1);
        window.first_token(now, &sample(now - Duration::from_millis(300), 30));
        window.ended(now);
        window.tick(now);
    }
    assert!((30..=36).contains(&window.limit()), "{}", window.limit());
    for _ in 0..600 {
        now += Duration::from_secs(1);
        window.tick(now);
    }
    assert!((10..=11).contains(&window.limit()), "{}", window.limit());
}
