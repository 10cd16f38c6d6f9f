use mprism_model::{GapCause, Level};
use proptest::prelude::*;

use super::super::truth::{Change, Venue, level};
use super::*;

fn venue() -> Venue {
    let change = |n: u64| Change {
        is_bid: n.is_multiple_of(2),
        price: if n.is_multiple_of(2) { 90 + n % 10 } else { 100 + n % 10 },
        quantity: n % 4,
    };
    Venue::new((1..=60).map(change).collect())
}

/// Whether the book, as far as it is certain, is the venue's.
fn equals(sync: &Sync, venue: &Venue) -> bool {
    equals_at(sync, venue, sync.last())
}

/// Whether the book, as far as it is certain, is the venue's after a change.
pub(super) fn equals_at(sync: &Sync, venue: &Venue, change: u64) -> bool {
    let (bids, asks) = sync.book().certain_levels();
    let (true_bids, true_asks) = venue.levels(change);
    let complete = |mine: &[Level], side: &super::super::Side, theirs: &[Level]| {
        theirs.starts_with(mine) && (side.has_edge() || mine.len() == theirs.len())
    };
    complete(&bids, &sync.book().bids, &true_bids) && complete(&asks, &sync.book().asks, &true_asks)
}

#[test]
fn the_documented_example_joins_where_it_says() {
    let v = venue();
    let joined = |last: u64| {
        let mut sync = Sync::default();
        for (first, last) in [(1, 10), (11, 18), (19, 19)] {
            assert_eq!(sync.diff(v.diff(first, last)), Step::Kept);
        }
        let join = sync.snapshot(&v.snapshot(last, 1_000));
        assert!(join == Join::TooOld || (sync.last() == 19 && equals(&sync, &v)));
        join
    };
    assert_eq!(
        joined(10),
        Join::Live(10),
        "a snapshot may end exactly where a diff does"
    );
    assert_eq!(joined(14), Join::Live(14), "or within one");
    assert_eq!(joined(0), Join::Live(0));
    let mut late = Sync::default();
    late.diff(v.diff(11, 18));
    assert_eq!(late.snapshot(&v.snapshot(9, 1_000)), Join::TooOld);
    assert_eq!(late.snapshot(&v.snapshot(10, 1_000)), Join::Live(10));
}

#[test]
fn kept_diffs_taken_one_by_one_lead_to_the_same_book() {
    let v = venue();
    for at in 0..=30 {
        let (mut at_once, mut one_by_one) = (Sync::default(), Sync::default());
        for sync in [&mut at_once, &mut one_by_one] {
            for (first, last) in [(8, 10), (11, 18), (19, 19)] {
                sync.diff(v.diff(first, last));
            }
        }
        let snapshot = v.snapshot(at, 1_000);
        let Some(kept) = one_by_one.begin(&snapshot) else {
            assert_eq!(at_once.snapshot(&snapshot), Join::TooOld);
            continue;
        };
        for diff in kept {
            assert_eq!(one_by_one.diff(diff), Step::Applied);
            assert!(equals(&one_by_one, &v));
        }
        assert_eq!(at_once.snapshot(&snapshot), Join::Live(at));
        assert_eq!((one_by_one.last(), one_by_one.book()), (at_once.last(), at_once.book()));
    }
}

#[test]
fn a_snapshot_ahead_of_all_diffs_is_waited_for() {
    let v = venue();
    let mut sync = Sync::default();
    sync.diff(v.diff(1, 10));
    assert_eq!(sync.snapshot(&v.snapshot(25, 1_000)), Join::Live(25));
    assert_eq!(sync.diff(v.diff(11, 20)), Step::Known);
    assert_eq!(sync.diff(v.diff(21, 30)), Step::Applied, "an overlap is harmless");
    assert!(equals(&sync, &v));
}

#[test]
fn a_hole_is_exact_and_only_a_new_snapshot_ends_it() {
    let v = venue();
    let mut sync = Sync::default();
    sync.snapshot(&v.snapshot(10, 1_000));
    let hole = Break {
        from: 11,
        to: 20,
        cause: GapCause::Sequence,
    };
    assert_eq!(sync.diff(v.diff(21, 25)), Step::Broken(hole));
    assert!(!sync.is_live() && sync.is_waiting());
    assert_eq!(sync.diff(v.diff(11, 20)), Step::Known, "too late to be of use");
    assert_eq!(sync.snapshot(&v.snapshot(19, 1_000)), Join::TooOld);
    assert_eq!(sync.snapshot(&v.snapshot(22, 1_000)), Join::Live(22));
    assert!(sync.is_live() && equals(&sync, &v) && sync.last() == 25);
}

