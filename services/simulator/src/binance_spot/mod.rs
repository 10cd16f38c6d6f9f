//! Binance spot: its streams, its REST, its limits, as they look on the wire.

mod address;
mod connection;
mod depth;
mod frames;
mod history;
mod market;
mod protocol;
mod rest;

pub(crate) use depth::push_texts;
pub(crate) use frames::{push_levels, render, server_shutdown};
pub(crate) use market::{recorded, stream_of, synthetic};
pub(crate) use rest::router;
