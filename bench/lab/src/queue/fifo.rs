//! First come, first served.

use atp_core::Qos;
use std::collections::VecDeque;
use std::time::Instant;

use super::{Coming, Queue, Room};
use crate::traffic::Job;

#[derive(Debug, Default)]
pub(crate) struct Fifo {
    line: VecDeque<(usize, Qos)>,
}

impl Queue for Fifo {
    fn push(&mut self, job: &Job, coming: Coming, _now: Instant) {
        match coming {
            Coming::New => self.line.push_back((job.id, job.qos)),
            Coming::Again => self.line.push_front((job.id, job.qos)),
        }
    }

    fn pop(&mut self, room: Room, _now: Instant) -> Option<usize> {
        let (_, qos) = self.line.front()?;
        if !room.admits(*qos) {
            return None;
        }
        self.line.pop_front().map(|(id, _)| id)
    }

    fn leave(&mut self, job: &Job) -> bool {
        let place = self.line.iter().position(|(id, _)| *id == job.id);
        place.and_then(|place| self.line.remove(place)).is_some()
    }

    fn len(&self) -> usize {
        self.line.len()
    }

    fn len_of(&self, qos: Qos) -> usize {
        self.line.iter().filter(|(_, of)| *of == qos).count()
    }
}
