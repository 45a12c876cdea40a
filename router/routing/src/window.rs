//! How many tries of a lane may be in flight.
//!
//! Congestion control, for lanes of two kinds. Behind a *self-hosted* lane is a queue: it never
//! refuses, it only answers later. The window finds it as TCP Vegas does (Brakmo, Peterson, 1995):
//! what waits there is, by Little's law, the rate of first tokens times how much later they come than
//! an empty lane's would. Behind a *hosted* lane is a limit: it refuses. The window is then cut, once
//! per round trip, and grows back along CUBIC's curve (RFC 9438), which stays long where it was refused
//! last.
//!
//! Until the first sign of either it doubles each round (slow start). Later, where something was ever
//! refused, a round without a sign adds one, the next one two, then four, because capacity that was
//! doubled has to be found within half a minute. Where nothing ever was, what is sent too much waits, and
//! everybody's first token comes later for it; so the window stays at the knee, where nothing waits, and
//! looks above it in pulses (`pulse`), rarely where the same knee is found again and again. It grows only when
//! it was full.
//!
//! The known faults of delay-based control, and what is done about them: prompts of different length
//! (`baseline` compares like with like); a provider whose times vary by nature (a round is judged by
//! a low quantile against a low quantile, and both the ratio and the number that waits must be
//! large); a standing queue that becomes the norm (now and then the window is drained a little, as by
//! BBR's `PROBE_RTT`, and only then the norm may rise); a lane that became slower by itself (a cut
//! that did not help is taken back, and the norm is raised instead).
//!
//! A window that is not used says nothing about the lane: it falls towards what was proven by use
//! (congestion window validation, RFC 7661).
//!
//! Proof: bounds for arbitrary reports; closed loops with queues, refusals and changes of capacity, in
//! the tests. Units: tries in flight; times in seconds.

use std::time::Instant;

use crate::control::{FirstToken, Why};
use crate::rate::flow::Flow;
use baseline::Baseline;
use curve::Curve;
pub use held::is_held;
use kind::{Kind, Kinds};
use late::{Came, Late};
use proven::Proven;
use pulse::Pulse;
use round::{Reading, Round, Sample};

mod baseline;
mod curve;
mod held;
mod kind;
mod late;
mod look;
mod proven;
mod pulse;
mod round;

/// Bounds of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRules {
    /// It never closes below this; at least 1.
    pub min: u32,
    /// Where a lane begins of which nothing is known.
    pub start: u32,
    /// It never opens above this: the lane's cap.
    pub max: u32,
}

impl Default for WindowRules {
    /// 1, 64, 10,000: an idle stream costs next to nothing, so the cap is there for accidents.
    fn default() -> Self {
        Self { min: 1, start: 64, max: 10_000 }
    }
}

impl WindowRules {
    fn bound(&self, limit: f64) -> f64 {
        let min = self.min.max(1);
        limit.clamp(f64::from(min), f64::from(self.max.max(min)))
    }
}

/// Requests that may wait behind the lane before it is cut: in slow start, and later. Fewer than [`FEW`] let it
/// look further.
const MANY: [f64; 2] = [3.0, 1.0];
const FEW: [f64; 2] = [1.0, 0.6];
/// First tokens that are this much later than an empty lane's are a queue (1.5 times), by so many
/// deviations of the lane's own noise if that is more; but 4 times is always a queue.
const LATE: [f64; 3] = [0.405, 5.0, 1.386];
/// The same after slow start, when the lane is known (1.22 times).
const KNOWN_LATE: [f64; 3] = [0.20, 5.0, 1.386];
/// The same for whole answers, of whose time a wait is a smaller part (1.13 times).
const WHOLE_LATE: [f64; 3] = [0.12, 5.0, 1.386];
/// With the same units: what is early enough to look further (1.2 times).
const EARLY: [f64; 3] = [0.182, 3.0, 0.9];
/// After a sign of queueing nothing is tried for so many seconds: at first; and each time that the same knee is
/// found twice as long, up to this, or so many times what a try takes if that is more.
const HOLD: [f64; 3] = [2.0, 20.0, 2.0];
/// So many times the tolerance is no chance.
const CERTAIN: f64 = 2.0;
/// Seconds: differences of so little are nobody's queue.
const FLOOR: f64 = 0.010;
/// A queue is drained by at most this share of the window in a round.
const DEEPEST: f64 = 0.5;
/// A round adds at most this share.
const FASTEST: f64 = 0.125;
/// A lane that comes back from an ejection begins with this.
const AFRESH: u32 = 2;
/// Seconds between two drains of a window that is full all the time, and how many times the length of
/// a drain they are at least.
const DRAIN_EVERY: [f64; 2] = [120.0, 80.0];
/// Rounds in a row in which a cut did not help, until the norm is doubted.
const DOUBTS: u32 = 2;

