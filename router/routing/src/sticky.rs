//! Which model a session, or a prompt's beginning, was answered by last, so that its provider's prompt
//! cache stays warm.
//!
//! Two generations of a map, each of a bounded number of keys: when the young one is full, or has lived for
//! a time to live, it becomes the old one and the old one is forgotten. A key that is used moves to the
//! young one, so that what is forgotten is what was not used. Nothing walks over the keys on the way of a
//! request.
//!
//! A balance guard keeps habit from becoming fate: an arm may hold up to `LEAST` keys, and beyond that at
//! most `BALANCE` times the share of keys that it is given where the choice is free. (The bound is that of
//! V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent hashing with bounded loads", 2016, with what the
//! bandit would give in the place of equal shares: equal ones would push callers away from the best model.)

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// How many keys a generation holds: 24 bytes each.
const CAPACITY: usize = 8_192;
/// Below so many keys an arm never has too many.
const LEAST: u64 = 16;
/// How many times its share of free choices an arm may hold of the keys.
const BALANCE: f64 = 2.0;
/// What one free choice counts in the shares: they remember some 256.
const STEP: f64 = 1.0 / 256.0;

/// What keeps to the same arm, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StickyRules {
    /// Whether requests of one session do.
    pub session: bool,
    /// Whether requests with the same beginning do.
    pub prefix: bool,
    /// For how many milliseconds after the last one.
    pub ttl_ms: u64,
}

impl Default for StickyRules {
    fn default() -> Self {
        Self { session: true, prefix: true, ttl_ms: 600_000 }
    }
}

/// What a request has in common with those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StickyKeys {
    /// A hash of the caller and its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
    /// A hash of the caller and the prompt's beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<u64>,
}

/// Where a key was bound, and when it was used last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Bond(u16, u64);

/// Keys of one age, and how many of them each arm holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Generation {
    #[serde(with = "as_list")]
    bonds: HashMap<u64, Bond>,
    held: Vec<u64>,
}

/// The table. Sessions and prefixes share it: a bit of the key tells them apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StickyTable {
    rules: StickyRules,
    capacity: usize,
    young: Generation,
    old: Generation,
    /// When the young generation began.
    since_ms: u64,
    /// The share of free choices that each arm is given, over some time.
    shares: Vec<f64>,
}

impl StickyTable {
    /// An empty table for so many arms.
    #[must_use]
    pub fn new(rules: StickyRules, arms: usize) -> Self {
        Self::with_capacity(rules, arms, CAPACITY)
    }

    fn with_capacity(rules: StickyRules, arms: usize, capacity: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a route has few arms")]
        let even = 1.0 / arms.max(1) as f64;
        let empty = Generation { bonds: HashMap::new(), held: vec![0; arms] };
        Self { rules, capacity, young: empty.clone(), old: empty, since_ms: 0, shares: vec![even; arms] }
    }

    /// How many keys it holds, each at most twice.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.bonds.len() + self.old.bonds.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The arm that the session keeps to.
    #[must_use]
    pub fn session(&self, keys: StickyKeys, now_ms: u64) -> Option<usize> {
        keys.session.filter(|_| self.rules.session).and_then(|key| self.find(session_key(key), now_ms))
    }

    /// The arm that the prompt's beginning keeps to.
    #[must_use]
    pub fn prefix(&self, keys: StickyKeys, now_ms: u64) -> Option<usize> {
        keys.prefix.filter(|_| self.rules.prefix).and_then(|key| self.find(prefix_key(key), now_ms))
    }

    fn find(&self, key: u64, now_ms: u64) -> Option<usize> {
        let bond = self.young.bonds.get(&key).or_else(|| self.old.bonds.get(&key))?;
        (now_ms.saturating_sub(bond.1) <= self.rules.ttl_ms).then_some(usize::from(bond.0))
    }

