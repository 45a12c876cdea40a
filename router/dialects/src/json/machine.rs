//! Reading the members of one top-level object that arrives in pieces.
//!
//! One pass, no tree. A token that lies whole in one piece is looked at where it is; only keys,
//! scalars and wanted values that straddle pieces are gathered in a small buffer.

use std::ops::Range;

use super::skip::{Nested, Quoted, skip_space};
use super::text;
use super::view::is_delimiter;
use crate::scan::{ScanError, ScanErrorKind};

/// Who wants to know about members.
pub(crate) trait Sink {
    /// Names the members that this sink wants.
    type Name: Copy;

    /// The name for a key, given with its quotes and escapes; `None` where it is not wanted.
    fn wants(&self, key: &[u8]) -> Option<Self::Name>;

    /// Takes the value of a wanted member: where it stands in the whole body, and its bytes.
    fn member(&mut self, name: Self::Name, value: Range<usize>, raw: &[u8]) -> Result<(), ScanError>;

    /// The opening brace ends at this offset.
    fn open(&mut self, _: usize) {}

    /// The object has no member.
    fn empty(&mut self) {}
}

/// The longest key that is compared with names, in raw bytes: the longest known name
/// (`max_completion_tokens`) with every character written as `\uXXXX`, with its quotes, and room.
const KEY_CAP: usize = 160;

#[derive(Debug, Clone, Copy)]
enum State {
    /// In front of the object.
    Start,
    /// Behind the opening brace.
    First,
    /// Behind a comma.
    Next,
    Key(Quoted),
    Colon,
    /// In front of a value.
    Value,
    Text(Quoted),
    Nest(Nested),
    Scalar,
    /// Behind a value.
    Behind,
    /// Behind the object.
    End,
}

impl State {
    const fn is_token(self) -> bool {
        matches!(self, Self::Key(_) | Self::Text(_) | Self::Nest(_) | Self::Scalar)
    }
}

/// The reader. Push the pieces in order, then finish.
pub(crate) struct Machine<S: Sink> {
    sink: S,
    state: State,
    /// Offset of the current piece in the body.
    base: usize,
    /// Offset in the body where the current key or value starts.
    token: usize,
    /// The part of the current token that lay in earlier pieces.
    gathered: Vec<u8>,
    wanted: Option<S::Name>,
    failed: Option<ScanError>,
}

impl<S: Sink> Machine<S> {
    pub(crate) fn new(sink: S) -> Self {
        Self { sink, state: State::Start, base: 0, token: 0, gathered: Vec::new(), wanted: None, failed: None }
    }

