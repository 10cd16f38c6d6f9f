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
/// The table of hours that were proven to be in the cold store.
pub const WINDOW_LEDGER: &str = "window_ledger";
/// The table of what has left the hot store.
pub const DEPARTURES: &str = "departures";

pub(crate) const SCHEMA: &str = include_str!("../../../config/schema.sql");
const MARKET_TABLES: usize = 9;

/// A place that has the tables of market data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Where rows are stored first.
    Hot,
    /// Where partitions of the hot store are while they leave it.
    Leaving,
    /// Where rows stay.
    Cold,
}

impl Tier {
    /// Returns its database. Users' queries and dashboards name the first and the last, so they are fixed.
    pub fn database(self) -> &'static str {
        match self {
            Self::Hot => DATABASE,
            Self::Leaving => "marketprism_leaving",
            Self::Cold => "marketprism_cold",
        }
    }

    /// Returns its tables of market data: those that move from tier to tier.
    pub fn market_tables(self) -> &'static [&'static str] {
        &TABLES[..MARKET_TABLES]
    }

    /// Returns all its tables.
    pub fn tables(self) -> Vec<&'static str> {
        match self {
            Self::Hot => TABLES.to_vec(),
            Self::Leaving => self.market_tables().to_vec(),
            Self::Cold => [self.market_tables(), &[WINDOW_LEDGER, DEPARTURES]].concat(),
        }
    }

    /// Returns a statement of the hot store as it reads for this tier.
    fn of_hot(self, statement: &str) -> String {
        let statement = statement.replace(DATABASE, self.database());
        match self {
            Self::Hot | Self::Leaving => statement,
            // Years of days would be more partitions than a server likes.
            Self::Cold => statement.replace("PARTITION BY (day, exchange)", "PARTITION BY (toYYYYMM(day), exchange)"),
        }
    }

    /// Returns the statements that make it, in order.
    fn statements(self) -> Vec<String> {
        let own = format!("{}.", self.database());
        let is_market = |statement: &String| {
            let is_of = |table: &&str| statement.starts_with(&create(DATABASE, table));
            self.market_tables().iter().any(is_of)
        };
        let is_own = |statement: &String| statement.contains(&own);
        let statements = statements().into_iter();
        match self {
            Self::Hot => statements.filter(|statement| statement.contains(DATABASE)).collect(),
            Self::Leaving | Self::Cold => {
                let database = format!("CREATE DATABASE IF NOT EXISTS {}", self.database());
                let made = statements.filter(|statement| is_market(statement) || is_own(statement));
                std::iter::once(database)
                    .chain(made.map(|statement| self.of_hot(&statement)))
                    .collect()
            }
        }
    }
}

fn create(database: &str, table: &str) -> String {
    format!("CREATE TABLE IF NOT EXISTS {database}.{table} (")
}

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

/// Creates what is missing of these tiers. Nothing that is there is dropped or changed; a missing column is added.
///
/// # Errors
/// Where the server does not answer or refuses.
pub async fn ensure_schema(store: &Store, tiers: &[Tier]) -> Result<SchemaReport, StoreError> {
    let mut report = SchemaReport::default();
    for tier in tiers {
        ensure_tier(store, *tier, &mut report).await?;
    }
    if tiers.contains(&Tier::Hot) {
        let differs = crate::views::ensure_views(store, tiers.contains(&Tier::Cold)).await?;
        report.differs.extend(differs);
    }
    Ok(report)
}

async fn ensure_tier(store: &Store, tier: Tier, report: &mut SchemaReport) -> Result<(), StoreError> {
    let database = tier.database();
    let before = found_columns(store, database).await?;
    for statement in tier.statements() {
        store.execute(&statement).await?;
    }
    for table in tier.tables() {
        // The hot store's names are those that everybody means who names no database.
        let name = match tier {
            Tier::Hot => table.to_owned(),
            Tier::Leaving | Tier::Cold => format!("{database}.{table}"),
        };
        let Some(found) = before.get(table) else {
            report.created.push(name);
            continue;
        };
        let mut previous: Option<String> = None;
        for column in columns_of(tier, table) {
            match found.get(&column.name) {
                None => {
                    let place = previous.map_or_else(|| "FIRST".to_owned(), |name| format!("AFTER {name}"));
                    let statement = format!(
                        "ALTER TABLE {database}.{table} ADD COLUMN IF NOT EXISTS {} {place}",
                        column.text
                    );
                    store.execute(&statement).await?;
                    report.added.push(format!("{name}.{}", column.name));
                }
                Some(kind) if *kind != column.kind => report
                    .differs
                    .push(format!("{name}.{} is {kind}, not {}", column.name, column.kind)),
                Some(_) => {}
            }
            previous = Some(column.name);
        }
    }
    Ok(())
}

