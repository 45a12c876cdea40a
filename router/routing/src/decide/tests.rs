//! Choices of a route with three models.

use atp_core::{Capability, Dropped, Forecast, Grade, MicroUsd, Plan, Quality, Role, Status};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;
use crate::bandit::{D, Strategy};

/// Small and cheap, middling, and good and dear.
pub(crate) fn rules(strategy: Strategy) -> MindRules {
    let model = |name: &str, quality, p95_ms| CandidateFacts {
        quality: Some(quality),
        p95_ms: Some(p95_ms),
        ..CandidateFacts::named(name)
    };
    MindRules {
        route: Arc::from("auto"),
        candidates: vec![model("small", 0.70, 400), model("middle", 0.80, 900), model("large", 0.92, 1_400)],
        strategy,
        explore: 0.05,
        prior_weight: 10.0,
        half_life_ms: 86_400_000,
        sticky: StickyRules::default(),
    }
}

pub(crate) fn now() -> Vec<CandidateNow> {
    [40, 100, 200]
        .map(|guarded| {
            let forecast = Forecast {
                input: 100,
                output: 100,
                output_guarded: 200,
                cost: Some(MicroUsd(guarded / 2)),
                guarded: Some(MicroUsd(guarded)),
            };
            CandidateNow { forecast, ..CandidateNow::default() }
        })
        .to_vec()
}

