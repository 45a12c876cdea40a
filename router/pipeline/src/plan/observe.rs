//! What is told about answers, hours later too: scores, comparisons, what a caller saw of latency and cost.
//!
//! The last score of an answer counts: one that was told before is taken back, from the model that it was learnt of.
//! Two answers are compared once. How often either is told is bounded, and only the first score of an answer can tell
//! that a model has changed: who asks once cannot make a route forget what it has learnt of others. An answer of
//! another tenant is unknown, whoever guesses its id.

use std::sync::Arc;

use atp_core::{Caller, Error, ErrorKind, MicroUsd, Observation, RequestId};
use atp_routing::bandit::Lesson;
use smallvec::SmallVec;

use super::choice::Choice;
use super::log;
use super::memory::{Entry, Told};
use crate::clock;
use crate::pipeline::Shared;

/// What a score weighs.
const SCORE: f64 = 1.0;
/// What the two scores weigh that a comparison is taken for: it tells which is better, not how good either is.
const COMPARISON: f64 = 0.5;
/// How often the score of an answer may be told anew.
const MOST_CORRECTIONS: u8 = 8;
/// With how many others an answer may be compared.
const MOST_COMPARED: usize = 8;

/// What was told, and of whom it is to be learnt.
struct Taught {
    route: Arc<str>,
    model: Arc<str>,
    lesson: Lesson,
}

/// Takes what is told about an answer.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] for an id of which nothing is remembered for this tenant, [`ErrorKind::Validation`]
/// for a score that is none, and for one that was told or compared too often; nothing is learnt then.
pub(crate) fn observe(shared: &Shared, caller: &Caller, observation: &Observation) -> Result<(), Error> {
    if let Some(score) = observation.score
        && !(0.0..=1.0).contains(&score)
    {
        let text = format!("`score` is {score}; a score is a number from 0 to 1");
        return Err(Error::caller(ErrorKind::Validation, text).with_param("score"));
    }
    let (now_ms, id) = (clock::unix_ms(clock::now()), observation.id);
    known(shared, caller, id)?;
    let worse = observation.better_than;
    if let Some(worse) = worse {
        known(shared, caller, worse)?;
    }
    // What may be refused goes first.
    let compared = worse.is_some_and(|worse| worse != id) && compare(shared, id, worse.unwrap_or(id))?;
    if let Some(score) = observation.score {
        let half_life = half_life(shared, id);
        let lessons = shared.memory.with(id, |entry| scored(entry, score, half_life, now_ms)).transpose()?;
        lessons.unwrap_or_default().iter().for_each(|taught| teach(shared, id, taught));
    }
    if observation.latency.is_some() || observation.cost.is_some() {
        let taught = shared.memory.with(id, |entry| seen(entry, observation, now_ms)).flatten();
        taught.iter().for_each(|taught| teach(shared, id, taught));
    }
    if let Some(worse) = worse.filter(|_| compared) {
        beats(shared, id, worse, now_ms);
    }
    Ok(())
}

/// Whether a request is one of this caller's tenant, of which something is remembered.
fn known(shared: &Shared, caller: &Caller, id: RequestId) -> Result<(), Error> {
    let mine = shared.memory.with(id, |entry| entry.tenant == caller.tenant).unwrap_or(false);
    if mine { Ok(()) } else { Err(Error::caller(ErrorKind::NotFound, format!("no choice is remembered for {id}"))) }
}

/// Notes that two answers are compared; `false` where they have been before, whichever was the better one then.
fn compare(shared: &Shared, better: RequestId, worse: RequestId) -> Result<bool, Error> {
    // Always in the same order, so that two who tell the same at once are one.
    for (id, other) in [(better.min(worse), better.max(worse)), (better.max(worse), better.min(worse))] {
        let noted = shared.memory.with(id, |entry| {
            if entry.compared.contains(&other) {
                return Ok(false);
            }
            if entry.compared.len() >= MOST_COMPARED {
                let text = format!("{id} has been compared with {MOST_COMPARED} other answers; compare others");
                return Err(Error::caller(ErrorKind::Validation, text).with_param("better_than"));
            }
            entry.compared.push(other);
            Ok(true)
        });
        if !noted.unwrap_or(Ok(false))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a comparison teaches of both models, where they are two.
fn beats(shared: &Shared, better: RequestId, worse: RequestId, now_ms: u64) {
    let model = |id: RequestId| shared.memory.with(id, |entry| Arc::clone(&entry.model));
    if model(better) == model(worse) {
        return;
    }
    for (id, score) in [(better, 1.0), (worse, 0.0)] {
        let taught = shared.memory.with(id, |entry| {
            let quality = Some((score, COMPARISON));
            of(entry, Lesson { quality, quiet: true, ..bare(entry, now_ms) })
        });
        taught.iter().for_each(|taught| teach(shared, id, taught));
    }
}

/// The lessons of a score: the one before is taken back by what is left of it.
fn scored(entry: &mut Entry, score: f64, half_life_ms: u64, now_ms: u64) -> Result<SmallVec<[Taught; 2]>, Error> {
    if entry.score.is_some() {
        if entry.corrections >= MOST_CORRECTIONS {
            let text =
                format!("the score of this answer has been told anew {MOST_CORRECTIONS} times; it stays as it is");
            return Err(Error::caller(ErrorKind::Validation, text).with_param("score"));
        }
        entry.corrections += 1;
    }
    let before = entry.score.replace(Told { score, at_ms: now_ms, model: Arc::clone(&entry.model) });
    let quiet = before.is_some();
    let taken = before.map(|told| {
        let age = now_ms.saturating_sub(told.at_ms) as f64;
        let left = if half_life_ms == 0 { 1.0 } else { (-age / half_life_ms as f64).exp2() };
        let lesson = Lesson { quality: Some((told.score, -SCORE * left)), ..bare(entry, now_ms) };
        Taught { model: told.model, ..of(entry, lesson) }
    });
    let lesson = Lesson { quality: Some((score, SCORE)), quiet, ..bare(entry, now_ms) };
    Ok(taken.into_iter().chain([of(entry, lesson)]).collect())
}

/// The lesson of a latency or a cost that the caller saw: once.
fn seen(entry: &mut Entry, observation: &Observation, now_ms: u64) -> Option<Taught> {
    if std::mem::replace(&mut entry.told, true) {
        return None;
    }
    let latency = observation.latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
    let cost = observation.cost.map(|cost: MicroUsd| entry.scale.cost(Some(cost)));
    let latency = latency.map(|latency| entry.scale.latency(Some(latency)));
    Some(of(entry, Lesson { cost, latency, ..bare(entry, now_ms) }))
}

fn of(entry: &Entry, lesson: Lesson) -> Taught {
    Taught { route: entry.route.clone(), model: entry.model.clone(), lesson }
}

fn bare(entry: &Entry, now_ms: u64) -> Lesson {
    Lesson {
        arm: usize::MAX,
        context: entry.context,
        weights: entry.weights,
        served: None,
        quality: None,
        quiet: false,
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
fn teach(shared: &Shared, id: RequestId, told: &Taught) {
    let live = shared.live();
    let Some(choice) = live.choice(&told.route) else { return };
    let Some(arm) = Choice::arm_of(choice, &told.model) else { return };
    log::learn(choice, shared.journal.as_ref(), id, &Lesson { arm, ..told.lesson });
}
