//! Claims about slots and victims.

use std::time::Duration;

use super::*;

/// Any instant will do: only differences count.
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from; no claim depends on which")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn the_last_slots_are_shared_as_designed() {
    // Window, most, gold keys: for everybody, for gold, for a flow that has nothing.
    let cases = [
        (0, 10, Gold::Configured, (0, 0, 0)),
        (1, 10, Gold::Configured, (1, 1, 2)),
        (1, 1, Gold::Configured, (1, 1, 1)),
        (3, 10, Gold::Configured, (3, 3, 4)),
        (4, 10, Gold::Configured, (3, 4, 5)),
        (4, 10, Gold::Absent, (4, 4, 5)),
        (19, 100, Gold::Configured, (18, 19, 21)),
        (20, 100, Gold::Configured, (18, 20, 22)),
        (31, 100, Gold::Absent, (31, 31, 34)),
        (32, 100, Gold::Absent, (31, 31, 36)),
        (64, 10_000, Gold::Configured, (58, 62, 72)),
        (64, 10_000, Gold::Absent, (62, 62, 72)),
        (64, 66, Gold::Configured, (58, 62, 66)),
        (64, 64, Gold::Configured, (58, 62, 64)),
        // A window above its most, as after a reload.
        (64, 40, Gold::Configured, (36, 39, 40)),
        (u32::MAX, u32::MAX, Gold::Configured, (3_865_470_566, 4_160_749_568, u32::MAX)),
    ];
    for (window, max, gold, (common, of_gold, express)) in cases {
        let shares = Shares::of(window, max, gold);
        assert_eq!(shares, Shares { common, gold: of_gold, express }, "window {window} of {max}, {gold:?}");
    }
}

#[test]
fn who_may_take_less_is_never_let_in_before_who_may_take_more() {
    for max in 0..200 {
        for window in 0..=max {
            for gold in [Gold::Configured, Gold::Absent] {
                let of = |qos, idle| slots(window, max, qos, idle, gold);
                let common = of(Qos::Bronze, Idle::No);
                assert_eq!(common, of(Qos::Silver, Idle::No));
                let express = of(Qos::Bronze, Idle::Yes);
                assert!(Qos::ALL.into_iter().all(|qos| of(qos, Idle::Yes) == express));
                assert!(common <= of(Qos::Gold, Idle::No) && of(Qos::Gold, Idle::No) <= express && express <= max);
                // An open window lets everybody in while it is empty, a closed one nobody.
                assert_eq!(common > 0, window > 0);
                assert_eq!(express > 0, window > 0);
            }
        }
    }
}

#[test]
fn what_gold_holds_of_its_reserve_is_not_kept_free_beside_it() {
    let shares = Shares::of(64, 10_000, Gold::Configured);
    let common: Vec<u32> = [0, 1, 3, 4, 50].into_iter().map(|gold| shares.beside(gold).common).collect();
    assert_eq!(common, [58, 59, 61, 62, 62]);
    let absent = Shares::of(64, 10_000, Gold::Absent);
    assert_eq!(absent.beside(7), absent);
}

#[test]
fn gold_preempts_until_it_holds_its_part() {
    let may: Vec<bool> = [(0, 0), (0, 1), (4, 1), (5, 1), (50, 10), (49, 10)]
        .into_iter()
        .map(|(gold, bronze)| may_preempt(gold, bronze))
        .collect();
    assert_eq!(may, [false, true, true, false, false, true]);
}

#[test]
fn bronze_gives_way_first_who_is_silent_then_who_began_first() {
    let now = start();
    let running = |qos, phase, millis| Running { qos, phase, began: now + Duration::from_millis(millis) };
    let all = [
        running(Qos::Gold, Phase::Silent, 0),
        running(Qos::Bronze, Phase::Streaming, 1),
        running(Qos::Silver, Phase::Silent, 2),
        running(Qos::Bronze, Phase::Silent, 9),
        running(Qos::Bronze, Phase::Silent, 7),
        running(Qos::Bronze, Phase::Streaming, 3),
    ];
    let mut left: Vec<_> = all.into_iter().collect();
    let mut order = Vec::new();
    while let Some(place) = victim(left.iter().copied()) {
        order.push(left.remove(place));
    }
    assert_eq!(order, [all[4], all[3], all[1], all[5]]);
    assert_eq!(left, [all[0], all[2]]);
    assert_eq!(victim(std::iter::empty()), None);
}
