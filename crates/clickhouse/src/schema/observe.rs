//! What a server says of its tables.

use std::collections::BTreeMap;

use clickhouse::Row;
use serde::Deserialize;

use super::wanted::Storage;
use crate::{Store, StoreError};

/// A column as a server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundColumn {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) default_kind: String,
    pub(super) default: String,
    /// The names of its codecs, as in `Delta, ZSTD`.
    pub(super) codec: String,
}

/// A table as a server has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) columns: Vec<FoundColumn>,
    pub(super) storage: Storage,
    /// Each as `name expression TYPE type`.
    pub(super) indices: Vec<String>,
    pub(super) rows: u64,
}

impl Found {
    pub(super) fn column(&self, name: &str) -> Option<&FoundColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}

#[derive(Row, Deserialize)]
struct ColumnRow {
    table: String,
    name: String,
    kind: String,
    default_kind: String,
    default_expression: String,
    codec: String,
}

#[derive(Row, Deserialize)]
struct TableRow {
    name: String,
    engine_full: String,
    rows: u64,
}

#[derive(Row, Deserialize)]
struct IndexRow {
    table: String,
    text: String,
}

/// Looks at all tables of a database; views have no engine that stores and are not among them.
pub(super) async fn observe(store: &Store, database: &str) -> Result<BTreeMap<String, Found>, StoreError> {
    let of = format!("WHERE database = '{database}'");
    let tables = format!(
        "SELECT name, engine_full, ifNull(total_rows, 0) AS rows FROM system.tables {of} AND engine LIKE '%MergeTree'"
    );
    let columns = format!(
        "SELECT table, name, type AS kind, toString(default_kind) AS default_kind, default_expression, \
         compression_codec AS codec FROM system.columns {of} ORDER BY table, position"
    );
    let indices =
        format!("SELECT table, concat(name, ' ', expr, ' TYPE ', type) AS text FROM system.data_skipping_indices {of}");
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for TableRow {
        name,
        engine_full,
        rows,
    } in store.fetch_all(&tables).await?
    {
        let storage = Storage::read(&engine_full);
        let table = Found {
            storage,
            rows,
            ..Found::default()
        };
        found.insert(name, table);
    }
    for row in store.fetch_all::<ColumnRow>(&columns).await? {
        if let Some(table) = found.get_mut(&row.table) {
            table.columns.push(FoundColumn {
                name: row.name,
                kind: row.kind,
                default_kind: row.default_kind,
                default: row.default_expression,
                codec: codec_names(&row.codec),
            });
        }
    }
    for IndexRow { table, text } in store.fetch_all(&indices).await? {
        if let Some(table) = found.get_mut(&table) {
            table.indices.push(text);
        }
    }
    Ok(found)
}

/// `CODEC(Delta(8), ZSTD(1))` is `Delta, ZSTD` with the parameters that the server gave it.
fn codec_names(codec: &str) -> String {
    let inner = codec.strip_prefix("CODEC(").and_then(|rest| rest.strip_suffix(')'));
    let names = inner
        .unwrap_or("")
        .split(", ")
        .map(|name| name.split('(').next().unwrap_or(name));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_compared_by_name() {
        assert_eq!(codec_names("CODEC(Delta(8), ZSTD(1))"), "Delta, ZSTD");
        assert_eq!(codec_names("CODEC(ZSTD(1))"), "ZSTD");
        assert_eq!(codec_names(""), "");
    }
}
