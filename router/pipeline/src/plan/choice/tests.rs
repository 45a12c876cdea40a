//! What becomes of a mind when its rules change while it is in use.

use std::time::Duration;

use atp_core::port::{Journal, JournalFile, Kept};
use atp_core::{Features, Quality, RequestId, Status};
use atp_routing::bandit::{Context, Lesson, Strategy};
use atp_routing::candidate::{CandidateFacts, CandidateNow, Needs};
use atp_routing::decide::Request;
use atp_routing::journal;
use atp_routing::sticky::StickyKeys;

use super::*;
use crate::plan::log::{self, Diary};
use crate::snapshot::{Escalation, Manner, Sticky};

#[derive(Default)]
struct Lines(std::sync::Mutex<Vec<String>>);

impl Journal for Lines {
    fn write(&self, _: JournalFile, line: String) -> Kept {
        self.0.lock().unwrap().push(line);
        Kept::Queued
    }
}

fn rules(explore: f64) -> RouteRules {
    RouteRules {
        name: "auto".into(),
        listed: true,
        candidates: Vec::new(),
        manner: Manner::One(Strategy::Contextual),
        weights: None,
        explore,
        prior_weight: 10.0,
        half_life: Duration::from_secs(86_400),
        safety: None,
        escalation: Escalation::default(),
        sticky: Sticky::default(),
        experiment: None,
    }
}

/// A choice among these names, without the routes behind them.
fn among(names: [&str; 2], explore: f64, before: Option<&Choice>) -> Choice {
    let bare = Choice::new(&rules(explore), Box::default(), None);
    let mind_rules = bare.rules.mind(names.map(CandidateFacts::named).to_vec());
    let (older, why) = (before.map(|before| Arc::clone(&before.thinking)), before.map_or(Why::Start, |_| Why::Reload));
    let thinking = Thinking::new(Mind::new(mind_rules.clone()), older, why);
    Choice { mind_rules, thinking, ..bare }
}

fn request(number: u64) -> Request {
    Request {
        id: RequestId::from_parts(number, 1),
        tenant: "t".into(),
        asked: "auto".into(),
        features: Features::default(),
        context: Context { cluster: 0, x: [1.0; 8] },
        cluster: "chat".into(),
        needs: Needs::of(Quality::Fast),
        keys: StickyKeys::default(),
        now_ms: 1_000_000 + 10_000 * number,
        seed: number,
    }
}

fn lesson(arm: usize, number: u64) -> Lesson {
    let Request { context, needs, now_ms, .. } = request(number);
    Lesson {
        arm,
        context,
        weights: needs.weights,
        served: Some(true),
        quality: Some((0.9, 1.0)),
        quiet: false,
        cost: None,
        latency: None,
        now_ms,
    }
}

#[test]
fn a_reload_under_load_leaves_one_row_of_events() {
    let lines = Arc::new(Lines::default());
    let diary = Diary::new(Arc::clone(&lines) as _);
    let now = [CandidateNow { status: Status::Active, ..CandidateNow::default() }; 2];
    let mut number = 0;
    let mut goes = |choice: &Choice, arm: usize| {
        for _ in 0..5 {
            number += 1;
            let plan = log::decide(choice, Some(&diary), &request(number), &now);
            assert!(!plan.order.is_empty(), "whoever asks gets an answer");
            log::learn(choice, Some(&diary), request(number).id, &lesson(arm, number));
        }
    };
    let old = among(["a", "b"], 0.3, None);
    goes(&old, 1);
    // The new configuration is made, and not in force yet.
    let new = among(["b", "c"], 0.1, Some(&old));
    goes(&old, 1);
    assert_eq!(old.mind().events(), 20);
    goes(&new, 0);
    // An exchange that came in before goes on with what it was given.
    goes(&old, 1);
    goes(&new, 0);
    assert_eq!((old.mind().events(), new.mind().events()), (20, 45), "five choices are the old rules' own");
    let weight = new.mind().brain().quality(0, &request(0).context, 0).weight;
    assert!(weight > 20.0, "no lesson is lost: {weight}");
    log::learn(&old, Some(&diary), request(99).id, &lesson(0, 99));
    assert_eq!(new.mind().events(), 45, "of a model that is gone nothing is learnt");
    let report = journal::replay(lines.0.lock().unwrap().iter().map(String::as_str));
    assert!(report.is_identical(), "{:?}", report.first);
    assert_eq!((report.decisions, report.lessons, report.missing), (20, 25, 0));
}

#[test]
fn what_a_reload_that_nobody_used_would_have_known_comes_through() {
    let old = among(["a", "b"], 0.3, None);
    log::learn(&old, None, request(1).id, &lesson(1, 1));
    let unused = among(["b", "c"], 0.1, Some(&old));
    let new = among(["c", "b"], 0.1, Some(&unused));
    assert_eq!(new.mind().events(), 1);
    assert!(new.mind().brain().quality(1, &request(0).context, 0).weight > 0.9);
    log::learn(&old, None, request(2).id, &lesson(1, 2));
    assert_eq!((old.mind().events(), unused.mind().events(), new.mind().events()), (1, 1, 2));
}
