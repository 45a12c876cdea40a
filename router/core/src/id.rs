//! Identifiers.

use std::fmt;

/// Names one exchange in headers, logs and the ledger: 128 bits, the first 48 of them milliseconds
/// since the Unix epoch (the layout of UUID version 7, RFC 9562), so that ids sort by time and a
/// ledger that keeps them as its key appends at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u128);

impl RequestId {
    /// Makes an id of a time and 80 random bits (of which 74 are used).
    #[must_use]
    pub const fn from_parts(unix_millis: u64, random: u128) -> Self {
        let time = ((unix_millis & 0xffff_ffff_ffff) as u128) << 80;
        let version = 0x7u128 << 76;
        let variant = 0b10u128 << 62;
        let random_a = ((random >> 62) & 0xfff) << 64;
        let random_b = random & 0x3fff_ffff_ffff_ffff;
        Self(time | version | random_a | variant | random_b)
    }

    /// The id as bytes, big end first, so that byte order is time order.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The milliseconds since the Unix epoch that the id was made at.
    #[must_use]
    pub const fn unix_millis(self) -> u64 {
        (self.0 >> 80) as u64
    }

    /// Reads an id as it stands in `x-request-id`; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("req_").filter(|digits| digits.len() == 32)?;
        let plain = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        u128::from_str_radix(digits, 16).ok().filter(|_| plain).map(Self)
    }

    /// The id as it stands in `x-request-id`: `req_` and 32 hexadecimal digits, without allocating.
    #[must_use]
    pub fn to_ascii(self) -> [u8; 36] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut out = *b"req_00000000000000000000000000000000";
        let mut rest = self.0;
        for slot in out.iter_mut().rev().take(32) {
            *slot = HEX.get((rest & 0xf) as usize).copied().unwrap_or(b'0');
            rest >>= 4;
        }
        out
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "req_{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_uuid_version_7() {
        let id = RequestId::from_parts(0x0123_4567_89ab, u128::MAX);
        assert_eq!(id.to_string(), "req_0123456789ab7fffbfffffffffffffff");
        assert_eq!(id.unix_millis(), 0x0123_4567_89ab);
        assert_eq!(id.to_ascii().as_slice(), id.to_string().as_bytes());
        assert_eq!(RequestId::parse(&id.to_string()), Some(id));
        for bad in ["", "req_", "req_0123456789ab7fffbfffffffffffffg", "req_+123456789ab7fffbfffffffffffffff"] {
            assert_eq!(RequestId::parse(bad), None, "{bad}");
        }
    }
}
