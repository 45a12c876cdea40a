//! The books of an exchange whose answer no provider made for it. It costs nothing, and its row names no
//! provider.

use atp_core::{Answer, Error, MicroUsd, Reply, Reused};
use smallvec::SmallVec;

use super::{Body, Books};
use crate::clock;

impl Books {
    /// Notes that the exchange waits for the call of another one.
    pub(crate) fn joins(&mut self) {
        self.asked_at.get_or_insert_with(clock::now);
    }

    /// Notes that an answer begins that was made for another exchange, or before.
    pub(crate) fn reuse(mut self, answer: Answer, reused: Reused) -> Reply {
        let now = clock::now();
        self.wait_ends(now);
        self.answered_at = Some(now);
        self.reused = Some(reused);
        self.status = answer.status.as_u16();
        let mut notes = self.notes();
        notes.cost = Some(MicroUsd::default());
        let Answer { status, headers, limits, body } = answer;
        let body = Box::pin(Body::new(self, body, SmallVec::new(), false));
        Reply { notes, result: Ok(Answer { status, headers, limits, body }) }
    }

    /// Closes the books with the error of the call that the exchange shared.
    pub(crate) fn refuse_joined(mut self, error: Error) -> Reply {
        self.reused = Some(Reused::Coalesced);
        self.refuse(error)
    }
}
