//! Every lane of the process, by provider and model, for as long as somebody leads there.
//!
//! Routes, patterns and configurations that lead to the same provider's model share its lane because they
//! look it up here. A lane goes when the last pool of it does, and with it what it has learned. The list is
//! read and changed when a configuration is resolved, when a name is asked for the first time, and by the
//! sweep; never on the way of a request that is known.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use atp_routing::ControlRules;

use super::lane::LaneCell;
use crate::sync::{Mutex, lock};

/// A provider, and its name for a model.
pub(crate) type LaneName = (Arc<str>, Arc<str>);

/// The lanes.
#[derive(Default)]
pub(crate) struct Directory(Mutex<HashMap<LaneName, Weak<LaneCell>>>);

impl Directory {
    /// The lane of a name, where somebody leads there.
    pub(crate) fn find(&self, name: &LaneName) -> Option<Arc<LaneCell>> {
        lock(&self.0).get(name).and_then(Weak::upgrade)
    }

    /// The lane of a name, made with these rules where nobody leads there yet. `heir` takes over what it has
    /// counted when it goes.
    pub(crate) fn lane(
        &self,
        name: &LaneName,
        rules: ControlRules,
        heir: Option<&Arc<LaneCell>>,
        now: Instant,
    ) -> (Arc<LaneCell>, Known) {
        let mut lanes = lock(&self.0);
        if let Some(lane) = lanes.get(name).and_then(Weak::upgrade) {
            return (lane, Known::Already);
        }
        let lane = LaneCell::with_heir(Arc::clone(&name.0), Arc::clone(&name.1), rules, heir.map(Arc::clone), now);
        lanes.insert((Arc::clone(&name.0), Arc::clone(&name.1)), Arc::downgrade(&lane));
        (lane, Known::New)
    }

    /// Every lane that somebody leads to; the others are forgotten.
    pub(crate) fn all(&self) -> Vec<Arc<LaneCell>> {
        let mut all = Vec::new();
        lock(&self.0).retain(|_, lane| match lane.upgrade() {
            Some(lane) => {
                all.push(lane);
                true
            }
            None => false,
        });
        all
    }
}

/// Whether a lane was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It was, with rules of its own.
    Already,
    /// It was made.
    New,
}
