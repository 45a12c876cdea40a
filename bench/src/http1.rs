//! The little of HTTP/1.1 that both far sides of a gateway need: heads, framing, chunks.
//!
//! Hand-written because the measuring end must cost much less than what it measures. It accepts
//! what well-behaved peers send and says clearly when something else arrives; it is no general
//! parser and faces no open network.

use memchr::{memchr, memmem};

/// Longest head that is read, in bytes, before the peer is told off.
pub const MAX_HEAD: usize = 64 * 1024;

/// Byte length of the head at the start of `buffer`, its blank line included, once it has arrived.
#[must_use]
pub fn head_length(buffer: &[u8]) -> Option<usize> {
    memmem::find(buffer, b"\r\n\r\n").map(|at| at + 4)
}

/// The first line of a head, without its line end.
#[must_use]
pub fn first_line(head: &[u8]) -> &[u8] {
    split_line(head).0
}

/// The header fields of a head in order: name as sent, value without surrounding white space.
pub fn fields(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    field_lines(split_line(head).1)
}

/// The fields of the lines up to the first that is none.
fn field_lines(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (line, tail) = split_line(rest);
        rest = tail;
        let colon = memchr(b':', line)?;
        let (name, value) = line.split_at_checked(colon)?;
        Some((name, value.get(1..)?.trim_ascii()))
    })
}

fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let Some(end) = memchr(b'\n', text) else { return (text, &[]) };
    let (line, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    (line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or(&[]))
}

/// How the length of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `content-length`, in bytes. A message that names no length has zero here.
    Length(u64),
    /// `transfer-encoding: chunked`.
    Chunked,
    /// Neither: an answer lasts until its connection closes.
    Unsaid,
}

/// What of a head decides how the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How the body's length is told.
    pub framing: Framing,
    /// The peer said `connection: close`.
    pub close: bool,
    /// The peer waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

impl Shape {
    /// Reads the framing fields of a head.
    ///
    /// # Errors
    /// A `content-length` that is no number, as text.
    pub fn of(head: &[u8]) -> Result<Self, String> {
        let mut shape = Self { framing: Framing::Unsaid, close: false, expects_continue: false };
        for (name, value) in fields(head) {
            // Lengths first: comparing a length is cheaper than comparing letters.
            match name.len() {
                14 if name.eq_ignore_ascii_case(b"content-length") && shape.framing != Framing::Chunked => {
                    shape.framing = Framing::Length(decimal(value)?);
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => shape.framing = Framing::Chunked,
                10 if name.eq_ignore_ascii_case(b"connection") => shape.close = value.eq_ignore_ascii_case(b"close"),
                6 if name.eq_ignore_ascii_case(b"expect") => shape.expects_continue = true,
                _ => {}
            }
        }
        Ok(shape)
    }
}

fn decimal(value: &[u8]) -> Result<u64, String> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("content-length `{}` is no number", String::from_utf8_lossy(value)))
}

/// Takes the payload out of a chunked body, cut at any byte.
#[derive(Debug, Default)]
pub struct ChunkDecoder {
    state: ChunkState,
    left: u64,
    /// The trailer section as far as it has come, without its blank line.
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    /// In the hexadecimal size.
    #[default]
    Size,
    /// After the size, up to the line's end.
    SizeEnd,
    Payload,
    /// The line end after a payload.
    PayloadEnd,
    /// At the start of a trailer line; an empty one ends the body.
    TrailerStart,
    Trailer,
    Done,
}

impl ChunkDecoder {
    /// Reads `input`, hands each piece of payload to `sink`, and returns how many bytes belonged to
    /// this body. Fewer than all means that the body has ended.
    ///
    /// # Errors
    /// Text that says which byte cannot stand in a chunk size, or that the trailer section is longer
    /// than [`MAX_HEAD`].
    pub fn feed<'a>(&mut self, input: &'a [u8], mut sink: impl FnMut(&'a [u8])) -> Result<usize, String> {
        let mut rest = input;
        while let Some((&byte, tail)) = rest.split_first() {
            match self.state {
                ChunkState::Done => break,
                ChunkState::Payload => {
                    let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                    let (payload, after) = rest.split_at_checked(take).unwrap_or((rest, &[]));
                    sink(payload);
                    self.left -= take as u64;
                    rest = after;
                    if self.left == 0 {
                        self.state = ChunkState::PayloadEnd;
                    }
                }
                _ => {
                    self.step(byte)?;
                    rest = tail;
                }
            }
        }
        Ok(input.len() - rest.len())
    }

