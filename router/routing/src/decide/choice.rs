//! One choice, step by step.

use std::cmp::Ordering;

use atp_core::{Candidate, Dropped, Forecast, Plan, Role, Status, Terms};
use smallvec::SmallVec;

use super::explain::{self, Ground};
use super::{Dice, Mind, Request, Scale};
use crate::bandit::{ArmNow, Guess, Pick, Scored, Sight, Strategy, UNKNOWN_QUALITY};
use crate::candidate::{self, CandidateFacts, CandidateNow, Needs};

/// How far ahead in score another model has to be for a prompt's beginning to leave the one that has it in its
/// cache. Cached input costs a tenth to a half of fresh input; at usual weights that is worth some 0.05.
const WARM: f64 = 0.05;

/// Arms, in an order.
type Arms = SmallVec<[usize; 8]>;

/// A candidate that is not listed: nothing may be said of it, so that it does not answer.
const UNLISTED: CandidateNow = CandidateNow {
    status: Status::Retired,
    forecast: Forecast { input: 0, output: 0, output_guarded: 0, cost: None, guarded: None },
    p95_ms: None,
    healthy: false,
    room: false,
    affordable: false,
};

/// What is believed of an arm that is not there.
const NOTHING: Guess = Guess { mean: 0.0, variance: 0.0 };

/// What stands of a choice while it is made.
struct Desk<'a> {
    mind: &'a Mind,
    request: &'a Request,
    now: &'a [CandidateNow],
    scale: Scale,
    sight: Sight,
    /// What is believed of each candidate's quality, where it is known at all.
    guesses: SmallVec<[Option<Guess>; 8]>,
    candidates: Vec<Candidate>,
}

/// Who answers, and who is next.
struct Chosen {
    order: Arms,
    ground: Ground,
    explored: bool,
}

/// What is to be noted of a choice once it holds.
pub(super) struct Note {
    /// Who is bound to the session and the prompt.
    bind: Option<usize>,
    /// Whether the bandit chose freely.
    free: bool,
}

/// Makes the plan.
pub(super) fn plan(mind: &Mind, request: &Request, now: &[CandidateNow]) -> (Plan, Note) {
    let scale = Scale::of(&request.needs, &mind.rules.candidates, now);
    let sight = mind.brain.sight(&request.context, request.now_ms);
    let all = mind.rules.candidates.len();
    let (guesses, candidates) = (SmallVec::with_capacity(all), Vec::with_capacity(all));
    let mut desk = Desk { mind, request, now, scale, sight, guesses, candidates };
    desk.fill();
    let Chosen { order, ground, explored } = desk.choose();
    let candidates = desk.candidates;
    let (strategy, reason) = explain::of(mind, request, &candidates, &order, (ground, explored));
    // A model that was chosen only to learn about it is bound to nobody: a whole conversation would otherwise
    // be spent on one draw.
    let bind = order.first().copied().filter(|_| !explored);
    let note = Note { bind, free: matches!(ground, Ground::Score | Ground::Fallback) };
    let plan = Plan {
        id: request.id,
        tenant: request.tenant.clone(),
        route: request.asked.clone(),
        cluster: request.cluster.clone(),
        prompt_hash: request.features.prompt_hash,
        quality: request.needs.quality,
        weights: request.needs.weights,
        max_cost: request.needs.ceiling(),
        latency_slo: request.needs.slo_ms.map(std::time::Duration::from_millis),
        strategy,
        reason,
        roles: roles(&order, now),
        order: order.into_vec(),
        candidates,
        explored,
    };
    (plan, note)
}

/// Notes who keeps to which model.
pub(super) fn remember(mind: &mut Mind, request: &Request, plan: &Plan, note: &Note) {
    if note.free {
        let probabilities = plan.candidates.iter().enumerate().map(|(arm, each)| (arm, each.terms.probability));
        mind.sticky.chosen_freely(probabilities);
    }
    if let Some(arm) = note.bind {
        mind.sticky.bind(request.keys, arm, request.now_ms);
    }
}