pub(crate) fn request(number: u64) -> Request {
    Request {
        id: RequestId::from_parts(1_700_000_000_000 + number, u128::from(number)),
        tenant: Arc::from("acme"),
        asked: Arc::from("auto:fast"),
        features: Features { tokens: 100, prompt_hash: number, ..Features::default() },
        context: Context { cluster: 0, x: [1.0, 0.3, 0.0, 0.0, -0.2, 0.0, 0.0, 0.0] },
        cluster: Arc::from("chat"),
        needs: Needs::of(Quality::Fast),
        keys: StickyKeys::default(),
        now_ms: 1_700_000_000_000 + number,
        seed: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

fn reasons(plan: &Plan) -> Vec<Option<Dropped>> {
    plan.candidates.iter().map(|each| each.dropped).collect()
}

#[test]
fn a_plan_holds_everybody_and_says_why() {
    let mut mind = Mind::new(rules(Strategy::Cheapest));
    let mut request = request(1);
    request.needs = Needs::of(Quality::Balanced);
    let plan = mind.decide(&request, &now());
    assert_eq!(reasons(&plan), [Some(Dropped::Quality), None, None]);
    assert_eq!((plan.order.as_slice(), plan.primary().map(|each| &*each.model)), ([1, 2].as_slice(), Some("middle")));
    assert_eq!(plan.roles, [(Role::Primary, 1), (Role::Explore, 2)]);
    assert_eq!((&*plan.strategy, &*plan.route, &*plan.cluster), ("cheapest", "auto:fast", "chat"));
    assert!(plan.reason.starts_with("middle is the cheapest of 2 acceptable"), "{}", plan.reason);
    assert_eq!((plan.candidates[1].terms.cost, plan.candidates[1].terms.probability), (0.5, 1.0));
}

#[test]
fn the_last_of_three_is_the_last_resort() {
    let plan = Mind::new(rules(Strategy::Cheapest)).decide(&request(1), &now());
    assert_eq!(plan.roles, [(Role::Primary, 0), (Role::Explore, 1), (Role::Fallback, 2)]);
}

#[test]
fn fallbacks_come_last_and_answer_where_nobody_else_may() {
    let mut now = now();
    now[0].status = Status::Fallback;
    let mut mind = Mind::new(rules(Strategy::Cheapest));
    let plan = mind.decide(&request(1), &now);
    assert_eq!(plan.order, [1, 2, 0], "although it is the cheapest");
    assert_eq!(plan.roles[2], (Role::Fallback, 0));
    (now[1].healthy, now[2].healthy) = (false, false);
    let plan = mind.decide(&request(2), &now);
    assert_eq!(
        (plan.order.as_slice(), reasons(&plan)),
        ([0].as_slice(), vec![None, Some(Dropped::Health), Some(Dropped::Health)])
    );
}

#[test]
fn where_only_quality_and_latency_are_missed_the_best_in_time_answers() {
    let mut mind = Mind::new(rules(Strategy::Contextual));
    let mut request = request(1);
    (request.needs.quality, request.needs.slo_ms) = (Quality::High, Some(1_000));
    let plan = mind.decide(&request, &now());
    assert_eq!(plan.order, [1, 0, 2], "the best in time, then the late one");
    assert_eq!((&*plan.strategy, plan.candidates[1].terms.probability), ("quality", 1.0));
    assert_eq!(reasons(&plan), [Some(Dropped::Quality), Some(Dropped::Quality), Some(Dropped::Latency)]);
    request.needs.slo_ms = Some(100);
    assert_eq!(mind.decide(&request, &now()).order, [2, 1, 0], "all are late: the best quality");
}

#[test]
fn where_hard_reasons_drop_all_nobody_answers_and_each_is_named() {
    let mut mind = Mind::new(rules(Strategy::Contextual));
    let mut now = now();
    now[1].healthy = false;
    now[2].status = Status::Retired;
    let mut request = request(1);
    request.needs.max_cost = Some(MicroUsd(39));
    let plan = mind.decide(&request, &now);
    assert!(plan.order.is_empty() && plan.roles.is_empty());
    assert_eq!(&*plan.reason, "no candidate may answer: small (cost), middle (cost), large (status)");
    assert_eq!(mind.kept(), 0);
}

#[test]
fn a_hard_reason_is_not_outweighed_by_a_soft_one() {
    let mut mind = Mind::new(rules(Strategy::Contextual));
    let mut request = request(1);
    request.needs = Needs { max_cost: Some(MicroUsd(50)), ..Needs::of(Quality::High) };
    let plan = mind.decide(&request, &now());
    assert_eq!(reasons(&plan), [Some(Dropped::Quality), Some(Dropped::Cost), Some(Dropped::Cost)]);
    assert_eq!(plan.order, [0], "less good, but paid for");
}

#[test]
fn who_has_no_room_stands_behind_who_has() {
    let mut now = now();
    now[0].room = false;
    let plan = Mind::new(rules(Strategy::Cheapest)).decide(&request(1), &now);
    assert_eq!(plan.order, [1, 2, 0]);
    now.iter_mut().for_each(|each| each.room = false);
    assert_eq!(Mind::new(rules(Strategy::Cheapest)).decide(&request(1), &now).order, [0, 1, 2]);
}

#[test]
fn live_quality_is_what_floors_are_held_against() {
    let mut mind = Mind::new(rules(Strategy::Cheapest));
    let context = request(0).context;
    for number in 0..200 {
        mind.learn(&Lesson {
            arm: 0,
            context,
            weights: atp_core::Weights::of(Quality::Fast),
            served: Some(true),
            quality: Some((0.2, 1.0)),
            quiet: false,
            cost: None,
            latency: None,
            now_ms: 1_700_000_000_000 + number,
        });
    }
    let plan = mind.decide(&request(300), &now());
    assert_eq!(plan.candidates[0].dropped, Some(Dropped::Quality), "its configured 0.70 was disproved");
    assert_eq!(plan.primary().map(|each| &*each.model), Some("middle"));
}

fn session(number: u64, key: u64) -> Request {
    Request { keys: StickyKeys { session: Some(key), prefix: None }, ..request(number) }
}

fn prefix(number: u64, key: u64) -> Request {
    Request { keys: StickyKeys { session: None, prefix: Some(key) }, ..request(number) }
}

#[test]
fn a_session_stays_with_its_model_until_that_is_ill() {
    let mut mind = Mind::new(rules(Strategy::Cheapest));
    let mut dear = now();
    dear[0].healthy = false;
    assert_eq!(mind.decide(&session(1, 1 << 20), &dear).order[0], 1);
    let plan = mind.decide(&session(2, 1 << 20), &now());
    assert_eq!((plan.order[0], &*plan.strategy), (1, "sticky"), "a cheaper one is there again");
    let probabilities: Vec<f64> = plan.candidates.iter().map(|each| each.terms.probability).collect();
    assert_eq!(probabilities, [0.0, 1.0, 0.0]);
    let mut ill = now();
    ill[1].healthy = false;
    let plan = mind.decide(&session(3, 1 << 20), &ill);
    assert_eq!((plan.order[0], &*plan.strategy), (0, "cheapest"));
    assert_eq!(mind.decide(&session(4, 1 << 20), &now()).order[0], 0, "it has moved for good");
}

#[test]
fn habit_overrides_no_hard_filter_and_no_full_lane() {
    let mut mind = Mind::new(rules(Strategy::Cheapest));
    assert_eq!(mind.decide(&session(1, 1 << 20), &now()).order[0], 0);
    let mut needy = session(2, 1 << 20);
    needy.needs.safety = Some(Grade::B);
    assert!(mind.decide(&needy, &now()).order.is_empty());
    let mut full = now();
    full[0].room = false;
    assert_eq!(mind.decide(&session(3, 1 << 20), &full).order[0], 1);
}

#[test]
fn a_prompts_beginning_leaves_a_model_that_fell_behind() {
    let mut mind = Mind::new(rules(Strategy::Cheapest));
    let mut dear = now();
    dear[0].healthy = false;
    assert_eq!(mind.decide(&prefix(1, 1 << 20), &dear).order[0], 1);
    let plan = mind.decide(&prefix(2, 1 << 20), &now());
    assert_eq!((plan.order[0], &*plan.strategy), (0, "cheapest"), "0.3 cheaper is more than a warm cache is worth");
    let mut near = now();
    near[1].forecast.guarded = Some(MicroUsd(32));
    let plan = mind.decide(&prefix(3, 1 << 20), &near);
    assert_eq!((plan.order[0], &*plan.strategy), (0, "sticky"), "0.04 is not");
}

#[test]
fn requests_that_are_spent_on_learning_are_so_beside_a_warm_cache_and_bind_nobody() {
    let mut mind = Mind::new(rules(Strategy::Contextual));
    let (mut explored, mut others) = (0, 0);
    for number in 0..4_000 {
        let would = mind.would(&prefix(number, 1 << 20), &now());
        let plan = mind.decide(&prefix(number, 1 << 20), &now());
        assert_eq!(plan, would, "a look tells what is decided");
        let sum: f64 = plan.candidates.iter().map(|each| each.terms.probability).sum();
        assert!((sum - 1.0).abs() < 1e-9);
        explored += u32::from(plan.explored);
        let kept = mind.sticky.prefix(prefix(number, 1 << 20).keys, plan_time(number));
        others += u32::from(kept != Some(plan.order[0]));
    }
    assert!((20..=220).contains(&explored), "some and at most 5 %: {explored}");
    assert_eq!(others, explored, "whom a draw chose is bound to nobody");
}

fn plan_time(number: u64) -> u64 {
    request(number).now_ms
}

#[test]
fn a_look_leaves_no_trace() {
    let mut mind = Mind::new(rules(Strategy::Contextual));
    mind.decide(&session(1, 1 << 20), &now());
    let before = mind.clone();
    let _plan = mind.would(&session(2, 1 << 21), &now());
    assert_eq!(mind, before);
}

#[test]
fn a_reload_keeps_what_was_learnt_and_who_kept_to_whom() {
    let mut before = Mind::new(rules(Strategy::Cheapest));
    before.decide(&session(1, 1 << 20), &now());
    let mut turned = rules(Strategy::Cheapest);
    turned.candidates.rotate_left(1);
    let mut after = Mind::new(turned);
    after.adopt(&before);
    assert_eq!(after.events(), 1);
    let mut now = now();
    now.rotate_left(1);
    let plan = after.decide(&session(2, 1 << 20), &now);
    assert_eq!((plan.primary().map(|each| &*each.model), &*plan.strategy), (Some("small"), "sticky"));
}

#[test]
fn a_candidate_that_is_not_listed_counts_as_retired() {
    let plan = Mind::new(rules(Strategy::Cheapest)).decide(&request(1), &now()[..1]);
    assert_eq!((plan.order.as_slice(), reasons(&plan)[1]), ([0].as_slice(), Some(Dropped::Status)));
    assert_eq!((&*plan.strategy, plan.candidates[0].terms.probability), ("only", 1.0));
}

/// Random states of the three models.
fn any_now() -> impl Strategy_<Value = Vec<CandidateNow>> {
    let status = prop_oneof![
        6 => Just(Status::Active), 1 => Just(Status::Fallback), 1 => Just(Status::Shadow), 1 => Just(Status::Retired)
    ];
    let one = (status, prop::option::of(0u64..300), prop::option::of(0u64..3_000), 0u8..8).prop_map(
        |(status, guarded, p95_ms, bits)| CandidateNow {
            status,
            forecast: Forecast { guarded: guarded.map(MicroUsd), input: 10, ..Forecast::default() },
            p95_ms,
            healthy: bits & 1 == 0 || bits & 2 == 0,
            room: bits & 2 == 0,
            affordable: bits & 4 == 0 || bits & 1 == 0,
        },
    );
    prop::collection::vec(one, 3)
}

fn any_needs() -> impl Strategy_<Value = Needs> {
    (0usize..3, prop::option::of(0u64..300), prop::option::of(1u64..3_000)).prop_map(|(quality, cost, slo_ms)| Needs {
        max_cost: cost.map(MicroUsd),
        slo_ms,
        ..Needs::of(Quality::ALL[quality])
    })
}

use proptest::strategy::Strategy as Strategy_;

proptest! {
    #[test]
    fn no_plan_breaks_a_ceiling_or_invents_a_candidate(
        steps in prop::collection::vec((any_now(), any_needs(), 0u64..6, any::<u64>()), 1..60),
        strategy in 0usize..4,
    ) {
        let mut mind = Mind::new(rules(Strategy::ALL[strategy]));
        for (number, (now, needs, key, seed)) in (0..).zip(steps) {
            let keys = StickyKeys { session: (key > 2).then_some(key << 8), prefix: (key % 2 == 0).then_some(key << 8) };
            let request = Request { needs, keys, seed, ..request(number) };
            let plan = mind.decide(&request, &now);
            let mut seen = plan.order.clone();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), plan.order.len(), "nobody stands twice");
            prop_assert_eq!(plan.candidates.len(), 3);
            for arm in &plan.order {
                let each = &plan.candidates[*arm];
                prop_assert!(!matches!(now[*arm].status, Status::Shadow | Status::Retired));
                prop_assert!(now[*arm].healthy && now[*arm].affordable);
                if let Some(most) = request.needs.max_cost {
                    prop_assert!(each.forecast.guarded.is_some_and(|guarded| guarded <= most));
                }
                let soft = matches!(each.dropped, Some(Dropped::Quality | Dropped::Latency));
                prop_assert!(each.dropped.is_none() || (soft && &*plan.strategy == "quality"));
            }
            let sum: f64 = plan.candidates.iter().map(|each| each.terms.probability).sum();
            if let Some(first) = plan.primary() {
                prop_assert!((sum - 1.0).abs() < 1e-9, "{}", sum);
                prop_assert!(first.terms.probability > 0.0);
            } else {
                prop_assert_eq!(sum, 0.0);
                prop_assert!(plan.candidates.iter().all(|each| each.dropped.is_some()));
            }
            for (arm, each) in plan.candidates.iter().enumerate() {
                prop_assert!(each.terms.probability == 0.0 || plan.order.contains(&arm));
            }
        }
    }
}

