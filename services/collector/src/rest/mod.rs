//! Asking a venue over REST, within what it allows.

mod budget;
mod client;

use std::future::Future;
use std::time::Duration;

use mprism_model::{InstrumentId, Trade};

use crate::orderbook::Snapshot;

pub(crate) use budget::Budget;
pub(crate) use client::{Client, Throttle};

/// What a venue can be asked for afterwards.
pub(crate) trait History: Send + Sync + 'static {
    /// Most trades in one answer.
    const TRADES_MAX: usize;

    /// Fetches an instrument's order book.
    fn snapshot(&self, instrument: &InstrumentId) -> impl Future<Output = Result<Snapshot, RestError>> + Send;

    /// Fetches trades in the order of their ids, from an id on, at most [`History::TRADES_MAX`], with their numeric ids.
    fn trades(
        &self,
        instrument: &InstrumentId,
        from: u64,
    ) -> impl Future<Output = Result<Vec<(u64, Trade)>, RestError>> + Send;
}

/// Why a request got no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestError {
    #[error("the venue is not reached")]
    Request(#[source] reqwest::Error),
    #[error("the venue asks for a pause of {pause:?} (HTTP {status})")]
    Limited { status: u16, pause: Duration },
    #[error("HTTP {status}: {text}")]
    Status { status: u16, text: String },
    #[error("an answer of more than {max} bytes")]
    TooLarge { max: usize },
    #[error("the answer is not understood")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl RestError {
    /// Returns a short stable name, for metrics and for logging each cause once.
    pub(crate) fn cause(&self) -> &'static str {
        match self {
            Self::Request(_) => "rest_request",
            Self::Limited { status: 418, .. } => "rest_banned",
            Self::Limited { .. } => "rest_limited",
            Self::Status { .. } => "rest_status",
            Self::TooLarge { .. } => "rest_too_large",
            Self::Answer(_) => "rest_answer",
        }
    }
}
