//! One HTTP/1.1 exchange with a router, on a connection of its own, waited for by the calling thread:
//! a command has nothing else to do meanwhile, and ends with the process.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use atp_bench::http1::{self, ChunkDecoder, Framing, Shape};

use super::address::Address;
use crate::failure::Failure;

/// How long a connection may take to stand. A router is near; one that is away does not answer at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long what follows an answer may be waited for: the answer is there, so nobody shall wait long
/// for its price.
const TRAILER_SILENCE: Duration = Duration::from_secs(2);
/// The most bytes that are read between the last event of a stream and its trailers.
const MAX_REST: usize = 64 * 1024;
/// Room for each read, in bytes.
const READ_ROOM: usize = 16 * 1024;

/// What is asked.
pub(super) struct Request<'a> {
    /// The path below the router's address: `/v1/models`.
    pub(super) path: &'a str,
    /// Sent as `authorization: Bearer`.
    pub(super) key: Option<&'a str>,
    /// A JSON body, which makes it a `POST`.
    pub(super) body: Option<&'a str>,
    /// How long the router may be silent.
    pub(super) silence: Duration,
}

/// The head of an answer, and its body, still to be read.
pub(crate) struct Answer {
    /// The status code.
    pub(super) status: u16,
    head: Vec<u8>,
    /// The body.
    pub(super) body: Body,
}

impl Answer {
    /// A header field as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = http1::fields(&self.head).find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// A trailer field as text, where the head announces it. Reads the rest of the body for it; a
    /// trailer that does not come is none, and takes nothing from the answer.
    pub(crate) fn trailer(&mut self, name: &str) -> Option<String> {
        let announced = self.header("trailer")?.split(',').any(|each| each.trim().eq_ignore_ascii_case(name));
        if !announced {
            return None;
        }
        self.body.finish();
        let trailers = &self.body.trailers;
        let (_, value) = trailers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))?;
        String::from_utf8(value.clone()).ok()
    }
}

/// Sends a request and reads the head of its answer.
pub(super) fn send(address: &Address, request: &Request<'_>) -> Result<Answer, Failure> {
    let mut stream = connect(address)?;
    let broken = |error: &io::Error| broken(address, error, request.silence);
    stream.set_read_timeout(Some(request.silence)).map_err(|error| broken(&error))?;
    stream.set_nodelay(true).map_err(|error| broken(&error))?;
    // A server that refuses may close before it has read all; its answer says more than the write.
    let written = stream.write_all(message(address, request).as_bytes());
    let (head, rest) = match read_head(&mut stream, address) {
        Ok(parts) => parts,
        Err(Unread::Failed(failure)) => return Err(failure),
        Err(Unread::Broken(error)) => return Err(broken(&written.err().unwrap_or(error))),
    };
    let status = status(&head).ok_or_else(|| stranger(address))?;
    let shape = Shape::of(&head).map_err(|problem| garbled(address, &problem))?;
    let left = match shape.framing {
        _ if matches!(status, 204 | 304) => Left::Bytes(0),
        Framing::Length(bytes) => Left::Bytes(bytes),
        Framing::Chunked => Left::Chunks(ChunkDecoder::default()),
        Framing::Unsaid => Left::UntilClose,
    };
    let (address, silence) = (address.clone(), request.silence);
    let body = Body { address, silence, stream, arrived: rest, left, trailers: Vec::new() };
    Ok(Answer { status, head, body })
}

