//! What makes two requests identical.
//!
//! The name of a request is 128 bits of SipHash-1-3 over everything that a provider is told: the
//! operation, the path, the headers that can change an answer, and the body's own bytes. Two keyed
//! halves, whose keys are dice of this process, so that nobody can look for two requests of one name
//! beforehand. The tenant is not hashed but compared, letter by letter: whatever the hash does, no
//! answer crosses from one tenant to another.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use atp_core::{Exchange, Restarts, Rope};

/// The name of a request, within one model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    halves: [u64; 2],
    /// Bytes of the body.
    len: usize,
    tenant: Arc<str>,
}

impl Key {
    /// Which of `shards` it belongs to.
    pub(super) fn shard(&self, shards: usize) -> usize {
        let [half, _] = self.halves;
        // A remainder of a count of shards fits wherever the count does.
        (half % (shards as u64).max(1)) as usize
    }

    /// Bytes that it takes beside itself. The tenant's name is shared with the configuration.
    pub(super) const SIZE: usize = size_of::<Self>();

    #[cfg(test)]
    pub(super) fn plain(tenant: &str, number: u64) -> Self {
        Self { halves: [number, number], len: 0, tenant: tenant.into() }
    }
}

/// Names requests.
pub(super) struct Namer {
    states: [RandomState; 2],
    /// The standard library derives the keys of two states of one thread from each other; this makes
    /// the halves independent all the same.
    salts: [u128; 2],
}

impl Namer {
    pub(super) fn new() -> Self {
        Self { states: [RandomState::new(), RandomState::new()], salts: [rand::random(), rand::random()] }
    }

    pub(super) fn name(&self, exchange: &Exchange, body: &Rope) -> Key {
        let [first, second] = &self.states;
        let [one, two] = self.salts;
        Key {
            halves: [half(first, one, exchange, body), half(second, two, exchange, body)],
            len: body.len(),
            tenant: Arc::clone(&exchange.caller.tenant),
        }
    }
}

fn half(state: &RandomState, salt: u128, exchange: &Exchange, body: &Rope) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write_u128(salt);
    let mut part = |bytes: &[u8]| {
        hasher.write_usize(bytes.len());
        hasher.write(bytes);
    };
    part(exchange.operation.label().as_bytes());
    part(exchange.path.as_bytes());
    // Who accepts restarts may get a stream that others could not read.
    part(if exchange.restarts == Restarts::Accepted { b"1" } else { b"0" });
    for (name, value) in exchange.headers.iter().filter(|(name, _)| counts(name.as_str())) {
        part(name.as_str().as_bytes());
        part(value.as_bytes());
    }
    // Told apart from headers by its place, whatever it holds: an empty name is no header's.
    part(b"");
    hasher.write_usize(body.len());
    for piece in body.parts() {
        hasher.write(piece);
    }
    hasher.finish()
}

/// Whether a header may change the answer. Those that tell how, from where or how often a request was
/// sent do not; of any other the provider alone knows, so it counts.
fn counts(name: &str) -> bool {
    let idle = matches!(
        name,
        "accept"
            | "accept-language"
            | "baggage"
            | "cache-control"
            | "content-type"
            | "dnt"
            | "from"
            | "idempotency-key"
            | "origin"
            | "pragma"
            | "priority"
            | "referer"
            | "traceparent"
            | "tracestate"
            | "user-agent"
            | "via"
            | "x-client-request-id"
            | "x-correlation-id"
            | "x-real-ip"
    );
    !idle && !["sec-", "x-stainless-", "x-b3-"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderName, HeaderValue};

    use super::super::tests::exchange;
    use super::*;

    fn rope(parts: &[&'static str]) -> Rope {
        let mut rope = Rope::new();
        parts.iter().for_each(|part| rope.push(Bytes::from_static(part.as_bytes())));
        rope
    }

    #[test]
    fn a_request_has_one_name_however_its_body_was_cut() {
        let namer = Namer::new();
        let exchange = exchange("a");
        let whole = namer.name(&exchange, &rope(&["{\"temperature\":0}"]));
        assert_eq!(namer.name(&exchange, &rope(&["{\"temp", "", "erature\":", "0}"])), whole);
        assert_ne!(namer.name(&exchange, &rope(&["{\"temperature\": 0}"])), whole);
        assert_ne!(Namer::new().name(&exchange, &rope(&["{\"temperature\":0}"])), whole, "the dice are the process's");
    }

    #[test]
    fn tenant_path_and_headers_that_count_are_part_of_it() {
        let namer = Namer::new();
        let body = rope(&["{}"]);
        let name = |change: &dyn Fn(&mut Exchange)| {
            let mut exchange = exchange("a");
            change(&mut exchange);
            namer.name(&exchange, &body)
        };
        let header = |name: &'static str| {
            move |exchange: &mut Exchange| {
                exchange.headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
            }
        };
        let plain = name(&|_| ());
        assert_eq!(name(&|_| ()), plain);
        assert_eq!(name(&header("user-agent")), plain);
        assert_eq!(name(&header("x-stainless-retry-count")), plain);
        assert_ne!(name(&header("openai-beta")), plain);
        assert_ne!(name(&|exchange| exchange.path = "/embeddings".into()), plain);
        assert_ne!(name(&|exchange| exchange.restarts = Restarts::Accepted), plain);
        let other = namer.name(&super::super::tests::exchange("b"), &body);
        assert_eq!((other.halves, other.len), (plain.halves, plain.len));
        assert_ne!(other, plain, "the tenant is compared, not hashed");
    }
}
