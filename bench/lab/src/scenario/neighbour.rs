//! Neighbours: a light tenant beside one who sends a hundred times as much.

use super::{Scale, Ways, cumulative};
use crate::paper::{Aim, Drawing, Section, Table, percent, span};
use crate::plot::{Ink, Panel, Plot, Scale as Axes, Series};
use crate::provider::{Capacity, Hint, Spec, Unit};
use crate::stats::quantile;
use crate::tally::{Fate, Tally};
use crate::traffic::{Arrivals, Length, Source, Tenant};
use crate::world::{Controlled, Ordered, Plan, System, run};

/// Requests a second of the light tenant.
const LIGHT: f64 = 0.25;
/// Until the neighbour's backlog has formed and the window has been found.
const WARM_UP: f64 = 60.0;
const SLOTS: u32 = 64;
const CHAT: (Length, Length) = (Length::of(600.0, 0.6), Length::of(150.0, 0.5));

struct Case {
    name: &'static str,
    file: Option<&'static str>,
    plan: Plan,
    right: u32,
    aimed: Aimed,
}

/// Whether the aim is of this case.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aimed {
    Yes,
    /// It shows where the limits of the approach are.
    No,
}

pub(super) fn play(scale: Scale) -> Section {
    let mut section =
        Section { title: "Neighbours", text: TEXT, aims: Vec::new(), tables: Vec::new(), drawings: Vec::new() };
    for case in cases(scale) {
        let alone = run(&without_neighbour(&case.plan), &System::ours());
        let runs: Ways = systems(case.right).into_iter().map(|system| (run(&case.plan, &system), system)).collect();
        if case.aimed == Aimed::Yes
            && let Some((ours, _)) = runs.first()
        {
            let what = format!("light tenant's p99 to first token, {}", case.name);
            section.aims.push(Aim::at_most(what, 1.1, p99(&case, ours) / p99(&case, &alone), moved));
        }
        section.tables.push(table(&case, &alone, &runs));
        section.drawings.extend(drawing(&case, &alone, &runs));
    }
    section
}

fn systems(right: u32) -> [System; 5] {
    let fixed = || Controlled::Fixed(vec![right]);
    [
        System::ours(),
        System::plain("round robin by requests, right static limit", fixed()).order(Ordered::ByRounds),
        System::plain("first come, first served, right static limit", fixed()),
        System::plain("first come, first served, Gradient2", Controlled::Gradient),
        System::plain("no control", Controlled::Not),
    ]
}

fn cases(scale: Scale) -> Vec<Case> {
    let length = WARM_UP + scale.seconds(4_800.0);
    let own = || Spec::own(SLOTS, 100_000);
    let tokens = Capacity::Hosted { unit: Unit::Tokens, per_minute: 700_000.0, burst: 60.0, hint: Hint::Headers };
    let (input, output) = CHAT;
    let same = |arrivals| Source::new(1, arrivals, input, output);
    let long = Source::new(1, Arrivals::Poisson(LIGHT * 10.0), Length::of(6_000.0, 0.5), Length::of(1_500.0, 0.5));
    let case = |name, file, seed, lane, heavy, right| Case {
        name,
        file,
        plan: plan(seed, length, lane, heavy),
        right,
        aimed: Aimed::Yes,
    };
    let hundred = Arrivals::Poisson(LIGHT * 100.0);
    let burst = Arrivals::Bursts { rate: LIGHT * 500.0, on: 4.0, off: 16.0 };
    vec![
        case("own server, 100 times the requests", Some("neighbour.svg"), 31, own(), same(hundred), SLOTS),
        case("own server, 100 times in bursts", None, 32, own(), same(burst), SLOTS),
        Case { aimed: Aimed::No, ..case("own server, 10 times ten times as long", None, 33, own(), long, SLOTS) },
        case("hosted, 100 times the requests", None, 34, Spec::new(tokens), same(hundred), 64),
    ]
}

fn plan(seed: u64, length: f64, lane: Spec, heavy: Source) -> Plan {
    let (input, output) = CHAT;
    let light = Source::new(0, Arrivals::Poisson(LIGHT), input, output);
    let tenants = ["light", "heavy"].map(|name| Tenant { name, weight: 1.0 });
    let plan = Plan::new(seed, length, tenants.to_vec(), vec![light, heavy], vec![lane]);
    Plan { max_wait: 30.0, ..plan }
}

/// The same light tenant, by himself.
fn without_neighbour(plan: &Plan) -> Plan {
    let mut alone = plan.clone();
    alone.sources.truncate(1);
    alone
}

fn firsts(case: &Case, tally: &Tally) -> Vec<f64> {
    tally.first_tokens(0, WARM_UP, case.plan.length)
}

fn p99(case: &Case, tally: &Tally) -> f64 {
    quantile(&firsts(case, tally), 0.99).unwrap_or(f64::INFINITY)
}

/// `1.05` as `+5.0 %`.
fn moved(ratio: f64) -> String {
    format!("{:+.1} %", (ratio - 1.0) * 100.0)
}

fn table(case: &Case, alone: &Tally, runs: &Ways) -> Table {
    let before = p99(case, alone);
    let row = |name: &str, tally: &Tally| {
        let times = firsts(case, tally);
        let at = |share| span(quantile(&times, share).unwrap_or_default());
        let (from, to) = (WARM_UP, case.plan.length);
        let lost = tally.count(0, Fate::TurnedAway, from, to) + tally.count(0, Fate::Failed, from, to);
        let p99 = quantile(&times, 0.99).unwrap_or(f64::INFINITY);
        vec![
            name.to_owned(),
            at(0.5),
            at(0.99),
            moved(p99 / before),
            lost.to_string(),
            percent(tally.goodput(from, to)),
        ]
    };
    let mut rows = vec![row("alone", alone)];
    rows.extend(runs.iter().map(|(tally, system)| row(system.name, tally)));
    Table {
        caption: format!("*{}*: the light tenant's time to first token.", case.name),
        head: vec!["", "p50", "p99", "p99 moved", "its requests lost", "goodput"],
        rows,
    }
}

fn drawing(case: &Case, alone: &Tally, runs: &Ways) -> Option<Drawing> {
    let mut series: Vec<Series> = runs
        .iter()
        .enumerate()
        .rev()
        .map(|(place, (tally, system))| {
            let ink = if place == 0 { Ink::Ours } else { Ink::Other(place - 1) };
            Series::new(short(system.name), ink, cumulative(&firsts(case, tally)))
        })
        .collect();
    series.push(Series::new("alone", Ink::Truth, cumulative(&firsts(case, alone))));
    let plot = Plot {
        title: "A light tenant's time to first token, neighbour at 100 times its load".to_owned(),
        x_label: "seconds to the first token",
        x_scale: Axes::Log,
        panels: vec![Panel::new("% of its requests", series).up_to(100.0)],
    };
    Some(Drawing {
        file: case.file?,
        alt: "Distribution of a light tenant's time to first token, alone and beside a heavy neighbour",
        svg: plot.svg(),
    })
}

/// What fits into a legend.
fn short(name: &'static str) -> &'static str {
    match name {
        "round robin by requests, right static limit" => "round robin",
        "first come, first served, right static limit" => "arrival, static",
        "first come, first served, Gradient2" => "arrival, Gradient2",
        other => other,
    }
}

const TEXT: &str = "
A light tenant asks every 4 s on average. Its neighbour asks for far more than the lane has: a hundred times as often,
or so in bursts, or ten times as often for ten times as much. What counts is the light tenant's 99th percentile of the
time to the first token, from its arrival at the router, beside the same requests without the neighbour.
";
