//! Rebuilding a table around its rows: the right one beside, a copy, a comparison, a swap; the old one is kept.
//!
//! 1. The right table is made in `marketprism_rebuild`, and the table's fence is raised: no insert of an earlier writer runs.
//! 2. Rows are copied piece by piece, those that are not there yet. Killed and run again, it goes on where it was.
//! 3. With the fence raised again count, sum and exclusive or of what all rows say are compared. They have to be equal.
//! 4. `EXCHANGE TABLES`: from then on the right table has the name.
//! 5. What a writer still put into the old one between 3 and 4 is copied, too, and every row of it is looked for.
//! 6. The old one goes to `marketprism_aside`, under its name and the time.
//!
//! Where it was killed is read from which of the two tables is as it should be; nothing else is remembered.

use super::compare::{Difference, DifferenceKind, compare};
use super::convert::{Conversion, Fingerprint, Piece};
use super::observe::{Found, observe};
use super::tier::Tier;
use super::wanted::create_as;
use crate::{InsertError, Store, StoreError};

/// The database of tables that were replaced. Nothing of mprism reads or drops them.
pub const ASIDE: &str = "marketprism_aside";
/// The database of tables that are being filled.
const BESIDE: &str = "marketprism_rebuild";
/// How often rows are copied and compared while somebody goes on writing.
const ATTEMPTS: usize = 4;

/// A table that is to be rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    /// Where it is.
    pub tier: Tier,
    /// Its name there.
    pub table: &'static str,
    /// Why.
    pub differences: Vec<Difference>,
    /// How many rows it has.
    pub rows: u64,
    /// Whether an earlier try left something.
    pub is_begun: bool,
}

impl Rebuild {
    /// Returns `database.table`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.tier.database(), self.table)
    }

    /// Returns whether the table is MarketPrism's.
    pub fn is_original(&self) -> bool {
        self.differences
            .iter()
            .any(|difference| difference.kind == DifferenceKind::Original)
    }

    fn beside(&self) -> String {
        format!("{BESIDE}.{}", self.beside_name())
    }

    fn beside_name(&self) -> String {
        format!("{}_{}", self.tier.name(), self.table)
    }
}

/// Where a rebuild is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebuildStep {
    /// The right table stands beside.
    Made,
    /// So many rows were looked at.
    Copied {
        /// Of the old table, until now.
        rows: u64,
        /// All that it has.
        of: u64,
    },
    /// Both say the same.
    Compared,
    /// The right table has the name.
    Swapped,
    /// What came meanwhile is there, too.
    Followed,
    /// The old one is out of the way.
    SetAside,
}

/// What came of a rebuild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Rows of the old table.
    pub rows_before: u64,
    /// Rows of the right one.
    pub rows_after: u64,
    /// Rows of the old table that said what another one said already, and were not copied.
    pub repeats: u64,
    /// Where the old one is.
    pub aside: String,
}

/// Why a table was not rebuilt. The old one is untouched, and has the name.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The server does not answer, or refuses.
    #[error("the table cannot be read")]
    Read(#[from] StoreError),
    /// Rows cannot be written.
    #[error("rows cannot be copied")]
    Write(#[from] InsertError),
    /// Values would not be the same.
    #[error("{rows} rows of {table} have a {column} that does not fit into {kind}")]
    Lossy {
        /// The old table.
        table: String,
        /// The column.
        column: String,
        /// The right type.
        kind: String,
        /// How many.
        rows: u64,
    },
    /// Both tables do not say the same in the end.
    #[error("{table} and its copy do not say the same: {old} and {new} rows")]
    Differs {
        /// The old table.
        table: String,
        /// Different rows of it.
        old: u64,
        /// Rows of the copy.
        new: u64,
    },
}

/// Returns what has to be rebuilt of a tier. Changes nothing.
///
/// # Errors
/// Where the server does not answer.
pub async fn plan_rebuilds(store: &Store, tier: Tier) -> Result<Vec<Rebuild>, StoreError> {
    let live = observe(store, tier.database()).await?;
    let beside = observe(store, BESIDE).await?;
    let plan = |table: &'static str| {
        let mut differences = compare(tier, table, live.get(table));
        differences.retain(|difference| difference.kind.needs_rebuild());
        let mut rebuild = Rebuild {
            tier,
            table,
            differences,
            rows: live.get(table).map_or(0, |found| found.rows),
            is_begun: false,
        };
        let left = beside.get(&rebuild.beside_name());
        rebuild.is_begun = left.is_some();
        if let (Some(left), true) = (left, rebuild.differences.is_empty()) {
            rebuild.rows = left.rows;
        }
        (rebuild.is_begun || !rebuild.differences.is_empty()).then_some(rebuild)
    };
    Ok(tier.tables().into_iter().filter_map(plan).collect())
}

