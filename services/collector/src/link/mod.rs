//! Connections to a venue's websockets: what is asked for on which, and what has to be done to keep one.
//!
//! A connection that has to go (the venue says so, its life is over, one of its streams is silent) is replaced before it is
//! left: both are listened to until the new one speaks, and what is heard twice is dropped by who knows the numbers.

mod connection;
mod pace;
mod protocol;
mod requests;
mod runner;
mod socket;
mod streams;

pub(crate) use protocol::{Plan, Protocol, Request, Rules, Silence, Stream, Wanted};
pub(crate) use runner::{Link, run};
