//! Scripted faults: what is asked for, and how it is written.

use std::time::Duration;

use serde_json::{Map, Value};

/// One scripted fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// When it strikes, counted from the start of the market; time in which the market is paused does not count.
    pub at: Duration,
    /// The venue's symbol it is bound to; `None` means all.
    pub symbol: Option<String>,
    /// What happens.
    pub kind: FaultKind,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// Every connection is cut without a close frame.
    Disconnect,
    /// The next trades happen but are not sent.
    Gap {
        /// How many.
        count: u64,
    },
    /// The last frames are sent again.
    Duplicate {
        /// How many (at most [`RECENT_MAX`]).
        count: u64,
    },
    /// The next two trades are sent in the wrong order.
    Reorder,
    /// Streams are silent; at [`crate::Rate::Max`] the market waits, otherwise its trades are lost.
    Mute {
        /// For how long.
        duration: Duration,
    },
    /// A broken frame is sent in addition.
    Malformed(Malformed),
    /// The next trade's own frame is broken; the trade stays in the truth.
    MalformedReplace(Malformed),
    /// `serverShutdown` is announced, then every connection that heard it is closed.
    ServerShutdown {
        /// Time between the two.
        after: Duration,
    },
    /// No ping frames are sent.
    NoPing {
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
}

/// Most frames kept for [`FaultKind::Duplicate`].
pub const RECENT_MAX: u64 = 1_000;

/// Most trades one gap swallows.
const GAP_MAX: u64 = 10_000_000;

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
        match fields.text("exchange")?.as_deref() {
            None | Some("binance_spot") => {}
            Some(other) => return Err(format!("`exchange`: no faults for `{other}`, only for `binance_spot`")),
        }
        let symbol = fields.text("symbol")?.map(|name| name.replace('-', "").to_uppercase());
        let name = fields.text("fault")?.ok_or("`fault` is missing")?;
        let kind = match name.as_str() {
            "disconnect" => FaultKind::Disconnect,
            "gap" => FaultKind::Gap {
                count: fields.count(GAP_MAX)?,
            },
            "duplicate" => FaultKind::Duplicate {
                count: fields.count(RECENT_MAX)?,
            },
            "reorder" => FaultKind::Reorder,
            "mute" => FaultKind::Mute {
                duration: fields.duration("duration")?,
            },
            "malformed" => FaultKind::Malformed(fields.malformed()?),
            "malformed_replace" => FaultKind::MalformedReplace(fields.malformed()?),
            "server_shutdown" => FaultKind::ServerShutdown {
                after: fields.duration("after")?,
            },
            "no_ping" => FaultKind::NoPing {
                duration: fields.duration("duration")?,
            },
            other => return Err(format!("`fault`: `{other}` is not one of {NAMES}")),
        };
        match fields.0.keys().next() {
            Some(key) => Err(format!("`{key}` is not a key of `{name}`")),
            None => Ok(Self { at, symbol, kind }),
        }
    }
}

const NAMES: &str = "disconnect, gap, duplicate, reorder, mute, malformed, malformed_replace, server_shutdown, no_ping";

impl FaultKind {
    /// Returns the fault's name in lists.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Gap { .. } => "gap",
            Self::Duplicate { .. } => "duplicate",
            Self::Reorder => "reorder",
            Self::Mute { .. } => "mute",
            Self::Malformed(_) => "malformed",
            Self::MalformedReplace(_) => "malformed_replace",
            Self::ServerShutdown { .. } => "server_shutdown",
            Self::NoPing { .. } => "no_ping",
        }
    }
}

struct Fields(Map<String, Value>);

impl Fields {
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
