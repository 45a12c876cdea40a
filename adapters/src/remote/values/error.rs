//! The one error value over the wire: whose fault, whether another try may help, and the provider's own words.

use std::time::Duration;

use atp_core::error::ProviderReply;
use atp_core::{Error, ErrorKind, Retry, Side};
use atp_proto::adapter::v1 as wire;
use http::StatusCode;

use super::{headers, headers_of, limits, limits_of, millis};

pub(in super::super) fn error_value(error: &Error) -> wire::ErrorValue {
    let (retry, pause) = match error.retry() {
        Retry::Never => (wire::Retry::Never, 0),
        Retry::Elsewhere => (wire::Retry::Elsewhere, 0),
        Retry::After(pause) => (wire::Retry::After, millis(pause)),
    };
    let side = match error.side() {
        Side::Caller => wire::Side::Caller,
        Side::Router => wire::Side::Router,
        Side::Provider => wire::Side::Provider,
    };
    wire::ErrorValue {
        code: error.kind().code().to_owned(),
        side: side as i32,
        retry: retry as i32,
        retry_after_ms: pause,
        message: error.public().to_owned(),
        param: error.param().map(ToOwned::to_owned),
        cause: error.cause().map(ToOwned::to_owned),
        provider: error.provider_reply().map(|reply| wire::ProviderReply {
            status: u32::from(reply.status.as_u16()),
            headers: headers(&reply.headers),
            body: reply.body.clone(),
            limits: limits(&reply.limits),
        }),
    }
}

/// An error of an adapter. One that says nothing of whose fault it is counts as the provider's, which another
/// target may cure.
pub(in super::super) fn error_of(value: wire::ErrorValue) -> Error {
    let kind = ErrorKind::parse(&value.code).unwrap_or(ErrorKind::ProviderFailed);
    let side = match wire::Side::try_from(value.side) {
        Ok(wire::Side::Caller) => Side::Caller,
        Ok(wire::Side::Router) => Side::Router,
        Ok(wire::Side::Provider | wire::Side::Unspecified) | Err(_) => Side::Provider,
    };
    let retry = match wire::Retry::try_from(value.retry) {
        Ok(wire::Retry::Never) => Retry::Never,
        Ok(wire::Retry::After) => Retry::After(Duration::from_millis(value.retry_after_ms)),
        Ok(wire::Retry::Elsewhere) => Retry::Elsewhere,
        Ok(wire::Retry::Unspecified) | Err(_) if side == Side::Caller => Retry::Never,
        Ok(wire::Retry::Unspecified) | Err(_) => Retry::Elsewhere,
    };
    let message = if value.message.is_empty() { "the adapter gave no reason".to_owned() } else { value.message };
    let mut error = Error::new(kind, side, message).with_retry(retry);
    if let Some(param) = value.param {
        error = error.with_param(param);
    }
    if let Some(cause) = value.cause {
        error = error.with_cause(cause);
    }
    match value.provider.and_then(reply_of) {
        Some(reply) => error.with_provider_reply(reply),
        None => error,
    }
}

/// `None` where the status is none.
fn reply_of(reply: wire::ProviderReply) -> Option<ProviderReply> {
    let status = StatusCode::from_u16(u16::try_from(reply.status).ok()?).ok()?;
    Some(ProviderReply {
        status,
        headers: headers_of(reply.headers),
        body: reply.body,
        limits: limits_of(reply.limits),
    })
}

#[cfg(test)]
mod tests {
    use atp_core::RateFacts;
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn an_error_goes_over_whole() {
        let mut map = HeaderMap::new();
        map.insert("retry-after", HeaderValue::from_static("2"));
        let reply = ProviderReply {
            status: StatusCode::TOO_MANY_REQUESTS,
            headers: map.clone(),
            body: Bytes::from_static(b"{}"),
            limits: RateFacts::default(),
        };
        for kind in ErrorKind::ALL {
            for (side, retry) in [
                (Side::Caller, Retry::Never),
                (Side::Router, Retry::Elsewhere),
                (Side::Provider, Retry::After(Duration::from_millis(1700))),
            ] {
                let error = Error::new(kind, side, "no").with_retry(retry).with_param("model").with_cause("because");
                let back = error_of(error_value(&error.with_provider_reply(reply.clone())));
                assert_eq!((back.kind(), back.side(), back.retry()), (kind, side, retry));
                assert_eq!((back.public(), back.param(), back.cause()), ("no", Some("model"), Some("because")));
                let told = back.provider_reply().unwrap();
                assert_eq!((told.status, &told.headers), (StatusCode::TOO_MANY_REQUESTS, &map));
            }
        }
    }

    #[test]
    fn an_error_that_says_little_is_the_providers() {
        let error = error_of(wire::ErrorValue { code: "odd".to_owned(), side: 77, ..Default::default() });
        assert_eq!((error.kind(), error.side()), (ErrorKind::ProviderFailed, Side::Provider));
        assert_eq!(error.retry(), Retry::Elsewhere);
        assert!(!error.public().is_empty());
    }
}
