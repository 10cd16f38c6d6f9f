//! From messages to events. Pure.

mod common;
mod funding;
mod interest;
mod liquidation;
mod ratio;

pub(super) use common::{coin_margined, time_of};
pub(super) use funding::{estimated, settled};
pub(super) use interest::{open_interest, past_open_interest, worth};
pub(super) use liquidation::liquidation;
pub(super) use ratio::ratio;
