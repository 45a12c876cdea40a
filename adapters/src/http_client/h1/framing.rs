//! Where a body ends, and which of the wire's bytes are the body's (RFC 9112, 6 and 7.1).

use bytes::{Buf, Bytes, BytesMut};

use super::wire::BURST;

/// The longest extension of a chunk's size, and the longest trailer section, in bytes. Nobody sends any;
/// without a bound one could be sent for ever.
const LONGEST_EXTRA: u32 = 16 * 1024;

/// How the body of an answer is told from what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Framing(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// So many bytes are left.
    Length(u64),
    /// Chunks, each with its size before it.
    Chunked(Chunks),
    /// All that comes.
    UntilClose,
}

/// Where in the chunks the wire is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Chunks {
    /// In a size, of which so many digits have been read.
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind a size, in what may stand there: so many bytes of it have been passed over.
    Extension {
        size: u64,
        extra: u32,
    },
    /// Between the two bytes of the line's end.
    SizeEnd {
        size: u64,
    },
    /// In a chunk, of which so many bytes are left.
    Data {
        left: u64,
    },
    /// At the line's end behind a chunk: at its first byte, at its second.
    DataEnd {
        first: bool,
    },
    /// At the beginning of a trailer's line, or of the last, empty one.
    TrailerStart {
        extra: u32,
    },
    /// In a trailer.
    Trailer {
        extra: u32,
    },
    /// Between the two bytes of the end of a trailer's line.
    TrailerEnd {
        extra: u32,
    },
    /// Between the two bytes of the end of all.
    LastEnd,
    Done,
}

impl Framing {
    /// A body of so many bytes.
    pub(super) fn length(length: u64) -> Self {
        Self(Kind::Length(length))
    }

    /// A body in chunks.
    pub(super) fn chunked() -> Self {
        Self(Kind::Chunked(Chunks::Size { size: 0, digits: 0 }))
    }

    /// A body that ends with its connection.
    pub(super) fn until_close() -> Self {
        Self(Kind::UntilClose)
    }

    /// Whether the body has come to its end.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.0, Kind::Length(0) | Kind::Chunked(Chunks::Done))
    }

    /// Whether the end of the connection is the end of the body.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.0 == Kind::UntilClose
    }

    /// The bytes that are left, where they are known to be many and nothing else is between them.
    pub(super) fn large(&self) -> Option<u64> {
        match self.0 {
            Kind::Length(left) if left > BURST as u64 => Some(left),
            _ => None,
        }
    }

    /// Takes the body's bytes out of `wire`, all that are there; what follows the body is left. One run of
    /// them shares the wire's memory, several are copied into one piece, because every piece costs a chunk
    /// of its own on the way out.
    ///
    /// # Errors
    /// What is wrong with the wire, for the log.
    pub(super) fn take(&mut self, wire: &mut Bytes) -> Result<Bytes, &'static str> {
        match &mut self.0 {
            Kind::UntilClose => Ok(std::mem::take(wire)),
            Kind::Length(left) => {
                let count = wire.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                Ok(wire.split_to(count))
            }
            Kind::Chunked(chunks) => chunks.take(wire),
        }
    }
}

impl Chunks {
    fn take(&mut self, wire: &mut Bytes) -> Result<Bytes, &'static str> {
        let mut gathered = Gathered::Nothing;
        while !wire.is_empty() && *self != Self::Done {
            if let Self::Data { left } = self {
                let count = wire.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                gathered.push(wire.split_to(count), wire.len());
                if *left == 0 {
                    *self = Self::DataEnd { first: true };
                }
                continue;
            }
            let byte = wire.get_u8();
            *self = self.step(byte)?;
        }
        Ok(gathered.into_bytes())
    }

    /// The state behind one byte that is not the body's.
    fn step(&self, byte: u8) -> Result<Self, &'static str> {
        Ok(match (self, byte) {
            (Self::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if *digits < 16 => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Self::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { size, digits: 1.. } | Self::Extension { size, .. }, b'\r') => Self::SizeEnd { size: *size },
            (Self::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => Self::Extension { size: *size, extra: 1 },
            (Self::Size { .. }, _) => return Err("a chunk's size is not a number of at most 16 digits"),
            (Self::Extension { .. }, b'\n') => return Err("a line of a chunk's size ends without its first half"),
            (Self::Extension { size, extra }, _) => Self::Extension { size: *size, extra: more(*extra)? },
            (Self::SizeEnd { size: 0 }, b'\n') => Self::TrailerStart { extra: 0 },
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: *size },
            (Self::DataEnd { first: true }, b'\r') => Self::DataEnd { first: false },
            (Self::DataEnd { first: false }, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::DataEnd { .. }, _) => return Err("a chunk is longer than its size says"),
            (Self::TrailerStart { .. }, b'\r') => Self::LastEnd,
            (Self::TrailerStart { extra } | Self::Trailer { extra }, b'\n') => {
                let _ = extra;
                return Err("a trailer's line ends without its first half");
            }
            (Self::Trailer { extra }, b'\r') => Self::TrailerEnd { extra: *extra },
            (Self::TrailerStart { extra } | Self::Trailer { extra }, _) => Self::Trailer { extra: more(*extra)? },
            (Self::TrailerEnd { extra }, b'\n') => Self::TrailerStart { extra: *extra },
            (Self::LastEnd, b'\n') => Self::Done,
            (Self::SizeEnd { .. } | Self::TrailerEnd { .. } | Self::LastEnd, _) => {
                return Err("a line among the chunks ends without its second half");
            }
            // Data is taken by the run, and behind the end nothing is looked at.
            (Self::Data { .. } | Self::Done, _) => return Err("a byte where none belongs"),
        })
    }
}

fn more(extra: u32) -> Result<u32, &'static str> {
    if extra < LONGEST_EXTRA { Ok(extra + 1) } else { Err("chunk extensions or trailers are longer than 16 KiB") }
}

/// Runs of the body that arrived together.
enum Gathered {
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Gathered {
    /// Adds a run; at most `more` bytes of others follow it.
    fn push(&mut self, run: Bytes, more: usize) {
        match self {
            Self::Nothing => *self = Self::One(run),
            Self::One(first) => {
                let mut many = BytesMut::with_capacity(first.len() + run.len() + more);
                many.extend_from_slice(first);
                many.extend_from_slice(&run);
                *self = Self::Many(many);
            }
            Self::Many(many) => many.extend_from_slice(&run),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(run) => run,
            Self::Many(many) => many.freeze(),
        }
    }
}

#[cfg(test)]
mod tests;
