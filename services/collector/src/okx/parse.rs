//! From frames to what they say, and from rows, which answers have, too. Pure: when one was received is an argument.

use mprism_model::{InstrumentId, UnixMillis};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::messages::{Arg, Frame, stream_name};
use super::quick::quick;
use super::{books, instruments, series, trades};
use crate::wire::{About, Accepted, ParseError, Said, shortened, time};

/// The notice that a connection is about to be closed.
const UPGRADE: &str = "64008";

/// Reads a frame.
pub(super) fn frame(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    if text == "pong" {
        said.push(Said::Alive);
        return Ok(());
    }
    quick(text, about, said).unwrap_or_else(|| careful(text, about, said))
}

/// Reads any frame.
pub(super) fn careful(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    let frame: Frame<'_> = json("frame", text)?;
    if let Some(event) = &frame.event {
        said.push(control(event, &frame)?);
        return Ok(());
    }
    let (Some(arg), Some(data)) = (&frame.arg, frame.data) else {
        return Err(ParseError::Unknown);
    };
    channel(arg, frame.action.as_deref(), data, about, said)
}

/// Reads an answer to a request of ours, or a notice.
fn control(event: &str, frame: &Frame<'_>) -> Result<Said, ParseError> {
    let code = frame.code.as_deref().unwrap_or_default();
    match event {
        "subscribe" => {
            let arg = frame.arg.as_ref().ok_or(ParseError::Unknown)?;
            Ok(Said::Accepted(Accepted::One(arg.stream())))
        }
        "error" => {
            let text = frame.msg.as_deref().unwrap_or_default();
            let refused = refused_stream(text).map(|stream| format!("`{stream}`: "));
            Ok(Said::Refused {
                id: frame.id.as_deref().and_then(|id| id.parse().ok()),
                code: code.parse().unwrap_or(0),
                message: refused.unwrap_or_default() + &shortened(text),
            })
        }
        "notice" if code == UPGRADE => Ok(Said::Leaving),
        other => Ok(Said::Skipped(shortened(other).into())),
    }
}

/// Returns the stream that a refusal is about, where its text says it: the answer itself does not.
/// "Wrong URL or channel:books,instId:BTC-USDTX doesn't exist."
fn refused_stream(text: &str) -> Option<Box<str>> {
    let value = |key: &str| {
        let (_, behind) = text.split_once(key)?;
        let end = behind
            .find(|c: char| c == ',' || c.is_whitespace())
            .unwrap_or(behind.len());
        Some(&behind[..end]).filter(|value| !value.is_empty() && value.len() <= 64)
    };
    let of = value("instId:").or_else(|| value("instType:"))?;
    Some(stream_name(value("channel:")?, of))
}

fn channel(
    arg: &Arg<'_>,
    action: Option<&str>,
    data: &RawValue,
    about: &About<'_>,
    said: &mut Vec<Said>,
) -> Result<(), ParseError> {
    let named = arg.inst_id.as_deref();
    let kind = match &*arg.channel {
        "trades" => Kind::Merged,
        "trades-all" => Kind::Fills,
        "books" | "books-l2-tbt" | "books50-l2-tbt" => Kind::Changes(action),
        "books5" => Kind::Books,
        "funding-rate" => Kind::Funding,
        "open-interest" => Kind::Interest,
        "liquidation-orders" => Kind::Liquidations,
        "instruments" => Kind::Instruments,
        other => {
            said.push(Said::Skipped(shortened(other).into()));
            return Ok(());
        }
    };
    rows(
        kind,
        &json::<Vec<&RawValue>>("list of rows", data.get())?,
        named,
        about,
        said,
    )
}

/// What rows are.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    /// Fills of one taker order as one trade, or single ones that are no part of the live sequence.
    Merged,
    Fills,
    Changes(Option<&'a str>),
    Books,
    Funding,
    Interest,
    Liquidations,
    Instruments,
}

/// Reads rows of a kind; `named` is whom they are about where they do not say it.
pub(super) fn rows(
    kind: Kind<'_>,
    rows: &[&RawValue],
    named: Option<&str>,
    about: &About<'_>,
    said: &mut Vec<Said>,
) -> Result<(), ParseError> {
    if let Kind::Instruments = kind {
        let mut terms = Vec::with_capacity(rows.len());
        let result = each(rows, |row| {
            terms.push(instruments::term(row)?);
            Ok(())
        });
        said.push(Said::Terms(terms));
        return result;
    }
    each(rows, |row| {
        let one = match kind {
            Kind::Merged => trades::told(&json("trade", row)?, true, named, about)?,
            Kind::Fills => trades::told(&json("trade", row)?, false, named, about)?,
            Kind::Changes(action) => books::change(row, action, trades::instrument(None, named)?, about)?,
            Kind::Books => {
                let instrument = named.map(InstrumentId::new).transpose()?;
                Said::Depth(instrument, Box::new(books::whole(row, usize::MAX, about.ts_recv)?))
            }
            Kind::Funding => series::funding(row, named, about)?,
            Kind::Interest => series::open_interest(row, named, about)?,
            Kind::Liquidations => return series::liquidations(row, named, about, said),
            Kind::Instruments => return Ok(()),
        };
        said.push(one);
        Ok(())
    })
}

/// Reads rows one by one: one that is not understood does not lose the others. Returns the first error.
pub(super) fn each(rows: &[&RawValue], mut read: impl FnMut(&str) -> Result<(), ParseError>) -> Result<(), ParseError> {
    rows.iter().map(|row| read(row.get())).fold(Ok(()), Result::and)
}

/// Takes a time, milliseconds since the Unix epoch as a text.
pub(super) fn millis(text: &str) -> Result<UnixMillis, ParseError> {
    let value = text.parse().map_err(|_| ParseError::Impossible {
        field: "ts",
        text: shortened(text),
    })?;
    time(value)
}

pub(super) fn json<'a, T: Deserialize<'a>>(what: &'static str, text: &'a str) -> Result<T, ParseError> {
    serde_json::from_str(text).map_err(|source| ParseError::Json { what, source })
}

#[cfg(test)]
mod tests;
