//! Whether tables are what this version makes: columns, types, keys, TTL, settings, indices.

use mprism_clickhouse::{TABLES, Tier, columns_of, indices_of, storage_of};
use serde::Deserialize;

use super::observe::QUERY_WITHIN;
use crate::commands::store::Reader;
use crate::error::CliError;

/// What the server says of its tables.
#[derive(Debug, Default)]
struct Found {
    columns: Vec<ColumnRow>,
    tables: Vec<TableRow>,
    indices: Vec<IndexRow>,
}

#[derive(Clone, Debug, Deserialize)]
struct ColumnRow {
    table: String,
    name: String,
    r#type: String,
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

/// Returns the differences in words; a missing table says `is missing`.
pub(super) async fn differences(reader: &Reader) -> Result<Vec<String>, CliError> {
    let columns = "SELECT table, name, type FROM system.columns WHERE database = 'marketprism_hot'";
    let tables = "SELECT name, engine_full FROM system.tables WHERE database = 'marketprism_hot'";
    let indices = "SELECT table, concat(name, ' ', expr, ' TYPE ', type) AS text FROM system.data_skipping_indices \
                   WHERE database = 'marketprism_hot'";
    Ok(compare(&Found {
        columns: reader.rows(columns, QUERY_WITHIN).await?,
        tables: reader.rows(tables, QUERY_WITHIN).await?,
        indices: reader.rows(indices, QUERY_WITHIN).await?,
    }))
}

fn compare(found: &Found) -> Vec<String> {
    let mut differs = Vec::new();
    for table in TABLES {
        let Some(row) = found.tables.iter().find(|row| row.name == table) else {
            differs.push(format!("table {table} is missing"));
            continue;
        };
        for wanted in columns_of(Tier::Hot, table) {
            let column = found
                .columns
                .iter()
                .find(|column| column.table == table && column.name == wanted.name);
            match column {
                None => differs.push(format!("column {table}.{} is missing", wanted.name)),
                Some(column) if column.r#type != wanted.kind => {
                    differs.push(format!(
                        "{table}.{} is {}, not {}",
                        wanted.name, column.r#type, wanted.kind
                    ));
                }
                Some(_) => {}
            }
        }
        // The engine's name before it differs on a cluster, and may.
        let storage = row
            .engine_full
            .find("PARTITION BY")
            .map_or("", |at| &row.engine_full[at..]);
        let wanted = storage_of(Tier::Hot, table);
        if storage != wanted {
            differs.push(format!("table {table} is stored as `{storage}`, not `{wanted}`"));
        }
        for wanted in indices_of(Tier::Hot, table) {
            if !found
                .indices
                .iter()
                .any(|index| index.table == table && index.text == wanted)
            {
                differs.push(format!("index `{wanted}` of {table} is missing"));
            }
        }
    }
    differs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_wanted() -> Found {
        let mut found = Found::default();
        for table in TABLES {
            found.tables.push(TableRow {
                name: table.into(),
                engine_full: format!(
                    "ReplicatedMergeTree('/x', '{{replica}}') {}",
                    storage_of(Tier::Hot, table)
                ),
            });
            found
                .columns
                .extend(columns_of(Tier::Hot, table).into_iter().map(|column| ColumnRow {
                    table: table.into(),
                    name: column.name,
                    r#type: column.kind,
                }));
            found
                .indices
                .extend(indices_of(Tier::Hot, table).into_iter().map(|text| IndexRow {
                    table: table.into(),
                    text,
                }));
        }
        found
    }

    #[test]
    fn every_kind_of_difference_is_told() {
        assert_eq!(compare(&as_wanted()), [] as [String; 0]);
        let mut found = as_wanted();
        found.tables.retain(|row| row.name != "gaps");
        assert_eq!(compare(&found), ["table gaps is missing"]);
        let mut found = as_wanted();
        found.columns.retain(|column| column.name != "trade_id");
        assert_eq!(compare(&found), ["column trades.trade_id is missing"]);
        let mut found = as_wanted();
        let price = found
            .columns
            .iter_mut()
            .find(|column| column.table == "trades" && column.name == "price");
        price.expect("there").r#type = "Float64".into();
        assert_eq!(compare(&found), ["trades.price is Float64, not Decimal(38, 18)"]);
        let mut found = as_wanted();
        found.indices.clear();
        assert_eq!(
            compare(&found).len(),
            11,
            "two of books and of trades, one of each other table of events"
        );
        let mut found = as_wanted();
        found.tables[0].engine_full = found.tables[0]
            .engine_full
            .replace(" SETTINGS", " TTL day + toIntervalDay(4) SETTINGS");
        let told = compare(&found);
        assert!(told.len() == 1 && told[0].contains("TTL day"), "{told:?}");
    }
}
