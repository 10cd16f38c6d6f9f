//! Parts that a server could not read when it started: it keeps them aside, and their rows are missing from then on.

use std::path::Path;

use clickhouse::Row;
use serde::Deserialize;

use crate::{Store, StoreError, Tier};

/// A part that is kept aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenPart {
    /// Its table, without the database.
    pub table: String,
    /// Its name, with which it can be dropped.
    pub name: String,
    /// Why, in the server's word.
    pub reason: String,
    /// How many rows it had, where its own count can be read: on the server's machine.
    pub rows: Option<u64>,
    /// Names of broken parts that it was made of, and that the server had not removed yet: all of their rows were in it.
    pub earlier: Vec<String>,
}

#[derive(Clone, Debug, Row, Deserialize)]
struct PartRow {
    table: String,
    name: String,
    reason: String,
    path: String,
    partition: String,
    first: i64,
    last: i64,
    level: u32,
}

/// Returns the broken parts of a tier. What an operator detached by hand has no reason, and is the operator's.
///
/// # Errors
/// Where the server does not answer.
pub async fn broken_parts(store: &Store, tier: Tier) -> Result<Vec<BrokenPart>, StoreError> {
    let query = format!(
        "SELECT table, name, ifNull(reason, '') AS reason, path, ifNull(partition_id, '') AS partition, \
         toInt64(ifNull(min_block_number, 0)) AS first, toInt64(ifNull(max_block_number, 0)) AS last, \
         toUInt32(ifNull(level, 0)) AS level FROM system.detached_parts WHERE database = '{}' \
         AND reason LIKE '%broken%' ORDER BY table, name",
        tier.database()
    );
    Ok(latest(&store.fetch_all::<PartRow>(&query).await?))
}

/// Tells the parts whose rows no other one has from those that they were made of.
fn latest(rows: &[PartRow]) -> Vec<BrokenPart> {
    let is_latest = |row: &&PartRow| !rows.iter().any(|other| other.covers(row));
    let part = |row: &PartRow| BrokenPart {
        table: row.table.clone(),
        name: row.name.clone(),
        reason: row.reason.clone(),
        rows: rows_of(Path::new(&row.path)),
        earlier: rows
            .iter()
            .filter(|other| row.covers(other))
            .map(|other| other.name.clone())
            .collect(),
    };
    rows.iter().filter(is_latest).map(part).collect()
}

impl PartRow {
    /// Returns whether the other one was merged or mutated into this one.
    fn covers(&self, other: &Self) -> bool {
        let is_of_same =
            !self.partition.is_empty() && (&self.table, &self.partition) == (&other.table, &other.partition);
        is_of_same
            && self.first <= other.first
            && other.last <= self.last
            && (self.level, self.mutation(), &self.name) > (other.level, other.mutation(), &other.name)
    }

    /// Returns the version of the mutation that made it: what its name ends with behind blocks and level.
    fn mutation(&self) -> u64 {
        let blocks = format!("{}_{}_{}_{}_", self.partition, self.first, self.last, self.level);
        let version = self.name.rsplit_once(&blocks).map(|(_, version)| version);
        version
            .and_then(|version| version.split('_').next()?.parse().ok())
            .unwrap_or(0)
    }
}

/// Drops a part that the server keeps aside.
///
/// # Errors
/// Where the server does not answer, or refuses.
pub async fn drop_broken_part(store: &Store, tier: Tier, table: &str, part: &str) -> Result<(), StoreError> {
    let part = part.replace('\\', "\\\\").replace('\'', "\\'");
    let statement = format!(
        "ALTER TABLE {}.{table} DROP DETACHED PART '{part}' SETTINGS allow_drop_detached = 1",
        tier.database()
    );
    store.execute(&statement).await
}

/// Reads how many rows a part says it has.
fn rows_of(folder: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(folder.join("count.txt")).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, first: i64, last: i64, level: u32) -> PartRow {
        PartRow {
            table: "trades".into(),
            name: format!("broken-on-start_b9c7_{name}"),
            reason: "broken-on-start".into(),
            path: String::new(),
            partition: "b9c7".into(),
            first,
            last,
            level,
        }
    }

    #[test]
    fn a_part_is_told_once_whatever_it_was_merged_and_mutated_from() {
        let rows = [
            row("1_11_2", 1, 11, 2),
            row("1_11_2_13", 1, 11, 2),
            row("1_11_2_14", 1, 11, 2),
            row("1_6_1", 1, 6, 1),
            row("2_2_0", 2, 2, 0),
            row("12_12_0", 12, 12, 0),
        ];
        let told: Vec<(String, usize)> = latest(&rows)
            .into_iter()
            .map(|part| (part.name, part.earlier.len()))
            .collect();
        let name = |name: &str| format!("broken-on-start_b9c7_{name}");
        assert_eq!(told, [(name("1_11_2_14"), 4), (name("12_12_0"), 0)]);
        let mut unknown = rows.map(|row| PartRow {
            partition: String::new(),
            ..row
        });
        assert_eq!(latest(&unknown).len(), 6, "what nothing is known of is told");
        unknown[0].table = "orderbooks".into();
        assert_eq!(latest(&unknown).len(), 6);
    }

    #[test]
    fn a_part_says_itself_how_many_rows_it_has_and_may_be_out_of_reach() {
        let folder = tempfile::tempdir().expect("temporary folder");
        assert_eq!(rows_of(folder.path()), None);
        std::fs::write(folder.path().join("count.txt"), "1234").expect("written");
        assert_eq!(rows_of(folder.path()), Some(1234));
        std::fs::write(folder.path().join("count.txt"), "12x").expect("written");
        assert_eq!(rows_of(folder.path()), None);
    }
}
