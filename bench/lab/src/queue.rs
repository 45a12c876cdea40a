//! Who comes next: the router's own fair queue, and the forms that it has to beat.

mod fair;
mod fifo;
mod rounds;

use atp_core::Qos;
use std::fmt::Debug;
use std::time::Instant;

use crate::traffic::Job;

pub(crate) use fair::Fair;
pub(crate) use fifo::Fifo;
pub(crate) use rounds::Rounds;

/// Who waits for a pool, and in which order they leave.
pub(crate) trait Queue: Debug {
    /// Somebody begins to wait.
    fn push(&mut self, job: &Job, coming: Coming, now: Instant);

    /// The next one among the classes that may begin.
    fn pop(&mut self, room: Room, now: Instant) -> Option<usize>;

    /// Somebody gives up; whether he was there.
    fn leave(&mut self, job: &Job) -> bool;

    fn len(&self) -> usize;

    /// How many of a class wait.
    fn len_of(&self, qos: Qos) -> usize;

    /// How many of a request's flow wait.
    fn waits(&mut self, _job: &Job) -> usize {
        0
    }

    /// How many of one flow may wait although the class as a whole has as many as may: its equal part.
    fn equal_part(&self, _qos: Qos, _most: usize) -> usize {
        0
    }

    /// Charges what a request has used beyond what it was charged; negative to give back.
    fn charge(&mut self, _job: &Job, _delta: i64) {}

    /// Whether requests are charged by tokens here: their estimate when they leave the queue.
    fn charges(&self) -> Charges {
        Charges::Nothing
    }
}

/// Whether a request comes for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coming {
    New,
    /// It began already and has to begin again: it was charged, and goes first.
    Again,
}

/// Whether a queue keeps books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charges {
    Nothing,
    Tokens,
}

/// Which classes may begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    pub(crate) gold: bool,
    pub(crate) others: bool,
}

impl Room {
    /// Whether a request of this class finds a slot.
    pub(crate) fn admits(self, qos: Qos) -> bool {
        match qos {
            Qos::Gold => self.gold,
            Qos::Silver | Qos::Bronze => self.others,
        }
    }
}
