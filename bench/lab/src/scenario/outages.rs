//! Outages: providers that fail altogether, and come back.

use super::{Scale, Ways};
use crate::paper::{Aim, Drawing, Section, Table, percent, secs, times};
use crate::plot::{Ink, Panel, Plot, Scale as Axes, Series};
use crate::provider::Spec;
use crate::tally::{Fate, Tally};
use crate::traffic::{Arrivals, Length, Source, Tenant};
use crate::world::{Controlled, Plan, Retrying, System, run};

const SLOTS: u32 = 48;
const DOWN: f64 = 60.0;
const CHAT: (Length, Length) = (Length::of(600.0, 0.6), Length::of(150.0, 0.5));

struct Case {
    name: &'static str,
    file: Option<&'static str>,
    plan: Plan,
    up: f64,
    total: Total,
}

/// Whether every lane is down, or one of two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Total {
    Yes,
    No,
}

pub(super) fn play(scale: Scale) -> Section {
    let mut section =
        Section { title: "Outages", text: TEXT, aims: Vec::new(), tables: Vec::new(), drawings: Vec::new() };
    for case in cases(scale) {
        let runs: Ways = systems().into_iter().map(|system| (run(&case.plan, &system), system)).collect();
        if let Some((ours, _)) = runs.first() {
            section.aims.extend(aims(&case, ours));
        }
        section.tables.push(table(&case, &runs));
        section.drawings.extend(drawing(&case, &runs));
    }
    section
}

fn systems() -> [System; 3] {
    let fixed = || Controlled::Fixed(vec![SLOTS, SLOTS]);
    [
        System::ours(),
        System { retrying: Retrying::Budgeted, ..System::plain("static limit, retry budget", fixed()) },
        System::plain("no control, three tries", Controlled::Not),
    ]
}

fn cases(scale: Scale) -> Vec<Case> {
    let up = DOWN + scale.seconds(240.0).max(60.0);
    let end = up + 120.0;
    let (input, output) = CHAT;
    let tenants = || vec![Tenant { name: "one", weight: 1.0 }];
    let open = |rate| vec![Source::new(0, Arrivals::Poisson(rate), input, output)];
    let crowd = || vec![Source::new(0, Arrivals::Clients { count: 400, think: 0.5 }, input, output)];
    let down = || Spec::own(SLOTS, 4_096).down(DOWN, up);
    let well = || Spec::own(SLOTS, 4_096);
    let plan = |seed, sources, lanes| Plan { max_wait: 30.0, ..Plan::new(seed, end, tenants(), sources, lanes) };
    vec![
        Case {
            name: "both lanes down, requests keep coming",
            file: Some("outage.svg"),
            plan: plan(51, open(20.0), vec![down(), down()]),
            up,
            total: Total::Yes,
        },
        Case {
            name: "both lanes down, 400 clients that come back after a second",
            file: None,
            plan: plan(52, crowd(), vec![down(), down()]),
            up,
            total: Total::Yes,
        },
        Case {
            name: "the first of two lanes down",
            file: None,
            plan: plan(53, open(10.0), vec![down(), well()]),
            up,
            total: Total::No,
        },
    ]
}

fn aims(case: &Case, ours: &Tally) -> Vec<Aim> {
    let mut aims = vec![Aim::at_most(format!("load amplified, {}", case.name), 1.1, amplified(case, ours), times)];
    match case.total {
        Total::Yes => {
            aims.push(Aim::at_most(
                format!("first second after recovery over capacity, {}", case.name),
                1.0,
                herd(case, ours),
                times,
            ));
            aims.push(Aim::at_most(format!("back at 90 % goodput, {}", case.name), 60.0, back(case, ours), secs));
        }
        Total::No => aims.push(Aim::at_least(format!("served, {}", case.name), 0.99, served(case, ours), percent)),
    }
    aims
}

/// Tries over requests while the outage lasted.
fn amplified(case: &Case, tally: &Tally) -> f64 {
    let asked = tally.jobs.iter().filter(|job| (DOWN..case.up).contains(&job.arrived)).count();
    tally.tries(DOWN, case.up) as f64 / asked.max(1) as f64
}

/// Tries begun in the busiest second of the first ten after the recovery, over the slots there are: what would
/// fill a line if it were more than one.
fn herd(case: &Case, tally: &Tally) -> f64 {
    let lanes = case.plan.lanes.len() as f64;
    let seconds = (0..10).map(|second| case.up + f64::from(second));
    let busiest = seconds.map(|from| tally.tries(from, from + 1.0)).max().unwrap_or_default();
    busiest as f64 / (lanes * f64::from(SLOTS))
}

/// Seconds from the recovery until five seconds' goodput is at least 90 % of what is asked for, or of capacity.
fn back(case: &Case, tally: &Tally) -> f64 {
    let before = tally.goodput(DOWN - 30.0, DOWN).min(1.0);
    let good = |pause: f64| tally.goodput(case.up + pause, case.up + pause + 5.0) >= 0.9 * before;
    (0..200).map(|half| f64::from(half) / 2.0).find(|pause| good(*pause)).unwrap_or(f64::INFINITY)
}

fn served(case: &Case, tally: &Tally) -> f64 {
    let asked = tally.jobs.iter().filter(|job| (DOWN..case.up).contains(&job.arrived)).count();
    tally.count(0, Fate::Served, DOWN, case.up) as f64 / asked.max(1) as f64
}

fn table(case: &Case, runs: &Ways) -> Table {
    let row = |(tally, system): &(Tally, System)| {
        vec![
            system.name.to_owned(),
            times(amplified(case, tally)),
            percent(served(case, tally)),
            times(herd(case, tally)),
            tally.longest_line(case.up, case.plan.length).to_string(),
            secs(back(case, tally)),
        ]
    };
    Table {
        caption: format!("*{}*", case.name),
        head: vec![
            "",
            "tries per request",
            "served meanwhile",
            "first seconds over slots",
            "longest line at a provider",
            "back after",
        ],
        rows: runs.iter().map(row).collect(),
    }
}

fn drawing(case: &Case, runs: &Ways) -> Option<Drawing> {
    let line = |place: usize, tally: &Tally, name: &str, value: &dyn Fn(&Tally, f64) -> f64| {
        let ink = if place == 0 { Ink::Ours } else { Ink::Other(place - 1) };
        let points = (0..case.plan.length as usize).map(|second| (second as f64 + 1.0, value(tally, second as f64)));
        Series::new(name, ink, points.collect())
    };
    let tries = |tally: &Tally, from: f64| tally.tries(from, from + 1.0) as f64;
    let goodput = |tally: &Tally, from: f64| 100.0 * tally.goodput(from, from + 1.0);
    let all = |value: &dyn Fn(&Tally, f64) -> f64| {
        runs.iter().enumerate().map(|(place, (tally, system))| line(place, tally, system.name, value)).collect()
    };
    let plot = Plot {
        title: format!("Outage: {}", case.name),
        x_label: "seconds",
        x_scale: Axes::Linear,
        panels: vec![Panel::new("tries a second", all(&tries)), Panel::new("goodput, %", all(&goodput)).up_to(110.0)],
    };
    Some(Drawing {
        file: case.file?,
        alt: "Tries a second and goodput before, in and after an outage",
        svg: plot.svg(),
    })
}

const TEXT: &str = "
Providers fail every call for minutes, then are well again. *Tries per request* is how much load the router adds to what
callers send while nothing works. *First seconds over slots* is the busiest of the ten seconds after the recovery: the
tries that begin in it over the slots that the providers have; more than one is a herd.
";
