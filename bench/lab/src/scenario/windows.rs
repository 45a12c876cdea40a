//! Windows: how much of a lane is used, and what happens when its capacity changes.

use super::Scale;
use crate::paper::{Aim, Drawing, Section, Table, percent, secs, span};
use crate::plot::{Ink, Panel, Plot, Scale as Axes, Series};
use crate::provider::{Answers, Capacity, Hint, Spec, Unit};
use crate::tally::{JobRow, LaneRow, Tally};
use crate::traffic::{Arrivals, Length, Source, Tenant};
use crate::world::{Controlled, Plan, System, run};

const SLOTS: u32 = 64;
/// Tokens or requests a minute of a hosted lane, and seconds of them that it lets be saved up.
const TOKENS: f64 = 1_500_000.0;
const REQUESTS: f64 = 1_200.0;
const BURST: f64 = 6.0;
/// A lane that tells its limits lets a whole minute be saved up, as its headers say.
const MINUTE: f64 = 60.0;
/// After a change, this long may pass until the new capacity has been found.
const SETTLING: f64 = 30.0;
/// The same where answers come whole: one takes seconds, and a look at the lane as long.
const SLOWLY: f64 = 60.0;
/// Goodput has come back when it is there for so long.
const STEADY: f64 = 15.0;
const CHAT: (Length, Length) = (Length::of(900.0, 0.7), Length::of(200.0, 0.6));

struct Case {
    name: &'static str,
    file: &'static str,
    plan: Plan,
    /// What a static limit would be set to by somebody who knows the lane well.
    right: u32,
}

/// When the capacity halves, and when it doubles again.
#[derive(Clone, Copy)]
struct Times {
    halved: f64,
    doubled: f64,
    end: f64,
}

pub(super) fn play(_scale: Scale) -> Section {
    // The quick version is no shorter: what is found has to be found after a long quiet time.
    let phase = 240.0;
    let times = Times { halved: phase, doubled: 2.0 * phase, end: 3.0 * phase };
    let mut section =
        Section { title: "Windows", text: TEXT, aims: Vec::new(), tables: Vec::new(), drawings: Vec::new() };
    for case in cases(times) {
        let runs: Vec<(System, Tally)> = systems(case.right)
            .into_iter()
            .map(|system| {
                let tally = run(&case.plan, &system);
                (system, tally)
            })
            .collect();
        if let Some((_, ours)) = runs.first() {
            section.aims.extend(aims(&case, ours, times));
        }
        section.tables.push(table(&case, &runs, times));
        section.drawings.push(drawing(&case, &runs));
    }
    section
}

fn systems(right: u32) -> [System; 4] {
    [
        System::ours(),
        System::plain("Gradient2", Controlled::Gradient),
        System::plain("static limit, once right", Controlled::Fixed(vec![right])),
        System::plain("no control", Controlled::Not),
    ]
}

fn cases(times: Times) -> Vec<Case> {
    let hosted = |unit, per_minute, hint| {
        let burst = if hint == Hint::Headers { MINUTE } else { BURST };
        Capacity::Hosted { unit, per_minute, burst, hint }
    };
    let case = |name, file, seed, lane: Spec, clients, right| Case {
        name,
        file,
        plan: plan(seed, times, lane, clients),
        right,
    };
    vec![
        case("own server, long line", "window-own.svg", 21, Spec::own(SLOTS, 4_096), 200, SLOTS),
        case("own server, short line", "window-own-short.svg", 22, Spec::own(SLOTS, 16), 200, SLOTS),
        case("own server, whole answers", "window-own-whole.svg", 26, Spec::own(SLOTS, 4_096).whole(), 200, SLOTS),
        case(
            "own server, short line, whole answers",
            "window-own-short-whole.svg",
            27,
            Spec::own(SLOTS, 16).whole(),
            200,
            SLOTS,
        ),
        case(
            "hosted, tokens, headers",
            "window-hosted-headers.svg",
            23,
            Spec::new(hosted(Unit::Tokens, TOKENS, Hint::Headers)),
            250,
            92,
        ),
        case(
            "hosted, tokens, Retry-After",
            "window-hosted-pause.svg",
            24,
            Spec::new(hosted(Unit::Tokens, TOKENS, Hint::Pause)),
            250,
            92,
        ),
        case(
            "hosted, requests, bare 429",
            "window-hosted-bare.svg",
            25,
            Spec::new(hosted(Unit::Requests, REQUESTS, Hint::Nothing)),
            250,
            92,
        ),
    ]
}

