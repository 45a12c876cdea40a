//! What one exchange holds of its accounts and has used.
//!
//! Everything is counted in output tokens: an input is held as a whole, and how many output tokens are held
//! beside it decides how much money and how many tokens that is. So a grant is one division, and rounding to
//! whole micro-dollars happens once for the whole exchange and not once to a slice.

use atp_core::{MicroUsd, Price, Usage};

use super::{Account, Amount, Room, Shortage};

/// Output tokens by which a stream's reservation grows: a lock every few seconds of a stream, and little
/// that is held in vain.
pub const SLICE: u64 = 256;

/// What one exchange holds and has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tab {
    price: Option<Price>,
    /// The most that the exchange may cost, by its own word or its key's.
    cap: Option<MicroUsd>,
    /// Input tokens, estimated.
    input: u64,
    /// Output tokens that are held.
    covered: u64,
    /// Output tokens that were used, as far as is known.
    output: u64,
    held: Amount,
}

/// What was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Output tokens that are held now.
    pub covered: u64,
    /// Output tokens that could be paid for at this moment, the covered ones included; `None` where
    /// nothing bounds them.
    pub payable: Option<u64>,
}

/// Why nothing was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The exchange's own ceiling is below what it would cost.
    Cap {
        /// The ceiling.
        cap: MicroUsd,
        /// What it would cost.
        needed: MicroUsd,
    },
    /// An account does not cover it.
    Account {
        /// Which of the accounts.
        place: usize,
        /// What it lacks.
        shortage: Shortage,
        /// What it would have taken.
        needed: Amount,
    },
}

impl Tab {
    /// A tab that holds nothing yet. Without a price money is counted as none.
    #[must_use]
    pub fn new(input: u64, price: Option<Price>, cap: Option<MicroUsd>) -> Self {
        Self { price, cap, input, covered: 0, output: 0, held: Amount::NONE }
    }

    /// What the input and so many output tokens come to.
    #[must_use]
    pub fn amount(&self, output: u64) -> Amount {
        let usage = Usage { input: self.input, output, ..Usage::default() };
        Amount { cost: self.price.map_or(MicroUsd(0), |price| price.cost(&usage)), tokens: usage.total() }
    }

    /// What is held.
    #[must_use]
    pub fn held(&self) -> Amount {
        self.held
    }

    /// Output tokens that were used, as far as is known.
    #[must_use]
    pub fn output(&self) -> u64 {
        self.output
    }

    /// What was used, as far as is known.
    #[must_use]
    pub fn used(&self) -> Amount {
        self.amount(self.output)
    }

    /// The usage that this is.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage { input: self.input, output: self.output, ..Usage::default() }
    }

    /// Notes that so many output tokens are used in all; a lower number than before changes nothing. Whether
    /// the next piece is covered.
    pub fn uses(&mut self, output: u64) -> bool {
        self.output = self.output.max(output);
        self.output < self.covered
    }

    /// Bounds what follows otherwise: others draw on the same ceiling. What is held stays.
    pub fn bound(&mut self, cap: Option<MicroUsd>) {
        self.cap = cap;
    }

    /// Prices what follows otherwise: the work has gone to a provider with another price. What is held stays.
    pub fn reprice(&mut self, price: Option<Price>) {
        self.price = price.or(self.price);
    }

    /// The output tokens that could be held where so much more is there, `None` where nothing bounds them;
    /// an error where not even the input could.
    fn payable(&self, room: Room) -> Result<Option<u64>, ()> {
        let by_tokens = match room.tokens {
            None => None,
            Some(more) => {
                let all = self.held.tokens.saturating_add(more);
                Some(all.checked_sub(self.input).ok_or(())?)
            }
        };
        let by_cost = room.cost.map(|more| MicroUsd(self.held.cost.0.saturating_add(more.0)));
        Ok([by_tokens, self.within(by_cost)?, self.within(self.cap)?].into_iter().flatten().min())
    }

    /// The output tokens that so much money pays for beside the input.
    fn within(&self, most: Option<MicroUsd>) -> Result<Option<u64>, ()> {
        let (Some(most), Some(price)) = (most, self.price) else { return Ok(None) };
        // A cost is the sum of the products over a million, rounded up, so it is at most `most` as long as
        // the sum is at most a million times that.
        let sum = u128::from(most.0) * 1_000_000;
        let left = sum.checked_sub(u128::from(self.input) * u128::from(price.input)).ok_or(())?;
        Ok(left.checked_div(u128::from(price.output)).map(|tokens| u64::try_from(tokens).unwrap_or(u64::MAX)))
    }

    /// The least of what all accounts pay for.
    fn payable_of(&self, accounts: &mut [&mut Account], now_ms: u64) -> Result<Option<u64>, ()> {
        let mut least = self.payable(Room::default())?;
        for account in accounts {
            least = [least, self.payable(account.room(now_ms))?].into_iter().flatten().min();
        }
        Ok(least)
    }

    /// Holds the input and `covered` output tokens, in place of what is held.
    fn cover(&mut self, accounts: &mut [&mut Account], covered: u64) {
        let held = self.amount(covered);
        let more = held.minus(self.held);
        for account in accounts {
            account.hold(more);
        }
        // After a change of price less may be needed than is held; it is given back at the end.
        self.held = self.held.plus(more);
        self.covered = covered;
    }

    /// Why `least` output tokens are not covered.
    fn denied(&self, accounts: &mut [&mut Account], least: u64, now_ms: u64) -> Option<Denied> {
        let needed = self.amount(least);
        if let Some(cap) = self.cap.filter(|cap| needed.cost > *cap) {
            return Some(Denied::Cap { cap, needed: needed.cost });
        }
        let short = |(place, account): (usize, &mut &mut Account)| {
            let shortage = account.covers(needed.minus(self.held), now_ms).err()?;
            Some(Denied::Account { place, shortage, needed })
        };
        accounts.iter_mut().enumerate().find_map(short)
    }
}

/// Holds the input, and of the output at least `least` and at most `most` tokens, at all accounts or none.
///
/// # Errors
///
/// The ceiling, or the first account, that does not cover `least`.
pub fn open(accounts: &mut [&mut Account], tab: &mut Tab, least: u64, most: u64, now_ms: u64) -> Result<Grant, Denied> {
    if let Some(denied) = tab.denied(accounts, least, now_ms) {
        return Err(denied);
    }
    // `least` is covered, so the input is.
    let payable = tab.payable_of(accounts, now_ms).unwrap_or(Some(least));
    let covered = most.max(least).min(payable.unwrap_or(u64::MAX));
    tab.cover(accounts, covered);
    Ok(Grant { covered, payable })
}

/// Holds a slice more for a stream that has used what it holds, or what is left of one. Whether it may go on.
pub fn extend(accounts: &mut [&mut Account], tab: &mut Tab, now_ms: u64) -> bool {
    let Ok(payable) = tab.payable_of(accounts, now_ms) else { return false };
    let wanted = tab.output.saturating_add(SLICE);
    let covered = payable.map_or(wanted, |most| most.min(wanted));
    if covered > tab.covered {
        tab.cover(accounts, covered);
    }
    tab.output < tab.covered
}

/// Ends a tab: gives back what it holds, and counts what was used.
pub fn settle(accounts: &mut [&mut Account], tab: Tab, used: Amount, now_ms: u64) {
    for account in accounts {
        account.settle(tab.held, used, now_ms);
    }
}
