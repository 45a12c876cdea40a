//! Choosing and money: what routes have learnt of models, what is spent of budgets, how challengers do. Each table is
//! left out where there is nothing to tell, so that a router without routes and budgets shows none of them.

use super::line::{Line, Side, plain, styled, table};
use super::render::{bar, cell, waiting};
use super::sample::{Account, Arm, Challenger, Choosing, Experiment, Limits};
use super::text::{NONE, count, dollars, percent};
use crate::term::Style;

/// So many arms are shown, those that are asked most.
const MOST_ARMS: usize = 12;
/// So many budgets are shown, the fullest ones.
const MOST_BUDGETS: usize = 12;
/// A budget this full is about to be the reason why somebody is refused.
const NEARLY_SPENT: f64 = 0.85;

/// The tables that have something to tell.
pub(super) fn tables(choosing: &Choosing) -> Vec<Vec<Line>> {
    let all = [arms(&choosing.arms), spend(&choosing.budgets), experiments(&choosing.experiments)];
    all.into_iter().filter(|lines| !lines.is_empty()).collect()
}

fn arms(arms: &[Arm]) -> Vec<Line> {
    let asked = |arm: &&Arm| arm.pulls > 0.0 || arm.scores > 0.0;
    let mut used: Vec<&Arm> = arms.iter().filter(asked).collect();
    used.sort_by(|a, b| b.pulls.total_cmp(&a.pulls));
    let head = [
        ("ROUTE", Side::Left),
        ("WORK", Side::Left),
        ("MODEL", Side::Left),
        ("ASKED", Side::Right),
        ("SHARE", Side::Left),
        ("QUALITY", Side::Left),
        ("SCORES", Side::Right),
        ("ANSWERS", Side::Right),
    ];
    let row = |arm: &&Arm| {
        let same = |other: &&&Arm| other.route == arm.route && other.cluster == arm.cluster;
        let all: f64 = used.iter().filter(same).map(|other| other.pulls).sum();
        let part = if all > 0.0 { arm.pulls / all } else { 0.0 };
        let mut share = bar(part, Style::Cyan);
        share.0.push(plain(format!(" {:>5}", percent(Some(part)))));
        let (low, high) = arm.interval;
        let style = if arm.reliability < 0.9 { Style::Yellow } else { Style::Green };
        [
            cell(styled(Style::Bold, &arm.route)),
            cell(plain(&arm.cluster)),
            cell(plain(&arm.model)),
            cell(plain(count(arm.pulls.round() as u64))),
            share,
            cell(plain(format!("{:.2} ({low:.2} .. {high:.2})", arm.quality))),
            cell(plain(count(arm.scores.round() as u64))),
            cell(styled(style, percent(Some(arm.reliability)))),
        ]
    };
    let rows: Vec<_> = used.iter().take(MOST_ARMS).map(row).collect();
    cut(table_of(head, rows), used.len().saturating_sub(MOST_ARMS))
}

fn spend(budgets: &[Account]) -> Vec<Line> {
    let mut fullest: Vec<&Account> = budgets.iter().collect();
    // Equals stay in the order of the router.
    fullest.sort_by(|a, b| full(b).total_cmp(&full(a)));
    let head = [
        ("BUDGET", Side::Left),
        ("PER", Side::Left),
        ("SPENT", Side::Left),
        ("LEFT", Side::Right),
        ("HELD", Side::Right),
        ("BURN/min", Side::Right),
        ("REFUSED", Side::Right),
    ];
    let row = |of: &&Account| {
        let part = full(of);
        let style = match part {
            part if part >= 1.0 => Style::Red,
            part if part >= NEARLY_SPENT => Style::Yellow,
            _ => Style::Cyan,
        };
        let mut spent = bar(part, style);
        spent.0.push(plain(format!(" {}", spent_of(of))));
        [
            cell(styled(Style::Bold, format!("{} {}", of.whose, of.name))),
            cell(plain(&of.per)),
            spent,
            cell(plain(amount(&of.remaining))),
            cell(plain(amount(&of.reserved))),
            cell(plain(dollars(of.burn_usd_per_min))),
            cell(waiting(of.denied.usd.saturating_add(of.denied.tokens))),
        ]
    };
    let rows: Vec<_> = fullest.iter().take(MOST_BUDGETS).map(row).collect();
    cut(table_of(head, rows), fullest.len().saturating_sub(MOST_BUDGETS))
}

/// Which part of a budget is gone, of its fuller half: from 0, and above 1 where more was spent than there was.
fn full(of: &Account) -> f64 {
    let part = |spent: f64, limit: Option<f64>| match limit {
        Some(limit) if limit > 0.0 => spent / limit,
        Some(_) => 1.0,
        None => 0.0,
    };
    let usd = part(of.spent.usd.unwrap_or(0.0), of.limit.usd);
    let tokens = part(of.spent.tokens.unwrap_or(0) as f64, of.limit.tokens.map(|limit| limit as f64));
    usd.max(tokens)
}

fn spent_of(of: &Account) -> String {
    let usd = of.limit.usd.map(|limit| format!("{} of {}", dollars(of.spent.usd.unwrap_or(0.0)), dollars(limit)));
    let tokens = of.limit.tokens.map(|limit| {
        let spent = of.spent.tokens.unwrap_or(0);
        format!("{} of {} tokens", count(spent), count(limit))
    });
    usd.into_iter().chain(tokens).collect::<Vec<_>>().join(", ")
}

fn amount(of: &Limits) -> String {
    let usd = of.usd.map(dollars);
    let tokens = of.tokens.map(|tokens| format!("{} tokens", count(tokens)));
    let told: Vec<String> = usd.into_iter().chain(tokens).collect();
    if told.is_empty() { NONE.to_owned() } else { told.join(", ") }
}

fn experiments(experiments: &[Experiment]) -> Vec<Line> {
    let head = [
        ("EXPERIMENT", Side::Left),
        ("CHALLENGER", Side::Left),
        ("PAIRS", Side::Right),
        ("WON", Side::Right),
        ("WIN RATE", Side::Left),
        ("FINDING", Side::Left),
        ("SPENT TODAY", Side::Left),
    ];
    let row = |(of, challenger): (&Experiment, &Challenger)| {
        let (low, high) = challenger.interval;
        let style = match challenger.finding.as_str() {
            "better" => Style::Green,
            "worse" => Style::Red,
            _ => Style::Dim,
        };
        let spent = format!("{} of {}", dollars(challenger.spend_today_usd), dollars(of.max_usd_per_day));
        [
            cell(styled(Style::Bold, &of.route)),
            cell(plain(&challenger.model)),
            cell(plain(count(challenger.samples))),
            cell(plain(count(challenger.wins))),
            cell(plain(format!(
                "{} ({} .. {})",
                percent(Some(challenger.win_rate)),
                percent(Some(low)),
                percent(Some(high))
            ))),
            cell(styled(style, &challenger.finding)),
            cell(plain(spent)),
        ]
    };
    let each = |of| move |challenger| (of, challenger);
    let all = experiments.iter().flat_map(|of| of.challengers.iter().map(each(of)));
    table_of(head, all.map(row).collect())
}

/// No head without a row.
fn table_of<const N: usize>(head: [(&str, Side); N], rows: Vec<[Line; N]>) -> Vec<Line> {
    if rows.is_empty() { Vec::new() } else { table(head, rows) }
}

/// Says how many are not shown.
fn cut(mut lines: Vec<Line>, more: usize) -> Vec<Line> {
    if more > 0 {
        lines.push(Line::of([styled(Style::Dim, format!("and {more} more"))]));
    }
    lines
}