async fn found_columns(
    store: &Store,
    database: &str,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, StoreError> {
    let query = format!("SELECT table, name, type FROM system.columns WHERE database = '{database}'");
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

/// Returns the statement that makes a table, without its head; nothing for a table that there is not.
fn definition(tier: Tier, table: &str) -> String {
    let head = create(tier.database(), table);
    let found = tier
        .statements()
        .into_iter()
        .find(|statement| statement.starts_with(&head));
    found.map_or_else(String::new, |statement| statement[head.len()..].to_owned())
}

/// Returns the columns that the schema gives a table, in order.
pub fn columns_of(tier: Tier, table: &str) -> Vec<Column> {
    let body = definition(tier, table);
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
pub fn storage_of(tier: Tier, table: &str) -> String {
    let statement = definition(tier, table);
    let storage = statement.find("PARTITION BY").map_or("", |at| &statement[at..]);
    let words: Vec<&str> = storage.split_whitespace().collect();
    words.join(" ")
}

/// Returns the skipping indices that the schema gives a table, each as `name expression TYPE type`.
pub fn indices_of(tier: Tier, table: &str) -> Vec<String> {
    let body = definition(tier, table);
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
    let tables = SCHEMA.split(crate::views::MARK).next().unwrap_or_default();
    let code: Vec<&str> = tables
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
        assert_eq!(Tier::Hot.statements().len(), 12);
        let trades = columns_of(Tier::Hot, "trades");
        assert_eq!(trades.len(), 20);
        assert_eq!(
            (trades[5].name.as_str(), trades[5].kind.as_str()),
            ("price", "Decimal(38, 18)")
        );
        assert_eq!((trades[8].name.as_str(), trades[8].kind.as_str()), ("is_maker", "Bool"));
        assert_eq!(trades[19].kind, "Date");
        assert!(TABLES.iter().all(|table| !columns_of(Tier::Hot, table).is_empty()));
        let storage = storage_of(Tier::Hot, "trades");
        assert!(
            storage.starts_with("PARTITION BY (day, exchange) ORDER BY (exchange, market_type, symbol, "),
            "{storage}"
        );
        assert!(
            storage.ends_with("non_replicated_deduplication_window = 0"),
            "{storage}"
        );
        assert!(storage_of(Tier::Hot, "dead_letters").starts_with("PARTITION BY day ORDER BY"));
        assert_eq!(indices_of(Tier::Hot, "gaps"), ["ps producer_seq TYPE minmax"]);
        assert_eq!(
            indices_of(Tier::Hot, "trades")[1],
            "natural toUInt64OrZero(trade_id) TYPE minmax"
        );
    }

    #[test]
    fn the_other_tiers_are_made_of_the_hot_stores_tables() {
        for tier in [Tier::Leaving, Tier::Cold] {
            for table in tier.market_tables() {
                assert_eq!(columns_of(tier, table), columns_of(Tier::Hot, table), "{table}");
                assert_eq!(indices_of(tier, table), indices_of(Tier::Hot, table), "{table}");
            }
            assert!(
                !tier.statements().iter().any(|statement| statement.contains(DATABASE)),
                "{tier:?}"
            );
        }
        assert_eq!(Tier::Leaving.statements().len(), 1 + MARKET_TABLES);
        assert_eq!(Tier::Cold.statements().len(), 1 + MARKET_TABLES + 2);
        assert_eq!(storage_of(Tier::Leaving, "trades"), storage_of(Tier::Hot, "trades"));
        let cold = storage_of(Tier::Cold, "trades");
        assert!(
            cold.starts_with("PARTITION BY (toYYYYMM(day), exchange) ORDER BY ("),
            "{cold}"
        );
        assert_eq!(columns_of(Tier::Cold, WINDOW_LEDGER).len(), 7);
    }

    #[test]
    fn every_table_can_be_read_back_by_identity_and_fsyncs() {
        for table in TABLES {
            let columns = columns_of(Tier::Hot, table);
            let names: Vec<String> = columns.into_iter().map(|column| column.name).collect();
            assert!(
                names.contains(&"producer_epoch".to_owned()) && names.contains(&"producer_seq".to_owned()),
                "{table}"
            );
        }
        // And the two ledgers.
        let tables = TABLES.len() + 2;
        let fsyncs = SCHEMA.matches("fsync_after_insert = 1, fsync_part_directory = 1");
        assert_eq!(fsyncs.count(), tables);
        assert_eq!(SCHEMA.matches("auto_statistics_types = ''").count(), tables);
    }
}
