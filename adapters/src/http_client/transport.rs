//! What can go wrong between a request and an answer's head, and how it is told.

use std::io;

use atp_core::{Error, ErrorKind};

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
    /// A shared connection, or a stream of it, ended before the answer's head was complete.
    Cut(hyper::Error),
    /// A connection of its own ended without a word of an answer.
    Closed(Option<io::Error>),
    /// What came is not HTTP.
    Garbled(String),
    /// The request's own body failed while it was sent: the caller's doing.
    Body(Error),
    /// A timer ran out, or another error that is already told.
    Told(Error),
}

/// What is left of a request after a failure.
pub(crate) enum Sent {
    /// It was never written; this is its body.
    Returned(Box<SendBody>),
    /// It may have been written.
    Gone,
}

/// Whether a connection has served before, so that its far side may have closed it meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reused {
    Yes,
    No,
}

impl Failure {
    /// Sorts a hyper error.
    pub(crate) fn from_hyper(error: hyper::Error) -> Self {
        if error.is_parse() {
            Self::Garbled(chain(&error))
        } else if error.is_user() {
            let text = "the request's body ended before all of it was read";
            Self::Body(Error::caller(ErrorKind::Cancelled, text).with_cause(chain(&error)))
        } else {
            Self::Cut(error)
        }
    }

    /// Whether the request may be sent again without asking anybody: the provider has refused it
    /// unseen, or its connection, which was a kept one where `reused`, ended without a word of an
    /// answer. A stream that it resets for another reason is its answer to this very request.
    pub(crate) fn is_of_the_connection(&self, sent: &Sent, reused: Reused) -> bool {
        let error = match self {
            Self::Cut(error) => error,
            Self::Closed(_) => return matches!(sent, Sent::Returned(_)) || reused == Reused::Yes,
            _ => return false,
        };
        let h2 = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
        match h2 {
            // REFUSED_STREAM, and streams beyond the last one that a GOAWAY names, were not
            // processed (RFC 9113, 8.7).
            Some(error) if error.is_reset() => error.reason() == Some(h2::Reason::REFUSED_STREAM),
            Some(error) if error.is_go_away() && error.is_remote() => true,
            _ => matches!(sent, Sent::Returned(_)) || reused == Reused::Yes,
        }
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
            Self::Cut(cause) => unanswered().with_cause(chain(&cause)),
            Self::Closed(None) => unanswered(),
            Self::Closed(Some(cause)) => unanswered().with_cause(cause),
            Self::Garbled(cause) => {
                Error::provider(ErrorKind::ProviderGarbled, "the provider's answer is not HTTP").with_cause(cause)
            }
            Self::Body(error) | Self::Told(error) => error,
        }
    }
}

fn unanswered() -> Error {
    Error::provider(ErrorKind::ProviderCut, "the provider closed the connection before it answered")
}

/// A body error of hyper's as the house's error.
pub(crate) fn cut(error: &hyper::Error) -> Error {
    if error.is_parse() {
        return Error::provider(ErrorKind::ProviderGarbled, "the provider's answer is not HTTP")
            .with_cause(chain(error));
    }
    Error::provider(ErrorKind::ProviderCut, "the provider's answer broke off").with_cause(chain(error))
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