    /// Reads one piece. After an error nothing more is read; [`Machine::finish`] tells it.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let mut at = 0;
        while at < piece.len() {
            match self.step(piece, at) {
                Ok(next) => at = next,
                Err(error) => {
                    self.failed = Some(error);
                    return;
                }
            }
        }
        let is_kept = match self.state {
            State::Key(_) | State::Scalar => true,
            State::Text(_) | State::Nest(_) => self.wanted.is_some(),
            _ => false,
        };
        if is_kept && self.token + 1 == self.base + piece.len() {
            // The token's first byte is the piece's last: nothing has looked at the token yet.
            self.gather(piece);
        }
        self.base += piece.len();
    }

    /// The body has ended.
    pub(crate) fn finish(self) -> Result<S, ScanError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let expected = match self.state {
            State::End => return Ok(self.sink),
            State::Start => "`{`",
            State::First => "a key or `}`",
            State::Next => "a key",
            State::Key(_) | State::Text(_) => "the end of a string",
            State::Colon => "`:`",
            State::Value => "a value",
            State::Nest(_) => "the end of a nested value",
            State::Scalar | State::Behind => "`,` or `}`",
        };
        Err(ScanError { kind: ScanErrorKind::Unexpected { found: None, expected }, at: self.base })
    }

    #[cfg(test)]
    pub(crate) fn gathered_capacity(&self) -> usize {
        self.gathered.capacity()
    }

    fn step(&mut self, piece: &[u8], at: usize) -> Result<usize, ScanError> {
        match self.state {
            State::Key(quoted) => self.key(piece, at, quoted),
            State::Text(mut quoted) => {
                let end = quoted.skip(piece, at);
                self.value(piece, end, State::Text(quoted))
            }
            State::Nest(mut nested) => {
                let end = nested.skip(piece, at);
                self.value(piece, end, State::Nest(nested))
            }
            State::Scalar => self.scalar(piece, at),
            _ => {
                let at = skip_space(piece, at);
                match piece.get(at) {
                    Some(byte) => self.punctuation(*byte, at),
                    None => Ok(at),
                }
            }
        }
    }

    /// Reads the byte between tokens, or the first of a token.
    fn punctuation(&mut self, byte: u8, at: usize) -> Result<usize, ScanError> {
        let next = match (self.state, byte) {
            (State::Start, b'{') => {
                self.sink.open(self.base + at + 1);
                State::First
            }
            (State::First, b'}') => {
                self.sink.empty();
                State::End
            }
            (State::First | State::Next, b'"') => State::Key(Quoted::default()),
            (State::Colon, b':') => State::Value,
            (State::Value, b'"') => State::Text(Quoted::default()),
            (State::Value, b'{' | b'[') => State::Nest(Nested::new()),
            (State::Value, b'-' | b'0'..=b'9' | b'a'..=b'z') => State::Scalar,
            (State::Behind, b',') => State::Next,
            (State::Behind, b'}') => State::End,
            (state, _) => return Err(self.unexpected(byte, at, expected(state))),
        };
        if next.is_token() {
            self.token = self.base + at;
        }
        self.state = next;
        Ok(at + 1)
    }

    fn key(&mut self, piece: &[u8], at: usize, mut quoted: Quoted) -> Result<usize, ScanError> {
        let Some(end) = quoted.skip(piece, at) else {
            if self.gathered.len() <= KEY_CAP {
                self.gather(piece);
            }
            self.state = State::Key(quoted);
            return Ok(piece.len());
        };
        let (sink, token) = (&self.sink, self.token);
        let len = self.base + end - token;
        self.wanted = match whole(&mut self.gathered, self.base, token, piece, end) {
            key if len <= KEY_CAP => sink.wants(key),
            _ => None,
        };
        self.gathered.clear();
        self.state = State::Colon;
        Ok(end)
    }

    /// Takes the value that ends at `end`, or goes on in the next piece with `state`.
    fn value(&mut self, piece: &[u8], end: Option<usize>, state: State) -> Result<usize, ScanError> {
        let Some(end) = end else {
            if self.wanted.is_some() {
                self.gather(piece);
            }
            self.state = state;
            return Ok(piece.len());
        };
        if let Some(name) = self.wanted.take() {
            let raw = whole(&mut self.gathered, self.base, self.token, piece, end);
            self.sink.member(name, self.token..self.base + end, raw)?;
        }
        self.gathered.clear();
        self.state = State::Behind;
        Ok(end)
    }

    fn scalar(&mut self, piece: &[u8], at: usize) -> Result<usize, ScanError> {
        let rest = piece.get(at..).unwrap_or_default();
        let Some(len) = rest.iter().position(|byte| is_delimiter(*byte)) else {
            self.gather(piece);
            return Ok(piece.len());
        };
        let end = at + len;
        let raw = whole(&mut self.gathered, self.base, self.token, piece, end);
        if !text::is_scalar(raw) {
            let kind =
                ScanErrorKind::Unexpected { found: raw.first().copied(), expected: "a number, true, false or null" };
            return Err(ScanError { kind, at: self.token });
        }
        if let Some(name) = self.wanted.take() {
            self.sink.member(name, self.token..self.base + end, raw)?;
        }
        self.gathered.clear();
        self.state = State::Behind;
        Ok(end)
    }

    /// Keeps the part of the current token that lies in this piece.
    fn gather(&mut self, piece: &[u8]) {
        let from = self.token.saturating_sub(self.base);
        self.gathered.extend_from_slice(piece.get(from..).unwrap_or_default());
    }

    fn unexpected(&self, found: u8, at: usize, expected: &'static str) -> ScanError {
        ScanError { kind: ScanErrorKind::Unexpected { found: Some(found), expected }, at: self.base + at }
    }
}

/// What may stand in front of the next token.
const fn expected(state: State) -> &'static str {
    match state {
        State::Start => "`{`: the body must be a JSON object",
        State::First => "a key or `}`",
        State::Next => "a key",
        State::Colon => "`:`",
        State::Value => "a value",
        State::Behind => "`,` or `}`",
        _ => "nothing behind the end of the object",
    }
}

/// The bytes of the token that ends at `end` of this piece.
fn whole<'a>(gathered: &'a mut Vec<u8>, base: usize, token: usize, piece: &'a [u8], end: usize) -> &'a [u8] {
    let from = token.saturating_sub(base);
    let here = piece.get(from..end).unwrap_or_default();
    if token >= base {
        return here;
    }
    gathered.extend_from_slice(here);
    gathered
}
