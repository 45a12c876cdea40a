//! How messages follow each other: one to a line, or each as a server-sent event.

use bytes::Bytes;
use serde::Serialize;

/// How messages are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `application/x-ndjson`: one JSON value to a line.
    Lines,
    /// `text/event-stream`: one JSON value to an event.
    Events,
}

impl Framing {
    /// The framing for the value of an `accept` header: events for who takes them by name, lines for all others.
    /// A weight of zero refuses them (RFC 9110, 12.4.2).
    #[must_use]
    pub fn of_accept(accept: &[u8]) -> Self {
        let mut ranges = accept.split(|byte| *byte == b',').map(|range| range.split(|byte| *byte == b';'));
        let events = ranges.any(|mut parts| {
            let named = parts.next().is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"));
            named && !parts.any(|part| matches!(part.trim_ascii(), b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"))
        });
        if events { Self::Events } else { Self::Lines }
    }

    /// The media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }

    /// Adds one message to `out`.
    pub fn put(self, message: &impl Serialize, out: &mut Vec<u8>) {
        let (before, after): (&[u8], &[u8]) = match self {
            Self::Lines => (b"", b"\n"),
            Self::Events => (b"data: ", b"\n\n"),
        };
        let start = out.len();
        out.extend_from_slice(before);
        // Messages have text keys and finite numbers; a line break inside a text is escaped.
        if serde_json::to_writer(&mut *out, message).is_ok() {
            out.extend_from_slice(after);
        } else {
            out.truncate(start);
        }
    }
}

/// One JSON value as a whole body.
#[must_use]
pub fn whole(message: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(message).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_for_those_who_take_them_by_name() {
        for accept in
            ["text/event-stream", "application/json, Text/Event-Stream;q=0.9", "text/event-stream;charset=utf-8"]
        {
            assert_eq!(Framing::of_accept(accept.as_bytes()), Framing::Events, "{accept}");
        }
        for accept in ["", "*/*", "application/json", "text/*", "text/event-stream;q=0", "application/x-ndjson"] {
            assert_eq!(Framing::of_accept(accept.as_bytes()), Framing::Lines, "{accept}");
        }
    }

    #[test]
    fn a_message_is_one_line_whatever_it_says() {
        let (mut lines, mut events) = (Vec::new(), Vec::new());
        let message = serde_json::json!({ "text": "a\n\nb" });
        Framing::Lines.put(&message, &mut lines);
        Framing::Events.put(&message, &mut events);
        assert_eq!(lines, b"{\"text\":\"a\\n\\nb\"}\n");
        assert_eq!(events, b"data: {\"text\":\"a\\n\\nb\"}\n\n");
    }
}
