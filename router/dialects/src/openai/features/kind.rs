//! The kind of work, by how a message begins.
//!
//! Only the first words count, and only where they stand: after greetings and politeness the word that says
//! what is to be done, and behind words that say little (*write*, *give*) the thing that is to be made. A
//! text about translation is no request to translate. English, German, French, Spanish.

mod lexicon;

use atp_core::TaskKind;

use self::lexicon::{Sense, sense};

/// So many words of politeness are passed over.
const POLITE: u32 = 10;
/// So many words behind one that says little are looked at.
const AHEAD: u32 = 8;
/// So many words of a system's text say who the model is to be.
const WHO: u32 = 14;

/// What the form of a request tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// It holds code.
    pub(super) code: bool,
    /// The answer is to be JSON.
    pub(super) json: bool,
}

/// What a user's message asks for; `None` where its beginning does not tell.
pub(super) fn asked(text: &str, form: Form) -> Option<TaskKind> {
    let mut state = State::Polite(0);
    let mut found = None;
    words(text, |word| {
        let next = step(state, sense(word), form);
        match next {
            Next::Go(next) => state = next,
            Next::Found(kind) => found = Some(kind),
            Next::Nothing => {}
        }
        matches!(next, Next::Go(_))
    });
    // "Fix this:" and then code.
    match (found, state) {
        (None, State::Ahead { mends: true, .. }) if form.code => Some(TaskKind::Code),
        _ => found,
    }
}

/// What a system's text makes of the model; `None` where its beginning does not tell.
pub(super) fn instructed(text: &str) -> Option<TaskKind> {
    let (mut found, mut left) = (None, WHO);
    words(text, |word| {
        found = match sense(word) {
            Sense::Does(kind) | Sense::Who(kind) => Some(kind),
            _ => None,
        };
        left -= 1;
        found.is_none() && left > 0
    });
    found
}

#[derive(Clone, Copy)]
enum State {
    /// So many words of politeness have been passed.
    Polite(u32),
    /// Behind a word that says little, so many words ago; whether it was one that mends what is there.
    Ahead { passed: u32, mends: bool },
    /// Behind "how" or its like.
    How,
}

enum Next {
    Go(State),
    Found(TaskKind),
    Nothing,
}

fn step(state: State, sense: Sense, form: Form) -> Next {
    match (state, sense) {
        (State::Polite(_), Sense::Does(kind)) => Next::Found(kind),
        (State::Polite(_), Sense::Makes) => Next::Go(State::Ahead { passed: 0, mends: false }),
        (State::Polite(_), Sense::Mends) => Next::Go(State::Ahead { passed: 0, mends: true }),
        (State::Polite(_), Sense::How) => Next::Go(State::How),
        (State::Polite(passed), Sense::Polite) if passed < POLITE => Next::Go(State::Polite(passed + 1)),
        (State::How, Sense::Many) => Next::Found(TaskKind::Reason),
        // "Check the table" makes none.
        (State::Ahead { mends, .. }, Sense::Thing(kind)) if !(mends && kind == TaskKind::Structure) => {
            Next::Found(kind)
        }
        // "Give a summary", but not "write to whoever can translate".
        (State::Ahead { passed, mends }, _) if passed < AHEAD => Next::Go(State::Ahead { passed: passed + 1, mends }),
        (State::Ahead { mends: true, .. }, _) if form.code => Next::Found(TaskKind::Code),
        _ => Next::Nothing,
    }
}

/// Calls `each` with the words of a text in lower case, as long as it wants more.
pub(super) fn words(text: &str, mut each: impl FnMut(&str) -> bool) {
    let mut buffer = String::with_capacity(32);
    for word in text.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty()) {
        buffer.clear();
        if word.is_ascii() {
            buffer.push_str(word);
            buffer.make_ascii_lowercase();
        } else {
            buffer.extend(word.chars().flat_map(char::to_lowercase));
        }
        if !each(&buffer) {
            return;
        }
    }
}
