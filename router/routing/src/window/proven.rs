//! What use has proven of a window (congestion window validation, RFC 7661).

/// The most tries in flight that were seen served, in this half minute and the one before. Times are
/// seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proven {
    now: u32,
    before: u32,
    since: f64,
    /// When the window was last looked at for idleness.
    ticked: f64,
}

/// Seconds that a proof is good for, at least, and in which what is not proven falls e-fold.
const GOOD_FOR: f64 = 30.0;
/// Seconds between two looks, at least.
const SELDOM: f64 = 1.0;

impl Proven {
    pub(super) fn new(at: f64) -> Self {
        Self { now: 0, before: 0, since: at, ticked: at }
    }

    /// A try was served that began with so many in flight.
    pub(super) fn saw(&mut self, at: f64, in_flight: u32) {
        self.turn(at);
        self.now = self.now.max(in_flight);
    }

    /// The share of what is not proven that is kept since the last look; `None` where that was just now.
    pub(super) fn tick(&mut self, at: f64) -> Option<f64> {
        let passed = at - self.ticked;
        if passed < SELDOM {
            return None;
        }
        self.ticked = at;
        self.turn(at);
        Some((-passed / GOOD_FOR).exp())
    }

    pub(super) fn most(&self) -> u32 {
        self.now.max(self.before)
    }

    fn turn(&mut self, at: f64) {
        let passed = at - self.since;
        if passed >= GOOD_FOR {
            self.before = if passed < 2.0 * GOOD_FOR { self.now } else { 0 };
            self.now = 0;
            self.since = at;
        }
    }
}
