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
    pub(crate) fn among(rows: &[Row], markets: &[Market], marks: &Marks, in_doubt: bool, today: i64) -> Self {
        let mut suspects = Self::default();
        // Asked once a market and not once a row.
        let highest: Vec<Option<u64>> = markets.iter().map(|market| marks.of_market(market)).collect();
        for row in rows {
            let is_suspect = in_doubt || row.is_before(today);
            if is_suspect || marks.may_have_identity(row.identity) {
                suspects.identities.push(row.identity);
            }
            if is_suspect || is_at_or_below(highest[row.market as usize], &row.natural) {
                suspects.push_natural(row, markets);
            }
        }
        suspects
    }

    /// Returns the rows that may have left the hot store.
    pub(crate) fn that_may_have_left(rows: &[Row], markets: &[Market], today: i64) -> Self {
        let mut suspects = Self::default();
        for row in rows.iter().filter(|row| row.is_before(today)) {
            suspects.identities.push(row.identity);
            suspects.push_natural(row, markets);
        }
        suspects
    }

    fn push_natural(&mut self, row: &Row, markets: &[Market]) {
        let market = markets[row.market as usize].clone();
        self.naturals.push((market, row.natural.clone()));
    }
}

/// Returns whether a natural id is not above a mark: only numbers ever are.
fn is_at_or_below(mark: Option<u64>, natural: &Natural) -> bool {
    match natural {
        Natural::Number(number) => mark.is_some_and(|mark| *number <= mark),
        Natural::Text(_) => true,
    }
}

