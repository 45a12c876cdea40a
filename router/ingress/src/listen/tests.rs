//! Callers on HTTP/2 who do not read, on real sockets. The caller's side is played by `h2`, which
//! opens a window only where it is told to.

mod leaving;

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use atp_core::answer::BoxBody;
use atp_core::port::{BoxFuture, Gateway, ModelCard};
use atp_core::{Answer, AnswerBody, Error, Exchange, FullBody, Notes, Operation, RateFacts, Reply, Report};
use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::{HeaderMap, Request, StatusCode};

use super::*;
use crate::auth::KeyRing;
use crate::settings::{Limits, Settings};

/// How long callers may refuse to read here.
const PATIENCE: Duration = Duration::from_millis(300);
/// A whole answer of more than any window here.
const WHOLE: usize = 120_000;
/// One piece of an answer that never ends.
const PIECE: &[u8] = &[b'x'; 1000];

/// Answers `whole` and `short` with a body in memory, anything else with one that never ends.
#[derive(Default)]
struct Models {
    /// Bodies that have not been dropped.
    held: Arc<AtomicUsize>,
}

/// Pieces without end.
struct Endless {
    held: Arc<AtomicUsize>,
    report: Report,
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::SeqCst);
    }
}

impl AnswerBody for Endless {
    fn poll_chunk(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        Poll::Ready(Some(Ok(Bytes::from_static(PIECE))))
    }

    fn report(&self) -> &Report {
        &self.report
    }
}

impl Gateway for Models {
    fn call(&self, exchange: Exchange) -> BoxFuture<'static, Reply> {
        let full = |len| -> BoxBody { Box::pin(FullBody::new(Bytes::from(vec![b'x'; len]), Report::default())) };
        let body = match &*exchange.model {
            "whole" => full(WHOLE),
            "short" => full(PIECE.len()),
            _ => {
                self.held.fetch_add(1, Ordering::SeqCst);
                Box::pin(Endless { held: Arc::clone(&self.held), report: Report::default() })
            }
        };
        let answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), limits: RateFacts::default(), body };
        Box::pin(std::future::ready(Reply { notes: Notes::default(), result: Ok(answer) }))
    }

    fn refused(&self, _: Option<Operation>, error: &Error) {
        panic!("refused: {error}");
    }

    fn models(&self) -> Vec<ModelCard> {
        Vec::new()
    }

    fn model(&self, _: &str) -> Option<ModelCard> {
        None
    }
}

/// A listener, what it holds, and a caller whose streams have a window of so many bytes.
struct Scene {
    held: Arc<AtomicUsize>,
    connections: Connections,
    caller: SendRequest<Bytes>,
    _listener: tokio::task::JoinHandle<()>,
    left: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

/// A listener of a router that serves `models` to whoever comes.
fn listener(socket: std::net::TcpListener, models: Models, drain: Drain, connections: Connections) -> Listener {
    let settings = Settings { keys: KeyRing::open(), limits: Limits::default() };
    let settings = Arc::new(ArcSwap::from_pointee(settings));
    Listener {
        socket: TcpListener::from_std(socket).unwrap(),
        entrance: Entrance::new(Arc::new(models), settings, Arc::new(|_| None), drain.clone()),
        wire: Arc::new(Wire { write_timeout: PATIENCE, ..Wire::default() }),
        tls: None,
        connections,
        drain,
    }
}

#[expect(clippy::disallowed_methods, reason = "the test's tasks end with its runtime")]
async fn scene(window: u32) -> Scene {
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let models = Models::default();
    let held = Arc::clone(&models.held);
    let connections = Connections::new(8);
    let listener = listener(socket, models, Drain::new(), connections.clone());
    let listening = tokio::spawn(listener.run());
    let tcp = TcpStream::connect(address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(1 << 20);
    let (caller, connection) = builder.handshake::<_, Bytes>(tcp).await.unwrap();
    Scene { held, connections, caller, _listener: listening, left: tokio::spawn(connection) }
}

impl Scene {
    /// Asks for a model, and gives what has to be read.
    async fn ask(&mut self, model: &str) -> RecvStream {
        let request = Request::post("http://router/v1/chat/completions").body(()).unwrap();
        let (answer, mut body) = self.caller.send_request(request, false).unwrap();
        body.send_data(Bytes::from(format!(r#"{{"model":"{model}","messages":[]}}"#)), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.into_body()
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }
}

/// Takes a piece and opens the window for as much.
async fn take(body: &mut RecvStream) -> Option<Result<usize, h2::Error>> {
    let piece = body.data().await?;
    Some(piece.map(|bytes| {
        body.flow_control().release_capacity(bytes.len()).unwrap();
        bytes.len()
    }))
}

/// Waits for the end of a stream that nobody reads, and how it came.
async fn end_of(body: &mut RecvStream) -> Option<h2::Reason> {
    while let Some(piece) = body.data().await {
        if let Err(error) = piece {
            return error.reason();
        }
    }
    panic!("the answer came to its end")
}

#[tokio::test]
async fn a_stream_whose_window_is_never_opened_is_reset() {
    for window in [0, 1, 20_000] {
        let mut scene = scene(window).await;
        let mut body = scene.ask("endless").await;
        let begun = tokio::time::Instant::now();
        let end = tokio::time::timeout(10 * PATIENCE, end_of(&mut body)).await;
        assert_eq!(end, Ok(Some(h2::Reason::CANCEL)), "with a window of {window}");
        assert!(begun.elapsed() >= PATIENCE, "with a window of {window}");
        assert_eq!((scene.held(), scene.connections.open()), (0, 1), "with a window of {window}");
    }
}

#[tokio::test]
async fn a_connection_that_takes_nothing_of_a_finished_answer_is_ended() {
    for (window, model) in [(1, "short"), (WHOLE as u32 - 1000, "whole")] {
        let mut scene = scene(window).await;
        let body = scene.ask(model).await;
        let left = tokio::time::timeout(10 * PATIENCE, &mut scene.left).await;
        assert!(left.is_ok(), "{model} with a window of {window} holds its connection");
        tokio::time::sleep(PATIENCE / 10).await;
        assert_eq!(scene.connections.open(), 0, "{model} with a window of {window}");
        drop(body);
    }
}

#[tokio::test]
async fn one_stream_that_is_not_read_ends_alone() {
    let mut scene = scene(20_000).await;
    let mut read = scene.ask("endless").await;
    let unread = scene.ask("endless").await;
    assert_eq!(scene.held(), 2);
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < 3 * PATIENCE {
        take(&mut read).await.unwrap().unwrap();
    }
    assert_eq!((scene.held(), scene.connections.open()), (1, 1), "the other one is served on");
    let mut unread = unread;
    let end = tokio::time::timeout(PATIENCE, end_of(&mut unread)).await;
    assert_eq!(end, Ok(Some(h2::Reason::CANCEL)), "it had been ended before");
}

#[tokio::test]
async fn a_slow_reader_gets_everything() {
    let mut scene = scene(40_000).await;
    let mut body = scene.ask("whole").await;
    let mut read = 0;
    while let Some(piece) = take(&mut body).await {
        read += piece.unwrap();
        // All in all this takes several times as long as he may refuse to read.
        tokio::time::sleep(PATIENCE / 5).await;
    }
    assert_eq!((read, scene.connections.open()), (WHOLE, 1));
}
