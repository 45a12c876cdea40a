//! Personal data in text: what is found, what stands in its place, and how it comes back.
//!
//! Text in, findings and text out: no JSON, no dialect, no caller, no clock, no I/O, and nothing that is drawn or
//! learnt. The same text gives the same findings on every machine, so that whoever is asked why something was
//! masked can be shown. A [`Guard`] says which classes are minded and what happens to them; a [`Vault`] gives each
//! value a placeholder and knows the way back; a [`Restorer`] does that to a text that comes in pieces.
//!
//! The trap: what is found is what has a form. A name, a street or a diagnosis has none, and is not found.

mod class;
pub mod detect;
mod guard;
mod restore;
mod vault;

#[cfg(test)]
mod tests;

pub use class::{Class, ClassSet};
pub use detect::Finding;
pub use guard::{Action, Filter, Guard};
pub use restore::Restorer;
pub use vault::Vault;
