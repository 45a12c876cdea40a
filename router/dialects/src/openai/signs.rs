//! What an answer shows of its quality, and its text.
//!
//! An answer is one JSON object, or a stream of events; which of the two, its first byte tells. Of several
//! choices the first is looked at. Nothing here knows what the answer should have said: it declines, breaks
//! off, opens a fence and does not close it, begins as JSON and is none.

mod form;
mod heard;
mod refusal;

use atp_core::{Operation, Signs};

use heard::Heard;

/// The signs of an answer, given its whole body or all bytes of its stream.
#[must_use]
pub fn signs(operation: Operation, answer: &[u8]) -> Signs {
    if matches!(operation, Operation::Embeddings | Operation::Moderations | Operation::Images | Operation::Audio) {
        // No text to be judged: nothing is wrong with it.
        return Signs { fences_closed: true, ..Signs::default() };
    }
    let heard = Heard::of(answer);
    let text = heard.text.as_str();
    Signs {
        chars: text.chars().count() as u64,
        finish: heard.finish,
        refusal: heard.refused || refusal::declines(text),
        json: form::json(text),
        tool_calls: heard.tool_calls,
        fences_closed: form::fences_closed(text),
        confidence: heard.confidence(),
    }
}

/// The text of an answer; `None` where it has none.
#[must_use]
pub fn text(operation: Operation, answer: &[u8]) -> Option<String> {
    match operation {
        Operation::Chat | Operation::Completions | Operation::Raw => {
            Some(Heard::of(answer).text).filter(|text| !text.is_empty())
        }
        Operation::Embeddings | Operation::Moderations | Operation::Images | Operation::Audio => None,
    }
}

#[cfg(test)]
mod tests;
