//! Answers on a real connection, HTTP/1.1 and HTTP/2, in front of a gateway that is played by hand.

use std::sync::Arc;

use arc_swap::ArcSwap;
use atp_core::port::{BoxFuture, Gateway, ModelCard};
use atp_core::{AnswerBody, Exchange, MicroUsd, Operation, RateFacts, Report};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::io::duplex;

use super::*;
use crate::{Drain, Entrance, KeyRing, Limits, Settings, near};

/// A stream of two events, or of one that is followed by an error.
struct Events {
    left: Vec<Result<Bytes, Error>>,
    ended: bool,
    price: Option<MicroUsd>,
    report: Report,
}

impl AnswerBody for Events {
    fn poll_chunk(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let next = self.left.pop();
        self.ended |= !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }

    fn report(&self) -> &Report {
        &self.report
    }

    fn cost(&self) -> Option<MicroUsd> {
        self.price.filter(|_| self.ended)
    }
}

/// What the gateway does with an exchange; its model's name says which.
struct Played;

impl Gateway for Played {
    fn call(&self, exchange: Exchange) -> BoxFuture<'static, Reply> {
        assert!(!exchange.headers.contains_key("te"), "`te` goes no further");
        let event = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
        let model = &*exchange.model;
        let first = event("data: 1\n\n");
        let second = match model {
            "broken" => Err(Error::provider(atp_core::ErrorKind::ProviderCut, "gone")),
            _ => event("data: 2\n\n"),
        };
        let price = (model != "priceless").then_some(MicroUsd(12));
        let notes = Notes { cost: price.filter(|_| model == "known"), ..Notes::default() };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))]);
        let body = Events { left: vec![second, first], ended: false, price, report: Report::default() };
        let answer = Answer { status: StatusCode::OK, headers, limits: RateFacts::default(), body: Box::pin(body) };
        Box::pin(std::future::ready(Reply { notes, result: Ok(answer) }))
    }

    fn refused(&self, _: Option<Operation>, error: &Error) {
        panic!("nothing is refused here: {error}");
    }

    fn models(&self) -> Vec<ModelCard> {
        Vec::new()
    }

    fn model(&self, _: &str) -> Option<ModelCard> {
        None
    }
}

fn entrance() -> Entrance {
    let settings = Settings { keys: KeyRing::open(), limits: Limits::default() };
    Entrance::new(Arc::new(Played), Arc::new(ArcSwap::from_pointee(settings)), Arc::new(|_| None), Drain::new())
}

fn body(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[],"stream":true}}"#)
}

/// Asks over HTTP/1.1 with `extra` header lines; gives the answer as it stands on the wire, head and
/// rest.
async fn http1(model: &str, extra: &str) -> (String, String) {
    near::asked(entrance(), "POST /v1/chat/completions", extra, &body(model)).await
}

const WHOLE: &str = "9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n";

#[tokio::test]
async fn a_streams_cost_follows_it_for_who_reads_trailers() {
    for extra in ["te: trailers\r\n", "te: gzip;q=0.5 , Trailers\r\n", "te: gzip\r\nte: trailers\r\n"] {
        let (head, rest) = http1("m", extra).await;
        assert!(head.contains("\r\ntrailer: x-atp-cost-usd") && !head.contains("\r\nx-atp-cost-usd"), "{head}");
        assert_eq!(rest, format!("{WHOLE}x-atp-cost-usd: 0.000012\r\n\r\n"), "{extra}");
    }
}

#[tokio::test]
async fn who_does_not_ask_for_trailers_gets_none() {
    for extra in ["", "te: gzip\r\n", "te: trailers;q=1\r\n", "te: notrailers\r\n"] {
        let (head, rest) = http1("m", extra).await;
        assert!(!head.contains("\r\ntrailer:"), "{head}");
        assert_eq!(rest, format!("{WHOLE}\r\n"), "{extra}");
    }
}

#[tokio::test]
async fn an_unknown_cost_is_left_out_and_a_known_one_is_told_once() {
    let (head, rest) = http1("priceless", "te: trailers\r\n").await;
    assert!(head.contains("\r\ntrailer: x-atp-cost-usd"), "it may have followed: {head}");
    assert_eq!(rest, format!("{WHOLE}\r\n"));
    let (head, rest) = http1("known", "te: trailers\r\n").await;
    assert!(head.contains("\r\nx-atp-cost-usd: 0.000012") && !head.contains("\r\ntrailer:"), "{head}");
    assert_eq!(rest, format!("{WHOLE}\r\n"));
}

#[tokio::test]
async fn a_stream_that_breaks_tells_its_error_and_then_its_cost() {
    let (_, rest) = http1("broken", "te: trailers\r\n").await;
    assert!(rest.starts_with("9\r\ndata: 1\n\n\r\n") && rest.contains("provider_cut"), "{rest}");
    assert!(rest.ends_with("\r\n0\r\nx-atp-cost-usd: 0.000012\r\n\r\n"), "{rest}");
    let (_, rest) = http1("broken", "").await;
    assert!(rest.contains("provider_cut") && rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
}

/// Puts the connection's tasks beside the test.
#[derive(Clone, Copy)]
struct Beside;

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Beside {
    #[expect(clippy::disallowed_methods, reason = "the tasks end with the test's runtime")]
    fn execute(&self, task: F) {
        drop(tokio::spawn(task));
    }
}

#[tokio::test]
async fn http2_has_the_same_trailer() {
    use hyper::rt::Executor as _;
    let (near, far) = duplex(64 << 10);
    let serve = hyper::server::conn::http2::Builder::new(Beside).serve_connection(TokioIo::new(far), entrance());
    Beside.execute(serve);
    let (mut sender, connection) = http2::handshake(Beside, TokioIo::new(near)).await.unwrap();
    Beside.execute(connection);
    for (te, cost) in [(Some("trailers"), Some("0.000012")), (None, None)] {
        let mut request = Request::post("http://x/v1/chat/completions");
        if let Some(te) = te {
            request = request.header(TE, te);
        }
        let response = sender.send_request(request.body(Full::<Bytes>::from(body("m"))).unwrap()).await.unwrap();
        let whole = response.into_body().collect().await.unwrap();
        let told = whole.trailers().and_then(|trailers| trailers.get(COST)).cloned();
        assert_eq!(told, cost.map(HeaderValue::from_static));
        assert_eq!(whole.to_bytes(), "data: 1\n\ndata: 2\n\n");
    }
}