    /// Whether an arm holds more keys than a bounded multiple of what free choices give it.
    #[must_use]
    pub fn crowded(&self, arm: usize) -> bool {
        let held = self.held(arm);
        if held <= LEAST {
            return false;
        }
        let all: u64 = self.young.held.iter().chain(&self.old.held).sum();
        let share = self.shares.get(arm).copied().unwrap_or(0.0);
        #[expect(clippy::cast_precision_loss, reason = "the table holds far fewer than 2^53 keys")]
        let most = BALANCE * share * all as f64;
        #[expect(clippy::cast_precision_loss, reason = "likewise")]
        let held = held as f64;
        held > most
    }

    fn held(&self, arm: usize) -> u64 {
        let of = |generation: &Generation| generation.held.get(arm).copied().unwrap_or(0);
        of(&self.young) + of(&self.old)
    }

    /// Tells with which probabilities a free choice was made: `(arm, probability)`; the arms that are not
    /// named had none.
    pub fn chosen_freely(&mut self, probabilities: impl Iterator<Item = (usize, f64)>) {
        for share in &mut self.shares {
            *share *= 1.0 - STEP;
        }
        for (arm, probability) in probabilities {
            if let Some(share) = self.shares.get_mut(arm) {
                *share += STEP * probability;
            }
        }
    }

    /// Binds what a request has in common with others to the arm that answers it.
    pub fn bind(&mut self, keys: StickyKeys, arm: usize, now_ms: u64) {
        let session = keys.session.filter(|_| self.rules.session).map(session_key);
        let prefix = keys.prefix.filter(|_| self.rules.prefix).map(prefix_key);
        let Ok(arm) = u16::try_from(arm) else { return };
        for key in [session, prefix].into_iter().flatten() {
            self.turn(now_ms);
            self.old.forget(key);
            self.young.forget(key);
            self.young.hold(key, Bond(arm, now_ms));
        }
    }

    /// Makes the young generation the old one where it is full, or has lived long enough.
    fn turn(&mut self, now_ms: u64) {
        let aged = now_ms.saturating_sub(self.since_ms) > self.rules.ttl_ms;
        if !aged && self.young.bonds.len() < self.capacity {
            return;
        }
        let empty = Generation { bonds: HashMap::new(), held: vec![0; self.shares.len()] };
        self.old = std::mem::replace(&mut self.young, empty);
        self.since_ms = now_ms;
    }

    /// Takes over what `before` held; `place` tells where an arm of it stands now.
    pub fn adopt(&mut self, before: &Self, place: impl Fn(usize) -> Option<usize>) {
        self.since_ms = before.since_ms;
        for (mine, its) in [(&mut self.young, &before.young), (&mut self.old, &before.old)] {
            for (key, Bond(arm, at)) in &its.bonds {
                if let Some(arm) = place(usize::from(*arm)).and_then(|arm| u16::try_from(arm).ok()) {
                    mine.hold(*key, Bond(arm, *at));
                }
            }
        }
        for (arm, share) in before.shares.iter().enumerate() {
            if let Some(mine) = place(arm).and_then(|arm| self.shares.get_mut(arm)) {
                *mine = *share;
            }
        }
    }
}

impl Generation {
    fn hold(&mut self, key: u64, bond: Bond) {
        if let Some(held) = self.held.get_mut(usize::from(bond.0)) {
            *held += 1;
            self.bonds.insert(key, bond);
        }
    }

    fn forget(&mut self, key: u64) {
        if let Some(bond) = self.bonds.remove(&key)
            && let Some(held) = self.held.get_mut(usize::from(bond.0))
        {
            *held -= 1;
        }
    }
}

const fn session_key(key: u64) -> u64 {
    key | 1
}

const fn prefix_key(key: u64) -> u64 {
    key & !1
}

/// A list in the order of the keys: the same table is always written as the same text.
mod as_list {
    use std::collections::HashMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::Bond;

    pub(super) fn serialize<S: Serializer>(bonds: &HashMap<u64, Bond>, to: S) -> Result<S::Ok, S::Error> {
        let mut list: Vec<(u64, Bond)> = bonds.iter().map(|(key, bond)| (*key, *bond)).collect();
        list.sort_unstable_by_key(|(key, _)| *key);
        to.collect_seq(list)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<HashMap<u64, Bond>, D::Error> {
        Ok(Vec::<(u64, Bond)>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
