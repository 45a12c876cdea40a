//! What is learnt of an exchange: whether a model answered, what that cost, how long it took, and what the
//! answer showed of its quality.
//!
//! Quality is learnt from what was told (scores) and from few plain signs: the form that was asked for, a
//! refusal, the model's own probability. That an answer came is reliability, not quality. What the caller did
//! (leaving, a bad request) teaches nothing about a model, nor does a limit of the router.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atp_core::port::Outcome;
use atp_core::{Error, ErrorKind, Features, Finish, MicroUsd, Report, RequestId, Reused, Signs, Upshot, Usage};
use atp_routing::bandit::Lesson;

use super::choice::Choice;
use super::chosen::{Basis, Chosen};
use super::leg::Leg;
use super::{line, log, signs};
use crate::clock;
use crate::pipeline::Shared;

/// How many scores of a person an answer of the right form weighs: little, because it need not be a good one.
const WELL_FORMED: f64 = 0.1;
/// And one of the wrong form, or a refusal: more, because it is of no use, and yet the judge is a simple one.
const OF_NO_USE: f64 = 0.5;
/// And the mean probability of an answer's tokens, taken for its score.
const SURE: f64 = 0.1;

/// How an exchange to which a model was chosen has ended.
pub(crate) struct Ended<'a> {
    pub(crate) outcome: Outcome,
    /// Whether it failed by its provider's doing.
    pub(crate) blamed: bool,
    /// What went wrong.
    pub(crate) kind: Option<ErrorKind>,
    pub(crate) report: &'a Report,
    /// The model that answered, or was asked last.
    pub(crate) model: Option<Arc<str>>,
    pub(crate) reused: Option<Reused>,
    /// What the answer has cost by itself.
    pub(crate) own: Option<MicroUsd>,
    /// What all of it has cost.
    pub(crate) charged: Option<MicroUsd>,
    /// What all of it has used.
    pub(crate) usage: Option<Usage>,
    /// From the request's head to the end.
    pub(crate) latency: Duration,
    pub(crate) unix_ms: u64,
}

/// Learns from an exchange that has ended, remembers what it came to, and tells it.
pub(crate) fn ended(shared: &Shared, id: RequestId, chosen: &Chosen, ended: &Ended<'_>, now: Instant) {
    let live = shared.live();
    let latency = now.saturating_duration_since(chosen.leg_began);
    let mut reward = None;
    if let (Some(choice), Some(model)) = (live.choice(&chosen.basis.route), &ended.model)
        && let Some(arm) = choice.arm_of(model)
    {
        if ended.outcome == Outcome::Served && ended.reused.is_none() {
            teach_estimator(choice, &chosen.basis, arm, ended.report.usage, ended.own, now);
            if let Some(arm) = choice.arms.get(arm) {
                arm.route.known.took(latency, now);
            }
        }
        let lesson = lesson(chosen, arm, ended, latency);
        if lesson.served.is_some() || lesson.latency.is_some() {
            reward = log::learn(choice, shared.journal.as_ref(), id, &lesson);
        }
    }
    let upshot = Upshot {
        model: ended.model.clone(),
        outcome: ended.outcome.label(),
        cost: ended.charged,
        tokens: ended.usage.map(|usage| (usage.input, usage.output)),
        latency: ended.latency,
        reward,
        escalations: chosen.escalations(),
    };
    line::tell(shared, chosen, ended, &upshot);
    shared.memory.with(id, |entry| {
        if let Some(model) = &upshot.model {
            entry.model = Arc::clone(model);
        }
        entry.result = Some(upshot);
    });
}

/// What the estimators of a model learn of an answer that a provider made, and that ended by itself.
fn teach_estimator(
    choice: &Choice,
    basis: &Basis,
    arm: usize,
    usage: Option<Usage>,
    cost: Option<MicroUsd>,
    now: Instant,
) {
    let (Some(arm), Some(usage)) = (choice.arms.get(arm), usage) else { return };
    let of = |candidate: &&atp_core::Candidate| candidate.model == arm.route.name;
    if let Some(candidate) = basis.plan.candidates.iter().find(of) {
        arm.route.known.used(&basis.ask, &candidate.forecast, &usage, cost, clock::unix_ms(now));
    }
}