    /// Whether the last chunk and the trailer have been read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == ChunkState::Done
    }

    /// The trailer fields in order, as [`fields`] tells those of a head; none before the body is done.
    pub fn trailers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        field_lines(if self.is_done() { &self.trailers } else { &[] })
    }

    fn step(&mut self, byte: u8) -> Result<(), String> {
        // The blank line of a body without trailers is not kept: most bodies are such ones.
        if self.state == ChunkState::Trailer
            || (self.state == ChunkState::TrailerStart && !matches!(byte, b'\r' | b'\n'))
        {
            if self.trailers.len() >= MAX_HEAD {
                return Err(format!("a trailer section over {MAX_HEAD} bytes"));
            }
            self.trailers.push(byte);
        }
        self.state = match (self.state, byte) {
            (ChunkState::Size | ChunkState::SizeEnd, b'\n') if self.left == 0 => ChunkState::TrailerStart,
            (ChunkState::Size | ChunkState::SizeEnd, b'\n') => ChunkState::Payload,
            (ChunkState::Size, b'\r' | b';' | b' ') => ChunkState::SizeEnd,
            (ChunkState::Size, digit) => {
                let value =
                    char::from(digit).to_digit(16).ok_or_else(|| format!("byte {digit:#04x} in a chunk size"))?;
                self.left = self.left.checked_mul(16).ok_or("chunk size over 64 bits")? + u64::from(value);
                ChunkState::Size
            }
            (ChunkState::PayloadEnd, b'\n') => ChunkState::Size,
            (ChunkState::TrailerStart, b'\n') => ChunkState::Done,
            (ChunkState::TrailerStart, b'\r') => ChunkState::TrailerStart,
            (ChunkState::Trailer, b'\n') => ChunkState::TrailerStart,
            (ChunkState::TrailerStart | ChunkState::Trailer, _) => ChunkState::Trailer,
            (state, _) => state,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8], cut: usize) -> (Vec<u8>, usize, bool) {
        let mut decoder = ChunkDecoder::default();
        let mut out = Vec::new();
        let mut used = 0;
        for piece in input.chunks(cut) {
            used += decoder.feed(piece, |payload| out.extend_from_slice(payload)).expect("legal chunks");
        }
        (out, used, decoder.is_done())
    }

    #[test]
    fn chunks_cut_anywhere_give_the_same_payload() {
        let input = b"5\r\nhello\r\n1A;ext=1\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nx-t: 1\r\n\r\n";
        for cut in 1..=input.len() {
            let (out, used, done) = decode(input, cut);
            assert_eq!(out, b"helloabcdefghijklmnopqrstuvwxyz");
            assert_eq!((used, done), (input.len(), true), "cut every {cut} bytes");
        }
    }

    #[test]
    fn trailers_cut_anywhere_are_the_same() {
        let input = b"5\r\nhello\r\n0\r\nx-cost: 0.5\r\nX-Other:\tb: c \r\n\r\nHTTP/1.1 200 OK\r\n";
        let expected = [(&b"x-cost"[..], &b"0.5"[..]), (b"X-Other", b"b: c")];
        for cut in 1..=input.len() {
            let mut decoder = ChunkDecoder::default();
            let mut seen_early = false;
            for piece in input.chunks(cut) {
                decoder.feed(piece, |_| {}).expect("legal chunks");
                seen_early |= !decoder.is_done() && decoder.trailers().next().is_some();
            }
            assert!(decoder.is_done() && !seen_early, "cut every {cut} bytes");
            assert_eq!(decoder.trailers().collect::<Vec<_>>(), expected, "cut every {cut} bytes");
        }
    }

    #[test]
    fn a_body_without_trailers_has_none_and_an_endless_section_is_refused() {
        let mut decoder = ChunkDecoder::default();
        decoder.feed(b"1\r\nx\r\n0\r\n\r\n", |_| {}).expect("legal chunks");
        assert!(decoder.is_done() && decoder.trailers().next().is_none());
        let mut decoder = ChunkDecoder::default();
        decoder.feed(b"0\r\nx: ", |_| {}).expect("legal chunks");
        let error = decoder.feed(&vec![b'a'; MAX_HEAD], |_| {}).expect_err("no end");
        assert!(error.contains("trailer section over 65536 bytes"), "{error}");
    }

    #[test]
    fn bytes_after_the_last_chunk_are_left() {
        let (out, used, done) = decode(b"1\r\nx\r\n0\r\n\r\nHTTP/1.1 200", 1000);
        assert_eq!((out.as_slice(), used, done), (&b"x"[..], 11, true));
    }

    #[test]
    fn a_wrong_size_is_named() {
        let error = ChunkDecoder::default().feed(b"zz\r\n", |_| {}).expect_err("z is no digit");
        assert!(error.contains("0x7a"), "{error}");
    }

    #[test]
    fn fields_are_read_in_order() {
        let head = b"POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length:  12 \r\nConnection: close\r\n\r\n";
        let names: Vec<_> = fields(head).map(|(name, _)| name.to_vec()).collect();
        assert_eq!(names, [b"Host".to_vec(), b"Content-Length".to_vec(), b"Connection".to_vec()]);
        let shape = Shape::of(head).expect("legal head");
        assert_eq!(shape, Shape { framing: Framing::Length(12), close: true, expects_continue: false });
        assert_eq!(first_line(head), b"POST /v1 HTTP/1.1");
    }
}
