//! The far side: what a model's provider does with the calls that it gets.
//!
//! Two kinds. One's *own* server has slots and a line in front of them (as vLLM's `max_num_seqs`): what comes
//! too much waits, and at most is refused when the line is full. A *hosted* one has a rate behind a token
//! bucket and refuses what comes too much with 429; its latency does not depend on us.

mod hosted;
mod own;

use atp_core::RateFacts;
use rand::RngExt;
use std::time::{Duration, Instant};

use crate::agenda::seconds;
use crate::dice::{dice, lognormal, mixed};
use crate::traffic::Job;

pub(crate) use hosted::Hint;
use hosted::Hosted;
use own::Own;

/// How quick answers are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speed {
    /// Seconds to the first token without the prompt's share.
    pub(crate) first: f64,
    /// Deviation of the logarithm of that.
    pub(crate) jitter: f64,
    /// Prompt tokens read in a second.
    pub(crate) prefill: f64,
    /// Completion tokens written in a second, to each stream.
    pub(crate) decode: f64,
    /// How much longer decoding takes when all slots are busy, as a share.
    pub(crate) crowding: f64,
    /// Share of calls that are slow to their first token, and by how many seconds.
    pub(crate) slow: (f64, f64),
}

/// A mid-sized model on a modern accelerator.
pub(crate) const USUAL: Speed =
    Speed { first: 0.25, jitter: 0.15, prefill: 8_000.0, decode: 60.0, crowding: 0.3, slow: (0.0, 0.0) };

/// What limits a provider.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Capacity {
    /// Slots, and the most that wait in line for one before the server refuses.
    Own { slots: u32, line: usize },
    /// A token bucket.
    Hosted { unit: Unit, per_minute: f64, burst: f64, hint: Hint },
}

/// How answers come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// As they are written.
    Streamed,
    /// When they are written.
    Whole,
}

/// What a hosted provider counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Tokens,
    Requests,
}

/// A provider as the scenario describes it. Times are seconds from the start.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) speed: Speed,
    pub(crate) capacity: Capacity,
    pub(crate) answers: Answers,
    /// From then on the capacity is the configured one times this factor.
    pub(crate) shifts: Vec<(f64, f64)>,
    /// Within these times every call fails, and those under way break.
    pub(crate) outages: Vec<(f64, f64)>,
    /// Share of calls that fail although the provider is well.
    pub(crate) failing: f64,
}

impl Spec {
    pub(crate) fn own(slots: u32, line: usize) -> Self {
        Self::new(Capacity::Own { slots, line })
    }

    pub(crate) fn new(capacity: Capacity) -> Self {
        Self {
            speed: USUAL,
            capacity,
            answers: Answers::Streamed,
            shifts: Vec::new(),
            outages: Vec::new(),
            failing: 0.0,
        }
    }

    pub(crate) fn shifting(self, shifts: &[(f64, f64)]) -> Self {
        Self { shifts: shifts.to_vec(), ..self }
    }

    pub(crate) fn whole(self) -> Self {
        Self { answers: Answers::Whole, ..self }
    }

    pub(crate) fn speed(self, speed: Speed) -> Self {
        Self { speed, ..self }
    }

    pub(crate) fn down(self, from: f64, to: f64) -> Self {
        Self { outages: vec![(from, to)], ..self }
    }

    /// The share of the configured capacity at a time.
    fn factor(&self, since: Duration) -> f64 {
        let past = self.shifts.iter().filter(|(at, _)| seconds(*at) <= since);
        past.into_iter().next_back().map_or(1.0, |(_, factor)| *factor)
    }

    fn is_down(&self, since: Duration) -> bool {
        self.outages.iter().any(|(from, to)| seconds(*from) <= since && since < seconds(*to))
    }
}

/// What a provider tells, at its time, about a call.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    /// The first token, or the whole answer, with what the headers said.
    First(usize, Headers),
    /// The end of the answer.
    Done(usize),
    /// 429, perhaps with a pause, and with what the headers said.
    Refused(usize, Option<Duration>, Headers),
    /// 5xx, or no connection, or one that broke.
    Failed(usize),
    /// Capacity changes: the provider's own business.
    Change,
}

/// What the headers of an answer said about limits, if anything. Boxed, because few answers have them and every
/// event would have to be as large.
pub(crate) type Headers = Option<Box<RateFacts>>;

/// What a provider writes down for later.
pub(crate) type Outbox = Vec<(Instant, Signal)>;

/// One call, as the provider sees it.
#[derive(Debug, Clone, Copy)]
struct Call {
    id: usize,
    tokens: u64,
    /// Until the first token, once it is being worked on.
    first: Duration,
    /// From the first token to the end, in an idle server.
    rest: Duration,
    answers: Answers,
}

