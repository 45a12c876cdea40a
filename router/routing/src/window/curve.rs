//! How far a window may grow after it was refused: CUBIC (RFC 9438) in the form of the learned rate.

/// Seconds from a cut until the window is back where it was cut.
const PLATEAU: f64 = 8.0;
/// What is left after the first, second and any later cut of a streak. A lane that refuses only what is
/// too much needs no deep cut; one whose capacity fell gets it in the next round trips.
const CUTS: [f64; 3] = [0.9, 0.7, 0.5];
/// A cut within so many seconds of the last one belongs to its streak.
const STREAK: f64 = 3.0;

/// Shares of the top that are about the top.
const NEAR: [f64; 2] = [0.95, 1.1];
/// There it grows by at most this share at once.
const CAREFUL: f64 = 1.0 / 32.0;

#[derive(Debug, Clone, Copy)]
pub(super) struct Curve {
    top: f64,
    depth: f64,
    cut_at: f64,
    streak: usize,
}

impl Curve {
    pub(super) fn new() -> Self {
        Self { top: f64::INFINITY, depth: 0.0, cut_at: f64::NEG_INFINITY, streak: 0 }
    }

    /// When it was last cut, in seconds.
    pub(super) fn cut_at(&self) -> f64 {
        self.cut_at
    }

    /// Notes that `top` was too much; the share of it that is left.
    pub(super) fn cut(&mut self, at: f64, top: f64) -> f64 {
        self.streak = if at - self.cut_at < STREAK { self.streak + 1 } else { 0 };
        let left = CUTS.get(self.streak).or(CUTS.last()).copied().unwrap_or(0.5);
        *self = Self { top, depth: 1.0 - left, cut_at: at, streak: self.streak };
        left
    }

    /// Lets it grow as if it had not been refused; the time of the cut is kept.
    pub(super) fn forget(&mut self) {
        self.top = f64::INFINITY;
    }

    /// How far a window may grow at once: by little where it was refused last, because all that is too much there is
    /// refused in the same moment.
    pub(super) fn step(&self, limit: f64, step: f64) -> f64 {
        let [from, to] = NEAR.map(|share| self.top * share);
        if limit < from {
            step.min((from - limit).max(1.0))
        } else if limit < to {
            step.min((limit * CAREFUL).max(1.0))
        } else {
            step
        }
    }

    /// `limit`, or what the curve allows at `at`.
    pub(super) fn bound(&self, at: f64, limit: f64) -> f64 {
        if self.top == f64::INFINITY {
            return limit;
        }
        let beyond = ((at - self.cut_at) / PLATEAU - 1.0).clamp(-1.0, 100.0);
        limit.min(self.top * (1.0 + self.depth * beyond * beyond * beyond))
    }
}