#[test]
fn a_reconnect_goes_on_where_the_diffs_do() {
    let v = venue();
    let mut sync = Sync::default();
    sync.snapshot(&v.snapshot(10, 1_000));
    sync.suspend();
    assert!(!sync.is_live() && !sync.is_waiting());
    assert_eq!(sync.diff(v.diff(9, 12)), Step::Applied);
    sync.suspend();
    let hole = Break {
        from: 13,
        to: 13,
        cause: GapCause::Disconnect,
    };
    assert_eq!(sync.diff(v.diff(14, 15)), Step::Broken(hole));
}

#[test]
fn a_venue_that_numbers_its_changes_anew_is_noticed() {
    let v = venue();
    let mut sync = Sync::default();
    let mut high = v.snapshot(10, 1_000);
    high.last = 1_000_000;
    sync.snapshot(&high);
    for _ in 1..KNOWN_MAX {
        assert_eq!(sync.diff(v.diff(11, 12)), Step::Known);
    }
    assert!(matches!(sync.diff(v.diff(11, 12)), Step::Broken(_)));
    assert_eq!(sync.snapshot(&v.snapshot(11, 1_000)), Join::Live(11));
    assert!(equals(&sync, &v));
}

#[test]
fn crossed_sides_are_not_believed() {
    let v = venue();
    let mut sync = Sync::default();
    sync.snapshot(&v.snapshot(10, 1_000));
    let mut wrong = v.diff(11, 12);
    wrong.bids.push(level("105", "1"));
    assert!(matches!(
        sync.diff(wrong),
        Step::Broken(Break {
            from: 11,
            to: 12,
            cause: GapCause::Desync
        })
    ));
}

#[test]
fn a_second_snapshot_widens_what_is_certain_without_a_pause() {
    let v = venue();
    let mut sync = Sync::default();
    sync.snapshot(&v.snapshot(10, 5));
    assert_eq!(sync.book().certain_min(), Some(5));
    sync.begin_refresh();
    assert_eq!(sync.diff(v.diff(11, 12)), Step::Applied);
    assert_eq!(sync.snapshot(&v.snapshot(9, 1_000)), Join::TooOld);
    assert_eq!(sync.snapshot(&v.snapshot(11, 1_000)), Join::Refreshed);
    assert!(sync.book().certain_min().is_none() && equals(&sync, &v));
    // Ahead of the diffs: it takes the book's place when they have reached it.
    sync.begin_refresh();
    assert_eq!(sync.snapshot(&v.snapshot(20, 7)), Join::Refreshed);
    assert!(sync.book().certain_min().is_none());
    assert_eq!(sync.diff(v.diff(13, 18)), Step::Applied);
    assert!(sync.book().certain_min().is_none() && equals(&sync, &v));
    assert_eq!(sync.diff(v.diff(19, 22)), Step::Applied);
    assert!(sync.book().certain_min().is_some() && equals(&sync, &v));
    // One that contradicts the book is believed when another one does, too.
    sync.begin_refresh();
    let mut other = v.snapshot(22, 1_000);
    other.bids[0] = level(&other.bids[0].price.to_string(), "77");
    assert_eq!(sync.snapshot(&other), Join::Doubted);
    assert!(
        sync.is_doubted() && equals(&sync, &v),
        "one alone may be the one that is wrong"
    );
    sync.begin_refresh();
    assert_eq!(sync.snapshot(&v.snapshot(22, 1_000)), Join::Refreshed);
    assert!(!sync.is_doubted());
    for join in [Join::Doubted, Join::Corrected] {
        sync.begin_refresh();
        assert_eq!(sync.snapshot(&other), join);
    }
    // So is one that was ahead, when the diffs have reached it.
    for (last, step) in [(24, Step::Applied), (26, Step::Corrected)] {
        sync.begin_refresh();
        assert_eq!(sync.snapshot(&v.snapshot(last, 1_000)), Join::Refreshed);
        assert_eq!(sync.diff(v.diff(last - 1, last)), step);
    }
    assert!(equals(&sync, &v));
}

#[test]
fn what_is_kept_is_bounded() {
    let mut sync = Sync::default();
    let diff = |n: u64| Diff {
        checksum: None,
        first: n,
        last: n,
        ts: mprism_model::UnixMillis(0),
        ts_recv: None,
        bids: Vec::new(),
        asks: Vec::new(),
    };
    for n in 1..=KEPT_MAX as u64 {
        assert_eq!(sync.diff(diff(n)), Step::Kept);
    }
    assert_eq!(sync.diff(diff(KEPT_MAX as u64 + 1)), Step::Overflow(KEPT_MAX));
    assert_eq!(sync.kept.len(), 1);
}

/// What may happen to a book.
#[derive(Clone, Debug)]
enum Act {
    Deliver,
    Drop,
    /// One of the last diffs once more.
    Repeat(usize),
    /// The next two in the wrong order.
    Swap,
    /// A snapshot so many changes before the newest one delivered, or after it, with so many levels.
    Snapshot(i64, usize),
    Refresh,
    Disconnect,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Deliver),
        1 => Just(Act::Drop),
        1 => (0_usize..4).prop_map(Act::Repeat),
        1 => Just(Act::Swap),
        3 => (-15_i64..15, prop_oneof![Just(1_000), 3_usize..25]).prop_map(|(at, limit)| Act::Snapshot(at, limit)),
        1 => Just(Act::Refresh),
        1 => Just(Act::Disconnect),
    ]
}

