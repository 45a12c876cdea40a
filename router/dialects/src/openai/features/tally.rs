//! What is gathered on the walk over a body.

use atp_core::port::Reading;
use atp_core::{Capability, Features, TaskKind};
use sha2::{Digest, Sha256};

use super::{code, kind, language};
use crate::openai::tokens::Counter;

/// What OpenAI puts around a message: three tokens, and one for its role.
const MESSAGE: u64 = 4;
/// What it puts behind all messages, where the answer begins.
const PRIMING: u64 = 3;
/// What a name takes beside its own tokens.
const NAME: u64 = 1;
/// The least that providers keep of a prompt for later ones: 1,024 tokens at OpenAI and Anthropic.
const CACHED: u64 = 1_024;
/// So much of a text's beginning is kept, to see what it wants and in which language.
const HEAD: usize = 1_024;

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    /// Whoever wrote the application.
    System,
    /// Who asks.
    User,
    /// The model, or a tool.
    Other,
}

/// Counts and heads.
pub(super) struct Tally {
    features: Features,
    counter: Counter,
    /// Of the texts so far; none where it is not asked for.
    hash: Option<Sha256>,
    texts: u64,
    /// The head of the first text of the system, and of the last message of the user.
    system: String,
    user: String,
    /// Nothing was said yet but by the system.
    leading: bool,
    /// Messages of the user so far.
    asked: u32,
    /// The last message's first text is still to come.
    fresh: bool,
    json: bool,
}

impl Tally {
    pub(super) fn new(reading: Reading) -> Self {
        Self {
            features: Features::default(),
            counter: Counter::new(),
            hash: (reading == Reading::Whole).then(Sha256::new),
            texts: 0,
            system: String::new(),
            user: String::new(),
            leading: true,
            asked: 0,
            fresh: true,
            json: false,
        }
    }

    pub(super) fn counter(&mut self) -> &mut Counter {
        &mut self.counter
    }

    /// A message begins.
    pub(super) fn message(&mut self, speaker: Speaker) {
        self.features.messages = self.features.messages.saturating_add(1);
        self.features.tokens += MESSAGE;
        if self.leading && speaker != Speaker::System {
            // What the system says goes before all conversations that it is the same for.
            self.mark();
            self.leading = false;
        }
        if self.asked == 1 {
            self.mark();
        }
        self.asked = self.asked.saturating_add(u32::from(speaker == Speaker::User || self.asked > 0));
        self.fresh = true;
    }

    /// Names what has been said so far as what stays the same, unless something shorter has that name.
    fn mark(&mut self) {
        if let Some(hash) = &self.hash
            && self.features.prefix == 0
            && self.features.tokens >= CACHED
        {
            self.features.prefix = first_half(hash).max(1);
        }
    }

    /// All messages have been seen.
    pub(super) fn primed(&mut self) {
        self.features.tokens += PRIMING;
    }

    pub(super) fn name(&mut self, name: &str) {
        self.features.tokens += NAME + self.counter.count(name);
    }

    pub(super) fn tools(&mut self, count: u32, tokens: u64) {
        self.features.tools = self.features.tools.saturating_add(count);
        self.features.tokens += tokens;
        if count > 0 {
            self.need(Capability::Tools);
        }
    }

    pub(super) fn image(&mut self) {
        self.features.images = self.features.images.saturating_add(1);
        self.need(Capability::Images);
    }

    pub(super) fn need(&mut self, capability: Capability) {
        self.features.needs = self.features.needs.with(capability);
    }

    /// The form of the answer.
    pub(super) fn form(&mut self, json: bool) {
        self.json = json;
        if json {
            self.need(Capability::Json);
        }
    }

    /// Tokens that the caller has made.
    pub(super) fn made_tokens(&mut self, count: u64) {
        self.features.tokens += count;
    }

    /// Somebody says something.
    pub(super) fn text(&mut self, speaker: Speaker, text: &str) {
        self.features.chars += text.chars().count() as u64;
        self.features.tokens += self.counter.count(text);
        if let Some(hash) = &mut self.hash {
            if self.texts > 0 {
                // Between texts alone: the hash of one text is its own.
                hash.update(b"\x1e");
            }
            hash.update(text.as_bytes());
        }
        self.texts += 1;
        self.features.code |= code::is_fenced(text);
        match speaker {
            Speaker::System if self.system.is_empty() => self.system.push_str(head(text)),
            Speaker::User => {
                if std::mem::take(&mut self.fresh) {
                    self.user.clear();
                }
                let room = HEAD.saturating_sub(self.user.len());
                if room > 0 {
                    self.user.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
                    self.user.push('\n');
                }
            }
            Speaker::System | Speaker::Other => {}
        }
    }

    /// What all of it amounts to.
    pub(super) fn finish(mut self) -> Features {
        // A conversation of one message ends before another could mark it.
        if self.asked == 1 {
            self.mark();
        }
        let said = if self.user.is_empty() { &self.system } else { &self.user };
        self.features.code |= code::is_code(said);
        self.features.language = language::of(said);
        self.features.prompt_hash = self.hash.as_ref().filter(|_| self.texts > 0).map_or(0, first_half);
        let form = kind::Form { code: self.features.code, json: self.json };
        let kind = kind::asked(&self.user, form).or_else(|| kind::instructed(&self.system));
        self.features.kind = kind.unwrap_or(match form {
            kind::Form { json: true, .. } => TaskKind::Structure,
            kind::Form { code: true, .. } => TaskKind::Code,
            kind::Form { .. } => TaskKind::Chat,
        });
        self.features
    }
}

/// The first eight bytes of the hash of what has been said so far.
fn first_half(hash: &Sha256) -> u64 {
    let whole = hash.clone().finalize();
    whole.first_chunk::<8>().map_or(0, |half| u64::from_be_bytes(*half))
}

fn head(text: &str) -> &str {
    text.get(..text.floor_char_boundary(HEAD)).unwrap_or(text)
}
