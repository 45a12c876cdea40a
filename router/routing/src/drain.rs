//! How fast a queue drains, and so when somebody who is refused should come back.
//!
//! Requests and tokens that get their turn while others wait, each as a sum that decays with the age of
//! what it counts (exponentially weighted, horizon [`HORIZON`]), divided by the time that was observed,
//! decayed in the same way. Dividing by the decayed time and not by the horizon makes the rate right
//! from the first moment on (it is the bias correction of Kingma and Ba's Adam, 2014): constant service
//! gives its own rate, to within one request, whenever one asks. Time in which nobody waits says nothing about what the
//! queue could do, and does not pass ([`Drain::pause`]).
//!
//! The answer is the time after which the place is reached *surely enough*: of `n` requests counted, a
//! Poisson process varies by a share of `1/sqrt(n)`, so the rate is taken one standard error lower. Too
//! early a return meets the queue full again; a little late costs nothing. Nothing is said from less
//! than one request within the horizon, and no forecast is longer than [`LONGEST`].
//!
//! Units: tokens and requests per second, as floating point numbers: this is a forecast, not a book.

use std::time::{Duration, Instant};

/// What is older counts for less than 37 %.
pub const HORIZON: Duration = Duration::from_secs(10);
/// The longest forecast; beyond it the rate of the last seconds says nothing.
pub const LONGEST: Duration = Duration::from_secs(600);

/// The drain rate of one queue.
#[derive(Debug, Clone, Copy, Default)]
pub struct Drain {
    requests: f64,
    tokens: f64,
    /// Seconds observed, decayed like what was counted in them.
    observed: f64,
    /// Up to when; `None` while paused.
    seen: Option<Instant>,
}

impl Drain {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Somebody waits: from now on time passes. Repeating it changes nothing.
    pub fn resume(&mut self, now: Instant) {
        self.seen = self.seen.or(Some(now));
    }

    /// Nobody waits any more: time stops until [`Drain::resume`] or the next service.
    pub fn pause(&mut self, now: Instant) {
        self.pass(now);
        self.seen = None;
    }

    /// A request got its turn, and was charged so many tokens. While time stands still it begins to
    /// pass, and the request is not counted: nobody knows how long it took.
    pub fn on_served(&mut self, now: Instant, tokens: u64) {
        if self.seen.is_none() {
            return self.resume(now);
        }
        self.pass(now);
        self.requests += 1.0;
        self.tokens += tokens as f64;
    }

    /// When so many tokens will have got their turn; `None` when nothing is known.
    #[must_use]
    pub fn wait_for(&self, tokens_ahead: u64, now: Instant) -> Option<Duration> {
        self.at(now).forecast(|drain| tokens_ahead as f64 / drain.tokens)
    }

    /// When so many requests with so many tokens in all will have got their turn: the longer of the
    /// two forecasts, because a lane may be bound by either.
    #[must_use]
    pub fn wait_for_place(&self, requests_ahead: usize, tokens_ahead: u64, now: Instant) -> Option<Duration> {
        let share = |drain: &Self| {
            let requests = requests_ahead as f64 / drain.requests;
            if tokens_ahead == 0 { requests } else { requests.max(tokens_ahead as f64 / drain.tokens) }
        };
        self.at(now).forecast(share)
    }

    /// Tokens and requests per second; `None` when nothing is known.
    #[must_use]
    pub fn rates(&self, now: Instant) -> Option<(f64, f64)> {
        let at = self.at(now);
        at.known().then(|| (at.tokens / at.observed, at.requests / at.observed))
    }

    /// As it is at `now`.
    fn at(&self, now: Instant) -> Self {
        let mut then = *self;
        then.pass(now);
        then
    }

    fn known(&self) -> bool {
        self.requests >= 1.0 && self.observed > 0.0
    }

    /// `share`: how many times what was counted still has to be served.
    fn forecast(&self, share: impl FnOnce(&Self) -> f64) -> Option<Duration> {
        if !self.known() {
            return None;
        }
        let margin = 1.0 - (self.requests + 1.0).sqrt().recip();
        let seconds = share(self) * self.observed / margin;
        // Not a number where nothing was asked for and no tokens were counted: that is no wait.
        let seconds = if seconds.is_nan() { 0.0 } else { seconds.clamp(0.0, LONGEST.as_secs_f64()) };
        Some(Duration::from_secs_f64(seconds))
    }

    /// Time passes up to `now`, unless it stands still.
    fn pass(&mut self, now: Instant) {
        let Some(seen) = self.seen else { return };
        let since = now.saturating_duration_since(seen).as_secs_f64();
        self.seen = Some(seen.max(now));
        let horizon = HORIZON.as_secs_f64();
        let kept = (-since / horizon).exp();
        self.requests *= kept;
        self.tokens *= kept;
        // The decayed time that the step adds: the integral of the decay over it.
        self.observed = self.observed * kept + horizon * (1.0 - kept);
    }
}

#[cfg(test)]
mod tests;
