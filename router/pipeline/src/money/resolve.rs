//! Who has which account: resolved once to a configuration, so that an exchange finds its own by index.
//!
//! Accounts belong to names, not to configurations: a reload keeps what is spent and held, and exchanges of
//! the configuration before go on drawing on the same ones.

use std::collections::HashMap;
use std::sync::Arc;

use atp_core::{Caller, Exchange, MicroUsd};
use atp_routing::budget::{Amount, Per};

use super::cell::{Cell, Cells};
use super::pot::Pot;
use super::sessions::Sessions;
use crate::snapshot::{Budget, Budgets, Snapshot, Whose};

/// All accounts.
#[derive(Default)]
pub(crate) struct Money {
    keys: Box<[Purse]>,
    tenants: HashMap<Arc<str>, Arc<Cell>>,
    pub(super) sessions: Option<Arc<Sessions>>,
    /// Whether there is a budget or a ceiling of any kind.
    any: bool,
}

/// What a key may spend.
struct Purse {
    key: Arc<str>,
    cell: Option<Arc<Cell>>,
    /// The most that one request may cost.
    request: Option<MicroUsd>,
}

impl Money {
    /// Makes the accounts of a snapshot, taking over those of the same names.
    pub(crate) fn resolve(snapshot: &Snapshot, before: Option<&Self>, now_ms: u64) -> Self {
        let rules = &snapshot.budgets;
        let key = |(place, limit): (usize, &crate::snapshot::KeyLimit)| Purse {
            key: Arc::clone(&limit.key),
            cell: account(
                Whose::Key,
                &limit.key,
                rules.keys.get(place).map_or(&[], Vec::as_slice),
                before.and_then(|before| before.purse_of(place, &limit.key)?.cell.as_ref()),
                rules,
                now_ms,
            ),
            request: rules.request.get(place).copied().flatten(),
        };
        let keys: Box<[Purse]> = snapshot.keys.iter().enumerate().map(key).collect();
        let tenant = |(name, budgets): &(Arc<str>, Vec<Budget>)| {
            let kept = before.and_then(|before| before.tenants.get(name));
            Some((Arc::clone(name), account(Whose::Tenant, name, budgets, kept, rules, now_ms)?))
        };
        let tenants: HashMap<_, _> = rules.tenants.iter().filter_map(tenant).collect();
        let sessions = sessions(&rules.session, before.and_then(|before| before.sessions.as_ref()), now_ms);
        let purses = keys.iter().any(|purse| purse.cell.is_some() || purse.request.is_some());
        Self { any: purses || !tenants.is_empty() || sessions.is_some(), keys, tenants, sessions }
    }

    /// Whether money may matter to an exchange at all: the one branch of those to whom it does not.
    pub(super) fn concerns(&self, exchange: &Exchange) -> bool {
        self.any || exchange.hints.is_some() || exchange.caller.hints.is_some()
    }

    /// The most that an exchange may cost, by its own word, or else its key's, or else what is usual, and by
    /// its key's rule; the lower one.
    pub(super) fn cap(&self, exchange: &Exchange) -> Option<MicroUsd> {
        let said = exchange.hints.as_ref();
        let key = exchange.caller.hints.as_ref().and_then(|hints| hints.max_cost);
        let word = said.and_then(|hints| hints.max_cost).or(key).or_else(|| said?.usual_cost);
        let rule = self.purse(&exchange.caller).and_then(|purse| purse.request);
        word.into_iter().chain(rule).min()
    }

    /// The pot of an exchange that may ask several models, where it has a ceiling.
    pub(crate) fn pot_for(&self, exchange: &Exchange) -> Option<Arc<Pot>> {
        if self.concerns(exchange) { self.cap(exchange).map(Pot::new) } else { None }
    }

    /// The accounts that an exchange draws on.
    pub(super) fn cells(&self, exchange: &Exchange, now_ms: u64) -> Cells {
        let caller = &exchange.caller;
        let key = self.purse(caller).and_then(|purse| purse.cell.clone());
        let tenant = if self.tenants.is_empty() { None } else { self.tenants.get(&caller.tenant).cloned() };
        // Requests of the router itself have no place in the configuration; their sessions are nobody's.
        let session = exchange.session.as_ref().filter(|_| caller.index != usize::MAX);
        let sessions = self.sessions.as_ref().zip(session);
        let session = sessions.map(|(sessions, name)| sessions.of(&caller.key, name, now_ms));
        key.into_iter().chain(tenant).chain(session).collect()
    }

    /// Lets time do its part.
    pub(crate) fn sweep(&self, now_ms: u64) {
        if let Some(sessions) = &self.sessions {
            sessions.sweep(now_ms);
        }
    }

    /// Every account of a key or a tenant, in configured order of the keys and by name of the tenants.
    pub(super) fn all(&self) -> Vec<Arc<Cell>> {
        let mut tenants: Vec<Arc<Cell>> = self.tenants.values().cloned().collect();
        tenants.sort_by(|one, other| one.name.cmp(&other.name));
        self.keys.iter().filter_map(|purse| purse.cell.clone()).chain(tenants).collect()
    }

    fn purse(&self, caller: &Caller) -> Option<&Purse> {
        self.purse_of(caller.index, &caller.key)
    }

    /// A reload between authentication and here may have moved the keys, so the name decides and the index
    /// is only where to look first.
    fn purse_of(&self, place: usize, key: &Arc<str>) -> Option<&Purse> {
        let named = |purse: &&Purse| purse.key == *key;
        self.keys.get(place).filter(named).or_else(|| self.keys.iter().find(named))
    }
}

/// The account of a name, new or taken over; none where it has no budget.
fn account(
    whose: Whose,
    name: &Arc<str>,
    budgets: &[Budget],
    before: Option<&Arc<Cell>>,
    rules: &Budgets,
    now_ms: u64,
) -> Option<Arc<Cell>> {
    let spent = |per: Per| {
        let named = rules.spent.iter().find(|spent| spent.whose == whose && spent.per == per && spent.name == *name);
        named.map_or(Amount::NONE, |spent| Amount { cost: spent.cost, tokens: spent.tokens })
    };
    if budgets.is_empty() {
        return None;
    }
    let cell = before.map_or_else(|| Cell::new(whose, Arc::clone(name), &[], now_ms), Arc::clone);
    cell.change(budgets, spent, now_ms);
    Some(cell)
}

fn sessions(budgets: &[Budget], before: Option<&Arc<Sessions>>, now_ms: u64) -> Option<Arc<Sessions>> {
    if budgets.is_empty() {
        return None;
    }
    let Some(kept) = before else { return Some(Sessions::new(budgets)) };
    kept.change(budgets, now_ms);
    Some(Arc::clone(kept))
}
