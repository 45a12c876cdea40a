//! A model that joins later, of which nothing is known.

use super::policy::{EXPLORE, Way};
use super::run::Run;
use super::world::{Fate, World, rivals};
use super::{mean, played, seeds};
use crate::paper::{Aim, Section, Table, percent};
use crate::scenario::Scale;

const REQUESTS: usize = 4_000;
const AT: usize = 1_000;
/// The best one and the worst one, by their place.
const CASES: [(&str, usize); 2] = [("the best model joins", 0), ("the worst model joins", 5)];
const WAYS: [Way; 4] = [Way::OURS, Way::Ucb1, Way::EpsilonGreedy, Way::SlidingUcb];
/// Requests within which a new best model has to have most of the traffic.
const FOUND: f64 = 1_500.0;

pub(super) fn play(scale: Scale) -> Section {
    let mut section =
        Section { title: "New models", text: TEXT, aims: Vec::new(), tables: Vec::new(), drawings: Vec::new() };
    for (name, arm) in CASES {
        let world = |seed| World::new(rivals(), Fate::Join(AT, arm), REQUESTS, seed);
        let worlds: Vec<World> = (0..seeds(scale)).map(world).collect();
        let all = played(&WAYS, &worlds);
        if let Some((_, runs)) = all.first() {
            section.aims.extend(aims(name, arm, runs));
        }
        let rows = all.iter().map(|(way, runs)| row(*way, runs, arm)).collect();
        let head = vec!["", "of the first 500", "of the next 500", "of the last 1,000", "reward since"];
        section.tables.push(Table { caption: format!("*Requests that the new one gets, {name}*"), head, rows });
    }
    section
}

fn aims(name: &str, arm: usize, runs: &[Run]) -> Vec<Aim> {
    if arm == 0 {
        let windows = (0..(REQUESTS - AT - 100) / 10).map(|place| place * 10);
        let found = windows.into_iter().find(|from| share(runs, arm, (*from, from + 100)) > 0.5);
        let found = found.map_or(f64::INFINITY, |from| from as f64);
        return vec![Aim::at_most(format!("requests until it has most, {name}"), FOUND, found, |value| {
            format!("{value:.0}")
        })];
    }
    let least = runs.iter().map(|run| share(std::slice::from_ref(run), arm, (0, 1_000))).fold(1.0, f64::min);
    vec![
        Aim::at_least(format!("share of the first 1,000 requests in any run, {name}"), 0.001, least, percent),
        Aim::at_most(
            format!("share of the first 1,000 requests, {name}"),
            EXPLORE,
            share(runs, arm, (0, 1_000)),
            percent,
        ),
    ]
}

/// How many of the requests from here to there, counted from its arrival, go to an arm.
fn share(runs: &[Run], arm: usize, (from, to): (usize, usize)) -> f64 {
    let rows = runs.iter().flat_map(|run| run.rows.iter().skip(AT + from).take(to - from));
    let (mine, all) =
        rows.fold((0.0, 0.0), |(mine, all), row| (mine + if row.chosen == arm { 1.0 } else { 0.0 }, all + 1.0));
    if all > 0.0 { mine / all } else { 0.0 }
}

fn row(way: Way, runs: &[Run], arm: usize) -> Vec<String> {
    let windows = [(0, 500), (500, 1_000), (REQUESTS - AT - 1_000, REQUESTS - AT)];
    let mut row = vec![way.name().to_owned()];
    row.extend(windows.map(|window| percent(share(runs, arm, window))));
    row.push(percent(mean(runs.iter().map(|run| run.reward(AT, REQUESTS)))));
    row
}

const TEXT: &str = "
After 1,000 requests a sixth model joins, of which nothing is known. It is tried at once, but never beyond the configured
share; a good one wins its place, and a poor one costs little and is still tried now and then.
";
