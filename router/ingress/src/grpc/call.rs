//! One call of the router's own service: its head, and its one message, read under the limits of every body.

use std::time::Duration;

use atp_core::{Error, ErrorKind, Rope};
use bytes::{Buf, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use hyper::body::Incoming;
use prost::Message;

use crate::intake::Intake;
use crate::respond::Asked;
use crate::settings::Limits;

/// The bytes before a message: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The largest number of a deadline, which has at most eight digits.
const DIGITS: usize = 8;

/// A call that has not been read.
pub(super) struct Call<'a> {
    pub(super) head: &'a mut Parts,
    pub(super) body: Incoming,
    pub(super) asked: &'a Asked,
}

impl Call<'_> {
    /// Reads the call's one message.
    pub(super) async fn message<M: Message + Default>(self, limits: &Limits) -> Result<M, Error> {
        let mut intake = Intake::new(self.body, &self.head.headers, limits, self.asked.received)?;
        let mut rope = Rope::new();
        while !intake.ended() {
            let Some(piece) = intake.next().await? else { break };
            rope.push(piece);
        }
        // In one piece where it came in one, as most do.
        read(rope.to_bytes(), limits.max_body)
    }
}

/// Reads a message behind its prefix.
fn read<M: Message + Default>(mut body: bytes::Bytes, largest: usize) -> Result<M, Error> {
    let invalid = |text: String| Err(Error::caller(ErrorKind::InvalidRequest, text));
    if body.len() < PREFIX {
        return invalid(format!("the call has {} bytes; it takes one message behind a prefix of {PREFIX}", body.len()));
    }
    let (flag, length) = (body.get_u8(), body.get_u32() as usize);
    if flag != 0 {
        return invalid(format!(
            "the message's prefix begins with {flag}; it takes 0: messages are not compressed here"
        ));
    }
    if length > largest {
        let text = format!(
            "the message has {length} bytes, and this router takes at most {largest}; send less, or raise limits.max_body"
        );
        return Err(Error::caller(ErrorKind::BodyTooLarge, text));
    }
    match body.len().cmp(&length) {
        std::cmp::Ordering::Less => {
            invalid(format!("the call ended {} bytes before its message did", length - body.len()))
        }
        std::cmp::Ordering::Greater => {
            invalid("the call holds more than one message; this method takes one".to_owned())
        }
        std::cmp::Ordering::Equal => M::decode(body).or_else(|error| {
            invalid(format!("the message cannot be read: {error}; is it made of this version's router.proto?"))
        }),
    }
}

/// Whether messages come as they are.
pub(super) fn encoding(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(ENCODING).filter(|value| value.as_bytes() != b"identity") {
        None => Ok(()),
        Some(encoding) => {
            let text = format!("grpc-encoding {encoding:?} is not understood; send messages without compression");
            // Told as what is not implemented, which is gRPC's own word for it.
            Err(Error::caller(ErrorKind::MethodNotAllowed, text).with_param("grpc-encoding"))
        }
    }
}

/// How long the caller waits, as `grpc-timeout` tells it.
pub(super) fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let wrong = || {
        let text = format!("grpc-timeout is {value:?}; it takes up to {DIGITS} digits and one of H, M, S, m, u, n");
        Error::caller(ErrorKind::InvalidRequest, text).with_param("grpc-timeout")
    };
    let text = value.to_str().map_err(|_| wrong())?;
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let digits = text.strip_suffix(unit).filter(|digits| (1..=DIGITS).contains(&digits.len())).ok_or_else(wrong)?;
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let time = match unit {
        'H' => Duration::from_secs(number * 3_600),
        'M' => Duration::from_secs(number * 60),
        'S' => Duration::from_secs(number),
        'm' => Duration::from_millis(number),
        'u' => Duration::from_micros(number),
        'n' => Duration::from_nanos(number),
        _ => return Err(wrong()),
    };
    if time.is_zero() {
        let text = "the call's deadline was over when it came; give it more time";
        return Err(Error::caller(ErrorKind::TimeoutTotal, text).with_param("grpc-timeout"));
    }
    Ok(Some(time))
}

/// Puts a message behind its prefix.
pub(super) fn put(message: &impl Message, out: &mut BytesMut) {
    let length = message.encoded_len();
    out.reserve(PREFIX + length);
    out.extend_from_slice(&[0]);
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    // There is room for it: the buffer grows.
    let _ = message.encode(out);
}

#[cfg(test)]
mod tests {
    use atp_proto::router::v1::EmbedRequest;
    use http::HeaderValue;

    use super::*;

    fn told(value: &'static str) -> Result<Option<Duration>, Error> {
        deadline(&HeaderMap::from_iter([(TIMEOUT, HeaderValue::from_static(value))]))
    }

    #[test]
    fn a_deadline_has_digits_and_a_unit() {
        assert_eq!(told("1500m").unwrap(), Some(Duration::from_millis(1_500)));
        assert_eq!(told("99999999H").unwrap(), Some(Duration::from_secs(99_999_999 * 3_600)));
        for wrong in ["", "5", "m", "1.5S", "-1S", "123456789n", "5x", "5S "] {
            assert_eq!(told(wrong).unwrap_err().kind(), ErrorKind::InvalidRequest, "{wrong}");
        }
        assert_eq!(told("0n").unwrap_err().kind(), ErrorKind::TimeoutTotal);
        assert_eq!(deadline(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn a_message_is_read_behind_its_prefix_or_refused() {
        let sent = EmbedRequest { model: "m".to_owned(), ..EmbedRequest::default() };
        let mut out = BytesMut::new();
        put(&sent, &mut out);
        let whole = out.freeze();
        assert_eq!(read::<EmbedRequest>(whole.clone(), 64).unwrap(), sent);
        assert_eq!(read::<EmbedRequest>(whole.clone(), 2).unwrap_err().kind(), ErrorKind::BodyTooLarge);
        for cut in 0..whole.len() {
            assert!(read::<EmbedRequest>(whole.slice(..cut), 64).is_err());
        }
        let twice = [&whole[..], &whole[..]].concat();
        assert!(read::<EmbedRequest>(twice.into(), 64).unwrap_err().public().contains("more than one message"));
        assert!(read::<EmbedRequest>(vec![1, 0, 0, 0, 0].into(), 64).unwrap_err().public().contains("compressed"));
        assert!(read::<EmbedRequest>(vec![0, 0, 0, 0, 1, 0xff].into(), 64).is_err());
    }
}
