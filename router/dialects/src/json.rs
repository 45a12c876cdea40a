//! Just enough JSON: finding members and values in bytes without building a tree.
//!
//! Two readers share the same primitives. [`machine`] reads an object that arrives in pieces and is
//! what requests and whole replies go through; [`view`] walks a slice that is complete and is what
//! looks into small values (one event of a stream, `stream_options`, `usage`). Both validate only
//! what they need in order to find the end of each value: whoever receives the bytes parses them.

pub(crate) mod machine;
pub(crate) mod skip;
pub(crate) mod text;
pub(crate) mod view;

#[cfg(test)]
mod tests;
