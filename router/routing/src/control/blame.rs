//! Which of window and pace a refusal speaks to.
//!
//! A lane that limits *concurrency* refuses the try that is one too many: no try that began with fewer
//! in flight is refused while others were accepted with more. A lane that limits the *rate* does not
//! care how many are in flight. So each refusal is held against the most tries in flight that were
//! accepted since the one before: clearly fewer speaks for a rate, as does a pause that the provider
//! names. Until the evidence tips, both are cut, which is safe and only slower.

/// Evidence of a lane's kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blame {
    /// From -1 (concurrency) to 1 (rate).
    score: f64,
    /// The most tries in flight with which one was accepted since the last refusal.
    most: u32,
    refused: f64,
}

/// What is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Window,
    Pace,
    Both,
}

/// Evidence beyond this decides.
const SURE: f64 = 0.15;

impl Blame {
    pub(super) fn new() -> Self {
        Self { score: 0.0, most: 0, refused: 0.0 }
    }

    /// A try that began at `began` seconds with so many in flight was accepted.
    pub(super) fn accepted(&mut self, began: f64, in_flight: u32) {
        if began >= self.refused {
            self.most = self.most.max(in_flight);
        }
    }

    /// A try that began at `began` seconds with so many in flight was refused at `now`; `told` where the
    /// provider made plain that it was the rate. Counts once per round trip.
    pub(super) fn refused(&mut self, now: f64, began: f64, in_flight: u32, told: Told) {
        if began < self.refused {
            return;
        }
        let rate = told == Told::Rate || f64::from(in_flight) < f64::from(self.most) * 0.9;
        // A lane that limits concurrency hardly ever looks like the other kind; one that limits the rate
        // often does, because its window is mostly full.
        self.score += if rate { (1.0 - self.score) / 3.0 } else { (-0.5 - self.score) / 12.0 };
        self.most = 0;
        self.refused = now;
    }

    /// What to cut; `used` is how much of the pace is used, where there is one.
    pub(super) fn cut(&self, used: Option<f64>) -> Cut {
        match used {
            _ if self.score > SURE => Cut::Pace,
            _ if self.score < -SURE => Cut::Window,
            Some(used) if used >= 0.9 => Cut::Pace,
            Some(_) => Cut::Window,
            None => Cut::Both,
        }
    }
}

/// What a refusal said about its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Rate,
    Nothing,
}
