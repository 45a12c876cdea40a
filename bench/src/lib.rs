//! What measures and provokes the router: a scripted upstream, a load generator, and the comparison
//! of gateways in one run.
//!
//! This crate knows no router crate: it sees a gateway as a caller and as a provider see it, over
//! sockets. That keeps the yardstick the same for every gateway it is put against.

pub mod compare;
pub mod http1;
pub mod load;
pub mod pin;
pub mod upstream;
