//! Plays a script on a connection: what is written, when, and how it ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Shared;
use super::reply::{self, Reply, Shape, Usage};
use super::request::{Request, Route};
use super::script::{NAMES, Pace, Script};
use super::stats::Open;
use super::wire::Wire;

/// How the connection goes on after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Keep,
    Close,
    Reset,
}

/// How long a script that never answers holds on: longer than any caller waits, but not for ever.
const FOR_EVER: Duration = Duration::from_secs(600);

/// Answers one request of the model surface.
pub(super) async fn play(wire: &mut Wire<'_>, request: &Request, shared: &Shared) -> io::Result<Next> {
    if let Some(name) = &request.unknown_script {
        wire.write(&unknown(name)).await?;
        return Ok(Next::Keep);
    }
    let kept = if request.close { Next::Close } else { Next::Keep };
    match request.script {
        Script::Auto => play_auto(wire, request, shared).await?,
        Script::Fast => good(wire, request, shared).await?,
        Script::Stream(chunks, pace) => play_stream(wire, request, shared, chunks, pace).await?,
        Script::Idle(length) => idle(wire, request, shared, length).await?,
        Script::Embed(inputs) => embeddings(wire, request, shared, inputs).await?,
        Script::Tools(_) | Script::Choices(_) => several(wire, request, shared).await?,
        Script::Echo => wire.write(&reply::echo(&json!(request.describe()))).await?,
        Script::SlowHead(length) => {
            wire.wait(length).await?;
            good(wire, request, shared).await?;
        }
        Script::SlowRead(_) => good(wire, request, shared).await?,
        Script::SlowBody(apart) => slow_body(wire, request, shared, apart).await?,
        Script::Status(code, retry_after) => status(wire, code, retry_after).await?,
        Script::Html(code) => wire.write(&reply::page(code)).await?,
        Script::Flaky(every) => {
            let number = shared.counters.flaky.fetch_add(1, Relaxed) + 1;
            if number.is_multiple_of(every) {
                status(wire, 500, None).await?;
            } else {
                good(wire, request, shared).await?;
            }
        }
        Script::CloseIdle => {
            good(wire, request, shared).await?;
            return Ok(Next::Close);
        }
        Script::Close => {
            wire.write(&reply::farewell()).await?;
            return Ok(Next::Close);
        }
        Script::NoAnswer => return Ok(Next::Close),
        Script::Reset => return Ok(Next::Reset),
        script => return broken(wire, request, shared, script).await,
    }
    Ok(kept)
}

/// Replies that hold more than one text: tool calls or choices.
async fn several(wire: &mut Wire<'_>, request: &Request, shared: &Shared) -> io::Result<()> {
    let usage = usage(request);
    let shape = match (request.script, request.stream) {
        (Script::Tools(calls), true) => Shape::ToolsStream { calls, usage },
        (Script::Tools(calls), false) => Shape::Tools { calls },
        (Script::Choices(choices), true) => Shape::ChatStream { chunks: 8, choices, usage },
        (Script::Choices(choices), false) => Shape::Chat { choices },
        _ => Shape::Chat { choices: 1 },
    };
    wire.write(&shared.replies.get(shape).whole).await
}

fn unknown(script: &str) -> Vec<u8> {
    let message = format!("header `x-script`: no script `{script}`; known: {NAMES}");
    let error = json!({"message": message, "type": "invalid_request_error", "param": "x-script", "code": null});
    reply::sized(400, "application/json", "", json!({ "error": error }).to_string().as_bytes())
}

/// Scripts whose connection cannot be used again.
async fn broken(wire: &mut Wire<'_>, request: &Request, shared: &Shared, script: Script) -> io::Result<Next> {
    match script {
        Script::HangHead => wire.wait(FOR_EVER).await?,
        Script::HangStream(after) => {
            let _open = begin_stream(wire, request, shared, after).await?;
            wire.wait(FOR_EVER).await?;
        }
        Script::ResetStream(after) => {
            let _open = begin_stream(wire, request, shared, after).await?;
            // Let the chunks arrive: a reset throws away what the peer has not read yet.
            wire.wait(Duration::from_millis(20)).await?;
            return Ok(Next::Reset);
        }
        Script::CutChunk(after) => {
            let _open = begin_stream(wire, request, shared, after).await?;
            wire.write(b"c8\r\ndata: {\"id\":\"chatcmpl-scripted\",\"obj").await?;
        }
        Script::CutBody => {
            let whole = reply::ok(&json!({"id": "chatcmpl-scripted", "padding": "x".repeat(900)}));
            wire.write(whole.get(..whole.len() / 2).unwrap_or_default()).await?;
        }
        Script::Early(code) => {
            let body = reply::error_body(code).to_string();
            wire.write(&reply::sized(code, "application/json", "connection: close\r\n", body.as_bytes())).await?;
            // Closing with unread bytes resets, which could overtake the answer.
            wire.wait(Duration::from_millis(50)).await.or_else(ignore_leaving)?;
        }
        Script::ErrorIn200(after) => {
            let _open = begin_stream(wire, request, shared, after).await?;
            wire.write(&reply::event(&reply::error_body(503))).await?;
            wire.write(reply::LAST_CHUNK).await?;
            return Ok(Next::Keep);
        }
        Script::GarbageSse => {
            wire.write(&reply::garbage()).await?;
            return Ok(Next::Keep);
        }
        Script::LongLine(bytes) => {
            long_line(wire, shared, bytes).await?;
            return Ok(Next::Keep);
        }
        _ => {}
    }
    Ok(Next::Close)
}

fn ignore_leaving(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::InvalidInput { Err(error) } else { Ok(()) }
}

