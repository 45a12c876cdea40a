//! What is played, and by whom.

use atp_routing::control::ControlRules;
use atp_routing::hedge::HedgeRules;
use std::time::Instant;

use crate::control::{Fixed, Gradient, Limiter, Ours};
use crate::provider::Spec;
use crate::queue::{Fair, Fifo, Queue, Rounds};
use crate::traffic::{Source, Tenant};

/// A scenario's world: the same for every system under test.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Seconds.
    pub(crate) length: f64,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) sources: Vec<Source>,
    pub(crate) lanes: Vec<Spec>,
    /// Requests that may wait in the pool, of each class.
    pub(crate) max_waiting: usize,
    /// Seconds that one may wait.
    pub(crate) max_wait: f64,
    /// Seconds of a caller's patience, exponentially distributed; `None`: they wait for ever.
    pub(crate) patience: Option<f64>,
}

impl Plan {
    pub(crate) fn new(seed: u64, length: f64, tenants: Vec<Tenant>, sources: Vec<Source>, lanes: Vec<Spec>) -> Self {
        Self { seed, length, tenants, sources, lanes, max_waiting: 4_096, max_wait: 120.0, patience: None }
    }
}

/// A system under test: which parts it is made of.
#[derive(Debug, Clone)]
pub(crate) struct System {
    pub(crate) name: &'static str,
    pub(crate) order: Ordered,
    pub(crate) control: Controlled,
    pub(crate) choice: Choice,
    pub(crate) slots: Slots,
    pub(crate) retrying: Retrying,
    pub(crate) hedging: Option<HedgeRules>,
}

/// Who comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ordered {
    Fairly,
    ByArrival,
    ByRounds,
}

/// How many tries a lane gets.
#[derive(Debug, Clone)]
pub(crate) enum Controlled {
    Ours(ControlRules),
    /// A number per lane.
    Fixed(Vec<u32>),
    Gradient,
    Not,
}

/// Which lane is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    AsConfigured,
    LeastBusy,
}

/// Who may use the last slots of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slots {
    /// Everybody.
    Equal,
    /// The router's rules: express slots for idle flows, and where gold is configured a reserve and preemption.
    Ranked(atp_routing::share::Gold),
}

/// What happens after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retrying {
    /// The walk's rules, and the gateway's budget.
    Budgeted,
    /// The walk's rules alone.
    Always,
}

impl System {
    /// The router as it is configured without any configuration.
    pub(crate) fn ours() -> Self {
        Self {
            name: "ATP Router",
            order: Ordered::Fairly,
            control: Controlled::Ours(ControlRules::default()),
            choice: Choice::AsConfigured,
            slots: Slots::Ranked(atp_routing::share::Gold::Absent),
            retrying: Retrying::Budgeted,
            hedging: None,
        }
    }

    /// First come, first served, under some control.
    pub(crate) fn plain(name: &'static str, control: Controlled) -> Self {
        Self {
            name,
            order: Ordered::ByArrival,
            control,
            choice: Choice::AsConfigured,
            slots: Slots::Equal,
            retrying: Retrying::Always,
            hedging: None,
        }
    }

    pub(crate) fn order(self, order: Ordered) -> Self {
        Self { order, ..self }
    }

    pub(crate) fn called(self, name: &'static str) -> Self {
        Self { name, ..self }
    }
}

impl Ordered {
    pub(super) fn queue(self, tenants: &[Tenant]) -> Box<dyn Queue> {
        match self {
            Self::Fairly => Box::new(Fair::new(tenants)),
            Self::ByArrival => Box::<Fifo>::default(),
            Self::ByRounds => Box::<Rounds>::default(),
        }
    }
}

impl Controlled {
    pub(super) fn limiter(&self, lane: usize, now: Instant) -> Box<dyn Limiter> {
        match self {
            Self::Ours(rules) => Box::new(Ours::new(*rules, now)),
            Self::Fixed(limits) => Box::new(Fixed(limits.get(lane).copied().unwrap_or(u32::MAX))),
            Self::Gradient => Box::new(Gradient::new()),
            Self::Not => Box::new(Fixed(u32::MAX)),
        }
    }
}
