//! The accounts of sessions: made when a session first asks, forgotten when it has been silent for long.
//!
//! Names of sessions come from callers, so the map is bounded. A full one forgets the session that has been
//! silent longest and has nothing under way; a caller who wants a fresh budget need only invent a name, so
//! that is no way around anything. What bounds a caller is the budget of its key.

use std::collections::HashMap;
use std::sync::Arc;

use crate::snapshot::{Budget, Whose};
use crate::sync::{Mutex, lock};

use super::cell::Cell;
use atp_routing::budget::Amount;

/// How many sessions are remembered.
const MOST: usize = 20_000;
/// How long a session is remembered that says nothing.
const IDLE_MS: u64 = 6 * 3_600_000;
/// How many are looked at for the one to forget, so that a full map costs no scan of all.
const LOOKS: usize = 32;

type Name = (Arc<str>, Arc<str>);

/// The accounts of all sessions.
pub(super) struct Sessions {
    budgets: Mutex<Vec<Budget>>,
    cells: Mutex<HashMap<Name, Arc<Cell>>>,
    most: usize,
}

impl Sessions {
    pub(super) fn new(budgets: &[Budget]) -> Arc<Self> {
        Self::with_room(budgets, MOST)
    }

    fn with_room(budgets: &[Budget], most: usize) -> Arc<Self> {
        Arc::new(Self { budgets: Mutex::new(budgets.to_vec()), cells: Mutex::default(), most })
    }

    /// Puts other budgets in force, for the sessions that are known too.
    pub(super) fn change(&self, budgets: &[Budget], now_ms: u64) {
        *lock(&self.budgets) = budgets.to_vec();
        let all: Vec<Arc<Cell>> = lock(&self.cells).values().cloned().collect();
        all.iter().for_each(|cell| cell.change(budgets, |_| Amount::NONE, now_ms));
    }

    /// The account of a key's session.
    pub(super) fn of(&self, key: &Arc<str>, session: &Arc<str>, now_ms: u64) -> Arc<Cell> {
        let name = (Arc::clone(key), Arc::clone(session));
        if let Some(cell) = lock(&self.cells).get(&name) {
            return Arc::clone(cell);
        }
        let budgets = lock(&self.budgets).clone();
        let shown: Arc<str> = format!("{key}/{session}").into();
        let cell = Cell::new(Whose::Session, shown, &budgets, now_ms);
        let mut cells = lock(&self.cells);
        let forgotten = if cells.len() >= self.most { oldest(&cells, now_ms) } else { None };
        if let Some(forgotten) = forgotten {
            cells.remove(&forgotten);
        }
        // Another core may have been faster.
        Arc::clone(cells.entry(name).or_insert(cell))
    }

    /// Forgets those that have been silent for long.
    pub(super) fn sweep(&self, now_ms: u64) {
        lock(&self.cells)
            .retain(|_, cell| Arc::strong_count(cell) > 1 || now_ms.saturating_sub(cell.used_ms()) < IDLE_MS);
    }

    pub(super) fn all(&self) -> Vec<Arc<Cell>> {
        lock(&self.cells).values().cloned().collect()
    }
}

/// The session, of some, that was silent longest. One that is drawn on is held by more than the map.
fn oldest(cells: &HashMap<Name, Arc<Cell>>, now_ms: u64) -> Option<Name> {
    let idle = cells.iter().filter(|(_, cell)| Arc::strong_count(cell) == 1).take(LOOKS);
    let oldest = idle.max_by_key(|(_, cell)| now_ms.saturating_sub(cell.used_ms()));
    oldest.map(|(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use atp_routing::budget::Per;

    use super::*;

    const BUDGET: Budget = Budget { cost: None, tokens: Some(10), per: Per::Total };

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    #[test]
    fn a_session_is_one_account_and_a_key_has_its_own() {
        let sessions = Sessions::new(&[BUDGET]);
        let one = sessions.of(&name("k"), &name("s"), 0);
        assert!(Arc::ptr_eq(&one, &sessions.of(&name("k"), &name("s"), 5)));
        assert!(!Arc::ptr_eq(&one, &sessions.of(&name("other"), &name("s"), 5)));
        assert_eq!(&*one.name, "k/s");
    }

    #[test]
    fn no_number_of_names_makes_the_map_grow() {
        let sessions = Sessions::with_room(&[BUDGET], 20);
        let held = sessions.of(&name("k"), &name("held"), 0);
        for at in 1..500u64 {
            sessions.of(&name("k"), &name(&at.to_string()), at);
        }
        assert_eq!(sessions.all().len(), 20);
        let again = sessions.of(&name("k"), &name("held"), 500);
        assert!(Arc::ptr_eq(&held, &again), "one that is drawn on is not forgotten");
    }

    #[test]
    fn who_is_silent_for_long_is_forgotten_and_who_is_drawn_on_is_not() {
        let sessions = Sessions::new(&[BUDGET]);
        let held = sessions.of(&name("k"), &name("held"), 0);
        sessions.of(&name("k"), &name("silent"), 0);
        sessions.of(&name("k"), &name("late"), 60_000);
        sessions.sweep(IDLE_MS);
        let mut left: Vec<String> = sessions.all().iter().map(|cell| cell.name.to_string()).collect();
        left.sort();
        assert_eq!(left, ["k/held", "k/late"]);
        drop(held);
        sessions.sweep(IDLE_MS);
        assert_eq!(sessions.all().len(), 1);
    }

    #[test]
    fn other_budgets_hold_for_the_sessions_that_are_known() {
        let sessions = Sessions::new(&[BUDGET]);
        let cell = sessions.of(&name("k"), &name("s"), 0);
        let amount = |tokens| Amount { tokens, ..Amount::NONE };
        assert!(cell.covers(amount(10), 0));
        sessions.change(&[Budget { tokens: Some(5), ..BUDGET }], 0);
        assert!(!cell.covers(amount(10), 0) && cell.covers(amount(5), 0));
    }
}
