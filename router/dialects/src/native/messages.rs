//! The messages that answer: plan, event, chunk, final; a plan or a decision by itself; and what feedback is told.
//!
//! A number that nobody has measured is null. The names are those of the protocol's `/v1/ask`.

mod answer;
mod choice;
#[cfg(test)]
mod tests;

use atp_core::{Decision, Plan, PlanEvent};
use serde::Serialize;

pub use answer::{Answered, aborted, final_message, whole_answer};

/// The first message of an ask: which models may answer, and why this one does. `notes` tell what of the request has
/// no effect. A model that was asked for by its name has no plan, and nobody to be compared with.
#[must_use]
pub fn plan_line<'a>(plan: Option<&'a Plan>, model: &'a str, notes: &'a [String]) -> impl Serialize + 'a {
    choice::Line::new(plan, model, notes)
}

/// The answer of `/v1/plan`: the whole plan, with every candidate's score or why it was dropped.
#[must_use]
pub fn planned<'a>(plan: &'a Plan, notes: &'a [String]) -> impl Serialize + 'a {
    choice::Whole::new(plan, notes)
}

/// The answer of `GET /v1/decisions/{id}`.
#[must_use]
pub fn decision(decision: &Decision) -> impl Serialize + '_ {
    choice::Told::new(decision)
}

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    event: &'static str,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Something that happened between the plan and the answer.
#[must_use]
pub fn event(event: &PlanEvent) -> impl Serialize + '_ {
    match event {
        PlanEvent::Escalate { model, reason } => {
            Event { r#type: "event", event: "escalate", model, reason: Some(reason) }
        }
        PlanEvent::ChallengerSelected { model } => {
            Event { r#type: "event", event: "challenger_selected", model, reason: None }
        }
    }
}

#[derive(Serialize)]
struct Chunk<'a> {
    r#type: &'static str,
    seq: u64,
    text: &'a str,
    model: &'a str,
}

/// A piece of the answer's text; `seq` counts from 1.
#[must_use]
pub fn chunk<'a>(seq: u64, text: &'a str, model: &'a str) -> impl Serialize + 'a {
    Chunk { r#type: "chunk", seq, text, model }
}

/// What an endpoint that is told something answers.
#[derive(Debug, Serialize)]
pub struct Noted<'a> {
    status: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
}

/// It was taken.
#[must_use]
pub fn noted<'a>(message: &'a str, notes: &'a [String]) -> Noted<'a> {
    Noted { status: "ok", message, notes }
}
