//! What may be spent: accounts with windows of time, and what one exchange holds of them.
//!
//! # Reserve, extend, settle
//!
//! Money is held before it is spent and settled to the truth afterwards. An [`Account`] (of a key, a tenant
//! or a session) has several [`Budget`]s and one sum of what is held; an amount is granted where, in every
//! window, what is spent, what is held and the amount together are no more than the budget. [`Tab`] is what
//! one exchange holds: at first its input and the output that it is expected to have, then, while a stream
//! runs, a slice more whenever it has used what it holds. An exchange draws on all of its accounts or on
//! none ([`open`], [`extend`]).
//!
//! # Invariants, each a property of the tests
//!
//! - Reservations are conserved: what an account holds is the sum of the open tabs' holdings.
//! - After a grant, spent and held together are at most the budget.
//! - So where every exchange uses at most what it holds, no window is ever overspent, whatever the order of
//!   grants, slices, ends and turns. A stream is asked for its next piece only while it holds one token more
//!   than it has used, so it overdraws by at most what its last piece has beyond one token:
//!
//!   spent <= budget + sum over streams that were cut short of (tokens of the last piece - 1) x output price
//!   + what estimates of inputs were too low.
//!
//! - A window's turn frees what was spent in it and nothing that is held. A reservation that spans a turn is
//!   settled where it ends: the new window pays all of it, the old one has had it held.

mod account;
mod calendar;
mod tab;
#[cfg(test)]
mod tests;

use atp_core::MicroUsd;

pub use account::{Account, Amount, Line, Room, Short, Shortage};
pub use calendar::Per;
pub use tab::{Denied, Grant, SLICE, Tab, extend, open, settle};

/// What may be spent over a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The most money.
    pub cost: Option<MicroUsd>,
    /// The most tokens, input and output.
    pub tokens: Option<u64>,
    /// Over which time.
    pub per: Per,
}
