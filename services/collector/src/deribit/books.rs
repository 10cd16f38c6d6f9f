//! Order books: changes, whole books, and the best levels alone.

use std::borrow::Cow;

use mprism_model::{InstrumentId, Level, UnixNanos, Written};
use serde::Deserialize;
use serde::de::{Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::messages::read;
use crate::orderbook::{Diff, Snapshot};
use crate::wire::{About, ParseError, Said, time};

/// Most levels of one side in a message; more is no order book.
const LEVELS_MAX: usize = 50_000;

/// `book.…` of either kind, and the result of `get_order_book`.
#[derive(Debug, Deserialize)]
struct Book<'a> {
    /// `snapshot` or `change`; frames of 2020 and before do not say it.
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    timestamp: i64,
    #[serde(borrow)]
    instrument_name: Cow<'a, str>,
    change_id: u64,
    /// None where the book is a whole one.
    prev_change_id: Option<u64>,
    bids: Rows,
    asks: Rows,
}

/// Levels as the venue writes them: `["new",price,amount]`, or `[price,amount]` of a book by itself. Amounts are absolute.
#[derive(Debug, Default)]
struct Rows(Vec<Level>);

/// Reads a notification of `book.<instrument>.<interval>`.
///
/// # Errors
/// Where it is not understood, or does not go on from what it names.
pub(super) fn parse_book(data: &str, ts_recv: Option<UnixNanos>) -> Result<Said, ParseError> {
    let book: Book<'_> = read("order book", data)?;
    let instrument = InstrumentId::new(&book.instrument_name)?;
    let previous = match (book.kind.as_deref(), book.prev_change_id) {
        (Some("snapshot"), _) | (None, None) => None,
        (Some("change") | None, Some(previous)) => Some(previous),
        (kind, _) => {
            return Err(ParseError::Impossible {
                field: "type",
                text: kind.unwrap_or_default().to_owned(),
            });
        }
    };
    let Some(previous) = previous else {
        return Ok(Said::Book(instrument, Box::new(book.whole(ts_recv, usize::MAX)?)));
    };
    let (first, last) = (previous.saturating_add(1), book.change_id);
    // The same number again says that nothing has changed.
    let is_idle = last == previous && book.bids.0.is_empty() && book.asks.0.is_empty();
    if last < first && !is_idle {
        return Err(ParseError::Backwards { first, last });
    }
    let diff = Diff {
        first,
        last,
        checksum: None,
        ts: time(book.timestamp)?,
        ts_recv,
        bids: book.bids.0,
        asks: book.asks.0,
    };
    Ok(Said::Diff(instrument, Box::new(diff)))
}

/// Reads a notification of `book.<instrument>.<group>.<depth>.<interval>`, or the result of `get_order_book`: so many levels a
/// side, where that is known.
///
/// # Errors
/// Where it is not understood.
pub(super) fn parse_depth(data: &str, depth: Option<usize>, about: &About<'_>) -> Result<Said, ParseError> {
    let book: Book<'_> = read("order book", data)?;
    let instrument = InstrumentId::new(&book.instrument_name)?;
    let snapshot = book.whole(about.ts_recv, depth.unwrap_or(usize::MAX))?;
    Ok(Said::Depth(Some(instrument), Box::new(snapshot)))
}

impl Book<'_> {
    fn whole(self, ts_recv: Option<UnixNanos>, limit: usize) -> Result<Snapshot, ParseError> {
        Ok(Snapshot {
            last: self.change_id,
            ts: Some(time(self.timestamp)?),
            ts_recv,
            checksum: None,
            bids: self.bids.0,
            asks: self.asks.0,
            limit,
        })
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sides;
        impl<'de> Visitor<'de> for Sides {
            type Value = Rows;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("levels of an order book")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Rows, A::Error> {
                let mut levels = Vec::with_capacity(rows.size_hint().unwrap_or(16).min(1_024));
                while let Some(Row(level)) = rows.next_element()? {
                    if levels.len() == LEVELS_MAX {
                        return Err(A::Error::custom("too many levels"));
                    }
                    levels.push(level);
                }
                Ok(Rows(levels))
            }
        }
        deserializer.deserialize_seq(Sides)
    }
}

/// One level.
struct Row(Level);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Row;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an action, a price and an amount, or the latter two")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Row, A::Error> {
                let missing = |at| move || A::Error::invalid_length(at, &Parts);
                let first = parts.next_element::<&RawValue>()?.ok_or_else(missing(0))?;
                let second = parts.next_element::<&RawValue>()?.ok_or_else(missing(1))?;
                let is_removed = match first.get() {
                    "\"new\"" | "\"change\"" => Some(false),
                    "\"delete\"" => Some(true),
                    _ => None,
                };
                let Some(is_removed) = is_removed else {
                    return Ok(Row(Level {
                        price: written(first)?,
                        quantity: written(second)?,
                    }));
                };
                let third = parts.next_element::<&RawValue>()?.ok_or_else(missing(2))?;
                let amount = written(third)?;
                Ok(Row(Level {
                    price: written(second)?,
                    quantity: if is_removed { Written::ZERO } else { amount },
                }))
            }
        }
        deserializer.deserialize_seq(Parts)
    }
}

/// Reads a number that is no text.
fn written<E: Error>(number: &RawValue) -> Result<Written, E> {
    Written::from_json(number.get()).map_err(E::custom)
}
