//! Views over both stores, and making a server have them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use clickhouse::Row;
use serde::Deserialize;

use crate::{Difference, DifferenceKind, Store, StoreError, Tier};

/// The database of the views.
pub const VIEWS: &str = "marketprism";
/// Where the schema's views begin.
pub(crate) const MARK: &str = "\n-- VIEWS";
/// The table whose view is the source of those of the other tables.
const PATTERN: &str = "trades";
/// The parameters of views that have some, by which they are told from those of tables.
const PARAMETERISED: [&str; 3] = ["ohlcv", "book_at", "book_levels_at"];

#[derive(Row, Deserialize)]
struct Found {
    name: String,
    engine: String,
    comment: String,
}

/// Makes the views, and makes those anew whose statement or tables have changed: what `*` stands for in a view is decided when it
/// is made. Returns which it did not make, because a table of that name is there: a table may have data.
///
/// # Errors
/// Where the server does not answer or refuses.
pub(crate) async fn ensure_views(store: &Store) -> Result<Vec<Difference>, StoreError> {
    store.execute(&format!("CREATE DATABASE IF NOT EXISTS {VIEWS}")).await?;
    let query = format!("SELECT name, engine, comment FROM system.tables WHERE database = '{VIEWS}'");
    let found = store.fetch_all::<Found>(&query).await?.into_iter();
    let found: BTreeMap<String, Found> = found.map(|row| (row.name.clone(), row)).collect();
    let columns: u64 = store.fetch_one(&columns_hash()).await?;
    let has_cold = has_cold_tables(store).await?;
    let mut differs = Vec::new();
    for (name, statement) in statements(has_cold) {
        let comment = made_of(&statement, columns);
        match found.get(&name) {
            Some(view) if view.engine == "View" && view.comment == comment => {}
            Some(table) if table.engine != "View" => differs.push(Difference {
                database: VIEWS,
                message: format!(
                    "{VIEWS}.{name} is a table ({}): the view of that name is not made",
                    table.engine
                ),
                statement: Some(format!("RENAME TABLE {VIEWS}.{name} TO {VIEWS}.{name}_table")),
                table: name,
                column: None,
                kind: DifferenceKind::Engine,
            }),
            _ => match store.execute(&format!("{statement} COMMENT '{comment}'")).await {
                // Tables that are not alike have no view over both. They are told of by themselves, and nothing waits for a view.
                Err(StoreError::Exception { code, .. }) if is_about_tables(code) => differs.push(Difference {
                    database: VIEWS,
                    message: format!("the view {VIEWS}.{name} cannot be made, because its tables differ (code {code})"),
                    statement: None,
                    table: name,
                    column: None,
                    kind: DifferenceKind::View,
                }),
                made => made?,
            },
        }
    }
    Ok(differs)
}

/// Returns whether the cold tables are on this server: whoever asks for the views may be about one of the stores only.
async fn has_cold_tables(store: &Store) -> Result<bool, StoreError> {
    let names = Tier::Cold.market_tables().iter().map(|table| format!("'{table}'"));
    let names: Vec<String> = names.collect();
    let query = format!(
        "SELECT count() FROM system.tables WHERE database = '{}' AND name IN ({})",
        Tier::Cold.database(),
        names.join(", ")
    );
    Ok(store.fetch_one::<u64>(&query).await? == names.len() as u64)
}

/// Returns whether a code says that a view's tables are not as it reads them.
///
/// NOT_FOUND_COLUMN_IN_BLOCK, NO_SUCH_COLUMN_IN_TABLE, ILLEGAL_TYPE_OF_ARGUMENT, UNKNOWN_IDENTIFIER, TYPE_MISMATCH,
/// UNION_ALL_RESULT_STRUCTURES_MISMATCH and NO_COMMON_TYPE of ClickHouse `src/Common/ErrorCodes.cpp`.
fn is_about_tables(code: i32) -> bool {
    matches!(code, 10 | 16 | 43 | 47 | 53 | 258 | 386)
}

/// Returns the query for a number that changes with the columns of the tables.
fn columns_hash() -> String {
    let databases = [Tier::Hot, Tier::Cold].map(|tier| format!("'{}'", tier.database()));
    format!(
        "SELECT cityHash64(groupArray((database, table, name, type))) FROM (SELECT database, table, name, type FROM system.columns \
         WHERE database IN ({}) ORDER BY database, table, position)",
        databases.join(", ")
    )
}

/// Returns what a view says of itself, so that whoever comes next knows whether it is still as it would be made.
fn made_of(statement: &str, columns: u64) -> String {
    let mut hasher = DefaultHasher::new();
    (statement, columns).hash(&mut hasher);
    format!("made of {:016x}", hasher.finish())
}

/// Returns each view's name and the statement that makes it, in an order in which they can be made.
fn statements(has_cold: bool) -> Vec<(String, String)> {
    let views = crate::schema::SCHEMA.split_once(MARK).map_or("", |(_, views)| views);
    let mut is_left_out = false;
    let mut code = String::new();
    for line in views.lines().skip(1) {
        match line {
            "-- COLD" => is_left_out = !has_cold,
            "-- END" => is_left_out = false,
            _ if is_left_out || line.starts_with("--") => {}
            _ => {
                code.push_str(line);
                code.push('\n');
            }
        }
    }
    let parts = code.split(";\n").map(str::trim);
    let views = parts.filter(|part| part.starts_with("CREATE OR REPLACE VIEW"));
    views.flat_map(of_tables).collect()
}

/// Returns a view as it is, or that of `trades` for every table.
fn of_tables(view: &str) -> Vec<(String, String)> {
    let named = |name: &str| view.starts_with(&format!("CREATE OR REPLACE VIEW {VIEWS}.{name} AS"));
    if let Some(name) = PARAMETERISED.into_iter().find(|name| named(name)) {
        return vec![(name.to_owned(), view.to_owned())];
    }
    let of = |table: &&str| {
        let text = view.replace(&format!(".{PATTERN}"), &format!(".{table}"));
        // Columns that are made when they are read are not in `*`.
        let text = match *table {
            "orderbooks" => text.replace("SELECT *, day", "SELECT *, bids, asks, day"),
            _ => text,
        };
        ((*table).to_owned(), text)
    };
    Tier::Hot.market_tables().iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_view_and_none_names_another_ones() {
        let views = statements(true);
        assert_eq!(views.len(), Tier::Hot.market_tables().len() + PARAMETERISED.len());
        for table in Tier::Hot.market_tables() {
            let (_, text) = views.iter().find(|(name, _)| name == table).expect("there");
            assert!(text.contains(&format!("FROM marketprism_cold.{table}\n")), "{text}");
            assert!(*table == PATTERN || !text.contains(PATTERN), "{text}");
            assert!(!text.contains("--"), "{text}");
        }
    }

    #[test]
    fn a_view_is_made_anew_when_its_statement_or_a_column_changes() {
        let made = made_of("CREATE", 1);
        assert_eq!(made, made_of("CREATE", 1));
        assert!(made != made_of("CREATE ", 1) && made != made_of("CREATE", 2));
    }

    #[test]
    fn without_a_cold_store_nothing_names_it() {
        let views = statements(false);
        assert_eq!(views.len(), statements(true).len());
        assert!(views.iter().all(|(_, text)| !text.contains("marketprism_cold")));
        let (_, trades) = views.iter().find(|(name, _)| name == "trades").expect("there");
        assert!(
            trades.ends_with("SELECT *, day FROM marketprism_hot.trades AS hot"),
            "{trades}"
        );
    }
}
