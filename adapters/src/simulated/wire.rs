//! OpenAI's JSON for chat and legacy completions, whole and in chunks.

use atp_core::{Finish, Usage};
use serde::Serialize;

use super::generation::{Choice, Generation, Piece};

mod logprobs;

pub(super) use logprobs::Logprobs;

/// Which of the two shapes an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `chat.completion`.
    Chat,
    /// `text_completion`.
    Completion,
}

/// Declares every answer: OpenAI's field for the backend that made it.
const FINGERPRINT: &str = "simulated";

/// The envelope of answers and chunks.
#[derive(Serialize)]
struct Envelope<'a, C: Serialize> {
    id: &'a str,
    object: &'a str,
    created: u64,
    model: &'a str,
    system_fingerprint: &'a str,
    choices: &'a [C],
    /// Absent, `null`, or the usage: a chunk has all three, see [`UsageField`].
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageWire>>,
}

/// Whether chunks of a stream have a usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UsageField {
    /// The field is absent from every chunk.
    Absent,
    /// It is null in every chunk but the last, which has no choice.
    Asked,
}

#[derive(Serialize)]
struct UsageWire {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

#[derive(Serialize)]
struct ChatChoice<'a> {
    index: usize,
    message: Message<'a>,
    logprobs: Option<Logprobs>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: usize,
    delta: Delta<'a>,
    logprobs: Option<Logprobs>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCall<'a>; 1]>,
}

/// A tool call, whole or a fragment of one.
#[derive(Serialize)]
struct ToolCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<Arguments<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Arguments<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Text<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    input: &'a str,
}

/// A choice of the legacy shape, whole or a chunk.
#[derive(Serialize)]
struct TextChoice<'a> {
    text: &'a str,
    index: usize,
    logprobs: Option<Logprobs>,
    finish_reason: Option<&'static str>,
}

/// The whole answer as JSON.
pub(super) fn whole(generation: &Generation, shape: Shape) -> Vec<u8> {
    let usage = Some(Some(UsageWire::from(generation.usage())));
    let indexed = || generation.choices.iter().enumerate();
    match shape {
        Shape::Chat => {
            let choices: Vec<_> = indexed().map(|(index, choice)| chat_choice(generation, index, choice)).collect();
            envelope(generation, "chat.completion", &choices, usage)
        }
        Shape::Completion => {
            let choices: Vec<_> = indexed()
                .map(|(index, choice)| TextChoice {
                    text: &choice.text,
                    index,
                    logprobs: generation.logprobs.map(|of| Logprobs::legacy(&choice.text, 0, of)),
                    finish_reason: Some(finish(choice.finish)),
                })
                .collect();
            envelope(generation, "text_completion", &choices, usage)
        }
    }
}

/// Chunks of one stream.
pub(super) struct Chunks<'a> {
    pub(super) generation: &'a Generation,
    pub(super) shape: Shape,
    pub(super) usage: UsageField,
}

