//! Proofs that span modules: generated inputs, the fuzz corpus, recorded provider streams.

#[path = "../fuzz/bodies.rs"]
mod bodies;

mod corpus;
mod golden;
mod properties;
