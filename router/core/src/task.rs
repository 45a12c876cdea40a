//! What a request is about, as far as cheap signs tell, and what an answer shows of its quality.

use serde::{Deserialize, Serialize};

use crate::answer::Finish;
use crate::choice::Capabilities;

/// The kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// Talk, questions, anything else.
    #[default]
    Chat,
    /// Writing, reading or mending programs.
    Code,
    /// Making long text short.
    Summarize,
    /// Getting facts out of text.
    Extract,
    /// Putting text into classes.
    Classify,
    /// From one language into another.
    Translate,
    /// Calculation, proofs, riddles.
    Reason,
    /// Answers that are data: JSON, tables.
    Structure,
}

impl TaskKind {
    /// Every kind; a kind's place is its value as a number.
    pub const ALL: [Self; 8] = [
        Self::Chat,
        Self::Code,
        Self::Summarize,
        Self::Extract,
        Self::Classify,
        Self::Translate,
        Self::Reason,
        Self::Structure,
    ];

    /// The name, and the metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Code => "code",
            Self::Summarize => "summarize",
            Self::Extract => "extract",
            Self::Classify => "classify",
            Self::Translate => "translate",
            Self::Reason => "reason",
            Self::Structure => "structure",
        }
    }

    /// The kind of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == name)
    }
}

/// The script that most of a text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English, by its commonest words.
    #[default]
    English,
    /// Another language in Latin letters.
    Latin,
    /// Chinese, Japanese, Korean.
    Cjk,
    /// Any other script.
    Other,
}

impl Language {
    /// Every one; its place is its value as a number.
    pub const ALL: [Self; 4] = [Self::English, Self::Latin, Self::Cjk, Self::Other];

    /// The name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::English => "english",
            Self::Latin => "latin",
            Self::Cjk => "cjk",
            Self::Other => "other",
        }
    }
}

/// What is known of a request before anybody answers it. Holds nothing of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Features {
    /// The kind of work.
    pub kind: TaskKind,
    /// The language of the prompt.
    pub language: Language,
    /// Characters of the prompt's texts.
    pub chars: u64,
    /// Input tokens by a tokenizer (o200k), what frames the messages included.
    pub tokens: u64,
    /// Messages.
    pub messages: u32,
    /// Images.
    pub images: u32,
    /// Tools that the model may call.
    pub tools: u32,
    /// Whether the prompt holds code.
    pub code: bool,
    /// What a model must be able to do.
    pub needs: Capabilities,
    /// The first half of the SHA-256 of the prompt's texts (the mission's `prompt_hash`).
    pub prompt_hash: u64,
    /// Names what stays the same over the turns of a conversation and over requests with the same
    /// instructions: what a provider's prompt cache goes by. 0 where that is too short to matter.
    pub prefix: u64,
}

/// What an answer shows of its quality, without knowing what it should have said.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Signs {
    /// Characters of its text.
    pub chars: u64,
    /// Why the model stopped, where that stands in the answer.
    pub finish: Option<Finish>,
    /// Whether it declines to answer.
    pub refusal: bool,
    /// Whether the text is whole JSON; `None` where it does not look like any.
    pub json: Option<bool>,
    /// Whether it calls tools.
    pub tool_calls: bool,
    /// Whether its code fences are closed.
    pub fences_closed: bool,
    /// The mean probability of its tokens, where the provider told it.
    pub confidence: Option<f64>,
}
