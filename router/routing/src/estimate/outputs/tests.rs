//! Claims about outputs.
