//! Venues that chain messages by the number of the previous one: Binance USDⓈ-M (`pu`), OKX (`prevSeqId`), Deribit
//! (`prev_change_id`).

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::truth::Venue;
use super::tests::{change, equals_at};
use super::*;

/// How a venue chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Snapshots come from REST and may end anywhere between messages.
    Usdm,
    /// The whole book stands in the stream; numbers may begin anew; heartbeats say that nothing changed.
    Okx,
    /// The whole book stands in the stream.
    Deribit,
}

/// A venue's messages: each ends at a change, and has a number.
struct Chain {
    venue: Venue,
    /// Number of the state after each change, from 0.
    ids: Vec<u64>,
    /// The change that each message ends at, from that before the first one.
    ends: Vec<u64>,
    by_id: HashMap<u64, u64>,
}

impl Chain {
    fn new(changes: Vec<super::super::truth::Change>, sizes: &[u64], steps: &[u64], anew_after: Option<usize>) -> Self {
        let venue = Venue::new(changes);
        let (mut ends, mut sizes) = (vec![0], sizes.iter().cycle());
        while ends[ends.len() - 1] < venue.last() {
            let size = sizes.next().expect("endless");
            ends.push((ends[ends.len() - 1] + size).min(venue.last()));
        }
        let anew_at = anew_after.map(|message| ends[message.min(ends.len() - 1)]);
        let (mut id, mut steps) = (1_000_000, steps.iter().cycle());
        let mut ids = Vec::new();
        for change in 0..=venue.last() {
            ids.push(id);
            id += steps.next().expect("endless");
            if Some(change) == anew_at {
                id = 10;
            }
        }
        let by_id = ids.iter().zip(0..).map(|(id, change)| (*id, change)).collect();
        Self {
            venue,
            ids,
            ends,
            by_id,
        }
    }

    /// Returns the message that ends at `ends[at]`.
    fn message(&self, at: usize) -> Option<Diff> {
        let (before, end) = (*self.ends.get(at - 1)?, *self.ends.get(at)?);
        let mut diff = self.venue.diff(before + 1, end);
        (diff.first, diff.last) = (self.ids[before as usize] + 1, self.ids[end as usize]);
        Some(diff)
    }

    fn heartbeat(&self, at: usize) -> Diff {
        let id = self.ids[self.ends[at] as usize];
        Diff {
            first: id + 1,
            last: id,
            bids: Vec::new(),
            asks: Vec::new(),
            ..self.venue.diff(1, 1)
        }
    }

    fn snapshot(&self, change: u64) -> Snapshot {
        let mut snapshot = self.venue.snapshot(change, usize::MAX);
        snapshot.last = self.ids[change as usize];
        snapshot
    }

    /// Whether a book that says it is live is the venue's at its number.
    fn holds(&self, sync: &Sync) -> bool {
        let change = self.by_id.get(&sync.last());
        !sync.is_live() || change.is_some_and(|change| equals_at(sync, &self.venue, *change))
    }
}

/// What may happen to a chain.
#[derive(Clone, Debug)]
enum Act {
    Deliver,
    Drop,
    Repeat(usize),
    Swap,
    Heartbeat,
    /// The whole book, in the stream or from REST, so many messages or changes ago.
    Snapshot(u64),
    Disconnect,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Deliver),
        1 => Just(Act::Drop),
        1 => (0_usize..4).prop_map(Act::Repeat),
        1 => Just(Act::Swap),
        1 => Just(Act::Heartbeat),
        3 => (0_u64..8).prop_map(Act::Snapshot),
        1 => Just(Act::Disconnect),
    ]
}

