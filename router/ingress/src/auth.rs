//! Who asks: an API key becomes a caller.
//!
//! Keys are kept as SHA-256 digests, never as text. A presented key is hashed and looked up by its
//! digest; what an attacker can learn from the time of a look-up is about digests, from which no
//! key follows, and the digest found is compared once more in constant time.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use atp_core::{Caller, Error, ErrorKind, Qos};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The configured keys.
#[derive(Clone)]
pub struct KeyRing {
    callers: HashMap<[u8; 32], Arc<Caller>, BuildHasherDefault<FirstBytes>>,
    /// Who comes without a key; none once keys are configured.
    anonymous: Option<Arc<Caller>>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({} keys)", self.callers.len())
    }
}

impl KeyRing {
    /// A ring without keys: everyone is let in as `anonymous`. Only for loopback listeners; the
    /// configuration sees to that.
    #[must_use]
    pub fn open() -> Self {
        Self::open_as(Qos::default())
    }

    /// A ring without keys whose `anonymous` has this class.
    #[must_use]
    pub fn open_as(qos: Qos) -> Self {
        let anonymous = Caller { qos, ..Caller::anonymous() };
        Self { callers: HashMap::default(), anonymous: Some(Arc::new(anonymous)) }
    }

    /// Whether everyone is let in, because there are no keys.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.anonymous.is_some()
    }

    /// A ring that lets in who presents a key with one of these SHA-256 digests.
    #[must_use]
    pub fn new(digests: impl IntoIterator<Item = ([u8; 32], Arc<Caller>)>) -> Self {
        Self { callers: digests.into_iter().collect(), anonymous: None }
    }

    /// Finds the caller. Keys are taken from `authorization: Bearer`, `x-api-key` and `api-key`.
    ///
    /// # Errors
    /// [`ErrorKind::Authentication`] where keys are configured and none of them is presented.
    pub fn admit(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Error> {
        if let Some(anonymous) = &self.anonymous {
            return Ok(Arc::clone(anonymous));
        }
        let Some(presented) = presented(headers) else {
            return Err(Error::caller(
                ErrorKind::Authentication,
                "no API key was sent; send one as 'authorization: Bearer KEY', 'x-api-key' or 'api-key'",
            ));
        };
        let digest = digest(presented);
        match self.callers.get_key_value(&digest) {
            Some((known, caller)) if bool::from(known.ct_eq(&digest)) => Ok(Arc::clone(caller)),
            _ => Err(Error::caller(
                ErrorKind::Authentication,
                "the API key is not known to this router; check the key, or add it to 'keys' in its configuration",
            )),
        }
    }
}

/// Hashes a digest to its first bytes: digests are spread evenly as they are, and nobody chooses them.
#[derive(Clone, Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let text = value.to_str().ok()?;
        let (scheme, key) = text.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| key.trim());
    }
    let value = headers.get("x-api-key").or_else(|| headers.get("api-key"))?;
    value.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> KeyRing {
        let caller = Caller { key: Arc::from("web"), tenant: Arc::from("acme"), ..Caller::anonymous() };
        KeyRing::new([(digest("sk-one"), Arc::new(caller))])
    }

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn a_key_is_taken_from_each_of_the_three_headers() {
        for (name, value) in [("authorization", "Bearer sk-one"), ("x-api-key", "sk-one"), ("api-key", "sk-one")] {
            assert_eq!(ring().admit(&headers(name, value)).unwrap().tenant.as_ref(), "acme");
        }
    }

    #[test]
    fn a_wrong_a_missing_and_a_malformed_key_are_refused() {
        for (name, value) in [("authorization", "Bearer sk-two"), ("authorization", "sk-one"), ("accept", "*/*")] {
            assert_eq!(ring().admit(&headers(name, value)).unwrap_err().kind(), ErrorKind::Authentication);
        }
    }

    #[test]
    fn no_debug_output_holds_a_digest() {
        assert_eq!(format!("{:?}", ring()), "KeyRing(1 keys)");
    }
}
