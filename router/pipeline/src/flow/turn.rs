//! The right to one try at one lane: a slot of it, and the place in its flow's count.
//!
//! It is owned by the exchange, first by its future, then by its answer's body. It ends with what the
//! try told about the lane; dropped without that it tells nothing, and its slot goes back all the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atp_core::RateFacts;
use atp_routing::control::{Ended, FirstToken, Verdict};

use super::flow_cell::FlowCell;
use super::lane::{AnswerKind, Awaited, LaneCell, Slot};
use super::pool::Pool;
use super::preempt::Run;
use crate::clock;

/// A turn.
pub struct Turn {
    lane: Arc<LaneCell>,
    flow: Arc<FlowCell>,
    /// The lane's place among the pool's.
    place: usize,
    slot: Slot,
    began: Instant,
    first_token: FirstTokenTold,
    /// Where gold may preempt it.
    run: Option<Arc<Run>>,
    over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstTokenTold {
    No,
    Yes,
}

impl Turn {
    /// A turn with a slot that was just taken.
    pub(super) fn new(
        pool: &Arc<Pool>,
        place: usize,
        lane: &Arc<LaneCell>,
        flow: &Arc<FlowCell>,
        slot: Slot,
        now: Instant,
    ) -> Self {
        flow.takes();
        lane.holds(flow.qos);
        let run = pool.preempts(flow.qos).then(|| lane.bronze.enter(now));
        Self {
            lane: Arc::clone(lane),
            flow: Arc::clone(flow),
            place,
            slot,
            began: now,
            first_token: FirstTokenTold::No,
            run,
            over: false,
        }
    }

    /// The lane's place among the pool's.
    #[must_use]
    pub fn place(&self) -> usize {
        self.place
    }

    /// How many tries of the lane may be in flight.
    pub(crate) fn limit(&self) -> u32 {
        self.lane.load().limit
    }

    /// The lane's 95th percentile of the time to what the caller waits for, where it is known.
    pub(crate) fn p95(&self, awaited: Awaited) -> Option<Duration> {
        self.lane.p95(awaited)
    }

    /// How long the try has been under way.
    pub(crate) fn runs_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// What gold preempts it by, where it may.
    pub(crate) fn run(&self) -> Option<&Arc<Run>> {
        self.run.as_ref()
    }

    /// Gold preempts it no more: it has given way once. Otherwise a request would do so again and again,
    /// because the queue owes it the turn that it has lost.
    pub(crate) fn spare(&mut self) {
        if let Some(run) = self.run.take() {
            self.lane.bronze.leave(&run);
        }
    }

    /// The try begins only now: what came before was the router's own time.
    pub(crate) fn begins(&mut self, now: Instant) {
        self.began = self.began.max(now);
    }

    /// The first token has come, or the whole answer; `limits` came with it.
    pub(crate) fn first_token(&mut self, now: Instant, answer: AnswerKind, input_tokens: u64, limits: &RateFacts) {
        if std::mem::replace(&mut self.first_token, FirstTokenTold::Yes) == FirstTokenTold::Yes {
            return;
        }
        if let Some(run) = &self.run {
            run.streams();
        }
        self.lane.streams();
        let sample = FirstToken { began: self.began, in_flight: self.slot.in_flight, input_tokens };
        self.lane.first_token(now, answer, sample, limits);
    }

    /// The try has ended.
    pub fn end(mut self, now: Instant, verdict: Verdict, tokens: u64, limits: &RateFacts) {
        self.finish(now, verdict, tokens, limits);
    }

    fn finish(&mut self, now: Instant, verdict: Verdict, tokens: u64, limits: &RateFacts) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        if let Some(run) = &self.run {
            self.lane.bronze.leave(run);
        }
        if self.first_token == FirstTokenTold::Yes {
            self.lane.streams_no_more();
        }
        self.flow.gives_back();
        self.lane.holds_no_more(self.flow.qos);
        let sample = Ended { began: self.began, in_flight: self.slot.in_flight, tokens, verdict, limits };
        self.lane.ended(now, self.slot, sample);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over {
            self.finish(clock::now(), Verdict::Cancelled, 0, &RateFacts::default());
        }
    }
}
