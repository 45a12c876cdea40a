//! Models that stay what they are.

use atp_routing::bandit::Strategy;

use super::policy::{EXPLORE, Stated, Way};
use super::run::Run;
use super::world::{Fate, World, models};
use super::{HEAD, Runs, beside_baselines, common, explored, mean, over_time, played, seeds};
use crate::paper::{Aim, Drawing, Section, Table, percent};
use crate::scenario::Scale;

const REQUESTS: usize = 5_000;

pub(super) fn play(scale: Scale) -> Section {
    let ours = [
        Way::OURS,
        Way::Ours(Strategy::Contextual, Stated::Nothing),
        Way::Ours(Strategy::Contextual, Stated::Wrongly),
        Way::Ours(Strategy::Ucb, Stated::Roughly),
        Way::Ours(Strategy::Thompson, Stated::Roughly),
        Way::Ours(Strategy::Cheapest, Stated::Roughly),
    ];
    let worlds: Vec<World> = (0..seeds(scale)).map(|seed| World::new(models(), Fate::Steady, REQUESTS, seed)).collect();
    let all = played(&beside_baselines(&ours), &worlds);
    let aims = all.iter().take(3).flat_map(aims).collect();
    let rows = all.iter().map(|runs| common(runs, (0, REQUESTS))).collect();
    let table = Table { caption: "*Reward over 5,000 requests*".to_owned(), head: HEAD.to_vec(), rows };
    Section { title: "Steady models", text: TEXT, aims, tables: vec![table], drawings: vec![drawing(&all)] }
}

fn aims((way, runs): &Runs) -> Vec<Aim> {
    let reward = mean(runs.iter().map(|run| run.reward(0, REQUESTS)));
    let spread = runs.iter().map(Run::spread).fold(0.0, f64::max);
    let name = way.name();
    vec![
        Aim::at_least(format!("reward of the oracle's after 5,000 requests, {name}"), 0.9, reward, percent),
        // What a float may round.
        Aim::at_most(format!("probability to explore at any choice, {name}"), EXPLORE + 1e-9, spread, percent),
        explored(format!("requests that explored, {name}"), runs),
    ]
}

fn drawing(all: &[Runs]) -> Drawing {
    let plot = over_time(all, REQUESTS, "Models that stay what they are");
    Drawing { file: "steady.svg", alt: "Reward of each way of choosing over time", svg: plot.svg() }
}

const TEXT: &str = "
Six models, five kinds of work, 5,000 requests, one a second. The *oracle* knows the true quality of every model at every
request and always takes the best. *Explored* is the share of requests that went elsewhere than where it looked best;
5 % is configured. *Nothing stated* starts without any word about quality; *stated wrongly* calls the good models bad and
the bad ones good, with the weight of ten scores. The baselines know prices and latencies as well, and keep their means per
kind of work.
";
