//! Budgets as plain values: for operators, metrics and tests.

use std::sync::Arc;

use atp_routing::budget::{Amount, Budget, Short};

use super::cell::Cell;
use super::resolve::Money;
use crate::snapshot::Whose;

/// How many sessions are shown, those that were drawn on last.
const SESSIONS: usize = 100;

/// One account.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetView {
    /// Whose it is.
    pub whose: Whose,
    /// The key's name, the tenant's, or `KEY/SESSION`.
    pub name: Arc<str>,
    /// Its budgets, as configured.
    pub lines: Vec<BudgetLine>,
    /// What is held for requests under way, of each of them.
    pub reserved: Amount,
    /// Dollars per minute over the last 300 seconds.
    pub burn_usd_per_min: f64,
    /// Requests that were refused because money was short.
    pub denied_usd: u64,
    /// Requests that were refused because tokens were short.
    pub denied_tokens: u64,
    /// Requests that cost far more than those before them.
    pub spikes: u64,
    /// When it was last drawn on, in milliseconds since the Unix epoch.
    pub used_ms: u64,
}

/// One budget of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetLine {
    /// What may be spent.
    pub budget: Budget,
    /// What was settled in the window that is now.
    pub spent: Amount,
    /// What can still be held, in whole micro-dollars; `None` where nothing bounds it.
    pub left_usd_micros: Option<u64>,
    /// What can still be held, in tokens; `None` where nothing bounds it.
    pub left_tokens: Option<u64>,
    /// When the window turns, in milliseconds since the Unix epoch; `None` where it never does.
    pub turns_ms: Option<u64>,
}

impl BudgetView {
    fn of(cell: &Cell, now_ms: u64) -> Self {
        let seen = cell.see(now_ms);
        let line = |line: &atp_routing::budget::Line| {
            let gone = line.spent.plus(seen.reserved);
            BudgetLine {
                budget: line.budget,
                spent: line.spent,
                left_usd_micros: line.budget.cost.map(|most| most.0.saturating_sub(gone.cost.0)),
                left_tokens: line.budget.tokens.map(|most| most.saturating_sub(gone.tokens)),
                turns_ms: line.turns_ms(),
            }
        };
        Self {
            whose: cell.whose,
            name: Arc::clone(&cell.name),
            lines: seen.lines.iter().map(line).collect(),
            reserved: seen.reserved,
            burn_usd_per_min: seen.burn,
            denied_usd: cell.denied(Short::Cost),
            denied_tokens: cell.denied(Short::Tokens),
            spikes: cell.spikes(),
            used_ms: cell.used_ms(),
        }
    }
}

impl Money {
    /// The accounts of keys and tenants.
    pub(crate) fn accounts(&self, now_ms: u64) -> Vec<BudgetView> {
        self.all().iter().map(|cell| BudgetView::of(cell, now_ms)).collect()
    }

    /// All accounts, of sessions those that were drawn on last.
    pub(crate) fn view(&self, now_ms: u64) -> Vec<BudgetView> {
        let mut views = self.accounts(now_ms);
        let mut sessions = self.sessions.as_ref().map_or_else(Vec::new, |sessions| sessions.all());
        sessions.sort_by_key(|cell| std::cmp::Reverse(cell.used_ms()));
        sessions.truncate(SESSIONS);
        views.extend(sessions.iter().map(|cell| BudgetView::of(cell, now_ms)));
        views
    }
}
