//! Logs and metrics plumbing: how what the rooms tell becomes lines and families of numbers.
//!
//! No other crate's metric is defined here; each registers its own through [`Metrics::register`].

pub mod logs;
pub mod metrics;

pub use logs::{Format, LogConfig, LogError, Logs};
pub use metrics::{BuildInfo, GaugeGuard, Metrics};
