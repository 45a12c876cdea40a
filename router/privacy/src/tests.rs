//! What the detectors find, what the vault gives back, and both against a corpus.

mod classes;
mod corpus;
mod masking;
