//! A model that is not what it was, from one request to the next.

use super::policy::Way;
use super::run::Run;
use super::world::{Fate, Request, SCORED, World, rivals};
use super::{Runs, ink, mean, played, seeds};
use crate::paper::{Aim, Drawing, Section, Table, percent};
use crate::plot::{Panel, Plot, Scale as Axes, Series};
use crate::scenario::Scale;
use crate::stats::{quantile, sorted};

const REQUESTS: usize = 5_000;
const AT: usize = 2_500;
/// Requests within which a change has to be noticed.
const NOTICED: f64 = 500.0;
/// And where nobody who is asked changes, so that only exploring can tell.
const UNSEEN: f64 = 1_100.0;
/// The models by their place: the best one, the worst one.
const BEST: usize = 0;
const WORST: usize = 5;

struct Case {
    name: &'static str,
    fate: Fate,
    /// The share of the answers that get a score.
    scored: f64,
    /// Requests within which it has to be noticed.
    within: f64,
}

const FALL: Fate = Fate::Shift(AT, BEST, -0.3);
const SWAP: Fate = Fate::Swap(AT, [BEST, WORST]);
const RISE: Fate = Fate::Shift(AT, WORST, 0.46);
/// Where twice as many answers are judged.
const MORE: f64 = 2.0 * SCORED;

const CASES: [Case; 5] = [
    Case { name: "the best one falls", fate: FALL, scored: SCORED, within: NOTICED },
    Case { name: "best and worst swap places", fate: SWAP, scored: SCORED, within: NOTICED },
    Case { name: "best and worst swap places, 60 % scored", fate: SWAP, scored: MORE, within: NOTICED },
    Case { name: "the worst one rises above the best", fate: RISE, scored: SCORED, within: UNSEEN },
    Case { name: "the worst one rises above the best, 60 % scored", fate: RISE, scored: MORE, within: NOTICED },
];

const WAYS: [Way; 4] = [Way::OURS, Way::Ucb1, Way::EpsilonGreedy, Way::SlidingUcb];

pub(super) fn play(scale: Scale) -> Section {
    let mut section =
        Section { title: "Swapped models", text: TEXT, aims: Vec::new(), tables: Vec::new(), drawings: Vec::new() };
    let mut panels = Vec::new();
    for case in CASES {
        let world = |seed| World { scored: case.scored, ..World::new(rivals(), case.fate, REQUESTS, seed) };
        let worlds: Vec<World> = (0..seeds(scale)).map(world).collect();
        let concerned: Vec<Vec<bool>> = worlds.iter().map(concerned).collect();
        let all = played(&WAYS, &worlds);
        if let Some((_, runs)) = all.first() {
            let half = half(runs, &concerned);
            section.aims.push(Aim::at_most(format!("requests until noticed, {}", case.name), case.within, half, whole));
        }
        section.tables.push(table(&case, &all, &concerned));
        let series = all
            .iter()
            .enumerate()
            .map(|(place, (way, runs))| Series::new(way.name(), ink(place), right(runs, &concerned)));
        panels.push(Panel::new(case.name, series.collect()).up_to(100.0));
    }
    let plot = Plot {
        title: "Choices of the new best model where it changed, %".to_owned(),
        x_label: "requests since the change",
        x_scale: Axes::Linear,
        panels,
    };
    section.drawings.push(Drawing { file: "change.svg", alt: "How soon changes are noticed", svg: plot.svg() });
    section
}

fn whole(value: f64) -> String {
    if value.is_finite() { format!("{value:.0}") } else { "never".to_owned() }
}

/// Which requests after the change have another best model than they would have had before.
fn concerned(world: &World) -> Vec<bool> {
    let before = World { fate: Fate::Steady, ..world.clone() };
    let other = |request: &Request| request.place >= AT && before.best(request).0 != world.best(request).0;
    world.traffic().iter().map(other).collect()
}

/// Of the concerned requests in a window after the change, how many went to the new best one.
fn found(run: &Run, concerned: &[bool], (from, to): (usize, usize)) -> (f64, f64) {
    let rows = run.rows.iter().zip(concerned).skip(AT + from).take(to - from).filter(|(_, concerned)| **concerned);
    rows.fold((0.0, 0.0), |(right, all), (row, _)| (right + f64::from(u8::from(row.chosen == row.best)), all + 1.0))
}

/// The share over all runs, per hundred requests.
fn share(runs: &[Run], concerned: &[Vec<bool>], window: (usize, usize)) -> f64 {
    let counts = runs.iter().zip(concerned).map(|(run, concerned)| found(run, concerned, window));
    let (right, all) = counts.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    if all > 0.0 { right / all } else { 0.0 }
}

fn right(runs: &[Run], concerned: &[Vec<bool>]) -> Vec<(f64, f64)> {
    let windows = (0..(REQUESTS - AT) / 50).map(|place| (place * 50, (place + 1) * 50));
    windows.map(|window| (window.1 as f64, 100.0 * share(runs, concerned, window))).collect()
}

/// After how many requests more than half of the concerned ones go to the new best model, over all runs.
fn half(runs: &[Run], concerned: &[Vec<bool>]) -> f64 {
    let windows = (0..(REQUESTS - AT - 100) / 10).map(|place| place * 10);
    let first = windows.into_iter().find(|from| share(runs, concerned, (*from, from + 100)) > 0.5);
    first.map_or(f64::INFINITY, |from| from as f64)
}

fn table(case: &Case, all: &[Runs], concerned: &[Vec<bool>]) -> Table {
    let rows = all.iter().map(|(way, runs)| {
        let singles = runs
            .iter()
            .zip(concerned)
            .map(|(run, concerned)| half(std::slice::from_ref(run), std::slice::from_ref(concerned)));
        let singles = sorted(singles);
        let at = |share| quantile(&singles, share).map_or_else(String::new, whole);
        vec![
            way.name().to_owned(),
            whole(half(runs, concerned)),
            at(0.5),
            at(0.9),
            percent(share(runs, concerned, (0, 500))),
            percent(share(runs, concerned, (500, 1_000))),
            percent(mean(runs.iter().map(|run| run.reward(AT, AT + 1_000)))),
        ]
    });
    let head = vec![
        "",
        "noticed after",
        "median run",
        "90 % of runs",
        "right in the first 500",
        "in the next 500",
        "reward in these 1,000",
    ];
    Table { caption: format!("*{}*", case.name), head, rows: rows.collect() }
}

const TEXT: &str = "
Six models of one price and speed, of which nothing is stated; at the middle of 5,000 requests one or two of them change,
without a word. *Noticed* is when more than half of the requests for which another model is now the best go to that one, over
all runs; the columns beside it tell it run by run. Where nothing else is said 30 % of the answers get a score, two minutes
later on average, so that the first word of a change comes after some hundred requests.

A model that is in use and gets worse is noticed by its own scores. One that nobody uses can only be noticed by exploring: 5 %
of 500 requests are 25 tries of five models, of which 30 % are scored. That makes one or two scores of the model that
rose, which is not enough to tell it from luck, so that there the aim is 1,100 requests; with more scores, or a larger `explore`, it
takes less.
";
