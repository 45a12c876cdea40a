//! Making every choice of a journal again.
//!
//! A choice is *identical* where the same candidate comes out on the same ground with the same probabilities, to
//! the last bit. Lines may be out of order by [`WINDOW`] events of a route. A number that is missing, and that no later
//! `begin` declares to be, one that stands twice, a mind that is not the one that the lines before lead to, and a line
//! that cannot be read are differences as well: whatever is changed in a journal shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use atp_core::Plan;
use serde::Serialize;

use super::{Begin, Choice, Event, Learnt, Why, read};
use crate::decide::Mind;

/// How many events of a route may wait for one that is missing.
const WINDOW: usize = 1_024;

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct At {
    /// Which of the files, counted from 0.
    pub file: usize,
    /// Its line, counted from 1.
    pub line: u64,
}

/// Where a journal is not what the rules make of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The line.
    pub at: At,
    /// The route, where the line could be read.
    pub route: Option<Arc<str>>,
    /// What was found, and what was to be found.
    pub what: String,
}

/// How often a model was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// The model.
    pub model: Arc<str>,
    /// How often.
    pub chosen: u64,
}

/// What became of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Choices that were made again.
    pub decisions: u64,
    /// Those of them that came out the same.
    pub identical: u64,
    /// Lessons that were learnt again.
    pub lessons: u64,
    /// Choices and lessons before the first `begin` of their route, or after a difference that left nothing to go
    /// on from.
    pub skipped: u64,
    /// Events that were declared missing: lines that found no room.
    pub missing: u64,
    /// How many differences there are.
    pub differences: u64,
    /// The first of them.
    pub first: Option<Difference>,
    /// Who was chosen how often, by route.
    pub routes: BTreeMap<Arc<str>, Vec<Tally>>,
}

impl Report {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.differences == 0 && self.decisions == self.identical
    }
}

/// Who is told of each event that was made again, in the order in which it happened.
pub trait Witness {
    /// A mind that a route goes on with from here.
    fn begins(&mut self, _mind: &Mind) {}
    /// A choice, and the plan that was made again.
    fn chose(&mut self, _choice: &Choice, _plan: &Plan) {}
    /// A lesson.
    fn learnt(&mut self, _learnt: &Learnt) {}
}

/// Nobody.
impl Witness for () {}

/// A replay under way.
#[derive(Debug, Default)]
pub struct Replay<W> {
    report: Report,
    routes: BTreeMap<Arc<str>, Route>,
    witness: W,
}

/// What is known of a route so far.
#[derive(Debug, Default)]
struct Route {
    mind: Option<Mind>,
    /// Events whose turn has not come: by number, the mind before the event of the same number.
    waiting: BTreeMap<(u64, u8), (At, Event)>,
    /// Events whose turn is over. They are differences, unless a process has begun anew and they are its own.
    early: Vec<(At, Event)>,
    /// The line before which events are missing, and what is to be said where nothing declares them to be.
    gap: Option<(At, u64, u64)>,
}

/// Makes the choices of these lines again.
pub fn replay<'a>(lines: impl IntoIterator<Item = &'a str>) -> Report {
    let mut replay = Replay::new(());
    for (line, text) in (1..).zip(lines) {
        replay.line(At { file: 0, line }, text);
    }
    replay.end().0
}

impl<W: Witness> Replay<W> {
    /// Begins; `witness` is told of each event.
    pub fn new(witness: W) -> Self {
        Self { report: Report::default(), routes: BTreeMap::new(), witness }
    }

    /// Takes a line, without its end.
    pub fn line(&mut self, at: At, text: &str) {
        let event = match read(text) {
            Ok(event) => event,
            Err(error) => return self.differs(at, None, format!("the line cannot be read: {error}")),
        };
        let kind = u8::from(!matches!(event, Event::Begin(_)));
        let (name, key) = (name(&event).clone(), (number(&event), kind));
        let mut route = self.routes.remove(&name).unwrap_or_default();
        if let Event::Begin(Begin { n, why: Why::Start, .. }) = &event {
            self.start(&mut route, at, *n);
        }
        if route.waiting.insert(key, (at, event)).is_some() && key.1 == 1 {
            self.differs(at, Some(name.clone()), format!("event {} stands twice", key.0));
        }
        self.go_on(&mut route, WINDOW);
        self.routes.insert(name, route);
    }

