//! Journals that are kept, disturbed and tampered with.

use atp_core::{Forecast, MicroUsd, Quality, Status, Weights};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::*;
use crate::bandit::{Context, D, Strategy};
use crate::candidate::{CandidateFacts, Needs};
use crate::decide::{Dice, MindRules};
use crate::sticky::{StickyKeys, StickyRules};

const BEGAN: u64 = 1_700_000_000_000;

fn rules(dice: &mut StdRng) -> MindRules {
    let model = |name: &str, quality| CandidateFacts { quality, ..CandidateFacts::named(name) };
    let mut candidates = vec![model("a", Some(0.8)), model("b", None), model("c", Some(0.9)), model("d", Some(0.7))];
    candidates.shuffle(dice);
    candidates.truncate(dice.random_range(2..=4));
    MindRules {
        route: Arc::from("auto"),
        candidates,
        strategy: Strategy::ALL[dice.random_range(0..4)],
        explore: 0.1,
        prior_weight: 5.0,
        half_life_ms: 60_000,
        sticky: StickyRules { ttl_ms: 5_000, ..StickyRules::default() },
    }
}

fn request(number: u64, dice: &mut impl Rng) -> Request {
    let mut x = [0.0; D].map(|_| dice.random_range(-1.0..1.0));
    x[0] = 1.0;
    let key = |dice: &mut dyn Rng| dice.next_u32().is_multiple_of(3).then(|| u64::from(dice.next_u32() % 40) << 8);
    Request {
        id: RequestId::from_parts(BEGAN + number, u128::from(number)),
        tenant: Arc::from("acme"),
        asked: Arc::from("auto"),
        features: atp_core::Features { prompt_hash: dice.random(), ..atp_core::Features::default() },
        context: Context { cluster: dice.random_range(0..4), x },
        cluster: Arc::from("chat"),
        needs: Needs {
            max_cost: (dice.random::<f64>() < 0.2).then(|| MicroUsd(dice.random_range(50..300))),
            slo_ms: (dice.random::<f64>() < 0.2).then(|| dice.random_range(100..2_000)),
            ..Needs::of(Quality::ALL[dice.random_range(0..3)])
        },
        keys: StickyKeys { session: key(dice), prefix: key(dice) },
        now_ms: BEGAN + number * 37,
        seed: dice.random(),
    }
}

fn candidates(count: usize, dice: &mut impl Rng) -> Vec<CandidateNow> {
    let one = |_| CandidateNow {
        status: if dice.random::<f64>() < 0.1 { Status::Fallback } else { Status::Active },
        forecast: Forecast { guarded: Some(MicroUsd(dice.random_range(1..300))), ..Forecast::default() },
        p95_ms: Some(dice.random_range(50..2_000)),
        healthy: dice.random::<f64>() < 0.95,
        room: dice.random::<f64>() < 0.9,
        affordable: true,
    };
    (0..count).map(one).collect()
}

/// What a pipeline would do to a mind, and the lines that it would write.
struct Life {
    dice: StdRng,
    mind: Mind,
    lines: Vec<String>,
    decided: u64,
    lost: u64,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let mind = Mind::new(rules(&mut dice));
        let lines = vec![begin(Why::Start, &mind)];
        Self { dice, mind, lines, decided: 0, lost: 0 }
    }

    fn choice(&mut self) {
        let request = request(self.decided, &mut self.dice);
        let candidates = candidates(self.mind.rules().candidates.len(), &mut self.dice);
        let n = self.mind.events();
        let plan = self.mind.decide(&request, &candidates);
        self.lines.push(decide("auto", n, &request, &candidates, &plan));
        self.decided += 1;
    }

    fn lesson(&mut self) {
        let of = request(self.decided.saturating_sub(self.dice.random_range(0..50)), &mut self.dice);
        let served = self.dice.random::<f64>() < 0.95;
        let lesson = Lesson {
            arm: self.dice.random_range(0..self.mind.rules().candidates.len()),
            context: of.context,
            weights: Weights::of(Quality::Balanced),
            served: Some(served),
            quality: (self.dice.random::<f64>() < 0.5).then(|| (self.dice.random(), 1.0)),
            quiet: self.decided.is_multiple_of(10),
            cost: Some(self.dice.random()),
            latency: Some(self.dice.random()),
            now_ms: BEGAN + self.decided * 37,
        };
        let n = self.mind.events();
        let reward = self.mind.learn(&lesson);
        self.lines.push(learn("auto", n, of.id, &lesson, reward));
    }

    fn reload(&mut self) {
        let mut after = Mind::new(rules(&mut self.dice));
        after.adopt(&self.mind);
        self.mind = after;
        self.lines.push(begin(Why::Reload, &self.mind));
    }

    fn gap(&mut self) {
        self.choice();
        self.lines.pop();
        self.lost += 1;
        self.lines.push(begin(Why::Gap, &self.mind));
    }

    fn step(&mut self) {
        match self.dice.random_range(0..1_000) {
            0 => self.lines.push(begin(Why::Rotation, &self.mind)),
            1 => self.reload(),
            2 => self.gap(),
            3..500 => self.lesson(),
            _ => self.choice(),
        }
    }
}

