//! What a lane may carry now: the composition of window, rate, breaker and quantiles.
//!
//! A lane is one provider's model. Its tries report when their first token came and how they ended;
//! the control turns that into what the fast path needs, [`Published`]: how many tries may be in
//! flight, at which pace they may begin, and whether the lane is open at all. Which part a report
//! speaks to is decided here, once: an overload cuts the window or the pace, whichever was the
//! tighter one, a failure is the breaker's business, a caller who left tells nothing.

use std::time::{Duration, Instant};

use atp_core::RateFacts;
use rand::{Rng, RngExt};

use blame::{Blame, Cut, Told};
use tail::Tail;

use crate::breaker::{Breaker, BreakerRules, Mode};
use crate::quantile::Quantiles;
use crate::rate::{Named, Paced, Rate};
use crate::window::{Window, WindowRules};

mod blame;
mod report;
mod tail;

pub use report::{Answered, Began, Change, ControlView, Ended, FirstToken, Published, State, Verdict, Why};

/// What is fixed about a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ControlRules {
    /// Bounds of the concurrency window.
    pub window: WindowRules,
    /// When the lane is ejected, and for how long.
    pub breaker: BreakerRules,
    /// How many models are behind it.
    pub models: Models,
}

/// How many of a provider's models are behind a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Models {
    /// One: what the provider tells about its limits is about the lane.
    #[default]
    One,
    /// Whichever callers name: under a pattern, or where requests are passed on raw. Then limits and pauses that
    /// the provider tells are about one model of many, and not obeyed by the others; what is refused still
    /// narrows the window and the pace.
    Many,
}

/// The state of one lane's control.
#[derive(Debug, Clone)]
pub struct Control {
    rules: ControlRules,
    origin: Instant,
    window: Window,
    rate: Rate,
    breaker: Breaker,
    blame: Blame,
    first_tokens: Tail,
    answers: Tail,
    pause: Option<Pause>,
    /// The limit that was published last.
    limit: u32,
}

/// A pause that the provider asked for.
#[derive(Debug, Clone, Copy)]
struct Pause {
    asked: Instant,
    /// With what was added to it.
    until: Instant,
    /// What follows it.
    then: Then,
}

/// What follows a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It was obeyed to its end: the lane serves.
    Serve,
    /// The provider had asked for more than is obeyed: one try finds out how it is.
    Probe,
}

/// A pause that a provider asks for is obeyed for at most so long; after that one try at a time finds out
/// whether it still holds. The caller who was refused is told the whole of it. What asks for hours is mostly
/// one key's daily quota, or a clock that is wrong, and a lane that nobody tries would not be seen to be well
/// again before a restart.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A pause is made longer by up to this share, so that replicas do not come back in step.
const JITTER: f64 = 0.05;

/// And by what so many tries take at the pace: at its end there is room for the one that was refused, and whoever
/// comes next would be refused again.
const SLACK: f64 = 2.0;

/// A pause is made longer by at most this.
const LONGEST_JITTER: Duration = Duration::from_millis(500);

