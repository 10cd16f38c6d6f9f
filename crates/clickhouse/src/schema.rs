//! The tables, and making a server have them.

use std::collections::BTreeMap;

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use crate::{Store, StoreError};

/// The database of the hot store.
pub const DATABASE: &str = "marketprism_hot";
/// The tables of the hot store.
pub const TABLES: [&str; 10] = [
    "orderbooks",
    "trades",
    "funding_rates",
    "open_interests",
    "liquidations",
    "lsr_top_positions",
    "lsr_all_accounts",
    "volatility_indices",
    "gaps",
    "dead_letters",
];

const SCHEMA: &str = include_str!("../../../config/schema.sql");

/// How a server's tables compare with the schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SchemaReport {
    /// Tables that were missing and are there now.
    pub created: Vec<String>,
    /// Columns that were missing and are there now.
    pub added: Vec<String>,
    /// What differs and is not changed by itself, in words.
    pub differs: Vec<String>,
}

#[derive(Row, Deserialize)]
struct FoundColumn {
    table: String,
    name: String,
    r#type: String,
}

/// Creates what is missing. Nothing that is there is dropped or changed; a missing column is added.
///
/// # Errors
/// Where the server does not answer or refuses.
pub async fn ensure_schema(store: &Store) -> Result<SchemaReport, StoreError> {
    let before = found_columns(store).await?;
    for statement in statements() {
        store.execute(&statement).await?;
    }
    let mut report = SchemaReport::default();
    for table in TABLES {
        let Some(found) = before.get(table) else {
            report.created.push(table.to_owned());
            continue;
        };
        let mut previous: Option<String> = None;
        for column in columns_of(table) {
            match found.get(&column.name) {
                None => {
                    let place = previous.map_or_else(|| "FIRST".to_owned(), |name| format!("AFTER {name}"));
                    let statement = format!(
                        "ALTER TABLE {DATABASE}.{table} ADD COLUMN IF NOT EXISTS {} {place}",
                        column.text
                    );
                    store.execute(&statement).await?;
                    report.added.push(format!("{table}.{}", column.name));
                }
                Some(kind) if *kind != column.kind => report
                    .differs
                    .push(format!("{table}.{} is {kind}, not {}", column.name, column.kind)),
                Some(_) => {}
            }
            previous = Some(column.name);
        }
    }
    Ok(report)
}

async fn found_columns(store: &Store) -> Result<BTreeMap<String, BTreeMap<String, String>>, StoreError> {
    let query = format!("SELECT table, name, type FROM system.columns WHERE database = '{DATABASE}'");
    let rows = store.fetch_all::<FoundColumn>(&query).await?;
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for row in rows {
        found.entry(row.table).or_default().insert(row.name, row.r#type);
    }
    Ok(found)
}

/// A column as the schema writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as the server prints it.
    pub kind: String,
    /// Its whole definition.
    text: String,
}

/// Returns the columns that the schema gives a table, in order.
pub fn columns_of(table: &str) -> Vec<Column> {
    let head = format!("CREATE TABLE IF NOT EXISTS {DATABASE}.{table} (");
    let body = SCHEMA.split_once(&head).map_or("", |(_, rest)| rest);
    let lines = body
        .lines()
        .map(str::trim)
        .skip(1)
        .take_while(|line| !line.starts_with(')'));
    let definitions = lines.filter(|line| !line.starts_with("INDEX ") && !line.is_empty());
    definitions
        .map(|line| {
            let text = line.trim_end_matches(',');
            let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
            let ends = [" CODEC(", " DEFAULT ", " MATERIALIZED ", " ALIAS "];
            let end = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
            Column {
                name: name.to_owned(),
                kind: rest[..end].to_owned(),
                text: text.to_owned(),
            }
        })
        .collect()
}

/// Returns how the schema has a table stored, from `PARTITION BY` on: partitions, keys, TTL and settings, in one line with single
/// blanks, as the server prints it.
pub fn storage_of(table: &str) -> String {
    let head = format!("CREATE TABLE IF NOT EXISTS {DATABASE}.{table} (");
    let statement = SCHEMA.split_once(&head).map_or("", |(_, rest)| rest);
    let statement = statement
        .split_once(";\n")
        .map_or(statement, |(statement, _)| statement);
    let storage = statement.find("PARTITION BY").map_or("", |at| &statement[at..]);
    let words: Vec<&str> = storage.split_whitespace().collect();
    words.join(" ").trim_end_matches(';').to_owned()
}

/// Returns the skipping indices that the schema gives a table, each as `name expression TYPE type`.
pub fn indices_of(table: &str) -> Vec<String> {
    let head = format!("CREATE TABLE IF NOT EXISTS {DATABASE}.{table} (");
    let body = SCHEMA.split_once(&head).map_or("", |(_, rest)| rest);
    let lines = body.lines().map(str::trim).take_while(|line| !line.starts_with(')'));
    let indices = lines.filter_map(|line| line.strip_prefix("INDEX "));
    indices
        .map(|index| {
            index
                .split_once(" GRANULARITY")
                .map_or(index, |(index, _)| index)
                .to_owned()
        })
        .collect()
}

/// Returns the schema's statements.
fn statements() -> Vec<String> {
    let code: Vec<&str> = SCHEMA
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .collect();
    let whole = code.join("\n");
    let parts = whole.split(";\n").map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.trim_end_matches(';').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_read_as_it_is_written() {
        assert_eq!(statements().len(), 12);
        let trades = columns_of("trades");
        assert_eq!(trades.len(), 18);
        assert_eq!(
            (trades[5].name.as_str(), trades[5].kind.as_str()),
            ("price", "Decimal(38, 18)")
        );
        assert_eq!((trades[8].name.as_str(), trades[8].kind.as_str()), ("is_maker", "Bool"));
        assert_eq!(trades[17].kind, "Date");
        assert!(TABLES.iter().all(|table| !columns_of(table).is_empty()));
        let storage = storage_of("trades");
        assert!(
            storage.starts_with("PARTITION BY (day, exchange) ORDER BY (exchange, market_type, symbol, "),
            "{storage}"
        );
        assert!(
            storage.ends_with("non_replicated_deduplication_window = 0"),
            "{storage}"
        );
        assert!(storage_of("dead_letters").starts_with("PARTITION BY day ORDER BY"));
        assert_eq!(indices_of("gaps"), ["ps producer_seq TYPE minmax"]);
        assert_eq!(indices_of("trades")[1], "natural toUInt64OrZero(trade_id) TYPE minmax");
    }

    #[test]
    fn every_table_can_be_read_back_by_identity_and_fsyncs() {
        for table in TABLES {
            let names: Vec<String> = columns_of(table).into_iter().map(|column| column.name).collect();
            assert!(
                names.contains(&"producer_epoch".to_owned()) && names.contains(&"producer_seq".to_owned()),
                "{table}"
            );
        }
        assert_eq!(
            SCHEMA
                .matches("fsync_after_insert = 1, fsync_part_directory = 1")
                .count(),
            TABLES.len()
        );
        assert_eq!(SCHEMA.matches("auto_statistics_types = ''").count(), TABLES.len());
    }
}