fn again(lines: &[String]) -> Report {
    replay(lines.iter().map(String::as_str))
}

#[test]
fn ten_thousand_choices_are_made_again_to_the_bit() {
    // One of each strategy to begin with; reloads change it.
    for seed in [0, 1, 2, 5] {
        let mut life = Life::new(seed);
        while life.decided < 2_500 + life.lost {
            life.step();
        }
        let report = again(&life.lines);
        assert_eq!(report.first, None);
        assert_eq!((report.decisions, report.identical), (life.decided - life.lost, life.decided - life.lost));
        assert_eq!((report.missing, report.skipped), (life.lost, 0));
        assert!(report.is_identical());
        let counted: u64 = report.routes["auto"].iter().map(|tally| tally.chosen).sum();
        assert!(counted > 2_250 && counted <= report.decisions, "nobody answers some: {counted}");
    }
}

#[test]
fn lines_may_be_written_a_little_out_of_order() {
    let mut life = Life::new(7);
    while life.decided < 2_000 {
        life.step();
    }
    for window in life.lines[1..].chunks_mut(40) {
        window.shuffle(&mut life.dice);
    }
    let report = again(&life.lines);
    assert_eq!(report.first, None);
    assert_eq!(report.identical, life.decided - life.lost);
}

#[test]
fn a_line_that_was_changed_is_named() {
    let mut life = Life::new(8);
    while life.decided < 100 {
        life.step();
    }
    for (place, line) in life.lines.iter().enumerate().skip(1) {
        let changed = [
            ("\"now_ms\":1", "\"now_ms\":2"),
            ("\"probabilities\":[0", "\"probabilities\":[1"),
            ("\"reward\":0.", "\"reward\":0.1"),
            ("\"reward\":null", "\"reward\":0.5"),
            ("\"chosen\":0", "\"chosen\":1"),
        ]
        .into_iter()
        .map(|(from, to)| line.replacen(from, to, 1))
        .filter(|changed| changed != line && !line.contains("\"event\":\"begin\""));
        for changed in changed.filter(|changed| !changed.contains("\"now_ms\":2") || place % 7 == 0) {
            let mut lines = life.lines.clone();
            lines[place] = changed.clone();
            let report = again(&lines);
            if changed.contains("\"now_ms\":2") {
                // What was decided before and after may be the same whatever the clock said; the mind is not.
                assert!(report.first.is_none_or(|first| first.at.line > place as u64), "{changed}");
            } else {
                let first = report.first.expect("a difference");
                assert_eq!(first.at, At { file: 0, line: place as u64 + 1 }, "{changed}");
            }
        }
        if place > 40 {
            break;
        }
    }
}

#[test]
fn a_line_that_was_taken_out_is_missed() {
    let mut life = Life::new(9);
    for _ in 0..200 {
        life.choice();
    }
    let mut lines = life.lines.clone();
    lines.remove(100);
    let report = again(&lines);
    let first = report.first.expect("a difference");
    assert_eq!(first.at.line, 101, "the line that follows is named");
    assert!(first.what.contains("from 99 to 99 are missing"), "{}", first.what);
    lines = life.lines.clone();
    lines.insert(100, lines[50].clone());
    assert!(!again(&lines).is_identical(), "one that stands twice");
}

