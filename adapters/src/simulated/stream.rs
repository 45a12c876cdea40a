//! A streamed answer: events written when they are due, under the try's timers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use atp_core::{AnswerBody, Error, Report};
use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use super::capacity::Seat;
use super::generation::{Generation, Piece};
use super::pace::{self, Deadlines, Fault, Pace};
use super::refusal::Refusal;
use super::wire::{self, Chunks, Shape, UsageField};

/// Events that are due together go out together up to about this many bytes.
const GATHER: usize = 16 * 1024;

/// What is written, and how far it has got.
pub(super) struct Script {
    generation: Generation,
    pieces: Vec<Vec<Piece>>,
    shape: Shape,
    usage: UsageField,
    steps: u64,
    /// The next step: token `step` of every choice that has one.
    step: u64,
    told: u64,
    fault: Option<(Fault, u64)>,
}

/// What a step leads to.
enum Next {
    /// More steps.
    More,
    /// The end's mark has been written.
    End,
    /// An error has been told, or the connection broke.
    Broken,
    /// Nothing more will come.
    Silent,
}

impl Script {
    /// Prepares a stream.
    pub(super) fn new(generation: Generation, shape: Shape, usage: UsageField, pace: &Pace) -> Self {
        let steps = generation.longest().max(1);
        let pieces = generation.choices.iter().map(super::generation::Choice::pieces).collect();
        let fault = pace.fault(steps);
        Self { generation, pieces, shape, usage, steps, step: 0, told: 0, fault }
    }

    /// Writes the next step.
    fn write(&mut self, out: &mut Vec<u8>, report: &mut Report) -> Next {
        let chunks = Chunks { generation: &self.generation, shape: self.shape, usage: self.usage };
        let choices = || self.generation.choices.iter().zip(&self.pieces).enumerate();
        if self.step == 0 {
            choices().for_each(|(index, _)| chunks.role(index, out));
            report.usage = Some(self.generation.usage_of(0));
        }
        match self.fault {
            Some((Fault::Stall, at)) if at == self.step => return Next::Silent,
            Some((Fault::Cut, at)) if at == self.step => return Next::Broken,
            Some((Fault::Tell, at)) if at == self.step => {
                let refusal = Refusal::failed_in_stream();
                wire::event(&refusal.body(), out);
                report.failure = Some(refusal.in_stream());
                return Next::End;
            }
            _ => {}
        }
        let at = usize::try_from(self.step).unwrap_or(usize::MAX);
        for (index, (choice, pieces)) in choices() {
            if let Some(piece) = pieces.get(at) {
                chunks.piece(index, choice, piece, out);
                self.told += 1;
                report.content = true;
            }
            if at + 1 == pieces.len().max(1) {
                chunks.finish(index, choice, out);
                report.finish.get_or_insert(choice.finish);
            }
        }
        self.step += 1;
        let usage = self.generation.usage_of(self.told);
        report.usage = Some(usage);
        if self.step < self.steps {
            return Next::More;
        }
        chunks.end(usage, out);
        report.complete = true;
        Next::End
    }
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Silent,
    Broken,
    Ended,
}

/// The body of a streamed answer. It holds the seat, so that dropping it lets the next one in.
pub(super) struct PacedBody {
    script: Script,
    pace: Pace,
    seated: Instant,
    deadlines: Deadlines,
    /// When the present wait began; `None` while nothing is waited for.
    waiting: Option<Instant>,
    begun: bool,
    sleep: Pin<Box<Sleep>>,
    state: State,
    report: Report,
    seat: Option<Seat>,
}

impl PacedBody {
    /// Starts a stream; `seated` is when its seat was free.
    pub(super) fn new(script: Script, pace: Pace, seated: Instant, deadlines: Deadlines, seat: Seat) -> Self {
        let sleep = Box::pin(sleep_until(seated + pace.first));
        Self {
            script,
            pace,
            seated,
            deadlines,
            waiting: None,
            begun: false,
            sleep,
            state: State::Running,
            report: Report::default(),
            seat: Some(seat),
        }
    }

    /// Writes what is due; `None` where nothing is.
    fn gather(&mut self, now: Instant) -> Option<Bytes> {
        let mut out = Vec::new();
        while self.state == State::Running && out.len() < GATHER && self.due() <= now {
            match self.script.write(&mut out, &mut self.report) {
                Next::More => {}
                Next::End => self.state = State::Ended,
                Next::Broken => self.state = State::Broken,
                Next::Silent => self.state = State::Silent,
            }
        }
        if self.state == State::Ended {
            // The model is done; who reads slowly does not keep the next one waiting.
            self.seat = None;
        }
        (!out.is_empty()).then(|| Bytes::from(out))
    }

    fn due(&self) -> Instant {
        self.seated + self.pace.due(self.script.step)
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Bytes, Error>>> {
        self.state = State::Ended;
        self.seat = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl AnswerBody for PacedBody {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let this = &mut *self;
        loop {
            if this.state == State::Ended {
                return Poll::Ready(None);
            }
            let now = Instant::now();
            if now >= this.deadlines.total {
                return this.fail(this.deadlines.error(atp_core::ErrorKind::TimeoutTotal));
            }
            if let Some(chunk) = this.gather(now) {
                this.begun = true;
                this.waiting = None;
                return Poll::Ready(Some(Ok(chunk)));
            }
            if this.state == State::Broken {
                return this.fail(pace::cut());
            }
            let since = *this.waiting.get_or_insert(now);
            let (limit, kind) = if this.begun { this.deadlines.between(since) } else { this.deadlines.before_first() };
            if now >= limit {
                return this.fail(this.deadlines.error(kind));
            }
            let wake = if this.state == State::Silent { limit } else { limit.min(this.due()) };
            if this.sleep.deadline() != wake {
                this.sleep.as_mut().reset(wake);
            }
            if this.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn report(&self) -> &Report {
        &self.report
    }
}
