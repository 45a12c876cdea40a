//! A request's head as it stands on the wire (RFC 9112, 3 and 5).

use http::Method;
use http::header::{CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};

use super::super::Outgoing;

/// How the request's body ends on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// There is none.
    Absent,
    /// After so many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
}

impl Ends {
    /// How a body of this length, where that is known, is sent with this method. Servers take a `POST`
    /// without a length for a mistake, and a `GET` with one for an attack.
    pub(super) fn of(method: &Method, length: Option<u64>) -> Self {
        let bare = matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS | Method::TRACE);
        match length {
            Some(0) if bare => Self::Absent,
            Some(length) => Self::Length(length),
            None => Self::Chunked,
        }
    }
}

/// The head of a request, with room for `more` bytes behind it. The framing is this function's alone: headers
/// that speak of it are passed over.
pub(super) fn encode(out: &Outgoing<'_>, ends: Ends, more: usize) -> Vec<u8> {
    let target = out.uri.path_and_query().map_or("/", |target| target.as_str());
    let over = |name: &HeaderName| out.over.is_some_and(|over| over.keys().any(|each| each == name));
    let lengths = out.headers.iter().chain(out.over.into_iter().flatten());
    let room: usize = lengths.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let mut head = Vec::with_capacity(out.method.as_str().len() + target.len() + room + 64 + more);
    head.extend_from_slice(out.method.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(target.as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    let own = out.headers.iter().filter(|(name, _)| !over(name));
    for (name, value) in own.chain(out.over.into_iter().flatten()) {
        if name == CONTENT_LENGTH || name == TRANSFER_ENCODING {
            continue;
        }
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        // A header's value holds no line end: its type sees to it.
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    match ends {
        Ends::Absent => {}
        Ends::Length(length) => {
            head.extend_from_slice(b"content-length: ");
            decimal(length, &mut head);
            head.extend_from_slice(b"\r\n");
        }
        Ends::Chunked => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// A chunk's size line.
pub(super) fn chunk_size(size: usize) -> Vec<u8> {
    let mut line = Vec::with_capacity(18);
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (size >> (place * 4)) & 0xf;
        line.push(b"0123456789abcdef".get(digit).copied().unwrap_or(b'0'));
    }
    line.extend_from_slice(b"\r\n");
    line
}

fn decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        // A digit is below ten.
        *slot = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use atp_core::{Rope, Timeouts};
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::super::super::SendBody;

    use super::*;

    #[test]
    fn a_head_has_one_framing_whatever_its_headers_say() {
        let of = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            pairs.iter().map(pair).collect()
        };
        let headers = of(&[("host", "near"), ("content-length", "7"), ("transfer-encoding", "gzip"), ("x-a", "1")]);
        let over = of(&[("host", "far"), ("x-b", "2")]);
        let request = Outgoing {
            method: Method::POST,
            uri: "http://far/v1/chat?x=1".parse().unwrap(),
            headers: &headers,
            over: Some(&over),
            body: SendBody::from(Rope::new()),
            timeouts: Timeouts::default(),
        };
        let text = |ends| String::from_utf8(encode(&request, ends, 0)).unwrap();
        let head = "POST /v1/chat?x=1 HTTP/1.1\r\nx-a: 1\r\nhost: far\r\nx-b: 2\r\n";
        assert_eq!(text(Ends::Length(12)), format!("{head}content-length: 12\r\n\r\n"));
        assert_eq!(text(Ends::Chunked), format!("{head}transfer-encoding: chunked\r\n\r\n"));
        assert_eq!(text(Ends::Absent), format!("{head}\r\n"));
    }

    #[test]
    fn only_methods_with_a_body_say_that_it_is_empty() {
        assert_eq!(Ends::of(&Method::GET, Some(0)), Ends::Absent);
        assert_eq!(Ends::of(&Method::POST, Some(0)), Ends::Length(0));
        assert_eq!(Ends::of(&Method::DELETE, Some(3)), Ends::Length(3));
        assert_eq!(Ends::of(&Method::POST, None), Ends::Chunked);
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_everywhere(number: u64, size: u32) {
            let mut out = Vec::new();
            decimal(number, &mut out);
            prop_assert_eq!(out, number.to_string().into_bytes());
            prop_assert_eq!(chunk_size(size as usize), format!("{size:x}\r\n").into_bytes());
        }
    }
}
