//! What can go wrong between a request and an answer's head, and how it is told.

use std::io;

use atp_core::{Error, ErrorKind};
use http::Request;

use super::payload::SendBody;

/// A transport failure.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection could be made.
    Connect(io::Error),
    /// No connection within the limit.
    ConnectTimeout(std::time::Duration),
    /// TLS could not be agreed on.
    Tls(io::Error),
    /// The connection ended before the answer's head was complete.
    Cut(hyper::Error),
    /// What came is not HTTP.
    Garbled(hyper::Error),
    /// The request's own body failed while it was sent: the caller's doing.
    Body(hyper::Error),
    /// A timer ran out, or another error that is already told.
    Told(Error),
}

/// What is left of a request after a failure.
pub(crate) enum Sent {
    /// It was never written.
    Returned(Box<Request<SendBody>>),
    /// It may have been written.
    Gone,
}

impl Failure {
    /// Sorts a hyper error.
    pub(crate) fn from_hyper(error: hyper::Error) -> Self {
        if error.is_parse() {
            Self::Garbled(error)
        } else if error.is_user() {
            Self::Body(error)
        } else {
            Self::Cut(error)
        }
    }

    /// Whether the connection ended without a word of an answer.
    pub(crate) fn before_answer(&self) -> bool {
        matches!(self, Self::Cut(_))
    }

    /// The one error value. `authority` names the far side.
    pub(crate) fn into_error(self, authority: &str) -> Error {
        match self {
            Self::Connect(cause) => Error::provider(
                ErrorKind::ProviderUnreachable,
                format!("could not connect to the provider at {authority}"),
            )
            .with_cause(cause),
            Self::ConnectTimeout(limit) => Error::provider(
                ErrorKind::TimeoutConnect,
                format!("no connection to the provider at {authority} within {limit:?}"),
            ),
            Self::Tls(cause) => {
                Error::provider(ErrorKind::ProviderUnreachable, format!("TLS with the provider at {authority} failed"))
                    .with_cause(cause)
            }
            Self::Cut(cause) => {
                Error::provider(ErrorKind::ProviderCut, "the provider closed the connection before it answered")
                    .with_cause(chain(&cause))
            }
            Self::Garbled(cause) => Error::provider(ErrorKind::ProviderGarbled, "the provider's answer is not HTTP")
                .with_cause(chain(&cause)),
            Self::Body(cause) => {
                Error::caller(ErrorKind::Cancelled, "the request's body ended before all of it was read")
                    .with_cause(chain(&cause))
            }
            Self::Told(error) => error,
        }
    }
}

/// A hyper error with its causes, which its own text leaves out.
pub(crate) fn chain(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
