//! Whether the tables of two tiers are alike.

use clickhouse::Row;
use mprism_clickhouse::{Store, StoreError, Tier};
use mprism_model::DataType;
use serde::Deserialize;

use super::copier::{CoverError, Stores};

#[derive(Clone, Debug, PartialEq, Eq, Row, Deserialize)]
struct Column {
    name: String,
    kind: String,
}

/// Returns the columns that rows are stored with, as the hot store has them, for a statement.
///
/// All that the hot store has is copied, even what a newer version added: so the cold store has to have it, too.
pub(super) async fn columns(stores: &Stores, data_type: DataType) -> Result<String, CoverError> {
    let hot = of(&stores.hot, Tier::Hot, data_type).await?;
    let cold = of(&stores.cold, Tier::Cold, data_type).await?;
    if let Some(difference) = difference(data_type.table(), &hot, &cold) {
        return Err(CoverError::Schema(difference));
    }
    let names: Vec<String> = hot.into_iter().map(|column| column.name).collect();
    Ok(names.join(", "))
}

async fn of(store: &Store, tier: Tier, data_type: DataType) -> Result<Vec<Column>, StoreError> {
    let query = format!(
        "SELECT name, type AS kind FROM system.columns WHERE database = '{}' AND table = '{}' \
         AND default_kind NOT IN ('ALIAS', 'MATERIALIZED', 'EPHEMERAL') ORDER BY position",
        tier.database(),
        data_type.table()
    );
    store.fetch_all(&query).await
}

/// Returns the first difference that keeps rows from being copied, with the statement that mends it.
fn difference(table: &str, hot: &[Column], cold: &[Column]) -> Option<String> {
    let place = format!("{}.{table}", Tier::Cold.database());
    if hot.is_empty() {
        return Some(format!("the table {}.{table} is not there", Tier::Hot.database()));
    }
    hot.iter().find_map(|wanted| {
        let Column { name, kind } = wanted;
        match cold.iter().find(|column| column.name == *name) {
            None => Some(format!(
                "the cold store has no column {place}.{name}: `ALTER TABLE {place} ADD COLUMN {name} {kind}`"
            )),
            Some(found) if found.kind != *kind => Some(format!(
                "the cold store is of another version: {place}.{name} is {}, in the hot store it is {kind}: \
                 `ALTER TABLE {place} MODIFY COLUMN {name} {kind}`",
                found.kind
            )),
            Some(_) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(columns: &[(&str, &str)]) -> Vec<Column> {
        let column = |(name, kind): &(&str, &str)| Column {
            name: (*name).into(),
            kind: (*kind).into(),
        };
        columns.iter().map(column).collect()
    }

    #[test]
    fn a_difference_names_the_column_and_the_statement() {
        let hot = columns(&[("price", "Decimal(38, 18)"), ("side", "String")]);
        assert_eq!(difference("trades", &hot, &hot), None);
        let more = columns(&[("more", "UInt8"), ("side", "String"), ("price", "Decimal(38, 18)")]);
        assert_eq!(
            difference("trades", &hot, &more),
            None,
            "order and other columns do not matter"
        );
        let missing = difference("trades", &hot, &hot[..1]).expect("told");
        assert!(missing.contains("ADD COLUMN side String"), "{missing}");
        let other = columns(&[("price", "Float64"), ("side", "String")]);
        let told = difference("trades", &hot, &other).expect("told");
        assert!(told.contains("marketprism_cold.trades.price is Float64"), "{told}");
        assert!(told.contains("MODIFY COLUMN price Decimal(38, 18)"), "{told}");
        assert!(
            difference("trades", &[], &hot)
                .expect("told")
                .contains("marketprism_hot.trades is not there")
        );
    }
}