impl Chunks<'_> {
    /// The first chunk of a chat choice; the legacy shape has none.
    pub(super) fn role(&self, index: usize, out: &mut Vec<u8>) {
        if self.shape == Shape::Chat {
            let delta = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
            self.chat(index, delta, None, None, out);
        }
    }

    /// One token of a choice.
    pub(super) fn piece(&self, index: usize, choice: &Choice, piece: &Piece, out: &mut Vec<u8>) {
        let slice = |text: &'_ str, range: &std::ops::Range<usize>| text.get(range.clone()).map(str::to_owned);
        let told = self.generation.logprobs;
        match piece {
            Piece::Text(range) => {
                let text = slice(&choice.text, range).unwrap_or_default();
                match self.shape {
                    Shape::Chat => {
                        let delta = Delta { content: Some(&text), ..Delta::default() };
                        self.chat(index, delta, told.map(|of| Logprobs::chat(&text, of)), None, out);
                    }
                    Shape::Completion => {
                        let logprobs = told.map(|of| Logprobs::legacy(&text, range.start, of));
                        self.text(index, &text, logprobs, None, out);
                    }
                }
            }
            Piece::Open(at) => {
                if let Some(call) = choice.calls.get(*at) {
                    self.call(index, tool_call(call, Some(*at), ""), out);
                }
            }
            Piece::Arguments(at, range) => {
                if let Some(call) = choice.calls.get(*at) {
                    let text = slice(&call.arguments, range).unwrap_or_default();
                    let mut fragment =
                        ToolCall { index: Some(*at), id: None, r#type: None, function: None, custom: None };
                    if call.custom {
                        fragment.custom = Some(Text { name: None, input: &text });
                    } else {
                        fragment.function = Some(Arguments { name: None, arguments: &text });
                    }
                    self.call(index, fragment, out);
                }
            }
        }
    }

    /// The last chunk of a choice.
    pub(super) fn finish(&self, index: usize, choice: &Choice, out: &mut Vec<u8>) {
        let reason = Some(finish(choice.finish));
        match self.shape {
            Shape::Chat => self.chat(index, Delta::default(), None, reason, out),
            Shape::Completion => self.text(index, "", None, reason, out),
        }
    }

    /// What follows the last choice: the usage where it was asked for, and the end's mark.
    pub(super) fn end(&self, usage: Usage, out: &mut Vec<u8>) {
        if self.usage == UsageField::Asked {
            let body = envelope::<ChunkChoice<'_>>(self.generation, self.object(), &[], Some(Some(usage.into())));
            event(&body, out);
        }
        event(b"[DONE]", out);
    }

    fn call(&self, index: usize, call: ToolCall<'_>, out: &mut Vec<u8>) {
        self.chat(index, Delta { tool_calls: Some([call]), ..Delta::default() }, None, None, out);
    }

    fn chat(
        &self,
        index: usize,
        delta: Delta<'_>,
        logprobs: Option<Logprobs>,
        finish_reason: Option<&'static str>,
        out: &mut Vec<u8>,
    ) {
        let choice = ChunkChoice { index, delta, logprobs, finish_reason };
        event(&envelope(self.generation, self.object(), &[choice], self.null_usage()), out);
    }

    fn text(
        &self,
        index: usize,
        text: &str,
        logprobs: Option<Logprobs>,
        finish_reason: Option<&'static str>,
        out: &mut Vec<u8>,
    ) {
        let choice = TextChoice { text, index, logprobs, finish_reason };
        event(&envelope(self.generation, self.object(), &[choice], self.null_usage()), out);
    }

    fn object(&self) -> &'static str {
        match self.shape {
            Shape::Chat => "chat.completion.chunk",
            Shape::Completion => "text_completion",
        }
    }

    fn null_usage(&self) -> Option<Option<UsageWire>> {
        (self.usage == UsageField::Asked).then_some(None)
    }
}

/// One server-sent event.
pub(super) fn event(data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

fn envelope<C: Serialize>(
    generation: &Generation,
    object: &str,
    choices: &[C],
    usage: Option<Option<UsageWire>>,
) -> Vec<u8> {
    let Generation { id, created, model, .. } = generation;
    let envelope = Envelope { id, object, created: *created, model, system_fingerprint: FINGERPRINT, choices, usage };
    // Only maps with keys that are no strings can fail, and there is none.
    serde_json::to_vec(&envelope).unwrap_or_default()
}

fn chat_choice<'a>(generation: &'a Generation, index: usize, choice: &'a Choice) -> ChatChoice<'a> {
    let is_text = choice.calls.is_empty();
    ChatChoice {
        index,
        message: Message {
            role: "assistant",
            content: is_text.then_some(choice.text.as_str()),
            refusal: None,
            tool_calls: choice.calls.iter().map(|call| tool_call(call, None, &call.arguments)).collect(),
        },
        logprobs: generation.logprobs.filter(|_| is_text).map(|of| Logprobs::chat(&choice.text, of)),
        finish_reason: finish(choice.finish),
    }
}

fn tool_call<'a>(call: &'a super::tools::Call, index: Option<usize>, text: &'a str) -> ToolCall<'a> {
    let name = Some(call.name.as_str());
    let mut out = ToolCall { index, id: Some(&call.id), r#type: Some("function"), function: None, custom: None };
    if call.custom {
        out.r#type = Some("custom");
        out.custom = Some(Text { name, input: text });
    } else {
        out.function = Some(Arguments { name, arguments: text });
    }
    out
}

/// OpenAI's name of a reason.
fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Other => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}

impl From<Usage> for UsageWire {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            total_tokens: usage.total(),
            prompt_tokens_details: PromptDetails { cached_tokens: usage.cached_input },
            completion_tokens_details: CompletionDetails { reasoning_tokens: usage.reasoning },
        }
    }
}
