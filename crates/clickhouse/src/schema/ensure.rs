//! Making a server have the tables, without touching a stored row.

use std::collections::BTreeMap;

use serde::Serialize;

use super::compare::{Difference, DifferenceKind, compare};
use super::observe::{Found, observe};
use super::tier::Tier;
use crate::{Store, StoreError};

/// How a server's tables compare with the schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SchemaReport {
    /// Tables that were missing and are there now.
    pub created: Vec<String>,
    /// Columns, indices, settings and definitions that were missing and are there now.
    pub added: Vec<String>,
    /// What differs and is not changed by itself, each with what mends it.
    pub differs: Vec<Difference>,
}

/// Returns how the tables of a tier differ from the schema. Changes nothing; a reader may ask.
///
/// # Errors
/// Where the server does not answer.
pub async fn differences(store: &Store, tier: Tier) -> Result<Vec<Difference>, StoreError> {
    let found = observe(store, tier.database()).await?;
    let tables = tier.tables().into_iter();
    Ok(tables
        .flat_map(|table| compare(tier, table, found.get(table)))
        .collect())
}

/// Creates what is missing of these tiers, and adds what only adds. Nothing that is there is dropped, and no stored row is
/// changed; what that would need is told.
///
/// # Errors
/// Where the server does not answer or refuses.
pub async fn ensure_schema(store: &Store, tiers: &[Tier]) -> Result<SchemaReport, StoreError> {
    let mut report = SchemaReport::default();
    for tier in tiers {
        ensure_tier(store, *tier, &mut report).await?;
    }
    if tiers.contains(&Tier::Hot) {
        let differs = crate::views::ensure_views(store).await?;
        report.differs.extend(differs);
    }
    Ok(report)
}

/// Returns what [`ensure_schema`] would make and add, and what it would leave. Changes nothing.
///
/// # Errors
/// Where the server does not answer.
pub async fn plan_schema(store: &Store, tiers: &[Tier]) -> Result<SchemaReport, StoreError> {
    let mut report = SchemaReport::default();
    for tier in tiers {
        let found = observe(store, tier.database()).await?;
        plan_tier(*tier, &found, &mut report);
    }
    Ok(report)
}

/// Returns what [`ensure_schema`] would make on a server that has nothing.
pub fn plan_empty(tiers: &[Tier]) -> SchemaReport {
    let mut report = SchemaReport::default();
    for tier in tiers {
        plan_tier(*tier, &BTreeMap::new(), &mut report);
    }
    report
}

/// What is added to a table.
struct Addition {
    statement: String,
    /// The difference, in words.
    mends: String,
}

/// Decides what to do with the tables of a tier, and returns what has to be added, in order.
fn plan_tier(tier: Tier, before: &BTreeMap<String, Found>, report: &mut SchemaReport) -> Vec<Addition> {
    let database = tier.database();
    // The hot store's names are those that everybody means who names no database.
    let name = |difference: &Difference| match tier {
        Tier::Hot => difference.table.clone(),
        Tier::Leaving | Tier::Cold => format!("{database}.{}", difference.table),
    };
    let mut additions = Vec::new();
    for table in tier.tables() {
        for difference in compare(tier, table, before.get(table)) {
            if difference.kind == DifferenceKind::MissingTable {
                report.created.push(name(&difference));
                continue;
            }
            let (true, Some(statement)) = (difference.kind.is_additive(), &difference.statement) else {
                report.differs.push(difference);
                continue;
            };
            let what = difference.column.as_deref().unwrap_or_default();
            report.added.push(format!("{}.{what}", name(&difference)));
            additions.push(Addition {
                statement: statement.clone(),
                mends: difference.message,
            });
        }
    }
    additions
}

async fn ensure_tier(store: &Store, tier: Tier, report: &mut SchemaReport) -> Result<(), StoreError> {
    let database = tier.database();
    let before = observe(store, database).await?;
    for statement in tier.statements() {
        store.execute(&statement).await?;
    }
    let additions = plan_tier(tier, &before, report);
    for addition in &additions {
        store.execute(&addition.statement).await?;
    }
    if additions.is_empty() {
        return Ok(());
    }
    // What the server took and still has otherwise would be done again and again, and never be told.
    let after = observe(store, database).await?;
    for table in tier.tables() {
        let stays = compare(tier, table, after.get(table)).into_iter();
        let stays = stays.filter(|difference| additions.iter().any(|addition| addition.mends == difference.message));
        report.differs.extend(stays);
    }
    Ok(())
}
