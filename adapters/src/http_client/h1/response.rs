//! An answer's head, read from the wire (RFC 9112, 4 to 6).

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::framing::Framing;

/// The most headers of an answer.
const MOST_HEADERS: usize = 128;

/// The longest head, in bytes.
pub(super) const LONGEST_HEAD: usize = 64 * 1024;

/// A whole head.
#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where the body ends.
    pub(super) framing: Framing,
    /// Whether the connection goes on behind it.
    pub(super) keeps: bool,
    /// What has come of the body.
    pub(super) rest: Bytes,
}

/// What stands at the beginning of the wire.
#[derive(Debug)]
pub(super) enum Parsed {
    Whole(ResponseHead),
    /// An answer that says only that another follows (1xx); it ends at this byte.
    Interim(usize),
    /// More has to come.
    Part,
}

/// Reads a head. Header values share the memory of `wire`.
///
/// # Errors
/// What is wrong with it, for the log: what the standard forbids, what is larger than the bounds, and what
/// two readers could take for two different lengths.
pub(super) fn parse(wire: &Bytes, method: &Method) -> Result<Parsed, &'static str> {
    let mut slots = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut slots);
    let length = match response.parse(wire) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if wire.len() < LONGEST_HEAD => return Ok(Parsed::Part),
        Ok(httparse::Status::Partial) => return Err("the head is longer than 64 KiB"),
        Err(httparse::Error::TooManyHeaders) => return Err("the head has more than 128 headers"),
        Err(_) => return Err("the head is not one of HTTP/1.1"),
    };
    let code = response.code.unwrap_or_default();
    let status = StatusCode::from_u16(code).map_err(|_| "the status is no number from 100 to 999")?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err("the connection changed to a protocol that nobody asked for");
    }
    if status.is_informational() {
        return Ok(Parsed::Interim(length));
    }
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for header in response.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| "a header's name is not a token")?;
        // Values stand in the wire's own bytes, so that they can share them.
        let value = HeaderValue::from_maybe_shared(wire.slice_ref(header.value));
        headers.append(name, value.map_err(|_| "a header's value holds control characters")?);
    }
    let framing = framing(&headers, status, method)?;
    let latest = response.version == Some(1);
    let keeps = keeps(&headers, latest) && !framing.ends_with_connection();
    Ok(Parsed::Whole(ResponseHead { status, headers, framing, keeps, rest: wire.slice(length..) }))
}

/// Where the body ends (RFC 9112, 6.3).
fn framing(headers: &HeaderMap, status: StatusCode, method: &Method) -> Result<Framing, &'static str> {
    let lengths = length(headers)?;
    if *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::length(0));
    }
    if let Some(last) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        let coding = last.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
        return match (coding.eq_ignore_ascii_case(b"chunked"), lengths) {
            (true, None) => Ok(Framing::chunked()),
            // Who wrote both may have meant either: this is how answers are smuggled.
            (_, Some(_)) => Err("the head tells a length and a transfer coding"),
            (false, None) => Ok(Framing::until_close()),
        };
    }
    Ok(lengths.map_or_else(Framing::until_close, Framing::length))
}

/// The one length that all headers tell.
fn length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut told = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for part in value.as_bytes().split(|byte| *byte == b',') {
            let digits = part.trim_ascii();
            let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(digits).ok().filter(|_| plain).and_then(|digits| digits.parse().ok());
            let Some(number) = number else { return Err("the content-length is not a number") };
            if told.is_some_and(|told: u64| told != number) {
                return Err("the head tells two lengths");
            }
            told = Some(number);
        }
    }
    Ok(told)
}

/// Whether the connection goes on behind the answer (RFC 9112, 9.3).
fn keeps(headers: &HeaderMap, latest: bool) -> bool {
    let says = |word: &[u8]| {
        let values = headers.get_all(CONNECTION).into_iter();
        let mut words = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        words.any(|said| said.trim_ascii().eq_ignore_ascii_case(word))
    };
    !says(b"close") && (latest || says(b"keep-alive"))
}

#[cfg(test)]
mod tests;
