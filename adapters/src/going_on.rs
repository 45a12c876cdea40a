//! Tries that cannot go on with what another one has begun.

use atp_core::port::Try;
use atp_core::{Continuity, Error, ErrorKind, Retry};

/// The error of a try that cannot go on with the answer. It tells nothing about the provider, which was
/// not asked, so that it is blamed for nothing; `retry` says whether another one may be able to.
pub(crate) fn impossible(text: &'static str, retry: Retry) -> Error {
    Error::router(ErrorKind::Cancelled, text).with_retry(retry)
}

/// Refuses a try that goes on with another, for an adapter that has no such thing.
///
/// # Errors
/// Where the try is one.
pub(crate) fn refuse(attempt: &Try<'_>) -> Result<(), Error> {
    match attempt.continuity {
        Continuity::Continue(_) => {
            Err(impossible("this kind of provider cannot go on with another's answer", Retry::Elsewhere))
        }
        Continuity::None | Continuity::Remember => Ok(()),
    }
}
