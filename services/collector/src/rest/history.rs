//! What a venue can be asked.

use std::future::Future;
use std::time::Duration;

use mprism_model::{DataType, InstrumentId, UnixMillis};

use crate::orderbook::Snapshot;
use crate::wire::{ParseError, Said, Term};

/// Something that is asked for again and again, for each instrument of which the type is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Poll {
    /// What the answers are about.
    pub(crate) data_type: DataType,
    /// Which of the venue's series it is: unique within a venue.
    pub(crate) series: &'static str,
    /// Between two questions; up to a tenth of it is left to chance.
    pub(crate) every: Duration,
    /// The venue's own period, where it publishes one value a period and keeps the past ones: periods between two values that
    /// nobody has are a gap.
    pub(crate) period: Option<Duration>,
}

/// What a venue can be asked for.
pub(crate) trait History: Send + Sync + 'static {
    /// Most trades in one answer.
    const TRADES_MAX: usize;

    /// Whether a message of the order book's stream says only how its end differs from its beginning, so that it fits no book
    /// between the two.
    const DIFFS_ARE_NET: bool = false;

    /// Fetches an instrument's order book, sizes as the venue has them.
    fn snapshot(&self, instrument: &InstrumentId) -> impl Future<Output = Result<Snapshot, RestError>> + Send;

    /// Fetches trades by their numbers, `from..=to` of which there are at most [`History::TRADES_MAX`]; others around them may
    /// be there, too. In the order of their numbers, as [`Said::Trade`], each with what else it says behind it.
    fn trades(
        &self,
        instrument: &InstrumentId,
        from: u64,
        to: u64,
    ) -> impl Future<Output = Result<Vec<Said>, RestError>> + Send;

    /// Returns what is polled, with the venue's usual cadences.
    fn polls(&self) -> Vec<Poll> {
        Vec::new()
    }

    /// Asks for what is newer than `after` (the time of the newest value that is known, or the label of its period), oldest
    /// first, as [`Said::Event`]; without it for the newest value alone. It may give what is known already. Values of periods
    /// that have not ended are left out.
    fn poll(
        &self,
        poll: Poll,
        instrument: &InstrumentId,
        after: Option<UnixMillis>,
    ) -> impl Future<Output = Result<Vec<Said>, RestError>> + Send {
        let _ = (poll, instrument, after);
        std::future::ready(Ok(Vec::new()))
    }

    /// Fetches what these instruments are.
    fn terms(
        &self,
        instruments: &[InstrumentId],
    ) -> impl Future<Output = Result<Vec<(InstrumentId, Term)>, RestError>> + Send {
        let _ = instruments;
        std::future::ready(Ok(Vec::new()))
    }
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
    #[error("history ends before trade {to}")]
    Ends { to: u64 },
    #[error("the answer is not understood")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<ParseError> for RestError {
    fn from(error: ParseError) -> Self {
        Self::Answer(error.into())
    }
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
            Self::Ends { .. } | Self::Answer(_) => "rest_answer",
        }
    }
}
