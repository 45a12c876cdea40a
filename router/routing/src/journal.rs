//! What was decided, one JSON value per line, so completely that every choice can be made again.
//!
//! A [`Mind`] is changed by its choices and lessons alone, so a journal is: the whole mind once ([`begin`]),
//! then every choice with what it was made from ([`decide`]), and every lesson ([`learn`]). Each is numbered
//! (`n`, [`Mind::events`] before it), so that it shows where lines are missing, and so that lines may be written
//! a little out of order: who writes them need not hold the lock under which the mind was changed.
//!
//! Numbers are written so that they read back to the bit (`serde_json` writes the shortest text that does, and
//! reads exactly with its feature `float_roundtrip`). No line holds anything of a prompt but its length, its
//! hash and its features.

use std::sync::Arc;

use atp_core::{Plan, RequestId};
use serde::{Deserialize, Serialize};

use crate::bandit::Lesson;
use crate::candidate::CandidateNow;
use crate::decide::{Mind, Request};

pub use replay::{At, Difference, Replay, Report, Tally, Witness, replay};

mod replay;

/// Why a whole mind is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The process has begun: what was before may not lead here.
    Start,
    /// A new file has begun.
    Rotation,
    /// A line was lost.
    Gap,
    /// The configuration has changed: the mind has adopted the one before it.
    Reload,
}

/// A line that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A whole mind.
    Begin(Begin),
    /// A choice.
    Decide(Choice),
    /// A lesson.
    Learn(Learnt),
}

/// A whole mind, as it is before event `n`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// The route.
    pub route: Arc<str>,
    /// The number of the next event.
    pub n: u64,
    /// Why it stands here.
    pub why: Why,
    /// The mind, its rules included.
    pub mind: Mind,
}

/// A choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The route.
    pub route: Arc<str>,
    /// The number of the event.
    pub n: u64,
    /// What was asked.
    pub request: Request,
    /// How the candidates stood, in the order of the rules.
    pub candidates: Vec<CandidateNow>,
    /// The place of the one that was chosen; `None` where nobody might answer.
    pub chosen: Option<usize>,
    /// How: the plan's strategy.
    pub strategy: Arc<str>,
    /// The probability of each candidate, in the order of the rules.
    pub probabilities: Vec<f64>,
}

/// A lesson.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learnt {
    /// The route.
    pub route: Arc<str>,
    /// The number of the event.
    pub n: u64,
    /// The exchange that taught it.
    #[serde(with = "atp_core::plan::id_text")]
    pub id: RequestId,
    /// What it taught.
    pub lesson: Lesson,
    /// The reward that it amounted to.
    pub reward: Option<f64>,
}

/// The line of a whole mind. Due at the start of a route, after a reload, and after each line that was the first
/// of a file or was lost.
#[must_use]
pub fn begin(why: Why, mind: &Mind) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        event: &'static str,
        route: &'a str,
        n: u64,
        why: Why,
        mind: &'a Mind,
    }
    write(&Line { event: "begin", route: &mind.rules().route, n: mind.events(), why, mind })
}

/// The line of a choice that was event `n` of its route.
#[must_use]
pub fn decide(route: &str, n: u64, request: &Request, candidates: &[CandidateNow], plan: &Plan) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        event: &'static str,
        route: &'a str,
        n: u64,
        request: &'a Request,
        candidates: &'a [CandidateNow],
        chosen: Option<usize>,
        strategy: &'a str,
        probabilities: Vec<f64>,
    }
    write(&Line {
        event: "decide",
        route,
        n,
        request,
        candidates,
        chosen: plan.order.first().copied(),
        strategy: &plan.strategy,
        probabilities: plan.candidates.iter().map(|each| each.terms.probability).collect(),
    })
}

/// The line of a lesson that was event `n` of its route.
#[must_use]
pub fn learn(route: &str, n: u64, id: RequestId, lesson: &Lesson, reward: Option<f64>) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        event: &'static str,
        route: &'a str,
        n: u64,
        #[serde(with = "atp_core::plan::id_text")]
        id: RequestId,
        lesson: &'a Lesson,
        reward: Option<f64>,
    }
    write(&Line { event: "learn", route, n, id, lesson, reward })
}

/// These values hold no map with keys that are not text, and nothing that refuses to be written; a line that
/// could not be written would be empty, and read as a gap.
fn write(line: &impl Serialize) -> String {
    serde_json::to_string(line).unwrap_or_default()
}

/// Reads a line.
///
/// # Errors
/// Where it is not JSON, not of a known event, or lacks something; the text says what and at which column.
pub fn read(line: &str) -> Result<Event, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Name {
        Begin,
        Decide,
        Learn,
    }
    #[derive(Deserialize)]
    struct Named {
        event: Name,
    }
    // Twice over the line, because reading a tagged value at once would go through a tree of its own, in which
    // numbers are not what they were.
    match serde_json::from_str::<Named>(line)?.event {
        Name::Begin => serde_json::from_str(line).map(Event::Begin),
        Name::Decide => serde_json::from_str(line).map(Event::Decide),
        Name::Learn => serde_json::from_str(line).map(Event::Learn),
    }
}

#[cfg(test)]
mod tests;
