//! Whether a lane is left alone because it fails.
//!
//! A circuit breaker (Nygard, "Release It!", 2007) with three states: *serving*, *ejected* for a
//! rest, *probing* with one try at a time. It opens after a number of failures in a row, or when half
//! of the tries of ten seconds failed, whichever comes first: the first notices an outage at once,
//! the second a lane that fails every other time and never several times in a row. Rests grow twofold
//! and are spread by jitter, so that replicas do not probe in step. The first probe that is served
//! closes it, on trial: the caller's window begins with a few tries, and until some of them were served
//! as well, the first that fails opens it again. So a lane whose answers take a minute is not closed for
//! two.
//!
//! Blame is exact: only what the lane did counts (the caller of this module decides that), only the
//! probe speaks while probing, and a try that began before the lane was closed again says nothing
//! about how it is now.
//!
//! Proof: properties over arbitrary sequences of reports, in the tests. Units: rests in wall time.

use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

/// When a breaker opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRules {
    /// Failures in a row that eject the lane; 0: it is never ejected.
    pub failures: u32,
    /// The first rest.
    pub rest: Duration,
    /// The longest rest; each one is twice as long as the one before up to this.
    pub longest_rest: Duration,
    /// Failures per thousand tries of [`WINDOW`] that eject the lane.
    pub failed_per_mille: u32,
    /// Fewer tries than this in [`WINDOW`] have no share.
    pub least_tries: u32,
    /// Tries in a row, the probe among them, that have to be served before the lane may fail again without
    /// being ejected at once.
    pub probes: u32,
}

impl Default for BreakerRules {
    /// 5 in a row, or half of at least 20; rests of 1 s to 30 s; a trial of 2 tries.
    fn default() -> Self {
        Self {
            failures: 5,
            rest: Duration::from_secs(1),
            longest_rest: Duration::from_secs(30),
            failed_per_mille: 500,
            least_tries: 20,
            probes: 2,
        }
    }
}

/// The length of the window in which the share of failures is counted.
pub const WINDOW: Duration = Duration::from_secs(SLOTS as u64);

/// The window's slots, each of one second.
const SLOTS: usize = 10;

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    Serving,
    /// Nothing, until then.
    Ejected {
        /// When [`Breaker::tick`] turns to probing.
        until: Instant,
    },
    /// One try at a time.
    Probing {
        /// When the probe that is out began.
        out: Option<Instant>,
    },
}

/// What one second saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    second: u64,
    tries: u32,
    failures: u32,
}

/// A lane's breaker.
#[derive(Debug, Clone)]
pub struct Breaker {
    rules: BreakerRules,
    mode: Mode,
    in_a_row: u32,
    /// Tries that have yet to be served before one may fail.
    trial: u32,
    slots: [Slot; SLOTS],
    origin: Instant,
    /// When the lane last began to serve.
    since: Instant,
    /// Rests without a longer time of health between them.
    rests: u32,
    ejections: u64,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(rules: BreakerRules, now: Instant) -> Self {
        Self {
            rules,
            mode: Mode::Serving,
            in_a_row: 0,
            trial: 0,
            slots: [Slot::default(); SLOTS],
            origin: now,
            since: now,
            rests: 0,
            ejections: 0,
        }
    }

    /// Changes the rules; a rest that has begun stays as long as it was going to be, unless the breaker
    /// is switched off.
    pub fn set_rules(&mut self, rules: BreakerRules, now: Instant) {
        self.rules = rules;
        if rules.failures == 0 && self.mode != Mode::Serving {
            self.close(now);
        }
    }

    /// What it lets through.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How often it has opened.
    #[must_use]
    pub fn ejections(&self) -> u64 {
        self.ejections
    }

    /// Turns an ejected lane whose rest is over to probing.
    pub fn tick(&mut self, now: Instant) {
        if let Mode::Ejected { until } = self.mode
            && now >= until
        {
            self.mode = Mode::Probing { out: None };
        }
    }

    /// Asks to send the probe; `false` where none may be sent. Who was given it reports its end.
    pub fn take_probe(&mut self, now: Instant) -> bool {
        self.tick(now);
        match &mut self.mode {
            Mode::Probing { out: out @ None } => {
                *out = Some(now);
                true
            }
            _ => false,
        }
    }

