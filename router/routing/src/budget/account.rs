//! One account: what may be spent of it, what has been, and what is held for work under way.

use atp_core::MicroUsd;

use super::{Budget, Per};

/// Money and tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Whole micro-dollars.
    pub cost: MicroUsd,
    /// Tokens, input and output.
    pub tokens: u64,
}

impl Amount {
    /// Nothing.
    pub const NONE: Self = Self { cost: MicroUsd(0), tokens: 0 };

    /// Both together; saturates.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            cost: MicroUsd(self.cost.0.saturating_add(other.cost.0)),
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }

    /// The larger of each.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        Self { cost: self.cost.max(other.cost), tokens: self.tokens.max(other.tokens) }
    }

    /// What is left when `other` is taken away; never below zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            cost: MicroUsd(self.cost.0.saturating_sub(other.cost.0)),
            tokens: self.tokens.saturating_sub(other.tokens),
        }
    }
}

/// What can still be held. `None` where nothing bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// Whole micro-dollars.
    pub cost: Option<MicroUsd>,
    /// Tokens.
    pub tokens: Option<u64>,
}

impl Room {
    /// Whether an amount fits.
    #[must_use]
    pub fn holds(&self, amount: Amount) -> bool {
        self.cost.is_none_or(|most| amount.cost <= most) && self.tokens.is_none_or(|most| amount.tokens <= most)
    }
}

/// One budget and what is spent of it in the window that is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What may be spent.
    pub budget: Budget,
    /// When the window began.
    pub began_ms: u64,
    /// What was settled since.
    pub spent: Amount,
}

impl Line {
    fn room(&self, reserved: Amount) -> Room {
        let gone = self.spent.plus(reserved);
        Room {
            cost: self.budget.cost.map(|most| MicroUsd(most.0.saturating_sub(gone.cost.0))),
            tokens: self.budget.tokens.map(|most| most.saturating_sub(gone.tokens)),
        }
    }

    /// When its window turns; `None` for one that never does.
    #[must_use]
    pub fn turns_ms(&self) -> Option<u64> {
        self.budget.per.turns(self.began_ms)
    }
}

/// Why an amount is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// The budget that does not cover it, and what is spent of it.
    pub line: Line,
    /// What is held of it.
    pub reserved: Amount,
    /// Whether it is money that is short, or else tokens.
    pub of: Short,
}

/// What is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Short {
    /// Money.
    Cost,
    /// Tokens.
    Tokens,
}

impl Short {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cost, Self::Tokens];

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cost => "usd",
            Self::Tokens => "tokens",
        }
    }
}

/// The account of a key, a tenant or a session: several budgets, one set of reservations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    lines: Vec<Line>,
    reserved: Amount,
}

impl Account {
    /// An account of which nothing is spent.
    #[must_use]
    pub fn new(budgets: &[Budget], now_ms: u64) -> Self {
        let mut account = Self::default();
        account.change(budgets, now_ms);
        account
    }

    /// Puts other budgets in force. What is held stays held. A budget over a time that had one keeps what is
    /// spent; a new one begins with what is known to be spent since its window began, which is at least what
    /// the shorter windows know of.
    pub fn change(&mut self, budgets: &[Budget], now_ms: u64) {
        self.turn(now_ms);
        let before = std::mem::take(&mut self.lines);
        let known = |per: Per| {
            let within = before.iter().filter(|line| line.budget.per <= per).map(|line| line.spent);
            within.fold(Amount::NONE, Amount::most)
        };
        let same = |per: Per| before.iter().find(|line| line.budget.per == per);
        let line = |budget: &Budget| Line {
            budget: *budget,
            began_ms: same(budget.per).map_or_else(|| budget.per.began(now_ms), |line| line.began_ms),
            spent: same(budget.per).map_or_else(|| known(budget.per), |line| line.spent),
        };
        self.lines = budgets.iter().map(line).collect();
    }

    /// Whether it has a budget over such a time.
    #[must_use]
    pub fn has(&self, per: Per) -> bool {
        self.lines.iter().any(|line| line.budget.per == per)
    }

    /// Takes another's word for what was spent since the window over `per` began, where that is more than it
    /// knows itself.
    pub fn seed(&mut self, per: Per, spent: Amount) {
        for line in self.lines.iter_mut().filter(|line| line.budget.per == per) {
            line.spent = line.spent.most(spent);
        }
    }

    /// Whether it has no budget.
    #[must_use]
    pub fn is_unbounded(&self) -> bool {
        self.lines.is_empty()
    }

    /// Begins the windows anew whose time is over. A clock that is set back changes nothing until it has
    /// caught up.
    fn turn(&mut self, now_ms: u64) {
        for line in &mut self.lines {
            let began = line.budget.per.began(now_ms);
            if began > line.began_ms {
                (line.began_ms, line.spent) = (began, Amount::NONE);
            }
        }
    }

    /// What can still be held.
    pub fn room(&mut self, now_ms: u64) -> Room {
        self.turn(now_ms);
        let rooms = self.lines.iter().map(|line| line.room(self.reserved));
        rooms.fold(Room::default(), |least, room| Room {
            cost: lesser(least.cost, room.cost),
            tokens: lesser(least.tokens, room.tokens),
        })
    }

    /// Holds an amount in every window, or in none.
    ///
    /// # Errors
    ///
    /// The first budget that does not cover it.
    pub fn reserve(&mut self, amount: Amount, now_ms: u64) -> Result<(), Shortage> {
        self.covers(amount, now_ms)?;
        self.hold(amount);
        Ok(())
    }

    /// Whether an amount could be held now.
    ///
    /// # Errors
    ///
    /// The first budget that does not cover it.
    pub fn covers(&mut self, amount: Amount, now_ms: u64) -> Result<(), Shortage> {
        self.turn(now_ms);
        let short = |line: &Line| {
            let room = line.room(self.reserved);
            let of = if room.holds(Amount { tokens: 0, ..amount }) { Short::Tokens } else { Short::Cost };
            (!room.holds(amount)).then_some(Shortage { line: *line, reserved: self.reserved, of })
        };
        self.lines.iter().find_map(short).map_or(Ok(()), Err)
    }

    /// Holds what [`Self::covers`] has said is there.
    pub(super) fn hold(&mut self, amount: Amount) {
        self.reserved = self.reserved.plus(amount);
    }

    /// Gives back what was held, and counts what was used in the windows that are now: a reservation that
    /// spans a turn of its window is settled where it ends.
    pub fn settle(&mut self, held: Amount, used: Amount, now_ms: u64) {
        self.turn(now_ms);
        self.reserved = self.reserved.minus(held);
        for line in &mut self.lines {
            line.spent = line.spent.plus(used);
        }
    }

    /// The budgets, each with what is spent of it.
    pub fn lines(&mut self, now_ms: u64) -> &[Line] {
        self.turn(now_ms);
        &self.lines
    }

    /// What is held for work under way.
    #[must_use]
    pub fn reserved(&self) -> Amount {
        self.reserved
    }
}

/// The lesser of two bounds.
fn lesser<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
