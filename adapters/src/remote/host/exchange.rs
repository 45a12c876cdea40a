//! The exchange that a call stands for.

use std::sync::Arc;

use atp_core::{Caller, Error, ErrorKind, Exchange, Fields, Operation, Payload, Qos, RequestId, Restarts, Reuse, Rope};
use atp_dialects::scan::scan;
use atp_proto::adapter::v1::RequestHead;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};

use super::super::values;
use crate::http_client::now;

/// The dialect of the bodies that are taken.
const DIALECT: &str = "openai";

/// Makes the exchange of a request's head and of as much of its body as may hold fields.
///
/// # Errors
/// A head that cannot be understood.
pub(super) fn of_head(head: RequestHead, body: &Rope) -> Result<Exchange, Error> {
    let wrong = |field: &'static str, text: String| Error::caller(ErrorKind::InvalidRequest, text).with_param(field);
    if !matches!(head.dialect.as_str(), "" | DIALECT) {
        let text = format!("the dialect {:?} is not spoken here; {DIALECT:?} is", head.dialect);
        return Err(wrong("dialect", text));
    }
    let operation = values::operation_of(head.operation)
        .ok_or_else(|| wrong("operation", format!("the operation {} is not known here", head.operation)))?;
    let method = match head.method.as_str() {
        "" => Method::POST,
        text => Method::from_bytes(text.as_bytes())
            .map_err(|_| wrong("method", format!("{text:?} is no method of HTTP")))?,
    };
    if !head.path.starts_with('/') {
        return Err(wrong("path", format!("the path {:?} does not begin with a slash", head.path)));
    }
    let headers = values::headers_of(head.headers);
    let json = headers.get(CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"application/json"));
    let fields = if json && operation != Operation::Raw { fields(body)? } else { Fields::default() };
    let tenant = if head.tenant.is_empty() { Caller::anonymous().tenant } else { Arc::from(head.tenant) };
    let qos = values::qos_of(&head.qos);
    Ok(Exchange {
        id: RequestId::parse(&head.request_id).unwrap_or_else(|| RequestId::from_parts(0, 0)),
        caller: Arc::new(Caller { tenant, qos, ..Caller::anonymous() }),
        operation,
        model: Arc::from(head.model),
        method,
        path: Arc::from(head.path),
        headers,
        payload: Payload::Rope(Rope::new()),
        stream: head.stream,
        fields,
        qos,
        session: None,
        reuse: Reuse::Allowed,
        restarts: Restarts::Refused,
        patience: None,
        hints: None,
        received: now(),
    })
}

fn fields(body: &Rope) -> Result<Fields, Error> {
    scan(body).map_err(|error| {
        Error::caller(ErrorKind::InvalidRequest, format!("the body is no JSON object: {error}")).with_param("body")
    })
}

/// A chat as an exchange, with its body in the place of the payload.
///
/// # Errors
/// A prompt that is no JSON object, or names no model.
pub fn chat(prompt: &str) -> Result<Exchange, Error> {
    let body = Rope::from(Bytes::copy_from_slice(prompt.as_bytes()));
    let head = RequestHead {
        operation: values::operation(Operation::Chat) as i32,
        path: "/chat/completions".to_owned(),
        qos: Qos::default().label().to_owned(),
        ..RequestHead::default()
    };
    let mut exchange = of_head(head, &body)?;
    let model = exchange.fields.model.clone().filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| {
        Error::caller(ErrorKind::InvalidRequest, "the prompt names no `model`").with_param("prompt_json")
    })?;
    exchange.model = Arc::from(model);
    exchange.stream = exchange.fields.stream == Some(true);
    exchange.headers = json();
    exchange.payload = Payload::Rope(body);
    Ok(exchange)
}

/// The fields of a request whose body is JSON.
pub(super) fn json() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))])
}
