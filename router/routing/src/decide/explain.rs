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
    let mut text = String::with_capacity(128);
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
    write!(
        text,
        "{model} {how} of {considered} acceptable with {:.3} (quality {:.2}, cost {:.2}, latency {:.2}, reliability {:.2}, \
         probability {:.3})",
        terms.score, terms.quality, terms.cost, terms.latency, terms.reliability, terms.probability
    )
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
