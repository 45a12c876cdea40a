//! Claims about the walk, with seeded dice and times that are values.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::plan;

fn start() -> Instant {
    tests_clock()
}

/// Any instant will do: only differences count.
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from; no claim depends on which")]
fn tests_clock() -> Instant {
    Instant::now()
}

const FAR: Duration = Duration::from_secs(600);

fn rules() -> Rules {
    Rules::default()
}

#[test]
fn every_target_is_asked_once_before_any_is_asked_again() {
    let now = start();
    let mut rng = StdRng::seed_from_u64(1);
    let mut walk = Walk::new(plan::as_configured(5));
    for target in 0..5 {
        assert_eq!(walk.next(now + FAR, &rules()), Step::Ask(target));
        walk.failed(target, Again::Paused, now, &rules(), &mut rng);
    }
    // Five tries are more than three attempts: no second round.
    assert_eq!(walk.next(now + FAR, &rules()), Step::Stop);
    assert_eq!(walk.tries(), 5);
}

#[test]
fn a_target_that_is_asked_ahead_is_asked_no_second_time_and_the_others_keep_their_order() {
    let now = start();
    let mut walk = Walk::new(plan::as_configured(4));
    assert_eq!(walk.next(now + FAR, &rules()), Step::Ask(0));
    assert_eq!(walk.fresh(), [1, 2, 3]);
    assert!(walk.ask_ahead(2));
    assert!(!walk.ask_ahead(2) && !walk.ask_ahead(0) && !walk.ask_ahead(7), "asked already, or no target");
    assert_eq!(walk.tries(), 2);
    assert_eq!(walk.next(now + FAR, &rules()), Step::Ask(1));
    assert_eq!(walk.next(now + FAR, &rules()), Step::Ask(3));
    assert_eq!((walk.next(now + FAR, &rules()), walk.fresh().len()), (Step::Stop, 0));
}

#[test]
fn a_target_that_is_asked_instead_of_another_leaves_that_one_for_later() {
    let now = start();
    let mut walk = Walk::new(plan::as_configured(3));
    assert_eq!(walk.next(now + FAR, &rules()), Step::Ask(0));
    walk.ask_instead(0, 0);
    walk.ask_instead(0, 2);
    assert_eq!((walk.tries(), walk.fresh()), (1, &[1, 0][..]));
    assert_eq!(walk.next(now + FAR, &rules()), Step::Ask(1));
    walk.ask_instead(7, 0);
    assert_eq!(walk.next(now + FAR, &rules()), Step::Ask(0));
    assert_eq!(walk.next(now + FAR, &rules()), Step::Stop);
}

#[test]
fn a_lone_target_is_asked_three_times_in_all() {
    let now = start();
    let mut rng = StdRng::seed_from_u64(2);
    let mut walk = Walk::new(plan::as_configured(1));
    assert_eq!(walk.next(now + FAR, &rules()), Step::Ask(0));
    for _ in 0..2 {
        walk.failed(0, Again::Paused, now, &rules(), &mut rng);
        let Step::AskAgain(0, at) = walk.next(now + FAR, &rules()) else { panic!("asked again") };
        assert!(at <= now + Duration::from_millis(200));
    }
    walk.failed(0, Again::Paused, now, &rules(), &mut rng);
    assert_eq!(walk.next(now + FAR, &rules()), Step::Stop);
}

#[test]
fn a_target_that_would_fail_again_is_not_asked_again() {
    let now = start();
    let mut walk = Walk::new(plan::as_configured(1));
    walk.next(now + FAR, &rules());
    walk.failed(0, Again::No, now, &rules(), &mut StdRng::seed_from_u64(3));
    assert_eq!(walk.next(now + FAR, &rules()), Step::Stop);
}

#[test]
fn the_smallest_named_pause_is_waited_out() {
    let now = start();
    let mut rng = StdRng::seed_from_u64(4);
    let mut walk = Walk::new(plan::as_configured(2));
    walk.next(now + FAR, &rules());
    walk.failed(0, Again::After(Duration::from_millis(1_500)), now, &rules(), &mut rng);
    walk.next(now + FAR, &rules());
    walk.failed(1, Again::After(Duration::from_millis(700)), now, &rules(), &mut rng);
    assert_eq!(walk.next(now + FAR, &rules()), Step::AskAgain(1, now + Duration::from_millis(700)));
}

#[test]
fn a_named_pause_beyond_the_longest_wait_is_left_to_the_caller() {
    let now = start();
    let mut walk = Walk::new(plan::as_configured(1));
    walk.next(now + FAR, &rules());
    walk.failed(0, Again::After(Duration::from_secs(30)), now, &rules(), &mut StdRng::seed_from_u64(5));
    assert_eq!(walk.next(now + FAR, &rules()), Step::Stop);
}

#[test]
fn a_pause_that_reaches_the_deadline_is_not_begun() {
    let now = start();
    let mut walk = Walk::new(plan::as_configured(1));
    walk.next(now + FAR, &rules());
    walk.failed(0, Again::After(Duration::from_secs(1)), now, &rules(), &mut StdRng::seed_from_u64(6));
    assert_eq!(walk.next(now + Duration::from_secs(1), &rules()), Step::Stop);
}

#[test]
fn an_empty_plan_stops_at_once() {
    assert_eq!(Walk::new(Order::new()).next(start(), &rules()), Step::Stop);
}

fn verdicts() -> impl Strategy<Value = Again> {
    prop_oneof![
        Just(Again::No),
        Just(Again::Paused),
        (0u64..4_000).prop_map(|millis| Again::After(Duration::from_millis(millis))),
    ]
}

proptest! {
    #[test]
    fn tries_are_bounded_and_named_pauses_are_kept(
        targets in 0usize..6,
        verdicts in prop::collection::vec(verdicts(), 40),
        max_attempts in 1u32..8,
        patience in 0u64..20_000,
        seed: u64,
    ) {
        let rules = Rules { max_attempts, ..Rules::default() };
        let mut rng = StdRng::seed_from_u64(seed);
        let mut now = start();
        let deadline = now + Duration::from_millis(patience);
        let mut walk = Walk::new(plan::as_configured(targets));
        let mut free = vec![Some(now); targets];
        let mut tries = 0usize;
        for verdict in verdicts {
            let target = match walk.next(deadline, &rules) {
                Step::Ask(target) => target,
                Step::AskAgain(target, at) => {
                    prop_assert!(at < deadline);
                    now = now.max(at);
                    target
                }
                Step::Stop => break,
            };
            tries += 1;
            prop_assert!(free[target].is_some_and(|from| now >= from), "asked too soon, or in spite of a no");
            free[target] = match verdict {
                Again::No => None,
                Again::Paused => Some(now),
                Again::After(pause) => Some(now + pause),
            };
            walk.failed(target, verdict, now, &rules, &mut rng);
        }
        prop_assert!(tries <= targets.max(max_attempts as usize));
        prop_assert_eq!(walk.tries() as usize, tries);
    }
}
