//! Rows held against rows, one by one: for what fingerprints leave open. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mprism_model::{Epoch, ProducerId};

use super::fingerprint::{Fingerprint, Hashed};

/// How rows compare with those of the cold store.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Of the rows that were held against it.
    pub(crate) fingerprint: Fingerprint,
    /// Rows that the cold store does not have.
    pub(crate) missing: Vec<ProducerId>,
    /// Rows that say something else there.
    pub(crate) conflicts: Vec<ProducerId>,
    /// Rows that only the cold store has.
    pub(crate) extra: u64,
    /// Rows that the cold store has once more than it should.
    pub(crate) doubled: u64,
}

/// Rows that two stores do not have alike, each once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unlike {
    pub(super) only_here: Vec<ProducerId>,
    pub(super) only_there: Vec<ProducerId>,
    /// Rows that say something else there.
    pub(super) conflicts: Vec<ProducerId>,
}

impl Unlike {
    /// Compares all rows of a piece of time. How often a store has a row does not matter here.
    pub(super) fn add(&mut self, here: &[Hashed], there: &[Hashed]) {
        let by_identity = |rows: &[Hashed]| -> BTreeMap<ProducerId, BTreeSet<u64>> {
            let mut found: BTreeMap<ProducerId, BTreeSet<u64>> = BTreeMap::new();
            for row in rows {
                found.entry(row.identity()).or_default().insert(row.hash);
            }
            found
        };
        let (here, mut there) = (by_identity(here), by_identity(there));
        for (identity, hashes) in here {
            match there.remove(&identity) {
                None => self.only_here.push(identity),
                Some(found) if found != hashes => self.conflicts.push(identity),
                Some(_) => {}
            }
        }
        self.only_there.extend(there.into_keys());
    }
}

impl Hashed {
    pub(crate) fn identity(&self) -> ProducerId {
        ProducerId {
            epoch: Epoch(self.producer_epoch),
            seq: self.producer_seq,
        }
    }
}

impl Compared {
    /// Compares. `there` has at least those rows of the cold store that `here` has, and `rows_there` counts all of them.
    pub(crate) fn of(here: &[Hashed], there: &[Hashed], rows_there: u64) -> Self {
        let mut found: HashMap<ProducerId, (u64, u64)> = HashMap::with_capacity(there.len());
        for row in there {
            found.entry(row.identity()).or_insert((row.hash, 0)).1 += 1;
        }
        let mut compared = Self::default();
        let mut known = 0;
        for row in here {
            compared.fingerprint.take(row.hash);
            match found.get(&row.identity()) {
                None => compared.missing.push(row.identity()),
                Some((hash, times)) => {
                    known += times;
                    compared.doubled += times - 1;
                    if *hash != row.hash {
                        compared.conflicts.push(row.identity());
                    }
                }
            }
        }
        compared.extra = rows_there.saturating_sub(known);
        compared
    }

    /// Takes in what was found of other rows.
    pub(crate) fn add(&mut self, other: Self) {
        self.fingerprint += other.fingerprint;
        self.missing.extend(other.missing);
        self.conflicts.extend(other.conflicts);
        self.extra += other.extra;
        self.doubled += other.doubled;
    }
}

/// Returns the predicate for rows of these identities.
pub(crate) fn identities_condition(identities: &[ProducerId]) -> String {
    let list: Vec<String> = identities
        .iter()
        .map(|identity| format!("({},{})", identity.epoch.0, identity.seq))
        .collect();
    // The range by itself lets the index leave parts out.
    let seqs = || identities.iter().map(|identity| identity.seq);
    format!(
        "producer_seq BETWEEN {} AND {} AND (producer_epoch, producer_seq) IN ({})",
        seqs().min().unwrap_or(0),
        seqs().max().unwrap_or(0),
        list.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(producer_seq: u64, hash: u64) -> Hashed {
        Hashed {
            producer_epoch: 1,
            producer_seq,
            hash,
        }
    }

    fn seqs(identities: &[ProducerId]) -> Vec<u64> {
        identities.iter().map(|identity| identity.seq).collect()
    }

    #[test]
    fn each_kind_of_difference_is_told() {
        let here = [row(1, 10), row(2, 20), row(3, 30)];
        let compared = Compared::of(&here, &[row(1, 10), row(3, 31), row(1, 10), row(9, 90)], 4);
        assert_eq!(seqs(&compared.missing), [2]);
        assert_eq!(seqs(&compared.conflicts), [3]);
        assert_eq!((compared.doubled, compared.extra), (1, 1));
        assert_eq!(compared.fingerprint.rows, 3);
    }

    #[test]
    fn rows_that_were_not_read_are_extra() {
        let compared = Compared::of(&[row(1, 10)], &[row(1, 10)], 100_000);
        assert_eq!((compared.missing.len(), compared.conflicts.len()), (0, 0));
        assert_eq!(compared.extra, 99_999);
    }

    #[test]
    fn identities_are_a_list_within_a_range() {
        let text = identities_condition(&[row(7, 0).identity(), row(3, 0).identity()]);
        assert_eq!(
            text,
            "producer_seq BETWEEN 3 AND 7 AND (producer_epoch, producer_seq) IN ((1,7),(1,3))"
        );
    }
}
