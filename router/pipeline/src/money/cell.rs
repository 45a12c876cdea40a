//! An account that exchanges on several cores draw on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as Telling};

use atp_core::MicroUsd;
use atp_routing::budget::{self, Account, Amount, Budget, Denied, Grant, Per, Short, Tab};
use atp_routing::burn::{Burn, Spike, SpikeGuard};
use smallvec::SmallVec;

use crate::snapshot::Whose;
use crate::sync::{Mutex, MutexGuard, lock};

/// The account of a key, a tenant or a session.
pub struct Cell {
    /// Whose it is.
    pub whose: Whose,
    /// The key's name, the tenant's, or the session's behind its key's.
    pub name: Arc<str>,
    state: Mutex<State>,
    denied: [AtomicU64; Short::ALL.len()],
    spikes: AtomicU64,
    /// When it was last drawn on.
    used_ms: AtomicU64,
}

struct State {
    account: Account,
    burn: Burn,
    guard: SpikeGuard,
}

/// What an account looks like at one moment.
pub(super) struct Seen {
    pub(super) lines: Vec<budget::Line>,
    pub(super) reserved: Amount,
    pub(super) burn: f64,
}

/// The accounts of one exchange, in the order in which their locks are taken.
pub type Cells = SmallVec<[Arc<Cell>; 3]>;

impl Cell {
    /// An account of which nothing is spent.
    #[must_use]
    pub fn new(whose: Whose, name: Arc<str>, budgets: &[Budget], now_ms: u64) -> Arc<Self> {
        let account = Account::new(budgets, now_ms);
        let state = State { account, burn: Burn::default(), guard: SpikeGuard::default() };
        Arc::new(Self {
            whose,
            name,
            state: Mutex::new(state),
            denied: Short::ALL.map(|_| AtomicU64::new(0)),
            spikes: AtomicU64::new(0),
            used_ms: AtomicU64::new(now_ms),
        })
    }

    /// Puts other budgets in force; those over a time that had none begin with what `spent` knows of it.
    pub(super) fn change(&self, budgets: &[Budget], spent: impl Fn(Per) -> Amount, now_ms: u64) {
        let state = &mut lock(&self.state).account;
        let new: SmallVec<[Per; 5]> = budgets.iter().map(|budget| budget.per).filter(|per| !state.has(*per)).collect();
        state.change(budgets, now_ms);
        new.into_iter().for_each(|per| state.seed(per, spent(per)));
    }

    /// Whether so much could be held now.
    pub(super) fn covers(&self, amount: Amount, now_ms: u64) -> bool {
        lock(&self.state).account.covers(amount, now_ms).is_ok()
    }

    /// What is held of it.
    pub fn reserved(&self) -> Amount {
        lock(&self.state).account.reserved()
    }

    /// What is spent of its first budget, in the window that is now.
    pub fn spent(&self, now_ms: u64) -> Amount {
        lock(&self.state).account.lines(now_ms).first().map_or(Amount::NONE, |line| line.spent)
    }

    pub(super) fn see(&self, now_ms: u64) -> Seen {
        let mut state = lock(&self.state);
        Seen {
            lines: state.account.lines(now_ms).to_vec(),
            reserved: state.account.reserved(),
            burn: state.burn.usd_per_minute(now_ms),
        }
    }

    pub(super) fn denied(&self, of: Short) -> u64 {
        self.denied.get(of as usize).map_or(0, |count| count.load(Telling::Relaxed))
    }

    pub(super) fn spikes(&self) -> u64 {
        self.spikes.load(Telling::Relaxed)
    }

    /// When it was last drawn on.
    pub(super) fn used_ms(&self) -> u64 {
        self.used_ms.load(Telling::Relaxed)
    }

    /// Counts a refusal.
    fn refuses(&self, of: Short) {
        if let Some(count) = self.denied.get(of as usize) {
            count.fetch_add(1, Telling::Relaxed);
        }
    }
}

/// Holds the input and between `least` and `most` output tokens at all accounts, or at none.
///
/// # Errors
///
/// What does not cover `least`.
pub fn open(cells: &Cells, tab: &mut Tab, least: u64, most: u64, now_ms: u64) -> Result<Grant, Denied> {
    let granted = drawn(cells, now_ms, |accounts| budget::open(accounts, tab, least, most, now_ms));
    if let Err(Denied::Account { place, shortage, .. }) = &granted
        && let Some(cell) = cells.get(*place)
    {
        cell.refuses(shortage.of);
    }
    granted
}

/// Holds a slice more. Whether the stream may go on.
pub fn extend(cells: &Cells, tab: &mut Tab, now_ms: u64) -> bool {
    drawn(cells, now_ms, |accounts| budget::extend(accounts, tab, now_ms))
}

/// Gives back what a tab holds, and counts what was used. Tells the first account to which the cost is out
/// of the ordinary.
pub fn settle(cells: &Cells, tab: Tab, used: Amount, now_ms: u64) -> Option<(usize, Spike)> {
    drawn(cells, now_ms, |accounts| budget::settle(accounts, tab, used, now_ms));
    if used == Amount::NONE {
        return None;
    }
    let mut told = None;
    for (place, cell) in cells.iter().enumerate() {
        if let Some(spike) = cell.burns(used.cost, now_ms) {
            cell.spikes.fetch_add(1, Telling::Relaxed);
            told = told.or(Some((place, spike)));
        }
    }
    told
}

impl Cell {
    fn burns(&self, cost: MicroUsd, now_ms: u64) -> Option<Spike> {
        let mut state = lock(&self.state);
        state.burn.add(cost, now_ms);
        state.guard.add(cost, now_ms)
    }
}

/// Runs `draw` on all accounts at once.
fn drawn<T>(cells: &Cells, now_ms: u64, draw: impl FnOnce(&mut [&mut Account]) -> T) -> T {
    cells.iter().for_each(|cell| cell.used_ms.store(now_ms, Telling::Relaxed));
    let mut states: SmallVec<[MutexGuard<'_, State>; 3]> = cells.iter().map(|cell| lock(&cell.state)).collect();
    let mut accounts: SmallVec<[&mut Account; 3]> = states.iter_mut().map(|state| &mut state.account).collect();
    draw(&mut accounts)
}