fn lesson(chosen: &Chosen, arm: usize, ended: &Ended<'_>, latency: Duration) -> Lesson {
    let served = match ended.outcome {
        // Nobody was asked for it.
        _ if ended.reused.is_some() => None,
        Outcome::Served => Some(true),
        Outcome::Failed => ended.blamed.then_some(false),
        Outcome::Refused | Outcome::Cancelled => None,
    };
    let (basis, whole) = (&chosen.basis, served == Some(true));
    // Who had no more patience tells that it takes longer than that; a bad request is refused at once, and tells
    // nothing.
    let late =
        matches!(ended.kind, Some(ErrorKind::TimeoutTotal | ErrorKind::TimeoutFirstByte | ErrorKind::TimeoutIdle));
    let waited = late && !ended.blamed && ended.model.is_some();
    Lesson {
        served,
        quality: signs_of(chosen, ended.report).filter(|_| whole).and_then(|signs| quality(&basis.features, &signs)),
        cost: ended.own.filter(|_| whole).map(|cost| basis.scale.cost(Some(cost))),
        latency: (whole || waited).then(|| basis.scale.latency(Some(millis(latency)))),
        ..bare(basis, arm, ended.unix_ms)
    }
}

/// What was seen of the answer; of a stream that nobody looked at, why its model stopped.
fn signs_of(chosen: &Chosen, report: &Report) -> Option<Signs> {
    let filtered = report.finish == Some(Finish::ContentFilter);
    let told = || filtered.then(|| Signs { finish: report.finish, fences_closed: true, ..Signs::default() });
    chosen.signs.or_else(told)
}

/// A lesson in which nothing stands.
pub(super) fn bare(basis: &Basis, arm: usize, now_ms: u64) -> Lesson {
    Lesson {
        arm,
        context: basis.context,
        weights: basis.plan.weights,
        served: None,
        quality: None,
        quiet: false,
        cost: None,
        latency: None,
        now_ms,
    }
}

/// What the signs of an answer tell of its quality, and how much that weighs.
fn quality(asked: &Features, signs: &Signs) -> Option<(f64, f64)> {
    if signs::refuses(signs) {
        return Some((0.0, OF_NO_USE));
    }
    match signs::format_ok(asked, signs) {
        Some(false) => Some((0.0, OF_NO_USE)),
        Some(true) => Some((1.0, WELL_FORMED)),
        None => signs.confidence.map(|sure| (sure.clamp(0.0, 1.0), SURE)),
    }
}

/// What came of a leg that is not the one whose answer goes out.
pub(super) enum Short<'a> {
    /// It came to nothing.
    Failed(&'a Error),
    /// It was slower than another one that was asked later: it takes at least as long as it has taken.
    Slower,
    /// Its answer was given up for its looks.
    GivenUp(Option<Signs>, &'a Report, Option<MicroUsd>),
}

/// Learns from a leg whose answer does not go out.
pub(super) fn leg(shared: &Shared, basis: &Basis, leg: &Leg, came: &Short<'_>) {
    let now = clock::now();
    let live = shared.live();
    let Some(choice) = live.choice(&basis.route) else { return };
    let name = basis.plan.candidates.get(leg.arm).map(|candidate| &candidate.model);
    let Some(arm) = name.and_then(|name| choice.arm_of(name)).filter(|_| leg.books.was_asked()) else { return };
    let bare = bare(basis, arm, clock::unix_ms(now));
    let latency = Some(basis.scale.latency(Some(millis(now.saturating_duration_since(leg.began)))));
    let lesson = match came {
        Short::Failed(error) if leg.books.blames(error) => Lesson { served: Some(false), ..bare },
        Short::Failed(_) => return,
        Short::Slower => Lesson { latency, ..bare },
        Short::GivenUp(signs, report, cost) => {
            teach_estimator(choice, basis, arm, report.usage, *cost, now);
            let quality = signs.and_then(|signs| quality(&basis.features, &signs));
            let cost = cost.map(|cost| basis.scale.cost(Some(cost)));
            Lesson { served: Some(true), quality, cost, latency, ..bare }
        }
    };
    log::learn(choice, shared.journal.as_ref(), basis.plan.id, &lesson);
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
