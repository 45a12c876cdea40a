//! The router's own control, driven as the pipeline drives it: what [`Control`] publishes decides who may begin,
//! and the rate's words are kept here, where the pipeline has its atomics.

use atp_core::RateFacts;
use atp_routing::control::{Answered, Began, Control, ControlRules, Ended, FirstToken, Published, State, Verdict};
use atp_routing::rate;
use atp_routing::share::Idle;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

use super::{Begun, Ending, Gate, Limiter, TryOutcome};

/// A lane's control and the words beside it.
#[derive(Debug)]
pub(crate) struct Ours {
    control: Control,
    rules: ControlRules,
    now: Published,
    tokens: u64,
    requests: u64,
}

impl Ours {
    pub(crate) fn new(rules: ControlRules, now: Instant) -> Self {
        let mut control = Control::new(rules, now);
        let published = control.tick(now);
        Self { control, rules, now: published, tokens: 0, requests: 0 }
    }

    fn nanos(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.control.origin());
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Limiter for Ours {
    fn limit(&self) -> u32 {
        self.now.limit
    }

    fn most(&self) -> u32 {
        self.rules.window.max
    }

    fn gate(&self) -> Gate {
        match self.now.state {
            State::Ejected => Gate::Shut,
            State::Probing => Gate::Probing,
            State::Serving => Gate::Open,
        }
    }

    fn opens_at(&self) -> Option<Instant> {
        self.now.opens_at
    }

    fn admit(&mut self, tokens: u64, idle: Idle, now: Instant) -> Result<u64, Option<Duration>> {
        if self.now.state != State::Serving {
            return if self.control.began(now) == Began::Probe { Ok(0) } else { Err(None) };
        }
        let Some(pace) = self.now.rate else { return Ok(0) };
        let at = self.nanos(now);
        let (requests, tokens_word) = match idle {
            Idle::Yes => (
                rate::admit_request_ahead(self.requests, at, &pace).map_err(wait)?,
                rate::admit_ahead(self.tokens, at, tokens, &pace).map_err(wait)?,
            ),
            Idle::No => (
                rate::admit_request(self.requests, at, &pace).map_err(wait)?,
                rate::admit(self.tokens, at, tokens, &pace).map_err(wait)?,
            ),
        };
        self.tokens = tokens_word;
        self.requests = requests;
        Ok(tokens)
    }

    fn first_token(&mut self, now: Instant, begun: Begun, facts: &RateFacts) {
        if !facts.is_empty() {
            self.control.told(now, facts);
        }
        let sample = FirstToken { began: begun.at, in_flight: begun.in_flight, input_tokens: begun.input };
        self.now = self.control.first_token(now, sample);
    }

    fn answered(&mut self, now: Instant, begun: Begun, output: u64, facts: &RateFacts) {
        if !facts.is_empty() {
            self.control.told(now, facts);
        }
        let Begun { at: began, in_flight, input: input_tokens, .. } = begun;
        let sample = Answered { began, in_flight, input_tokens, output_tokens: Some(output) };
        self.now = self.control.answered(now, sample);
    }

    fn ended(&mut self, now: Instant, end: &Ending, dice: &mut StdRng) {
        let verdict = match end.outcome {
            TryOutcome::Served => Verdict::Served,
            TryOutcome::Refused(pause) => Verdict::Overloaded { pause },
            TryOutcome::Failed => Verdict::Failed,
            TryOutcome::Cancelled => Verdict::Cancelled,
        };
        if let Some(pace) = self.now.rate
            && end.begun.paid > 0
        {
            self.tokens = rate::settle(self.tokens, self.nanos(now), end.begun.paid, end.tokens, &pace);
        }
        let sample = Ended {
            began: end.begun.at,
            in_flight: end.begun.in_flight,
            tokens: end.tokens,
            verdict,
            limits: &end.limits,
        };
        self.now = self.control.ended(now, sample, dice);
    }

    fn tick(&mut self, now: Instant) {
        self.now = self.control.tick(now);
    }

    fn p95_first_token(&self) -> Option<Duration> {
        self.control.p95_first_token()
    }
}

fn wait(nanos: u64) -> Option<Duration> {
    Some(Duration::from_nanos(nanos))
}