    /// Lets a lane that serves prove itself first, as after a rest.
    pub fn doubt(&mut self) {
        if self.rules.failures > 0 && self.mode == Mode::Serving {
            self.mode = Mode::Probing { out: None };
        }
    }

    /// The try that began at `began` is being answered: of a probe that is all that was to be found out.
    pub fn answered(&mut self, now: Instant, began: Instant) {
        if let Mode::Probing { out: Some(sent) } = self.mode
            && began >= sent
        {
            self.close(now);
            self.trial = self.rules.probes.saturating_sub(1);
        }
    }

    /// A try that began at `began` was served.
    pub fn served(&mut self, now: Instant, began: Instant) {
        match self.mode {
            Mode::Serving => {
                self.count(now, 0);
                self.in_a_row = 0;
                if began >= self.since {
                    self.trial = self.trial.saturating_sub(1);
                }
                if now.saturating_duration_since(self.since) >= self.rules.longest_rest {
                    self.rests = 0;
                }
            }
            Mode::Probing { .. } => self.answered(now, began),
            Mode::Ejected { .. } => {}
        }
    }

    /// A try that began at `began` failed by the lane's fault.
    pub fn failed(&mut self, now: Instant, began: Instant, rng: &mut (impl Rng + ?Sized)) {
        match self.mode {
            Mode::Serving if self.rules.failures > 0 && began >= self.since => {
                self.count(now, 1);
                self.in_a_row = self.in_a_row.saturating_add(1);
                if self.trial > 0 || self.in_a_row >= self.rules.failures || self.share_is_bad(now) {
                    self.open(now, rng);
                }
            }
            Mode::Probing { out: Some(sent) } if began >= sent => self.open(now, rng),
            Mode::Serving | Mode::Probing { .. } | Mode::Ejected { .. } => {}
        }
    }

    /// The lane's key was refused: every other try will be as well.
    pub fn refused_key(&mut self, now: Instant, began: Instant, rng: &mut (impl Rng + ?Sized)) {
        match self.mode {
            Mode::Serving if self.rules.failures > 0 && began >= self.since => self.open(now, rng),
            Mode::Probing { out: Some(sent) } if began >= sent => self.open(now, rng),
            Mode::Serving | Mode::Probing { .. } | Mode::Ejected { .. } => {}
        }
    }

    /// A try ended that tells nothing about the lane's health. Where it was the probe, another may go.
    pub fn told_nothing(&mut self, began: Instant) {
        if let Mode::Probing { out: out @ Some(_) } = &mut self.mode
            && out.is_some_and(|sent| began >= sent)
        {
            *out = None;
        }
    }

    fn close(&mut self, now: Instant) {
        self.mode = Mode::Serving;
        self.in_a_row = 0;
        self.trial = 0;
        self.slots = [Slot::default(); SLOTS];
        self.since = now;
    }

    fn open(&mut self, now: Instant, rng: &mut (impl Rng + ?Sized)) {
        let factor = 1u32.checked_shl(self.rests).unwrap_or(u32::MAX);
        let rest = self.rules.rest.saturating_mul(factor).min(self.rules.longest_rest.max(self.rules.rest));
        let jitter = rest.mul_f64(rng.random_range(0.0..JITTER));
        self.mode = Mode::Ejected { until: crate::later(now, rest.saturating_add(jitter)) };
        self.rests = self.rests.saturating_add(1);
        self.ejections += 1;
    }

    fn count(&mut self, now: Instant, failures: u32) {
        let second = self.second(now);
        if let Some(slot) = self.slots.get_mut((second % SLOTS as u64) as usize) {
            if slot.second != second {
                *slot = Slot { second, tries: 0, failures: 0 };
            }
            slot.tries = slot.tries.saturating_add(1);
            slot.failures = slot.failures.saturating_add(failures);
        }
    }

    fn share_is_bad(&self, now: Instant) -> bool {
        let second = self.second(now);
        let recent = self.slots.iter().filter(|slot| second.saturating_sub(slot.second) < SLOTS as u64);
        let (tries, failures) = recent.fold((0u64, 0u64), |(tries, failures), slot| {
            (tries + u64::from(slot.tries), failures + u64::from(slot.failures))
        });
        tries >= u64::from(self.rules.least_tries) && failures * 1_000 >= tries * u64::from(self.rules.failed_per_mille)
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_secs()
    }
}

/// A rest is made longer by up to this share.
const JITTER: f64 = 0.25;

#[cfg(test)]
mod tests;
