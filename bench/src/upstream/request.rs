//! Reads one request and finds in it what decides the answer, without parsing JSON.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use bytes::BytesMut;
use memchr::memmem;
use sha2::{Digest, Sha256};

use super::script::Script;
use super::stats::Recorded;
use super::wire::Wire;
use crate::http1::{self, ChunkDecoder, Framing, Shape};

/// How much of a body is kept to be looked at; more is read, hashed and thrown away.
const KEPT: usize = 1024 * 1024;
/// How much of a body's start and end is searched for the fields that matter. SDKs write `messages`
/// before or after `model` and `stream`, but those stand within this distance of one end.
const SEARCHED: usize = 4 * 1024;

/// What the path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Chat,
    Completions,
    Embeddings,
    Models,
    Stats,
    Recorded,
    Reset,
    Other,
}

pub(super) struct Request {
    pub(super) route: Route,
    pub(super) script: Script,
    /// `"stream": true`.
    pub(super) stream: bool,
    /// `"include_usage": true`.
    pub(super) usage: bool,
    /// `"encoding_format": "base64"`.
    pub(super) base64: bool,
    pub(super) close: bool,
    /// `x-script` named a script that does not exist.
    pub(super) unknown_script: Option<String>,
    /// The whole head, kept for echoes and records.
    head: BytesMut,
    body: Body,
}

/// A body as far as it was kept.
#[derive(Default)]
struct Body {
    kept: BytesMut,
    bytes: u64,
    chunked: bool,
    /// Of everything, once the body outgrew what is kept.
    hash: Option<Sha256>,
}