/// The norm begins from tries that began with at most so many in flight, the first of all: of many that
/// begin at once the quickest come first, and the others may wait for one another. Where that many
/// first tokens told nothing it begins from any.
const FIRST: u32 = 8;
const ANYHOW: u32 = 64;
/// First tokens before which refusals are those of the first flood.
const FLOOD: u32 = 16;

/// A lane's window.
#[derive(Debug, Clone)]
pub struct Window {
    rules: WindowRules,
    limit: f64,
    phase: Phase,
    /// What the next quiet pulse adds to the one after it.
    step: f64,
    pulse: Option<Pulse>,
    /// Where requests were last seen to wait.
    knee: f64,
    /// Until then nothing is tried, and how long that was.
    hold: f64,
    pause: f64,
    /// How much later than the first quartile the median is while nothing waits.
    spread: f64,
    curve: Curve,
    cuts: u64,
    queueing_cuts: u64,
    baseline: Baseline,
    kinds: Kinds,
    round: Round,
    /// Seconds to the first token of a slow try while nothing waits.
    slow: f64,
    /// When it last grew.
    grown: f64,
    flow: Flow,
    drain: Drain,
    late: Late,
    /// The last round looked like a queue.
    suspected: bool,
    trial: Option<Trial>,
    proven: Proven,
    /// First tokens so far.
    tokens_seen: u32,
    /// When a first token came last, or a try ended, or the window was widened without either.
    moved: f64,
    /// Whole answers that came, full, since it last grew.
    answers: usize,
    origin: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    SlowStart,
    Avoidance,
}

/// The occasional look at how the lane answers with room.
#[derive(Debug, Clone, Copy)]
struct Drain {
    /// When the next one is due, if the window stays full.
    due: f64,
    /// The limit to go back to, while one is under way.
    back: Option<f64>,
    /// When that one began.
    began: f64,
}

/// A cut whose effect is awaited.
#[derive(Debug, Clone, Copy)]
struct Trial {
    before: f64,
    excess: f64,
    in_flight: f64,
    doubts: u32,
}

impl Window {
    /// A window of which nothing is known.
    #[must_use]
    pub fn new(rules: WindowRules, now: Instant) -> Self {
        Self {
            rules,
            limit: rules.bound(f64::from(rules.start)),
            phase: Phase::SlowStart,
            step: 1.0,
            pulse: None,
            knee: 0.0,
            hold: 0.0,
            pause: HOLD[0],
            spread: 0.0,
            curve: Curve::new(),
            cuts: 0,
            queueing_cuts: 0,
            baseline: Baseline::new(Kind::Stream),
            kinds: Kinds::new(),
            round: Round::after(0.0, 0.0),
            slow: 0.0,
            grown: 0.0,
            flow: Flow::new(0.0, 16.0),
            drain: Drain { due: DRAIN_EVERY[0], back: None, began: 0.0 },
            late: Late::default(),
            suspected: false,
            trial: None,
            proven: Proven::new(0.0),
            tokens_seen: 0,
            moved: 0.0,
            answers: 0,
            origin: now,
        }
    }

    /// Changes the bounds.
    pub fn set_rules(&mut self, rules: WindowRules) {
        self.rules = rules;
        self.limit = rules.bound(self.limit);
    }

    /// How many tries may be in flight.
    #[must_use]
    pub fn limit(&self) -> u32 {
        // Bounded by the rules, which are whole numbers of this type.
        self.limit as u32
    }