impl Desk<'_> {
    /// Every candidate with what is known of it, and why it is dropped.
    fn fill(&mut self) {
        for (arm, facts) in self.mind.rules.candidates.iter().enumerate() {
            let now = self.now.get(arm).unwrap_or(&UNLISTED);
            let guess = self.mind.brain.guess(&self.sight, arm);
            self.guesses.push(guess);
            let belief = guess.unwrap_or(NOTHING);
            let p95_ms = candidate::p95_ms(facts, now);
            let terms = Terms {
                quality: belief.mean,
                cost: self.scale.cost(now.forecast.guarded),
                latency: self.scale.latency(p95_ms),
                ..Terms::default()
            };
            let needs = &self.request.needs;
            let dropped = candidate::hard(needs, facts, now);
            self.candidates.push(Candidate {
                model: facts.model.clone(),
                price: facts.price,
                quality: belief.mean,
                latency_p95: p95_ms.map(std::time::Duration::from_millis),
                forecast: now.forecast,
                dropped: dropped.or_else(|| candidate::soft(needs, facts, now, doubted(needs, facts, &belief))),
                terms,
            });
        }
    }

    fn choose(&mut self) -> Chosen {
        let active = self.those(|each, now| each.dropped.is_none() && now.status == Status::Active);
        let spare = self.those(|each, now| each.dropped.is_none() && now.status == Status::Fallback);
        if !active.is_empty() {
            return self.among(&active, &spare, Ground::Score);
        }
        if !spare.is_empty() {
            return self.among(&spare, &Arms::new(), Ground::Fallback);
        }
        let soft = self.those(|each, _| matches!(each.dropped, Some(Dropped::Quality | Dropped::Latency)));
        self.nearest(soft)
    }

    /// Those that pass, in configured order.
    fn those(&self, pass: impl Fn(&Candidate, &CandidateNow) -> bool) -> Arms {
        let listed = self.candidates.iter().zip(self.now).enumerate();
        listed.filter(|(_, (each, now))| pass(each, now)).map(|(arm, _)| arm).collect()
    }

    /// Chooses among the acceptable; `last` follow after all others.
    fn among(&mut self, acceptable: &Arms, last: &Arms, ground: Ground) -> Chosen {
        let has_room = |arm: &usize| self.now.get(*arm).is_some_and(|now| now.room);
        let (mut first, mut full): (Arms, Arms) = acceptable.iter().copied().partition(has_room);
        if first.is_empty() {
            first = std::mem::take(&mut full);
        }
        let Some(pick) = self.pick(&first) else {
            return Chosen { order: Arms::new(), ground: Ground::Nobody, explored: false };
        };
        let (chosen, ground) = self.settle(&pick, ground, acceptable.len());
        let explored = ground != Ground::Session && chosen == pick.chosen && pick.explored;
        let mut order: Arms = SmallVec::from_slice(&[chosen]);
        self.extend(&mut order, first);
        self.extend(&mut order, full);
        self.extend(&mut order, last.clone());
        Chosen { order, ground, explored }
    }

    /// The bandit's pick, with its terms noted at the candidates.
    fn pick(&mut self, arms: &Arms) -> Option<Pick> {
        let now = |arm: &usize| {
            let terms = self.candidates.get(*arm).map_or_else(Terms::default, |each| each.terms);
            ArmNow { arm: *arm, cost: terms.cost, latency: terms.latency }
        };
        let now: SmallVec<[ArmNow; 8]> = arms.iter().map(now).collect();
        let mut dice = Dice::new(self.request.seed);
        let guess = |arm: usize| self.guesses.get(arm).copied().flatten();
        let pick = self.mind.brain.pick_seen(&self.sight, self.request.needs.weights, &now, guess, &mut dice)?;
        for scored in &pick.scored {
            if let Some(each) = self.candidates.get_mut(scored.arm) {
                each.terms = scored.terms;
            }
        }
        Some(pick)
    }

    /// Lets habit go before the pick where it may, and notes the probabilities as they then are.
    fn settle(&mut self, pick: &Pick, ground: Ground, acceptable: usize) -> (usize, Ground) {
        if acceptable == 1 {
            return (pick.chosen, Ground::Only);
        }
        let keys = self.request.keys;
        let may = |arm: &usize| pick.scored.iter().any(|each| each.arm == *arm) && !self.mind.sticky.crowded(*arm);
        if let Some(arm) = self.mind.sticky.session(keys, self.request.now_ms).filter(may) {
            for each in &mut self.candidates {
                each.terms.probability = 0.0;
            }
            self.add_probability(arm, 1.0);
            return (arm, Ground::Session);
        }
        let Some(arm) = self.mind.sticky.prefix(keys, self.request.now_ms).filter(may) else {
            return (pick.chosen, ground);
        };
        let best = self.best(pick);
        if self.worth(best) > self.worth(arm) + WARM {
            return (pick.chosen, ground);
        }
        // What the bandit would give to the best goes to the habitual one; what it spends on learning stays.
        if arm != best {
            let moved = self.candidates.get_mut(best).map_or(0.0, |each| std::mem::take(&mut each.terms.probability));
            self.add_probability(arm, moved);
        }
        (if pick.chosen == best { arm } else { pick.chosen }, Ground::Prefix)
    }

    /// The first of those that look best, curiosity left aside.
    fn best(&self, pick: &Pick) -> usize {
        let better = |best: usize, each: &Scored| if self.worth(each.arm) > self.worth(best) { each.arm } else { best };
        let first = pick.scored.first().map_or(pick.chosen, |each| each.arm);
        pick.scored.iter().fold(first, better)
    }

    /// What an arm is expected to be worth. An upper confidence bound has the bonus in its score, the others not.
    fn worth(&self, arm: usize) -> f64 {
        let terms = self.candidates.get(arm).map_or_else(Terms::default, |each| each.terms);
        if self.mind.rules.strategy == Strategy::Ucb { terms.score - terms.bonus } else { terms.score }
    }

    fn add_probability(&mut self, arm: usize, more: f64) {
        if let Some(each) = self.candidates.get_mut(arm) {
            each.terms.probability += more;
        }
    }

    /// Appends those that are not there yet, the best score first, then the best quality.
    fn extend(&self, order: &mut Arms, mut more: Arms) {
        more.retain(|arm| !order.contains(arm));
        more.sort_by(|left, right| self.better(*left, *right));
        order.append(&mut more);
    }

    /// Whether one stands before another: by score, then quality, then as configured.
    fn better(&self, left: usize, right: usize) -> Ordering {
        let terms = |arm: usize| self.candidates.get(arm).map_or((0.0, 0.0), |each| (each.terms.score, each.quality));
        let (left_terms, right_terms) = (terms(left), terms(right));
        right_terms.0.total_cmp(&left_terms.0).then(right_terms.1.total_cmp(&left_terms.1)).then(left.cmp(&right))
    }

    /// Where nobody is acceptable and some would only be late or less good: the best quality in time, then the
    /// best quality. The first of them is certain.
    fn nearest(&mut self, mut soft: Arms) -> Chosen {
        let late = |arm: usize| {
            let facts = self.mind.rules.candidates.get(arm).zip(self.now.get(arm));
            facts.is_none_or(|(facts, now)| candidate::late(&self.request.needs, facts, now))
        };
        let quality = |arm: usize| self.candidates.get(arm).map_or(0.0, |each| each.quality);
        soft.sort_by(|left, right| {
            let soonest = late(*left).cmp(&late(*right));
            soonest.then(quality(*right).total_cmp(&quality(*left))).then(left.cmp(right))
        });
        let Some(first) = soft.first().copied() else {
            return Chosen { order: soft, ground: Ground::Nobody, explored: false };
        };
        self.add_probability(first, 1.0);
        Chosen { order: soft, ground: Ground::Quality, explored: false }
    }
}

/// The quality that a floor is held against. A model whose stated quality passes gets the benefit of the doubt of one
/// standard deviation: who is dropped is not asked any more, so that a few bad scores would shut it out for long.
fn doubted(needs: &Needs, facts: &CandidateFacts, belief: &Guess) -> f64 {
    let stated = facts.quality.unwrap_or(UNKNOWN_QUALITY) >= needs.quality.floor();
    if stated { belief.mean + belief.variance.sqrt() } else { belief.mean }
}

/// The first answers, the second is tried next, and the last is the last resort: one of three or more, or
/// one that is configured to be.
fn roles(order: &[usize], now: &[CandidateNow]) -> Vec<(Role, usize)> {
    let reserve = |arm: usize| now.get(arm).is_some_and(|now| now.status == Status::Fallback);
    let role = |(place, arm): (usize, &usize)| match place {
        0 => Some((Role::Primary, *arm)),
        last if last + 1 == order.len() && (last > 1 || reserve(*arm)) => Some((Role::Fallback, *arm)),
        1 => Some((Role::Explore, *arm)),
        _ => None,
    };
    order.iter().enumerate().filter_map(role).collect()
}
