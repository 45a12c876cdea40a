//! Every interleaving of the in-flight permit, explored by loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p atp-pipeline --test loom_permit --release`.
#![cfg(loom)]

use std::sync::Arc;

use atp_pipeline::permit::Permits;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// Runs `threads` that each take and give back a permit of `limit`, and returns how many got one.
fn race(threads: usize, limit: usize) -> usize {
    let permits = Permits::new();
    let inside = Arc::new(AtomicUsize::new(0));
    let one = move |permits: Arc<Permits>, inside: Arc<AtomicUsize>| {
        let Some(permit) = Permits::try_take(&permits, limit) else { return 0 };
        assert!(inside.fetch_add(1, Ordering::SeqCst) < limit, "more are inside than the limit allows");
        inside.fetch_sub(1, Ordering::SeqCst);
        drop(permit);
        1
    };
    let others: Vec<_> = (1..threads)
        .map(|_| {
            let (permits, inside) = (Arc::clone(&permits), Arc::clone(&inside));
            thread::spawn(move || one(permits, inside))
        })
        .collect();
    let mut served = one(Arc::clone(&permits), inside);
    for other in others {
        served += other.join().expect("no thread fails");
    }
    assert_eq!(permits.in_flight(), 0, "every permit is back");
    assert!(Permits::try_take(&permits, limit).is_some(), "and can be taken again");
    served
}

#[test]
fn never_more_than_the_limit_and_all_come_back() {
    loom::model(|| {
        let served = race(2, 1);
        assert!(served >= 1, "one of two always finds the place free");
    });
}

#[test]
fn where_there_is_room_for_all_none_is_refused() {
    loom::model(|| assert_eq!(race(2, 2), 2));
}

#[test]
fn three_threads_and_two_places() {
    // All interleavings of three threads take hours; those with up to two preemptions, where nearly
    // all faults show, take seconds.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| assert!(race(3, 2) >= 2, "two of three always find a place free"));
}
