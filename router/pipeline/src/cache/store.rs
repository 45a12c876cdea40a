//! Which answers are kept, and which one goes when there is no room: S3-FIFO (J. Yang et al., "FIFO
//! queues are all you need for cache eviction", SOSP 2023).
//!
//! Most deterministic requests are asked once and never again. What is new therefore enters a small
//! queue, a tenth of the room, and moves on to the main one only if it was asked for again while it
//! was there; what leaves the small queue unasked leaves its name behind for a while, and goes to the
//! main queue at once when it comes back. A hit moves nothing: it raises a count of two bits.
//!
//! Plain state of one shard: `now` is an argument, sizes are bytes, and the sum of the sizes never
//! exceeds the room. Each kept name stands in exactly one queue, once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::kept::Kept;
use super::key::Key;

/// The small queue's part of the room: a tenth, as in the paper.
const SMALL_PART: usize = 10;
/// The most that a count tells.
const OFTEN: u8 = 3;

/// What one entry takes beside its answer: its key in map and queue, the map's slot and the allocator's
/// headers, rounded up.
const OVERHEAD: usize = 2 * Key::SIZE + 128;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Small,
    Main,
}

struct Entry {
    kept: Arc<Kept>,
    expires: Instant,
    size: usize,
    place: Place,
    asked: u8,
}

/// What a change did to the number and the bytes of kept answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Change {
    /// Entries that had to go to make room.
    pub(super) evicted: u64,
    /// Entries more, or fewer.
    pub(super) entries: i64,
    /// Bytes more, or fewer.
    pub(super) bytes: i64,
}

/// The kept answers of one shard.
pub(super) struct Store {
    entries: HashMap<Key, Entry>,
    small: VecDeque<Key>,
    main: VecDeque<Key>,
    small_bytes: usize,
    main_bytes: usize,
    /// Names that left the small queue unasked, oldest first.
    gone: VecDeque<Key>,
    gone_names: HashSet<Key>,
    room: usize,
}

impl Store {
    /// An empty store of `room` bytes.
    pub(super) fn new(room: usize) -> Self {
        Self {
            entries: HashMap::new(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            small_bytes: 0,
            main_bytes: 0,
            gone: VecDeque::new(),
            gone_names: HashSet::new(),
            room,
        }
    }

    /// The kept answer of a name, where it has one that is not too old.
    pub(super) fn get(&mut self, key: &Key, now: Instant) -> Option<Arc<Kept>> {
        let entry = self.entries.get_mut(key).filter(|entry| now < entry.expires)?;
        entry.asked = OFTEN.min(entry.asked + 1);
        Some(Arc::clone(&entry.kept))
    }

    /// Keeps an answer until `expires`, in the place of an older one of the same name.
    pub(super) fn put(&mut self, key: Key, kept: Arc<Kept>, expires: Instant) -> Change {
        let size = kept.size() + OVERHEAD;
        if size > self.room {
            return Change::default();
        }
        let before = self.count();
        let mut evicted = 0;
        if let Some(entry) = self.entries.get_mut(&key) {
            let bytes = if entry.place == Place::Small { &mut self.small_bytes } else { &mut self.main_bytes };
            *bytes = *bytes - entry.size + size;
            (entry.kept, entry.expires, entry.size) = (kept, expires, size);
            evicted += self.make_room(0);
        } else {
            // Room first, so that what is new cannot be what goes.
            evicted += self.make_room(size);
            self.enter(key, kept, expires, size);
        }
        self.since(before, evicted)
    }

    /// Lets entries go until `size` more bytes have room; how many went.
    fn make_room(&mut self, size: usize) -> u64 {
        let mut evicted = 0;
        while self.bytes() + size > self.room && self.evict() {
            evicted += 1;
        }
        evicted
    }

    /// Lets go what is too old.
    pub(super) fn sweep(&mut self, now: Instant) -> Change {
        let before = self.count();
        let (mut small, mut main) = (0, 0);
        self.entries.retain(|_, entry| {
            let stays = now < entry.expires;
            let bytes = if entry.place == Place::Small { &mut small } else { &mut main };
            *bytes += if stays { 0 } else { entry.size };
            stays
        });
        if small + main > 0 {
            self.small_bytes -= small;
            self.main_bytes -= main;
            self.small.retain(|key| self.entries.contains_key(key));
            self.main.retain(|key| self.entries.contains_key(key));
        }
        self.since(before, 0)
    }

    /// Lets everything go.
    pub(super) fn clear(&mut self) -> Change {
        let before = self.count();
        *self = Self::new(self.room);
        self.since(before, 0)
    }

    fn enter(&mut self, key: Key, kept: Arc<Kept>, expires: Instant, size: usize) {
        // A name that is remembered here is forgotten when it is the oldest of `gone`.
        let place = if self.gone_names.contains(&key) { Place::Main } else { Place::Small };
        self.queue(key.clone(), place, size);
        self.entries.insert(key, Entry { kept, expires, size, place, asked: 0 });
    }

    fn queue(&mut self, key: Key, place: Place, size: usize) {
        if place == Place::Small {
            self.small_bytes += size;
            self.small.push_back(key);
        } else {
            self.main_bytes += size;
            self.main.push_back(key);
        }
    }

    /// Lets one entry go; whether there was one.
    fn evict(&mut self) -> bool {
        let from_small = self.small_bytes > self.room / SMALL_PART || self.main.is_empty();
        (from_small && self.evict_small()) || self.evict_main() || self.evict_small()
    }

    /// Lets the oldest entry of the small queue go that was not asked for; those that were move on.
    fn evict_small(&mut self) -> bool {
        while let Some(key) = self.small.pop_front() {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let size = entry.size;
            self.small_bytes -= size;
            if entry.asked > 0 {
                (entry.asked, entry.place) = (0, Place::Main);
                self.queue(key, Place::Main, size);
                continue;
            }
            self.entries.remove(&key);
            self.remember(key);
            return true;
        }
        false
    }

    /// Lets the oldest entry of the main queue go that was not asked for since it was last looked at.
    fn evict_main(&mut self) -> bool {
        while let Some(key) = self.main.pop_front() {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if entry.asked > 0 {
                entry.asked -= 1;
                self.main.push_back(key);
                continue;
            }
            self.main_bytes -= entry.size;
            self.entries.remove(&key);
            return true;
        }
        false
    }

    /// Remembers as many names that left as there are entries, and a few.
    fn remember(&mut self, key: Key) {
        if self.gone_names.insert(key.clone()) {
            self.gone.push_back(key);
        }
        while self.gone.len() > self.entries.len() + 16 {
            if let Some(oldest) = self.gone.pop_front() {
                self.gone_names.remove(&oldest);
            }
        }
    }

    fn bytes(&self) -> usize {
        self.small_bytes + self.main_bytes
    }

    fn count(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes())
    }

    fn since(&self, before: (usize, usize), evicted: u64) -> Change {
        // Numbers of entries and bytes in memory are far below the range of either type.
        let change = |now: usize, before: usize| now as i64 - before as i64;
        Change { evicted, entries: change(self.entries.len(), before.0), bytes: change(self.bytes(), before.1) }
    }
}

#[cfg(test)]
mod tests;
