//! From a native request to the exchange that it stands for.

use std::sync::Arc;

use atp_core::{Caller, Error, ErrorKind, Exchange, Hints, Operation, Restarts, Rope};
use atp_dialects::native::request::{self, Ask, Asked as Asks};
use atp_dialects::openai::chat::{Delivery, Question};
use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use hyper::body::Incoming;

use crate::http::Inner;
use crate::http::asking::Asking;
use crate::intake::{self, Intake};
use crate::respond::Asked;

/// Where a chat is asked, below a provider's base URL.
const CHAT: &str = "/chat/completions";

/// Who asks, and what.
struct Request {
    asking: Asking,
    body: bytes::Bytes,
}

async fn read(inner: &Inner, head: &Parts, body: Incoming, asked: &Asked) -> Result<Request, Error> {
    let asking = Asking::read(inner, &head.headers)?;
    let mut intake = Intake::new(body, &head.headers, &asking.limits, asked.received)?;
    let body = intake::whole(&mut intake).await?;
    Ok(Request { asking, body })
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
    check_tenant(inner, &mut ask, &request.asking.caller)?;
    let exchange = of_ask(&ask, request.asking, head, asked)?;
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
            check_tenant(inner, &mut ask, &request.asking.caller)?;
            let exchange = of_ask(&ask, request.asking, head, asked)?;
            Ok((exchange, ask.notes))
        }
        Asks::Chat => {
            let rope = Rope::from(request.body.clone());
            let mut exchange = of_chat(rope, request.asking, head, asked)?;
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

fn of_ask(ask: &Ask, mut asking: Asking, head: &Parts, asked: &Asked) -> Result<Exchange, Error> {
    let none = Hints::default();
    let hints = ask.hints(asking.wishes.hints.as_deref().unwrap_or(&none));
    let model = ask.model.as_deref().unwrap_or(request::USUAL_MODEL);
    // A name that says how good goes before all else that does.
    let quality = request::named_quality(model).or(hints.quality).unwrap_or_default();
    asking.wishes.qos = asking.wishes.qos.or(Some(request::qos(quality, asking.caller.qos)));
    asking.wishes.session = ask.session.as_deref().map(Arc::from).or(asking.wishes.session);
    asking.wishes.hints = Some(Box::new(hints));
    let delivery = if ask.stream == Some(false) { Delivery::Whole } else { Delivery::Stream };
    let question = Question { model, system: ask.system.as_deref(), prompt: &ask.prompt, max_tokens: ask.max_tokens };
    of_chat(Rope::from(question.body(delivery)), asking, head, asked)
}

/// The exchange of a chat's body.
fn of_chat(rope: Rope, mut asking: Asking, head: &Parts, asked: &Asked) -> Result<Exchange, Error> {
    // Chunks that have gone out stand: the protocol has no message that takes them back.
    asking.wishes.restarts = Restarts::Refused;
    asking.exchange(Operation::Chat, CHAT, rope, onward(&head.headers), asked)
}

/// The headers of the chat. Those of the request describe another body and another answer; only who asks, and the
/// trace that he belongs to, go on.
fn onward(from: &HeaderMap) -> HeaderMap {
    let names = [USER_AGENT, HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];
    names.into_iter().filter_map(|name| from.get(&name).cloned().map(|value| (name, value))).collect()
}
