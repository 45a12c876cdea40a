//! A challenger answers in the shadow of the model that was chosen, and the two answers are compared.
//!
//! The caller is never kept waiting and never billed: the challenger is asked after the caller's answer has come
//! to its end, as a request of the router's own ([`super::errand`]), in a share of the requests and within a
//! day's money. What a run may cost is held of that before it begins ([`hold`]), and what it has cost is booked when it
//! ends, whichever way it does. Both answers are compared by a judge ([`super::judge`]); what that tells goes into the route's
//! trial (wins with bounds that hold at any time) and into the lives of both models, which promote and demote
//! ([`super::lives`]).

mod hold;
mod tee;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use atp_core::{Exchange, MicroUsd, Operation, Payload, Plan, PlanEvent, Reply, Rope, Side, Status};
use atp_routing::experiment::{Compared, Trial};
use rand::RngExt;

use self::hold::Hold;
use self::tee::Tee;
use super::choice::Choice;
use super::chosen::Basis;
use super::judge::{self, Answer};
use super::{errand, lives};
use crate::attempt;
use crate::clock;
use crate::live::Live;
use crate::pipeline::Shared;
use crate::snapshot::{Experiment, Judge};
use crate::sync::{Mutex, MutexGuard, lock};

/// How much better than the chosen model a challenger is predicted to be that nobody has named (facts 3.6).
const GAIN: f64 = 0.02;
/// And how many times as dear it may be.
const DEARER: f64 = 1.5;
/// The probability of a wrong finding, ever.
const ALPHA: f64 = 0.05;

/// The trials of one route's challengers.
#[derive(Default)]
pub(crate) struct Trials {
    all: Mutex<Vec<(Arc<str>, Trial)>>,
    /// Whether it was told that there is no price.
    warned: AtomicBool,
}

impl Trials {
    /// The trials, in the order in which they began.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Trial)> {
        self.lock().clone()
    }

    /// Goes on with what was found before.
    pub(super) fn restore(&self, trials: Vec<(Arc<str>, Trial)>) {
        *self.lock() = trials;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Arc<str>, Trial)>> {
        lock(&self.all)
    }

    /// Does something with the trial of a challenger, which begins where there was none.
    fn with<T>(&self, model: &Arc<str>, act: impl FnOnce(&mut Trial) -> T) -> T {
        let mut all = self.lock();
        if let Some((_, trial)) = all.iter_mut().find(|(name, _)| name == model) {
            return act(trial);
        }
        let mut trial = Trial::new(ALPHA);
        let done = act(&mut trial);
        all.push((Arc::clone(model), trial));
        done
    }
}

/// Who would challenge the model that a plan has chosen: the one that is configured, else the cheapest candidate
/// that is predicted to be clearly better and is not much dearer; of equally cheap ones the better. It has to be fit for
/// the request like any other: what it may not see it does not get.
pub(super) fn challenger(
    rules: &Experiment,
    choice: &Choice,
    plan: &Plan,
    fits: impl Fn(&usize) -> bool,
) -> Option<usize> {
    let primary = plan.candidates.get(*plan.order.first()?)?;
    let may = |arm: &usize| {
        let status = choice.arms.get(*arm).map(|arm| arm.route.known.status().unwrap_or(arm.facts.status));
        matches!(status, Some(Status::Active | Status::Shadow | Status::Fallback)) && fits(arm)
    };
    if let Some(named) = &rules.challenger {
        return choice.arm_of(named).filter(may).filter(|arm| Some(arm) != plan.order.first());
    }
    let dearest = primary.forecast.cost.map(|cost| cost.0 as f64 * DEARER);
    let better = plan.candidates.iter().enumerate().filter(|(arm, each)| {
        let cheap = each.forecast.cost.zip(dearest).is_none_or(|(cost, most)| cost.0 as f64 <= most);
        may(arm) && each.model != primary.model && each.quality >= primary.quality + GAIN && cheap
    });
    let cost = |arm: &usize| plan.candidates.get(*arm).and_then(|each| each.forecast.cost).unwrap_or_default();
    let quality = |arm: &usize| plan.candidates.get(*arm).map_or(0.0, |each| each.quality);
    better
        .map(|(arm, _)| arm)
        .min_by(|one, other| cost(one).cmp(&cost(other)).then_with(|| quality(other).total_cmp(&quality(one))))
}

/// A challenge that was drawn for one exchange.
pub(super) struct Challenge {
    shared: Arc<Shared>,
    live: Arc<Live>,
    basis: Arc<Basis>,
    model: Arc<str>,
    judge: Judge,
    hold: Hold,
    asked: Exchange,
    body: Rope,
}

