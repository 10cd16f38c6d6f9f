//! Whether the engine's time predicates return what a full scan returns.
//!
//! ClickHouse 26 was seen to lose rows for `timestamp > now() - INTERVAL …` where a key touches `timestamp` itself. The tables are
//! laid out so that it does not; this is what would notice.

use mprism_clickhouse::Tier;
use mprism_clickhouse::time::between;
use mprism_model::{DataType, UnixMillis};
use serde::Deserialize;

use super::Found;
use super::stores::{QUERY_WITHIN, name};
use crate::commands::store::Reader;
use crate::error::CliError;

/// Rows may come while the rows are counted: then it is asked again.
const ATTEMPTS: usize = 5;
const OPERATORS: [&str; 4] = [">", ">=", "<", "<="];

/// One comparison, counted by the engine's way and by looking at every row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Canary {
    pub(crate) table: String,
    /// Predicates whose counts differ: the predicate, rows by the predicate, rows by looking at each.
    pub(crate) wrong: Vec<(String, u64, u64)>,
    pub(crate) predicates: usize,
}

#[derive(Deserialize)]
struct Middle {
    rows: u64,
    middle: i64,
}

#[derive(Deserialize)]
struct Counts {
    by_predicate: Vec<u64>,
    by_scan: Vec<u64>,
}

/// Asks about the largest table of trades; `None` where there is nothing to ask about.
pub(super) async fn look(reader: &Reader, found: &Found, now: i64) -> Result<Option<Canary>, CliError> {
    let data_type = DataType::Trade;
    if !found
        .columns(data_type.table())
        .iter()
        .any(|column| column == "timestamp")
    {
        return Ok(None);
    }
    let table = name(Tier::Hot, data_type.table());
    // In whole seconds, because that is what `now()` is. The newest rows are still coming.
    let middle = format!(
        "SELECT count() AS rows, intDiv(min(toUnixTimestamp64Milli(timestamp)) + max(toUnixTimestamp64Milli(timestamp)), \
         2000) AS middle FROM {table} WHERE {}",
        between(UnixMillis(0), UnixMillis(now))
    );
    let Middle { rows, middle } = reader.row(&middle, QUERY_WITHIN).await?;
    if rows == 0 {
        return Ok(None);
    }
    let predicates = predicates(middle);
    let mut canary = Canary {
        table: table.clone(),
        wrong: Vec::new(),
        predicates: predicates.len(),
    };
    for _ in 0..ATTEMPTS {
        let by_predicate = predicates
            .iter()
            .map(|(text, _)| format!("(SELECT count() FROM {table} WHERE {text})"));
        let by_scan = predicates.iter().map(|(_, text)| format!("countIf({text})"));
        let query = format!(
            "SELECT [{}] AS by_predicate, (SELECT [{}] FROM {table}) AS by_scan",
            by_predicate.collect::<Vec<_>>().join(", "),
            by_scan.collect::<Vec<_>>().join(", ")
        );
        let counts: Counts = reader.row(&query, QUERY_WITHIN).await?;
        let pairs = counts.by_predicate.iter().zip(&counts.by_scan).zip(&predicates);
        canary.wrong = pairs
            .filter(|((predicate, scan), _)| predicate != scan)
            .map(|((predicate, scan), (text, _))| (text.clone(), *predicate, *scan))
            .collect();
        if canary.wrong.is_empty() {
            break;
        }
    }
    Ok(Some(canary))
}

/// Returns what users write and what we write, each with the same said of every row by itself. A sum defeats every index.
fn predicates(middle: i64) -> Vec<(String, String)> {
    let ms = middle * 1_000;
    let time = "toUnixTimestamp64Milli(timestamp) + 0";
    let users = OPERATORS.iter().map(|operator| {
        let theirs = format!("timestamp {operator} toDateTime({middle}, 'UTC')");
        (theirs, format!("{time} {operator} {ms}"))
    });
    let ours = between(UnixMillis(0), UnixMillis(ms));
    users
        .chain([(ours, format!("{time} >= 0 AND {time} < {ms}"))])
        .collect()
}
