//! What another way of choosing would have been worth.
