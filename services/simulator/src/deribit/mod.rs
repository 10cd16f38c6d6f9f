//! Deribit: JSON-RPC over WebSocket and HTTP, perpetuals and volatility indices.

mod channels;
mod connection;
mod frames;
mod market;
mod methods;
mod rest;

pub(crate) use frames::{MAINTENANCE, render};
pub(crate) use market::{liquidations, synthetic};
pub(crate) use rest::router;
