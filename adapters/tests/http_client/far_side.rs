//! An HTTP/2 server whose every step a test decides, and a caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use atp_adapters::http_client::{ClientSettings, Http2, HttpClient, Incoming, Origin, Outgoing, SendBody};
use atp_core::{Error, Rope, Timeouts};
use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// One request as the server sees it.
pub(crate) struct Call {
    /// Which connection it came on, from 0.
    pub(crate) connection: usize,
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
}

impl Call {
    /// Sends the head and the first bytes; the stream stays open.
    pub(crate) fn begin(&mut self) -> SendStream<Bytes> {
        let mut stream = self.respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"first"), false).unwrap();
        stream
    }

    /// Answers with the connection's number.
    pub(crate) fn answer(mut self) {
        let mut stream = self.respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from(self.connection.to_string()), true).unwrap();
    }

    /// Waits until the caller resets the stream.
    pub(crate) async fn reset(&mut self) -> Reason {
        std::future::poll_fn(|cx| self.respond.poll_reset(cx)).await.unwrap()
    }
}

/// What a connection is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// GOAWAY in order: streams that have begun are finished.
    Leave,
    /// GOAWAY with an error.
    Abort,
    /// Close the socket.
    Cut,
    /// Stop reading and writing, and keep the socket open.
    Freeze,
}

/// The server.
pub(crate) struct FarSide {
    pub(crate) port: u16,
    pub(crate) calls: mpsc::UnboundedReceiver<Call>,
    orders: tokio::sync::broadcast::Sender<Order>,
    accepted: Arc<AtomicUsize>,
}

impl FarSide {
    /// Starts a server whose connections allow `streams` at a time.
    pub(crate) async fn start(streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, calls) = mpsc::unbounded_channel();
        let (orders, _) = tokio::sync::broadcast::channel(16);
        let accepted = Arc::<AtomicUsize>::default();
        let (count, giving) = (Arc::clone(&accepted), orders.clone());
        spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                spawn(serve(tcp, number, streams, tell.clone(), giving.subscribe()));
            }
        });
        Self { port, calls, orders, accepted }
    }

    pub(crate) fn order(&self, order: Order) {
        self.orders.send(order).unwrap();
    }

    /// Connections accepted since the start.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(crate) async fn call(&mut self) -> Call {
        within(self.calls.recv()).await.unwrap()
    }

    pub(crate) fn client(&self, change: impl FnOnce(&mut ClientSettings)) -> Arc<HttpClient> {
        let mut settings = ClientSettings { http2: Http2::On, ..ClientSettings::default() };
        change(&mut settings);
        let origin = Origin::parse(&format!("http://127.0.0.1:{}/v1", self.port)).unwrap();
        Arc::new(HttpClient::new(origin, settings, 1).unwrap())
    }
}

async fn serve(
    tcp: TcpStream,
    number: usize,
    streams: u32,
    tell: mpsc::UnboundedSender<Call>,
    mut orders: tokio::sync::broadcast::Receiver<Order>,
) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(streams).initial_window_size(1 << 16);
    let mut connection: Connection<TcpStream, Bytes> = builder.handshake(tcp).await.unwrap();
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order.unwrap() {
                Order::Leave => connection.graceful_shutdown(),
                Order::Abort => connection.abrupt_shutdown(Reason::INTERNAL_ERROR),
                Order::Cut => return,
                Order::Freeze => std::future::pending().await,
            },
            next = connection.accept() => match next {
                Some(Ok((request, respond))) => drop(tell.send(Call { connection: number, request, respond })),
                Some(Err(_)) | None => return,
            },
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the runtime of the test ends its tasks")]
pub(crate) fn spawn<F>(task: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(task)
}

/// Nothing in these tests takes longer.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("within ten seconds")
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

pub(crate) fn timeouts() -> Timeouts {
    let secs = Duration::from_secs;
    Timeouts { connect: secs(2), first_byte: secs(8), idle: secs(8), total: secs(9) }
}

pub(crate) fn rope(text: &'static [u8]) -> SendBody {
    let mut rope = Rope::new();
    rope.push(Bytes::from_static(text));
    SendBody::from(rope)
}

/// Sends one request.
pub(crate) async fn send(client: &HttpClient, body: SendBody) -> Result<Incoming, Error> {
    let headers = HeaderMap::from_iter([(http::header::HOST, client.origin().host_header().clone())]);
    let uri = client.origin().target("/chat/completions").unwrap();
    let mut out = Outgoing { method: Method::POST, uri, headers: &headers, over: None, body, timeouts: timeouts() };
    client.send(&mut out).await
}

/// Sends one request in a task of its own.
pub(crate) fn start(client: &Arc<HttpClient>) -> tokio::task::JoinHandle<Result<Incoming, Error>> {
    let client = Arc::clone(client);
    spawn(async move { send(&client, rope(b"{}")).await })
}

/// The next bytes of an answer; `None` at its end.
pub(crate) async fn next(incoming: &mut Incoming) -> Option<Result<Bytes, Error>> {
    let Incoming { body, watch, .. } = incoming;
    within(std::future::poll_fn(|cx| body.poll_data(cx, watch))).await
}

/// The rest of an answer.
pub(crate) async fn read(incoming: &mut Incoming) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(bytes) = next(incoming).await {
        all.extend_from_slice(&bytes.unwrap());
    }
    all
}
