//! A lane and its users in virtual time: enough of a laboratory to see whether a control converges.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use atp_core::{RateFact, RateFacts};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::rate::{Pace, admit, admit_request, give_back_request};

/// Nanoseconds of virtual time.
pub(super) type Ns = u64;

pub(super) const SECOND: Ns = 1_000_000_000;

/// How long things take, in seconds: a mean and the sigma of a log-normal around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) sigma: f64,
}

impl Spread {
    fn draw(self, rng: &mut StdRng) -> f64 {
        let normal: f64 = (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0;
        self.mean * (self.sigma * normal - self.sigma * self.sigma / 2.0).exp()
    }
}

/// What is behind the lane.
#[derive(Debug, Clone)]
pub(super) enum Behind {
    /// So many at once, the others wait in order.
    Slots(usize),
    /// So many at once, so many others wait in order, and what is more is refused.
    Line(usize, usize),
    /// So many at once, the others are refused.
    Refusing(usize),
    /// A token bucket of requests or of tokens per second.
    Bucket { per_second: f64, depth: f64, level: f64, unit: Unit, at: Ns, retry_after: Option<Duration>, headers: bool },
    /// Nothing is limited.
    Free,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Request,
    Token,
}

pub(super) fn bucket(per_second: f64, depth: f64, unit: Unit) -> Behind {
    Behind::Bucket { per_second, depth, level: depth, unit, at: 0, retry_after: None, headers: false }
}

/// How answers come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    Streamed,
    Whole,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Demand {
    /// Somebody always waits.
    Endless,
    /// Arrivals per second, evenly random; who finds no room waits.
    Poisson(f64),
}

#[derive(Debug, Clone, Copy)]
struct Try {
    began: Ns,
    in_flight: u32,
    input: u64,
    output: u64,
    /// Seconds of service to the first token, and after it.
    first: f64,
    rest: f64,
    facts: RateFacts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    First(usize),
    End(usize),
    Refuse(usize),
    Tick,
    Look,
}

/// What one second saw.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Second {
    pub(super) served: u32,
    pub(super) tokens: u64,
    pub(super) refused: u32,
    pub(super) begun: u32,
    pub(super) limit: u32,
    pub(super) behind: usize,
    /// Seconds of slots behind the lane that were in use.
    pub(super) busy: f64,
}

pub(super) struct Sim {
    pub(super) control: Control,
    pub(super) behind: Behind,
    pub(super) demand: Demand,
    pub(super) answers: Answers,
    pub(super) first: Spread,
    pub(super) per_input_token: f64,
    pub(super) per_output_token: f64,
    pub(super) rest: Spread,
    pub(super) input: Spread,
    pub(super) output: Spread,
    pub(super) seconds: Vec<Second>,
    /// The moments at which tries began.
    pub(super) begun: Vec<Ns>,
    /// The moments at which refusals came back.
    pub(super) refusals: Vec<Ns>,
    pub(super) now: Ns,
    origin: Instant,
    published: Published,
    word_tokens: u64,
    word_requests: u64,
    in_flight: u32,
    waiting: u64,
    busy: usize,
    queue: VecDeque<usize>,
    tries: Vec<Try>,
    events: BinaryHeap<Reverse<(Ns, u64, Event)>>,
    order: u64,
    look_at: Ns,
    rng: StdRng,
}

impl Sim {
    pub(super) fn new(rules: ControlRules, behind: Behind, demand: Demand, seed: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any moment will do as the zero of virtual time")]
        let origin = Instant::now();
        let mut control = Control::new(rules, origin);
        let published = control.tick(origin);
        let mut sim = Self {
            control,
            behind,
            demand,
            answers: Answers::Streamed,
            first: Spread { mean: 0.3, sigma: 0.3 },
            per_input_token: 0.0,
            per_output_token: 0.0,
            rest: Spread { mean: 5.0, sigma: 0.5 },
            input: Spread { mean: 500.0, sigma: 0.8 },
            output: Spread { mean: 300.0, sigma: 0.8 },
            seconds: Vec::new(),
            begun: Vec::new(),
            refusals: Vec::new(),
            now: 0,
            origin,
            published,
            word_tokens: 0,
            word_requests: 0,
            in_flight: 0,
            waiting: 0,
            busy: 0,
            queue: VecDeque::new(),
            tries: Vec::new(),
            events: BinaryHeap::new(),
            order: 0,
            look_at: 0,
            rng: StdRng::seed_from_u64(seed),
        };
        sim.at(0, Event::Tick);
        match demand {
            Demand::Endless => sim.at(0, Event::Look),
            Demand::Poisson(_) => sim.at(0, Event::Arrive),
        }
        sim
    }

