//! One frame: what the router is doing, its lanes, its queues, who shares them, and what is chosen and spent.

use super::choose;
use super::line::{Line, Piece, Side, plain, styled, table};
use super::sample::{Flow, Lane, Pool, Sample};
use super::share::{Share, shares};
use super::text::{NONE, count, filled, percent, rate, time, times};
use crate::term::{Brush, Style};

/// Characters of a bar.
const BAR: usize = 16;
/// A window this full is about to be the reason why somebody waits.
const NEARLY_FULL: f64 = 0.85;

/// The lines of a frame, before they are cut to a window.
pub(super) struct Screen(Vec<Line>);

impl Screen {
    /// The frame of a sample; with the one before it, its rates too.
    pub(super) fn of(address: &str, now: &Sample, before: Option<&Sample>) -> Self {
        let before = before.map(|before| {
            let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
            // Two samples at one moment have no rate; a millisecond is less than any interval.
            (&before.flow, seconds.max(1e-3))
        });
        let flow = &now.flow;
        let parts =
            [vec![head(address, flow, before)], lanes(&flow.lanes), pools(&flow.pools, before), tenants(flow, before)];
        let parts = parts.into_iter().chain(choose::tables(&now.choosing));
        let apart = |part: Vec<Line>| part.into_iter().chain([Line::default()]);
        let mut lines: Vec<Line> = parts.flat_map(apart).collect();
        lines.pop();
        Self(lines)
    }

    /// Says below the head why there is nothing newer.
    pub(super) fn trouble(&mut self, why: &str) {
        self.0.insert(1.min(self.0.len()), Line::of([styled(Style::Red, why)]));
    }

    /// The text within so many columns and lines.
    pub(super) fn text(&self, (columns, rows): (usize, usize), brush: Brush) -> String {
        self.0.iter().take(rows).map(|line| line.paint(columns, brush) + "\n").collect()
    }
}

type Before<'a> = Option<(&'a Flow, f64)>;

fn head(address: &str, flow: &Flow, before: Before<'_>) -> Line {
    let waiting: u64 = flow.pools.iter().map(|pool| pool.waiting.all()).sum();
    let per_second =
        before.map(|(before, seconds)| flow.requests.ended.saturating_sub(before.requests.ended) as f64 / seconds);
    let budget = flow.retry_budget;
    let retries = format!("{} retries left ({} %)", count(budget.balance), budget.per_mille as f64 / 10.0);
    let facts = [
        format!("{} requests/s", rate(per_second)),
        format!("{} in flight", count(flow.requests.in_flight)),
        format!("{} waiting", count(waiting)),
        flow.jain.map_or_else(|| format!("fairness {NONE}"), |jain| format!("fairness {jain:.3}")),
        retries,
    ];
    let mut pieces = vec![styled(Style::Bold, "ATP Router"), plain(" "), plain(address)];
    pieces.extend(facts.iter().flat_map(|fact| [plain("   "), plain(fact)]));
    Line(pieces)
}

fn lanes(lanes: &[Lane]) -> Vec<Line> {
    let head = [
        ("LANE", Side::Left),
        ("STATE", Side::Left),
        ("IN FLIGHT", Side::Left),
        ("WINDOW", Side::Right),
        ("CUTS", Side::Right),
        ("FIRST TOKEN p50 / p95", Side::Right),
        ("KNOWN LIMIT", Side::Left),
    ];
    let row = |lane: &Lane| {
        let known = [(lane.tokens_per_minute, "tokens/min"), (lane.requests_per_minute, "requests/min")];
        let known: Vec<String> =
            known.iter().filter_map(|(limit, of)| limit.map(|limit| format!("{} {of}", count(limit)))).collect();
        let known = if known.is_empty() { NONE.to_owned() } else { known.join(", ") };
        [
            cell(styled(Style::Bold, &lane.lane)),
            cell(state(lane)),
            in_flight(lane),
            cell(plain(format!("{} .. {}", count(lane.min), count(lane.max)))),
            cell(plain(count(lane.cuts))),
            cell(plain(times(lane.first_token_ms.p50, lane.first_token_ms.p95))),
            cell(plain(known)),
        ]
    };
    listed(head, lanes.iter().map(row).collect(), "no lanes: no model has a target")
}

fn state(lane: &Lane) -> Piece {
    let rest = lane.rest_ms.map_or_else(String::new, |rest| format!(" for {}", time(Some(rest))));
    let style = match lane.state.as_str() {
        "serving" => Style::Green,
        "probing" => Style::Yellow,
        _ => Style::Red,
    };
    styled(style, format!("{}{rest}", lane.state))
}

