//! What is told about answers, hours later too: scores, comparisons, what a caller saw of latency and cost.
//!
//! The last score of an answer counts: one that was told before is taken back. An answer of another tenant is
//! unknown, whoever guesses its id.

use atp_core::{Caller, Error, ErrorKind, MicroUsd, Observation, RequestId};
use atp_routing::bandit::Lesson;

use super::choice::Choice;
use super::log;
use super::memory::Entry;
use crate::clock;
use crate::pipeline::Shared;

/// What a score weighs.
const SCORE: f64 = 1.0;
/// What the two scores weigh that a comparison is taken for: it tells which is better, not how good either is.
const COMPARISON: f64 = 0.5;

/// What was told, and of whom it is to be learnt.
struct Told {
    route: std::sync::Arc<str>,
    model: std::sync::Arc<str>,
    lesson: Lesson,
}

/// Takes what is told about an answer.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] for an id of which nothing is remembered for this tenant, [`ErrorKind::Validation`]
/// for a score that is none.
pub(crate) fn observe(shared: &Shared, caller: &Caller, observation: &Observation) -> Result<(), Error> {
    if let Some(score) = observation.score
        && !(0.0..=1.0).contains(&score)
    {
        let text = format!("`score` is {score}; a score is a number from 0 to 1");
        return Err(Error::caller(ErrorKind::Validation, text).with_param("score"));
    }
    let now_ms = clock::unix_ms(clock::now());
    let better = known(shared, caller, observation.id)?;
    let worse = observation.better_than.map(|id| Ok((id, known(shared, caller, id)?))).transpose()?;
    let told = |id: RequestId, told: Option<Told>| {
        if let Some(told) = told {
            teach(shared, id, &told);
        }
    };
    if let Some(score) = observation.score {
        let half_life = half_life(shared, observation.id);
        for lesson in
            shared.memory.with(observation.id, |entry| scored(entry, score, half_life, now_ms)).unwrap_or_default()
        {
            told(observation.id, Some(lesson));
        }
    }
    if observation.latency.is_some() || observation.cost.is_some() {
        let lesson = shared.memory.with(observation.id, |entry| seen(entry, observation, now_ms));
        told(observation.id, lesson.flatten());
    }
    if let Some((id, worse)) = worse
        && worse != better
    {
        for (id, score) in [(observation.id, 1.0), (id, 0.0)] {
            let lesson = shared.memory.with(id, |entry| {
                let quality = Some((score, COMPARISON));
                of(entry, Lesson { quality, ..bare(entry, now_ms) })
            });
            told(id, lesson);
        }
    }
    Ok(())
}

/// The model that answered a request of this caller's tenant.
fn known(shared: &Shared, caller: &Caller, id: RequestId) -> Result<std::sync::Arc<str>, Error> {
    let model = shared.memory.with(id, |entry| (entry.tenant == caller.tenant).then(|| entry.model.clone()));
    model.flatten().ok_or_else(|| Error::caller(ErrorKind::NotFound, format!("no choice is remembered for {id}")))
}

/// The lessons of a score: the one before is taken back by what is left of it.
fn scored(entry: &mut Entry, score: f64, half_life_ms: u64, now_ms: u64) -> smallvec::SmallVec<[Told; 2]> {
    let before = entry.score.replace((score, now_ms));
    let taken = before.map(|(score, at)| {
        let age = now_ms.saturating_sub(at) as f64;
        let left = if half_life_ms == 0 { 1.0 } else { (-age / half_life_ms as f64).exp2() };
        (score, -SCORE * left)
    });
    let lessons = taken.into_iter().chain([(score, SCORE)]);
    lessons.map(|quality| of(entry, Lesson { quality: Some(quality), ..bare(entry, now_ms) })).collect()
}

/// The lesson of a latency or a cost that the caller saw: once.
fn seen(entry: &mut Entry, observation: &Observation, now_ms: u64) -> Option<Told> {
    if std::mem::replace(&mut entry.told, true) {
        return None;
    }
    let latency = observation.latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
    let cost = observation.cost.map(|cost: MicroUsd| entry.scale.cost(Some(cost)));
    let latency = latency.map(|latency| entry.scale.latency(Some(latency)));
    Some(of(entry, Lesson { cost, latency, ..bare(entry, now_ms) }))
}

fn of(entry: &Entry, lesson: Lesson) -> Told {
    Told { route: entry.route.clone(), model: entry.model.clone(), lesson }
}

fn bare(entry: &Entry, now_ms: u64) -> Lesson {
    Lesson {
        arm: usize::MAX,
        context: entry.context,
        weights: entry.weights,
        served: None,
        quality: None,
        cost: None,
        latency: None,
        now_ms,
    }
}

fn half_life(shared: &Shared, id: RequestId) -> u64 {
    let route = shared.memory.with(id, |entry| entry.route.clone());
    let live = shared.live();
    route.and_then(|route| live.choice(&route).map(|choice| choice.mind_rules.half_life_ms)).unwrap_or(0)
}

/// Teaches the mind that is in force; a model that is not among its candidates any more is nobody's lesson.
fn teach(shared: &Shared, id: RequestId, told: &Told) {
    let live = shared.live();
    let Some(choice) = live.choice(&told.route) else { return };
    let Some(arm) = Choice::arm_of(choice, &told.model) else { return };
    log::learn(choice, shared.journal.as_ref(), id, &Lesson { arm, ..told.lesson });
}
