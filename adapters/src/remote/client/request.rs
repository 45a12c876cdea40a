//! A try as the protocol writes it.

use std::time::Duration;

use atp_core::port::Try;
use atp_core::{Continuity, Exchange};
use atp_proto::adapter::v1::RequestHead;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::{frames, values};
use crate::http_client::SendBody;

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The call's deadline, for servers that know nothing of the timers in the message.
pub(super) fn deadline(total: Duration) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(1);
    // Eight digits at the most (gRPC over HTTP/2, "Timeout").
    let millis = total.as_millis().clamp(1, 99_999_999);
    if let Ok(value) = HeaderValue::try_from(format!("{millis}m")) {
        fields.insert(TIMEOUT, value);
    }
    fields
}

/// The request's messages.
pub(super) fn body(attempt: Try<'_>) -> SendBody {
    let head = head(&attempt);
    frames::request(&head, attempt.payload)
}

fn head(attempt: &Try<'_>) -> RequestHead {
    let exchange = attempt.exchange;
    RequestHead {
        request_id: exchange.id.to_string(),
        operation: values::operation(exchange.operation) as i32,
        dialect: "openai".to_owned(),
        model: attempt.model.to_owned(),
        method: method(exchange),
        path: exchange.path.to_string(),
        headers: values::headers(&exchange.headers),
        stream: exchange.stream,
        ceiling: attempt.ceiling,
        timeouts: Some(values::timeouts(&attempt.timeouts)),
        resume: match attempt.continuity {
            Continuity::Continue(resume) => Some(values::resume(resume)),
            Continuity::None | Continuity::Remember => None,
        },
        tenant: exchange.caller.tenant.to_string(),
        qos: exchange.qos.label().to_owned(),
    }
}

fn method(exchange: &Exchange) -> String {
    if exchange.method == http::Method::POST { String::new() } else { exchange.method.to_string() }
}