fn in_flight(lane: &Lane) -> Line {
    let part = if lane.limit == 0 { 0.0 } else { lane.in_flight as f64 / lane.limit as f64 };
    let style = if part >= NEARLY_FULL { Style::Yellow } else { Style::Cyan };
    let mut line = bar(part, style);
    line.0.push(plain(format!(" {:>5}/{}", count(lane.in_flight), count(lane.limit))));
    line
}

pub(super) fn bar(part: f64, style: Style) -> Line {
    let full = filled(part, BAR);
    Line::of([styled(style, "█".repeat(full)), styled(Style::Dim, "░".repeat(BAR - full))])
}

fn pools(pools: &[Pool], before: Before<'_>) -> Vec<Line> {
    let head = [
        ("MODEL", Side::Left),
        ("GOLD", Side::Right),
        ("SILVER", Side::Right),
        ("BRONZE", Side::Right),
        ("WAIT p50 / p95", Side::Right),
        ("TURNS/s", Side::Right),
        ("TOKENS/s", Side::Right),
        ("REFUSED", Side::Right),
        ("PREEMPTED", Side::Right),
    ];
    let row = |pool: &Pool| {
        let known = before.and_then(|(flow, seconds)| {
            let known = flow.pools.iter().find(|each| each.model == pool.model)?;
            Some((known, seconds))
        });
        let turns = known.map(|(known, seconds)| pool.granted.saturating_sub(known.granted) as f64 / seconds);
        let grew = known.is_some_and(|(known, _)| pool.dropped > known.dropped);
        let refused = if grew { styled(Style::Red, count(pool.dropped)) } else { plain(count(pool.dropped)) };
        [
            cell(styled(Style::Bold, &pool.model)),
            cell(waiting(pool.waiting.gold)),
            cell(waiting(pool.waiting.silver)),
            cell(waiting(pool.waiting.bronze)),
            cell(plain(waits(pool))),
            cell(plain(rate(turns))),
            cell(plain(rate(pool.drain_tokens_per_second))),
            cell(refused),
            cell(plain(count(pool.preempted))),
        ]
    };
    listed(head, pools.iter().map(row).collect(), "no models are configured")
}

/// Where nobody had to wait there is no time to tell.
fn waits(pool: &Pool) -> String {
    if pool.enqueued == 0 { NONE.to_owned() } else { times(pool.wait_ms.p50, pool.wait_ms.p95) }
}

pub(super) fn waiting(waiting: u64) -> Piece {
    if waiting > 0 { styled(Style::Yellow, count(waiting)) } else { styled(Style::Dim, "0") }
}

fn tenants(flow: &Flow, before: Before<'_>) -> Vec<Line> {
    let head = [
        ("TENANT", Side::Left),
        ("CLASS", Side::Left),
        ("MODEL", Side::Left),
        ("WEIGHT", Side::Right),
        ("SHARE NOW", Side::Left),
        ("FAIR", Side::Right),
        ("TOKENS/s", Side::Right),
        ("IN FLIGHT", Side::Right),
        ("WAITING", Side::Right),
    ];
    let row = |share: &Share| {
        let mut now = bar(share.now.unwrap_or(0.0), Style::Cyan);
        now.0.push(plain(format!(" {:>5}", percent(share.now))));
        [
            cell(styled(Style::Bold, &share.tenant)),
            cell(class(&share.qos)),
            cell(plain(&share.model)),
            cell(plain(format!("{:.1}", share.weight))),
            now,
            cell(plain(percent(Some(share.fair)))),
            cell(plain(rate(share.rate))),
            cell(plain(count(share.in_flight))),
            cell(waiting(share.waiting)),
        ]
    };
    listed(head, shares(flow, before).iter().map(row).collect(), "nobody uses a model now")
}

fn class(qos: &str) -> Piece {
    match qos {
        "gold" => styled(Style::Yellow, qos),
        "bronze" => styled(Style::Dim, qos),
        _ => plain(qos),
    }
}

pub(super) fn cell(piece: Piece) -> Line {
    Line::of([piece])
}

fn listed<const N: usize>(head: [(&str, Side); N], rows: Vec<[Line; N]>, none: &str) -> Vec<Line> {
    if rows.is_empty() { vec![Line::of([styled(Style::Dim, none)])] } else { table(head, rows) }
}