    fn at(&mut self, when: Ns, event: Event) {
        self.order += 1;
        self.events.push(Reverse((when, self.order, event)));
    }

    fn after(&mut self, seconds: f64, event: Event) {
        self.at(self.now + (seconds * 1e9) as Ns, event);
    }

    fn instant(&self, when: Ns) -> Instant {
        self.origin + Duration::from_nanos(when)
    }

    /// Runs on until `until` seconds.
    pub(super) fn run(&mut self, until: u64) {
        while let Some(Reverse((when, _, event))) = self.events.peek().copied() {
            if when >= until * SECOND {
                break;
            }
            self.events.pop();
            let busy = self.busy as f64 * (when - self.now) as f64 / 1e9;
            self.now = when;
            self.second().busy += busy;
            self.step(event);
            self.begin();
            let (limit, behind) = (self.published.limit, self.queue.len());
            let second = self.second();
            second.limit = limit;
            second.behind = second.behind.max(behind);
        }
    }

    fn second(&mut self) -> &mut Second {
        let place = usize::try_from(self.now / SECOND).unwrap();
        let last = self.seconds.last().map_or(0, |second| second.limit);
        while self.seconds.len() <= place {
            self.seconds.push(Second { limit: last, ..Second::default() });
        }
        &mut self.seconds[place]
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Arrive => {
                self.waiting += 1;
                if let Demand::Poisson(rate) = self.demand {
                    let gap = -self.rng.random_range(1e-12f64..1.0).ln() / rate;
                    self.after(gap, Event::Arrive);
                }
            }
            Event::First(_) if self.answers == Answers::Whole => {}
            Event::First(id) => {
                let asked = self.tries[id];
                let now = self.instant(self.now);
                if !asked.facts.is_empty() {
                    self.published = self.control.told(now, &asked.facts);
                }
                let sample = FirstToken {
                    began: self.instant(asked.began),
                    in_flight: asked.in_flight,
                    input_tokens: asked.input,
                };
                self.published = self.control.first_token(now, sample);
            }
            Event::End(id) => {
                let tokens = self.tries[id].input + self.tries[id].output;
                if self.answers == Answers::Whole {
                    self.answered(id);
                }
                self.second().served += 1;
                self.second().tokens += tokens;
                self.end(id, Verdict::Served);
                self.leave();
            }
            Event::Refuse(id) => {
                self.second().refused += 1;
                self.refusals.push(self.now);
                let pause = match &self.behind {
                    Behind::Bucket { retry_after, .. } => *retry_after,
                    _ => None,
                };
                self.end(id, Verdict::Overloaded { pause });
            }
            Event::Tick => {
                let now = self.instant(self.now);
                self.published = self.control.tick(now);
                self.after(1.0, Event::Tick);
            }
            Event::Look => {
                let now = self.instant(self.now);
                self.published = self.control.tick(now);
            }
        }
    }

    fn answered(&mut self, id: usize) {
        let asked = self.tries[id];
        let sample = Answered {
            began: self.instant(asked.began),
            in_flight: asked.in_flight,
            input_tokens: asked.input,
            output_tokens: Some(asked.output),
        };
        self.published = self.control.answered(self.instant(self.now), sample);
    }

    fn end(&mut self, id: usize, verdict: Verdict) {
        self.in_flight -= 1;
        let asked = self.tries[id];
        let none = RateFacts::default();
        let refused = matches!(verdict, Verdict::Overloaded { .. });
        let sample = Ended {
            began: self.instant(asked.began),
            in_flight: asked.in_flight,
            tokens: asked.input + asked.output,
            verdict,
            limits: if refused { &asked.facts } else { &none },
        };
        let now = self.instant(self.now);
        self.published = self.control.ended(now, sample, &mut self.rng);
    }

    /// A slot behind the lane became free.
    fn leave(&mut self) {
        self.busy -= 1;
        if let Behind::Slots(slots) | Behind::Line(slots, _) = self.behind
            && self.busy < slots
            && let Some(next) = self.queue.pop_front()
        {
            self.serve(next);
        }
    }

    /// Starts whatever may start now.
    fn begin(&mut self) {
        while self.in_flight < self.published.limit && (matches!(self.demand, Demand::Endless) || self.waiting > 0) {
            let (input, output) =
                (self.input.draw(&mut self.rng) as u64 + 1, self.output.draw(&mut self.rng) as u64 + 1);
            let pace = self.published.rate.unwrap_or_default();
            match self.pay(&pace, input + output) {
                Ok(()) => {}
                Err(wait) => {
                    let when = self.now + wait.max(1);
                    if self.look_at <= self.now || when < self.look_at {
                        self.look_at = when;
                        self.at(when, Event::Look);
                    }
                    return;
                }
            }
            self.waiting = self.waiting.saturating_sub(1);
            self.in_flight += 1;
            self.second().begun += 1;
            self.begun.push(self.now);
            let first = self.first.draw(&mut self.rng) + self.per_input_token * input as f64;
            let rest = self.rest.draw(&mut self.rng) + self.per_output_token * output as f64;
            let facts = RateFacts::default();
            self.tries.push(Try { began: self.now, in_flight: self.in_flight, input, output, first, rest, facts });
            self.send(self.tries.len() - 1);
        }
        // A lane that is shut is looked at again when it says so.
        if self.published.limit == 0
            && let Some(at) = self.published.opens_at
        {
            let when = u64::try_from(at.saturating_duration_since(self.origin).as_nanos()).unwrap();
            if self.look_at <= self.now || when < self.look_at {
                self.look_at = when.max(self.now + 1);
                self.at(self.look_at, Event::Look);
            }
        }
    }

    fn pay(&mut self, pace: &Pace, tokens: u64) -> Result<(), u64> {
        let requests = admit_request(self.word_requests, self.now, pace)?;
        match admit(self.word_tokens, self.now, tokens, pace) {
            Ok(word) => {
                self.word_tokens = word;
                self.word_requests = requests;
                Ok(())
            }
            Err(wait) => {
                self.word_requests = give_back_request(requests, pace);
                Err(wait)
            }
        }
    }

    /// What the provider does with a try.
    fn send(&mut self, id: usize) {
        let now = self.now;
        let size = (self.tries[id].input + self.tries[id].output) as f64;
        match &mut self.behind {
            Behind::Free => self.serve(id),
            Behind::Slots(slots) | Behind::Line(slots, _) if self.busy < *slots => self.serve(id),
            Behind::Line(_, line) if self.queue.len() >= *line => self.after(0.05, Event::Refuse(id)),
            Behind::Slots(_) | Behind::Line(..) => self.queue.push_back(id),
            Behind::Refusing(slots) if self.busy < *slots => self.serve(id),
            Behind::Refusing(_) => self.after(0.05, Event::Refuse(id)),
            Behind::Bucket { per_second, depth, level, unit, at, headers, .. } => {
                *level = (*level + (now - *at) as f64 / 1e9 * *per_second).min(*depth);
                *at = now;
                let cost = if *unit == Unit::Token { size } else { 1.0 };
                let accepted = *level >= cost;
                if accepted {
                    *level -= cost;
                }
                if *headers {
                    let fact = RateFact {
                        limit: Some(*depth as u64),
                        remaining: Some(*level as u64),
                        reset: Some(Duration::from_secs_f64((*depth - *level) / *per_second)),
                    };
                    let unit = *unit;
                    let facts = &mut self.tries[id].facts;
                    if unit == Unit::Token { facts.tokens = fact } else { facts.requests = fact }
                }
                if accepted { self.serve(id) } else { self.after(0.05, Event::Refuse(id)) }
            }
        }
    }

    fn serve(&mut self, id: usize) {
        self.busy += 1;
        let asked = self.tries[id];
        self.after(asked.first, Event::First(id));
        self.after(asked.first + asked.rest, Event::End(id));
    }

    /// Served per second between two seconds.
    pub(super) fn goodput(&self, from: usize, to: usize) -> f64 {
        self.seconds[from..to].iter().map(|second| f64::from(second.served)).sum::<f64>() / (to - from) as f64
    }

    /// Slots in use on average between two seconds.
    pub(super) fn busy(&self, from: usize, to: usize) -> f64 {
        self.seconds[from..to].iter().map(|second| second.busy).sum::<f64>() / (to - from) as f64
    }

    /// Tokens served per second between two seconds.
    pub(super) fn tokens(&self, from: usize, to: usize) -> f64 {
        self.seconds[from..to].iter().map(|second| second.tokens as f64).sum::<f64>() / (to - from) as f64
    }

    /// The share of tries that were refused between two seconds.
    pub(super) fn refused(&self, from: usize, to: usize) -> f64 {
        let of = |count: fn(&Second) -> u32| {
            self.seconds[from..to].iter().map(|second| f64::from(count(second))).sum::<f64>()
        };
        of(|second| second.refused) / of(|second| second.begun).max(1.0)
    }

    /// The mean of the longest queue of each second.
    pub(super) fn behind(&self, from: usize, to: usize) -> f64 {
        self.seconds[from..to].iter().map(|second| second.behind as f64).sum::<f64>() / (to - from) as f64
    }
}
