//! Parts that the engine could not read when it started: it keeps them aside, and their rows are missing.

use clickhouse::Row;
use mprism_clickhouse::{Store, StoreError, Tier};
use serde::Deserialize;

use super::plan::{Action, Kind, Work};

#[derive(Row, Deserialize)]
struct PartRow {
    table: String,
    name: String,
    reason: String,
}

/// Plans to drop broken parts where that is accepted; else says that they are there.
pub(super) async fn plan(store: &Store, tier: Tier, is_accepted: bool) -> Result<Vec<Action>, StoreError> {
    // What an operator detached by hand has no reason, and is the operator's.
    let query = format!(
        "SELECT table, name, ifNull(reason, '') AS reason FROM system.detached_parts WHERE database = '{}' \
         AND reason LIKE '%broken%' ORDER BY table, name",
        tier.database()
    );
    let parts = store.fetch_all::<PartRow>(&query).await?.into_iter();
    let actions = parts.map(|PartRow { table, name, reason }| {
        let what = format!("{}.{table}: part {name} ({reason})", tier.database());
        let (detail, work) = if is_accepted {
            let part = name;
            (what, Work::DropPart { tier, table, part })
        } else {
            let why = format!("{what}: `mprism repair --accept-broken-parts` drops it; its rows are mended either way");
            (why, Work::Nothing)
        };
        Action::new(Kind::DropBrokenPart, 0, detail, work)
    });
    Ok(actions.collect())
}

/// Drops a part that the engine keeps aside.
pub(super) async fn drop(store: &Store, tier: Tier, table: &str, part: &str) -> Result<(), StoreError> {
    let part = part.replace('\\', "\\\\").replace('\'', "\\'");
    let statement = format!(
        "ALTER TABLE {}.{table} DROP DETACHED PART '{part}' SETTINGS allow_drop_detached = 1",
        tier.database()
    );
    store.execute(&statement).await
}
