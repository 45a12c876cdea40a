//! gRPC's own statuses: what the far side's machinery says when the adapter itself says nothing.

use std::time::Duration;

use atp_core::{Error, ErrorKind, Retry};
use http::HeaderMap;
use tonic::{Code, Status};

/// How a call ended: its status, as the trailers tell it, or the head where there is nothing else.
pub(super) fn of(fields: &HeaderMap) -> Option<Status> {
    Status::from_header_map(fields)
}

/// A status that is not OK as the house's error. Whose fault it is follows from what the code says of the request;
/// the adapter is the provider here.
pub(super) fn error(status: &Status, place: &str) -> Error {
    let told = if status.message().is_empty() { status.code().description() } else { status.message() };
    let text = format!("the adapter at {place} refused the call: {told}");
    match status.code() {
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition => {
            Error::caller(ErrorKind::ProviderRejected, text)
        }
        Code::NotFound => Error::provider(ErrorKind::ProviderRejected, text),
        Code::Unauthenticated | Code::PermissionDenied => Error::provider(ErrorKind::ProviderAuth, text),
        Code::ResourceExhausted => {
            let pause = retry_after(status).map_or(Retry::Elsewhere, Retry::After);
            Error::provider(ErrorKind::ProviderOverloaded, text).with_retry(pause)
        }
        Code::Unavailable => Error::provider(ErrorKind::ProviderUnreachable, text),
        Code::DeadlineExceeded => Error::provider(ErrorKind::TimeoutTotal, text),
        Code::Unimplemented => Error::provider(ErrorKind::ProviderGarbled, text),
        _ => Error::provider(ErrorKind::ProviderFailed, text),
    }
}

/// What a plain `retry-after` among the fields says, in seconds.
fn retry_after(status: &Status) -> Option<Duration> {
    status.metadata().get("retry-after")?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use atp_core::Side;
    use http::HeaderValue;

    use super::*;

    fn told(code: Code, more: &[(&'static str, &'static str)]) -> Error {
        let mut fields = HeaderMap::new();
        fields.insert("grpc-status", HeaderValue::from(code as i32));
        fields.insert("grpc-message", HeaderValue::from_static("no%20room"));
        for (name, value) in more {
            fields.insert(*name, HeaderValue::from_static(value));
        }
        error(&of(&fields).unwrap(), "127.0.0.1:7070")
    }

    #[test]
    fn a_status_tells_whose_fault_it_is_and_where_to_go() {
        let cases = [
            (Code::InvalidArgument, ErrorKind::ProviderRejected, Side::Caller, Retry::Never),
            (Code::Unauthenticated, ErrorKind::ProviderAuth, Side::Provider, Retry::Elsewhere),
            (Code::ResourceExhausted, ErrorKind::ProviderOverloaded, Side::Provider, Retry::Elsewhere),
            (Code::Unavailable, ErrorKind::ProviderUnreachable, Side::Provider, Retry::Elsewhere),
            (Code::DeadlineExceeded, ErrorKind::TimeoutTotal, Side::Provider, Retry::Elsewhere),
            (Code::Internal, ErrorKind::ProviderFailed, Side::Provider, Retry::Elsewhere),
        ];
        for (code, kind, side, retry) in cases {
            let error = told(code, &[]);
            assert_eq!((error.kind(), error.side(), error.retry()), (kind, side, retry), "{code:?}");
            assert!(error.public().contains("no room") && error.public().contains("127.0.0.1:7070"), "{error}");
        }
        let error = told(Code::ResourceExhausted, &[("retry-after", "3")]);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    }
}