impl Call {
    /// When the first token is seen of an answer that is written from `first` to `end`.
    fn seen(&self, first: Instant, end: Instant) -> Instant {
        match self.answers {
            Answers::Streamed => first,
            Answers::Whole => end,
        }
    }
}

/// Work done and work that could have been done, since the start; in slot-seconds or in tokens or requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meter {
    pub(crate) used: f64,
    pub(crate) room: f64,
}

/// A provider at work.
#[derive(Debug)]
pub(crate) struct Provider {
    spec: Spec,
    origin: Instant,
    stream: u64,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Own(Own),
    Hosted(Hosted),
}

/// From us to the provider and back, for what is refused or fails at once.
const ROUND_TRIP: Duration = Duration::from_millis(30);

impl Provider {
    pub(crate) fn new(spec: Spec, place: usize, origin: Instant) -> Self {
        let engine = match spec.capacity {
            Capacity::Own { slots, line } => Engine::Own(Own::new(slots, line, spec.speed.crowding, origin)),
            Capacity::Hosted { unit, per_minute, burst, hint } => {
                Engine::Hosted(Hosted::new(unit, per_minute / 60.0, burst, hint, origin))
            }
        };
        Self { spec, origin, stream: place as u64, engine }
    }

    /// When [`Provider::change`] has to be called.
    pub(crate) fn changes(&self) -> Vec<Instant> {
        let shifts = self.spec.shifts.iter().map(|(at, _)| *at);
        let outages = self.spec.outages.iter().flat_map(|(from, to)| [*from, *to]);
        shifts.chain(outages).map(|at| self.origin + seconds(at)).collect()
    }

    /// A call arrives, the `turn`th of its request. What chance makes of it depends on request, turn and provider
    /// alone, so that two systems under test meet the same.
    pub(crate) fn begin(&mut self, id: usize, job: &Job, turn: u32, now: Instant, out: &mut Outbox) {
        let mut chance = dice(mixed(job.seed, u64::from(turn)), self.stream);
        let fails = chance.random::<f64>() < self.spec.failing;
        if fails || self.spec.is_down(now - self.origin) {
            out.push((now + ROUND_TRIP, Signal::Failed(id)));
            return;
        }
        let speed = self.spec.speed;
        let (share, extra) = speed.slow;
        let slow = if chance.random::<f64>() < share { extra } else { 0.0 };
        let first = lognormal(speed.first, speed.jitter, &mut chance) + job.input as f64 / speed.prefill + slow;
        let rest = job.output as f64 / speed.decode;
        let call =
            Call { id, tokens: job.tokens(), first: seconds(first), rest: seconds(rest), answers: self.spec.answers };
        match &mut self.engine {
            Engine::Own(own) => own.begin(call, now, out),
            Engine::Hosted(hosted) => hosted.begin(call, now, out),
        }
    }

    /// The call is over, for whatever reason; `Waste::Lost` when nobody has its answer.
    pub(crate) fn end(&mut self, id: usize, waste: Waste, now: Instant, out: &mut Outbox) {
        match &mut self.engine {
            Engine::Own(own) => own.end(id, waste, now, out),
            Engine::Hosted(hosted) => hosted.end(id, waste),
        }
    }

    /// The capacity is another from now on, or an outage begins or ends.
    pub(crate) fn change(&mut self, now: Instant, out: &mut Outbox) {
        let since = now - self.origin;
        let down = self.spec.is_down(since);
        let factor = if down { 0.0 } else { self.spec.factor(since) };
        match &mut self.engine {
            Engine::Own(own) => own.scale(factor, now, out),
            Engine::Hosted(hosted) => hosted.scale(factor, now),
        }
        if down {
            let calls = match &self.engine {
                Engine::Own(own) => own.calls(),
                Engine::Hosted(hosted) => hosted.calls(),
            };
            out.extend(calls.into_iter().map(|id| (now, Signal::Failed(id))));
        }
    }

    /// The books up to now.
    pub(crate) fn meter(&mut self, now: Instant) -> Meter {
        match &mut self.engine {
            Engine::Own(own) => own.meter(now),
            Engine::Hosted(hosted) => hosted.meter(now),
        }
    }

    /// Calls that wait in the provider's own line.
    pub(crate) fn line(&self) -> usize {
        match &self.engine {
            Engine::Own(own) => own.line(),
            Engine::Hosted(_) => 0,
        }
    }

    /// Slots now, where it has slots.
    pub(crate) fn slots(&self) -> Option<u32> {
        match &self.engine {
            Engine::Own(own) => Some(own.slots()),
            Engine::Hosted(_) => None,
        }
    }
}

/// Whether the work of a call was of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waste {
    None,
    Lost,
}

#[cfg(test)]
mod tests;
