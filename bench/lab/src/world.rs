//! One run: tenants ask, a system under test decides, providers answer, everything is written down.
//!
//! The order of a request's walk is that of the router's pipeline: a turn (fast when nobody waits and a lane has
//! room, else through the queue), the try, its first token, its end, and after a failure the walk's next step
//! within the retry budget.

mod books;
mod plan;
mod tries;
mod turns;

use rand::rngs::StdRng;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use atp_core::Qos;
use atp_routing::Walk;

use crate::agenda::{Agenda, origin, seconds};
use crate::control::{Begun, Limiter};
use crate::dice::dice;
use crate::provider::{Outbox, Provider, Signal};
use crate::queue::{Coming, Queue};
use crate::tally::{Counts, Fate, JobRow, LaneRow, MOMENT, Tally};
use crate::traffic::Job;

use books::{Hedges, Retries};
pub(crate) use plan::{Choice, Controlled, Ordered, Plan, Retrying, Slots, System};

/// What can happen.
#[derive(Debug, Clone)]
enum Event {
    /// A source's line asks.
    Ask { source: usize, line: u32 },
    /// A provider tells something.
    Told(usize, Signal),
    /// A pause between tries is over.
    Rested(usize),
    /// A request has waited as long as it may.
    WaitedOut(usize),
    /// A caller's patience is over.
    Leave(usize),
    /// A stream has run for another while.
    Streamed(usize),
    /// A second lane may be worth asking.
    Hedge(usize),
    /// A blocked lane may have opened.
    Wake,
    /// A second has passed.
    Tick,
    /// A moment has passed.
    Moment,
}

/// A lane: a provider, what is asked of it, and who says how much.
#[derive(Debug)]
struct Lane {
    provider: Provider,
    limiter: Box<dyn Limiter>,
    in_flight: u32,
    /// Those of them that are gold.
    gold: u32,
    counts: Counts,
    /// Until then its rate is used up.
    unpaid_until: Option<Instant>,
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Running,
    Resting,
    Over,
}

/// A request under way.
#[derive(Debug)]
struct State {
    job: Job,
    line: u32,
    stage: Stage,
    walk: Option<Walk>,
    /// The lane that the walk named.
    wanted: Option<usize>,
    tries: SmallVec<[usize; 2]>,
    /// Tokens on the books of the queue, and tokens that it has really used.
    charged: u64,
    used: u64,
    answered: bool,
    /// Whether it left the queue, and was charged its estimate then.
    queued: bool,
    hedged_at: Option<Instant>,
}

/// A slot at a lane, for somebody to begin in.
#[derive(Debug, Clone, Copy)]
struct Berth {
    lane: usize,
    /// Tokens that the lane's rate was charged; 0 where none is known.
    paid: u64,
}

/// One try.
#[derive(Debug)]
struct Try {
    job: usize,
    lane: usize,
    begun: Begun,
    first: Option<Instant>,
    live: bool,
}

/// How often a stream is charged while it runs.
const STREAMED: Duration = Duration::from_millis(500);

/// Everything.
#[derive(Debug)]
struct World<'a> {
    plan: &'a Plan,
    system: &'a System,
    agenda: Agenda<Event>,
    started: Instant,
    lanes: Vec<Lane>,
    queue: Box<dyn Queue>,
    jobs: Vec<State>,
    tries: Vec<Try>,
    /// A request that left the queue and waits for its tokens.
    held: Option<usize>,
    /// Tries under way per flow.
    flows: BTreeMap<(usize, Qos), u32>,
    retries: Retries,
    hedges: Hedges,
    /// The completion that is expected: a moving average over sixteen, as in the pipeline.
    expected_output: f64,
    wake: Option<Instant>,
    /// One per source for what it asks, and one for the decisions.
    chances: Vec<StdRng>,
    chance: StdRng,
    tally: Tally,
}

