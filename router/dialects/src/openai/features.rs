//! What a request is about, as far as its body tells cheaply.
//!
//! One walk over the body, without a tree: each text is decoded where it has escapes, counted, hashed and
//! forgotten. The kind of work is read from how the last message of the user begins, and where that says
//! nothing from how the system's begins, and from the form (`kind`). What cannot be read counts as absent:
//! whoever sends a body that is no JSON is told so elsewhere.

mod body;
mod code;
mod kind;
mod language;
mod tally;
mod tools;

use atp_core::port::Reading;
use atp_core::{Capability, Exchange, Features, Operation, Payload, Rope};

use tally::Tally;

/// The features of a request.
#[must_use]
pub fn features(exchange: &Exchange, reading: Reading) -> Features {
    let mut features = match &exchange.payload {
        Payload::Rope(rope) => of(exchange.operation, rope, reading),
        // An upload that is sent while it arrives: its text, if any, is not looked for.
        Payload::Once { .. } => Features::default(),
    };
    if exchange.stream {
        features.needs = features.needs.with(Capability::Streaming);
    }
    if exchange.operation == Operation::Audio {
        features.needs = features.needs.with(Capability::Audio);
    }
    features
}

/// The features of a body, but for what only the exchange tells.
#[must_use]
pub fn of(operation: Operation, body: &Rope, reading: Reading) -> Features {
    let bytes = body.to_bytes();
    let mut tally = Tally::new(reading);
    body::read(operation, &bytes, &mut tally);
    tally.finish()
}

#[cfg(test)]
mod tests;
