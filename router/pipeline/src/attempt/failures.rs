//! What failed tries tell: whether another one may help, and which error the caller gets in the end.

use std::time::Duration;

use atp_core::{Error, ErrorKind, Retry, Side};
use atp_routing::Again;

/// Whether another target may serve what failed with `error`.
pub(crate) fn elsewhere(error: &Error) -> bool {
    error.side() != Side::Caller && error.retry() != Retry::Never
}

/// Whether the same target may.
///
/// Not where it would refuse in the same way (credentials), and not where it was silent until a
/// timer ran out: the caller has waited long, and the provider may have done, and billed, the work.
pub(super) fn again(error: &Error) -> Again {
    match (error.kind(), error.retry()) {
        (
            ErrorKind::ProviderAuth
            | ErrorKind::Configuration
            | ErrorKind::TimeoutFirstByte
            | ErrorKind::TimeoutIdle
            | ErrorKind::TimeoutTotal,
            _,
        )
        | (_, Retry::Never) => Again::No,
        (_, Retry::After(pause)) => Again::After(pause),
        (_, Retry::Elsewhere) => Again::Paused,
    }
}

/// The errors of the tries that were given up.
#[derive(Default)]
pub(crate) struct Failures {
    last: Option<Error>,
    /// Of overloaded targets, the one that will be free soonest; `None` once any failed otherwise.
    soonest: Option<Error>,
    mixed: bool,
}

impl Failures {
    /// Notes a failed try.
    pub(crate) fn add(&mut self, error: Error) {
        if error.kind() == ErrorKind::ProviderOverloaded {
            let free = |error: &Error| error.retry_after().unwrap_or(Duration::MAX);
            if self.soonest.as_ref().is_none_or(|before| free(&error) < free(before)) {
                self.soonest = Some(error.clone());
            }
        } else {
            self.mixed = true;
        }
        self.last = Some(error);
    }

    /// The error for the caller, when the try that failed with `last` was the last one: where every
    /// target is overloaded, the one that will be free soonest, with its pause; else the last. That the
    /// exchange's time is up is always told.
    pub(crate) fn worst(mut self, last: Error) -> Error {
        if self.last.is_none() || last.kind() == ErrorKind::TimeoutTotal {
            return last;
        }
        self.add(last.clone());
        self.soonest.filter(|_| !self.mixed).unwrap_or(last)
    }

    /// The error for the caller, when no time is left for another try.
    pub(super) fn out_of_time(&self, total: Duration) -> Error {
        let text = format!("no answer within {} ms, the exchange's total time", total.as_millis());
        let error = Error::provider(ErrorKind::TimeoutTotal, text).with_retry(Retry::Never);
        match &self.last {
            Some(last) => error.with_cause(last),
            None => error,
        }
    }
}
