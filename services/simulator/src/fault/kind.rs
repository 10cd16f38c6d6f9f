//! What a fault does.

use std::time::Duration;

use crate::Exchange;

/// One scripted fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// When it strikes, counted from the start of the market; time in which the market is paused does not count.
    pub at: Duration,
    /// The exchange it is bound to; `None` means all.
    pub exchange: Option<Exchange>,
    /// The venue's symbol it is bound to, without hyphens; `None` means all.
    pub symbol: Option<String>,
    /// The stream it bends: `trade`, `depth`, or what the venue calls it. `None` means `trade`.
    pub stream: Option<String>,
    /// What happens.
    pub kind: FaultKind,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// Every connection is cut without a close frame.
    Disconnect,
    /// The next frames happen but are not sent.
    Gap {
        /// How many.
        count: u64,
    },
    /// The last frames are sent again.
    Duplicate {
        /// How many (at most [`RECENT_MAX`]).
        count: u64,
    },
    /// The next two frames are sent in the wrong order.
    Reorder,
    /// The trades of the market are silent; at [`crate::Rate::Max`] the market waits, otherwise its trades are lost.
    Mute {
        /// For how long.
        duration: Duration,
    },
    /// One stream is silent while others and pings go on; what happens meanwhile is lost.
    SilentStream {
        /// For how long.
        duration: Duration,
    },
    /// Subscriptions are acknowledged and never served.
    SilentAfterAck {
        /// How many.
        count: u64,
    },
    /// Every connection stays open, and nothing is sent on it any more, not even pings.
    HalfOpen,
    /// A broken frame is sent in addition.
    Malformed(Malformed),
    /// The next frame's own text is broken; what it tells stays in the truth.
    MalformedReplace(Malformed),
    /// `serverShutdown` is announced, then every connection that heard it is closed.
    ServerShutdown {
        /// Time between the two.
        after: Duration,
    },
    /// Maintenance is announced, every connection is closed, and nothing is served.
    Maintenance {
        /// For how long.
        duration: Duration,
    },
    /// No ping frames are sent.
    NoPing {
        /// For how long.
        duration: Duration,
    },
    /// Connections live no longer than that from now on, those that are open already too.
    ConnectionLife {
        /// Longest life.
        duration: Duration,
    },
    /// Connection attempts are refused.
    HandshakeError {
        /// HTTP status.
        status: u16,
        /// How many.
        count: u64,
    },
    /// Connection attempts are answered late.
    HandshakeSlow {
        /// How late.
        duration: Duration,
        /// How many.
        count: u64,
    },
    /// Snapshots are older than what anybody has buffered.
    StaleSnapshot {
        /// How many.
        count: u64,
    },
    /// A level is missing in snapshots.
    BadSnapshot {
        /// How many.
        count: u64,
    },
    /// Snapshots come late.
    SnapshotDelay {
        /// How late.
        duration: Duration,
        /// How many.
        count: u64,
    },
    /// Snapshots are refused.
    SnapshotError {
        /// HTTP status.
        status: u16,
        /// How many.
        count: u64,
    },
    /// REST calls are answered with HTTP 429.
    Http429 {
        /// What `Retry-After` says, whole seconds; without it the header is missing.
        retry_after: Option<u64>,
        /// How many.
        count: u64,
    },
    /// Every address is banned: REST calls are answered with HTTP 418.
    Http418 {
        /// For how long.
        duration: Duration,
    },
    /// The venue's clock is off.
    ClockSkew {
        /// By how much; 0 sets it right.
        ms: i64,
    },
    /// The matching engine starts anew: update identifiers jump and their chain breaks, though nothing is lost.
    EngineRestart,
    /// OKX's sequence numbers begin anew after maintenance: nothing is lost and the chain holds.
    SeqReset,
    /// Funding is paid in another interval from now on.
    IntervalChange {
        /// Hours between two payments.
        hours: u64,
    },
    /// An instrument is not traded; its exchange says so.
    SymbolHalt {
        /// For how long.
        duration: Duration,
    },
    /// More happens than usual.
    Burst {
        /// How many times as much.
        factor: u64,
        /// For how long.
        duration: Duration,
    },
}

/// How a frame is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// JSON that ends too early.
    Truncated,
    /// Numbers where texts belong and the reverse.
    WrongTypes,
    /// A price that is `NaN`.
    Nan,
    /// A price of 40 digits.
    LongNumber,
    /// `{}`.
    EmptyObject,
    /// An event nobody has documented.
    UnknownEvent,
    /// A binary frame.
    Binary,
    /// A frame of 5 MB.
    Huge,
}

/// Most frames kept for [`FaultKind::Duplicate`].
pub const RECENT_MAX: u64 = 1_000;

impl FaultKind {
    /// Returns the fault's name in lists.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Gap { .. } => "gap",
            Self::Duplicate { .. } => "duplicate",
            Self::Reorder => "reorder",
            Self::Mute { .. } => "mute",
            Self::SilentStream { .. } => "silent_stream",
            Self::SilentAfterAck { .. } => "silent_after_ack",
            Self::HalfOpen => "half_open",
            Self::Malformed(_) => "malformed",
            Self::MalformedReplace(_) => "malformed_replace",
            Self::ServerShutdown { .. } => "server_shutdown",
            Self::Maintenance { .. } => "maintenance",
            Self::NoPing { .. } => "no_ping",
            Self::ConnectionLife { .. } => "connection_life",
            Self::HandshakeError { .. } => "handshake_error",
            Self::HandshakeSlow { .. } => "handshake_slow",
            Self::StaleSnapshot { .. } => "stale_snapshot",
            Self::BadSnapshot { .. } => "bad_snapshot",
            Self::SnapshotDelay { .. } => "snapshot_delay",
            Self::SnapshotError { .. } => "snapshot_error",
            Self::Http429 { .. } => "http_429",
            Self::Http418 { .. } => "http_418",
            Self::ClockSkew { .. } => "clock_skew",
            Self::EngineRestart => "engine_restart",
            Self::SeqReset => "seq_reset",
            Self::IntervalChange { .. } => "interval_change",
            Self::SymbolHalt { .. } => "symbol_halt",
            Self::Burst { .. } => "burst",
        }
    }

    /// Returns how often, and for how long, a fault that waits for somebody's call strikes; `None` where it strikes at once.
    pub(crate) fn lasts(&self) -> Option<(u64, Option<Duration>)> {
        match self {
            Self::NoPing { duration } | Self::Maintenance { duration } => Some((u64::MAX, Some(*duration))),
            Self::SilentAfterAck { count }
            | Self::HandshakeError { count, .. }
            | Self::HandshakeSlow { count, .. }
            | Self::StaleSnapshot { count }
            | Self::BadSnapshot { count }
            | Self::SnapshotDelay { count, .. }
            | Self::SnapshotError { count, .. }
            | Self::Http429 { count, .. } => Some((*count, None)),
            _ => None,
        }
    }
}
