//! Scripted faults: what there is, how it is written, and how it strikes.

mod kind;
mod read;
mod strike;
mod trouble;

pub use kind::{Fault, FaultKind, Malformed, RECENT_MAX};
pub use read::FaultError;
pub(crate) use strike::{Affected, strike};
pub(crate) use trouble::Troubles;