    /// Ends: what still waits has waited in vain.
    pub fn end(mut self) -> (Report, W) {
        for (_, mut route) in std::mem::take(&mut self.routes) {
            self.go_on(&mut route, 0);
            self.close(&mut route);
        }
        (self.report, self.witness)
    }

    /// A process has begun: everything before is over, but for lines of its own that came before this one. They
    /// are in the same file, because no process writes to a file of another one.
    fn start(&mut self, route: &mut Route, at: At, n: u64) {
        let its_own = |each: &At, number: u64| each.file == at.file && number >= n;
        let (own, old): (Vec<_>, Vec<_>) =
            std::mem::take(&mut route.early).into_iter().partition(|(each, event)| its_own(each, number(event)));
        let (ours, olds) = std::mem::take(&mut route.waiting)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|((number, _), (each, _))| route.mind.is_none() || its_own(each, *number));
        (route.early, route.waiting) = (old, olds);
        self.go_on(route, 0);
        self.close(route);
        route.mind = None;
        route.waiting = ours;
        route.waiting.extend(own.into_iter().map(|(at, event)| ((number(&event), 1), (at, event))));
    }

    /// What is left of a route that goes on no more.
    fn close(&mut self, route: &mut Route) {
        for (at, event) in std::mem::take(&mut route.early) {
            let what = format!("event {} stands where a later one is due", number(&event));
            self.differs(at, Some(name(&event).clone()), what);
        }
        self.undeclared(route, None);
    }

    /// Events are missing and nothing has declared them to be.
    fn undeclared(&mut self, route: &mut Route, name: Option<Arc<str>>) {
        if let Some((at, from, to)) = route.gap.take() {
            self.differs(at, name, format!("the events from {from} to {to} are missing before this line"));
        }
    }

    /// Takes the events whose turn it is; where more than `most` wait, the first of them although some before it
    /// are missing.
    fn go_on(&mut self, route: &mut Route, most: usize) {
        while let Some(((n, _), _)) = route.waiting.first_key_value() {
            let due = route.mind.as_ref().is_some_and(|mind| *n <= mind.events());
            if !due && route.waiting.len() <= most {
                // A route of which nothing is known waits for nothing: its first mind may stand anywhere.
                let begins = route.mind.is_none() && route.waiting.keys().any(|(_, kind)| *kind == 0);
                if !begins {
                    return;
                }
            }
            let Some(((n, _), (at, event))) = route.waiting.pop_first() else { return };
            self.take(route, n, at, event);
        }
    }

    fn take(&mut self, route: &mut Route, n: u64, at: At, event: Event) {
        let Some(mind) = &mut route.mind else {
            match event {
                Event::Begin(begin) => self.begin_anew(route, begin),
                Event::Decide(_) | Event::Learn(_) => self.report.skipped += 1,
            }
            return;
        };
        let expected = mind.events();
        match event {
            // It was overtaken by events that it was written before: there is nothing left to compare it with. But what
            // follows a reload is decided by other rules.
            Event::Begin(begin) if n < expected => {
                if begin.why == Why::Reload {
                    let what = format!(
                        "the mind of a reload begins with event {n}, and events up to {} were before it",
                        expected - 1
                    );
                    self.differs(at, Some(begin.route.clone()), what);
                    self.adopt(route, begin);
                }
            }
            Event::Begin(begin) => self.begin(route, at, begin),
            event if n < expected => route.early.push((at, event)),
            event if n > expected => {
                self.report.skipped += 1;
                (route.mind, route.gap) = (None, Some((at, expected, n - 1)));
                drop(event);
            }
            Event::Decide(choice) => self.decide(mind, at, &choice),
            Event::Learn(learnt) => self.learn(mind, at, &learnt),
        }
    }

    /// A mind where none is known: at the beginning, or after events that are missing.
    fn begin_anew(&mut self, route: &mut Route, begin: Begin) {
        if begin.why == Why::Gap {
            if let Some((_, from, to)) = route.gap.take() {
                self.report.missing += to + 1 - from;
            }
        } else {
            self.undeclared(route, Some(begin.route.clone()));
        }
        self.adopt(route, begin);
    }

    /// A mind that stands where another one is known already.
    fn begin(&mut self, route: &mut Route, at: At, begin: Begin) {
        let Some(mind) = &route.mind else { return };
        let missing = begin.n - mind.events().min(begin.n);
        if missing > 0 && begin.why != Why::Gap {
            let what = format!("the events from {} to {} are missing before this line", mind.events(), begin.n - 1);
            self.differs(at, Some(begin.route.clone()), what);
        } else if missing == 0 {
            let mut leads_to = Mind::new(begin.mind.rules().clone());
            match begin.why {
                Why::Reload => leads_to.adopt(mind),
                Why::Start | Why::Rotation | Why::Gap => leads_to.clone_from(mind),
            }
            if leads_to != begin.mind {
                let what = String::from("the mind that stands here is not the one that the lines before it lead to");
                self.differs(at, Some(begin.route.clone()), what);
            }
        }
        if begin.why == Why::Gap {
            self.report.missing += missing;
        }
        self.adopt(route, begin);
    }

    fn adopt(&mut self, route: &mut Route, begin: Begin) {
        let tallies = self.report.routes.entry(begin.route).or_default();
        for facts in &begin.mind.rules().candidates {
            if tallies.iter().all(|tally| tally.model != facts.model) {
                tallies.push(Tally { model: facts.model.clone(), chosen: 0 });
            }
        }
        self.witness.begins(&begin.mind);
        route.mind = Some(begin.mind);
    }

    fn decide(&mut self, mind: &mut Mind, at: At, choice: &Choice) {
        self.report.decisions += 1;
        let name = |mind: &Mind, arm: Option<usize>| {
            let facts = arm.and_then(|arm| mind.rules().candidates.get(arm));
            facts.map_or_else(|| Arc::from("nobody"), |facts| facts.model.clone())
        };
        let model = name(mind, choice.chosen);
        if let Some(tally) =
            self.report.routes.get_mut(&choice.route).and_then(|all| all.iter_mut().find(|tally| tally.model == model))
        {
            tally.chosen += 1;
        }
        let plan = mind.decide(&choice.request, &choice.candidates);
        self.witness.chose(choice, &plan);
        let first = plan.order.first().copied();
        let same = plan.candidates.len() == choice.probabilities.len()
            && plan
                .candidates
                .iter()
                .zip(&choice.probabilities)
                .all(|(mine, theirs)| mine.terms.probability.to_bits() == theirs.to_bits());
        if first == choice.chosen && *plan.strategy == *choice.strategy && same {
            self.report.identical += 1;
            return;
        }
        let probabilities: Vec<f64> = plan.candidates.iter().map(|each| each.terms.probability).collect();
        let what = format!(
            "request {}: the journal has {model} ({}) with probabilities {:?}; made again it is {} ({}) with {probabilities:?}",
            choice.request.id,
            choice.strategy,
            choice.probabilities,
            name(mind, first),
            plan.strategy
        );
        self.differs(at, Some(choice.route.clone()), what);
    }

    fn learn(&mut self, mind: &mut Mind, at: At, learnt: &Learnt) {
        self.witness.learnt(learnt);
        self.report.lessons += 1;
        let reward = mind.learn(&learnt.lesson);
        if reward.map(f64::to_bits) != learnt.reward.map(f64::to_bits) {
            let what = format!(
                "request {}: the journal has the reward {:?}; learnt again it is {reward:?}",
                learnt.id, learnt.reward
            );
            self.differs(at, Some(learnt.route.clone()), what);
        }
    }

    fn differs(&mut self, at: At, route: Option<Arc<str>>, what: String) {
        self.report.differences += 1;
        if self.report.first.as_ref().is_none_or(|first| at < first.at) {
            self.report.first = Some(Difference { at, route, what });
        }
    }
}

fn name(event: &Event) -> &Arc<str> {
    match event {
        Event::Begin(begin) => &begin.route,
        Event::Decide(choice) => &choice.route,
        Event::Learn(learnt) => &learnt.route,
    }
}

fn number(event: &Event) -> u64 {
    match event {
        Event::Begin(begin) => begin.n,
        Event::Decide(choice) => choice.n,
        Event::Learn(learnt) => learnt.n,
    }
}
