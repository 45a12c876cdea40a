//! What dollars and milliseconds are worth between 0 and 1.

use atp_core::MicroUsd;
use serde::{Deserialize, Serialize};

use crate::candidate::{CandidateFacts, CandidateNow, Needs, p95_ms};

/// What an unknown cost or latency counts as: the middle, so that not knowing is neither praise nor blame.
const UNKNOWN: f64 = 0.5;

/// The cost and the latency that count as nothing gained: the request's own ceilings, or the dearest and the
/// slowest of the candidates where that is less. Under a ceiling that is far above all of them they would all look
/// free, and quality alone would decide. Free and at once count as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scale {
    /// In micro-dollars; `None` where no candidate has a price and there is no ceiling.
    pub cost: Option<MicroUsd>,
    /// In milliseconds; `None` where no candidate's is known and none was asked for.
    pub latency_ms: Option<u64>,
}

impl Scale {
    /// The scale of one request.
    #[must_use]
    pub fn of(needs: &Needs, facts: &[CandidateFacts], now: &[CandidateNow]) -> Self {
        let dearest = now.iter().filter_map(|now| now.forecast.guarded).max();
        let slowest = facts.iter().zip(now).filter_map(|(facts, now)| p95_ms(facts, now)).max();
        Self { cost: least(needs.ceiling(), dearest), latency_ms: least(needs.slo_ms, slowest) }
    }

    /// How cheap a cost is.
    #[must_use]
    pub fn cost(&self, cost: Option<MicroUsd>) -> f64 {
        share_left(cost.map(|cost| cost.0), self.cost.map(|most| most.0))
    }

    /// How soon a latency is.
    #[must_use]
    pub fn latency(&self, ms: Option<u64>) -> f64 {
        share_left(ms, self.latency_ms)
    }
}

/// The lesser of those that are known.
fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    [one, other].into_iter().flatten().min()
}

#[expect(clippy::cast_precision_loss, reason = "a ratio; its last digits do not matter")]
fn share_left(used: Option<u64>, most: Option<u64>) -> f64 {
    match (used, most) {
        (Some(0), _) => 1.0,
        (Some(used), Some(most)) if most > 0 => (1.0 - used as f64 / most as f64).max(0.0),
        (Some(_), Some(_)) => 0.0,
        (None, _) | (_, None) => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use atp_core::{Forecast, Quality};

    use super::*;

    fn candidate(guarded: Option<u64>, p95_ms: Option<u64>) -> CandidateNow {
        let forecast = Forecast { guarded: guarded.map(MicroUsd), ..Forecast::default() };
        CandidateNow { forecast, p95_ms, ..CandidateNow::default() }
    }

    #[test]
    fn the_requests_own_ceilings_are_the_scale() {
        let needs = Needs { max_cost: Some(MicroUsd(200)), slo_ms: Some(1_000), ..Needs::of(Quality::Fast) };
        let scale = Scale::of(&needs, &[], &[]);
        assert_eq!((scale.cost(Some(MicroUsd(50))), scale.latency(Some(900))), (0.75, 1.0 - 0.9));
        assert_eq!((scale.cost(Some(MicroUsd(500))), scale.latency(Some(5_000))), (0.0, 0.0));
        assert_eq!((scale.cost(None), scale.latency(None)), (0.5, 0.5));
    }

    #[test]
    fn a_ceiling_that_nobody_comes_near_does_not_make_all_look_free() {
        let needs = Needs { max_cost: Some(MicroUsd(1_000_000)), slo_ms: Some(60_000), ..Needs::of(Quality::Fast) };
        let now = [candidate(Some(400), Some(800)), candidate(Some(100), Some(200))];
        let facts = [CandidateFacts::named("a"), CandidateFacts::named("b")];
        let scale = Scale::of(&needs, &facts, &now);
        assert_eq!((scale.cost(Some(MicroUsd(100))), scale.latency(Some(200))), (0.75, 0.75));
    }

    #[test]
    fn without_ceilings_the_dearest_and_the_slowest_are() {
        let facts = [CandidateFacts::named("a"), CandidateFacts::named("b")];
        let now = [candidate(Some(400), None), candidate(Some(100), Some(800))];
        let scale = Scale::of(&Needs::of(Quality::Fast), &facts, &now);
        assert_eq!(scale, Scale { cost: Some(MicroUsd(400)), latency_ms: Some(800) });
        assert_eq!((scale.cost(Some(MicroUsd(100))), scale.cost(Some(MicroUsd(400)))), (0.75, 0.0));
    }

    #[test]
    fn what_is_free_is_best_and_a_ceiling_of_nothing_divides_nothing() {
        let scale = Scale { cost: Some(MicroUsd(0)), latency_ms: None };
        assert_eq!((scale.cost(Some(MicroUsd(0))), scale.cost(Some(MicroUsd(1)))), (1.0, 0.0));
        assert_eq!(scale.latency(Some(7)), 0.5);
    }
}
