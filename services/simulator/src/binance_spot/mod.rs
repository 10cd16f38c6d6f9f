//! Binance spot: its streams, its REST, its limits, as they look on the wire.

mod depth;
mod frames;
mod history;
mod market;
mod rest;

pub(crate) use depth::unavailable;
pub(crate) use frames::{render, server_shutdown};
pub(crate) use market::{recorded, stream_of, synthetic};
pub(crate) use rest::router;
