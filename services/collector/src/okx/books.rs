//! Order books.
//!
//! The channels `books` and `books-l2-tbt` begin with a snapshot; every update names the one before it (`prevSeqId`). Numbers
//! rise by any step; an update that names itself says that nothing has changed, one with a smaller number than the one
//! before that numbers begin anew. Recordings of 2022 and before have no numbers, but a checksum of the best 25 levels.
//!
//! Source: <https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel>.

use mprism_model::{InstrumentId, Source, UnixMillis, UnixNanos};
use serde::de::Error;

use super::messages::{BookRow, told};
use super::parse::millis;
use crate::orderbook::{Diff, Snapshot};
use crate::wire::{About, ParseError, Said, shortened};

/// Levels of a side in the venue's window. What leaves the window is deleted and what enters it is told, so that all that was
/// told is all there is to know: no level beyond is ever waited for.
pub(super) const WINDOW: usize = 400;

/// Reads a row of a channel that tells what changes.
pub(super) fn change(
    text: &str,
    action: Option<&str>,
    instrument: InstrumentId,
    about: &About<'_>,
) -> Result<Said, ParseError> {
    let row = row(text)?;
    let checksum = row.checksum.filter(|checksum| *checksum != 0);
    match action {
        Some("snapshot") => {
            let last = match (row.seq_id, row.prev_seq_id) {
                (Some(seq_id), _) => sequence(seq_id)?,
                (None, None) if about.source == Source::Replay => 0,
                (None, _) => return Err(unnumbered()),
            };
            let book = snapshot(row, last, usize::MAX, about.ts_recv)?;
            Ok(Said::Book(instrument, Box::new(Snapshot { checksum, ..book })))
        }
        Some("update") => {
            let (first, last) = match (row.seq_id, row.prev_seq_id) {
                (Some(seq_id), Some(before)) => (after(before)?, sequence(seq_id)?),
                (None, None) if about.source == Source::Replay && checksum.is_some() => (0, 0),
                _ => return Err(unnumbered()),
            };
            // Some frames have no time; the receive time, or in a recording without any that of the frame before, stands in.
            let received = about.ts_recv.map(UnixNanos::to_millis);
            let diff = Diff {
                first,
                last,
                checksum,
                ts: time(&row)?.or(received).unwrap_or(UnixMillis(0)),
                ts_recv: about.ts_recv,
                bids: row.bids.0,
                asks: row.asks.0,
            };
            Ok(Said::Diff(instrument, Box::new(diff)))
        }
        other => Err(ParseError::Impossible {
            field: "action",
            text: shortened(other.unwrap_or_default()),
        }),
    }
}

/// Reads a book by itself, as the answer to a question for `limit` levels; 0 is its number where it has none.
pub(super) fn whole(text: &str, limit: usize, ts_recv: Option<UnixNanos>) -> Result<Snapshot, ParseError> {
    let row = row(text)?;
    let last = row.seq_id.map_or(Ok(0), sequence)?;
    // The window follows what is best: nothing is waited for beyond it.
    let limit = if limit >= WINDOW { usize::MAX } else { limit };
    snapshot(row, last, limit, ts_recv)
}

fn snapshot(row: BookRow<'_>, last: u64, limit: usize, ts_recv: Option<UnixNanos>) -> Result<Snapshot, ParseError> {
    Ok(Snapshot {
        last,
        ts: time(&row)?,
        ts_recv,
        checksum: None,
        bids: row.bids.0,
        asks: row.asks.0,
        limit,
    })
}

fn row(text: &str) -> Result<BookRow<'_>, ParseError> {
    let what = "order book";
    serde_json::from_str(text).map_err(|source| ParseError::Json { what, source })
}

fn time(row: &BookRow<'_>) -> Result<Option<UnixMillis>, ParseError> {
    told(&row.ts).filter(|ts| *ts != "0").map(millis).transpose()
}

/// Takes a number of the venue's.
fn sequence(number: i64) -> Result<u64, ParseError> {
    let positive = u64::try_from(number).ok().filter(|number| *number > 0);
    positive.ok_or_else(|| impossible("seqId", number))
}

/// Returns what follows the number of the message before; a snapshot's -1 is none.
fn after(number: i64) -> Result<u64, ParseError> {
    let before = u64::try_from(number).map_err(|_| impossible("prevSeqId", number))?;
    Ok(before + 1)
}

fn impossible(field: &'static str, number: i64) -> ParseError {
    ParseError::Impossible {
        field,
        text: number.to_string(),
    }
}

/// Says that a number is missing where nothing can be without.
pub(super) fn unnumbered() -> ParseError {
    ParseError::Json {
        what: "order book",
        source: serde_json::Error::missing_field("seqId"),
    }
}
