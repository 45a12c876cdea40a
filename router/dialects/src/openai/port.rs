//! What the request path needs to know of this dialect.

use atp_core::port::Dialect;
use atp_core::{Exchange, Features, Operation, Signs};
use bytes::Bytes;

use super::errors;

/// This dialect, as the request path sees it.
#[must_use]
pub fn port() -> Dialect {
    Dialect {
        status: |error| errors::status(error).as_u16(),
        restart: errors::restart_event,
        features,
        signs,
        length,
        text,
        chat,
    }
}

fn features(_exchange: &Exchange) -> Features {
    Features::default()
}

fn signs(_operation: Operation, _answer: &[u8]) -> Signs {
    Signs::default()
}

fn length(_operation: Operation, _last: &[u8]) -> Bytes {
    Bytes::new()
}

fn text(_operation: Operation, _answer: &[u8]) -> Option<String> {
    None
}

fn chat(_system: &str, _user: &str, _most: u64) -> Bytes {
    Bytes::new()
}
