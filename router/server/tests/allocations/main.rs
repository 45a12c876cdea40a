//! How often a request asks for memory, over all threads of a whole router: one chat, and one chunk of
//! a stream. The bounds are what was reached with some room, so that a clone or a `format!` that slips
//! onto the path is noticed. `cargo test -p atp-server --test allocations -- --nocapture` tells the figures.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[cfg(test)]
mod counted;
#[cfg(test)]
mod wire;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
