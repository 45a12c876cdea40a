//! An indexed heap: the child with the least key first, and any child found by its number.
//!
//! Four children per node (Johnson 1975), because a re-key after service sinks a few levels far more
//! often than it rises, and one level of four is two cache lines. Beside the heap stands the place of
//! every child, so that a child that leaves or is charged is found in one step: every operation is
//! O(log n). Numbers are dense (they come from a slab), and the places are a plain vector.

/// What children are ordered by: virtual time, and who was there first among equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// In virtual time, see `tag`.
    pub(super) tag: u128,
    /// Unique, so that two keys are never equal and the order is total.
    pub(super) seq: u64,
}

/// A key and its child side by side, not one inside the other: 32 bytes, two to a cache line.
#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u128,
    seq: u64,
    child: u32,
}

impl Entry {
    fn key(&self) -> Key {
        Key { tag: self.tag, seq: self.seq }
    }
}

/// The children that are in the order, least key first.
#[derive(Debug, Default)]
pub(super) struct Order {
    heap: Vec<Entry>,
    /// By child: its index in `heap`, or `ABSENT`.
    place: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;
const CHILDREN: usize = 4;

impl Order {
    /// How many children are in the order.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no child is in the order.
    pub(super) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The child with the least key.
    pub(super) fn first(&self) -> Option<(Key, u32)> {
        self.heap.first().map(|entry| (entry.key(), entry.child))
    }

    /// The key of a child, if it is in the order.
    pub(super) fn key(&self, child: u32) -> Option<Key> {
        self.heap.get(self.index(child)?).map(Entry::key)
    }

    /// Puts a child into the order, or moves it to where `key` belongs.
    pub(super) fn put(&mut self, child: u32, key: Key) {
        let entry = Entry { tag: key.tag, seq: key.seq, child };
        let index = match self.index(child) {
            Some(index) => index,
            None => {
                if self.place.len() <= child as usize {
                    self.place.resize(child as usize + 1, ABSENT);
                }
                self.heap.push(entry);
                self.heap.len() - 1
            }
        };
        self.settle(index, entry);
    }

    /// Takes a child out of the order, if it is in it.
    pub(super) fn take(&mut self, child: u32) {
        let Some(index) = self.index(child) else { return };
        let Some(last) = self.heap.pop() else { return };
        if let Some(place) = self.place.get_mut(child as usize) {
            *place = ABSENT;
        }
        if index < self.heap.len() {
            self.settle(index, last);
        }
    }

    /// Takes every child out.
    pub(super) fn clear(&mut self) {
        self.heap.clear();
        self.place.clear();
    }

    fn index(&self, child: u32) -> Option<usize> {
        self.place.get(child as usize).filter(|place| **place != ABSENT).map(|place| *place as usize)
    }

    /// Writes `entry` into the hole at `index`, after the hole has moved to where the key belongs.
    fn settle(&mut self, index: usize, entry: Entry) {
        let raised = self.raise(index, entry.key());
        let hole = if raised == index { self.sink(index, entry.key()) } else { raised };
        self.set(hole, entry);
    }

    fn raise(&mut self, mut hole: usize, key: Key) -> usize {
        while hole > 0 {
            let parent = (hole - 1) / CHILDREN;
            match self.heap.get(parent) {
                Some(above) if key < above.key() => self.set(hole, *above),
                _ => break,
            }
            hole = parent;
        }
        hole
    }

    fn sink(&mut self, mut hole: usize, key: Key) -> usize {
        loop {
            let from = hole * CHILDREN + 1;
            let to = (from + CHILDREN).min(self.heap.len());
            let below = self.heap.get(from..to).unwrap_or_default();
            let Some((offset, least)) = below.iter().enumerate().min_by_key(|(_, entry)| entry.key()) else { break };
            if key <= least.key() {
                break;
            }
            let (least, next) = (*least, from + offset);
            self.set(hole, least);
            hole = next;
        }
        hole
    }

    fn set(&mut self, index: usize, entry: Entry) {
        if let (Some(slot), Some(place)) = (self.heap.get_mut(index), self.place.get_mut(entry.child as usize)) {
            *slot = entry;
            // The heap holds each child once, and children are numbered in 32 bits.
            *place = index as u32;
        }
    }
}