    /// Whether the first tokens that come now come late, nearly all of them: a queue stands behind the lane.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.late.is_queue()
    }

    /// Whether it is known by whole answers, of which a line shows little.
    #[must_use]
    pub fn hears_whole(&self) -> bool {
        self.kinds.heard() == Kind::Whole
    }

    /// Cuts by overload so far.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.cuts
    }

    /// Cuts by queueing so far.
    #[must_use]
    pub fn queueing_cuts(&self) -> u64 {
        self.queueing_cuts
    }

    /// A first token came. Why it changed the limit, if it did.
    pub fn first_token(&mut self, now: Instant, sample: &FirstToken) -> Option<Why> {
        let (at, began) = (self.seconds(now), self.seconds(sample.began));
        self.hear_of(at, Kind::Stream);
        self.came(at, began, sample.in_flight, sample.input_tokens)
    }

    /// What is heard came at `at`, of a try that began at `began`; `tokens` is by what it is compared with others.
    fn came(&mut self, at: f64, began: f64, in_flight: u32, tokens: u64) -> Option<Why> {
        self.flow.add(at);
        self.moved = at;
        self.proven.saw(at, in_flight);
        let took = (at - began).max(0.0);
        let lateness = self.baseline.lateness(tokens, took * self.kinds.uncrowded(in_flight));
        let early = took < FLOOR || lateness < self.baseline.within(self.tolerance(LATE));
        let in_time = self.baseline.within(late::least(self.spread));
        self.late.add(if took < FLOOR || lateness < in_time { Came::InTime } else { Came::Late });
        let full = self.is_full(in_flight);
        let sample = Sample { took, lateness, tokens, in_flight, full };
        if let Some(pulse) = self.pulse {
            return self.hear(at, began, sample, pulse);
        }
        if began < self.round.began() || at < self.round.opens() {
            return None;
        }
        let mut why = None;
        if self.phase == Phase::SlowStart && full && early {
            self.set(self.limit + 1.0);
            why = Some(Why::Grown);
        }
        self.tokens_seen = self.tokens_seen.saturating_add(1);
        if !self.baseline.is_known()
            && self.kinds.heard() == Kind::Stream
            && self.cuts == 0
            && in_flight > FIRST
            && self.tokens_seen < ANYHOW
        {
            return why;
        }
        self.round.add(Sample { full: full && began >= self.grown, ..sample });
        if self.round.samples().len() < self.wanted() {
            return why;
        }
        self.judge(at).or(why)
    }

    /// A try that began at `began` was refused for lack of room, or its deadline came. Only once per
    /// round trip: not if it began before the last cut.
    pub fn overloaded(&mut self, now: Instant, began: Instant, in_flight: u32) {
        let at = self.seconds(now);
        if self.seconds(began) < self.curve.cut_at() {
            return;
        }
        // What was in flight is what was too much; a window that was far from full says little.
        let top = self.limit.min(f64::from(in_flight).max(self.limit * 0.5));
        let left = self.curve.cut(at, top);
        if self.tokens_seen < FLOOD {
            // The flood with which a lane begins says that it was too much, not how much is right.
            self.curve.forget();
        } else {
            self.phase = Phase::Avoidance;
        }
        self.pulse = None;
        self.step = 1.0;
        self.drain.back = None;
        self.trial = None;
        self.round = Round::after(at, self.slow);
        self.set(top * left);
        self.cuts += 1;
    }

    /// The lane is back after an ejection: begin small, and learn anew.
    pub fn restart(&mut self, now: Instant) {
        let at = self.seconds(now);
        self.set(f64::from(AFRESH));
        self.phase = Phase::SlowStart;
        self.pulse = None;
        self.hold = 0.0;
        self.curve = Curve::new();
        self.round = Round::after(at, self.slow);
        self.drain = Drain { due: at + DRAIN_EVERY[0], back: None, began: at };
        self.trial = None;
        self.proven = Proven::new(at);
    }

    /// Lets an idle window fall to what is known.
    pub fn tick(&mut self, now: Instant) -> Option<Why> {
        let at = self.seconds(now);
        if let Some(why) = self.end_by_time(at) {
            return Some(why);
        }
        let kept = self.proven.tick(at)?;
        let known = f64::from(self.proven.most()).max(f64::from(self.rules.start));
        if self.limit <= known {
            return None;
        }
        let before = self.limit();
        self.set(known + (self.limit - known) * kept);
        (self.limit() != before).then_some(Why::Idle)
    }

    /// What a round says.
    fn judge(&mut self, at: f64) -> Option<Why> {
        let mut round = self.round;
        self.round = round.next();
        let reading = round.read()?;
        let before = self.limit();
        let late = self.baseline.late(reading.lateness);
        let (excess, waiting) = self.waiting(at, &reading, late);
        let drained = self.drain.back.take();
        let (many, tolerance) = match self.kinds.heard() {
            Kind::Whole => (MANY[1], self.tolerance(WHOLE_LATE)),
            Kind::Stream if self.only_queues() => (MANY[1], self.tolerance(KNOWN_LATE)),
            Kind::Stream => (MANY[0], self.tolerance(LATE)),
        };
        let queueing = waiting > many && late > tolerance && excess > FLOOR;
        let mut why = Why::Grown;
        if let Some(back) = drained {
            self.baseline.learn(at, reading.lateness, reading.noise, baseline::Window::Drained);
            self.set(back);
            self.round = Round::after(at, self.slow);
            self.drain.due = at + DRAIN_EVERY[0].max((at - self.drain.began) * DRAIN_EVERY[1]);
            return Some(Why::Drain);
        } else if queueing && !self.suspected && late < tolerance * CERTAIN {
            // One round in a hundred is late by chance, two in a row hardly ever.
            self.suspected = true;
        } else if queueing {
            why = self.queueing(at, &reading, excess, waiting);
        } else {
            self.trial = None;
            self.suspected = false;
            self.slow += (reading.slow - self.slow) / 4.0;
            self.spread += (reading.spread - self.spread) / 4.0;
            self.baseline.learn(at, reading.lateness, reading.noise, baseline::Window::Open);
            for sample in round.samples() {
                self.baseline.shape(sample.tokens, sample.lateness - reading.mean);
            }
            if reading.full && (waiting < FEW[0] || late < self.tolerance(EARLY) || excess < FLOOR) {
                self.grow(at);
            } else if reading.full && !self.only_queues() {
                self.step = 1.0;
            }
            let known = self.phase == Phase::Avoidance;
            if known && reading.full && at >= self.drain.due && self.pulse.is_none() {
                self.drain.back = Some(self.limit);
                self.drain.began = at;
                self.set(self.limit - (waiting + 1.0).clamp(self.limit / 16.0, self.limit / 2.0));
                self.round = Round::after(at, self.slow);
                why = Why::Drain;
            }
        }
        (self.limit() != before).then_some(why)
    }

    /// A queue behind the lane: give back what waits there.
    fn queueing(&mut self, at: f64, reading: &Reading, excess: f64, waiting: f64) -> Why {
        let in_flight = f64::from(reading.in_flight).min(self.limit);
        let trial = self.trial.get_or_insert(Trial { before: self.limit, excess, in_flight, doubts: 0 });
        if in_flight <= trial.in_flight * 0.9 && excess > trial.excess * 0.8 {
            trial.doubts += 1;
        } else if excess < trial.excess * 0.8 {
            *trial = Trial { before: self.limit, excess, in_flight, doubts: 0 };
        }
        self.round = Round::after(at, self.slow);
        self.phase = Phase::Avoidance;
        self.step = 1.0;
        self.drain.due = self.drain.due.max(at + DRAIN_EVERY[0] / 3.0);
        if trial.doubts >= DOUBTS {
            // Fewer in flight, and as late as before: it is not our queue.
            let before = trial.before;
            self.trial = None;
            self.baseline.adopt(reading.lateness);
            self.set(before);
            return Why::Recovered;
        }
        let few = if self.only_queues() { 0.0 } else { FEW[0] };
        let fewer = (in_flight - waiting + few).max(in_flight * DEEPEST);
        if self.only_queues() {
            self.rest(at, fewer);
        }
        self.set(fewer.min(self.limit - 1.0));
        self.queueing_cuts += 1;
        Why::Queueing
    }

    /// A full round without a sign.
    fn grow(&mut self, at: f64) {
        if self.phase == Phase::SlowStart || at < self.hold {
            return;
        }
        if self.only_queues() {
            self.step = 1.0;
            return self.pulse(at, Pulse::above(self.limit, at));
        }
        let step = self.curve.step(self.limit, self.step.min((self.limit * FASTEST).max(1.0)));
        self.set(self.curve.bound(at, self.limit + step).max(self.limit));
        self.step = (self.step * 2.0).min(f64::from(self.rules.max));
        self.grown = at;
    }

    /// Whether the lane is known by its streams, and has never refused anything: then a queue is all that there is
    /// to see. One more who waits is hardly noticed where answers come whole, so looks need not be as short there.
    fn only_queues(&self) -> bool {
        self.phase == Phase::Avoidance && self.cuts == 0 && self.kinds.heard() == Kind::Stream
    }

    /// Of the time that a first token took, what an empty lane would not have taken; and by Little's law how
    /// many wait.
    fn waiting(&self, at: f64, reading: &Reading, late: f64) -> (f64, f64) {
        let excess = (reading.took * (1.0 - (-late).exp())).max(0.0);
        (excess, self.flow.per_second(at) * excess)
    }

    /// First tokens that make a round.
    fn wanted(&self) -> usize {
        let least = if self.drain.back.is_some() { 3.0 } else { 4.0 };
        if self.baseline.is_known() {
            (self.limit / 2.0).clamp(least, Round::MOST as f64) as usize
        } else {
            FIRST as usize
        }
    }

    /// A threshold of lateness: its least, its deviations, its most.
    fn tolerance(&self, [least, deviations, most]: [f64; 3]) -> f64 {
        (self.baseline.noise() * deviations).clamp(least, most)
    }

    fn is_full(&self, in_flight: u32) -> bool {
        f64::from(in_flight) + (self.limit / 10.0).max(1.0) > self.limit
    }

    fn set(&mut self, limit: f64) {
        self.limit = self.rules.bound(limit);
    }

    fn seconds(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.origin).as_secs_f64()
    }
}

#[cfg(test)]
mod tests;
