//! At which pace the tries of a lane may begin: the words that [`atp_routing::rate`]'s functions change.
//!
//! The numbers of a pace are stored one by one. Who reads them while they change gets some of the old
//! and some of the new pace, which admits one try a little too early or too late; the words themselves
//! are exact.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use atp_routing::rate::{self, Pace};
use atp_routing::share::Idle;

/// The pace of a lane and what of it is used.
#[derive(Debug, Default)]
pub(super) struct PaceCell {
    known: AtomicBool,
    numbers: [AtomicU64; 7],
    tokens: AtomicU64,
    requests: AtomicU64,
}

impl PaceCell {
    /// Whether a pace is known.
    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Sets the pace.
    pub(super) fn set(&self, pace: Option<Pace>) {
        let Some(pace) = pace else {
            if self.is_known() {
                self.known.store(false, Ordering::Relaxed);
            }
            return;
        };
        let numbers = [
            pace.ns_per_token,
            pace.burst_tokens,
            pace.floor_tokens_ns,
            pace.ns_per_request,
            pace.burst_requests,
            pace.floor_requests_ns,
            pace.most_tokens,
        ];
        for (cell, number) in self.numbers.iter().zip(numbers) {
            cell.store(number, Ordering::Relaxed);
        }
        self.known.store(true, Ordering::Relaxed);
    }

    fn pace(&self) -> Pace {
        let [tokens, burst, floor, requests, burst_requests, floor_requests, most] = [0, 1, 2, 3, 4, 5, 6]
            .map(|place: usize| self.numbers.get(place).map_or(0, |cell| cell.load(Ordering::Relaxed)));
        Pace {
            ns_per_token: tokens,
            burst_tokens: burst,
            floor_tokens_ns: floor,
            ns_per_request: requests,
            burst_requests,
            floor_requests_ns: floor_requests,
            most_tokens: most,
        }
    }

    /// Admits a request of `tokens` at `now` (nanoseconds since the lane's origin); one of a light flow a
    /// little early.
    ///
    /// # Errors
    ///
    /// The nanoseconds until there is room.
    pub(super) fn admit(&self, now: u64, tokens: u64, idle: Idle) -> Result<(), u64> {
        let pace = self.pace();
        change(&self.requests, |word| admit_request(word, now, &pace, idle))?;
        change(&self.tokens, |word| admit_tokens(word, now, tokens, &pace, idle))
            .inspect_err(|_| self.give_back_request(&pace))
    }

    /// Takes an admission back that came to nothing for want of a slot.
    pub(super) fn give_back(&self, now: u64, tokens: u64) {
        self.give_back_request(&self.pace());
        self.settle(now, tokens, 0);
    }

    /// Corrects what was admitted to what was used, as is known at `now`.
    pub(super) fn settle(&self, now: u64, admitted: u64, used: u64) {
        let pace = self.pace();
        let _always = change(&self.tokens, |word| Ok::<_, u64>(rate::settle(word, now, admitted, used, &pace)));
    }

    fn give_back_request(&self, pace: &Pace) {
        let _always = change(&self.requests, |word| Ok::<_, u64>(rate::give_back_request(word, pace)));
    }

    /// The nanoseconds until a request of `tokens` is admitted; 0 now. Changes nothing.
    pub(super) fn wait(&self, now: u64, tokens: u64, idle: Idle) -> u64 {
        let pace = self.pace();
        let requests = admit_request(self.requests.load(Ordering::Relaxed), now, &pace, idle);
        let tokens = admit_tokens(self.tokens.load(Ordering::Relaxed), now, tokens, &pace, idle);
        requests.err().max(tokens.err()).unwrap_or(0)
    }
}

fn admit_request(word: u64, now: u64, pace: &Pace, idle: Idle) -> Result<u64, u64> {
    match idle {
        Idle::Yes => rate::admit_request_ahead(word, now, pace),
        Idle::No => rate::admit_request(word, now, pace),
    }
}

fn admit_tokens(word: u64, now: u64, tokens: u64, pace: &Pace, idle: Idle) -> Result<u64, u64> {
    match idle {
        Idle::Yes => rate::admit_ahead(word, now, tokens, pace),
        Idle::No => rate::admit(word, now, tokens, pace),
    }
}

/// A compare-and-swap loop around a function that may refuse.
fn change<E>(word: &AtomicU64, decide: impl Fn(u64) -> Result<u64, E>) -> Result<(), E> {
    let mut before = word.load(Ordering::Relaxed);
    loop {
        let after = decide(before)?;
        match word.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Ok(()),
            Err(changed) => before = changed,
        }
    }
}
