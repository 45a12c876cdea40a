//! One case for each reason, and their order.

use atp_core::Capability;

use super::*;

fn facts() -> CandidateFacts {
    CandidateFacts {
        p95_ms: Some(900),
        context: Some(1_000),
        capabilities: Some([Capability::Tools].into_iter().collect()),
        safety: Some(Grade::B),
        scopes: Some(vec![Arc::from("public"), Arc::from("internal")]),
        ..CandidateFacts::named("m")
    }
}

fn now() -> CandidateNow {
    let forecast = Forecast {
        input: 500,
        output: 100,
        output_guarded: 300,
        cost: Some(MicroUsd(10)),
        guarded: Some(MicroUsd(20)),
    };
    CandidateNow { forecast, ..CandidateNow::default() }
}

fn needs() -> Needs {
    Needs::of(Quality::Balanced)
}

fn reason(needs: &Needs) -> Option<Dropped> {
    hard(needs, &facts(), &now())
}

#[test]
fn what_asks_for_nothing_may_go_anywhere() {
    assert_eq!(reason(&needs()), None);
    assert_eq!(hard(&needs(), &CandidateFacts::named("m"), &CandidateNow::default()), None);
}

#[test]
fn shadow_and_retired_models_do_not_answer_and_fallbacks_may() {
    let of = |status| hard(&needs(), &facts(), &CandidateNow { status, ..now() });
    assert_eq!(of(Status::Shadow), Some(Dropped::Status));
    assert_eq!(of(Status::Retired), Some(Dropped::Status));
    assert_eq!((of(Status::Fallback), of(Status::Active)), (None, None));
}

#[test]
fn who_answers_in_the_shadow_sees_no_more_than_who_answers() {
    let shadow = CandidateNow { status: Status::Shadow, ..now() };
    assert_eq!(barred(&needs(), &facts(), &shadow), None);
    let secret = Needs { data_scope: Some(Arc::from("secret")), ..needs() };
    assert_eq!(hard(&secret, &facts(), &shadow), Some(Dropped::Status));
    assert_eq!(barred(&secret, &facts(), &shadow), Some(Dropped::DataScope));
}

#[test]
fn the_first_capability_that_is_lacking_is_named() {
    let asks = |wanted: &[Capability]| Needs { capabilities: wanted.iter().copied().collect(), ..needs() };
    assert_eq!(reason(&asks(&[Capability::Tools])), None);
    assert_eq!(reason(&asks(&[Capability::Json, Capability::Images])), Some(Dropped::Lacks(Capability::Images)));
    let unsaid = CandidateFacts { capabilities: None, ..facts() };
    assert_eq!(hard(&asks(&[Capability::Audio]), &unsaid, &now()), None);
}

#[test]
fn labelled_data_goes_only_where_the_label_is_carried() {
    let of = |label: &str| Needs { data_scope: Some(Arc::from(label)), ..needs() };
    assert_eq!(reason(&of("internal")), None);
    assert_eq!(reason(&of("secret")), Some(Dropped::DataScope));
    let unlabelled = CandidateFacts { scopes: None, ..facts() };
    assert_eq!(hard(&of("public"), &unlabelled, &now()), Some(Dropped::DataScope));
    assert_eq!(hard(&needs(), &unlabelled, &now()), None);
}

#[test]
fn a_is_safer_than_b_and_no_grade_is_none() {
    let of = |grade| Needs { safety: Some(grade), ..needs() };
    assert_eq!(reason(&of(Grade::A)), Some(Dropped::Safety), "b does not do where a is required");
    assert_eq!((reason(&of(Grade::B)), reason(&of(Grade::C))), (None, None));
    let ungraded = CandidateFacts { safety: None, ..facts() };
    assert_eq!(hard(&of(Grade::D), &ungraded, &now()), Some(Dropped::Safety));
}

#[test]
fn prompt_and_answer_have_to_fit_together() {
    let of = |max_output| Needs { max_output, ..needs() };
    assert_eq!(reason(&of(Some(500))), None);
    assert_eq!(reason(&of(Some(501))), Some(Dropped::Context));
    assert_eq!(reason(&of(Some(u64::MAX))), Some(Dropped::Context));
    let small = CandidateFacts { context: Some(799), ..facts() };
    assert_eq!(hard(&of(None), &small, &now()), Some(Dropped::Context), "the guarded forecast counts");
}

#[test]
fn a_ceiling_is_compared_with_the_guarded_forecast_and_asks_for_a_price() {
    let of = |most| Needs { max_cost: Some(MicroUsd(most)), ..needs() };
    assert_eq!((reason(&of(20)), reason(&of(19))), (None, Some(Dropped::Cost)));
    let unpriced = CandidateNow { forecast: Forecast { guarded: None, ..now().forecast }, ..now() };
    assert_eq!(hard(&of(1_000_000), &facts(), &unpriced), Some(Dropped::UnknownPrice));
    assert_eq!(hard(&needs(), &facts(), &unpriced), None);
}

#[test]
fn a_ceiling_that_nobody_asked_for_lets_unknown_prices_pass() {
    let usual = Needs { usual_cost: Some(MicroUsd(19)), ..needs() };
    assert_eq!(reason(&usual), Some(Dropped::Cost));
    let unpriced = CandidateNow { forecast: Forecast { guarded: None, ..now().forecast }, ..now() };
    assert_eq!(hard(&usual, &facts(), &unpriced), None);
    assert_eq!(reason(&Needs { max_cost: Some(MicroUsd(20)), ..usual }), None, "what was asked for goes before it");
}

#[test]
fn budget_and_health_are_the_last_to_be_named() {
    let broke = CandidateNow { affordable: false, healthy: false, ..now() };
    assert_eq!(hard(&needs(), &facts(), &broke), Some(Dropped::Budget));
    let ill = CandidateNow { healthy: false, ..now() };
    assert_eq!(hard(&needs(), &facts(), &ill), Some(Dropped::Health));
}

#[test]
fn floors_hold_to_the_last_digit() {
    for quality in Quality::ALL {
        let asks = Needs::of(quality);
        assert_eq!(soft(&asks, &facts(), &now(), quality.floor()), None);
        assert_eq!(soft(&asks, &facts(), &now(), quality.floor().next_down()), Some(Dropped::Quality));
    }
}

#[test]
fn the_measured_latency_goes_before_the_configured() {
    let of = |slo_ms| Needs { slo_ms: Some(slo_ms), ..needs() };
    assert_eq!(soft(&of(900), &facts(), &now(), 1.0), None);
    assert_eq!(soft(&of(899), &facts(), &now(), 1.0), Some(Dropped::Latency));
    let measured = CandidateNow { p95_ms: Some(200), ..now() };
    assert_eq!(soft(&of(200), &facts(), &measured, 1.0), None);
    assert_eq!(soft(&of(1), &CandidateFacts::named("m"), &now(), 1.0), None, "unknown is taken to be in time");
}
