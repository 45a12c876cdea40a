//! Tails: a lane that is usually quick and sometimes very slow, and a second lane to hedge on.

use atp_routing::hedge::HedgeRules;

use super::{Scale, Ways, cumulative};
use crate::paper::{Aim, Drawing, Section, Table, percent, span, times};
use crate::plot::{Ink, Panel, Plot, Scale as Axes, Series};
use crate::provider::{Spec, Speed, USUAL};
use crate::stats::quantile;
use crate::tally::Tally;
use crate::traffic::{Arrivals, Length, Source, Tenant};
use crate::world::{Plan, System, run};

/// Until the lane's own 95th percentile is known.
const WARM_UP: f64 = 30.0;

struct Case {
    name: &'static str,
    file: Option<&'static str>,
    plan: Plan,
}

pub(super) fn play(scale: Scale) -> Section {
    let mut section =
        Section { title: "Tails", text: TEXT, aims: Vec::new(), tables: Vec::new(), drawings: Vec::new() };
    for case in cases(scale) {
        let runs: Ways = systems().into_iter().map(|system| (run(&case.plan, &system), system)).collect();
        if let [(plain, _), (hedged, _), ..] = runs.as_slice() {
            let (before, after) = (at(&case, plain, 0.99), at(&case, hedged, 0.99));
            let what = format!("p99 to first token hedged over not, {}", case.name);
            section.aims.push(Aim::at_most(what, 0.5, after / before, times));
            section.aims.push(Aim::at_most(format!("extra spend, {}", case.name), 0.05, extra(hedged), percent));
        }
        section.tables.push(table(&case, &runs));
        section.drawings.extend(drawing(&case, &runs));
    }
    section
}

fn systems() -> [System; 2] {
    let hedging = Some(HedgeRules::default());
    [System::ours().called("not hedged"), System { hedging, ..System::ours().called("hedged after the lane's p95") }]
}

fn cases(scale: Scale) -> Vec<Case> {
    let lane = |share, extra| Spec::own(400, 4_096).speed(Speed { slow: (share, extra), crowding: 0.0, ..USUAL });
    let plan = |seed, share: f64, extra: f64| {
        let source = Source::new(0, Arrivals::Poisson(15.0), Length::of(600.0, 0.6), Length::of(150.0, 0.5));
        let tenants = vec![Tenant { name: "one", weight: 1.0 }];
        let lanes = vec![lane(share, extra), lane(share, extra)];
        Plan::new(seed, WARM_UP + scale.seconds(1_200.0), tenants, vec![source], lanes)
    };
    vec![
        Case { name: "3 % of calls 4 s late", file: Some("hedging.svg"), plan: plan(41, 0.03, 4.0) },
        Case { name: "1.5 % of calls 20 s late", file: None, plan: plan(42, 0.015, 20.0) },
    ]
}

fn firsts(case: &Case, tally: &Tally) -> Vec<f64> {
    tally.first_tokens(0, WARM_UP, case.plan.length)
}

fn at(case: &Case, tally: &Tally, share: f64) -> f64 {
    quantile(&firsts(case, tally), share).unwrap_or(f64::INFINITY)
}

/// Tokens spent on losers over tokens delivered.
fn extra(tally: &Tally) -> f64 {
    tally.spent_twice / tally.tokens(0, 0.0, f64::MAX).max(1.0)
}

fn table(case: &Case, runs: &Ways) -> Table {
    let row = |(tally, system): &(Tally, System)| {
        let shares = [0.5, 0.95, 0.99, 0.999].map(|share| span(at(case, tally, share)));
        let mut row = vec![system.name.to_owned()];
        row.extend(shares);
        row.push(percent(extra(tally)));
        row
    };
    Table {
        caption: format!("*{}*: time to first token.", case.name),
        head: vec!["", "p50", "p95", "p99", "p99.9", "extra tokens"],
        rows: runs.iter().map(row).collect(),
    }
}

fn drawing(case: &Case, runs: &Ways) -> Option<Drawing> {
    let series = runs.iter().enumerate().map(|(place, (tally, system))| {
        let ink = if place == 1 { Ink::Ours } else { Ink::Other(0) };
        // The upper tenth is where the tail is.
        let tail = cumulative(&firsts(case, tally)).into_iter().filter(|point| point.1 >= 90.0);
        let lifted = tail.map(|(x, y)| (x, (y - 90.0) * 10.0));
        Series::new(system.name, ink, lifted.collect())
    });
    let plot = Plot {
        title: "The slowest tenth of the requests".to_owned(),
        x_label: "seconds to the first token",
        x_scale: Axes::Log,
        panels: vec![Panel::new("% of the slowest tenth", series.collect()).up_to(100.0)],
    };
    Some(Drawing {
        file: case.file?,
        alt: "Distribution of the slowest tenth with and without hedging",
        svg: plot.svg(),
    })
}

const TEXT: &str = "
Two lanes serve the same model; now and then a call hangs for seconds before its first token. Hedging asks the second
lane when the first has not begun to answer after the time that 95 % of its calls need, takes whoever answers first and
cancels the other. What the loser had read is the extra spend.
";
