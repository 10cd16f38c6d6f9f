//! Gaps: holes in a sequence of events that are known to exist.

use serde::{Deserialize, Serialize};

use crate::market::names;
use crate::{DataType, Exchange, MarketType, MessageId, Source, Subject, Symbol, UnixMillis};

names! {
    /// Why events are missing.
    pub enum GapCause ("gap cause") {
        /// The venue's numbering jumped on a live connection.
        Sequence = "sequence",
        /// The connection was lost; the numbering jumped across the reconnect.
        Disconnect = "disconnect",
        /// The collector was not running.
        CollectorDown = "collector_down",
        /// Events were refused before they were accepted, because the spool was full.
        Shed = "shed",
        /// A frame that names the missing events arrived but could not be understood.
        Malformed = "malformed",
        /// What was held contradicted itself: a crossed book, or one that a second snapshot does not confirm.
        Desync = "desync",
        /// Accepted events were lost with a damaged part of the spool.
        SpoolCorrupt = "spool_corrupt",
        /// Events were accepted, and were gone from the store when it was mended.
        StoreLoss = "store_loss",
    }
}

names! {
    /// What has become of a gap.
    pub enum GapState ("gap state") {
        /// Not yet filled.
        Open = "open",
        /// The missing events were fetched and stored.
        Filled = "filled",
        /// No source has the missing events.
        Unfillable = "unfillable",
    }
}

/// One version of a hole in a sequence: append-only, the highest version of a [`Gap::gap_id`] is the truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// When this version was written.
    #[serde(rename = "ts_ms")]
    pub ts: UnixMillis,
    /// The venue.
    pub exchange: Exchange,
    /// The kind of market.
    pub market_type: MarketType,
    /// The symbol, in mprism's form.
    pub symbol: Symbol,
    /// What is missing.
    #[serde(rename = "type")]
    pub data_type: DataType,
    /// First missing id, inclusive.
    pub from_id: Box<str>,
    /// Last missing id, inclusive.
    pub to_id: Box<str>,
    /// Event time of the last event before the hole.
    #[serde(rename = "from_ts_ms")]
    pub from_ts: UnixMillis,
    /// Event time of the first event after the hole.
    #[serde(rename = "to_ts_ms")]
    pub to_ts: UnixMillis,
    /// Why the events are missing.
    pub cause: GapCause,
    /// What has become of the hole.
    pub state: GapState,
    /// Who says so.
    pub source: Source,
    /// Higher in each later state; of gaps that nobody can fill, which may be noticed more than once from the same id on, higher the
    /// longer they are.
    pub version: u32,
}

impl Gap {
    /// Returns `type:exchange:market_type:symbol:from_id`, the same in every version.
    pub fn gap_id(&self) -> String {
        let (what, exchange, market, symbol) = (self.data_type, self.exchange, self.market_type, &self.symbol);
        format!("{what}:{exchange}:{market}:{symbol}:{}", self.from_id)
    }

    /// Returns where the gap is published.
    pub fn subject(&self) -> Subject {
        Subject {
            data_type: DataType::Gap,
            exchange: self.exchange,
            market_type: self.market_type,
            symbol: self.symbol.clone(),
        }
    }

    /// Returns the `Nats-Msg-Id`.
    pub fn message_id(&self) -> MessageId {
        MessageId(format!("gap:{}:{}", self.gap_id(), self.version))
    }

    /// Returns a hash of what the gap says, without the local clock.
    pub fn content_hash(&self) -> u64 {
        content_hash(
            &self.gap_id(),
            self.version,
            &self.to_id,
            self.cause.as_str(),
            self.state.as_str(),
        )
    }
}

/// The hash behind [`Gap::content_hash`], for a row read back from its table.
pub fn content_hash(gap_id: &str, version: u32, to_id: &str, cause: &str, state: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(format!("{gap_id}|{version}|{to_id}|{cause}|{state}").as_bytes())
}
