//! What the scripted upstream has seen, for tests that must know when a cancellation arrived.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// The upstream's counters at one moment, as `GET /_stats` tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Connections accepted, those that only asked for these figures left out.
    pub connections_total: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Requests whose head was read.
    pub requests_total: u64,
    /// Requests read and not yet answered, cut or left.
    pub requests_open: u64,
    /// Event streams that have begun and not ended.
    pub streams_open: u64,
    /// Requests answered as their script says, faults included.
    pub requests_played: u64,
    /// Requests whose caller left before the script had ended.
    pub requests_left: u64,
    /// Bytes of request bodies read.
    pub body_bytes_in: u64,
    /// Bytes written, heads included.
    pub bytes_out: u64,
}

/// One request as it arrived, kept when the upstream was started with `record`.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// The request line's method.
    pub method: String,
    /// The request line's target, query included.
    pub path: String,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// Length of the body, in bytes.
    pub body_bytes: u64,
    /// SHA-256 of the body, in hexadecimal.
    pub body_sha256: String,
    /// Whether the body came in chunks.
    pub chunked: bool,
    /// The body as text, when it is UTF-8 of at most 64 KiB.
    pub body: Option<String>,
}

/// The living counters. One thread writes them; any thread may read.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) connections_total: AtomicU64,
    pub(super) connections_open: AtomicU64,
    pub(super) requests_total: AtomicU64,
    pub(super) requests_open: AtomicU64,
    pub(super) streams_open: AtomicU64,
    pub(super) requests_played: AtomicU64,
    pub(super) requests_left: AtomicU64,
    pub(super) body_bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    /// Requests that asked for a flaky answer, to know which one fails.
    pub(super) flaky: AtomicU64,
    pub(super) recorded: Mutex<VecDeque<Recorded>>,
}

impl Counters {
    pub(super) fn read(&self) -> Stats {
        Stats {
            connections_total: self.connections_total.load(Relaxed),
            connections_open: self.connections_open.load(Relaxed),
            requests_total: self.requests_total.load(Relaxed),
            requests_open: self.requests_open.load(Relaxed),
            streams_open: self.streams_open.load(Relaxed),
            requests_played: self.requests_played.load(Relaxed),
            requests_left: self.requests_left.load(Relaxed),
            body_bytes_in: self.body_bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
        }
    }

    /// Sets what only grows back to zero; what is open stays true.
    pub(super) fn reset(&self) {
        for counter in [
            &self.connections_total,
            &self.requests_total,
            &self.requests_played,
            &self.requests_left,
            &self.body_bytes_in,
            &self.bytes_out,
            &self.flaky,
        ] {
            counter.store(0, Relaxed);
        }
        self.lock_recorded().clear();
    }

    pub(super) fn record(&self, request: Recorded, most: usize) {
        let mut recorded = self.lock_recorded();
        if recorded.len() >= most {
            recorded.pop_front();
        }
        recorded.push_back(request);
    }

    pub(super) fn recorded(&self) -> Vec<Recorded> {
        self.lock_recorded().iter().cloned().collect()
    }

    fn lock_recorded(&self) -> std::sync::MutexGuard<'_, VecDeque<Recorded>> {
        // A list of finished values cannot be left half-written.
        self.recorded.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Counts up now and down when dropped.
pub(super) struct Open<'a>(&'a AtomicU64);

impl<'a> Open<'a> {
    pub(super) fn count(gauge: &'a AtomicU64) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self(gauge)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
