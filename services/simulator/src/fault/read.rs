//! How faults are written.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Fault, FaultKind, Malformed, RECENT_MAX};
use crate::Exchange;

/// Most frames of a gap, and most strikes of any fault.
const COUNT_MAX: u64 = 10_000_000;

/// Why a list of faults cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// The text is not YAML.
    #[error("the list of faults is not YAML")]
    Yaml(#[from] serde_yaml::Error),
    /// The document is not a list.
    #[error("faults are a list of `{{at, exchange, symbol, fault}}`")]
    NotAList,
    /// One entry is wrong.
    #[error("fault {number}: {why}")]
    Entry {
        /// Position in the list, from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
}

impl Fault {
    /// Reads a YAML list of faults; an empty document is an empty list.
    ///
    /// # Errors
    /// Where the text is no list of faults: the message names the entry and what is wrong with it.
    pub fn parse_yaml(text: &str) -> Result<Vec<Self>, FaultError> {
        let entries = match serde_yaml::from_str::<Value>(text)? {
            Value::Null => return Ok(Vec::new()),
            Value::Array(entries) => entries,
            _ => return Err(FaultError::NotAList),
        };
        let numbered = entries.iter().enumerate();
        numbered
            .map(|(index, entry)| {
                let number = index + 1;
                Self::from_value(entry, None).map_err(|why| FaultError::Entry { number, why })
            })
            .collect()
    }

    /// Reads one fault; `at` stands in where the entry has none.
    pub(crate) fn from_value(entry: &Value, at: Option<Duration>) -> Result<Self, String> {
        let mut fields = Fields(entry.as_object().ok_or("it is not a mapping")?.clone());
        let at = match (fields.0.remove("at"), at) {
            (_, Some(at)) => at,
            (Some(value), None) => read_duration("at", &value)?,
            (None, None) => return Err("`at` is missing".into()),
        };
        let exchange = match fields.text("exchange")? {
            None => None,
            Some(name) => match Exchange::from_name(&name) {
                Some(exchange) => Some(exchange),
                None => {
                    let known = Exchange::ALL.map(Exchange::as_str).join(", ");
                    return Err(format!("`exchange`: no faults for `{name}`, only for {known}"));
                }
            },
        };
        let symbol = fields.text("symbol")?.map(|name| name.replace('-', "").to_uppercase());
        let stream = fields.text("stream")?;
        let name = fields.text("fault")?.ok_or("`fault` is missing")?;
        let kind = fields.kind(&name)?;
        match fields.0.keys().next() {
            Some(key) => Err(format!("`{key}` is not a key of `{name}`")),
            None => Ok(Self {
                at,
                exchange,
                symbol,
                stream,
                kind,
            }),
        }
    }
}

const NAMES: &str = "disconnect, gap, duplicate, reorder, mute, silent_stream, silent_after_ack, half_open, malformed, \
    malformed_replace, huge_frame, unknown_event, server_shutdown, maintenance, no_ping, connection_life, handshake_error, handshake_slow, \
    stale_snapshot, bad_snapshot, snapshot_delay, snapshot_error, http_429, http_418, clock_skew, engine_restart, seq_reset, interval_change, symbol_halt, burst";

struct Fields(Map<String, Value>);

impl Fields {
    fn kind(&mut self, name: &str) -> Result<FaultKind, String> {
        Ok(match name {
            "disconnect" => FaultKind::Disconnect,
            "gap" => FaultKind::Gap {
                count: self.count(COUNT_MAX)?,
            },
            "duplicate" => FaultKind::Duplicate {
                count: self.count(RECENT_MAX)?,
            },
            "reorder" => FaultKind::Reorder,
            "mute" => FaultKind::Mute {
                duration: self.duration("duration")?,
            },
            "silent_stream" => FaultKind::SilentStream {
                duration: self.duration("duration")?,
            },
            "silent_after_ack" => FaultKind::SilentAfterAck {
                count: self.count(COUNT_MAX)?,
            },
            "half_open" => FaultKind::HalfOpen,
            "malformed" => FaultKind::Malformed(self.malformed()?),
            "malformed_replace" => FaultKind::MalformedReplace(self.malformed()?),
            "huge_frame" => FaultKind::Malformed(Malformed::Huge),
            "unknown_event" => FaultKind::Malformed(Malformed::UnknownEvent),
            "server_shutdown" => FaultKind::ServerShutdown {
                after: self.duration("after")?,
            },
            "maintenance" => FaultKind::Maintenance {
                duration: self.duration("duration")?,
            },
            "no_ping" => FaultKind::NoPing {
                duration: self.duration("duration")?,
            },
            "connection_life" => FaultKind::ConnectionLife {
                duration: self.duration("duration")?,
            },
            "handshake_error" => FaultKind::HandshakeError {
                status: self.status(503)?,
                count: self.count(COUNT_MAX)?,
            },
            "handshake_slow" => FaultKind::HandshakeSlow {
                duration: self.duration("duration")?,
                count: self.count(COUNT_MAX)?,
            },
            "stale_snapshot" => FaultKind::StaleSnapshot {
                count: self.count(COUNT_MAX)?,
            },
            "bad_snapshot" => FaultKind::BadSnapshot {
                count: self.count(COUNT_MAX)?,
            },
            "snapshot_delay" => FaultKind::SnapshotDelay {
                duration: self.duration("duration")?,
                count: self.count(COUNT_MAX)?,
            },
            "snapshot_error" => FaultKind::SnapshotError {
                status: self.status(503)?,
                count: self.count(COUNT_MAX)?,
            },
            "http_429" => FaultKind::Http429 {
                retry_after: match self.0.contains_key("retry_after") {
                    true => Some(self.duration("retry_after")?.as_secs()),
                    false => None,
                },
                count: self.count(COUNT_MAX)?,
            },
            "http_418" => FaultKind::Http418 {
                duration: self.duration("duration")?,
            },
            "clock_skew" => FaultKind::ClockSkew { ms: self.ms()? },
            "engine_restart" => FaultKind::EngineRestart,
            "seq_reset" => FaultKind::SeqReset,
            "interval_change" => FaultKind::IntervalChange { hours: self.hours()? },
            "symbol_halt" => FaultKind::SymbolHalt {
                duration: self.duration("duration")?,
            },
            "burst" => FaultKind::Burst {
                factor: self.factor()?,
                duration: self.duration("duration")?,
            },
            other => return Err(format!("`fault`: `{other}` is not one of {NAMES}")),
        })
    }

    fn status(&mut self, default: u16) -> Result<u16, String> {
        let value = self.0.remove("status").unwrap_or(Value::from(default));
        let status = value.as_u64().filter(|status| (400..=599).contains(status));
        let status = status.and_then(|status| u16::try_from(status).ok());
        status.ok_or_else(|| format!("`status`: `{value}` is not an HTTP status from 400 to 599"))
    }

    fn ms(&mut self) -> Result<i64, String> {
        const DAY_MS: i64 = 86_400_000;
        let value = self.0.remove("ms").unwrap_or(Value::Null);
        let ms = value.as_i64().filter(|ms| (-DAY_MS..=DAY_MS).contains(ms));
        ms.ok_or_else(|| format!("`ms`: `{value}` is not a whole number of milliseconds within a day"))
    }

    fn hours(&mut self) -> Result<u64, String> {
        let value = self.0.remove("hours").unwrap_or(Value::Null);
        let hours = value.as_u64().filter(|hours| [1, 2, 4, 6, 8].contains(hours));
        hours.ok_or_else(|| format!("`hours`: `{value}` is not one of 1, 2, 4, 6, 8"))
    }

    fn factor(&mut self) -> Result<u64, String> {
        let value = self.0.remove("factor").unwrap_or(Value::from(20));
        let factor = value.as_u64().filter(|factor| (1..=1_000).contains(factor));
        factor.ok_or_else(|| format!("`factor`: `{value}` is not a whole number from 1 to 1000"))
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("`{key}`: `{other}` is not a text")),
        }
    }

    fn count(&mut self, max: u64) -> Result<u64, String> {
        let value = self
            .0
            .remove("count")
            .or_else(|| self.0.remove("n"))
            .unwrap_or(Value::from(1));
        let count = value.as_u64().filter(|count| (1..=max).contains(count));
        count.ok_or_else(|| format!("`count`: `{value}` is not a whole number from 1 to {max}"))
    }

    fn duration(&mut self, key: &str) -> Result<Duration, String> {
        let value = self.0.remove(key).ok_or_else(|| format!("`{key}` is missing"))?;
        read_duration(key, &value)
    }

    fn malformed(&mut self) -> Result<Malformed, String> {
        let kind = self.text("kind")?.unwrap_or_else(|| "truncated".into());
        Ok(match kind.as_str() {
            "truncated" => Malformed::Truncated,
            "wrong_types" => Malformed::WrongTypes,
            "nan" => Malformed::Nan,
            "long_number" => Malformed::LongNumber,
            "empty_object" => Malformed::EmptyObject,
            "unknown_event" => Malformed::UnknownEvent,
            "binary" => Malformed::Binary,
            other => {
                return Err(format!(
                    "`kind`: `{other}` is not one of truncated, wrong_types, nan, long_number, empty_object, unknown_event, binary"
                ));
            }
        })
    }
}

/// Reads seconds as a number, or a text such as `250ms`, `10s`, `2m`, `1h`.
fn read_duration(key: &str, value: &Value) -> Result<Duration, String> {
    let seconds = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let unit = match &text[digits.len()..] {
                "ms" => Some(0.001),
                "s" | "" => Some(1.0),
                "m" => Some(60.0),
                "h" => Some(3_600.0),
                _ => None,
            };
            digits
                .trim()
                .parse::<f64>()
                .ok()
                .zip(unit)
                .map(|(count, unit)| count * unit)
        }
        _ => None,
    };
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| format!("`{key}`: `{value}` is not a duration (seconds, or a text such as `10s`)"))
}
