//! The names that callers ask for behind a pattern: each gets a lane and a pool of its own when it is first
//! asked for, so that what a provider tells about one model is obeyed for that model and for no other.
//!
//! # How many
//!
//! Callers choose these names, so there are at most [`MOST`] of a pattern, each of at most [`LONGEST`] bytes. One
//! that finds no room shares the pattern's own lane with all others that found none: that lane is told that it has
//! many models behind it, and obeys no limit that is one model's. Who is in keeps his place while he is in use;
//! names that no provider has ever answered (misspelt ones, or made up to fill the table) make room at once when
//! nothing of them is in flight, and go after [`UNPROVEN`], others after [`UNUSED`] without a request.
//!
//! # Cost
//!
//! A name that is known costs a look into an immutable table: no lock, no allocation. A new one copies the table,
//! under a lock that nobody else waits for; while the table is full, one load says so until the next sweep.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use atp_routing::ControlRules;
use atp_routing::control::Models;

use super::Route;
use crate::clock;
use crate::flow::lane::LaneCell;
use crate::flow::pool::Pool;
use crate::flow::{Directory, Known};
use crate::leave::Spawn;
use crate::snapshot::{Model, Target};
use crate::sync::{Mutex, lock};

/// So many names of one pattern have lanes of their own: more models than any provider serves.
const MOST: usize = 256;
/// Longer names are no model's.
const LONGEST: usize = 256;
/// A name that was answered is forgotten when it has not been asked for so long.
const UNUSED: Duration = Duration::from_secs(600);
/// And one that never was.
const UNPROVEN: Duration = Duration::from_secs(60);

type Table = HashMap<Arc<str>, Arc<Named>>;

/// The names behind one pattern, by what its `*` stands for.
pub(crate) struct Names {
    /// One per lane.
    targets: Box<[Target]>,
    directory: Arc<Directory>,
    spawn: Spawn,
    known: ArcSwap<Table>,
    /// Held by who changes the table.
    changing: Mutex<()>,
    /// No name made room when that was looked at last.
    full: AtomicBool,
}

/// One name.
struct Named {
    route: Arc<Route>,
    /// Whether it was asked for since the last sweep.
    asked: AtomicBool,
    /// When the last sweep found it asked for.
    seen: Mutex<Instant>,
}

impl Names {
    /// No name is known yet; `None` where the model's targets do not depend on the name.
    pub(super) fn of(model: &Model, directory: &Arc<Directory>, spawn: &Spawn) -> Option<Self> {
        model.targets.iter().any(Target::is_open).then(|| Self {
            targets: model.targets.clone().into(),
            directory: Arc::clone(directory),
            spawn: Arc::clone(spawn),
            known: ArcSwap::default(),
            changing: Mutex::new(()),
            full: AtomicBool::new(false),
        })
    }

    /// What was asked for.
    fn stars(&self) -> Vec<Arc<str>> {
        self.known.load().keys().cloned().collect()
    }

    /// Every name's route.
    fn routes(&self) -> Vec<Arc<Route>> {
        self.known.load().values().map(|named| Arc::clone(&named.route)).collect()
    }

    fn get(&self, star: &str) -> Option<Arc<Route>> {
        let known = self.known.load();
        let named = known.get(star)?;
        // Written only when it changes, so that the line stays shared by all cores.
        if !named.asked.load(Ordering::Relaxed) {
            named.asked.store(true, Ordering::Relaxed);
        }
        Some(Arc::clone(&named.route))
    }

    /// Takes a name in, unless there is no room.
    fn enter(&self, of: &Route, name: &str, star: &str, now: Instant) -> Option<Arc<Route>> {
        if star.len() > LONGEST || self.full.load(Ordering::Relaxed) {
            return None;
        }
        let _changing = lock(&self.changing);
        if let Some(route) = self.get(star) {
            return Some(route);
        }
        let mut known = Table::clone(&self.known.load());
        if known.len() >= MOST {
            let Some(out) = self.unproven(&known) else {
                self.full.store(true, Ordering::Relaxed);
                return None;
            };
            known.remove(&out);
        }
        let route = self.route(of, name, star, None, now);
        known.insert(Arc::from(star), Named::new(&route, now));
        self.known.store(Arc::new(known));
        Some(route)
    }

    /// A name that nobody ever answered and of which nothing is under way.
    fn unproven(&self, known: &Table) -> Option<Arc<str>> {
        let idle = |named: &Named| named.route.pool.is_idle() && !self.is_proven(&named.route);
        known.iter().find(|(_, named)| idle(named)).map(|(star, _)| Arc::clone(star))
    }

    /// Whether some provider has answered under the name.
    fn is_proven(&self, route: &Route) -> bool {
        let lanes = self.targets.iter().zip(&route.pool.lanes);
        lanes.filter(|(target, _)| target.is_open()).any(|(_, lane)| lane.has_served())
    }

