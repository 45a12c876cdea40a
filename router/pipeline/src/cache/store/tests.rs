//! Claims about what is kept and what goes; sizes are the bodies' own, the overhead is added here.

use std::time::Duration;

use atp_core::Report;
use http::HeaderMap;
use proptest::prelude::*;

use super::*;

fn kept(bytes: usize) -> Arc<Kept> {
    Arc::new(Kept::whole(HeaderMap::new(), &vec![b'x'; bytes], Report::default()))
}

fn cost(bytes: usize) -> usize {
    kept(bytes).size() + OVERHEAD
}

fn key(number: u64) -> Key {
    Key::plain("t", number)
}

struct Lab {
    store: Store,
    now: Instant,
    later: Instant,
}

impl Lab {
    #[expect(clippy::disallowed_methods, reason = "any instant will do as the origin")]
    fn new(room: usize) -> Self {
        let now = Instant::now();
        Self { store: Store::new(room), now, later: now + Duration::from_secs(60) }
    }

    fn put(&mut self, number: u64, bytes: usize) -> Change {
        self.store.put(key(number), kept(bytes), self.later)
    }

    fn has(&mut self, number: u64) -> bool {
        self.store.get(&key(number), self.now).is_some()
    }
}

#[test]
fn what_is_kept_is_found_until_it_is_too_old_and_in_its_own_tenant_alone() {
    let mut lab = Lab::new(100_000);
    lab.put(1, 10);
    assert!(lab.has(1));
    assert!(lab.store.get(&Key::plain("other", 1), lab.now).is_none());
    assert!(lab.store.get(&key(1), lab.later).is_none());
    let change = lab.store.sweep(lab.later);
    assert_eq!((change.entries, change.bytes, change.evicted), (-1, -(cost(10) as i64), 0));
    assert_eq!(lab.store.count(), (0, 0));
}

#[test]
fn a_new_answer_takes_the_place_of_the_old_one() {
    let mut lab = Lab::new(100_000);
    lab.put(1, 10);
    let change = lab.put(1, 30);
    assert_eq!(change, Change { evicted: 0, entries: 0, bytes: 20 });
}

#[test]
fn what_has_no_room_at_all_is_not_kept_and_costs_nobody_his_place() {
    let mut lab = Lab::new(cost(100));
    lab.put(1, 10);
    assert_eq!(lab.put(2, 101), Change::default());
    assert!(lab.has(1));
}

#[test]
fn what_is_asked_for_survives_a_flood_of_what_is_asked_once() {
    let mut lab = Lab::new(20 * cost(100));
    for favourite in 0..5 {
        lab.put(favourite, 100);
        assert!(lab.has(favourite));
    }
    for other in 100..1_000 {
        lab.put(other, 100);
    }
    assert!((0..5).all(|favourite| lab.has(favourite)), "a scan does not wash out what is in use");
}

#[test]
fn what_comes_back_soon_after_it_left_goes_to_the_main_queue() {
    let mut lab = Lab::new(10 * cost(100));
    for number in 0..11 {
        lab.put(number, 100);
    }
    assert!(!lab.has(0), "the oldest unasked one had to go");
    lab.put(0, 100);
    for number in 100..200 {
        lab.put(number, 100);
    }
    assert!(lab.has(0));
}

proptest! {
    #[test]
    fn the_room_is_never_exceeded_and_the_books_are_right(
        steps in prop::collection::vec((0u64..40, 0usize..4_000, 0u8..4, 0u64..90), 1..400),
        room in 1_000usize..40_000,
    ) {
        let mut lab = Lab::new(room);
        let (mut entries, mut bytes, mut most) = (0i64, 0i64, 0);
        for (number, size, action, seconds) in steps {
            let now = lab.now + Duration::from_secs(seconds);
            let change = match action {
                0 => lab.store.sweep(now),
                1 => {
                    let _seen = lab.store.get(&key(number), now);
                    Change::default()
                }
                _ => lab.store.put(key(number), kept(size), now + Duration::from_secs(1)),
            };
            entries += change.entries;
            bytes += change.bytes;
            let store = &lab.store;
            prop_assert!(store.bytes() <= room);
            prop_assert_eq!((store.entries.len() as i64, store.bytes() as i64), (entries, bytes));
            prop_assert_eq!(store.entries.values().map(|entry| entry.size).sum::<usize>(), store.bytes());
            let mut queued: Vec<&Key> = store.small.iter().chain(&store.main).collect();
            prop_assert_eq!(queued.len(), store.entries.len(), "each kept name stands in one queue, once");
            queued.retain(|key| store.entries.contains_key(key));
            prop_assert_eq!(queued.len(), store.entries.len());
            most = store.entries.len().max(most);
            prop_assert!(store.gone.len() <= most + 17 && store.gone.len() == store.gone_names.len());
        }
    }
}
