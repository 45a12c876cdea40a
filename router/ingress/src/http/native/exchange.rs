//! From a native request to the exchange that it stands for.

use std::sync::Arc;

use atp_core::{Caller, Error, ErrorKind, Exchange, Hints, Operation, Payload, Restarts, Rope};
use atp_dialects::native::request::{self, Ask, Asked as Asks};
use atp_dialects::openai::chat::{Delivery, Question};
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use hyper::body::Incoming;

use crate::http::Inner;
use crate::http::handle::admit;
use crate::http::wishes::Wishes;
use crate::intake::{self, Intake};
use crate::respond::Asked;
use crate::settings::Limits;

/// Where a chat is asked, below a provider's base URL.
const CHAT: &str = "/chat/completions";

/// Who asks, and what he wishes beside his body.
struct Request {
    caller: Arc<Caller>,
    wishes: Wishes,
    limits: Limits,
    body: bytes::Bytes,
}

async fn read(inner: &Inner, head: &Parts, body: Incoming, asked: &Asked) -> Result<Request, Error> {
    let (caller, limits) = admit(inner, &head.headers)?;
    let wishes = Wishes::read(&head.headers, &caller)?;
    let mut intake = Intake::new(body, &head.headers, &limits, asked.received)?;
    let body = intake::whole(&mut intake).await?;
    Ok(Request { caller, wishes, limits, body })
}

/// The exchange of an ask, and what it asks.
pub(super) async fn to_ask(
    inner: &Inner,
    head: &Parts,
    body: Incoming,
    asked: &Asked,
) -> Result<(Exchange, Ask), Error> {
    let request = read(inner, head, body, asked).await?;
    let mut ask = Ask::read(&request.body)?;
    check_tenant(inner, &mut ask, &request.caller)?;
    let exchange = of_ask(&ask, request, head, asked)?;
    Ok((exchange, ask))
}

/// The exchange to be planned, and notes for the caller.
pub(super) async fn to_plan(
    inner: &Inner,
    head: &Parts,
    body: Incoming,
    asked: &Asked,
) -> Result<(Exchange, Vec<String>), Error> {
    let request = read(inner, head, body, asked).await?;
    match Asks::read(&request.body)? {
        Asks::Ask(mut ask) => {
            check_tenant(inner, &mut ask, &request.caller)?;
            let exchange = of_ask(&ask, request, head, asked)?;
            Ok((exchange, ask.notes))
        }
        Asks::Chat => {
            let rope = Rope::from(request.body.clone());
            let mut exchange = of_chat(rope, request, head, asked)?;
            if exchange.model.is_empty() {
                exchange.model = Arc::from(request::USUAL_MODEL);
            }
            Ok((exchange, Vec::new()))
        }
    }
}

/// A tenant that is named has to be the key's own. Where there are no keys there are no tenants to tell apart.
fn check_tenant(inner: &Inner, ask: &mut Ask, caller: &Caller) -> Result<(), Error> {
    let Some(tenant) = ask.tenant.as_deref().filter(|tenant| *tenant != &*caller.tenant) else { return Ok(()) };
    if inner.settings.load().keys.is_open() {
        ask.notes
            .push(format!("tenant has no effect: this router has no keys, so that everybody is `{}`", caller.tenant));
        return Ok(());
    }
    let text = format!(
        "`tenant` is {tenant:?}, and the key `{}` belongs to {:?}; leave it out, or use a key of that tenant",
        caller.key, caller.tenant
    );
    Err(Error::caller(ErrorKind::Permission, text).with_param("tenant"))
}

fn of_ask(ask: &Ask, mut request: Request, head: &Parts, asked: &Asked) -> Result<Exchange, Error> {
    let none = Hints::default();
    let hints = ask.hints(request.wishes.hints.as_deref().unwrap_or(&none));
    let model = ask.model.as_deref().unwrap_or(request::USUAL_MODEL);
    // A name that says how good goes before all else that does.
    let quality = request::named_quality(model).or(hints.quality).unwrap_or_default();
    request.wishes.qos = request.wishes.qos.or(Some(request::qos(quality, request.caller.qos)));
    request.wishes.session = ask.session.as_deref().map(Arc::from).or(request.wishes.session);
    request.wishes.hints = Some(Box::new(hints));
    let delivery = if ask.stream == Some(false) { Delivery::Whole } else { Delivery::Stream };
    let question = Question { model, system: ask.system.as_deref(), prompt: &ask.prompt, max_tokens: ask.max_tokens };
    of_chat(Rope::from(question.body(delivery)), request, head, asked)
}

/// The exchange of a chat's body.
fn of_chat(rope: Rope, request: Request, head: &Parts, asked: &Asked) -> Result<Exchange, Error> {
    let Request { caller, wishes, limits, .. } = request;
    let Wishes { patience, qos, session, reuse, restarts: _, hints } = wishes;
    let fields = intake::scanned(&limits, Operation::Chat, &rope)?;
    let stream = fields.stream == Some(true);
    Ok(Exchange {
        id: asked.id,
        operation: Operation::Chat,
        model: Arc::from(fields.model.as_deref().unwrap_or_default()),
        method: Method::POST,
        path: Arc::from(CHAT),
        headers: onward(&head.headers, stream),
        payload: Payload::Rope(rope),
        fields,
        stream,
        qos: qos.unwrap_or(caller.qos),
        caller,
        session,
        reuse,
        // Chunks that have gone out stand: the protocol has no message that takes them back.
        restarts: Restarts::Refused,
        patience,
        hints,
        received: asked.received,
    })
}

/// The headers of the chat. Those of the request describe another body and another answer; only who asks, and the
/// trace that he belongs to, go on.
fn onward(from: &HeaderMap, stream: bool) -> HeaderMap {
    let accept = if stream { "text/event-stream" } else { "application/json" };
    let mut headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ACCEPT, HeaderValue::from_static(accept)),
    ]);
    for name in [USER_AGENT, HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")] {
        if let Some(value) = from.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers
}