/// Decides about every row, in order. `present` answers for all suspects.
pub(crate) fn settle(rows: Vec<Row>, markets: &[Market], present: &Present, own: &mut OwnIdentities) -> Settled {
    let mut settled = Settled::default();
    if present.by_identity.is_empty() && present.by_natural.is_empty() && ascend(&rows, markets.len()) {
        settled.new = rows;
        return settled;
    }
    let mut seen = Seen::default();
    for mut row in rows {
        let under_identity = seen.identities.get(&row.identity);
        match under_identity.or_else(|| present.by_identity.get(&row.identity)) {
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
        let stored = present.contents(&markets[row.market as usize], &row.natural);
        let is_stored = stored.is_some_and(|contents| contents.contains(&row.content));
        let seen_here = seen.naturals.entry((row.market, row.natural.clone())).or_default();
        if is_stored || seen_here.contains(&row.content) {
            settled.natural_duplicates += 1;
            settled.known.push(row);
            continue;
        }
        if stored.is_some_and(|contents| !contents.is_empty()) || !seen_here.is_empty() {
            settled.conflicts += 1;
        }
        seen_here.push(row.content);
        seen.identities.insert(row.identity, row.content);
        settled.new.push(row);
    }
    settled
}

/// What a batch has of rows that are new, before the one that is looked at.
#[derive(Default)]
struct Seen {
    identities: HashMap<ProducerId, u64>,
    /// Contents by market and natural id; seldom more than one.
    naturals: HashMap<(u32, Natural), Vec<u64>>,
}

impl Present {
    fn contents(&self, market: &Market, natural: &Natural) -> Option<&HashSet<u64>> {
        if self.by_natural.is_empty() {
            return None;
        }
        self.by_natural.get(&(market.clone(), natural.clone()))
    }
}

/// Returns whether each row is above all before it: by its sequence within its epoch, and by its number within its market. Then none
/// of them is there twice, by the same argument by which none above a mark is stored, and they need not be compared.
fn ascend(rows: &[Row], markets: usize) -> bool {
    let mut by_epoch: Vec<(Epoch, u64)> = Vec::new();
    let mut by_market = vec![None; markets];
    for row in rows {
        let ProducerId { epoch, seq } = row.identity;
        let lives = by_epoch.len();
        match by_epoch.iter_mut().find(|(known, _)| *known == epoch) {
            Some((_, highest)) if seq > *highest => *highest = seq,
            None if lives < EPOCHS_MAX => by_epoch.push((epoch, seq)),
            Some(_) | None => return false,
        }
        let highest = &mut by_market[row.market as usize];
        match row.natural {
            Natural::Number(number) if highest.is_none_or(|highest| number > highest) => *highest = Some(number),
            Natural::Number(_) | Natural::Text(_) => return false,
        }
    }
    true
}

/// Lives of producers in one batch that are told apart by looking at all of them.
const EPOCHS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::tests::trades;

    fn own() -> OwnIdentities {
        OwnIdentities::new(Epoch(999))
    }

    /// Settles trades, each by its epoch, its sequence, its id and its price.
    fn settled(of: &[(u64, u64, u64, &str)], present: &Present) -> Settled {
        let batch = trades(of);
        settle(batch.rows, &batch.backing.markets, present, &mut own())
    }

    fn ids(rows: &[Row]) -> Vec<(u64, u64)> {
        rows.iter()
            .map(|row| (row.identity.epoch.0, row.identity.seq))
            .collect()
    }

    #[test]
    fn a_batch_without_suspects_is_all_new() {
        let batch = trades(&[(1, 1, 100, "1.5"), (1, 2, 101, "1.5")]);
        let (rows, markets) = (batch.rows, batch.backing.markets);
        let today = rows[0].day;
        let suspects = Suspects::among(&rows, &markets, &Marks::default(), false, today);
        assert_eq!((suspects.identities.len(), suspects.naturals.len()), (0, 0));
        let settled = settle(rows, &markets, &Present::default(), &mut own());
        assert_eq!(ids(&settled.new), [(1, 1), (1, 2)]);
        assert!(settled.known.is_empty());
    }

    #[test]
    fn twice_in_one_batch_is_stored_once() {
        let of = [(1, 1, 100, "1.5"), (1, 1, 100, "1.5"), (2, 7, 100, "1.50")];
        let settled = settled(&of, &Present::default());
        assert_eq!(ids(&settled.new), [(1, 1)]);
        assert_eq!((settled.redelivered, settled.natural_duplicates), (1, 1));
        assert_eq!(settled.known.len(), 2, "all are acked");
    }

    #[test]
    fn only_what_ascends_both_ways_is_not_compared() {
        let ascends = |of: &[(u64, u64, u64, &str)]| {
            let batch = trades(of);
            ascend(&batch.rows, batch.backing.markets.len())
        };
        assert!(ascends(&[(1, 1, 100, "1.5"), (2, 9, 101, "1.5"), (1, 2, 102, "1.5")]));
        for of in [
            [(1, 1, 100, "1.5"), (1, 1, 101, "1.5")],
            [(1, 2, 100, "1.5"), (1, 1, 101, "1.5")],
            [(1, 1, 100, "1.5"), (2, 1, 100, "1.5")],
            [(1, 1, 101, "1.5"), (1, 2, 100, "1.5")],
        ] {
            assert!(!ascends(&of), "{of:?}");
        }
        let lives: Vec<_> = (0..=EPOCHS_MAX as u64).map(|n| (n, 1, n, "1.5")).collect();
        assert!(!ascends(&lives), "too many lives to look through");
    }

    #[test]
    fn a_revision_is_kept_beside_the_first_and_counted() {
        let settled = settled(&[(1, 1, 100, "1.5"), (1, 2, 100, "1.6")], &Present::default());
        assert_eq!(settled.new.len(), 2);
        assert_eq!(settled.conflicts, 1);
    }

    #[test]
    fn what_the_table_has_is_not_inserted_again() {
        let stored = trades(&[(1, 1, 100, "1.5")]);
        let row = &stored.rows[0];
        let mut present = Present::default();
        present.by_identity.insert(row.identity, row.content);
        let key = (stored.backing.market(row).clone(), row.natural.clone());
        present.by_natural.entry(key).or_default().insert(row.content);
        let settled = settled(
            &[
                (1, 1, 100, "1.5"), // redelivered
                (2, 9, 100, "1.5"), // another collector's
                (2, 10, 101, "1.5"),
            ],
            &present,
        );
        assert_eq!(ids(&settled.new), [(2, 10)]);
        assert_eq!((settled.redelivered, settled.natural_duplicates), (1, 1));
    }

    #[test]
    fn an_identity_with_other_content_loses_nothing() {
        let mut present = Present::default();
        present
            .by_identity
            .insert(trades(&[(1, 1, 100, "1.5")]).rows[0].identity, 42);
        let settled = settled(&[(1, 1, 100, "1.5")], &present);
        assert_eq!(ids(&settled.new), [(999, 1)]);
        assert_eq!(settled.identity_clashes, 1);
    }

    #[test]
    fn everything_in_doubt_is_suspect() {
        let batch = trades(&[(1, 1, 100, "1.5"), (1, 2, 101, "1.5")]);
        let today = batch.rows[0].day;
        let suspects = Suspects::among(&batch.rows, &batch.backing.markets, &Marks::default(), true, today);
        assert_eq!((suspects.identities.len(), suspects.naturals.len()), (2, 2));
    }

    #[test]
    fn what_is_not_above_the_marks_is_suspect() {
        let batch = trades(&[(1, 1, 100, "1.5"), (1, 2, 101, "1.5")]);
        let (rows, markets) = (batch.rows, batch.backing.markets);
        let mut marks = Marks::default();
        marks.raise_identity(rows[0].identity);
        marks.raise_natural(&markets[0], &rows[0].natural);
        let suspects = Suspects::among(&rows, &markets, &marks, false, rows[0].day);
        assert_eq!(suspects.identities, [rows[0].identity]);
        assert_eq!(suspects.naturals, [(markets[0].clone(), rows[0].natural.clone())]);
    }

    #[test]
    fn what_may_have_left_the_hot_store_is_suspect_whatever_the_marks_say() {
        let batch = trades(&[(1, 1, 100, "1.5"), (1, 2, 101, "1.5")]);
        let (mut rows, markets) = (batch.rows, batch.backing.markets);
        let today = rows[0].day;
        rows[1].day -= 1;
        for suspects in [
            Suspects::among(&rows, &markets, &Marks::default(), false, today),
            Suspects::that_may_have_left(&rows, &markets, today),
        ] {
            assert_eq!(suspects.identities, [rows[1].identity]);
            assert_eq!(suspects.naturals, [(markets[0].clone(), rows[1].natural.clone())]);
        }
    }
}