/// Plays a plan on a system.
pub(crate) fn run(plan: &Plan, system: &System) -> Tally {
    let mut world = World::new(plan, system);
    world.play(world.started + seconds(plan.length));
    world.finish()
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, system: &'a System) -> Self {
        let started = origin();
        let lane = |(place, spec): (usize, &crate::provider::Spec)| Lane {
            provider: Provider::new(spec.clone(), place, started),
            limiter: system.control.limiter(place, started),
            in_flight: 0,
            gold: 0,
            counts: Counts::default(),
            unpaid_until: None,
        };
        let mut world = Self {
            plan,
            system,
            agenda: Agenda::new(started),
            started,
            lanes: plan.lanes.iter().enumerate().map(lane).collect(),
            queue: system.order.queue(&plan.tenants),
            jobs: Vec::new(),
            tries: Vec::new(),
            held: None,
            flows: BTreeMap::new(),
            retries: Retries::new(system.retrying),
            hedges: Hedges::default(),
            expected_output: 256.0,
            wake: None,
            chances: (0..plan.sources.len()).map(|source| dice(plan.seed, source as u64)).collect(),
            chance: dice(plan.seed, u64::MAX),
            tally: Tally::new(started, plan.sources.len(), plan.lanes.len()),
        };
        world.set_up();
        world
    }

    fn set_up(&mut self) {
        for (place, lane) in self.lanes.iter().enumerate() {
            for at in lane.provider.changes() {
                self.agenda.at(at, Event::Told(place, Signal::Change));
            }
        }
        for (place, source) in self.plan.sources.iter().enumerate() {
            let Some(chance) = self.chances.get_mut(place) else { continue };
            for line in 0..source.lines() {
                // Clients do not all ask in the first instant: their think time spreads them.
                let at = self.started + seconds(source.active.0) + source.gap(Duration::ZERO, chance);
                self.agenda.at(at, Event::Ask { source: place, line });
            }
        }
        self.agenda.after(Duration::ZERO, Event::Moment);
        self.agenda.after(Duration::from_secs(1), Event::Tick);
    }

    fn play(&mut self, end: Instant) {
        while let Some(event) = self.agenda.next(end) {
            match event {
                Event::Ask { source, line } => self.ask(source, line),
                Event::Told(lane, signal) => self.told(lane, signal),
                Event::Rested(job) => self.rested(job),
                Event::WaitedOut(job) => self.waited_out(job),
                Event::Leave(job) => self.leave(job),
                Event::Streamed(id) => self.streamed(id),
                Event::Hedge(job) => self.hedge(job),
                Event::Wake => self.woken(),
                Event::Tick => self.tick(),
                Event::Moment => self.moment(),
            }
        }
    }

    /// Lets everything end that is under way, so that what is left over can be seen.
    fn finish(mut self) -> Tally {
        for id in 0..self.jobs.len() {
            self.end_job(id, Fate::Open);
        }
        self.tally.left_over = self.lanes.iter().map(|lane| lane.in_flight).sum();
        self.tally
    }

    fn now(&self) -> Instant {
        self.agenda.now()
    }

    fn since_start(&self) -> Duration {
        self.now() - self.started
    }

    /// A source asks; an open one will ask again, a client only after its answer.
    fn ask(&mut self, place: usize, line: u32) {
        let plan = self.plan;
        let (now, since) = (self.now(), self.since_start());
        let id = self.jobs.len();
        let (Some(source), Some(chance)) = (plan.sources.get(place), self.chances.get_mut(place)) else { return };
        if since.as_secs_f64() >= source.active.1 {
            return;
        }
        let mut job = source.draw(id, place, now, chance);
        job.estimate = job.input + self.expected_output as u64;
        if !source.is_closed() {
            let gap = source.gap(since, chance);
            self.agenda.after(gap, Event::Ask { source: place, line });
        }
        self.tally.jobs.push(JobRow {
            source: place,
            arrived: since.as_secs_f64(),
            began: None,
            first: None,
            over: None,
            tries: 0,
            fate: Fate::Open,
        });
        self.jobs.push(State {
            job,
            line,
            stage: Stage::Resting,
            walk: None,
            wanted: None,
            tries: SmallVec::new(),
            charged: 0,
            used: 0,
            answered: false,
            queued: false,
            hedged_at: None,
        });
        self.plan_leaving(id);
        self.retries.asked(since);
        self.arrive(id, Coming::New);
    }

    fn tick(&mut self) {
        let now = self.now();
        self.lanes.iter_mut().for_each(|lane| lane.limiter.tick(now));
        self.agenda.after(Duration::from_secs(1), Event::Tick);
        self.dispatch();
    }

    fn moment(&mut self) {
        let now = self.now();
        for (lane, rows) in self.lanes.iter_mut().zip(&mut self.tally.lanes) {
            rows.push(LaneRow {
                limit: lane.limiter.limit(),
                in_flight: lane.in_flight,
                line: lane.provider.line(),
                slots: lane.provider.slots(),
                meter: lane.provider.meter(now),
                counts: lane.counts,
            });
        }
        self.tally.waiting.push(self.queue.len() + usize::from(self.held.is_some()));
        self.agenda.after(MOMENT, Event::Moment);
    }

    /// Writes a provider's announcements into the agenda.
    fn announce(&mut self, lane: usize, outbox: Outbox) {
        for (at, signal) in outbox {
            self.agenda.at(at, Event::Told(lane, signal));
        }
    }
}

#[cfg(test)]
mod tests;
