//! OKX: spot and swaps, its channels and REST.

mod connection;
mod frames;
mod market;
mod rest;
mod series;
mod subscribe;

pub(crate) use frames::{NOTICE, render};
pub(crate) use market::{stream_of, synthetic};
pub(crate) use rest::router;
