//! Proof 1: tables are what this version makes.

use super::super::observe::Observed;
use super::super::report::{Check, Level};

/// Proves it.
pub(super) fn prove(observed: &Observed) -> Vec<Check> {
    if observed.schema.is_empty() {
        return vec![Check::ok("schema", "tables and columns are what this version makes")];
    }
    let told = observed.schema.iter().map(|difference| {
        let check = Check::new("schema", Level::Error, difference.cause, difference.text.as_str());
        match difference.data_type {
            Some(data_type) => check.of(data_type),
            None => check,
        }
    });
    told.collect()
}
