//! Walking the members of an object and the elements of an array that lie whole in one slice.

use std::ops::Range;

use super::skip::{Nested, Quoted, is_space, skip_space};
use super::text;

/// The slice is not the JSON that was expected; nothing more can be read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One member of an object.
#[derive(Debug, Clone)]
pub(crate) struct Member<'a> {
    /// The key with its quotes.
    pub(crate) key: &'a [u8],
    /// The value, without surrounding white space.
    pub(crate) raw: &'a [u8],
    /// Where the value stands in the slice.
    pub(crate) value: Range<usize>,
}

impl Member<'_> {
    /// Whether the key is `name`, which holds no quote and no backslash.
    pub(crate) fn is(&self, name: &str) -> bool {
        text::is_text(self.key, name)
    }
}

/// The members of an object, in order. After an error there is nothing more.
pub(crate) struct Members<'a>(Items<'a>);

/// The members of `bytes`, which may start with white space; what stands behind the object is not
/// looked at.
pub(crate) fn members(bytes: &[u8]) -> Members<'_> {
    Members(Items::new(bytes, b'{', b'}'))
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.0.start()?;
        let member = start.and_then(|start| self.member(start));
        self.0.settle(member)
    }
}

impl<'a> Members<'a> {
    fn member(&mut self, start: usize) -> Result<Member<'a>, Malformed> {
        let bytes = self.0.bytes;
        if bytes.get(start) != Some(&b'"') {
            return Err(Malformed);
        }
        let key_end = Quoted::default().skip(bytes, start + 1).ok_or(Malformed)?;
        let colon = skip_space(bytes, key_end);
        if bytes.get(colon) != Some(&b':') {
            return Err(Malformed);
        }
        let value = self.0.value(skip_space(bytes, colon + 1))?;
        let key = bytes.get(start..key_end).ok_or(Malformed)?;
        let raw = bytes.get(value.clone()).ok_or(Malformed)?;
        Ok(Member { key, raw, value })
    }
}

/// The elements of an array, in order. After an error there is nothing more.
pub(crate) struct Elements<'a>(Items<'a>);

/// The elements of `bytes`, which may start with white space.
pub(crate) fn elements(bytes: &[u8]) -> Elements<'_> {
    Elements(Items::new(bytes, b'[', b']'))
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.0.start()?;
        let element = start.and_then(|start| self.0.value(start));
        let element = element.and_then(|value| self.0.bytes.get(value).ok_or(Malformed));
        self.0.settle(element)
    }
}

/// Where the elements of `bytes` stand, which may start with white space; in order. After an error there is nothing
/// more.
pub(crate) fn places(bytes: &[u8]) -> impl Iterator<Item = Result<Range<usize>, Malformed>> + '_ {
    let mut items = Items::new(bytes, b'[', b']');
    std::iter::from_fn(move || {
        let place = items.start()?.and_then(|start| items.value(start));
        items.settle(place)
    })
}

/// What both walks share: the brackets and the commas.
struct Items<'a> {
    bytes: &'a [u8],
    at: usize,
    close: u8,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// In front of the opening bracket, which this byte is.
    Open(u8),
    /// Behind an item.
    Behind,
    Done,
}

impl<'a> Items<'a> {
    const fn new(bytes: &'a [u8], open: u8, close: u8) -> Self {
        Self { bytes, at: 0, close, state: State::Open(open) }
    }

    /// Where the next item starts; `None` at the end.
    fn start(&mut self) -> Option<Result<usize, Malformed>> {
        let mut at = skip_space(self.bytes, self.at);
        let wanted = match self.state {
            State::Done => return None,
            State::Open(open) => open,
            State::Behind if self.bytes.get(at) == Some(&self.close) => return self.end(),
            State::Behind => b',',
        };
        if self.bytes.get(at) != Some(&wanted) {
            return Some(Err(Malformed));
        }
        at = skip_space(self.bytes, at + 1);
        if self.state != State::Behind && self.bytes.get(at) == Some(&self.close) {
            return self.end();
        }
        self.state = State::Behind;
        Some(Ok(at))
    }

    fn end<T>(&mut self) -> Option<T> {
        self.state = State::Done;
        None
    }

    /// The value that starts at `start`.
    fn value(&mut self, start: usize) -> Result<Range<usize>, Malformed> {
        let end = value_end(self.bytes, start).ok_or(Malformed)?;
        self.at = end;
        Ok(start..end)
    }

    fn settle<T>(&mut self, item: Result<T, Malformed>) -> Option<Result<T, Malformed>> {
        if item.is_err() {
            self.state = State::Done;
        }
        Some(item)
    }
}

/// The offset just behind the value that starts at `start`.
fn value_end(bytes: &[u8], start: usize) -> Option<usize> {
    match bytes.get(start)? {
        b'"' => Quoted::default().skip(bytes, start + 1),
        b'{' | b'[' => Nested::new().skip(bytes, start + 1),
        _ => {
            let rest = bytes.get(start..)?;
            let len = rest.iter().position(|byte| is_delimiter(*byte)).unwrap_or(rest.len());
            (len > 0).then_some(start + len)
        }
    }
}

/// Whether `byte` ends a number or a literal name.
pub(crate) const fn is_delimiter(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b',' | b'}' | b']' | b':' | b'"' | b'{' | b'[')
}
