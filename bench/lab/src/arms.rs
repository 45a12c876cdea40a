//! Arms: which model answers, played against models of which only the laboratory knows how good they are.
//!
//! The bandit is the product's own (`atp_routing::bandit`); time is given, answers end seconds later,
//! scores come minutes later, for some of them. Each way of choosing meets the same requests, and a model makes the
//! same of a request whoever asks it.

mod change;
mod cold;
mod drift;
mod other;
mod policy;
mod run;
mod steady;
mod world;

use crate::paper::{Aim, Section, percent, summary};
use crate::plot::{Ink, Panel, Plot, Scale as Axes, Series};
use crate::scenario::Scale;
use policy::{EXPLORE, Way};
use run::Run;
use world::World;

/// The folder of the page's plots, and the page's name.
pub const PAGE: &str = "routing";

/// A chapter: its name, and what plays it.
type Chapter = (&'static str, fn(Scale) -> Section);

const CHAPTERS: [Chapter; 5] = [
    ("steady", steady::play),
    ("drift", drift::play),
    ("change", change::play),
    ("cold", cold::play),
    ("other", other::play),
];

/// Plays every chapter, or the one of this name.
#[must_use]
pub fn play(scale: Scale, only: Option<&str>) -> Vec<Section> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    CHAPTERS.iter().filter(|(name, _)| wanted(name)).map(|(_, chapter)| chapter(scale)).collect()
}

/// The page of all chapters.
#[must_use]
pub fn page(sections: &[Section]) -> String {
    let chapters: Vec<String> = sections.iter().map(|section| section.markdown(PAGE)).collect();
    let page = include_str!("arms/page.md").replace("<!-- aims -->\n", &summary(sections));
    page.replace("<!-- chapters -->\n", &chapters.join("\n"))
}

/// How many seeds everything is played with.
fn seeds(scale: Scale) -> u64 {
    match scale {
        Scale::Full => 40,
        Scale::Quick => 10,
    }
}

/// One way of choosing, once per seed.
type Runs = (Way, Vec<Run>);

/// Each way of choosing, in each world.
fn played(ways: &[Way], worlds: &[World]) -> Vec<Runs> {
    ways.iter().map(|way| (*way, worlds.iter().map(|world| run::run(world, *way)).collect())).collect()
}

/// Ours, with one or another strategy, and all that it is held against.
fn beside_baselines(ours: &[Way]) -> Vec<Way> {
    ours.iter().chain(&Way::BASELINES).copied().collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

/// The requests that explored are what was configured, but for chance: three deviations of as many tosses of a coin.
fn explored(what: String, runs: &[Run]) -> Aim {
    let count: usize = runs.iter().map(|run| run.rows.len()).sum();
    let chance = 3.0 * (EXPLORE * (1.0 - EXPLORE) / count.max(1) as f64).sqrt();
    Aim::at_most(what, EXPLORE + chance, mean(runs.iter().map(Run::explored)), percent)
}

/// How lines are told apart: ours first, the others by place.
fn ink(place: usize) -> Ink {
    if place == 0 { Ink::Ours } else { Ink::Other(place - 1) }
}

/// The rows that chapters have in common: reward on average and in the worst run, exploration, cost.
fn common((way, runs): &Runs, (from, to): (usize, usize)) -> Vec<String> {
    let rewards = || runs.iter().map(|run| run.reward(from, to));
    let worst = rewards().fold(f64::INFINITY, f64::min);
    vec![
        way.name().to_owned(),
        percent(mean(rewards())),
        percent(worst),
        percent(mean(runs.iter().map(Run::explored))),
        format!("{:.2}", mean(runs.iter().map(Run::cost))),
    ]
}
const HEAD: [&str; 5] = ["", "reward of the oracle's", "worst run", "explored", "$ per 1,000"];

/// Reward over time, of the ways that tell one another apart.
fn over_time(all: &[Runs], length: usize, title: &str) -> Plot {
    let shown = [Way::OURS, Way::Static, Way::Ucb1, Way::EpsilonGreedy, Way::SlidingUcb, Way::Random];
    let series = shown.iter().enumerate().filter_map(|(place, way)| {
        let (_, runs) = all.iter().find(|(each, _)| each == way)?;
        Some(Series::new(way.name(), ink(place), slices(runs, length, 250)))
    });
    Plot {
        title: title.to_owned(),
        x_label: "requests",
        x_scale: Axes::Linear,
        panels: vec![Panel::new("reward, % of the oracle's", series.collect())],
    }
}

/// Reward over slices of a run, averaged over all runs, in percent of the oracle's.
fn slices(runs: &[Run], length: usize, slice: usize) -> Vec<(f64, f64)> {
    let at = |from: usize| mean(runs.iter().map(|run| run.reward(from, from + slice)));
    (0..length / slice).map(|place| (((place + 1) * slice) as f64, 100.0 * at(place * slice))).collect()
}
