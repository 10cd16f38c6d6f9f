//! ClickHouse as mprism uses it: the schema, inserts whose outcome is known or known to be in doubt, time predicates.
//!
//! Reading uses the `clickhouse` crate with typed rows. Writing goes over plain HTTP here, because an insert has to carry its
//! fence and its settings, and what the server says it wrote has to be compared with what was sent.

mod copy;
mod error;
mod fence;
mod insert;
mod parts;
mod schema;
mod store;
pub mod time;
mod views;

pub use copy::{Copy, Pace, Rows};
pub use error::{InsertError, StoreError};
pub use fence::FenceKeeper;
pub use insert::Insert;
pub use parts::{BrokenPart, broken_parts, drop_broken_part};
pub use schema::{
    ASIDE, Column, DATABASE, DEPARTURES, Difference, DifferenceKind, Rebuild, RebuildError, RebuildStep, Rebuilt,
    SchemaReport, TABLES, Tier, WINDOW_LEDGER, columns_of, differences, ensure_schema, indices_of, plan_empty,
    plan_rebuilds, plan_schema, rebuild, storage_of,
};
pub use store::{Store, StoreOptions};
pub use views::VIEWS;
