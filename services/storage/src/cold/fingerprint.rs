//! What rows say, in three numbers that do not depend on their order: equal where the rows are the same.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use clickhouse::Row;
use mprism_clickhouse::{Pace, Store, StoreError};
use serde::Deserialize;

use super::windows::{Counts, Scope};

/// Count, sum and exclusive or of the rows' hashes. A row that is there twice changes the first two, so it does not hide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) rows: u64,
    pub(crate) sum: u64,
    pub(crate) xor: u64,
}

impl Fingerprint {
    /// Returns the fingerprint of several windows together.
    pub(crate) fn of_all(windows: &BTreeMap<i64, Self>) -> Self {
        let mut all = Self::default();
        windows.values().for_each(|window| all += *window);
        all
    }

    /// Takes in one more row.
    pub(crate) fn take(&mut self, hash: u64) {
        *self += Self {
            rows: 1,
            sum: hash,
            xor: hash,
        };
    }
}

impl AddAssign for Fingerprint {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
        self.xor ^= other.xor;
    }
}

/// A table on a server, and the columns that are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side<'a> {
    pub(crate) store: &'a Store,
    /// `database.table`.
    pub(crate) table: &'a str,
    /// All columns that a row is stored with, in an order that is the same on both sides.
    pub(crate) columns: &'a str,
    /// How much of the machine a question takes.
    pub(crate) pace: Pace,
}

/// A row's identity and the hash of all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Row, Deserialize)]
pub(crate) struct Hashed {
    pub(crate) producer_epoch: u64,
    pub(crate) producer_seq: u64,
    pub(crate) hash: u64,
}

#[derive(Row, Deserialize)]
struct WindowRow {
    start: i64,
    rows: u64,
    sum: u64,
    xor: u64,
}

#[derive(Row, Deserialize)]
struct CountRow {
    start: i64,
    rows: u64,
}

impl Side<'_> {
    fn hash(&self) -> String {
        hash_of(self.columns)
    }

    /// Returns the `SETTINGS` clause of a question; nothing where none is needed.
    fn settings(&self) -> String {
        let all = self.pace.settings().iter();
        let all: Vec<String> = all.map(|(name, value)| format!("{name} = {value}")).collect();
        match all.is_empty() {
            true => String::new(),
            false => format!("SETTINGS {}", all.join(", ")),
        }
    }

    /// Returns the fingerprint of each window that has rows.
    pub(crate) async fn by_window(&self, scope: &Scope, width: i64) -> Result<BTreeMap<i64, Fingerprint>, StoreError> {
        let query = format!(
            "SELECT {} AS start, count() AS rows, sum(hash) AS sum, groupBitXor(hash) AS xor \
             FROM (SELECT timestamp, {} AS hash FROM {} WHERE {}) GROUP BY start {}",
            start(0, width),
            self.hash(),
            self.table,
            scope.condition(),
            self.settings()
        );
        let windows = self.store.fetch_all::<WindowRow>(&query).await?.into_iter();
        let found = windows.map(|WindowRow { start, rows, sum, xor }| (start, Fingerprint { rows, sum, xor }));
        Ok(found.collect())
    }

    /// Counts the rows of each window; windows begin at `origin`.
    pub(crate) async fn counts(&self, scope: &Scope, origin: i64, width: i64) -> Result<Counts, StoreError> {
        let query = format!(
            "SELECT {} AS start, count() AS rows FROM {} WHERE {} GROUP BY start {}",
            start(origin, width),
            self.table,
            scope.condition(),
            self.settings()
        );
        let windows = self.store.fetch_all::<CountRow>(&query).await?.into_iter();
        Ok(windows.map(|window| (window.start, window.rows)).collect())
    }

    /// Counts the rows of a scope.
    pub(crate) async fn count(&self, scope: &Scope) -> Result<u64, StoreError> {
        let (table, condition, settings) = (self.table, scope.condition(), self.settings());
        let query = format!("SELECT count() FROM {table} WHERE {condition} {settings}");
        self.store.fetch_one(&query).await
    }

    /// Returns identity and hash of each row for which a condition holds.
    pub(crate) async fn hashed(&self, condition: &str) -> Result<Vec<Hashed>, StoreError> {
        let query = format!(
            "SELECT producer_epoch, producer_seq, {} AS hash FROM {} WHERE {condition} {}",
            self.hash(),
            self.table,
            self.settings()
        );
        self.store.fetch_all(&query).await
    }
}

/// Returns the SQL expression of the hash of a row's columns, which both stores are compared by.
///
/// Of a tuple, because a hash of arguments of which one is NULL is NULL.
pub fn hash_of(columns: &str) -> String {
    format!("cityHash64(tuple({columns}))")
}

fn start(origin: i64, width: i64) -> String {
    format!("{origin} + intDiv(toUnixTimestamp64Milli(timestamp) - {origin}, {width}) * {width}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_a_double_does_not_hide() {
        let of = |hashes: &[u64]| {
            let mut fingerprint = Fingerprint::default();
            hashes.iter().for_each(|hash| fingerprint.take(*hash));
            fingerprint
        };
        assert_eq!(of(&[1, u64::MAX, 7]), of(&[7, 1, u64::MAX]));
        assert_ne!(of(&[1, 7]), of(&[1, 7, 7]));
        assert_ne!(
            of(&[1, 7, 7]),
            of(&[1, 8, 8]),
            "two doubles are told apart by their sum"
        );
        let mut sum = of(&[1, 7]);
        sum += of(&[9]);
        assert_eq!(sum, of(&[9, 7, 1]));
    }
}
