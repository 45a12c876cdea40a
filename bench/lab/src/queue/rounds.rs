//! Round robin between tenants by the number of requests: each gets one turn a round, whatever it costs.

use atp_core::Qos;
use std::collections::VecDeque;
use std::time::Instant;

use super::{Coming, Queue, Room};
use crate::traffic::Job;

#[derive(Debug, Default)]
pub(crate) struct Rounds {
    /// A line per tenant, by its place.
    lines: Vec<VecDeque<(usize, Qos)>>,
    /// The tenant whose turn it is.
    turn: usize,
    len: usize,
}

impl Queue for Rounds {
    fn push(&mut self, job: &Job, coming: Coming, _now: Instant) {
        if self.lines.len() <= job.tenant {
            self.lines.resize_with(job.tenant + 1, VecDeque::new);
        }
        let Some(line) = self.lines.get_mut(job.tenant) else { return };
        match coming {
            Coming::New => line.push_back((job.id, job.qos)),
            Coming::Again => line.push_front((job.id, job.qos)),
        }
        self.len += 1;
    }

    fn pop(&mut self, room: Room, _now: Instant) -> Option<usize> {
        let tenants = self.lines.len();
        for step in 0..tenants {
            let place = (self.turn + step) % tenants;
            let Some(line) = self.lines.get_mut(place) else { continue };
            if !line.front().is_some_and(|(_, qos)| room.admits(*qos)) {
                continue;
            }
            self.turn = (place + 1) % tenants;
            self.len -= 1;
            return line.pop_front().map(|(id, _)| id);
        }
        None
    }

    fn leave(&mut self, job: &Job) -> bool {
        let Some(line) = self.lines.get_mut(job.tenant) else { return false };
        let place = line.iter().position(|(id, _)| *id == job.id);
        let found = place.and_then(|place| line.remove(place)).is_some();
        self.len -= usize::from(found);
        found
    }

    fn len(&self) -> usize {
        self.len
    }

    fn len_of(&self, qos: Qos) -> usize {
        self.lines.iter().flatten().filter(|(_, of)| *of == qos).count()
    }
}
