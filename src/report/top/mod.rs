//! What `top` shows: one look at everything after the other, and what the person in front of it chose.

mod dashboard;
mod sample;

pub use dashboard::{Dashboard, Input, Sorting};
pub use sample::{ColdLag, ExchangeLoad, Gaps, LoggedError, Percentiles, Sample, StreamLoad, TypeFlow};
