//! Connections to a venue's websockets: what is asked for on which, and what has to be done to keep one.

mod protocol;

pub(crate) use protocol::{Plan, Protocol, Request, Rules, Silence, Stream, Wanted};
