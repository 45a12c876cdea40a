//! Models whose quality wanders.

use atp_routing::bandit::Strategy;

use super::policy::{Stated, Way};
use super::world::{Fate, World, models};
use super::{HEAD, Runs, beside_baselines, common, explored, mean, over_time, played, seeds};
use crate::paper::{Aim, Drawing, Section, Table, percent};
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
    let worlds: Vec<World> =
        (0..seeds(scale)).map(|seed| World::new(models(), Fate::Drift(SIZE), REQUESTS, seed)).collect();
    let all = played(&beside_baselines(&ours), &worlds);
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
    let plot = over_time(all, REQUESTS, "Models whose quality wanders");
    Drawing { file: "drift.svg", alt: "Reward of each way of choosing over time, under drift", svg: plot.svg() }
}

const TEXT: &str = "
The quality of every model wanders up and down by 0.2, each in its own time: a full turn takes 4,000 to 9,000 requests. The
oracle follows. The half-life is a day, much longer than the run of under three hours: what follows the drift is the
bounded memory of each model and the watch for changes.
";
