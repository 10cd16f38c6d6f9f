//! Whether tables are what this version makes: columns, types, keys, TTL, settings, indices.

use mprism_clickhouse::{Tier, columns_of, indices_of, storage_of};
use mprism_model::DataType;
use serde::Deserialize;

use super::stores::QUERY_WITHIN;
use crate::commands::store::Reader;
use crate::error::CliError;

/// Something that is not as this version makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// A stable word.
    pub(crate) cause: &'static str,
    /// The type that the table is of, where it is of one.
    pub(crate) data_type: Option<DataType>,
    pub(crate) text: String,
}

/// What a server says of the tables of a tier.
#[derive(Debug, Default)]
pub(crate) struct Found {
    columns: Vec<ColumnRow>,
    tables: Vec<TableRow>,
    indices: Vec<IndexRow>,
}

#[derive(Clone, Debug, Deserialize)]
struct ColumnRow {
    table: String,
    name: String,
    r#type: String,
    /// Whether rows are stored with it.
    is_stored: u8,
}

#[derive(Clone, Debug, Deserialize)]
struct TableRow {
    name: String,
    engine_full: String,
}

#[derive(Clone, Debug, Deserialize)]
struct IndexRow {
    table: String,
    text: String,
}

/// Asks a server.
pub(super) async fn found(reader: &Reader, tier: Tier) -> Result<Found, CliError> {
    let database = tier.database();
    let columns = format!(
        "SELECT table, name, type, default_kind NOT IN ('ALIAS', 'MATERIALIZED', 'EPHEMERAL') AS is_stored \
         FROM system.columns WHERE database = '{database}' ORDER BY table, position"
    );
    let tables = format!("SELECT name, engine_full FROM system.tables WHERE database = '{database}'");
    let indices = format!(
        "SELECT table, concat(name, ' ', expr, ' TYPE ', type) AS text FROM system.data_skipping_indices \
         WHERE database = '{database}'"
    );
    Ok(Found {
        columns: reader.rows(&columns, QUERY_WITHIN).await?,
        tables: reader.rows(&tables, QUERY_WITHIN).await?,
        indices: reader.rows(&indices, QUERY_WITHIN).await?,
    })
}

impl Found {
    /// Returns whether there is any table.
    pub(crate) fn has_tables(&self) -> bool {
        !self.tables.is_empty()
    }

    /// Returns all columns of a table.
    pub(crate) fn columns(&self, table: &str) -> Vec<String> {
        let columns = self.columns.iter().filter(|column| column.table == table);
        columns.map(|column| column.name.clone()).collect()
    }

    /// Returns the columns that rows of a table are stored with, in their order.
    pub(crate) fn stored_columns(&self, table: &str) -> Vec<String> {
        let columns = self.columns.iter();
        let stored = columns.filter(|column| column.table == table && column.is_stored == 1);
        stored.map(|column| column.name.clone()).collect()
    }

    /// Compares with what this version makes. The hot store's names are those that everybody means who names no database.
    pub(crate) fn differences(&self, tier: Tier) -> Vec<Difference> {
        let mut differs = Vec::new();
        for table in tier.tables() {
            let data_type = DataType::ALL
                .iter()
                .copied()
                .find(|data_type| data_type.table() == table);
            let mut tell = |cause, text| {
                differs.push(Difference { cause, data_type, text });
            };
            let place = match tier {
                Tier::Hot => table.to_owned(),
                Tier::Leaving | Tier::Cold => format!("{}.{table}", tier.database()),
            };
            let Some(row) = self.tables.iter().find(|row| row.name == table) else {
                tell("table_missing", format!("table {place} is missing"));
                continue;
            };
            for wanted in columns_of(tier, table) {
                let mut columns = self.columns.iter();
                match columns.find(|column| column.table == table && column.name == wanted.name) {
                    None => tell("column_missing", format!("column {place}.{} is missing", wanted.name)),
                    Some(column) if column.r#type != wanted.kind => tell(
                        "column_type",
                        format!("{place}.{} is {}, not {}", wanted.name, column.r#type, wanted.kind),
                    ),
                    Some(_) => {}
                }
            }
            // The engine's name before it differs on a cluster, and may.
            let storage = row.engine_full.find("PARTITION BY");
            let storage = storage.map_or("", |at| &row.engine_full[at..]);
            let wanted = storage_of(tier, table);
            if storage != wanted {
                tell(
                    "storage",
                    format!("table {place} is stored as `{storage}`, not `{wanted}`"),
                );
            }
            for wanted in indices_of(tier, table) {
                let is_it = |index: &&IndexRow| index.table == table && index.text == wanted;
                if !self.indices.iter().any(|index| is_it(&index)) {
                    tell("index_missing", format!("index `{wanted}` of {place} is missing"));
                }
            }
        }
        differs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_wanted(tier: Tier) -> Found {
        let mut found = Found::default();
        for table in tier.tables() {
            found.tables.push(TableRow {
                name: table.into(),
                engine_full: format!("ReplicatedMergeTree('/x', '{{replica}}') {}", storage_of(tier, table)),
            });
            let columns = columns_of(tier, table).into_iter().map(|column| ColumnRow {
                table: table.into(),
                name: column.name,
                r#type: column.kind,
                is_stored: 1,
            });
            found.columns.extend(columns);
            let indices = indices_of(tier, table).into_iter().map(|text| IndexRow {
                table: table.into(),
                text,
            });
            found.indices.extend(indices);
        }
        found
    }

    fn texts(found: &Found) -> Vec<String> {
        let differences = found.differences(Tier::Hot).into_iter();
        differences.map(|difference| difference.text).collect()
    }

    #[test]
    fn every_kind_of_difference_is_told() {
        assert_eq!(texts(&as_wanted(Tier::Hot)), [] as [String; 0]);
        let mut found = as_wanted(Tier::Hot);
        found.tables.retain(|row| row.name != "gaps");
        assert_eq!(texts(&found), ["table gaps is missing"]);
        let mut found = as_wanted(Tier::Hot);
        found.columns.retain(|column| column.name != "trade_id");
        assert_eq!(texts(&found), ["column trades.trade_id is missing"]);
        assert_eq!(found.differences(Tier::Hot)[0].data_type, Some(DataType::Trade));
        let mut found = as_wanted(Tier::Hot);
        let price = found
            .columns
            .iter_mut()
            .find(|column| column.table == "trades" && column.name == "price");
        price.expect("there").r#type = "Float64".into();
        assert_eq!(texts(&found), ["trades.price is Float64, not Decimal(38, 18)"]);
        let mut found = as_wanted(Tier::Hot);
        found.indices.clear();
        assert_eq!(
            texts(&found).len(),
            11,
            "two of books and of trades, one of each other table of events"
        );
        let mut found = as_wanted(Tier::Hot);
        found.tables[0].engine_full = found.tables[0]
            .engine_full
            .replace(" SETTINGS", " TTL day + toIntervalDay(4) SETTINGS");
        let told = texts(&found);
        assert!(told.len() == 1 && told[0].contains("TTL day"), "{told:?}");
    }

    #[test]
    fn the_cold_store_has_tables_of_its_own() {
        let mut found = as_wanted(Tier::Cold);
        assert_eq!(found.differences(Tier::Cold), []);
        found.tables.retain(|row| row.name != "departures");
        let told = found.differences(Tier::Cold);
        assert_eq!(told[0].text, "table marketprism_cold.departures is missing");
        assert_eq!(told[0].data_type, None);
    }
}
