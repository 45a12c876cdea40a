//! Who may use the last slots of a window, and who has to give one up.
//!
//! Of a window of `W` slots (at most `M`, as configured), in slots in flight:
//!
//! - one slot in 32 is kept for light flows, so that one of them that comes finds the lane with a free
//!   slot and not with a line (windows below 32 have none to give away);
//! - everybody may fill the rest up to `W - G`. `G` slots are gold's reserved minimum: a tenth of the
//!   window and at least one, while gold keys are configured and the window has four slots or more; else
//!   none. What gold holds already counts ([`Shares::beside`]): a gold that always wants more would shut
//!   everybody else out otherwise;
//! - a light flow, which has nothing waiting and holds little, may go beyond: up to `W` and an eighth more
//!   (at least one), never above `M`. The window is an estimate of what the lane can carry, and one slot
//!   more moves little; but for a light tenant that slot is the whole of its service, and with it its
//!   time to first token does not depend on how long others keep theirs.
//!
//! Proof: the limits are ordered (common, gold, express, `M`) wherever `W <= M`, so no one who may
//! take less is ever let in before one who may take more; tests go through every small window. Gold that
//! finds no slot preempts: only bronze gives way, first who has not begun to answer (nothing that a
//! caller has seen is lost), then who began first (it is nearest to its deadline, and has been served
//! longest).

use std::time::Instant;

use atp_core::Qos;

/// Windows below this reserve nothing: one slot of three would be a third.
const LEAST_RESERVING: u32 = 4;
/// One in so many slots is reserved for gold.
const RESERVED: u32 = 10;
/// One in so many slots is kept for light flows.
const KEPT: u32 = 32;
/// One in so many slots may be taken beyond the window by a light flow.
const EXPRESS: u32 = 8;

/// Whether a flow is light: nothing of it waits, and it holds nothing, or less than half of its equal part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// Whether the configuration has keys of class gold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gold {
    /// At least one.
    Configured,
    /// None: nothing is reserved.
    Absent,
}

/// The limits of one window, in slots in flight: a request may take a slot while fewer are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// For everybody.
    pub common: u32,
    /// For gold.
    pub gold: u32,
    /// For a light flow.
    pub express: u32,
}

impl Shares {
    /// The limits of a window that may grow to `max`. A closed window (0) lets nobody in.
    #[must_use]
    pub fn of(window: u32, max: u32, gold: Gold) -> Self {
        let window = window.min(max);
        if window == 0 {
            return Self { common: 0, gold: 0, express: 0 };
        }
        let reserved = match gold {
            Gold::Configured if window >= LEAST_RESERVING => (window / RESERVED).max(1),
            Gold::Configured | Gold::Absent => 0,
        };
        let kept = window / KEPT;
        let beyond = (window / EXPRESS).max(1);
        Self {
            common: window - reserved.max(kept),
            gold: window - kept,
            express: window.saturating_add(beyond).min(max),
        }
    }

    /// The limits while gold holds so many slots: what it holds of its reserve is not kept free any more.
    #[must_use]
    pub fn beside(self, gold: u32) -> Self {
        Self { common: self.common.saturating_add(gold).min(self.gold), ..self }
    }

    /// The number in flight up to which this request may take a slot.
    #[must_use]
    pub fn slots(&self, qos: Qos, idle: Idle) -> u32 {
        match (idle, qos) {
            (Idle::Yes, _) => self.express,
            (Idle::No, Qos::Gold) => self.gold,
            (Idle::No, Qos::Silver | Qos::Bronze) => self.common,
        }
    }
}

/// The number in flight up to which a request may take a slot of this window.
#[must_use]
pub fn slots(window: u32, max: u32, qos: Qos, idle: Idle, gold: Gold) -> u32 {
    Shares::of(window, max, gold).slots(qos, idle)
}

/// How far an exchange has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The caller has seen nothing of the answer.
    Silent,
    /// The answer has begun.
    Streaming,
}

/// An exchange that holds a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// Its class.
    pub qos: Qos,
    /// How far it has come.
    pub phase: Phase,
    /// When its try began.
    pub began: Instant,
}

/// Whether gold may take a slot from bronze: while it holds less than its part of the slots that both hold.
#[must_use]
pub fn may_preempt(gold: u32, bronze: u32) -> bool {
    gold.saturating_mul(Qos::Bronze.factor()) < bronze.saturating_mul(Qos::Gold.factor())
}

/// Which of the candidates gives its slot to gold, by its place among them; `None` when none has to.
pub fn victim(candidates: impl Iterator<Item = Running>) -> Option<usize> {
    candidates
        .enumerate()
        .filter(|(_, running)| running.qos == Qos::Bronze)
        .min_by_key(|(_, running)| (running.phase, running.began))
        .map(|(place, _)| place)
}

#[cfg(test)]
mod tests;
