//! Request bodies: a rope of received pieces, or a stream that can be sent only once.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::error::Error;

/// A body as the pieces in which it arrived. Cloning and slicing share the memory.
#[derive(Clone, Default)]
pub struct Rope {
    parts: SmallVec<[Bytes; 2]>,
    len: usize,
}

impl Rope {
    /// An empty rope.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece at the end; an empty one is dropped.
    pub fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.len += part.len();
            self.parts.push(part);
        }
    }

    /// Bytes in all pieces together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, none of them empty.
    #[must_use]
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// Takes the pieces out.
    #[must_use]
    pub fn into_parts(self) -> SmallVec<[Bytes; 2]> {
        self.parts
    }

    /// Adds the bytes of `range` of this rope at the end of `out`, sharing memory. A range that
    /// reaches beyond the end is cut there.
    pub fn copy_range(&self, range: Range<usize>, out: &mut Rope) {
        let mut at = 0;
        for part in &self.parts {
            let start = range.start.clamp(at, at + part.len()) - at;
            let end = range.end.clamp(at, at + part.len()) - at;
            if start < end {
                out.push(part.slice(start..end));
            }
            at += part.len();
        }
    }

    /// The whole body in one piece: shared where there is only one, copied where there are more.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self.parts.as_slice() {
            [] => Bytes::new(),
            [only] => only.clone(),
            many => {
                let mut whole = BytesMut::with_capacity(self.len);
                for part in many {
                    whole.extend_from_slice(part);
                }
                whole.freeze()
            }
        }
    }
}

impl From<Bytes> for Rope {
    fn from(bytes: Bytes) -> Self {
        let mut rope = Self::new();
        rope.push(bytes);
        rope
    }
}

impl fmt::Debug for Rope {
    /// Sizes only: a body may hold what no log may hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rope({} bytes in {} parts)", self.len, self.parts.len())
    }
}

/// A body that is read while it is sent, such as an audio upload. `Sync`, because an exchange is lent
/// to adapters across awaits.
pub type StreamBody = Pin<Box<dyn http_body::Body<Data = Bytes, Error = Error> + Send + Sync>>;

/// What is sent to a provider.
pub enum Payload {
    /// Held in memory; can be sent again to another target.
    Rope(Rope),
    /// Sent once, as it arrives: no second try once the first has begun.
    Once {
        /// What has been read already, where the model's name stands.
        head: Rope,
        /// What is still to come.
        rest: StreamBody,
    },
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rope(rope) => rope.fmt(f),
            Self::Once { head, .. } => write!(f, "Once({} bytes and more)", head.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(parts: &[&'static str]) -> Rope {
        let mut rope = Rope::new();
        for part in parts {
            rope.push(Bytes::from_static(part.as_bytes()));
        }
        rope
    }

    #[test]
    fn a_range_across_pieces_is_the_range_of_the_whole() {
        let rope = rope(&["hel", "", "lo wor", "ld"]);
        let whole = rope.to_bytes();
        for start in 0..=whole.len() {
            for end in start..=whole.len() + 2 {
                let mut out = Rope::new();
                rope.copy_range(start..end, &mut out);
                assert_eq!(out.to_bytes(), whole.slice(start..end.min(whole.len())));
            }
        }
    }

    #[test]
    fn one_piece_is_shared_not_copied() {
        let bytes = Bytes::from(vec![1u8; 10]);
        assert_eq!(Rope::from(bytes.clone()).to_bytes().as_ptr(), bytes.as_ptr());
    }
}
