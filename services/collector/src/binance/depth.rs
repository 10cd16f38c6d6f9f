//! Order books as every market writes them.

use std::borrow::Cow;

use mprism_model::{Level, UnixNanos, Written};
use serde::Deserialize;

use super::envelope::json;
use crate::orderbook::{Diff, Snapshot};
use crate::wire::{ParseError, time};

/// Most levels of one side in a message; more is no order book.
const LEVELS_MAX: usize = 10_000;
/// Update ids beyond cannot be counted on from.
const ID_MAX: u64 = i64::MAX as u64;

/// `<symbol>@depth` at any speed. On futures its best levels alone look the same.
#[derive(Debug, Deserialize)]
pub(crate) struct DepthEvent<'a> {
    /// Event time: milliseconds, or microseconds on connections that asked for them.
    #[serde(rename = "E")]
    event_time: i64,
    #[serde(rename = "s", borrow)]
    pub(crate) symbol: Cow<'a, str>,
    /// 1 for USDⓈ-M, 2 for COIN-M; futures alone, since June 2026.
    pub(crate) st: Option<u8>,
    #[serde(rename = "U")]
    first_update_id: u64,
    #[serde(rename = "u")]
    last_update_id: u64,
    /// The last update of the message before, on futures.
    #[serde(rename = "pu")]
    previous_update_id: Option<u64>,
    #[serde(rename = "b")]
    bids: Levels,
    #[serde(rename = "a")]
    asks: Levels,
}

impl<'a> DepthEvent<'a> {
    /// Reads an event.
    ///
    /// # Errors
    /// Where it is none.
    pub(crate) fn read(text: &'a str) -> Result<Self, ParseError> {
        serde_json::from_str(text).map_err(json("order-book diff"))
    }

    /// Returns what changed: behind the message before where that is named, else from the first update on.
    ///
    /// # Errors
    /// Where its numbers or its time are not possible.
    pub(crate) fn into_diff(self, ts_recv: Option<UnixNanos>) -> Result<Diff, ParseError> {
        let (first, last) = (self.first_update_id, countable(self.last_update_id)?);
        let begins = self.previous_update_id.unwrap_or(first);
        if first > last || begins > last {
            let first = first.max(begins);
            return Err(ParseError::Backwards { first, last });
        }
        Ok(Diff {
            first: self.previous_update_id.map_or(first, |previous| previous + 1),
            last,
            checksum: None,
            ts: time(self.event_time)?,
            ts_recv,
            bids: self.bids.0,
            asks: self.asks.0,
        })
    }

    /// Returns the best levels, where the stream tells nothing else.
    ///
    /// # Errors
    /// As [`DepthEvent::into_diff`].
    pub(crate) fn into_top(self, ts_recv: Option<UnixNanos>) -> Result<Snapshot, ParseError> {
        Ok(Snapshot {
            last: countable(self.last_update_id)?,
            ts: Some(time(self.event_time)?),
            ts_recv,
            checksum: None,
            bids: self.bids.0,
            asks: self.asks.0,
            limit: usize::MAX,
        })
    }
}

/// The answer to a question for a book, or a partial book of the spot market.
#[derive(Debug, Deserialize)]
pub(crate) struct Depth {
    /// -1 while a newly listed instrument has no book.
    #[serde(rename = "lastUpdateId")]
    last_update_id: i64,
    /// Event time, on futures.
    #[serde(rename = "E")]
    event_time: Option<i64>,
    bids: Levels,
    asks: Levels,
}

impl Depth {
    /// Reads a body, which names no symbol, as the answer to a question for `limit` levels.
    ///
    /// # Errors
    /// Where it is not understood, or there is no book yet.
    pub(crate) fn read(body: &[u8], limit: usize, ts_recv: Option<UnixNanos>) -> Result<Snapshot, ParseError> {
        let raw: Self = serde_json::from_slice(body).map_err(json("order-book snapshot"))?;
        let last = u64::try_from(raw.last_update_id).map_err(|_| ParseError::NoBook)?;
        Ok(Snapshot {
            last: countable(last)?,
            ts: raw.event_time.map(time).transpose()?,
            ts_recv,
            checksum: None,
            bids: raw.bids.0,
            asks: raw.asks.0,
            limit,
        })
    }
}

fn countable(id: u64) -> Result<u64, ParseError> {
    if id < ID_MAX {
        return Ok(id);
    }
    Err(ParseError::Impossible {
        field: "update id",
        text: id.to_string(),
    })
}

/// Levels as the venue writes them: `[["price","quantity"],…]`.
#[derive(Debug, Default)]
struct Levels(Vec<Level>);

impl<'de> Deserialize<'de> for Levels {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> serde::de::Visitor<'de> for Rows {
            type Value = Levels;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("pairs of price and quantity")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut rows: A) -> Result<Levels, A::Error> {
                let mut levels = Vec::with_capacity(rows.size_hint().unwrap_or(16).min(1_024));
                while let Some((price, quantity)) = rows.next_element::<(Written, Written)>()? {
                    if levels.len() == LEVELS_MAX {
                        return Err(serde::de::Error::custom("more than 10,000 levels"));
                    }
                    levels.push(Level { price, quantity });
                }
                Ok(Levels(levels))
            }
        }
        deserializer.deserialize_seq(Rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: &str =
        r#"{"e":"depthUpdate","E":1795176000200,"s":"BTCUSDT","U":101,"u":117,"b":[["64000.10","1.2"]],"a":[]}"#;

    fn chain(text: &str) -> Result<(u64, u64), ParseError> {
        let diff = DepthEvent::read(text)?.into_diff(None)?;
        Ok((diff.first, diff.last))
    }

    #[test]
    fn a_diff_continues_the_message_that_it_names() {
        assert_eq!(chain(SPOT).expect("valid"), (101, 117));
        let futures = SPOT.replace("\"u\":117", "\"u\":117,\"pu\":93");
        assert_eq!(chain(&futures).expect("valid"), (94, 117));
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for (from, to, cause) in [
            ("\"u\":117", "\"u\":100", "backwards"),
            ("\"u\":117", "\"u\":117,\"pu\":118", "backwards"),
            ("\"u\":117", "\"u\":18446744073709551615", "impossible"),
            ("\"u\":117", "\"u\":-1", "json"),
            ("1795176000200", "1", "time"),
            ("[[\"64000.10\",\"1.2\"]]", "[[\"64000.10\"]]", "json"),
            ("[[\"64000.10\",\"1.2\"]]", "[[64000.10,\"1.2\"]]", "json"),
        ] {
            let text = SPOT.replacen(from, to, 1);
            assert_eq!(chain(&text).expect_err(&text).cause(), cause, "{text}");
        }
        assert!(matches!(
            Depth::read(br#"{"lastUpdateId":-1,"bids":[],"asks":[]}"#, 5, None),
            Err(ParseError::NoBook)
        ));
    }
}
