//! The sentence that a plan is explained by.

use std::fmt::Write as _;
use std::sync::Arc;

use atp_core::Candidate;

use super::{Mind, Request};
use crate::bandit::Strategy;

/// On what ground the first was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// The bandit's pick among the acceptable.
    Score,
    /// Its pick among the fallbacks, because no active one is acceptable.
    Fallback,
    /// There is no other.
    Only,
    /// The session was answered by it last.
    Session,
    /// So was the prompt's beginning.
    Prefix,
    /// Nobody is acceptable; it comes nearest.
    Quality,
    /// Nobody may answer.
    Nobody,
}

/// The name of the way a choice was made, and why it came out so.
pub(super) fn of(
    mind: &Mind,
    request: &Request,
    candidates: &[Candidate],
    order: &[usize],
    (ground, explored): (Ground, bool),
) -> (Arc<str>, Arc<str>) {
    let strategy = match ground {
        Ground::Score | Ground::Fallback => mind.rules.strategy.label(),
        Ground::Only => "only",
        Ground::Session | Ground::Prefix => "sticky",
        Ground::Quality => "quality",
        Ground::Nobody => "none",
    };
    let first = order.first().and_then(|arm| candidates.get(*arm));
    let reason = first.map_or_else(
        || nobody(candidates),
        |first| {
            if explored { tried(first) } else { chosen(mind, request, candidates, first, ground) }
        },
    );
    (Arc::from(strategy), Arc::from(reason))
}

fn chosen(mind: &Mind, request: &Request, candidates: &[Candidate], first: &Candidate, ground: Ground) -> String {
    let model = &first.model;
    let mut text = String::with_capacity(192);
    let considered = candidates.iter().filter(|each| each.dropped.is_none()).count();
    // Writing to a string cannot fail.
    let _ = match ground {
        Ground::Score | Ground::Fallback => score(&mut text, mind, first, considered, ground),
        Ground::Only => write!(text, "{model} is the only one of {} candidates that may answer", candidates.len()),
        Ground::Session => write!(text, "{model} answered this session last and keeps it"),
        Ground::Prefix => write!(text, "{model} answered the same beginning last and has it in its cache"),
        Ground::Quality => {
            let missed = first.dropped.map_or("quality", |dropped| dropped.label());
            let floor = request.needs.quality.floor();
            write!(
                text,
                "no candidate is acceptable: {model} comes nearest with a quality of {:.2} (floor {floor:.2}; missed: {missed})",
                first.quality
            )
        }
        Ground::Nobody => Ok(()),
    };
    text
}

fn tried(first: &Candidate) -> String {
    let (model, terms) = (&first.model, &first.terms);
    format!("{model} is tried to learn about it, with a probability of {:.3}", terms.probability)
}

fn score(text: &mut String, mind: &Mind, first: &Candidate, considered: usize, ground: Ground) -> std::fmt::Result {
    let (model, terms) = (&first.model, &first.terms);
    if ground == Ground::Fallback {
        text.push_str("no active candidate is acceptable: ");
    }
    let how = if mind.rules.strategy == Strategy::Cheapest { "is the cheapest" } else { "scores best" };
    write!(text, "{model} {how} of {considered} acceptable with ")?;
    number(text, terms.score, 3);
    for (what, value) in [
        (" (quality ", terms.quality),
        (", cost ", terms.cost),
        (", latency ", terms.latency),
        (", reliability ", terms.reliability),
    ] {
        text.push_str(what);
        number(text, value, 2);
    }
    text.push_str(", probability ");
    number(text, terms.probability, 3);
    text.push(')');
    Ok(())
}

/// Writes a number that is not negative with so many digits behind the point, ties up. The exact digits that `write!`
/// looks for cost more than the whole choice among three.
fn number(text: &mut String, value: f64, digits: u32) {
    let unit = 10_u64.pow(digits);
    let rounded = (value.max(0.0) * unit as f64 + 0.5) as u64;
    let mut rest = rounded % unit;
    match u32::try_from(rounded / unit).ok().and_then(|whole| char::from_digit(whole, 10)) {
        Some(digit) => text.push(digit),
        // Writing to a string cannot fail.
        None => _ = write!(text, "{}", rounded / unit),
    }
    text.push('.');
    let mut place = unit / 10;
    while place > 0 {
        text.extend(u32::try_from(rest / place).ok().and_then(|digit| char::from_digit(digit, 10)));
        (rest, place) = (rest % place, place / 10);
    }
}

fn nobody(candidates: &[Candidate]) -> String {
    let mut text = String::from("no candidate may answer: ");
    for (place, each) in candidates.iter().enumerate() {
        let reason = each.dropped.map_or("unknown", |dropped| dropped.label());
        let comma = if place == 0 { "" } else { ", " };
        let _ = match each.dropped {
            Some(atp_core::Dropped::Lacks(what)) => write!(text, "{comma}{} (lacks {})", each.model, what.label()),
            _ => write!(text, "{comma}{} ({reason})", each.model),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_they_do_elsewhere() {
        for value in [0.0, 0.001, 0.0049, 0.05, 0.1, 0.25, 0.333_333, 0.999, 0.9996, 1.0, 7.126, 9.999_9, 12.3, 4096.0]
        {
            for digits in [2, 3] {
                let mut text = String::new();
                number(&mut text, value, digits);
                assert_eq!(text, format!("{value:.0$}", digits as usize));
            }
        }
        let mut text = String::new();
        number(&mut text, f64::NAN, 2);
        number(&mut text, -0.5, 2);
        assert_eq!(text, "0.000.00");
    }
}