fn plan(seed: u64, times: Times, lane: Spec, count: u32) -> Plan {
    let (input, output) = CHAT;
    let sources =
        (0..2).map(|tenant| Source::new(tenant, Arrivals::Clients { count: count / 2, think: 0.2 }, input, output));
    let tenants = ["one", "two"].map(|name| Tenant { name, weight: 1.0 });
    let lane = lane.shifting(&[(times.halved, 0.5), (times.doubled, 1.0)]);
    Plan::new(seed, times.end, tenants.to_vec(), sources.collect(), vec![lane])
}

fn aims(case: &Case, ours: &Tally, times: Times) -> Vec<Aim> {
    let steady = steady(times);
    let goodput = steady.iter().map(|(from, to)| ours.goodput(*from, *to)).fold(1.0, f64::min);
    let refused = steady.iter().map(|(from, to)| ours.refused(*from, *to)).fold(0.0, f64::max);
    let streamed = case.plan.lanes.iter().all(|lane| lane.answers == Answers::Streamed);
    let soon = if streamed { SETTLING } else { SLOWLY };
    vec![
        Aim::at_least(format!("goodput of true capacity, {}", case.name), 0.95, goodput, percent),
        Aim::at_most(format!("429s, {}", case.name), 0.01, refused, percent),
        Aim::at_most(format!("after capacity halves, {}", case.name), soon, found(ours, times.halved), secs),
        Aim::at_most(format!("after capacity doubles, {}", case.name), soon, found(ours, times.doubled), secs),
    ]
}

/// Where the capacity has been what it is for a while.
fn steady(times: Times) -> [(f64, f64); 3] {
    [(SETTLING, times.halved), (times.halved + SETTLING, times.doubled), (times.doubled + SETTLING, times.end)]
}

/// Seconds until goodput is there, refusals are rare, and no line stands at the provider.
fn found(tally: &Tally, change: f64) -> f64 {
    let good = |from: f64| {
        let to = from + STEADY;
        tally.goodput(from, to) >= 0.95 && tally.refused(from, to) <= 0.01 && line_share(tally, from, to) <= 0.25
    };
    (0..120).map(|half| f64::from(half) / 2.0).find(|pause| good(change + pause)).unwrap_or(f64::INFINITY)
}

/// The mean line at the provider as a share of its slots; 0 where it has none.
fn line_share(tally: &Tally, from: f64, to: f64) -> f64 {
    let moments = ((to - from) * 2.0) as usize;
    let rows = (0..moments).filter_map(|moment| tally.lane_at(0, from + moment as f64 / 2.0));
    let shares = rows.map(|row| row.slots.map_or(0.0, |slots| row.line as f64 / f64::from(slots.max(1))));
    shares.sum::<f64>() / moments.max(1) as f64
}

fn table(case: &Case, runs: &[(System, Tally)], times: Times) -> Table {
    let rows = runs.iter().map(|(system, tally)| {
        let mut row = vec![system.name.to_owned()];
        for (from, to) in steady(times) {
            row.push(percent(tally.goodput(from, to)));
        }
        row.push(percent(tally.refused(SETTLING, times.end)));
        row.push(secs(found(tally, times.halved)));
        row.push(secs(found(tally, times.doubled)));
        row.push(span(provider_wait(tally)));
        row
    });
    Table {
        caption: format!("*{}*", case.name),
        head: vec![
            "",
            "goodput",
            "halved",
            "doubled",
            "429s",
            "found half",
            "found double",
            "median to first token there",
        ],
        rows: rows.collect(),
    }
}

