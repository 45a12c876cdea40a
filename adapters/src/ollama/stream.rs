//! From Ollama's lines of JSON to OpenAI's events, cut at any byte.

use atp_core::{Error, ErrorKind, Report};
use serde_json::{Value, json};

use crate::head::event;

use super::reply::{Head, Line, Shape, failure, finish_name, garbled, logprobs_json, usage_json};

/// The longest line that is read: far beyond any delta, and short enough to be held.
const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// The decoder of one stream.
pub(super) struct Decoder {
    head: Head,
    include_usage: bool,
    /// The beginning of a line whose end has not come yet.
    held: Vec<u8>,
    begun: bool,
    calls: usize,
    ended: bool,
    report: Report,
}

impl Decoder {
    pub(super) fn new(head: Head, include_usage: bool) -> Self {
        let report = Report::default();
        Self { head, include_usage, held: Vec::new(), begun: false, calls: 0, ended: false, report }
    }

    /// What has been learned up to now.
    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// Takes bytes and writes the events that they complete.
    ///
    /// # Errors
    /// A line that is no JSON of Ollama's, or too long.
    pub(super) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let mut rest = bytes;
        while let Some((line, after)) = split_line(rest) {
            if self.held.is_empty() {
                self.line(line, out)?;
            } else {
                let mut whole = std::mem::take(&mut self.held);
                whole.extend_from_slice(line);
                self.line(&whole, out)?;
            }
            rest = after;
        }
        self.held.extend_from_slice(rest);
        if self.held.len() > LONGEST_LINE {
            return Err(garbled(format_args!("a line of the stream is longer than {LONGEST_LINE} bytes")));
        }
        Ok(())
    }

    /// Says that no more bytes come.
    ///
    /// # Errors
    /// A stream without its end.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let last = std::mem::take(&mut self.held);
        self.line(&last, out)?;
        if self.ended {
            return Ok(());
        }
        Err(Error::provider(ErrorKind::ProviderCut, "the provider's stream ended before its end"))
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if line.trim_ascii().is_empty() || self.ended {
            return Ok(());
        }
        let line: Line = serde_json::from_slice(line).map_err(|error| garbled(&error))?;
        if let Some(error) = &line.error {
            self.fail(error, out);
            return Ok(());
        }
        if !self.begun {
            self.begun = true;
            if self.head.shape == Shape::Chat {
                self.chunk(json!({ "delta": { "role": "assistant", "content": "" } }), None, out);
            }
        }
        match self.head.shape {
            Shape::Chat => self.chat(&line, out),
            Shape::Completion if !line.response.is_empty() => {
                self.report.content = true;
                self.chunk(json!({ "text": line.response }), None, out);
            }
            Shape::Completion => {}
        }
        if line.done {
            self.end(&line, out);
        }
        Ok(())
    }

    fn chat(&mut self, line: &Line, out: &mut Vec<u8>) {
        let message = &line.message;
        if !message.thinking.is_empty() {
            self.report.content = true;
            self.chunk(json!({ "delta": { "reasoning_content": message.thinking } }), None, out);
        }
        let logprobs = logprobs_json(line.logprobs.clone());
        if !message.content.is_empty() || !logprobs.is_null() {
            self.report.content = true;
            self.chunk(json!({ "delta": { "content": message.content }, "logprobs": logprobs }), None, out);
        }
        for call in message.tool_calls.iter().flatten() {
            let index = self.calls;
            self.calls += 1;
            self.report.content = true;
            let mut call = call.tool_call(&self.head, index);
            if let Value::Object(call) = &mut call {
                call.insert("index".to_owned(), json!(index));
            }
            self.chunk(json!({ "delta": { "tool_calls": [call] } }), None, out);
        }
    }

    fn end(&mut self, line: &Line, out: &mut Vec<u8>) {
        let finish = line.finish(self.calls > 0);
        self.report.finish = Some(finish);
        self.report.usage = line.usage();
        let last = if self.head.shape == Shape::Chat { json!({ "delta": {} }) } else { json!({ "text": "" }) };
        self.chunk(last, Some(finish_name(finish)), out);
        if self.include_usage {
            let mut chunk = self.head.envelope(true);
            chunk.insert("choices".to_owned(), json!([]));
            chunk.insert("usage".to_owned(), usage_json(line.usage().unwrap_or_default()));
            event(&Value::Object(chunk), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.report.complete = true;
        self.ended = true;
    }

    /// An error inside a stream: told to the caller, counted as a failure.
    fn fail(&mut self, error: &Value, out: &mut Vec<u8>) {
        let failure = failure(error);
        let told = json!({ "message": failure.public(), "type": "server_error", "param": null, "code": null });
        event(&json!({ "error": told }), out);
        self.report.failure = Some(failure);
        self.ended = true;
    }

    fn chunk(&self, mut choice: Value, finish: Option<&str>, out: &mut Vec<u8>) {
        if let Value::Object(choice) = &mut choice {
            choice.insert("index".to_owned(), json!(0));
            choice.insert("finish_reason".to_owned(), json!(finish));
            choice.entry("logprobs").or_insert(Value::Null);
        }
        let mut chunk = self.head.envelope(true);
        chunk.insert("choices".to_owned(), json!([choice]));
        if self.include_usage {
            chunk.insert("usage".to_owned(), Value::Null);
        }
        event(&Value::Object(chunk), out);
    }
}

/// A line without its end, and what follows.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}
