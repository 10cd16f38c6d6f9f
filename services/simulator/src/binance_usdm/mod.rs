//! Binance USDⓈ-M futures: streams by category, REST, what happens by the clock.

mod frames;
mod history;
mod market;
mod rest;
mod series;

pub(crate) use frames::render;
pub(crate) use market::{stream_of, synthetic};
pub(crate) use rest::router;
