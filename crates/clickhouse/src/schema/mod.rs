//! The tables: what the schema says, what a server has, how these differ, and what brings them together.
//!
//! What only adds is done by [`ensure_schema`]; what would touch stored rows is told with the statement that mends it. That
//! statement is `mprism repair --schema`, which is [`rebuild`]: the right table beside, a copy, a comparison, a swap.

mod compare;
mod convert;
mod ensure;
mod observe;
mod original;
mod rebuild;
mod tier;
mod wanted;

pub use compare::{Difference, DifferenceKind};
pub use ensure::{SchemaReport, differences, ensure_schema, plan_empty, plan_schema};
pub use rebuild::{ASIDE, Rebuild, RebuildError, RebuildStep, Rebuilt, plan_rebuilds, rebuild};
pub(crate) use tier::SCHEMA;
pub use tier::{DATABASE, DEPARTURES, TABLES, Tier, WINDOW_LEDGER};
pub use wanted::{Column, columns_of, indices_of, storage_of};
