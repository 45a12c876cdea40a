//! Every interleaving of exchanges that draw on accounts in common, explored by loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p atp-pipeline --test loom_budget --release`.
#![cfg(loom)]

use std::sync::Arc;

use atp_core::MicroUsd;
use atp_pipeline::money::cell::{Cell, Cells, extend, open, settle};
use atp_pipeline::snapshot::{Budget, Per, Whose};
use atp_routing::budget::{Amount, Tab};
use loom::thread;

fn account(name: &str, tokens: u64) -> Arc<Cell> {
    let budget = Budget { cost: None, tokens: Some(tokens), per: Per::Total };
    Cell::new(Whose::Key, name.into(), &[budget], 0)
}

fn cells(all: &[&Arc<Cell>]) -> Cells {
    all.iter().map(|cell| Arc::clone(cell)).collect()
}

/// A stream that holds one token, goes on as long as it may, up to `most`, and tells what it used.
fn stream(cells: &Cells, most: u64) -> u64 {
    let mut tab = Tab::new(0, None, None);
    if open(cells, &mut tab, 1, 1, 0).is_err() {
        return 0;
    }
    let mut used = 0;
    while used < most {
        used += 1;
        if !tab.uses(used) && !extend(cells, &mut tab, 0) {
            break;
        }
    }
    settle(cells, tab, Amount { cost: MicroUsd(0), tokens: used }, 0);
    used
}

/// Runs one stream to each set of accounts, and returns what all have used.
fn race(sets: Vec<Cells>, most: u64) -> u64 {
    let mut sets = sets.into_iter();
    let mine = sets.next().expect("one set at least");
    let others: Vec<_> = sets.map(|set| thread::spawn(move || stream(&set, most))).collect();
    let used = stream(&mine, most);
    others.into_iter().fold(used, |sum, other| sum + other.join().expect("no thread fails"))
}

#[test]
fn two_streams_never_use_more_than_their_account_has() {
    loom::model(|| {
        let key = account("key", 3);
        let used = race(vec![cells(&[&key]), cells(&[&key])], 3);
        assert!((1..=3).contains(&used), "{used}");
        assert_eq!((key.reserved(), key.spent(0).tokens), (Amount::NONE, used));
    });
}

#[test]
fn keys_of_one_tenant_draw_on_both_or_on_neither() {
    loom::model(|| {
        let (one, other, tenant) = (account("one", 2), account("other", 2), account("tenant", 3));
        let used = race(vec![cells(&[&one, &tenant]), cells(&[&other, &tenant])], 2);
        assert!((2..=3).contains(&used), "{used}");
        assert_eq!(tenant.spent(0).tokens, used);
        assert_eq!(one.spent(0).tokens + other.spent(0).tokens, used);
        for account in [&one, &other, &tenant] {
            assert_eq!(account.reserved(), Amount::NONE);
        }
    });
}

#[test]
fn three_streams_and_room_for_two_tokens() {
    // As in the model of the permit: all interleavings of three threads take hours, those with up to two
    // preemptions, where nearly all faults show, take seconds.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let key = account("key", 2);
        let set = || cells(&[&key]);
        let used = race(vec![set(), set(), set()], 1);
        // Each holds one token at a time and uses it, or is refused.
        assert!((1..=2).contains(&used), "{used}");
        assert_eq!((key.reserved(), key.spent(0).tokens), (Amount::NONE, used));
    });
}
