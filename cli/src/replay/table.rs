//! What a replay found, for people.

use std::path::PathBuf;

use atp_routing::journal::Report;
use atp_routing::offpolicy::{Estimate, Evaluation};

use crate::term::{Brush, Style, columns, harmless};

/// All of it.
pub(super) fn of(files: &[PathBuf], report: &Report, evaluations: &[Evaluation], brush: Brush) -> String {
    let mut text = verdict(files, report, brush);
    for (route, tallies) in &report.routes {
        text += &format!("\n{}\n", brush.paint(Style::Bold, &harmless(route)));
        let rows: Vec<[String; 2]> =
            tallies.iter().map(|tally| [format!("  {}", harmless(&tally.model)), grouped(tally.chosen)]).collect();
        text += &lines(&rows);
    }
    for evaluation in evaluations {
        text += &against(evaluation, brush);
    }
    text
}

fn verdict(files: &[PathBuf], report: &Report, brush: Brush) -> String {
    let counts =
        format!("{} of {} decisions re-made identically", grouped(report.identical), grouped(report.decisions));
    let style = if report.is_identical() { Style::Green } else { Style::Red };
    let mut text = format!("{}, {} lessons learnt again\n", brush.paint(style, &counts), grouped(report.lessons));
    if report.skipped > 0 {
        text += &format!(
            "{} events stand before the first `begin` of their route and were left out\n",
            grouped(report.skipped)
        );
    }
    if report.missing > 0 {
        text += &format!("{} events found no room when they were written\n", grouped(report.missing));
    }
    if let Some(first) = &report.first {
        let file = files.get(first.at.file).map_or_else(String::new, |path| path.display().to_string());
        let route = first.route.as_ref().map_or_else(String::new, |route| format!(" (route {})", harmless(route)));
        text += &format!(
            "first of {} differences: {file}:{}{route}: {}\n",
            grouped(report.differences),
            first.at.line,
            harmless(&first.what)
        );
    }
    text
}

/// What the other configuration would have been worth at one route.
fn against(evaluation: &Evaluation, brush: Brush) -> String {
    let mut text =
        format!("\n{} with the other configuration\n", brush.paint(Style::Bold, &harmless(&evaluation.route)));
    text += &format!(
        "  {} of {} decisions count ({} sticky, {} beyond what was drawn, {} without an outcome)\n  they weigh as {:.0} of its own; {} of them were scored or failed\n",
        grouped(evaluation.used),
        grouped(evaluation.choices),
        grouped(evaluation.sticky),
        grouped(evaluation.unsupported),
        grouped(evaluation.unknown),
        evaluation.effective,
        grouped(evaluation.scored)
    );
    for model in &evaluation.strangers {
        text += &format!("  {} is not in the journal: nothing can be said of it\n", harmless(model));
    }
    let head = ["  REWARD", "MEAN", "95 % BETWEEN", "AND"].map(str::to_owned);
    let row = |name: &str, estimate: &Estimate| {
        [format!("  {name}"), number(estimate.mean), number(estimate.low), number(estimate.high)]
    };
    text += &lines(&[
        head,
        row("as logged", &evaluation.logged),
        row("IPS", &evaluation.ips),
        row("SNIPS", &evaluation.snips),
        row("doubly robust", &evaluation.dr),
    ]);
    let head = ["  MODEL", "AS LOGGED", "OTHER"].map(str::to_owned);
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let shares = evaluation.shares.iter();
    let rows = shares.map(|each| [format!("  {}", harmless(&each.model)), percent(each.logged), percent(each.other)]);
    text + &lines(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn number(value: f64) -> String {
    if value.is_nan() { String::from("-") } else { format!("{value:.4}") }
}

fn lines<const N: usize>(rows: &[[String; N]]) -> String {
    columns(rows).into_iter().map(|cells| cells.concat().trim_end().to_owned() + "\n").collect()
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && place % 3 == first {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let texts = [0, 7, 999, 1_000, 10_000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "7", "999", "1,000", "10,000", "1,234,567"]);
    }
}
