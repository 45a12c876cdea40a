//! A laboratory for flow control, and for choosing ([`arms`]).
//!
//! It plays the router's own decisions (`atp-routing`: the code that the product runs) against simulated
//! providers and tenants on a virtual clock, beside the forms that they have to beat, on the same arrivals.
//! The same seed gives the same bytes. `make lab` writes `docs/flow-control.md` and `docs/routing.md` with it.

mod agenda;
pub mod arms;
mod control;
mod dice;
mod paper;
mod plot;
mod provider;
mod queue;
mod scenario;
mod stats;
mod tally;
mod traffic;
mod world;

pub use paper::{Aim, Reached, Section, page, summary};
pub use scenario::{Scale, play};
