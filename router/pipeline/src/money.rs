//! Step Budget: what an exchange may spend.
//!
//! An exchange draws on up to three accounts (its key's, its tenant's, its session's) and on a ceiling of its
//! own (`x-atp-max-cost-usd`, or the most that one request of its key may cost). Where none of these concerns
//! it, this is one branch: nothing is estimated, nothing allocated, no lock taken. What is decided stands in
//! [`atp_routing::budget`]; here is where the accounts live and who draws on them.
//!
//! | when | what |
//! |---|---|
//! | before the queue | the input and the guarded output are held at all accounts, or the exchange is refused |
//! | before a try | `Try.ceiling`: the output that is held (an answer in one piece) or that could be paid for (a stream), where that is less than what was asked for |
//! | at each piece of a stream | what it has used is estimated; a slice more is held when that is used up |
//! | where no slice can be held | the stream ends with its dialect's length reason, and its provider is let go |
//! | at the end | what is held goes back, and what it cost is counted: as the provider told, or else as estimated |
//!
//! # Locks
//!
//! One to an account. An exchange takes those of its key, its tenant and its session in this order, holds
//! them together for the length of a few sums, and takes nothing else under them. The map of sessions has a
//! lock of its own, under which no account's is taken.

pub mod cell;
mod meter;
mod pot;
mod refusal;
mod reserve;
mod resolve;
mod sessions;
mod view;

pub(crate) use self::pot::{Pot, Share};
pub(crate) use self::reserve::{Gap, Reservation, covers, dearest, reserve};
pub(crate) use self::resolve::Money;
pub use self::view::{BudgetLine, BudgetView};
