//! One look at everything that runs.

use serde::Serialize;

use crate::control::UnitStatus;
use crate::report::{Page, Report};

/// One look. What could not be asked is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// When it was, RFC 3339.
    pub time: String,
    /// Seconds since the look before, over which rates are taken.
    pub interval_s: f64,
    /// `healthy`, `unhealthy`, or `stopped` where nothing should run.
    pub verdict: &'static str,
    /// Every service.
    pub services: Vec<UnitStatus>,
    /// Rows stored a second, over all types.
    pub rows_per_s: Option<f64>,
    /// Each type that is collected.
    pub flow: Vec<TypeFlow>,
    /// From the venue's socket to readable.
    pub latency_ms: Percentiles,
    /// The broker's streams.
    pub streams: Vec<StreamLoad>,
    /// Events of the collector that the broker has not acknowledged yet.
    pub spool_backlog: Option<u64>,
    /// How far the cold store is behind.
    pub cold: ColdLag,
    /// Every exchange that is collected.
    pub exchanges: Vec<ExchangeLoad>,
    /// The ledger of gaps.
    pub gaps: Gaps,
    /// The newest errors of all logs, the newest first.
    pub errors: Vec<LoggedError>,
    /// Why services could not be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Rows of one type.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TypeFlow {
    /// The type, as in subjects.
    pub r#type: &'static str,
    /// Rows stored a second.
    pub rows_per_s: Option<f64>,
    /// Rows stored since the hot worker started.
    pub rows: Option<u64>,
    /// Messages of the batch that is being stored.
    pub held: Option<u64>,
}

/// Percentiles of a time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half of them take no longer.
    pub p50: Option<f64>,
    /// Nine of ten take no longer.
    pub p90: Option<f64>,
    /// 99 of 100 take no longer.
    pub p99: Option<f64>,
}

/// One stream of the broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StreamLoad {
    /// Its name.
    pub name: String,
    /// Messages it holds.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages that are not stored yet.
    pub pending: u64,
}

/// How far the cold store is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ColdLag {
    /// Seconds, of the type that is furthest behind.
    pub lag_s: Option<f64>,
    /// Rows of past hours that are not proven to be there.
    pub rows: Option<u64>,
}

/// One exchange as the collector sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ExchangeLoad {
    /// Its name.
    pub name: String,
    /// Whether its connection is up.
    pub connected: bool,
    /// From its clock to our socket, of the last event, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Connections made anew since the collector started.
    pub reconnections: u64,
}

/// Gaps by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Gaps {
    /// What is still missing and asked for.
    pub open: Option<u64>,
    /// What nobody has.
    pub unfillable: Option<u64>,
    /// What was missing and is there.
    pub filled: Option<u64>,
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoggedError {
    /// When, RFC 3339.
    pub time: String,
    /// Who.
    pub service: &'static str,
    /// What.
    pub message: String,
}

impl Report for Sample {
    /// The dashboard shows samples; by itself one is a document only.
    fn page(&self) -> Page {
        Page::new()
    }
}
