//! Classes: gold beside bronze that would take everything.

use atp_core::Qos;
use atp_routing::share::Gold;

use super::{Scale, Ways};
use crate::paper::{Aim, Section, Table, percent, secs, span, times};
use crate::provider::Spec;
use crate::stats::quantile;
use crate::tally::{Fate, JobRow, Tally};
use crate::traffic::{Arrivals, Length, Source, Tenant};
use crate::world::{Controlled, Ordered, Plan, Slots, System, run};

const SLOTS: u32 = 48;
const WARM_UP: f64 = 60.0;
const CHAT: (Length, Length) = (Length::of(600.0, 0.6), Length::of(150.0, 0.5));
const BATCH: (Length, Length) = (Length::of(4_000.0, 0.5), Length::of(800.0, 0.5));

pub(super) fn play(scale: Scale) -> Section {
    let mut section =
        Section { title: "Classes", text: TEXT, aims: Vec::new(), tables: Vec::new(), drawings: Vec::new() };
    gold_beside_bronze(scale, &mut section);
    bronze_beside_gold(scale, &mut section);
    section
}

fn systems() -> [System; 3] {
    let fixed = || Controlled::Fixed(vec![SLOTS]);
    [
        System { slots: Slots::Ranked(Gold::Configured), ..System::ours() },
        System::plain("first come, first served, right static limit", fixed()),
        System::plain("round robin by requests, right static limit", fixed()).order(Ordered::ByRounds),
    ]
}

fn plan(seed: u64, length: f64, gold: Arrivals) -> Plan {
    let gold = Source::new(0, gold, CHAT.0, CHAT.1).class(Qos::Gold);
    let bronze = Source::new(1, Arrivals::Clients { count: 120, think: 0.1 }, BATCH.0, BATCH.1).class(Qos::Bronze);
    let tenants = ["people", "batch"].map(|name| Tenant { name, weight: 1.0 });
    Plan::new(seed, length, tenants.to_vec(), vec![gold, bronze], vec![Spec::own(SLOTS, 4_096)])
}

/// People in bursts, batches all the time: how long do people wait?
fn gold_beside_bronze(scale: Scale, section: &mut Section) {
    let length = WARM_UP + scale.seconds(1_800.0);
    let plan = plan(61, length, Arrivals::Bursts { rate: 4.0, on: 10.0, off: 20.0 });
    let mut alone = plan.clone();
    alone.sources.truncate(1);
    let firsts = |tally: &Tally| tally.first_tokens(0, WARM_UP, length);
    let p99 = |tally: &Tally| quantile(&firsts(tally), 0.99).unwrap_or(f64::INFINITY);
    let alone = run(&alone, &System::ours());
    let runs: Ways = systems().into_iter().map(|system| (run(&plan, &system), system)).collect();
    if let Some((ours, _)) = runs.first() {
        let best = runs.iter().skip(1).map(|(tally, _)| p99(tally)).fold(f64::INFINITY, f64::min);
        let what = "gold's p99 to first token beside bronze over the best baseline's";
        section.aims.push(Aim::at_most(what, 0.5, p99(ours) / best, times));
    }
    let row = |(name, tally): (&str, &Tally)| {
        let times = firsts(tally);
        let at = |share| span(quantile(&times, share).unwrap_or_default());
        let cut = tally.count(1, Fate::Preempted, WARM_UP, length);
        vec![
            name.to_owned(),
            at(0.5),
            at(0.99),
            cut.to_string(),
            tally.preempted.to_string(),
            percent(tally.goodput(WARM_UP, length)),
        ]
    };
    let mut rows = vec![row(("gold alone", &alone))];
    rows.extend(runs.iter().map(|(tally, system)| row((system.name, tally))));
    section.tables.push(Table {
        caption: "*gold in bursts beside bronze that always wants more*: gold's time to first token.".to_owned(),
        head: vec!["", "p50", "p99", "bronze cut short", "preempted in all", "goodput"],
        rows,
    });
}

/// People who want everything: do batches still come through?
fn bronze_beside_gold(scale: Scale, section: &mut Section) {
    let length = WARM_UP + scale.seconds(1_800.0);
    let plan = plan(62, length, Arrivals::Clients { count: 200, think: 0.1 });
    let runs: Ways = systems().into_iter().map(|system| (run(&plan, &system), system)).collect();
    let share = |tally: &Tally| {
        let of = |source| tally.tokens(source, WARM_UP, length);
        of(1) / (of(0) + of(1))
    };
    let longest = |tally: &Tally| {
        let bronze = tally.jobs.iter().filter(|job| job.source == 1);
        bronze.filter_map(JobRow::waited).fold(0.0, f64::max)
    };
    if let Some((ours, _)) = runs.first() {
        section.aims.push(Aim::at_least(
            "bronze's share of the tokens beside greedy gold (fair: 16.7 %)",
            0.15,
            share(ours),
            percent,
        ));
    }
    let row = |(tally, system): &(Tally, System)| {
        let lost = tally.count(1, Fate::TurnedAway, WARM_UP, length) + tally.count(1, Fate::Preempted, WARM_UP, length);
        vec![
            system.name.to_owned(),
            percent(share(tally)),
            secs(longest(tally)),
            lost.to_string(),
            tally.preempted.to_string(),
        ]
    };
    section.tables.push(Table {
        caption: "*bronze beside gold that always wants more*".to_owned(),
        head: vec!["", "bronze's share of the tokens", "longest wait of bronze", "bronze lost", "preempted in all"],
        rows: runs.iter().map(row).collect(),
    });
}

const TEXT: &str = "
Gold are requests that somebody waits for, bronze are batches. Once gold comes in bursts and bronze always wants more
than there is: gold has a reserved tenth of the window and may preempt bronze. Once gold itself always wants more: bronze
has a sixth (1 beside 5) and must not starve.
";