impl Body {
    fn take(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(piece);
        } else if self.kept.len() + piece.len() <= KEPT {
            self.kept.extend_from_slice(piece);
        } else {
            self.hash = Some(Sha256::new().chain_update(&self.kept).chain_update(piece));
        }
    }

    fn sha256(&self) -> String {
        use std::fmt::Write as _;
        let digest = self.hash.clone().unwrap_or_else(|| Sha256::new().chain_update(&self.kept)).finalize();
        digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl Request {
    /// Reads the next request of a connection. Nothing is returned when the caller closes between
    /// requests.
    pub(super) async fn read(wire: &mut Wire<'_>) -> io::Result<Option<Self>> {
        let length = loop {
            if let Some(length) = http1::head_length(&wire.buffer) {
                break length;
            }
            if wire.buffer.len() > http1::MAX_HEAD {
                return Err(invalid("head over 64 KiB"));
            }
            if wire.fill(0).await? == 0 {
                return if wire.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        };
        let head = wire.buffer.split_to(length);
        let shape = Shape::of(&head).map_err(invalid)?;
        let mut request = Self::of_head(head, shape.close);
        request.foresee_script(wire, shape.framing).await?;
        if matches!(request.script, Script::Early(_)) {
            return Ok(Some(request));
        }
        if shape.expects_continue {
            wire.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.read_body(wire, shape.framing).await?;
        wire.counters.body_bytes_in.fetch_add(request.body.bytes, Relaxed);
        request.look_into_body();
        Ok(Some(request))
    }

    fn of_head(head: BytesMut, close: bool) -> Self {
        let mut unknown_script = None;
        let mut script = Script::Auto;
        if let Some((_, value)) = http1::fields(&head).find(|(name, _)| name.eq_ignore_ascii_case(b"x-script")) {
            let name = String::from_utf8_lossy(value);
            match Script::parse(&name) {
                Some(found) => script = found,
                None => unknown_script = Some(name.into_owned()),
            }
        }
        let route = route(&head);
        Self {
            route,
            script,
            stream: false,
            usage: false,
            base64: false,
            close,
            unknown_script,
            head,
            body: Body::default(),
        }
    }

    /// Some scripts decide how the body itself is read, so a long body's start is looked at first.
    async fn foresee_script(&mut self, wire: &mut Wire<'_>, framing: Framing) -> io::Result<()> {
        let long = framing == Framing::Chunked || matches!(framing, Framing::Length(length) if length > 16 * 1024);
        if !long || self.script != Script::Auto {
            return Ok(());
        }
        if wire.buffer.is_empty() {
            end_means_cut(wire.fill(0).await?)?;
        }
        let start = wire.buffer.get(..SEARCHED).unwrap_or(&wire.buffer);
        if let Some(script @ (Script::SlowRead(_) | Script::Early(_))) =
            value_of(start, b"\"model\"").and_then(script_of_value)
        {
            self.script = script;
        }
        Ok(())
    }

    async fn read_body(&mut self, wire: &mut Wire<'_>, framing: Framing) -> io::Result<()> {
        match framing {
            Framing::Unsaid | Framing::Length(0) => Ok(()),
            Framing::Length(length) => self.read_sized(wire, length).await,
            Framing::Chunked => self.read_chunked(wire).await,
        }
    }

    async fn read_sized(&mut self, wire: &mut Wire<'_>, length: u64) -> io::Result<()> {
        let small = usize::try_from(length).ok().filter(|length| *length <= KEPT);
        if let (Some(length), false) = (small, matches!(self.script, Script::SlowRead(_))) {
            // Kept whole: read straight into the place where it stays.
            while wire.buffer.len() < length {
                let missing = length - wire.buffer.len();
                end_means_cut(wire.fill(missing).await?)?;
            }
            self.body.kept = wire.buffer.split_to(length);
            self.body.bytes = length as u64;
            return Ok(());
        }
        let mut left = length;
        let mut scratch = vec![0; 256 * 1024];
        while left > 0 {
            let buffered = wire.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if buffered > 0 {
                let piece = wire.buffer.split_to(buffered);
                self.body.take(&piece);
                left -= buffered as u64;
                continue;
            }
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(self.read_room(wire).await?);
            let read = end_means_cut(wire.read_into(scratch.get_mut(..room).unwrap_or_default()).await?)?;
            self.body.take(scratch.get(..read).unwrap_or_default());
            left -= read as u64;
        }
        Ok(())
    }

    /// How much to read next of a body that is not read whole: all there is, or a slow reader's sip.
    async fn read_room(&self, wire: &mut Wire<'_>) -> io::Result<usize> {
        if let Script::SlowRead(pause) = self.script {
            // Not `Wire::wait`, which would read ahead to see whether the caller has left.
            tokio::time::sleep(pause).await;
            return Ok(16 * 1024);
        }
        let _ = wire;
        Ok(256 * 1024)
    }

    async fn read_chunked(&mut self, wire: &mut Wire<'_>) -> io::Result<()> {
        self.body.chunked = true;
        let mut decoder = ChunkDecoder::default();
        loop {
            let body = &mut self.body;
            let used = decoder.feed(&wire.buffer, |piece| body.take(piece)).map_err(invalid)?;
            wire.consume(used);
            if decoder.is_done() {
                return Ok(());
            }
            let room = self.read_room(wire).await?.min(64 * 1024);
            end_means_cut(wire.fill(room).await?)?;
        }
    }

    /// Finds model, stream and usage wishes by their bytes. Good enough for bodies that tests and
    /// load generators write; a prompt that quotes these fields near an end would fool it.
    fn look_into_body(&mut self) {
        let kept: &[u8] = &self.body.kept;
        let start = kept.get(..SEARCHED).unwrap_or(kept);
        let end = kept.get(kept.len().saturating_sub(SEARCHED).max(start.len())..).unwrap_or_default();
        let says = |key: &[u8], wanted: &[u8]| {
            [start, end].into_iter().any(|part| value_of(part, key).is_some_and(|value| value.starts_with(wanted)))
        };
        self.stream = says(b"\"stream\"", b"true");
        self.usage = self.stream && says(b"\"include_usage\"", b"true");
        self.base64 = self.route == Route::Embeddings && says(b"\"encoding_format\"", b"\"base64\"");
        if self.script == Script::Auto {
            let named =
                [start, end].into_iter().find_map(|part| value_of(part, b"\"model\"")).and_then(script_of_value);
            self.script = named.unwrap_or(Script::Auto);
        }
    }

    /// Everything that arrived, for echoes and records.
    pub(super) fn describe(&self) -> Recorded {
        let line = String::from_utf8_lossy(http1::first_line(&self.head)).into_owned();
        let mut words = line.split(' ').map(str::to_owned);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let small = self.body.hash.is_none() && self.body.kept.len() <= 64 * 1024;
        Recorded {
            method: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            headers: http1::fields(&self.head).map(|(name, value)| (text(name), text(value))).collect(),
            body_bytes: self.body.bytes,
            body_sha256: self.body.sha256(),
            chunked: self.body.chunked,
            body: std::str::from_utf8(&self.body.kept).ok().filter(|_| small).map(str::to_owned),
        }
    }
}

fn route(head: &[u8]) -> Route {
    let line = http1::first_line(head);
    let path = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    match path {
        b"/_stats" => Route::Stats,
        b"/_requests" => Route::Recorded,
        b"/_reset" => Route::Reset,
        _ if path.ends_with(b"/chat/completions") => Route::Chat,
        _ if path.ends_with(b"/completions") => Route::Completions,
        _ if path.ends_with(b"/embeddings") => Route::Embeddings,
        _ if path.ends_with(b"/models") => Route::Models,
        _ => Route::Other,
    }
}

/// What follows a quoted key and its colon.
fn value_of<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut from = 0;
    while let Some(at) = memmem::find(text.get(from..)?, key) {
        let after = text.get(from + at + key.len()..)?.trim_ascii_start();
        if let Some(value) = after.strip_prefix(b":") {
            return Some(value.trim_ascii_start());
        }
        from += at + key.len();
    }
    None
}

/// The script that a model's quoted name asks for; what stands before a `/` is a provider's name.
fn script_of_value(value: &[u8]) -> Option<Script> {
    let quoted = value.strip_prefix(b"\"")?;
    let name = quoted.get(..memchr::memchr(b'"', quoted)?)?;
    let name = name.rsplit(|byte| *byte == b'/').next()?;
    Script::parse(std::str::from_utf8(name).ok()?)
}

fn end_means_cut(read: usize) -> io::Result<usize> {
    if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
}

fn invalid(text: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_behind_its_key_only() {
        let body = br#"{"messages":[{"role":"user","content":"model"}], "model" : "up/stream64","stream": true}"#;
        assert_eq!(
            value_of(body, b"\"model\"").and_then(script_of_value),
            Some(Script::Stream(64, super::super::script::Pace::AtOnce))
        );
        assert!(value_of(body, b"\"stream\"").is_some_and(|value| value.starts_with(b"true")));
        assert_eq!(value_of(body, b"\"include_usage\""), None);
    }

    #[test]
    fn routes_do_not_depend_on_the_prefix() {
        assert_eq!(route(b"POST /v1/chat/completions?x=1 HTTP/1.1\r\n"), Route::Chat);
        assert_eq!(route(b"POST /openai/v1/embeddings HTTP/1.1\r\n"), Route::Embeddings);
        assert_eq!(route(b"GET /_stats HTTP/1.1\r\n"), Route::Stats);
        assert_eq!(route(b"POST /v1/audio/speech HTTP/1.1\r\n"), Route::Other);
    }

    #[test]
    fn a_body_over_the_limit_has_the_same_hash() {
        let bytes = vec![7_u8; KEPT + 5];
        let mut body = Body::default();
        bytes.chunks(1000).for_each(|piece| body.take(piece));
        let mut whole = Body::default();
        whole.take(&bytes);
        assert_eq!(body.sha256(), whole.sha256());
        assert_eq!(body.bytes, bytes.len() as u64);
    }
}
