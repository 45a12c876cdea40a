//! Entrances: listeners, authentication, the HTTP surface and the gRPC surface.
//!
//! An entrance reads a request, finds out who asks and what for, makes an [`atp_core::Exchange`] of
//! it and hands it to the one service behind it. It knows no step of the pipeline and no adapter.

pub mod auth;
mod clock;
mod doorbell;
pub mod drain;
pub mod grpc;
pub mod http;
pub mod intake;
pub mod listen;
#[cfg(test)]
mod near;
pub mod respond;
pub mod settings;

pub use auth::KeyRing;
pub use drain::{Drain, Phase};
pub use grpc::Services;
pub use http::Entrance;
pub use listen::{Listener, bind};
pub use settings::{Limits, Settings};
