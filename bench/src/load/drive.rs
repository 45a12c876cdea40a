//! Drives a run: starts the callers, opens and closes the measured window, gathers the report.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};

use super::client::{Client, Failure, Sample, Until};
use super::plan::{Message, Plan, Target};
use super::report::{Ends, Report};
use super::tally::{Moments, Tally, Window};
use super::ticker::Ticker;

/// How long requests under way may still take after the end before they count as failed.
const GRACE: Duration = Duration::from_secs(2);
/// How often the caller of a run hears how far it is.
const PROGRESS: Duration = Duration::from_millis(250);
/// A window that is not open yet lies this far ahead.
const NOT_YET: Duration = Duration::from_secs(86_400);

/// A moment of a run that its caller may want to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mark {
    /// The measured part begins now.
    Begin,
    /// So far.
    Progress {
        /// Part of the planned time that is over, 0 to 1.
        part: f64,
        /// Good answers.
        done: u64,
        /// Failures.
        failed: u64,
    },
    /// The measured part has ended now.
    End,
}

/// Runs a plan on the calling thread.
///
/// # Errors
/// A plan that cannot run. Requests that fail are no error: they are in the report.
pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    run_marked(plan, |_| {})
}

/// Runs a plan on the calling thread and tells its moments.
///
/// # Errors
/// As [`run`].
pub fn run_marked(plan: &Plan, mark: impl FnMut(Mark)) -> anyhow::Result<Report> {
    plan.check()?;
    let target = Target::parse(&plan.url)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(drive(plan, target, mark))
}

/// What the callers of one run share. One thread uses it, so no lock is ever waited for.
struct Run {
    target: Arc<Target>,
    messages: Vec<Message>,
    timeout: Duration,
    /// Requests that may still start, when their number is bounded.
    left: Option<AtomicU64>,
    state: Mutex<State>,
    ending: AtomicBool,
    /// The number asked for is done.
    enough: Notify,
    connects: AtomicU64,
    /// Open loop: when requests should have left that nobody has taken yet.
    due: Mutex<VecDeque<Instant>>,
    work: Notify,
}

struct State {
    tally: Tally,
    window: Window,
    target: Option<u64>,
}

impl Run {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn goes_on(&self) -> bool {
        !self.ending.load(Relaxed)
    }

    /// Takes one of the requests that may still start; there are any number when none was given.
    fn take_turn(&self) -> bool {
        let Some(left) = &self.left else { return true };
        left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    fn note(&self, moments: Moments, message: &Message, result: &Result<(), Failure>, sample: &Sample) {
        let mut state = self.state();
        let State { tally, window, target } = &mut *state;
        match result {
            Ok(()) => tally.note(*window, moments, message.streamed, sample),
            Err(failure) => tally.note_failure(*window, moments, failure),
        }
        if target.is_some_and(|target| tally.done + tally.failed >= target) {
            // What ends later is beyond the number asked for.
            window.end = window.end.min(moments.ended);
            self.ending.store(true, Relaxed);
            self.enough.notify_one();
        }
    }
}

async fn drive(plan: &Plan, target: Target, mut mark: impl FnMut(Mark)) -> anyhow::Result<Report> {
    let target = Arc::new(target);
    let far = Instant::now() + NOT_YET;
    let run = Arc::new(Run {
        messages: plan.messages(&target),
        target,
        timeout: plan.timeout,
        left: plan.requests.map(AtomicU64::new),
        state: Mutex::new(State {
            tally: Tally::new()?,
            window: Window { begin: far, end: far + NOT_YET },
            target: plan.requests,
        }),
        ending: AtomicBool::new(false),
        enough: Notify::new(),
        connects: AtomicU64::new(0),
        due: Mutex::new(VecDeque::new()),
        work: Notify::new(),
    });
    let mut callers = JoinSet::new();
    let warmup = if plan.requests.is_some() { Duration::ZERO } else { plan.warmup };
    if !warmup.is_zero() {
        start(plan, &run, &mut callers)?;
        tokio::time::sleep(warmup).await;
    }
    mark(Mark::Begin);
    let begin = Instant::now();
    let window = Window { begin, end: begin + plan.duration };
    run.state().window = window;
    if warmup.is_zero() {
        start(plan, &run, &mut callers)?;
    }
    let seconds = measure(plan, &run, window, &mut mark).await;
    let unsent = finish(plan, &run, callers).await;
    let state = run.state();
    Ok(Report::of(plan, &state.tally, Ends { seconds, connects: run.connects.load(Relaxed), unsent }))
}

fn start(plan: &Plan, run: &Arc<Run>, callers: &mut JoinSet<()>) -> anyhow::Result<()> {
    match plan.rate {
        None => start_closed(plan, run, callers),
        Some(rate) => start_open(plan, run, rate, callers)?,
    }
    Ok(())
}

/// Waits for the window's end and closes it; returns its length in seconds.
async fn measure(plan: &Plan, run: &Arc<Run>, window: Window, mark: &mut impl FnMut(Mark)) -> f64 {
    let Window { begin, end } = window;
    let mut next = begin + PROGRESS;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next.min(end)) => {}
            () = run.enough.notified() => break,
        }
        if next >= end {
            break;
        }
        let (done, failed) = {
            let state = run.state();
            (state.tally.done, state.tally.failed)
        };
        let part = next.duration_since(begin).as_secs_f64() / plan.duration.as_secs_f64();
        mark(Mark::Progress { part, done, failed });
        next += PROGRESS;
    }
    run.ending.store(true, Relaxed);
    let end = {
        let mut state = run.state();
        // The timer fires up to a millisecond late; what ended until now belongs to the window.
        if state.window.end == end {
            state.window.end = Instant::now();
        }
        state.window.end
    };
    mark(Mark::End);
    end.duration_since(begin).as_secs_f64()
}