fn connect(address: &Address) -> Result<TcpStream, Failure> {
    let away = |error: &io::Error| {
        Failure::new(format!("no router answers at {address}: {}", reason(error)))
            .hint("start one with `atp up`, or name another address with --url or ATP_URL")
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for socket in address.socket.to_socket_addrs().map_err(|error| away(&error))? {
        match TcpStream::connect_timeout(&socket, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(away(&last))
}

/// What the system says, without its error number.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "it took too long".to_owned(),
        _ => error.to_string(),
    }
}

fn message(address: &Address, request: &Request<'_>) -> String {
    let method = if request.body.is_some() { "POST" } else { "GET" };
    let Address { authority, prefix, .. } = address;
    let mut text = format!("{method} {prefix}{} HTTP/1.1\r\nhost: {authority}\r\n", request.path);
    // `te` is for this connection only, so `connection` names it (RFC 9110, 10.1.4).
    text.push_str(concat!(
        "user-agent: atp/",
        env!("CARGO_PKG_VERSION"),
        "\r\nte: trailers\r\nconnection: close, te\r\n"
    ));
    if let Some(key) = request.key {
        text.push_str(&format!("authorization: Bearer {key}\r\n"));
    }
    if let Some(body) = request.body {
        text.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    } else {
        text.push_str("\r\n");
    }
    text
}

enum Unread {
    Broken(io::Error),
    Failed(Failure),
}

/// Reads up to the blank line; returns the head and what arrived behind it.
fn read_head(stream: &mut TcpStream, address: &Address) -> Result<(Vec<u8>, Vec<u8>), Unread> {
    let mut head = Vec::new();
    let mut room = [0; READ_ROOM];
    loop {
        if let Some(length) = http1::head_length(&head) {
            let rest = head.split_off(length);
            if status(&head).is_some_and(|status| (100..200).contains(&status)) {
                // An interim answer; the real one follows.
                head = rest;
                continue;
            }
            return Ok((head, rest));
        }
        if !b"HTTP/1.".starts_with(head.get(..7).unwrap_or(&head)) {
            return Err(Unread::Failed(stranger(address)));
        }
        if head.len() > http1::MAX_HEAD {
            return Err(Unread::Failed(garbled(address, "the head of its answer has no end")));
        }
        let count = read(stream, &mut room).map_err(Unread::Broken)?;
        if count == 0 {
            return Err(Unread::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        head.extend_from_slice(room.get(..count).unwrap_or_default());
    }
}

/// Reads what there is; a signal that the process survives is no end.
fn read(stream: &mut TcpStream, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(http1::first_line(head)).ok()?;
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

fn stranger(address: &Address) -> Failure {
    Failure::new(format!("what answers at {address} does not speak HTTP/1.1"))
        .hint("is it a TLS port, or not a router at all? name the router's http address with --url or ATP_URL")
}

fn garbled(address: &Address, problem: &str) -> Failure {
    Failure::new(format!("the answer of {address} cannot be read: {problem}"))
}

fn broken(address: &Address, error: &io::Error, silence: Duration) -> Failure {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Failure::new(format!("{address} was silent for {} s", silence.as_secs()))
                .hint("its log and its /metrics say what it waits for")
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Failure::new(format!("{address} closed the connection before its answer was complete"))
                .hint("the router was stopped, or its log says why")
        }
        _ => Failure::new(format!("the connection to {address} failed: {error}")),
    }
}

/// How much of a body is still to come.
enum Left {
    Bytes(u64),
    Chunks(ChunkDecoder),
    UntilClose,
    Nothing,
}

/// Whether more may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Perhaps,
    No,
}

/// The body of an answer.
pub(super) struct Body {
    address: Address,
    silence: Duration,
    stream: TcpStream,
    /// Received and not yet taken.
    arrived: Vec<u8>,
    left: Left,
    /// The fields behind the body, name and value, once it has ended.
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Body {
    /// Waits for the next bytes and adds them to `out`.
    pub(super) fn read(&mut self, out: &mut Vec<u8>) -> Result<More, Failure> {
        let before = out.len();
        loop {
            self.take(out)?;
            if matches!(self.left, Left::Nothing | Left::Bytes(0)) {
                return Ok(More::No);
            }
            if out.len() > before {
                return Ok(More::Perhaps);
            }
            let mut room = [0; READ_ROOM];
            match read(&mut self.stream, &mut room) {
                Ok(0) if matches!(self.left, Left::UntilClose) => self.left = Left::Nothing,
                Ok(0) => return Err(broken(&self.address, &io::ErrorKind::UnexpectedEof.into(), self.silence)),
                Ok(count) => self.arrived.extend_from_slice(room.get(..count).unwrap_or_default()),
                Err(error) => return Err(broken(&self.address, &error, self.silence)),
            }
        }
    }

    /// Reads all that is left, refusing more than `most` bytes.
    pub(super) fn read_all(&mut self, most: usize) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::new();
        loop {
            let more = self.read(&mut out)?;
            if out.len() > most {
                return Err(garbled(&self.address, &format!("it is longer than {most} bytes")));
            }
            if more == More::No {
                return Ok(out);
            }
        }
    }

    /// Reads to the end for what follows it. What is still to come of the answer does not matter any
    /// more, so neither does what goes wrong with it.
    fn finish(&mut self) {
        let patience = TRAILER_SILENCE.min(self.silence);
        if self.stream.set_read_timeout(Some(patience)).is_ok() {
            let _ = self.read_all(MAX_REST);
        }
    }

    /// Moves what has arrived and belongs to the body.
    fn take(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let arrived = std::mem::take(&mut self.arrived);
        match &mut self.left {
            Left::Bytes(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(arrived.len());
                out.extend_from_slice(arrived.get(..count).unwrap_or_default());
                *left -= count as u64;
            }
            Left::Chunks(decoder) => {
                let fed = decoder.feed(&arrived, |piece| out.extend_from_slice(piece));
                fed.map_err(|problem| garbled(&self.address, &problem))?;
                if decoder.is_done() {
                    let owned = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
                    self.trailers = decoder.trailers().map(owned).collect();
                    self.left = Left::Nothing;
                }
            }
            Left::UntilClose => out.extend_from_slice(&arrived),
            Left::Nothing => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
