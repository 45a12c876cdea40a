//! Models whose quality wanders.

use atp_routing::bandit::Strategy;

use super::policy::{Stated, Way};
use super::run::run;
use super::world::{Fate, World, models};
use super::{HEAD, Runs, common, explored, ink, mean, seeds, slices};
use crate::paper::{Aim, Drawing, Section, Table, percent};
use crate::plot::{Panel, Plot, Scale as Axes, Series};
use crate::scenario::Scale;

const REQUESTS: usize = 10_000;
/// Quality goes up and down by so much.
const SIZE: f64 = 0.2;

pub(super) fn play(scale: Scale) -> Section {
    let ours = [
        Way::OURS,
        Way::Ours(Strategy::Ucb, Stated::Roughly),
        Way::Ours(Strategy::Thompson, Stated::Roughly),
        Way::Ours(Strategy::Cheapest, Stated::Roughly),
    ];
    let played = |way: &Way| -> Runs {
        (
            *way,
            (0..seeds(scale)).map(|seed| run(&World::new(models(), Fate::Drift(SIZE), REQUESTS, seed), *way)).collect(),
        )
    };
    let all: Vec<Runs> = ours.iter().chain(&Way::BASELINES).map(played).collect();
    let rows = all.iter().map(|runs| common(runs, (0, REQUESTS))).collect();
    let table = Table { caption: "*Reward over 10,000 requests*".to_owned(), head: HEAD.to_vec(), rows };
    Section { title: "Drift", text: TEXT, aims: aims(&all), tables: vec![table], drawings: vec![drawing(&all)] }
}

fn aims(all: &[Runs]) -> Vec<Aim> {
    let reward = |way: Way| {
        let runs = all.iter().find(|(each, _)| *each == way);
        runs.map_or(0.0, |(_, runs)| mean(runs.iter().map(|run| run.reward(0, REQUESTS))))
    };
    let ours = reward(Way::OURS);
    let mut aims: Vec<Aim> = Way::BASELINES
        .into_iter()
        .map(|way| Aim::at_least(format!("reward under drift, beside {}", way.name()), reward(way), ours, percent))
        .collect();
    let runs = all.first().map(|(_, runs)| runs.as_slice()).unwrap_or_default();
    aims.push(explored("requests that explored, under drift".to_owned(), runs));
    aims
}

fn drawing(all: &[Runs]) -> Drawing {
    let shown = [Way::OURS, Way::Static, Way::Ucb1, Way::EpsilonGreedy, Way::SlidingUcb, Way::Random];
    let series = shown.iter().enumerate().filter_map(|(place, way)| {
        let (_, runs) = all.iter().find(|(each, _)| each == way)?;
        Some(Series::new(way.name(), ink(place), slices(runs, REQUESTS, 250)))
    });
    let plot = Plot {
        title: "Models whose quality wanders".to_owned(),
        x_label: "requests",
        x_scale: Axes::Linear,
        panels: vec![Panel::new("reward, % of the oracle's", series.collect())],
    };
    Drawing { file: "drift.svg", alt: "Reward of each way of choosing over time, under drift", svg: plot.svg() }
}

const TEXT: &str = "
The quality of every model wanders up and down by 0.2, each in its own time: a full turn takes 4,000 to 9,000 requests. The
oracle follows. The half-life is a day, much longer than the run of under three hours: what follows the drift is the
bounded memory of each model and the watch for changes.
";
