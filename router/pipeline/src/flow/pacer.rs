//! Who waits for time: a pool whose lanes open by themselves (a pause that a provider asked for, a pace, an
//! ejection) has one task that hands out turns when they do, alive only while somebody waits for that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pool::Pool;
use crate::clock;

/// The longest sleep: an opening that comes sooner than was thought is noticed after this, and the task
/// ends so soon after the last one has left.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// How often a lane is looked at that is full of streams which have all begun: its window widens by time.
pub(super) const HELD: Duration = Duration::from_millis(100);

/// After so many sleeps another task goes on, so that none outlives what its owner lets a task live.
const ROUNDS: u32 = 200;

/// The task's state, under the pool's lock.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    active: bool,
    /// When time alone makes room for somebody who waits.
    pub(super) next: Option<Instant>,
}

/// Whether the task has to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Start,
    Leave,
}

impl Pacing {
    /// Notes that the task is started, where it is needed and not there.
    pub(super) fn start(&mut self) -> Pace {
        if self.active || self.next.is_none() {
            return Pace::Leave;
        }
        self.active = true;
        Pace::Start
    }
}

/// Starts the task of a pool that has none.
pub(super) fn start(pool: &Arc<Pool>) {
    let alive = Alive { pool: Arc::clone(pool), over: Over::No };
    (pool.spawn)(Box::pin(run(alive)));
}

/// The task. Dropping it, also before it has begun, says that there is none.
struct Alive {
    pool: Arc<Pool>,
    over: Over,
}

#[derive(Debug, PartialEq, Eq)]
enum Over {
    No,
    Yes,
}

impl Alive {
    /// When to hand out turns next. `None` ends the task, which is noted under the same lock, so that who
    /// comes to wait after that starts another.
    fn next(&mut self) -> Option<Instant> {
        let pacing = &mut self.pool.line().pacing;
        if pacing.next.is_none() {
            pacing.active = false;
            self.over = Over::Yes;
        }
        pacing.next
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if self.over == Over::No {
            self.pool.line().pacing.active = false;
        }
    }
}

async fn run(mut alive: Alive) {
    for _ in 0..ROUNDS {
        let Some(next) = alive.next() else { return };
        clock::until(next.min(clock::now() + LONGEST_SLEEP)).await;
        let now = clock::now();
        for lane in alive.pool.lanes.iter().filter(|lane| lane.is_held()) {
            lane.tick(now);
        }
        alive.pool.dispatch(now);
    }
    let pool = Arc::clone(&alive.pool);
    drop(alive);
    // Whoever still waits is noticed here, and gets a task of his own.
    pool.dispatch(clock::now());
}
