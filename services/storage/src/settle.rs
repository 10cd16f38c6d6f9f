//! Deciding what of a batch is new. Pure: what is in the table is an argument.

use std::collections::{HashMap, HashSet};

use mprism_model::{Epoch, ProducerId};

use crate::marks::Marks;
use crate::row::{Market, Natural, Row};

/// What the table has of a batch's suspects: contents by identity and by natural id.
#[derive(Debug, Default)]
pub(crate) struct Present {
    /// Content hash of the row with an identity.
    pub(crate) by_identity: HashMap<ProducerId, u64>,
    /// Content hashes of the rows with a natural id.
    pub(crate) by_natural: HashMap<(Market, Natural), HashSet<u64>>,
}

/// Gives identities to rows whose own is taken by something else.
#[derive(Debug)]
pub(crate) struct OwnIdentities {
    epoch: Epoch,
    last: u64,
}

impl OwnIdentities {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self { epoch, last: 0 }
    }

    fn next(&mut self) -> ProducerId {
        self.last += 1;
        ProducerId {
            epoch: self.epoch,
            seq: self.last,
        }
    }
}

/// A batch, decided.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// To be inserted.
    pub(crate) new: Vec<Row>,
    /// Stored already, or twice in this batch: only to be acked.
    pub(crate) known: Vec<Row>,
    /// How many of `known` were told by their identity.
    pub(crate) redelivered: u64,
    /// How many of `known` were told by their natural id.
    pub(crate) natural_duplicates: u64,
    /// How many of `new` share a natural id with a row of other content.
    pub(crate) conflicts: u64,
    /// How many of `new` came under an identity that something else has.
    pub(crate) identity_clashes: u64,
}

/// What has to be looked up before [`settle`].
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    pub(crate) identities: Vec<ProducerId>,
    pub(crate) naturals: Vec<(Market, Natural)>,
}

impl Suspects {
    /// Returns which of the rows may be stored already.
    ///
    /// Marks speak of what the hot store has. A row of a day before `today` (a number of days) may have left it, so it is a
    /// suspect whatever they say.
    pub(crate) fn among(rows: &[Row], marks: &Marks, in_doubt: bool, today: i64) -> Self {
        let mut suspects = Self::default();
        for row in rows {
            let is_suspect = in_doubt || row.is_before(today);
            if is_suspect || marks.may_have_identity(row.identity) {
                suspects.identities.push(row.identity);
            }
            if is_suspect || marks.may_have_natural(&row.market, &row.natural) {
                suspects.naturals.push((row.market.clone(), row.natural.clone()));
            }
        }
        suspects
    }

    /// Returns the rows that may have left the hot store.
    pub(crate) fn that_may_have_left(rows: &[Row], today: i64) -> Self {
        let mut suspects = Self::default();
        for row in rows.iter().filter(|row| row.is_before(today)) {
            suspects.identities.push(row.identity);
            suspects.naturals.push((row.market.clone(), row.natural.clone()));
        }
        suspects
    }
}

