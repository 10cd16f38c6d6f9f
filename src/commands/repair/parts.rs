//! Parts that the engine could not read when it started: it keeps them aside, and their rows are missing.

use mprism_clickhouse::{BrokenPart, Store, StoreError, Tier, broken_parts};

use super::observe::Wanted;
use super::plan::{Action, Kind, Work};
use crate::commands::integrity::data_type_of;

/// Plans to drop broken parts where that is accepted; else says that they are there.
///
/// A part has rows of any time: it is dropped only by a repair that mends all of it.
pub(super) async fn plan(store: &Store, tier: Tier, wanted: &Wanted) -> Result<Vec<Action>, StoreError> {
    let is_accepted = wanted.accept_broken_parts && wanted.window.is_none();
    let parts = broken_parts(store, tier).await?.into_iter();
    let is_wanted = |part: &BrokenPart| data_type_of(&part.table).is_none_or(|data_type| wanted.has(data_type));
    let actions = parts.filter(is_wanted).map(|part| {
        let rows = part.rows.map_or("unknown".to_owned(), |rows| rows.to_string());
        let what = format!(
            "{}.{}: part {} cannot be read ({}), rows: {rows}",
            tier.database(),
            part.table,
            part.name,
            part.reason
        );
        let data_type = data_type_of(&part.table);
        let (detail, work) = if is_accepted {
            let (table, mut parts) = (part.table, part.earlier);
            parts.push(part.name);
            (what, Work::DropParts { tier, table, parts })
        } else {
            let why = format!("{what}; `mprism repair --accept-broken-parts` drops it; its rows are mended either way");
            (why, Work::Nothing)
        };
        let mut action = Action::new(Kind::DropBrokenPart, part.rows.unwrap_or(0), detail, work);
        action.r#type = data_type.map(|data_type| data_type.to_string());
        action
    });
    Ok(actions.collect())
}