#[test]
fn what_was_logged_as_a_probability_is_how_often_it_happens() {
    let mut mind = Mind::new(rules(Strategy::Contextual));
    mind.decide(&prefix(0, 1 << 20), &now());
    let mut dice = StdRng::seed_from_u64(3);
    let mut counts = [0u32; 3];
    let mut expected = [0.0; 3];
    for _ in 0..40_000 {
        let plan = mind.would(&Request { seed: dice.random(), ..prefix(1, 1 << 20) }, &now());
        counts[plan.order[0]] += 1;
        expected = [0, 1, 2].map(|arm| plan.candidates[arm].terms.probability);
    }
    for (count, probability) in counts.into_iter().zip(expected) {
        // Five standard deviations of a binomial draw are at most 500.
        assert!((f64::from(count) - probability * 40_000.0).abs() < 500.0, "{counts:?} {expected:?}");
    }
}

#[test]
fn capabilities_are_looked_at_before_everything_that_changes() {
    let mut rules = rules(Strategy::Contextual);
    rules.candidates[2].capabilities = Some([Capability::Tools].into_iter().collect());
    let mut request = request(1);
    request.needs.capabilities = [Capability::Images].into_iter().collect();
    request.context.x = [0.0; D];
    let plan = Mind::new(rules).decide(&request, &now());
    assert_eq!(plan.candidates[2].dropped, Some(Dropped::Lacks(Capability::Images)));
}
