//! A leg that is lent to the future that asks it, and comes back when that ends or is dropped: whoever gives up a
//! member has to know whether its provider was asked at all.

use std::sync::Arc;

use super::super::leg::Leg;
use crate::sync::{Mutex, lock};

/// A leg that is being asked.
pub(super) struct Lent {
    /// There until it is dropped.
    leg: Option<Box<Leg>>,
    back: Back,
}

/// Where it comes back to.
#[derive(Clone)]
pub(super) struct Back(Arc<Mutex<Option<Box<Leg>>>>);

impl Lent {
    pub(super) fn new(leg: Box<Leg>) -> (Self, Back) {
        let back = Back(Arc::new(Mutex::new(None)));
        (Self { leg: Some(leg), back: back.clone() }, back)
    }

    pub(super) fn leg(&mut self) -> Option<&mut Leg> {
        self.leg.as_deref_mut()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *lock(&self.back.0) = self.leg.take();
    }
}

impl Back {
    /// The leg, once it has come back.
    pub(super) fn take(&self) -> Option<Box<Leg>> {
        lock(&self.0).take()
    }
}
