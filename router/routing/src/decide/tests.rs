//! Choices.