pub(super) fn change() -> impl Strategy<Value = Change> {
    (any::<bool>(), 1_u64..30, 0_u64..4).prop_map(|(is_bid, distance, quantity)| Change {
        is_bid,
        price: if is_bid { 100 - distance } else { 99 + distance },
        quantity,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, ..ProptestConfig::default() })]

    /// Whatever is dropped, repeated, swapped or fetched in whatever order: a book that says it is live is the venue's.
    #[test]
    fn a_live_book_is_never_wrong(
        changes in proptest::collection::vec(change(), 20..60),
        sizes in proptest::collection::vec(1_u64..5, 20),
        acts in proptest::collection::vec(act(), 1..40),
    ) {
        let venue = Venue::new(changes);
        let mut sync = Sync::default();
        let mut sent: Vec<Diff> = Vec::new();
        let mut next = 1;
        let mut size = sizes.iter().cycle();
        let mut take = |next: &mut u64| {
            let last = (*next + size.next().expect("endless") - 1).min(venue.last());
            let first = std::mem::replace(next, last + 1);
            (first <= last).then(|| venue.diff(first, last))
        };
        for act in acts {
            match act {
                Act::Deliver => if let Some(diff) = take(&mut next) {
                    sent.push(diff.clone());
                    prop_assert!(sync.diff(diff) != Step::Corrected);
                },
                Act::Drop => drop(take(&mut next)),
                Act::Repeat(back) => if let Some(diff) = sent.iter().rev().nth(back) {
                    prop_assert!(sync.diff(diff.clone()) != Step::Corrected);
                },
                Act::Swap => {
                    let (one, two) = (take(&mut next), take(&mut next));
                    for diff in two.into_iter().chain(one) {
                        sent.push(diff.clone());
                        prop_assert!(sync.diff(diff) != Step::Corrected);
                    }
                }
                Act::Snapshot(at, limit) => {
                    let at = (next as i64 - 1 + at).clamp(0, venue.last() as i64) as u64;
                    if sync.is_live() {
                        sync.begin_refresh();
                    }
                    let join = sync.snapshot(&venue.snapshot(at, limit));
                    prop_assert!(!matches!(join, Join::Doubted | Join::Corrected), "a true snapshot contradicts no live book");
                }
                Act::Refresh => sync.begin_refresh(),
                Act::Disconnect => sync.suspend(),
            }
            if sync.is_live() {
                prop_assert!(!sync.book().is_crossed());
                prop_assert!(equals(&sync, &venue), "at {}: {:?}", sync.last(), sync.book());
            }
        }
    }
}

/// A level comes with change 11 and goes with change 12; the venue's message says nothing of it.
#[test]
fn a_snapshot_from_within_a_net_diff_is_no_book_to_go_on_from() {
    let change = |is_bid, price, quantity| Change {
        is_bid,
        price,
        quantity,
    };
    let mut changes: Vec<Change> = (0..10)
        .map(|n| change(n % 2 == 0, if n % 2 == 0 { 90 + n } else { 100 + n }, 5))
        .collect();
    changes.extend([change(false, 150, 7), change(false, 150, 0), change(true, 95, 3)]);
    let v = Venue::new(changes);
    let net = Diff {
        bids: Vec::new(),
        asks: Vec::new(),
        ..v.diff(11, 12)
    };
    let mut sync = Sync::of_net_diffs(true);
    assert_eq!(sync.diff(v.diff(9, 10)), Step::Kept);
    assert_eq!(sync.diff(net.clone()), Step::Kept);
    assert!(
        sync.begin(&v.snapshot(11, 1_000)).is_none(),
        "it has the level that is gone"
    );
    assert_eq!(sync.snapshot(&v.snapshot(11, 1_000)), Join::TooOld);
    assert_eq!(sync.snapshot(&v.snapshot(10, 1_000)), Join::Live(10));
    assert!(sync.last() == 12 && equals(&sync, &v));
    assert_eq!(sync.diff(v.diff(13, 13)), Step::Applied);
    assert!(equals(&sync, &v));

    // Told from within a diff by the stream itself, the diff does not continue it.
    let mut told = Sync::of_net_diffs(true);
    told.replace(&v.snapshot(11, 1_000));
    let hole = Break {
        from: 12,
        to: 12,
        cause: GapCause::Sequence,
    };
    assert_eq!(told.diff(net.clone()), Step::Broken(hole));
    // Of a venue that names every level it touched the same is right.
    let mut touching = Sync::default();
    touching.replace(&v.snapshot(11, 1_000));
    assert_eq!(touching.diff(v.diff(11, 12)), Step::Applied);
    assert!(equals(&touching, &v));
}