impl Control {
    /// A lane of which nothing is known.
    #[must_use]
    pub fn new(rules: ControlRules, now: Instant) -> Self {
        let window = Window::new(rules.window, now);
        Self {
            rules,
            origin: now,
            limit: window.limit(),
            window,
            rate: Rate::new(),
            breaker: Breaker::new(rules.breaker, now),
            blame: Blame::new(),
            first_tokens: Tail::new(now),
            answers: Tail::new(now),
            pause: None,
        }
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> ControlRules {
        self.rules
    }

    /// Changes the rules; what was learned is kept, within the new bounds.
    pub fn set_rules(&mut self, rules: ControlRules, now: Instant) -> Published {
        self.rules = rules;
        self.window.set_rules(rules.window);
        self.breaker.set_rules(rules.breaker, now);
        self.publish(now, Why::Rules)
    }

    /// From when on the times of [`Pace`](crate::rate::Pace) count.
    #[must_use]
    pub fn origin(&self) -> Instant {
        self.origin
    }

    /// Asks whether a try may begin, where the published state is not [`State::Serving`]: of several that
    /// the limit let through, one is the probe. A probe's end has to be reported, with `began` not
    /// before `now`.
    pub fn began(&mut self, now: Instant) -> Began {
        self.open_where_due(now);
        match self.breaker.mode() {
            Mode::Serving => Began::Freely,
            Mode::Ejected { .. } | Mode::Probing { .. } => {
                if self.pause_ends(now).is_none() && self.breaker.take_probe(now) {
                    Began::Probe
                } else {
                    Began::Refused
                }
            }
        }
    }

    /// The first token of a try has come whose answer is a stream.
    pub fn first_token(&mut self, now: Instant, sample: FirstToken) -> Published {
        self.first_tokens.add(now, now.saturating_duration_since(sample.began));
        let why = self.window.first_token(now, &sample);
        self.accepted(now, sample.began, sample.in_flight, why)
    }

    /// The answer of a try has come that is no stream.
    pub fn answered(&mut self, now: Instant, sample: Answered) -> Published {
        self.answers.add(now, now.saturating_duration_since(sample.began));
        let why = self.window.answered(now, &sample);
        self.accepted(now, sample.began, sample.in_flight, why)
    }

    fn accepted(&mut self, now: Instant, began: Instant, in_flight: u32, why: Option<Why>) -> Published {
        let now_ns = self.nanos(now);
        if self.window.is_late() {
            self.blame.queued(seconds(now_ns));
            self.rate.acquitted(now_ns);
        }
        self.rate.accepted(now_ns);
        self.blame.accepted(seconds(self.nanos(began)), in_flight);
        let mut why = why.unwrap_or(Why::Grown);
        let serving = self.breaker.mode() == Mode::Serving;
        self.breaker.answered(now, began);
        if !serving {
            why = self.turned(now, serving, why);
        }
        self.publish(now, why)
    }

    /// So many tries are in flight now, of which `silent` have had no first token yet: what they hold is no idle
    /// part of the window, also where none of them was answered lately. To be told before [`Control::tick`].
    pub fn in_use(&mut self, now: Instant, in_flight: u32, silent: u32) {
        self.window.in_use(now, in_flight, silent);
    }

    /// The provider told about its limits just now.
    pub fn told(&mut self, now: Instant, limits: &RateFacts) -> Published {
        self.heed(now, limits);
        self.publish(now, Why::Grown)
    }

    fn heed(&mut self, now: Instant, limits: &RateFacts) {
        if self.rules.models == Models::One && !limits.is_empty() {
            self.rate.told(self.nanos(now), limits);
        }
    }

    /// A try has ended.
    pub fn ended(&mut self, now: Instant, sample: Ended<'_>, rng: &mut (impl Rng + ?Sized)) -> Published {
        self.heed(now, sample.limits);
        let sample = match (self.rules.models, sample.verdict) {
            (Models::Many, Verdict::Overloaded { .. }) => {
                Ended { verdict: Verdict::Overloaded { pause: None }, ..sample }
            }
            _ => sample,
        };
        let serving = self.breaker.mode() == Mode::Serving;
        self.window.ended(now);
        let mut why = Why::Grown;
        match sample.verdict {
            Verdict::Served => {
                self.rate.served(sample.tokens);
                self.breaker.served(now, sample.began);
            }
            Verdict::Overloaded { pause } => {
                why = if pause.is_some() { Why::Pause } else { Why::Overload };
                self.breaker.told_nothing(sample.began);
                self.overloaded(now, &sample);
                if let Some(pause) = pause {
                    self.pause_for(now, pause, rng);
                }
            }
            Verdict::TimedOut => {
                why = Why::Overload;
                self.window.overloaded(now, sample.began, sample.in_flight);
                self.breaker.failed(now, sample.began, rng);
            }
            Verdict::Failed => self.breaker.failed(now, sample.began, rng),
            Verdict::BadKey => self.breaker.refused_key(now, sample.began, rng),
            Verdict::Cancelled => self.breaker.told_nothing(sample.began),
        }
        why = self.turned(now, serving, why);
        self.publish(now, why)
    }

    /// Lets time do its part: opens what has rested, lets an idle window close. To be called every few
    /// seconds, and at [`Published::opens_at`] where somebody waits.
    pub fn tick(&mut self, now: Instant) -> Published {
        let paused = self.pause.is_some();
        self.open_where_due(now);
        let mut why = self.window.tick(now).unwrap_or(Why::Recovered);
        if self.breaker.mode() != Mode::Serving {
            why = Why::Probe;
        } else if paused && self.pause.is_none() {
            why = Why::Recovered;
        }
        self.publish(now, why)
    }

    /// The lane's 95th percentile to the first token, where enough samples are known.
    #[must_use]
    pub fn p95_first_token(&self) -> Option<Duration> {
        self.first_tokens.p95
    }

    /// The lane's 95th percentile to a whole answer, where no stream was asked for and enough samples are known.
    #[must_use]
    pub fn p95_answer(&self) -> Option<Duration> {
        self.answers.p95
    }

    /// The times to first token of the recent past.
    #[must_use]
    pub fn first_tokens(&self) -> &Quantiles {
        &self.first_tokens.times
    }

    /// What an operator is shown.
    #[must_use]
    pub fn view(&self, now: Instant) -> ControlView {
        let rest = self.opens_at(now).map(|at| at.saturating_duration_since(now));
        ControlView {
            state: self.state(),
            limit: self.limit_at(now),
            window: self.window.limit(),
            rules: self.rules.window,
            cuts: self.window.cuts(),
            queueing_cuts: self.window.queueing_cuts(),
            ejections: self.breaker.ejections(),
            p50_first_token: self.first_tokens.times.quantile(0.50),
            p95_first_token: self.first_tokens.times.quantile(0.95),
            p99_first_token: self.first_tokens.times.quantile(0.99),
            rate: self.rate.pace(self.nanos(now)),
            rest,
        }
    }

    /// Cuts the tighter one of pace and window.
    fn overloaded(&mut self, now: Instant, sample: &Ended<'_>) {
        let (now_ns, began_ns) = (self.nanos(now), self.nanos(sample.began));
        let pause = matches!(sample.verdict, Verdict::Overloaded { pause: Some(_) });
        let named = if pause { Named::Pause } else { Named::Nothing };
        let limit = self.window.limit();
        let told = if pause || self.rate.is_empty(now_ns) {
            Told::Rate
        } else if self.window.hears_whole() && self.blame.is_edge(sample.in_flight, limit) {
            Told::Edge
        } else {
            Told::Nothing
        };
        let paced = self.rate.paced(now_ns);
        if told != Told::Nothing || paced == Paced::OneByOne {
            self.blame.refused(seconds(now_ns), seconds(began_ns), sample.in_flight, limit, told);
        }
        let cut = self.blame.cut(seconds(now_ns), paced, told);
        if cut != Cut::Pace {
            self.window.overloaded(now, sample.began, sample.in_flight);
        }
        if cut == Cut::Window {
            self.rate.spared(now_ns);
        } else {
            self.rate.refused(now_ns, began_ns, named);
        }
    }

    fn pause_for(&mut self, now: Instant, pause: Duration, rng: &mut (impl Rng + ?Sized)) {
        let then = if pause > LONGEST_PAUSE { Then::Probe } else { Then::Serve };
        let pause = pause.min(LONGEST_PAUSE);
        let asked = crate::later(now, pause);
        if self.pause.is_none_or(|before| before.asked < asked) {
            let (now_ns, asked_ns) = (self.nanos(now), self.nanos(asked));
            self.rate.paused(now_ns, asked_ns);
            let jitter = pause.mul_f64(rng.random_range(0.0..JITTER));
            let spacing = self.rate.spacing(now_ns).unwrap_or_default();
            let later = jitter.saturating_add(Duration::from_secs_f64(SLACK * spacing)).min(LONGEST_JITTER);
            self.pause = Some(Pause { asked, until: crate::later(asked, later), then });
        }
    }

    /// Opens what was shut for a time that is over.
    fn open_where_due(&mut self, now: Instant) {
        self.breaker.tick(now);
        if self.pause_ends(now).is_none()
            && let Some(Pause { then: Then::Probe, .. }) = self.pause.take()
        {
            self.breaker.doubt();
        }
    }

    /// When the pause that the provider asked for ends, where it has not.
    fn pause_ends(&self, now: Instant) -> Option<Instant> {
        self.pause.map(|pause| pause.until).filter(|until| *until > now)
    }

    /// What follows from a change of the breaker: a lane that is back begins small.
    fn turned(&mut self, now: Instant, was_serving: bool, why: Why) -> Why {
        match (was_serving, self.breaker.mode()) {
            (true, Mode::Serving) => why,
            (false, Mode::Serving) => {
                self.window.restart(now);
                Why::Recovered
            }
            (_, Mode::Ejected { .. }) => Why::Ejected,
            (_, Mode::Probing { .. }) => Why::Probe,
        }
    }

    fn state(&self) -> State {
        match self.breaker.mode() {
            Mode::Serving => State::Serving,
            Mode::Ejected { .. } => State::Ejected,
            Mode::Probing { .. } => State::Probing,
        }
    }

    fn opens_at(&self, now: Instant) -> Option<Instant> {
        let rested = match self.breaker.mode() {
            Mode::Ejected { until } => Some(until),
            Mode::Serving | Mode::Probing { .. } => None,
        };
        rested.max(self.pause_ends(now))
    }

    fn limit_at(&self, now: Instant) -> u32 {
        if self.opens_at(now).is_some() {
            return 0;
        }
        match self.breaker.mode() {
            Mode::Serving => self.window.limit(),
            Mode::Ejected { .. } => 0,
            Mode::Probing { .. } => 1,
        }
    }

    fn publish(&mut self, now: Instant, why: Why) -> Published {
        self.open_where_due(now);
        let (before, after) = (self.limit, self.limit_at(now));
        self.limit = after;
        Published {
            limit: after,
            state: self.state(),
            opens_at: self.opens_at(now),
            rate: self.rate.pace(self.nanos(now)),
            p95_first_token: self.first_tokens.p95,
            p95_answer: self.answers.p95,
            change: (before != after).then_some(Change { before, after, why }),
        }
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
