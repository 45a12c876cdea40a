//! Claims about the pace.

use std::time::Duration;

use atp_core::RateFact;
use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn pace_of(ns_per_token: u64, burst_tokens: u64) -> Pace {
    Pace { ns_per_token, burst_tokens, ..Pace::default() }
}

proptest! {
    #[test]
    fn no_interval_sees_more_than_rate_and_burst(
        ns_per_token in 1u64..10_000_000,
        burst in 1u64..5_000,
        asks in prop::collection::vec((0u64..2 * SECOND, 1u64..10_000), 1..100),
    ) {
        let pace = pace_of(ns_per_token, burst);
        let (mut word, mut now) = (0u64, SECOND);
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (pause, tokens) in asks {
            now += pause;
            match admit(word, now, tokens, &pace) {
                Ok(next) => {
                    word = next;
                    admitted.push((now, tokens));
                }
                Err(wait) => {
                    prop_assert!(wait > 0);
                    prop_assert!(admit(word, now + wait, tokens, &pace).is_ok(), "the wait is enough");
                    prop_assert!(admit(word, now + wait - 1, tokens, &pace).is_err(), "and no longer than needed");
                }
            }
        }
        // What a request has beyond the burst is paid for afterwards, so the last of an interval counts
        // up to the burst.
        for first in 0..admitted.len() {
            let mut sum = 0u64;
            for (at, tokens) in &admitted[first..] {
                let passed = u128::from(at - admitted[first].0);
                let allowed = passed / u128::from(ns_per_token) + u128::from(burst.max(*tokens)) + 1;
                sum += tokens;
                let paid = u128::from(sum);
                prop_assert!(paid <= allowed + u128::from(admitted[first].1.saturating_sub(burst)), "{paid} of {allowed}");
            }
        }
    }

    #[test]
    fn words_never_overflow(word: u64, now: u64, tokens: u64, used: u64, ns: u64, burst: u64, floor: u64) {
        let pace = Pace {
            ns_per_token: ns, burst_tokens: burst, floor_tokens_ns: floor, most_tokens: used,
            ns_per_request: ns, burst_requests: burst, floor_requests_ns: floor,
        };
        let _ = admit(word, now, tokens, &pace);
        let _ = admit_request(word, now, &pace);
        let _ = settle(word, now, tokens, used, &pace);
        let _ = give_back_request(word, &pace);
    }

    #[test]
    fn any_facts_at_any_time_give_a_usable_pace(
        steps in prop::collection::vec(
            (0u64..100 * SECOND, prop::option::of(any::<u64>()), prop::option::of(any::<u64>()), prop::option::of(any::<u64>()), 0u8..4),
            1..100,
        ),
    ) {
        let (mut rate, mut now) = (Rate::new(), 0u64);
        for (pause, limit, remaining, reset, what) in steps {
            now += pause;
            match what {
                0 => {
                    let fact = RateFact { limit, remaining, reset: reset.map(Duration::from_millis) };
                    rate.told(now, &RateFacts { requests: fact, tokens: fact });
                }
                1 => rate.accepted(now),
                2 => rate.refused(now, now.saturating_sub(reset.unwrap_or(0)), Named::Nothing),
                _ => {
                    rate.served(limit.unwrap_or(1));
                    rate.paused(now, now.saturating_add(reset.unwrap_or(0)));
                }
            }
            if let Some(pace) = rate.pace(now) {
                prop_assert!(pace.burst_tokens >= 1 || pace.ns_per_token == 0);
                prop_assert!(pace.burst_requests >= 1 || pace.ns_per_request == 0);
                let _ = admit(now, now, 1_000, &pace);
            }
        }
    }
}

#[test]
fn an_estimate_is_corrected_both_ways() {
    let pace = pace_of(1_000, 1);
    let word = admit(0, SECOND, 500, &pace).unwrap();
    assert_eq!(settle(word, SECOND, 500, 200, &pace), word - 300_000);
    assert_eq!(settle(word, SECOND, 500, 700, &pace), word + 200_000);
}

