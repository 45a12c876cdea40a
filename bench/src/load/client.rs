//! One connection of the load generator: writes a request, reads its answer, notes the moments.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::plan::{Message, Streamed, Target};
use crate::http1::{self, ChunkDecoder, Framing, Shape};

/// Connections that one loopback source address may carry: a little under the ports it has.
const PER_SOURCE: usize = 20_000;
/// Room asked for before each read, in bytes.
const READ_ROOM: usize = 32 * 1024;

/// Why a request counts as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Connect(io::ErrorKind),
    Transport(io::ErrorKind),
    /// Closed before a byte of the answer.
    NoAnswer,
    /// Closed within the answer.
    Cut,
    Status(u16),
    Malformed(String),
    /// A stream that ended without `[DONE]`.
    NotDone,
    Timeout,
}

impl Failure {
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Connect(kind) => format!("connect: {kind}"),
            Self::Transport(kind) => format!("transport: {kind}"),
            Self::NoAnswer => "closed before the answer".to_owned(),
            Self::Cut => "closed within the answer".to_owned(),
            Self::Status(code) => format!("status {code}"),
            Self::Malformed(what) => format!("malformed: {what}"),
            Self::NotDone => "stream without [DONE]".to_owned(),
            Self::Timeout => "timeout".to_owned(),
        }
    }
}

/// What one answer showed. Reused between requests.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// When the first byte of the body arrived.
    pub(super) first: Option<Instant>,
    /// When the latest bytes of the body arrived.
    last: Option<Instant>,
    /// Nanoseconds between arrivals of a stream.
    pub(super) gaps: Vec<u64>,
    /// Events of a stream, `[DONE]` included.
    pub(super) events: u64,
    /// Bytes of the body.
    pub(super) bytes: u64,
    newline: Newline,
    /// The end of what arrived, long enough to hold `[DONE]` and line ends.
    tail: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Newline {
    Just,
    #[default]
    No,
}

/// Bytes at a stream's end that are looked at for `[DONE]`.
const TAIL: usize = 16;

impl Sample {
    fn clear(&mut self) {
        self.gaps.clear();
        self.tail.clear();
        (self.first, self.last, self.events, self.bytes, self.newline) = (None, None, 0, 0, Newline::No);
    }

    /// Bytes of the body arrived: one read, however many pieces it holds.
    fn arrived(&mut self, streamed: Streamed) {
        let now = Instant::now();
        if streamed == Streamed::Yes
            && let Some(last) = self.last
        {
            self.gaps.push(u64::try_from(now.duration_since(last).as_nanos()).unwrap_or(u64::MAX));
        }
        self.first = self.first.or(Some(now));
        self.last = Some(now);
    }

    fn take(&mut self, piece: &[u8], streamed: Streamed) {
        self.bytes += piece.len() as u64;
        if streamed == Streamed::No {
            return;
        }
        // An empty line ends an event; line ends may be cut from each other.
        let mut position = 0;
        for at in memchr::memchr_iter(b'\n', piece) {
            let empty_line = at == position && (at > 0 || self.newline == Newline::Just);
            if empty_line {
                self.events += 1;
            }
            position = at + 1;
        }
        if !piece.is_empty() {
            self.newline = if position == piece.len() { Newline::Just } else { Newline::No };
        }
        match piece.len().checked_sub(TAIL).and_then(|from| piece.get(from..)) {
            Some(end) => {
                self.tail.clear();
                self.tail.extend_from_slice(end);
            }
            None => {
                self.tail.extend_from_slice(piece);
                let excess = self.tail.len().saturating_sub(TAIL);
                self.tail.drain(..excess);
            }
        }
    }

    fn is_done(&self) -> bool {
        memchr::memmem::find(&self.tail, b"[DONE]").is_some()
    }
}

/// What ends reading early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// The whole answer.
    End,
    /// The first bytes of the body; the answer stays open.
    FirstBytes,
}

pub(super) struct Client {
    target: Arc<Target>,
    /// Which of the run's connections this is, to spread them over source addresses.
    index: usize,
    stream: Option<TcpStream>,
    buffer: BytesMut,
    pub(super) connects: u64,
}

impl Client {
    pub(super) fn new(target: Arc<Target>, index: usize) -> Self {
        Self { target, index, stream: None, buffer: BytesMut::new(), connects: 0 }
    }

