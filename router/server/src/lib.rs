//! The server: configuration, composition, reload, drain. It holds no decision of the request path.

mod adapter;
mod books;
#[cfg(test)]
mod catalogue;
mod clock;
pub mod config;
mod control;
mod fleet;
mod gauges;
mod knowledge;
mod leave;
mod providers;
mod reload;
mod routes;
pub mod run;
mod signals;
mod snapshot;
mod spent;
mod start;
mod tasks;
mod tls;
mod workers;

pub use adapter::{AdapterSource, AdapterStart, AdapterStarted, LocalModel, run_adapter};
pub use atp_core::Secret;
pub use reload::load;
pub use routes::{LoadedRoute, load_routes};
pub use run::run;
pub use start::{Start, StartError, Started, StartedModel, StartedRoute};