#[test]
fn a_usage_beyond_belief_shuts_the_lane_for_a_minute_at_most() {
    let pace = pace_of(1_000_000, 100);
    let mut word = admit(0, SECOND, 100, &pace).unwrap();
    for _ in 0..10 {
        word = settle(word, SECOND, 100, 1_000_000_000_000, &pace);
    }
    assert!(admit(word, 61 * SECOND, 100, &pace).is_ok());
    // A word that lies further ahead by what was admitted is left where it is.
    let far = 500 * SECOND;
    assert_eq!(settle(far, SECOND, 100, 1_000, &pace), far);
}

#[test]
fn a_long_prompt_does_not_stall_a_lane_whose_tokens_nobody_limits() {
    let mut rate = Rate::new();
    for try_ in 0..100u64 {
        rate.accepted(try_ * SECOND / 10);
        rate.served(1_000);
    }
    rate.refused(10 * SECOND, 10 * SECOND, Named::Nothing);
    let (now, pace) = (10 * SECOND, rate.pace(10 * SECOND).unwrap());
    let word = admit(0, now, 200_000, &pace).unwrap();
    let wait = admit(word, now, 1_000, &pace).map_or_else(|wait| wait, |_| 0);
    assert!(wait <= 3 * SECOND, "200 prompts' worth of tokens: {wait}");
    assert_eq!(settle(word, now, 200_000, 300_000, &pace), word, "nor does its end");
    let ahead = admit_ahead(now + SECOND / 5, now, 200_000, &pace).unwrap();
    assert_eq!(ahead, now + SECOND / 5 + pace.burst_tokens * pace.ns_per_token, "nor one that goes ahead");
    // With a limit of tokens it is paid for.
    rate.told(now, &fact(60_000, 60_000, 0.0));
    let pace = rate.pace(now).unwrap();
    let word = admit(0, now, 200_000, &pace).unwrap();
    assert!(admit(word, now, 1_000, &pace).is_err_and(|wait| wait > 100 * SECOND));
}

#[test]
fn what_is_told_to_be_left_may_come_at_once() {
    let mut rate = Rate::new();
    let now = 100 * SECOND;
    rate.told(now, &fact(30_000, 29_500, 1.0));
    let pace = rate.pace(now).unwrap();
    let mut word = 0;
    for request in 0..6 {
        word = admit(word, now, 4_000, &pace).unwrap_or_else(|wait| panic!("{request} waits {wait}"));
    }
    assert!(admit(word, now, 6_000, &pace).is_err(), "and no more than that");
    // What we used ourselves is not counted twice.
    rate.told(now, &fact(30_000, 5_500, 49.0));
    let pace = rate.pace(now).unwrap();
    assert!(admit(word, now, 4_800, &pace).is_ok());
    assert!(admit(word, now, 5_000, &pace).is_err());
}

#[test]
fn a_slower_pace_that_was_found_is_bound_by_what_is_told_to_be_left() {
    let mut rate = Rate::new();
    for try_ in 0..100u64 {
        rate.accepted(try_ * SECOND / 10);
        rate.served(100);
    }
    rate.refused(10 * SECOND, 10 * SECOND, Named::Nothing);
    // A thousand a second of which plenty, little and nothing is left.
    let now = 10 * SECOND;
    for (left, admitted) in [(500_000, true), (13_000, true), (12_000, false), (0, false)] {
        rate.told(now, &fact(600_000, left, 0.0));
        let pace = rate.pace(now).unwrap();
        assert_eq!(admit(0, now, 500, &pace).is_ok(), admitted, "{left} {pace:?}");
    }
}

fn fact(limit: u64, remaining: u64, reset: f64) -> RateFacts {
    let fact = RateFact { limit: Some(limit), remaining: Some(remaining), reset: Some(Duration::from_secs_f64(reset)) };
    RateFacts { tokens: fact, ..RateFacts::default() }
}

fn tokens_per_second(rate: &Rate, now: u64) -> f64 {
    1e9 / rate.pace(now).unwrap().ns_per_token as f64
}

