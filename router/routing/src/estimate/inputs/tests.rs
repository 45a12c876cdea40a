//! Claims about inputs.
