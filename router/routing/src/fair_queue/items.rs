//! What waits, in a slab: lists within it are first in, first out, and anyone may leave the middle.
//!
//! A ticket names a slot and the serial number of what was put there. Serial numbers are never used
//! twice, so a ticket of somebody who has been served finds nothing, even when the slot has a new
//! guest, and even after the slab has been given back.

use std::time::Instant;

/// What [`FairQueue::push`](super::FairQueue::push) gives, to leave the queue with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    slot: u32,
    serial: u64,
}

/// Which list of its flow an item stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// That of the exchanges that have had their turn before.
    Again,
    /// That of this session, by its place in the flow's slab.
    Session(u32),
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Item<T> {
    pub(super) value: T,
    pub(super) flow: u32,
    pub(super) line: Line,
    /// The session's name, which outlives its place.
    pub(super) session: u64,
    pub(super) cost: u64,
    pub(super) since: Instant,
}

#[derive(Debug)]
struct Slot<T> {
    serial: u64,
    item: Option<Item<T>>,
    before: u32,
    /// The next in the list; in a free slot, the next free one.
    after: u32,
}

/// The ends of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    first: u32,
    last: u32,
}

const NONE: u32 = u32::MAX;
/// An empty slab keeps its memory up to so many slots.
const KEPT: usize = 1_024;

impl Default for List {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl List {
    pub(super) fn is_empty(&self) -> bool {
        self.first == NONE
    }
}

/// All who wait in one queue.
#[derive(Debug)]
pub(super) struct Items<T> {
    slots: Vec<Slot<T>>,
    free: u32,
    len: usize,
}

impl<T> Items<T> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), free: NONE, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The item of a ticket that is still waiting.
    pub(super) fn get(&self, ticket: Ticket) -> Option<&Item<T>> {
        self.slots.get(ticket.slot as usize).filter(|slot| slot.serial == ticket.serial)?.item.as_ref()
    }

    /// The ticket of the first of a list.
    pub(super) fn first(&self, list: &List) -> Option<Ticket> {
        let slot = self.slots.get(list.first as usize)?;
        Some(Ticket { slot: list.first, serial: slot.serial })
    }

    /// Appends an item to a list.
    pub(super) fn append(&mut self, list: &mut List, serial: u64, item: Item<T>) -> Ticket {
        let at = self.free;
        let filled = Slot { serial, item: Some(item), before: list.last, after: NONE };
        let at = match self.slots.get_mut(at as usize) {
            Some(slot) => {
                self.free = slot.after;
                *slot = filled;
                at
            }
            None => {
                self.slots.push(filled);
                // Four thousand million waiting requests would not fit into memory.
                (self.slots.len() - 1) as u32
            }
        };
        match self.slots.get_mut(list.last as usize) {
            Some(last) => last.after = at,
            None => list.first = at,
        }
        list.last = at;
        self.len += 1;
        Ticket { slot: at, serial }
    }

    /// Takes an item out of the list in which it stands, wherever in it.
    pub(super) fn take(&mut self, list: &mut List, ticket: Ticket) -> Option<Item<T>> {
        let slot = self.slots.get_mut(ticket.slot as usize).filter(|slot| slot.serial == ticket.serial)?;
        let item = slot.item.take()?;
        let (before, after) = (slot.before, slot.after);
        slot.after = self.free;
        self.free = ticket.slot;
        match self.slots.get_mut(before as usize) {
            Some(before) => before.after = after,
            None => list.first = after,
        }
        match self.slots.get_mut(after as usize) {
            Some(after) => after.before = before,
            None => list.last = before,
        }
        self.len -= 1;
        if self.len == 0 && self.slots.len() > KEPT {
            *self = Self::new();
        }
        Some(item)
    }
}
