//! Asking a venue over REST, within what it allows.

mod budget;
mod client;
mod history;

pub(crate) use budget::Budget;
pub(crate) use client::{Client, Throttle};
pub(crate) use history::{History, Poll, RestError};
