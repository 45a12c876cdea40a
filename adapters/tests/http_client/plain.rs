//! HTTP/1.1: what goes out byte by byte, what comes back however it is cut, and what becomes of the
//! connection.

use std::sync::Arc;
use std::time::Duration;

use atp_adapters::http_client::{ClientSettings, Http2, HttpClient, Incoming, Origin, Outgoing, SendBody};
use atp_core::{Error, ErrorKind, Rope};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::far_side::{next, read, rope, send, spawn, timeouts, until, within};

/// A server that hands out its sockets.
struct Plain {
    listener: TcpListener,
    client: Arc<HttpClient>,
}

impl Plain {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let origin = Origin::parse(&format!("http://127.0.0.1:{port}/v1")).unwrap();
        let settings = ClientSettings { http2: Http2::Off, ..ClientSettings::default() };
        Self { listener, client: Arc::new(HttpClient::new(origin, settings, 1).unwrap()) }
    }

    async fn accept(&self) -> TcpStream {
        within(self.listener.accept()).await.unwrap().0
    }

    fn ask(&self, body: SendBody) -> tokio::task::JoinHandle<Result<Incoming, Error>> {
        let client = Arc::clone(&self.client);
        spawn(async move { send(&client, body).await })
    }

    /// Sends `{}` and gives the answer `wire`, on `socket` or on a new one.
    async fn exchange(&self, socket: Option<TcpStream>, wire: &[u8]) -> (Result<Incoming, Error>, TcpStream) {
        let asked = self.ask(rope(b"{}"));
        let mut socket = match socket {
            Some(socket) => socket,
            None => self.accept().await,
        };
        request(&mut socket).await;
        socket.write_all(wire).await.unwrap();
        (within(asked).await.unwrap(), socket)
    }
}

/// Reads one request with a length: its head and its body.
async fn request(socket: &mut TcpStream) -> (String, Vec<u8>) {
    let mut all = Vec::new();
    let end = loop {
        if let Some(at) = all.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        assert_ne!(within(socket.read_buf(&mut all)).await.unwrap(), 0, "a request");
    };
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let told = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = told.map_or(0, |told| told.parse().unwrap());
    while all.len() < end + length {
        assert_ne!(within(socket.read_buf(&mut all)).await.unwrap(), 0, "a body");
    }
    (head, all.split_off(end))
}

const SHORT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_request_stands_on_the_wire_as_the_standard_says() {
    let far = Plain::start().await;
    let asked = far.ask(rope(b"{\"model\":\"m\"}"));
    let mut socket = far.accept().await;
    let (head, body) = request(&mut socket).await;
    let host = far.client.origin().host_header().to_str().unwrap();
    assert_eq!(head, format!("POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: 13\r\n\r\n"));
    assert_eq!(body, b"{\"model\":\"m\"}");
    socket.write_all(SHORT).await.unwrap();
    assert_eq!(read(&mut within(asked).await.unwrap().unwrap()).await, b"ok");
}