#[test]
fn a_limit_alone_is_one_of_a_minute() {
    let mut rate = Rate::new();
    let fact = RateFact { limit: Some(60_000), ..RateFact::default() };
    rate.told(0, &RateFacts { tokens: fact, ..RateFacts::default() });
    assert!((tokens_per_second(&rate, 0) - 1_000.0).abs() < 1.0);
}

#[test]
fn a_bucket_of_a_day_is_recognised() {
    // As Groq has it: 14,400 requests a day, one of them back every six seconds.
    let mut rate = Rate::new();
    for (second, used) in [(1, 30), (2, 31), (3, 35), (4, 50), (5, 60)] {
        rate.told(second * SECOND, &fact(14_400, 14_400 - used, used as f64 * 6.0));
    }
    assert!((tokens_per_second(&rate, 5 * SECOND) - 1.0 / 6.0).abs() < 0.01);
}

#[test]
fn what_remains_of_a_fixed_window_is_spread_until_its_end() {
    let mut rate = Rate::new();
    // Others use most of it: with half a minute to go a tenth is left.
    for (second, remaining) in [(1, 58_000), (5, 50_000), (10, 40_000), (20, 20_000), (30, 6_000)] {
        rate.told(second * SECOND, &fact(60_000, remaining, 60.0 - second as f64));
    }
    let spread = tokens_per_second(&rate, 30 * SECOND);
    assert!((150.0..=200.0).contains(&spread), "{spread}");
    rate.told(31 * SECOND, &fact(60_000, 0, 29.0));
    assert!(rate.is_empty(31 * SECOND));
    let pace = rate.pace(31 * SECOND).unwrap();
    let wait = admit(0, 31 * SECOND, 1, &pace).unwrap_err();
    assert!(wait >= 28 * SECOND, "nothing is left until the window is over: {wait}");
}

#[test]
fn a_bucket_that_others_empty_is_followed() {
    let (mut rate, mut word) = (Rate::new(), 0u64);
    let (limit, refill) = (60_000.0f64, 1_000.0f64);
    let (mut level, mut ours, mut refused) = (limit, 0u64, 0u32);
    // Steps of 50 ms; somebody else takes 700 tokens a second, we take what we may in hundreds.
    for step in 0..20 * 300u64 {
        let now = step * SECOND / 20;
        level = (level + refill / 20.0).min(limit) - 700.0 / 20.0;
        while let Ok(next) = admit(word, now, 100, &rate.pace(now).unwrap_or_default()) {
            word = next;
            if level < 100.0 {
                refused += 1;
                rate.told(now, &fact(60_000, level as u64, (limit - level) / refill));
                break;
            }
            level -= 100.0;
            ours += 100;
            rate.told(now, &fact(60_000, level as u64, (limit - level) / refill));
        }
    }
    let fair = 300.0 * 300.0 + limit;
    assert!(ours as f64 > 0.95 * (fair - limit * 0.05), "{ours} of {fair}");
    assert!(refused <= 3, "{refused}");
}

#[test]
fn a_light_flow_goes_ahead_by_half_a_second_and_others_pay_for_it() {
    let pace = Pace { ns_per_token: 1_000_000, burst_tokens: 100, ..Pace::default() };
    let now = 10_000_000_000;
    let spent = admit(0, now, 100, &pace).unwrap();
    // The bucket is empty: 300 tokens take the common flow 300 ms, and the light one nothing.
    assert_eq!(admit(spent, now, 300, &pace), Err(100_000_000));
    let ahead = admit_ahead(spent, now, 300, &pace).unwrap();
    assert_eq!(ahead, spent + 300_000_000);
    assert_eq!(admit(ahead, now, 100, &pace), Err(400_000_000));
    // No further than that.
    let far = admit_ahead(ahead, now, 300, &pace).unwrap_or(ahead);
    assert!(admit_ahead(far + AHEAD_NS, now, 100, &pace).is_err());
    assert_eq!(admit_ahead(0, now, 10, &pace), admit(0, now, 10, &pace), "with room it is the same");
}