/// Rebuilds a table. `stamp` becomes part of the old one's name, for example `20261126T093000`. `step` is told where it is.
///
/// Dropped or killed at any point, it is called again and goes on.
///
/// # Errors
/// See [`RebuildError`].
pub async fn rebuild(
    store: &Store,
    plan: &Rebuild,
    stamp: &str,
    mut step: impl AsyncFnMut(RebuildStep),
) -> Result<Rebuilt, RebuildError> {
    for database in [BESIDE, ASIDE] {
        store
            .execute(&format!("CREATE DATABASE IF NOT EXISTS {database}"))
            .await?;
    }
    let (live, beside) = (plan.name(), plan.beside());
    let aside = format!("{ASIDE}.{}_{stamp}", plan.beside_name());
    let (found, left) = look(store, plan).await?;
    let is_right = |found: &Found| {
        let differences = compare(plan.tier, plan.table, Some(found));
        !differences.iter().any(|difference| difference.kind.needs_rebuild())
    };
    let mut left = left;
    // What neither is the right table nor came out of its place was made by another version.
    let is_useless = left.as_ref().is_some_and(|left| is_right(left) == is_right(&found));
    if is_useless {
        let leftover = format!("{aside}_unfinished");
        store.execute(&format!("RENAME TABLE {beside} TO {leftover}")).await?;
        left = None;
    }
    let old = match left {
        Some(left) if is_right(&found) => left,
        None if is_right(&found) => {
            return Ok(Rebuilt {
                rows_before: found.rows,
                rows_after: found.rows,
                repeats: 0,
                aside: String::new(),
            });
        }
        _ => {
            fill(store, plan, &found, &mut step).await?;
            store.execute(&format!("EXCHANGE TABLES {live} AND {beside}")).await?;
            step(RebuildStep::Swapped).await;
            found
        }
    };
    let conversion = Conversion::new(plan.tier, plan.table, &old);
    // Waits for what a writer had sent before the swap: that went into the old one.
    let generation = store.fence(&live).await?;
    let pieces = conversion.pieces(store, &beside).await?;
    for piece in &pieces {
        conversion.copy(store, piece, (&beside, &live), generation).await?;
    }
    let mut missing = 0;
    for piece in &pieces {
        missing += conversion.missing(store, piece, (&beside, &live)).await?;
    }
    let rows_after: u64 = store.fetch_one(&format!("SELECT count() FROM {live}")).await?;
    if missing > 0 {
        return Err(RebuildError::Differs {
            table: beside,
            old: rows_after + missing,
            new: rows_after,
        });
    }
    let before = conversion.fingerprint_of_old(store, &pieces, &beside).await?;
    step(RebuildStep::Followed).await;
    store.execute(&format!("RENAME TABLE {beside} TO {aside}")).await?;
    store.release(&live, generation).await;
    step(RebuildStep::SetAside).await;
    Ok(Rebuilt {
        rows_before: before.all,
        rows_after,
        repeats: before.all - before.rows,
        aside,
    })
}

async fn look(store: &Store, plan: &Rebuild) -> Result<(Found, Option<Found>), StoreError> {
    let live = observe(store, plan.tier.database()).await?.remove(plan.table);
    let beside = observe(store, BESIDE).await?.remove(&plan.beside_name());
    Ok((live.unwrap_or_default(), beside))
}

/// Makes the right table beside and fills it, until both say the same.
async fn fill(
    store: &Store,
    plan: &Rebuild,
    found: &Found,
    step: &mut impl AsyncFnMut(RebuildStep),
) -> Result<(), RebuildError> {
    let (live, beside) = (plan.name(), plan.beside());
    store.execute(&create_as(plan.tier, plan.table, &beside)).await?;
    let generation = store.fence(&beside).await?;
    store.fence(&live).await?;
    step(RebuildStep::Made).await;
    let conversion = Conversion::new(plan.tier, plan.table, found);
    for (column, kind, condition) in conversion.lossy() {
        let query = format!("SELECT count() FROM {live} WHERE {condition}");
        let rows: u64 = store.fetch_one(&query).await?;
        if rows > 0 {
            let table = live.clone();
            return Err(RebuildError::Lossy {
                table,
                column,
                kind,
                rows,
            });
        }
    }
    let mut outcome = (Fingerprint::default(), Fingerprint::default());
    for _ in 0..ATTEMPTS {
        let pieces: Vec<Piece> = conversion.pieces(store, &live).await?;
        let (mut rows, of) = (0, pieces.iter().map(|piece| piece.rows).sum());
        for piece in &pieces {
            conversion.copy(store, piece, (&live, &beside), generation).await?;
            rows += piece.rows;
            step(RebuildStep::Copied { rows, of }).await;
        }
        store.fence(&live).await?;
        let pieces = conversion.pieces(store, &live).await?;
        let old = conversion.fingerprint_of_old(store, &pieces, &live).await?;
        let all: u64 = store.fetch_one(&format!("SELECT count() FROM {live}")).await?;
        let new = conversion.fingerprint_of_new(store, &beside).await?;
        outcome = (old, new);
        if old.says_the_same(&new) && old.all == all {
            step(RebuildStep::Compared).await;
            return Ok(());
        }
    }
    Err(RebuildError::Differs {
        table: live,
        old: outcome.0.rows,
        new: outcome.1.rows,
    })
}