#[tokio::test]
async fn a_connection_serves_again_and_again() {
    let far = Plain::start().await;
    let mut kept = None;
    for _ in 0..5 {
        let (incoming, socket) = far.exchange(kept.take(), SHORT).await;
        assert_eq!(read(&mut incoming.unwrap()).await, b"ok");
        assert_eq!(far.client.connections(), 1);
        kept = Some(socket);
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced() {
    let far = Plain::start().await;
    let (incoming, socket) = far.exchange(None, SHORT).await;
    read(&mut incoming.unwrap()).await;
    drop(socket);
    let (incoming, _socket) = far.exchange(None, SHORT).await;
    assert_eq!(read(&mut incoming.unwrap()).await, b"ok");
}

#[tokio::test]
async fn a_request_that_meets_the_close_is_sent_once_more() {
    let far = Plain::start().await;
    let (incoming, mut socket) = far.exchange(None, SHORT).await;
    read(&mut incoming.unwrap()).await;
    let asked = far.ask(rope(b"{}"));
    request(&mut socket).await;
    drop(socket);
    let mut socket = far.accept().await;
    request(&mut socket).await;
    // A second close, on a fresh connection, is an answer.
    drop(socket);
    assert_eq!(within(asked).await.unwrap().map(|_| ()).unwrap_err().kind(), ErrorKind::ProviderCut);
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_asked_for_again() {
    let far = Plain::start().await;
    let (incoming, mut socket) = far.exchange(None, SHORT).await;
    read(&mut incoming.unwrap()).await;
    let asked = far.ask(rope(b"{}"));
    request(&mut socket).await;
    socket.write_all(b"HTTP/1.1 200 O").await.unwrap();
    drop(socket);
    assert_eq!(within(asked).await.unwrap().map(|_| ()).unwrap_err().kind(), ErrorKind::ProviderCut);
    assert!(tokio::time::timeout(Duration::from_millis(50), far.listener.accept()).await.is_err());
}

#[tokio::test]
async fn a_body_that_is_cut_is_an_error() {
    for wire in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let far = Plain::start().await;
        let (incoming, socket) = far.exchange(None, wire).await;
        let mut incoming = incoming.unwrap();
        assert_eq!(next(&mut incoming).await.unwrap().unwrap(), "half");
        drop(socket);
        assert_eq!(next(&mut incoming).await.unwrap().unwrap_err().kind(), ErrorKind::ProviderCut);
        drop(incoming);
        until("the connection is gone", || far.client.connections() == 0).await;
    }
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_its_connection() {
    let far = Plain::start().await;
    let (incoming, mut socket) = far.exchange(None, b"HTTP/1.1 200 OK\r\n\r\nfirst").await;
    let mut incoming = incoming.unwrap();
    assert_eq!(next(&mut incoming).await.unwrap().unwrap(), "first");
    socket.write_all(b"last").await.unwrap();
    assert_eq!(next(&mut incoming).await.unwrap().unwrap(), "last");
    drop(socket);
    assert!(next(&mut incoming).await.is_none());
    assert_eq!(far.client.connections(), 0);
}

#[tokio::test]
async fn what_is_no_http_is_told_as_such() {
    for wire in [
        &b"SSH-2.0-x\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let far = Plain::start().await;
        let (incoming, _socket) = far.exchange(None, wire).await;
        let error = match incoming {
            Ok(mut incoming) => next(&mut incoming).await.unwrap().unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::ProviderGarbled);
        until("the connection is gone", || far.client.connections() == 0).await;
    }
}

#[tokio::test]
async fn bytes_behind_an_answer_end_the_connection() {
    let far = Plain::start().await;
    let wire = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let (incoming, _socket) = far.exchange(None, wire).await;
    assert_eq!(read(&mut incoming.unwrap()).await, b"ok");
    assert_eq!(far.client.connections(), 0, "nobody else gets the rest for an answer");
}

#[tokio::test]
async fn bytes_that_come_between_two_requests_end_the_connection() {
    let far = Plain::start().await;
    let (incoming, mut socket) = far.exchange(None, SHORT).await;
    read(&mut incoming.unwrap()).await;
    socket.write_all(SHORT).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (incoming, _new) = far.exchange(None, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nright").await;
    assert_eq!(read(&mut incoming.unwrap()).await, b"right");
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_an_upload_is_the_answer() {
    let far = Plain::start().await;
    let upload: &'static [u8] = Box::leak(vec![b'x'; 8 << 20].into_boxed_slice());
    let asked = far.ask(rope(upload));
    let mut socket = far.accept().await;
    let mut some = vec![0; 64 << 10];
    within(socket.read_exact(&mut some)).await.unwrap();
    socket.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig").await.unwrap();
    let mut incoming = within(asked).await.unwrap().unwrap();
    assert_eq!(incoming.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(read(&mut incoming).await, b"big");
    assert_eq!(far.client.connections(), 0);
}

#[tokio::test]
async fn answers_that_only_announce_one_are_passed_over() {
    for cut in [0, 10, 25, 40] {
        let far = Plain::start().await;
        let wire = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let (first, second) = wire.split_at(cut);
        let asked = far.ask(rope(b"{}"));
        let mut socket = far.accept().await;
        request(&mut socket).await;
        socket.write_all(first).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        socket.write_all(second).await.unwrap();
        let mut incoming = within(asked).await.unwrap().unwrap();
        assert_eq!((incoming.status, read(&mut incoming).await), (StatusCode::OK, b"ok".to_vec()));
        assert_eq!(far.client.connections(), 1);
    }
}

#[tokio::test]
async fn an_answer_without_a_body_leaves_the_connection_to_the_next() {
    let far = Plain::start().await;
    let headers = HeaderMap::new();
    let uri = far.client.origin().target("/files").unwrap();
    let client = Arc::clone(&far.client);
    let asked = spawn(async move {
        let body = SendBody::from(Rope::new());
        let mut out = Outgoing { method: Method::HEAD, uri, headers: &headers, over: None, body, timeouts: timeouts() };
        client.send(&mut out).await
    });
    let mut socket = far.accept().await;
    let (head, _) = request(&mut socket).await;
    assert_eq!(head, "HEAD /v1/files HTTP/1.1\r\n\r\n");
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n").await.unwrap();
    assert!(next(&mut within(asked).await.unwrap().unwrap()).await.is_none());
    let (incoming, _socket) = far.exchange(Some(socket), SHORT).await;
    assert_eq!(read(&mut incoming.unwrap()).await, b"ok");
}

#[tokio::test]
async fn a_caller_who_leaves_closes_the_socket() {
    let far = Plain::start().await;
    let (incoming, mut socket) = far.exchange(None, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    drop(incoming);
    let mut rest = Vec::new();
    assert_eq!(within(socket.read_to_end(&mut rest)).await.unwrap(), 0);
    let asked = far.ask(rope(b"{}"));
    let mut socket = far.accept().await;
    request(&mut socket).await;
    asked.abort();
    assert_eq!(within(socket.read_to_end(&mut rest)).await.unwrap(), 0);
    until("nothing is open", || far.client.connections() == 0).await;
}

#[tokio::test]
async fn a_large_answer_comes_whole_and_a_slow_reader_holds_little() {
    let far = Plain::start().await;
    let asked = far.ask(rope(b"{}"));
    let mut socket = far.accept().await;
    request(&mut socket).await;
    let body: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    let sent = body.clone();
    let writing = spawn(async move {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", sent.len());
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&sent).await.unwrap();
        socket
    });
    let mut incoming = within(asked).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!writing.is_finished(), "what nobody reads stays with the provider");
    assert!(read(&mut incoming).await == body);
    within(writing).await.unwrap();
    assert_eq!(far.client.connections(), 1);
}

#[tokio::test]
async fn pieces_of_a_large_answer_share_their_memory() {
    let far = Plain::start().await;
    let asked = far.ask(rope(b"{}"));
    let mut socket = far.accept().await;
    socket.set_nodelay(true).unwrap();
    request(&mut socket).await;
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await.unwrap();
    let mut incoming = within(asked).await.unwrap().unwrap();
    let mut pieces = Vec::new();
    for _ in 0..10 {
        socket.write_all(&[b'x'; 1_000]).await.unwrap();
        pieces.push(next(&mut incoming).await.unwrap().unwrap());
    }
    // Ten pieces that hold a block of 64 KiB each would be this far from each other.
    let places: Vec<usize> = pieces.iter().map(|piece| piece.as_ptr() as usize).collect();
    let spread = places.iter().max().unwrap() - places.iter().min().unwrap();
    assert!(spread < 64 * 1024, "{places:?}");
}

/// Cuts an answer in pieces that arrive one by one.
async fn arrives(wire: Vec<u8>, step: usize) -> (Vec<u8>, usize) {
    let far = Plain::start().await;
    let asked = far.ask(rope(b"{}"));
    let mut socket = far.accept().await;
    socket.set_nodelay(true).unwrap();
    request(&mut socket).await;
    let writing = spawn(async move {
        for piece in wire.chunks(step) {
            socket.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        socket
    });
    let mut incoming = within(asked).await.unwrap().unwrap();
    let body = read(&mut incoming).await;
    let _socket = within(writing).await.unwrap();
    (body, far.client.connections())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_an_answer_is_cut_it_is_the_same(
        runs in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3_000), 1..6),
        step in 1usize..4_000,
        chunked: bool,
    ) {
        let body = runs.concat();
        let mut wire = Vec::new();
        if chunked {
            wire.extend_from_slice(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            for run in &runs {
                wire.extend_from_slice(format!("{:x}\r\n", run.len()).as_bytes());
                wire.extend_from_slice(run);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
        } else {
            wire.extend_from_slice(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes());
            wire.extend_from_slice(&body);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (read, open) = runtime.block_on(arrives(wire, step));
        prop_assert_eq!(Bytes::from(read), Bytes::from(body));
        prop_assert_eq!(open, 1);
    }
}