    /// Sends a request and reads its answer. After a failure the next request gets a new connection.
    pub(super) async fn exchange(
        &mut self,
        message: &Message,
        sample: &mut Sample,
        until: Until,
    ) -> Result<(), Failure> {
        sample.clear();
        let mut stream = match self.stream.take().filter(is_open) {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        // A peer may refuse before it has read everything: its answer says more than our error.
        let sent = stream.write_all(&message.bytes).await;
        match self.read_answer(&mut stream, message.streamed, sample, until).await {
            Ok(Reuse::Yes) => {
                self.stream = Some(stream);
                Ok(())
            }
            Ok(Reuse::No) => Ok(()),
            Err(Answer::Status(code, reuse)) => {
                if reuse == Reuse::Yes && sent.is_ok() {
                    self.stream = Some(stream);
                }
                Err(Failure::Status(code))
            }
            Err(Answer::Failed(failure)) => Err(sent.err().map_or(failure, |error| Failure::Transport(error.kind()))),
        }
    }

    async fn connect(&mut self) -> Result<TcpStream, Failure> {
        self.buffer.clear();
        self.connects += 1;
        let connected = async {
            let socket = if self.target.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            let source = u8::try_from(self.index / PER_SOURCE + 1).unwrap_or(u8::MAX);
            if self.target.address.ip().is_loopback() && self.target.address.is_ipv4() && source > 1 {
                socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, source)), 0))?;
            }
            let stream = socket.connect(self.target.address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(stream)
        };
        connected.await.map_err(|error| Failure::Connect(error.kind()))
    }

    async fn read_answer(
        &mut self,
        stream: &mut TcpStream,
        streamed: Streamed,
        sample: &mut Sample,
        until: Until,
    ) -> Result<Reuse, Answer> {
        let length = loop {
            if let Some(length) = http1::head_length(&self.buffer) {
                break length;
            }
            if self.buffer.len() > http1::MAX_HEAD {
                return Err(malformed("head over 64 KiB"));
            }
            if self.fill(stream).await? == 0 {
                let failure = if self.buffer.is_empty() { Failure::NoAnswer } else { Failure::Cut };
                return Err(Answer::Failed(failure));
            }
        };
        let head = self.buffer.split_to(length);
        let status = status(&head).ok_or_else(|| malformed("no HTTP/1.1 status line"))?;
        let shape = Shape::of(&head).map_err(malformed)?;
        let streamed = if status == 200 { streamed } else { Streamed::No };
        if !self.buffer.is_empty() {
            sample.arrived(streamed);
        }
        let whole = self.read_body(stream, shape.framing, streamed, sample, until).await?;
        let reuse = if shape.close || shape.framing == Framing::Unsaid { Reuse::No } else { Reuse::Yes };
        if status != 200 {
            return Err(Answer::Status(status, reuse));
        }
        if whole == Until::End && streamed == Streamed::Yes && !sample.is_done() {
            return Err(Answer::Failed(Failure::NotDone));
        }
        Ok(reuse)
    }

    async fn read_body(
        &mut self,
        stream: &mut TcpStream,
        framing: Framing,
        streamed: Streamed,
        sample: &mut Sample,
        until: Until,
    ) -> Result<Until, Answer> {
        let mut decoder = ChunkDecoder::default();
        let mut left = match framing {
            Framing::Length(length) => length,
            Framing::Chunked | Framing::Unsaid => u64::MAX,
        };
        loop {
            if framing == Framing::Chunked {
                let used = decoder.feed(&self.buffer, |piece| sample.take(piece, streamed)).map_err(malformed)?;
                self.buffer.advance(used);
            } else {
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                sample.take(self.buffer.get(..take).unwrap_or_default(), streamed);
                self.buffer.advance(take);
                left -= take as u64;
            }
            if left == 0 || decoder.is_done() {
                return Ok(Until::End);
            }
            if until == Until::FirstBytes && sample.bytes > 0 {
                return Ok(Until::FirstBytes);
            }
            match self.fill(stream).await? {
                0 if framing == Framing::Unsaid => return Ok(Until::End),
                0 => return Err(Answer::Failed(Failure::Cut)),
                _ => sample.arrived(streamed),
            }
        }
    }

    /// Waits until the peer closes or sends more on a connection whose answer stays open.
    pub(super) async fn until_more(&mut self) {
        if let Some(stream) = &mut self.stream {
            // Closed, failed or continued: each is an end of the silence.
            let _ = stream.read_buf(&mut self.buffer).await;
        }
    }

    async fn fill(&mut self, stream: &mut TcpStream) -> Result<usize, Answer> {
        self.buffer.reserve(READ_ROOM);
        let read = stream.read_buf(&mut self.buffer).await;
        read.map_err(|error| {
            Answer::Failed(match error.kind() {
                io::ErrorKind::ConnectionReset if self.buffer.is_empty() => Failure::NoAnswer,
                kind => Failure::Transport(kind),
            })
        })
    }
}

/// An answer that is no success.
enum Answer {
    Status(u16, Reuse),
    Failed(Failure),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reuse {
    Yes,
    No,
}

fn malformed(what: impl Into<String>) -> Answer {
    Answer::Failed(Failure::Malformed(what.into()))
}

/// Whether an idle connection can still be used. Asks the kernel only when something has happened.
fn is_open(stream: &TcpStream) -> bool {
    let mut byte = [0; 1];
    matches!(stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

fn status(head: &[u8]) -> Option<u16> {
    let code = head.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(code).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_wherever_the_bytes_are_cut() {
        let text = b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: [DONE]\n\n";
        for cut in 1..=text.len() {
            let mut sample = Sample::default();
            text.chunks(cut).for_each(|piece| sample.take(piece, Streamed::Yes));
            assert_eq!((sample.events, sample.bytes), (3, text.len() as u64), "cut every {cut} bytes");
            assert!(sample.is_done());
        }
        let mut sample = Sample::default();
        sample.take(b"data: {\"content\":\"something long\"}\n\n", Streamed::Yes);
        assert!(!sample.is_done());
    }
}