    /// The route of a name: the pattern's, with lanes and a pool of its own. A pool of `before` with the same
    /// lanes stays.
    fn route(&self, of: &Route, name: &str, star: &str, before: Option<&Arc<Pool>>, now: Instant) -> Arc<Route> {
        let lanes = self.targets.iter().zip(&of.pool.lanes);
        let lanes: Box<[Arc<LaneCell>]> = lanes.map(|(target, common)| self.lane(target, star, common, now)).collect();
        let pool = before.filter(|pool| pool.has_lanes(&lanes)).map_or_else(
            || Pool::with_heir(name.into(), lanes, Arc::clone(&self.spawn), Some(Arc::clone(&of.pool)), now),
            Arc::clone,
        );
        pool.set_gold(of.pool.gold());
        Arc::new(of.with_pool(pool))
    }

    fn lane(&self, target: &Target, star: &str, common: &Arc<LaneCell>, now: Instant) -> Arc<LaneCell> {
        if !target.is_open() {
            return Arc::clone(common);
        }
        let name = (Arc::clone(target.provider.name()), target.model_of(star));
        let rules = ControlRules { window: target.window, breaker: target.breaker, models: Models::One };
        let (lane, known) = self.directory.lane(&name, rules, Some(common), now);
        if known == Known::Already {
            lane.narrow(rules, now);
        }
        lane
    }

    /// Goes on with the names of the configuration before.
    fn adopt(&self, of: &Route, before: &Self, now: Instant) {
        let known = before.known.load();
        let adopted = known.iter().map(|(star, named)| {
            let pool = &named.route.pool;
            let route = self.route(of, pool.name(), star, Some(pool), now);
            (Arc::clone(star), Named::new(&route, *lock(&named.seen)))
        });
        self.known.store(Arc::new(adopted.collect()));
    }

    /// Forgets names that nobody asks for.
    fn sweep(&self, now: Instant) {
        let _changing = lock(&self.changing);
        let known = self.known.load();
        let kept: Table = known
            .iter()
            .filter(|(_, named)| {
                let most = if self.is_proven(&named.route) { UNUSED } else { UNPROVEN };
                named.unused(now) < most || !named.route.pool.is_idle()
            })
            .map(|(star, named)| (Arc::clone(star), Arc::clone(named)))
            .collect();
        if kept.len() < known.len() {
            self.known.store(Arc::new(kept));
        }
        self.full.store(false, Ordering::Relaxed);
    }
}

impl Named {
    fn new(route: &Arc<Route>, seen: Instant) -> Arc<Self> {
        Arc::new(Self { route: Arc::clone(route), asked: AtomicBool::new(true), seen: Mutex::new(seen) })
    }

    /// How long it was not asked for, as far as sweeps can tell.
    fn unused(&self, now: Instant) -> Duration {
        let mut seen = lock(&self.seen);
        if self.asked.swap(false, Ordering::Relaxed) {
            *seen = now;
        }
        now.saturating_duration_since(*seen)
    }
}

impl Route {
    /// The route of the name that was asked for, where that has lanes of its own behind this pattern, or gets
    /// them now.
    pub(crate) fn named(self: &Arc<Self>, asked: &str, star: Option<&Range<usize>>) -> Arc<Self> {
        let Some((names, star)) = self.behind(asked, star) else { return Arc::clone(self) };
        let route = names.get(star).or_else(|| names.enter(self, asked, star, clock::now()));
        route.unwrap_or_else(|| Arc::clone(self))
    }

    /// The same for who only looks: a name that is new stays so.
    pub(crate) fn known_as(self: &Arc<Self>, asked: &str, star: Option<&Range<usize>>) -> Arc<Self> {
        let known = self.behind(asked, star).and_then(|(names, star)| names.get(star));
        known.unwrap_or_else(|| Arc::clone(self))
    }

    fn behind<'a>(&'a self, asked: &'a str, star: Option<&Range<usize>>) -> Option<(&'a Names, &'a str)> {
        Some((self.names.as_ref()?, asked.get(star?.clone())?))
    }

    /// What was asked for behind this pattern.
    pub(super) fn stars(&self) -> Vec<Arc<str>> {
        self.names.as_ref().map_or_else(Vec::new, Names::stars)
    }

    /// Goes on with what was asked for behind the same pattern of the configuration before.
    pub(super) fn adopt_names(&self, before: &Self, now: Instant) {
        if let (Some(names), Some(before)) = (&self.names, &before.names) {
            names.adopt(self, before, now);
        }
    }

    /// Forgets names that nobody asks for.
    pub(super) fn sweep_names(&self, now: Instant) {
        if let Some(names) = &self.names {
            names.sweep(now);
        }
    }

    /// The routes of all names behind this pattern.
    pub(super) fn all_named(&self) -> Vec<Arc<Self>> {
        self.names.as_ref().map_or_else(Vec::new, Names::routes)
    }
}