#[test]
fn a_mind_that_was_changed_is_found_where_it_follows_others() {
    let mut life = Life::new(10);
    for _ in 0..100 {
        life.choice();
    }
    life.lines.push(begin(Why::Rotation, &life.mind));
    life.choice();
    assert!(again(&life.lines).is_identical());
    life.lesson();
    let other = begin(Why::Rotation, &life.mind).replace(&format!("\"n\":{}", life.mind.events()), "\"n\":100");
    let other = other.replace(&format!("\"events\":{}", life.mind.events()), "\"events\":100");
    life.lines[101] = other;
    assert_eq!(again(&life.lines).first.map(|first| first.at.line), Some(102));
}

#[test]
fn a_line_that_cannot_be_read_is_named() {
    let mut life = Life::new(11);
    for _ in 0..10 {
        life.choice();
    }
    life.lines.push(String::from("{\"event\":\"decide\",\"route\":\"au"));
    let first = again(&life.lines).first.expect("a difference");
    assert_eq!((first.at.line, first.route), (12, None));
}

#[test]
fn a_journal_may_be_read_from_any_of_its_files_on() {
    let mut life = Life::new(12);
    for _ in 0..100 {
        life.choice();
    }
    life.choice();
    life.lines.push(begin(Why::Rotation, &life.mind));
    for _ in 0..100 {
        life.choice();
    }
    let report = again(&life.lines[101..]);
    assert!(report.is_identical());
    assert_eq!((report.decisions, report.skipped), (100, 1), "the first line stands before the first mind");
}

#[test]
fn a_new_process_begins_anew_in_the_same_journal() {
    let mut life = Life::new(13);
    for _ in 0..50 {
        life.choice();
    }
    let mut next = Life::new(14);
    for _ in 0..50 {
        next.choice();
    }
    life.lines.append(&mut next.lines);
    let report = again(&life.lines);
    assert!(report.is_identical());
    assert_eq!(report.decisions, 100);
}

#[test]
fn lines_of_a_new_process_that_overtook_its_first_are_its_own() {
    let mut life = Life::new(13);
    for _ in 0..50 {
        life.choice();
    }
    let mut next = Life::new(14);
    for _ in 0..50 {
        next.choice();
    }
    next.lines.swap(0, 2);
    let mut replay = Replay::new(());
    for (file, lines) in [life.lines, next.lines].into_iter().enumerate() {
        for (line, text) in (1..).zip(lines) {
            replay.line(At { file, line }, &text);
        }
    }
    let (report, ()) = replay.end();
    assert_eq!((report.first, report.decisions), (None, 100));
}

#[test]
fn lost_lines_may_be_declared_a_little_later() {
    let mut life = Life::new(16);
    for _ in 0..20 {
        life.choice();
    }
    life.choice();
    life.lines.pop();
    for _ in 0..5 {
        life.choice();
    }
    let undeclared = again(&life.lines);
    assert_eq!(undeclared.first.map(|first| first.at.line), Some(22), "nothing says that a line was lost");
    life.lines.push(begin(Why::Gap, &life.mind));
    for _ in 0..20 {
        life.choice();
    }
    let report = again(&life.lines);
    assert_eq!((report.first, report.decisions, report.skipped, report.missing), (None, 40, 5, 1));
}

#[test]
fn lines_hold_nothing_of_a_prompt_and_numbers_read_back_exactly() {
    let mut life = Life::new(15);
    let mut dice = Dice::new(5);
    for _ in 0..500 {
        life.step();
        let number = f64::from_bits(dice.next_u64() >> 2);
        let text = serde_json::to_string(&number).expect("a number");
        assert_eq!(serde_json::from_str::<f64>(&text).map(f64::to_bits).ok(), Some(number.to_bits()), "{text}");
    }
    for line in &life.lines {
        assert!(!line.contains('\n'));
        for forbidden in ["\"prompt\"", "\"text\"", "\"messages\":[", "\"content\""] {
            assert!(!line.contains(forbidden), "{line}");
        }
    }
}