fn usage(request: &Request) -> Usage {
    if request.usage { Usage::Told } else { Usage::Untold }
}

fn stream_shape(request: &Request, chunks: u32) -> Shape {
    match request.route {
        Route::Completions => Shape::TextStream { chunks, usage: usage(request) },
        _ => Shape::ChatStream { chunks, choices: 1, usage: usage(request) },
    }
}

async fn play_auto(wire: &mut Wire<'_>, request: &Request, shared: &Shared) -> io::Result<()> {
    match request.route {
        Route::Embeddings => embeddings(wire, request, shared, 100).await,
        Route::Models => wire.write(&shared.replies.get(Shape::Models).whole).await,
        Route::Chat | Route::Completions if request.stream => {
            play_stream(wire, request, shared, 64, Pace::AtOnce).await
        }
        Route::Chat | Route::Completions => good(wire, request, shared).await,
        _ => wire.write(&reply::echo(&json!(request.describe()))).await,
    }
}

/// The ordinary answer to what was asked: a stream of 8 chunks, or 1 KB.
async fn good(wire: &mut Wire<'_>, request: &Request, shared: &Shared) -> io::Result<()> {
    let shape = match request.route {
        _ if request.stream => stream_shape(request, 8),
        Route::Completions => Shape::Text,
        Route::Embeddings => Shape::Floats { inputs: 1 },
        Route::Models => Shape::Models,
        _ => Shape::Chat { choices: 1 },
    };
    wire.write(&shared.replies.get(shape).whole).await
}

async fn embeddings(wire: &mut Wire<'_>, request: &Request, shared: &Shared, inputs: u32) -> io::Result<()> {
    let shape = if request.base64 { Shape::Base64 { inputs } } else { Shape::Floats { inputs } };
    wire.write(&shared.replies.get(shape).whole).await
}

async fn play_stream(
    wire: &mut Wire<'_>,
    request: &Request,
    shared: &Shared,
    chunks: u32,
    pace: Pace,
) -> io::Result<()> {
    if !request.stream {
        return good(wire, request, shared).await;
    }
    let reply = shared.replies.get(stream_shape(request, chunks));
    let _open = Open::count(&shared.counters.streams_open);
    match pace {
        Pace::Burst => wire.write(&reply.whole).await,
        Pace::AtOnce => {
            for piece in &reply.pieces {
                wire.write(piece).await?;
            }
            Ok(())
        }
        Pace::Every(apart) => {
            let mut next = Instant::now();
            for (number, piece) in reply.pieces.iter().enumerate() {
                if number > 0 {
                    next += apart;
                    wire.wait_until(next).await?;
                }
                wire.write(piece).await?;
            }
            Ok(())
        }
    }
}

/// Writes the head and `after` chunks of a longer stream, which counts as open while the guard lives.
async fn begin_stream<'a>(
    wire: &mut Wire<'_>,
    request: &Request,
    shared: &'a Shared,
    after: u32,
) -> io::Result<Open<'a>> {
    let reply = long_stream(request, shared, after);
    let open = Open::count(&shared.counters.streams_open);
    let pieces = reply.pieces.iter().take(after as usize);
    let mut bytes = pieces.flatten().copied().collect::<Vec<u8>>();
    if after == 0 {
        bytes.extend_from_slice(reply::STREAM_HEAD);
    }
    wire.write(&bytes).await?;
    Ok(open)
}

fn long_stream(request: &Request, shared: &Shared, chunks: u32) -> Arc<Reply> {
    shared.replies.get(stream_shape(request, chunks.max(1)))
}

async fn idle(wire: &mut Wire<'_>, request: &Request, shared: &Shared, length: Duration) -> io::Result<()> {
    let reply = long_stream(request, shared, 1);
    let _open = Open::count(&shared.counters.streams_open);
    let mut pieces = reply.pieces.iter();
    if let Some(first) = pieces.next() {
        wire.write(first).await?;
    }
    wire.wait(length).await?;
    for piece in pieces {
        wire.write(piece).await?;
    }
    Ok(())
}

async fn status(wire: &mut Wire<'_>, code: u16, retry_after: Option<u32>) -> io::Result<()> {
    let mut extra = retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
    if code == 429 {
        extra.push_str(
            "x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 1s\r\n",
        );
    }
    wire.write(&reply::sized(code, "application/json", &extra, reply::error_body(code).to_string().as_bytes())).await
}

async fn slow_body(wire: &mut Wire<'_>, request: &Request, shared: &Shared, apart: Duration) -> io::Result<()> {
    let shape = if request.stream { stream_shape(request, 8) } else { Shape::Chat { choices: 1 } };
    let reply = shared.replies.get(shape);
    let mut next = Instant::now();
    for piece in reply.whole.chunks(16) {
        wire.write(piece).await?;
        next += apart;
        wire.wait_until(next).await?;
    }
    Ok(())
}

/// One event line of so many bytes, then a good end.
async fn long_line(wire: &mut Wire<'_>, shared: &Shared, bytes: u64) -> io::Result<()> {
    let _open = Open::count(&shared.counters.streams_open);
    wire.write(reply::STREAM_HEAD).await?;
    wire.write(&reply::chunk(b"data: ")).await?;
    let block = reply::chunk(&[b'x'; 64 * 1024]);
    for _ in 0..bytes / (64 * 1024) {
        wire.write(&block).await?;
    }
    let rest = usize::try_from(bytes % (64 * 1024)).unwrap_or_default();
    if rest > 0 {
        wire.write(&reply::chunk(&vec![b'x'; rest])).await?;
    }
    wire.write(&reply::chunk(b"\n\ndata: [DONE]\n\n")).await?;
    wire.write(reply::LAST_CHUNK).await
}
