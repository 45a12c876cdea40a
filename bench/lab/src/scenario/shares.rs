//! Shares: everybody always wants more than there is.

use atp_core::Qos;

use super::Scale;
use crate::paper::{Aim, Drawing, Section, Table, percent, plain};
use crate::plot::{Ink, Panel, Plot, Scale as Axes, Series};
use crate::provider::Spec;
use crate::stats::jain;
use crate::tally::Tally;
use crate::traffic::{Arrivals, Length, Source, Tenant};
use crate::world::{Controlled, Ordered, Plan, System, run};

/// The slots of the one server that all share.
const SLOTS: u32 = 64;
/// Seconds until the first backlog has formed and passed.
const WARM_UP: f64 = 60.0;
/// A slice of the plots in seconds.
const SLICE: f64 = 10.0;

/// One way to share.
struct Case {
    name: &'static str,
    plan: Plan,
    /// What each source's tokens are divided by before they are compared.
    weights: Vec<f64>,
}

pub(super) fn play(scale: Scale) -> Section {
    let mut section =
        Section { title: "Shares", text: TEXT, aims: Vec::new(), tables: Vec::new(), drawings: Vec::new() };
    for case in cases(scale) {
        let runs: Vec<(System, Tally)> = systems()
            .into_iter()
            .map(|system| {
                let tally = run(&case.plan, &system);
                (system, tally)
            })
            .collect();
        let index = |tally: &Tally| jain(&shares(&case, tally));
        if let Some((_, ours)) = runs.first() {
            let what = format!("Jain index of weighted token shares, {}", case.name);
            section.aims.push(Aim::at_least(what, 0.99, index(ours), plain));
        }
        section.tables.push(table(&case, &runs));
        if case.name == "equal weights" {
            section.drawings.push(drawing(&case, &runs));
        }
    }
    section
}

fn systems() -> [System; 3] {
    let fixed = || Controlled::Fixed(vec![SLOTS]);
    [
        System::ours(),
        System::plain("first come, first served", fixed()),
        System::plain("round robin by requests", fixed()).order(Ordered::ByRounds),
    ]
}

/// Short prompts and answers; chat; long documents; long answers.
const KINDS: [(u32, Length, Length); 4] = [
    (70, Length::of(200.0, 0.5), Length::of(80.0, 0.6)),
    (70, Length::of(1_000.0, 0.7), Length::of(200.0, 0.6)),
    (50, Length::of(8_000.0, 0.5), Length::of(500.0, 0.6)),
    (140, Length::of(200.0, 0.5), Length::of(1_000.0, 0.5)),
];

const NAMES: [&str; 4] = ["short", "chat", "documents", "essays"];

fn kind(place: usize, tenant: usize) -> Source {
    let (count, input, output) = KINDS.get(place).copied().unwrap_or(KINDS[0]);
    Source::new(tenant, Arrivals::Clients { count, think: 0.1 }, input, output)
}

fn tenants(weights: &[f64]) -> Vec<Tenant> {
    NAMES.iter().zip(weights).map(|(name, weight)| Tenant { name, weight: *weight }).collect()
}