/// Lets what is under way end, then cuts it; returns how many due requests never left.
async fn finish(plan: &Plan, run: &Arc<Run>, mut callers: JoinSet<()>) -> u64 {
    let unsent = {
        let mut due = run.due();
        let count = due.len() as u64;
        due.clear();
        count
    };
    run.work.notify_waiters();
    let deadline = Instant::now() + GRACE.min(plan.timeout);
    while let Ok(Some(_)) = tokio::time::timeout_at(deadline, callers.join_next()).await {}
    callers.shutdown().await;
    unsent
}

fn start_closed(plan: &Plan, run: &Arc<Run>, callers: &mut JoinSet<()>) {
    for index in 0..plan.concurrency {
        let run = Arc::clone(run);
        let delay = plan.ramp.mul_f64(index as f64 / plan.concurrency as f64);
        callers.spawn(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let mut caller = Caller::new(run, index);
            while caller.run.goes_on() && caller.ask(Instant::now()).await {}
        });
    }
}

fn start_open(plan: &Plan, run: &Arc<Run>, rate: f64, callers: &mut JoinSet<()>) -> anyhow::Result<()> {
    for index in 0..plan.concurrency {
        let run = Arc::clone(run);
        callers.spawn(async move {
            let mut caller = Caller::new(run, index);
            while caller.run.goes_on() {
                let next = caller.run.due().pop_front();
                match next {
                    Some(intended) => {
                        if !caller.ask(intended).await {
                            return;
                        }
                    }
                    None => {
                        let run = Arc::clone(&caller.run);
                        let waiting = run.work.notified();
                        // Ending is told once; registering first keeps it from being missed.
                        if run.goes_on() {
                            waiting.await;
                        }
                    }
                }
            }
        });
    }
    let period = Duration::from_secs_f64(1.0 / rate);
    let mut ticker = Ticker::start(period)?;
    let run = Arc::clone(run);
    callers.spawn(async move {
        let start = Instant::now();
        let mut sent = 0_u64;
        while run.goes_on() && ticker.tick().await.is_ok() {
            let now = Instant::now();
            // The clock says what is due; the tick only wakes us.
            let due = (now.duration_since(start).as_secs_f64() * rate) as u64;
            while sent < due {
                sent += 1;
                run.due().push_back(start + Duration::from_secs_f64(sent as f64 / rate));
                // The caller that was busy last has the warmest connection.
                run.work.notify_last();
            }
        }
    });
    Ok(())
}

/// One caller: a connection, and what it needs for each request.
struct Caller {
    run: Arc<Run>,
    client: Client,
    sample: Sample,
    turn: usize,
    /// Fires at the latest when a request is overdue. Moved only when it fires, because setting a
    /// timer for each request would cost more than the rest of it.
    watch: Pin<Box<Sleep>>,
}

impl Caller {
    fn new(run: Arc<Run>, index: usize) -> Self {
        let client = Client::new(Arc::clone(&run.target), index);
        let watch = Box::pin(tokio::time::sleep(run.timeout));
        Self { run, client, sample: Sample::default(), turn: index, watch }
    }

    /// Sends one request and notes how it went; says no when no more may start.
    async fn ask(&mut self, intended: Instant) -> bool {
        let run = Arc::clone(&self.run);
        let Some(message) = run.messages.get(self.turn % run.messages.len()).filter(|_| run.take_turn()) else {
            return false;
        };
        self.turn += 1;
        let started = Instant::now();
        let connects = self.client.connects;
        let result = {
            let mut exchange = pin!(self.client.exchange(message, &mut self.sample, Until::End));
            loop {
                tokio::select! {
                    biased;
                    result = &mut exchange => break result,
                    () = self.watch.as_mut() => {
                        if started + run.timeout <= Instant::now() {
                            self.watch.as_mut().reset(Instant::now() + run.timeout);
                            break Err(Failure::Timeout);
                        }
                        self.watch.as_mut().reset(started + run.timeout);
                    }
                }
            }
        };
        run.connects.fetch_add(self.client.connects - connects, Relaxed);
        let moments = Moments { intended, started, ended: Instant::now() };
        run.note(moments, message, &result, &self.sample);
        if matches!(result, Err(Failure::Connect(_) | Failure::NoAnswer)) {
            // A gateway that is away must not be asked a million times a second.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }
}
