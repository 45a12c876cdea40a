//! What the request path needs to know of this dialect.

use atp_core::port::{Chat, Dialect};
use atp_core::{Operation, Rope};

use super::chat::{Delivery, Question};
use super::{errors, features, length, signs};
use crate::scan::scan;

/// This dialect, as the request path sees it.
#[must_use]
pub fn port() -> Dialect {
    Dialect {
        status: |error| errors::status(error).as_u16(),
        restart: errors::restart_event,
        features: features::features,
        signs: signs::signs,
        length: length::length,
        text: signs::text,
        chat,
    }
}

fn chat(model: &str, system: &str, user: &str, most: u64) -> Chat {
    let question = Question { model, system: Some(system), prompt: user, max_tokens: Some(most) };
    let body = Rope::from(question.body(Delivery::Whole));
    // Made by a serialiser: it is an object, and a scan of it finds what was put in.
    let fields = scan(&body).unwrap_or_default();
    Chat { operation: Operation::Chat, path: "/chat/completions", body, fields }
}