/// Decides about every row, in order. `present` answers for all suspects.
pub(crate) fn settle(rows: Vec<Row>, mut present: Present, own: &mut OwnIdentities) -> Settled {
    let mut settled = Settled::default();
    for mut row in rows {
        match present.by_identity.get(&row.identity) {
            Some(content) if *content == row.content => {
                settled.redelivered += 1;
                settled.known.push(row);
                continue;
            }
            Some(_) => {
                // Two events under one identity: neither is lost, and somebody has to know.
                settled.identity_clashes += 1;
                row.identity = own.next();
            }
            None => {}
        }
        let contents = present
            .by_natural
            .entry((row.market.clone(), row.natural.clone()))
            .or_default();
        if contents.contains(&row.content) {
            settled.natural_duplicates += 1;
            settled.known.push(row);
            continue;
        }
        if !contents.is_empty() {
            settled.conflicts += 1;
        }
        contents.insert(row.content);
        present.by_identity.insert(row.identity, row.content);
        settled.new.push(row);
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::tests::trade_row;

    fn own() -> OwnIdentities {
        OwnIdentities::new(Epoch(999))
    }

    /// The day of the rows.
    fn today() -> i64 {
        trade_row(1, 1, 100, "1.5").partition.0
    }

    fn ids(rows: &[Row]) -> Vec<(u64, u64)> {
        rows.iter()
            .map(|row| (row.identity.epoch.0, row.identity.seq))
            .collect()
    }

    #[test]
    fn a_batch_without_suspects_is_all_new() {
        let rows = vec![trade_row(1, 1, 100, "1.5"), trade_row(1, 2, 101, "1.5")];
        let suspects = Suspects::among(&rows, &Marks::default(), false, today());
        assert_eq!((suspects.identities.len(), suspects.naturals.len()), (0, 0));
        let settled = settle(rows, Present::default(), &mut own());
        assert_eq!(ids(&settled.new), [(1, 1), (1, 2)]);
        assert!(settled.known.is_empty());
    }

    #[test]
    fn twice_in_one_batch_is_stored_once() {
        let rows = vec![
            trade_row(1, 1, 100, "1.5"),
            trade_row(1, 1, 100, "1.5"),
            trade_row(2, 7, 100, "1.50"),
        ];
        let settled = settle(rows, Present::default(), &mut own());
        assert_eq!(ids(&settled.new), [(1, 1)]);
        assert_eq!((settled.redelivered, settled.natural_duplicates), (1, 1));
        assert_eq!(settled.known.len(), 2, "all are acked");
    }

    #[test]
    fn a_revision_is_kept_beside_the_first_and_counted() {
        let rows = vec![trade_row(1, 1, 100, "1.5"), trade_row(1, 2, 100, "1.6")];
        let settled = settle(rows, Present::default(), &mut own());
        assert_eq!(settled.new.len(), 2);
        assert_eq!(settled.conflicts, 1);
    }

    #[test]
    fn what_the_table_has_is_not_inserted_again() {
        let stored = trade_row(1, 1, 100, "1.5");
        let mut present = Present::default();
        present.by_identity.insert(stored.identity, stored.content);
        let key = (stored.market.clone(), stored.natural.clone());
        present.by_natural.entry(key).or_default().insert(stored.content);
        let rows = vec![
            trade_row(1, 1, 100, "1.5"), // redelivered
            trade_row(2, 9, 100, "1.5"), // another collector's
            trade_row(2, 10, 101, "1.5"),
        ];
        let settled = settle(rows, present, &mut own());
        assert_eq!(ids(&settled.new), [(2, 10)]);
        assert_eq!((settled.redelivered, settled.natural_duplicates), (1, 1));
    }

    #[test]
    fn an_identity_with_other_content_loses_nothing() {
        let mut present = Present::default();
        present.by_identity.insert(trade_row(1, 1, 100, "1.5").identity, 42);
        let settled = settle(vec![trade_row(1, 1, 100, "1.5")], present, &mut own());
        assert_eq!(ids(&settled.new), [(999, 1)]);
        assert_eq!(settled.identity_clashes, 1);
    }

    #[test]
    fn everything_in_doubt_is_suspect() {
        let rows = vec![trade_row(1, 1, 100, "1.5"), trade_row(1, 2, 101, "1.5")];
        let suspects = Suspects::among(&rows, &Marks::default(), true, today());
        assert_eq!((suspects.identities.len(), suspects.naturals.len()), (2, 2));
    }

    #[test]
    fn what_may_have_left_the_hot_store_is_suspect_whatever_the_marks_say() {
        let mut late = trade_row(1, 2, 101, "1.5");
        late.partition.0 -= 1;
        let rows = vec![trade_row(1, 1, 100, "1.5"), late];
        for suspects in [
            Suspects::among(&rows, &Marks::default(), false, today()),
            Suspects::that_may_have_left(&rows, today()),
        ] {
            assert_eq!(suspects.identities, [rows[1].identity]);
            assert_eq!(suspects.naturals, [(rows[1].market.clone(), rows[1].natural.clone())]);
        }
    }
}
