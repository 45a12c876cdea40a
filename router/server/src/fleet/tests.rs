//! The fleet by its own calls.