/// The median time that providers took to the first token.
fn provider_wait(tally: &Tally) -> f64 {
    let times = crate::stats::sorted(tally.jobs.iter().filter_map(JobRow::at_provider));
    crate::stats::quantile(&times, 0.5).unwrap_or_default()
}

fn drawing(case: &Case, runs: &[(System, Tally)]) -> Drawing {
    let pick = |value: fn(&LaneRow) -> f64, most: f64| {
        move |tally: &Tally| {
            let rows = tally.lanes.first().map(Vec::as_slice).unwrap_or_default();
            let points = rows.iter().enumerate().map(|(moment, row)| (moment as f64 / 2.0, value(row).min(most)));
            points.collect::<Vec<_>>()
        }
    };
    let window = pick(|row| f64::from(row.limit), 400.0);
    let in_flight = pick(|row| f64::from(row.in_flight), 400.0);
    let slots = pick(|row| row.slots.map_or(f64::NAN, f64::from), 400.0);
    let ours = runs.first().map(|(_, tally)| tally);
    let gradient = runs.get(1).map(|(_, tally)| tally);
    let mut windows = Vec::new();
    if let (Some(ours), Some(gradient)) = (ours, gradient) {
        if slots(ours).iter().all(|point| point.1.is_finite()) {
            windows.push(Series::new("true slots", Ink::Truth, slots(ours)));
        }
        windows.push(Series::new("window", Ink::Ours, window(ours)));
        windows.push(Series::new("in flight", Ink::Other(4), in_flight(ours)));
        windows.push(Series::new("Gradient2", Ink::Other(0), in_flight(gradient)));
    }
    let goodput = runs.iter().enumerate().map(|(place, (system, tally))| {
        let ink = if place == 0 { Ink::Ours } else { Ink::Other(place - 1) };
        Series::new(system.name, ink, slices(case.plan.length, |from, to| 100.0 * tally.goodput(from, to)))
    });
    let refused = runs.iter().enumerate().map(|(place, (system, tally))| {
        let ink = if place == 0 { Ink::Ours } else { Ink::Other(place - 1) };
        Series::new(system.name, ink, slices(case.plan.length, |from, to| 100.0 * tally.refused(from, to)))
    });
    let plot = Plot {
        title: format!("Capacity halves, then doubles: {}", case.name),
        x_label: "seconds",
        x_scale: Axes::Linear,
        panels: vec![
            Panel::new("tries", windows),
            Panel::new("goodput, %", goodput.collect()).up_to(120.0),
            Panel::new("429s, %", refused.collect()),
        ],
    };
    Drawing { file: case.file, alt: "Window, goodput and refusals over time", svg: plot.svg() }
}

/// A value over slices of five seconds.
fn slices(length: f64, value: impl Fn(f64, f64) -> f64) -> Vec<(f64, f64)> {
    let slice = |place: usize| (place as f64 * 5.0, (place + 1) as f64 * 5.0);
    (0..(length / 5.0) as usize).map(slice).map(|(from, to)| (to, value(from, to))).collect()
}

const TEXT: &str = "
Two tenants ask one lane for more than it has. A third into the run its capacity halves, after another third it is
what it was. *Goodput* is work of use over what the lane could have done: slot-seconds of an own server, tokens or
requests of a hosted one. *429s* are the tries that the provider refused. *Found* is the time from a change until
goodput is at least 95 %, refusals at most 1 % and the line at the provider short, and stays so for 15 s; a whole answer
takes seconds, and finding is given a minute there. The goodput columns leave out 30 s after each change. Nothing is configured for the router; the static limit is what
somebody would have set who knew the lane before it changed.
";
