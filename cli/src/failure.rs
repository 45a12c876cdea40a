//! Why a command could not do what it was asked: one sentence, and the way out.

use std::io;

use serde_json::{Map, Value, json};

/// The command line or the configuration is wrong; also what clap uses.
pub(crate) const EXIT_USAGE: u8 = 2;
/// Everything else.
const EXIT_FAILED: u8 = 1;

/// What a command ends with when it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What happened, lower-case, without a final period. Empty where all has been said already.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// The router's stable code, where a router said it.
    pub(crate) code: Option<String>,
    /// The HTTP status of the router's answer.
    pub(crate) status: Option<u16>,
    /// The router's name for the request, to look for in its log.
    pub(crate) request_id: Option<String>,
    /// The exit code of the process.
    pub(crate) exit: u8,
}

impl Failure {
    /// Something failed while the command ran.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: None, status: None, request_id: None, exit: EXIT_FAILED }
    }

    /// The command was given something that cannot work.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: EXIT_USAGE, ..Self::new(message) }
    }

    /// All has been said; only the exit code is left.
    pub(crate) fn silent(exit: u8) -> Self {
        Self { exit, ..Self::new("") }
    }

    /// Adds the way out.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The message with the facts that a log is searched by.
    pub(crate) fn sentence(&self) -> String {
        let status = self.status.map(|status| format!("HTTP {status}"));
        let request = self.request_id.as_ref().map(|id| format!("request {id}"));
        let facts: Vec<String> = [self.code.clone(), status, request].into_iter().flatten().collect();
        if facts.is_empty() { self.message.clone() } else { format!("{} ({})", self.message, facts.join(", ")) }
    }

    /// For programs; what is not known is left out.
    pub(crate) fn json(&self) -> Value {
        let mut error = Map::new();
        error.insert("message".to_owned(), json!(self.message));
        let facts = [
            ("code", self.code.as_ref().map(|code| json!(code))),
            ("status", self.status.map(|status| json!(status))),
            ("request_id", self.request_id.as_ref().map(|id| json!(id))),
            ("hint", self.hint.as_ref().map(|hint| json!(hint))),
        ];
        error.extend(facts.into_iter().filter_map(|(name, fact)| Some((name.to_owned(), fact?))));
        json!({ "error": error })
    }
}

impl From<io::Error> for Failure {
    /// A failed write to the terminal. A reader that has left (`atp models | head -1`) has seen what
    /// it wanted, and nobody is there to be told.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::silent(EXIT_FAILED),
            _ => Self::new(format!("the output could not be written: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_holds_what_a_log_is_searched_by() {
        let failure = Failure {
            code: Some("model_not_found".to_owned()),
            status: Some(404),
            request_id: Some("req_1".to_owned()),
            ..Failure::new("no model `x`")
        };
        assert_eq!(failure.sentence(), "no model `x` (model_not_found, HTTP 404, request req_1)");
        assert_eq!(Failure::new("plain").sentence(), "plain");
    }

    #[test]
    fn json_leaves_out_what_is_not_known() {
        assert_eq!(Failure::new("m").hint("h").json(), json!({"error": {"message": "m", "hint": "h"}}));
    }

    #[test]
    fn a_reader_that_has_left_is_told_nothing() {
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).message, "");
    }
}