fn cases(scale: Scale) -> Vec<Case> {
    let length = WARM_UP + scale.seconds(900.0);
    let plan = |seed, tenants, sources| Plan::new(seed, length, tenants, sources, vec![Spec::own(SLOTS, 4_096)]);
    let each = || (0..4).map(|place| kind(place, place)).collect::<Vec<_>>();
    let sessions = (0..4u64).map(|session| kind(session as usize, 0).session(session));
    let classes = [(3, Qos::Gold), (1, Qos::Silver), (0, Qos::Bronze)];
    let classed = classes.into_iter().map(|(place, qos)| kind(place, 0).class(qos));
    let alone = std::iter::once(kind(2, 1).class(Qos::Gold));
    let beside = classes.into_iter().map(|(place, qos)| kind(place, 0).class(qos)).chain(alone);
    vec![
        Case { name: "equal weights", plan: plan(11, tenants(&[1.0; 4]), each()), weights: vec![1.0; 4] },
        Case {
            name: "weights 3 : 1 : 3 : 1",
            plan: plan(12, tenants(&[3.0, 1.0, 3.0, 1.0]), each()),
            weights: vec![3.0, 1.0, 3.0, 1.0],
        },
        Case {
            name: "sessions of one tenant",
            plan: plan(13, tenants(&[1.0]), sessions.collect()),
            weights: vec![1.0; 4],
        },
        Case {
            name: "gold, silver, bronze",
            plan: plan(14, tenants(&[1.0]), classed.collect()),
            weights: vec![5.0, 3.0, 1.0],
        },
        Case {
            name: "three classes beside gold alone",
            plan: plan(15, tenants(&[1.0, 1.0]), beside.collect()),
            // The weight of the best class, by the factors.
            weights: vec![25.0 / 9.0, 15.0 / 9.0, 5.0 / 9.0, 5.0],
        },
    ]
}

/// Each source's tokens over its weight.
fn shares(case: &Case, tally: &Tally) -> Vec<f64> {
    let tokens = case
        .weights
        .iter()
        .enumerate()
        .map(|(source, weight)| tally.tokens(source, WARM_UP, case.plan.length) / weight);
    tokens.collect()
}

fn table(case: &Case, runs: &[(System, Tally)]) -> Table {
    let rows = runs.iter().map(|(system, tally)| {
        let shares = shares(case, tally);
        let fair: f64 = shares.iter().sum::<f64>() / shares.len() as f64;
        let mut row = vec![system.name.to_owned(), format!("**{}**", plain(jain(&shares)))];
        row.extend(shares.iter().map(|share| format!("{:.2}", share / fair)));
        row.resize(6, String::new());
        row.push(percent(tally.goodput(WARM_UP, case.plan.length)));
        row
    });
    Table {
        caption: format!("*{}*: each one's tokens over its weight, 1 is its fair share.", case.name),
        head: vec!["", "Jain", "1st", "2nd", "3rd", "4th", "goodput"],
        rows: rows.collect(),
    }
}

fn drawing(case: &Case, runs: &[(System, Tally)]) -> Drawing {
    let panels = runs.iter().zip(PANELS).map(|((_, tally), label)| {
        let slices = (case.plan.length / SLICE) as usize;
        let line = |source: usize| {
            let point = |slice: usize| {
                let (from, to) = (slice as f64 * SLICE, (slice + 1) as f64 * SLICE);
                let all: f64 = (0..case.weights.len()).map(|source| tally.tokens(source, from, to)).sum();
                (to, 100.0 * tally.tokens(source, from, to) / all.max(1.0))
            };
            (0..slices).map(point).collect()
        };
        let series =
            NAMES.iter().enumerate().map(|(source, name)| Series::new(*name, Ink::Other(source), line(source)));
        Panel::new(label, series.collect()).up_to(100.0)
    });
    let plot = Plot {
        title: "Share of the tokens, equal weights".to_owned(),
        x_label: "seconds",
        x_scale: Axes::Linear,
        panels: panels.collect(),
    };
    Drawing {
        file: "shares.svg",
        alt: "Four tenants with requests of different length: their shares of the tokens over time",
        svg: plot.svg(),
    }
}

const PANELS: [&str; 3] = ["router, %", "arrival, %", "round robin, %"];

const TEXT: &str = "
Four tenants with very different requests (short ones, chat, long documents, long answers) ask one server of 64 slots
for more than it has, all the time. What is compared is tokens, input and output, over weight. Further tables do
the same for sessions within one tenant, for classes within one tenant, and for a tenant of three classes beside one that
asks as gold alone: together its classes get what gold alone does, 5 to 3 to 1. The baselines are given the server's true
capacity as their limit.
";
