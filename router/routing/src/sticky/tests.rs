//! Keys come back to their arm for as long as they may, and no longer.

use proptest::prelude::*;

use super::*;

fn session(key: u64) -> StickyKeys {
    StickyKeys { session: Some(key << 1), prefix: None }
}

fn prefix(key: u64) -> StickyKeys {
    StickyKeys { session: None, prefix: Some(key << 1) }
}

fn table() -> StickyTable {
    StickyTable::new(StickyRules { ttl_ms: 1_000, ..StickyRules::default() }, 3)
}

#[test]
fn a_session_and_a_prefix_of_the_same_number_are_two() {
    let mut table = table();
    table.bind(session(7), 1, 0);
    table.bind(prefix(7), 2, 0);
    assert_eq!((table.session(session(7), 0), table.prefix(prefix(7), 0)), (Some(1), Some(2)));
    assert_eq!((table.session(prefix(7), 0), table.prefix(session(7), 0)), (None, None));
}

#[test]
fn a_key_is_kept_for_its_time_after_its_last_use() {
    let mut table = table();
    table.bind(session(7), 1, 0);
    assert_eq!(table.session(session(7), 1_000), Some(1));
    assert_eq!(table.session(session(7), 1_001), None);
    table.bind(session(7), 1, 900);
    assert_eq!(table.session(session(7), 1_900), Some(1));
}

#[test]
fn what_is_not_configured_is_not_kept() {
    let mut table = StickyTable::new(StickyRules { session: false, prefix: false, ttl_ms: 1_000 }, 3);
    table.bind(StickyKeys { session: Some(7), prefix: Some(7) }, 1, 0);
    assert!(table.is_empty());
}

#[test]
fn an_arm_may_hold_a_multiple_of_what_free_choices_give_it() {
    let mut table = table();
    for key in 0..LEAST {
        table.bind(session(key), 0, 0);
    }
    assert!(!table.crowded(0), "few keys never crowd");
    table.bind(session(LEAST), 0, 0);
    assert!(table.crowded(0), "all of the keys at a third of the free choices");
    for _ in 0..256 {
        table.chosen_freely([(0, 1.0)].into_iter());
    }
    assert!(!table.crowded(0), "the free choices go there too");
    for _ in 0..1_024 {
        table.chosen_freely([(0, 0.05), (1, 0.95)].into_iter());
    }
    assert!(table.crowded(0), "they have left it");
    assert!(!table.crowded(2), "an arm that holds nothing is not crowded");
}

#[test]
fn arms_that_are_gone_take_their_keys_with_them() {
    let mut before = table();
    before.bind(session(1), 0, 0);
    before.bind(session(2), 2, 0);
    let mut after = table();
    after.adopt(&before, |arm| (arm == 2).then_some(1));
    assert_eq!((after.session(session(1), 0), after.session(session(2), 0)), (None, Some(1)));
    assert_eq!(after.held(1), 1);
}

#[test]
fn a_table_reads_back_as_it_was_written() {
    let mut table = table();
    for key in 0..100u64 {
        table.bind(
            StickyKeys { session: Some(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)), prefix: Some(key) },
            key as usize % 3,
            key,
        );
        table.chosen_freely([(1, 0.3), (2, 0.7)].into_iter());
    }
    let text = serde_json::to_string(&table).unwrap();
    let back: StickyTable = serde_json::from_str(&text).unwrap();
    assert_eq!(back, table);
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
}

proptest! {
    #[test]
    fn it_holds_a_bounded_number_of_keys_and_counts_them(
        uses in prop::collection::vec((0u64..200, 0usize..3, 0u64..50), 1..600),
    ) {
        let mut table = StickyTable::with_capacity(StickyRules { ttl_ms: 500, ..StickyRules::default() }, 3, 16);
        let mut now = 0;
        for (key, arm, step) in uses {
            now += step;
            table.bind(session(key), arm, now);
            prop_assert_eq!(table.session(session(key), now), Some(arm), "what was bound last is found");
            prop_assert!(table.len() <= 32);
            for arm in 0..3 {
                let count = table.young.bonds.values().chain(table.old.bonds.values())
                    .filter(|bond| usize::from(bond.0) == arm).count();
                prop_assert_eq!(table.held(arm), count as u64);
            }
        }
    }
}
