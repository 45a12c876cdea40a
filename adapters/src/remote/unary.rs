//! Calls of one message each way, for what is said seldom: registering, reporting.

use atp_core::{Error, Rope, Secret, Timeouts};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use http::{Method, Uri};
use prost::Message;
use tonic::{Code, Status};

use super::client::{EndpointError, Place};
use super::frames::{Unframer, framed};
use super::status;
use crate::http_client::{ClientSettings, Collected, Http2, HttpClient, Incoming, Outgoing, SendBody, collect};

/// The largest answer.
const MOST: usize = 1 << 20;

/// A far side that answers calls of one message each way.
pub struct Unary {
    client: HttpClient,
    fields: HeaderMap,
    timeouts: Timeouts,
}

impl Unary {
    /// Joins a far side. Opens nothing. The token, where there is one, goes with every call.
    ///
    /// # Errors
    /// A place, TLS settings or a token that cannot be used.
    pub fn new(
        place: &Place,
        settings: ClientSettings,
        token: Option<&Secret>,
        timeouts: Timeouts,
    ) -> Result<Self, EndpointError> {
        let settings = ClientSettings { http2: Http2::On, ..settings };
        let client = HttpClient::new(place.origin()?, settings, 1)?;
        let mut fields = HeaderMap::new();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        fields.insert(TE, HeaderValue::from_static("trailers"));
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| EndpointError("the token holds bytes that no header can carry".to_owned()))?;
            value.set_sensitive(true);
            fields.insert(AUTHORIZATION, value);
        }
        Ok(Self { client, fields, timeouts })
    }

    /// Calls `path`, `/package.Service/Method`.
    ///
    /// # Errors
    /// The far side's status; `UNAVAILABLE` where it cannot be reached.
    pub async fn call<A: Message, B: Message + Default>(&self, path: &'static str, ask: &A) -> Result<B, Status> {
        let mut out = Outgoing {
            method: Method::POST,
            uri: Uri::from_static(path),
            headers: &self.fields,
            over: None,
            body: SendBody::from(Rope::from(framed(ask))),
            timeouts: self.timeouts,
        };
        let mut incoming = self.client.send(&mut out).await.map_err(|error| unavailable(&error))?;
        if let Some(status) = status::of(&incoming.headers).filter(|status| status.code() != Code::Ok) {
            return Err(status);
        }
        let collected = collect(&mut incoming.body, &mut incoming.watch, MOST).await;
        let bytes = match collected.map_err(|error| unavailable(&error))? {
            Collected::Whole(rope) => rope.to_bytes(),
            Collected::TooLarge(_) => return Err(Status::resource_exhausted("the answer is too large")),
        };
        message(&incoming, bytes)
    }
}

fn message<B: Message + Default>(incoming: &Incoming, bytes: Bytes) -> Result<B, Status> {
    let ended = incoming.body.trailers().and_then(status::of);
    if let Some(status) = ended.filter(|status| status.code() != Code::Ok) {
        return Err(status);
    }
    let mut unframer = Unframer::default();
    unframer.push(bytes);
    let odd = || Status::internal(format!("HTTP status {} and no message: this is no gRPC server", incoming.status));
    let bytes = unframer.next(MOST).ok().flatten().ok_or_else(odd)?;
    B::decode(bytes).map_err(|error| Status::internal(error.to_string()))
}

fn unavailable(error: &Error) -> Status {
    Status::unavailable(error.to_string())
}