/// Lets a chain happen to a book.
fn follow(kind: Kind, chain: &Chain, acts: Vec<Act>) -> Result<(), TestCaseError> {
    let mut sync = Sync::default();
    let mut sent: Vec<Diff> = Vec::new();
    let mut next = 1;
    for act in acts {
        let mut deliver = |sync: &mut Sync, at: usize| {
            if let Some(diff) = chain.message(at) {
                sent.push(diff.clone());
                sync.diff(diff);
            }
        };
        match act {
            Act::Deliver => {
                deliver(&mut sync, next);
                next = (next + 1).min(chain.ends.len());
            }
            Act::Drop => next = (next + 1).min(chain.ends.len()),
            Act::Swap => {
                deliver(&mut sync, next + 1);
                deliver(&mut sync, next);
                next = (next + 2).min(chain.ends.len());
            }
            Act::Repeat(back) => {
                if let Some(diff) = sent.iter().rev().nth(back) {
                    sync.diff(diff.clone());
                }
            }
            Act::Heartbeat if kind == Kind::Okx => {
                let was_live = sync.is_live();
                let step = sync.diff(chain.heartbeat(next - 1));
                prop_assert!(step != Step::Applied, "nothing changed");
                prop_assert!(was_live || !sync.is_live() || step == Step::Idle);
            }
            Act::Heartbeat => {}
            // In the stream it stands where it is told; from REST it may be older, and end within a message.
            Act::Snapshot(back) if kind == Kind::Usdm => {
                let change = chain.ends[next - 1].saturating_sub(back);
                sync.snapshot(&chain.snapshot(change));
            }
            Act::Snapshot(0..=2) => sync.replace(&chain.snapshot(chain.ends[next - 1])),
            Act::Snapshot(back) if !sync.is_live() => {
                let message = (next - 1).saturating_sub(back as usize);
                sync.snapshot(&chain.snapshot(chain.ends[message]));
            }
            Act::Snapshot(_) => {}
            Act::Disconnect => sync.suspend(),
        }
        prop_assert!(!sync.is_live() || !sync.book().is_crossed());
        prop_assert!(chain.holds(&sync), "at {}: {:?}", sync.last(), sync.book());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 34_000, ..ProptestConfig::default() })]

    /// `pu` proves continuity, whatever numbers lie between.
    #[test]
    fn a_live_book_of_binance_futures_is_never_wrong(
        changes in proptest::collection::vec(change(), 20..60),
        sizes in proptest::collection::vec(1_u64..5, 20),
        steps in proptest::collection::vec(1_u64..50, 20),
        acts in proptest::collection::vec(act(), 1..40),
    ) {
        follow(Kind::Usdm, &Chain::new(changes, &sizes, &steps, None), acts)?;
    }

    /// Numbers rise by any step, and begin anew once.
    #[test]
    fn a_live_book_of_okx_is_never_wrong(
        changes in proptest::collection::vec(change(), 20..60),
        sizes in proptest::collection::vec(1_u64..5, 20),
        steps in proptest::collection::vec(1_u64..50, 20),
        anew_after in proptest::option::of(1_usize..15),
        acts in proptest::collection::vec(act(), 1..40),
    ) {
        follow(Kind::Okx, &Chain::new(changes, &sizes, &steps, anew_after), acts)?;
    }

    #[test]
    fn a_live_book_of_deribit_is_never_wrong(
        changes in proptest::collection::vec(change(), 20..60),
        sizes in proptest::collection::vec(1_u64..5, 20),
        steps in proptest::collection::vec(1_u64..50, 20),
        acts in proptest::collection::vec(act(), 1..40),
    ) {
        follow(Kind::Deribit, &Chain::new(changes, &sizes, &steps, None), acts)?;
    }
}

#[test]
fn the_documented_chain_of_okx_holds() {
    let changes = vec![
        super::super::truth::Change {
            is_bid: true,
            price: 90,
            quantity: 3,
        };
        8
    ];
    let mut sync = Sync::default();
    let venue = Venue::new(changes);
    let message = |from: u64, to: u64| Diff {
        first: from + 1,
        last: to,
        ..venue.diff(1, 1)
    };
    let mut snapshot = venue.snapshot(0, usize::MAX);
    snapshot.last = 10;
    sync.replace(&snapshot);
    // (-1,10) (10,15) (15,15) (15,3) (3,5)
    assert_eq!(sync.diff(message(10, 15)), Step::Applied);
    let nothing = Diff {
        bids: Vec::new(),
        asks: Vec::new(),
        ..message(15, 15)
    };
    assert_eq!(sync.diff(nothing), Step::Idle);
    assert_eq!(sync.diff(message(15, 3)), Step::Applied, "numbers begin anew");
    assert_eq!((sync.last(), sync.diff(message(3, 5))), (3, Step::Applied));
    assert!(matches!(sync.diff(message(6, 9)), Step::Broken(Break { from: 6, .. })));
}
