//! Whether a model is worth choosing now, read in passing.

use std::time::Instant;

use atp_core::Qos;
use atp_routing::share::Idle;

use super::lane::{Asker, Closed};
use super::pool::Pool;

/// How a model stands at the moment of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Whether some lane serves, or may be tried again.
    pub(crate) healthy: bool,
    /// Whether a turn is to be had at once.
    pub(crate) room: bool,
}

impl Pool {
    /// How the model stands for a request of a class that is expected to use so many tokens.
    pub(crate) fn standing(&self, qos: Qos, tokens: u64, now: Instant) -> Standing {
        let asker = Asker { qos, idle: Idle::No, gold: self.gold(), tokens };
        let free = self.waiting() == 0;
        let mut standing = Standing { healthy: false, room: false };
        for lane in &self.lanes {
            match lane.room(&asker, now) {
                Ok(()) => return Standing { healthy: true, room: free },
                // Time alone opens it: soon enough to wait for, or at once where it was shut until now.
                Err(Closed::Full | Closed::Until(_)) => standing.healthy = true,
                // Whoever comes after its rest is its probe.
                Err(Closed::Ejected(Some(at))) if at <= now => {
                    standing = Standing { healthy: true, room: free };
                }
                Err(Closed::Ejected(_)) => {}
            }
        }
        standing
    }
}
