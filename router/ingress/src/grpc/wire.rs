//! Answers of the router's own service on the wire: messages behind their prefixes, and the status behind them.

use std::pin::Pin;
use std::task::{Context, Poll};

use atp_core::{Error, Notes};
use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Body, Frame};
use prost::Message;
use tonic::Status;

use super::{call, status};
use crate::respond::{self, Asked, Broken, MadeBody, OutBody};

/// What messages may be packed in; told where something is refused, because that may be why.
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// One message, and that all went well.
pub(super) fn unary(message: &impl Message, headers: HeaderMap, asked: &Asked) -> Response<OutBody> {
    let mut out = BytesMut::new();
    call::put(message, &mut out);
    response(Box::pin(Whole { message: Some(out.freeze()), told: false }), headers, asked)
}

/// Messages that come as they are made, with their status behind them.
pub(super) fn response(body: MadeBody, headers: HeaderMap, asked: &Asked) -> Response<OutBody> {
    let mut response = Response::new(OutBody::Made(body));
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    asked.mark(response.headers_mut());
    response
}

/// No message, and why.
pub(super) fn refusal(error: &Error, notes: Option<&Notes>, asked: &Asked) -> Response<OutBody> {
    let mut response = Response::new(OutBody::full(Bytes::new()));
    let headers = response.headers_mut();
    *headers = status::headers(error);
    if let Some(notes) = notes {
        respond::notes(notes, asked.received, headers);
    }
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    asked.mark(headers);
    response
}

/// The metadata of an answer: the provider's facts but for those of its body, and the router's notes.
pub(super) fn told(mut headers: HeaderMap, notes: &Notes, asked: &Asked) -> HeaderMap {
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, CACHE_CONTROL] {
        headers.remove(name);
    }
    respond::notes(notes, asked.received, &mut headers);
    headers
}

/// That all went well, as trailers.
pub(super) fn well() -> HeaderMap {
    HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from_static("0"))])
}

/// A body of one message.
struct Whole {
    message: Option<Bytes>,
    told: bool,
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        let told = std::mem::replace(&mut self.told, true);
        Poll::Ready((!told).then(|| Ok(Frame::trailers(well()))))
    }

    fn is_end_stream(&self) -> bool {
        self.told
    }
}
