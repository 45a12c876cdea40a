//! Adapters in other processes, over gRPC: `proto/atp/adapter/v1` from both ends.
//!
//! [`client`] is a provider whose calls go to adapters elsewhere; [`host`] puts any provider behind that door. A
//! request crosses with its own bytes and comes back with the answer's own, so that what is spliced and what is
//! tapped is the same on either side of the hop: the far side is the very adapter that would run in this process.
//!
//! The hot call, `Complete`, is framed here by hand on the house's own HTTP/2 client: pools per core, timers, and
//! connections that end with their requests are the same for every provider, wherever it runs.

pub mod client;
mod frames;
pub mod host;
mod status;
pub mod unary;
mod values;