/// Draws whether the exchange is answered by a challenger too.
pub(super) fn draw(
    shared: &Arc<Shared>,
    live: &Arc<Live>,
    choice: &Choice,
    basis: &Arc<Basis>,
    exchange: &Exchange,
    now: Instant,
) -> Option<Challenge> {
    let rules = choice.rules.experiment.as_ref()?;
    let Payload::Rope(body) = &exchange.payload else { return None };
    if !matches!(exchange.operation, Operation::Chat | Operation::Completions) {
        return None;
    }
    let candidate = basis.plan.candidates.get(basis.challenger?)?;
    if rand::rng().random::<f64>() >= rules.share {
        return None;
    }
    let hold = Hold::of(shared, live, choice, rules, candidate, clock::unix_ms(now))?;
    Some(Challenge {
        shared: Arc::clone(shared),
        live: Arc::clone(live),
        basis: Arc::clone(basis),
        model: Arc::clone(&candidate.model),
        judge: rules.judge.clone(),
        hold,
        asked: attempt::copy(exchange),
        body: body.clone(),
    })
}

impl Challenge {
    /// What the caller is told.
    pub(super) fn event(&self) -> PlanEvent {
        PlanEvent::ChallengerSelected { model: Arc::clone(&self.model) }
    }

    /// The same reply; when its answer has come to its end, the challenger is asked.
    pub(super) fn listen(self, reply: Reply) -> Reply {
        let spawn = Arc::clone(&self.shared.spawn);
        let champion = reply.notes.chosen.clone();
        let Reply { notes, result } = reply;
        let result = result.map(|answer| {
            Tee::over(answer, move |answer| {
                if let Some(champion) = champion {
                    spawn(Box::pin(self.run(champion, answer)));
                }
            })
        });
        Reply { notes, result }
    }

    async fn run(self, champion: Arc<str>, first: Answer) {
        let Self { shared, live, basis, model, judge, mut hold, asked, body } = self;
        if champion == model {
            return;
        }
        let now = clock::now();
        shared.metrics.experiments.runs.inc();
        let errand = errand::copy(&asked, &model, body.clone(), now);
        let heard = errand::run(&shared, &live, &model, errand).await;
        let compared = match heard {
            Ok(heard) => {
                hold.ran(heard.cost);
                learnt(&live, &basis, &model, &heard, now);
                let second = Answer { bytes: heard.bytes, finish: heard.finish, cost: heard.cost };
                let told = compare(&shared, &live, &judge, &asked, body, &basis, (&first, &second)).await;
                hold.was_judged(told.cost);
                told.compared.map(|compared| (compared, first.cost.zip(second.cost)))
            }
            Err(failed) => {
                hold.ran(failed.cost);
                // Who does not answer has lost.
                (failed.error.side() == Side::Provider).then_some((Compared::Loss, None))
            }
        };
        let now_ms = clock::unix_ms(clock::now());
        hold.settle(compared, now_ms);
        let current = shared.live();
        if let Some((compared, costs)) = compared {
            shared.metrics.experiments.compared(compared);
            lives::observe(&shared, &current, (&champion, &model), compared, costs, now_ms);
        }
    }
}

/// What the challenger's estimators learn of its answer: it is to be chosen by what it costs, and nobody else asks
/// it while it is in shadow.
fn learnt(live: &Live, basis: &Basis, model: &Arc<str>, heard: &errand::Heard, began: Instant) {
    let (Some(found), Some(usage)) = (live.find_model(model), heard.usage) else { return };
    let now = clock::now();
    let known = &found.route.known;
    if let Some(candidate) = basis.plan.candidates.iter().find(|candidate| candidate.model == *model) {
        known.used(&basis.ask, &candidate.forecast, &usage, heard.cost, clock::unix_ms(now));
    }
    known.took(now.saturating_duration_since(began), now);
}

/// What comparing two answers has come to.
struct Told {
    /// `None` where the judge has come to nothing.
    compared: Option<Compared>,
    /// What that has cost all the same; `None` where it is not known.
    cost: Option<MicroUsd>,
}

/// Compares two answers.
async fn compare(
    shared: &Arc<Shared>,
    live: &Arc<Live>,
    judge: &Judge,
    asked: &Exchange,
    body: Rope,
    basis: &Basis,
    (first, second): (&Answer, &Answer),
) -> Told {
    let free = |compared| Told { compared, cost: Some(MicroUsd::default()) };
    let Judge::Model(name) = judge else {
        let compared = judge::by_signs(shared, asked.operation, &basis.features, first, second);
        return free(Some(compared));
    };
    if !errand::may_see(live, name, basis.data_scope.as_ref()) {
        return free(None);
    }
    let asked = Exchange { payload: Payload::Rope(body), ..attempt::copy(asked) };
    let judged = judge::by_model(shared, live, name, &asked, first, second).await;
    if let Err(error) = &judged.compared {
        shared.metrics.experiments.judge_failed.inc();
        tracing::debug!(judge = &**name, error = error.kind().code(), "the judge came to nothing");
    }
    Told { compared: judged.compared.ok(), cost: judged.cost }
}
