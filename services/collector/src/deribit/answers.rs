//! What REST answers, recognised by its shape.

use mprism_model::{InstrumentId, Source};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::messages::{Envelope, InstrumentRow, read};
use super::terms::{self, currency_of};
use super::trades::{Numbering, parse_trades};
use super::volatility::{PERIOD_MS, asked_ms, parse_candles};
use super::{books, figures};
use crate::wire::{About, ParseError, Said, shortened, unnamed};

/// Levels a side of `get_order_book` where the question names no depth.
const DEPTH_UNSAID: usize = 5;

/// By which a row or a result is recognised. What a field holds is not looked at.
#[derive(Debug, Default, Deserialize)]
struct Shape<'a> {
    #[serde(borrow)]
    trades: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "present")]
    continuation: bool,
    trade_seq: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    instrument_name: Option<IgnoredAny>,
    bids: Option<IgnoredAny>,
    change_id: Option<IgnoredAny>,
    open_interest: Option<IgnoredAny>,
    interest_8h: Option<IgnoredAny>,
    timestamp: Option<IgnoredAny>,
}

/// A field that is there counts, even if it is null.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Reads the body of an answer: the result in its envelope, or alone.
///
/// # Errors
/// Where it, or a part of it, is not understood, or the venue refuses.
pub(super) fn parse_answer(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    if text.trim_start().starts_with('[') {
        return parse_rows(text, about, said);
    }
    let envelope: Envelope<'_> = read("answer", text)?;
    if let Some(error) = envelope.error {
        return Err(ParseError::Refused {
            code: error.code,
            message: shortened(&error.message),
        });
    }
    let result = envelope.result.map_or(text, RawValue::get);
    match result.trim_start().as_bytes().first() {
        Some(b'{') => parse_object(result, envelope.us_out, about, said),
        Some(b'[') => parse_rows(result, about, said),
        _ => {
            said.push(Said::Skipped("answer".into()));
            Ok(())
        }
    }
}

/// Returns the result of an answer, and when it was made by the venue's clock, in microseconds.
///
/// # Errors
/// Where it is none, or the venue refuses.
pub(super) fn result_of(text: &str) -> Result<(&RawValue, Option<i64>), ParseError> {
    let envelope: Envelope<'_> = read("answer", text)?;
    match (envelope.error, envelope.result) {
        (Some(error), _) => Err(ParseError::Refused {
            code: error.code,
            message: shortened(&error.message),
        }),
        (None, Some(result)) => Ok((result, envelope.us_out)),
        (None, None) => Err(ParseError::Unknown),
    }
}

fn parse_object(text: &str, us_out: Option<i64>, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    let shape: Shape<'_> = read("answer", text)?;
    if let Some(trades) = shape.trades {
        return parse_trades(trades.get(), Numbering::Apart, about, said);
    }
    if let Some(data) = shape.data {
        if !shape.continuation {
            return parse_rows(data.get(), about, said);
        }
        let Some(currency) = currency(about) else {
            said.push(Said::Skipped(UNNAMED.into()));
            return Ok(());
        };
        let length_ms = parameter(about.path, "resolution").map_or(PERIOD_MS, length_of);
        let asked_ms = asked_ms(us_out, about.ts_recv);
        return parse_candles(text, &currency, length_ms, asked_ms, about, said).map(drop);
    }
    if shape.change_id.is_some() && shape.bids.is_some() {
        let depth = parameter(about.path, "depth").map_or(DEPTH_UNSAID, |text| text.parse().unwrap_or(usize::MAX));
        // Without the question nobody knows how many levels there could have been.
        let depth = about.path.map(|_| depth);
        said.push(books::parse_depth(text, depth, about)?);
        return figures::parse_figures(text, about, said);
    }
    parse_row(text, &shape, about, said)
}

/// Reads an array, each row by itself; instruments are told together.
fn parse_rows(rows: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    let rows: Vec<&RawValue> = read("list", rows)?;
    let mut result = Ok(());
    let mut learnt = Vec::new();
    for row in rows {
        let text = row.get();
        let shape = match text.starts_with('{') {
            true => read("row", text),
            false => Ok(Shape::default()),
        };
        let parsed = shape.and_then(|shape| match shape.kind.is_some() && shape.instrument_name.is_some() {
            true => parse_instrument(text).map(|term| learnt.extend(term)),
            false => parse_row(text, &shape, about, said),
        });
        result = result.and(parsed);
    }
    if !learnt.is_empty() {
        said.push(Said::Terms(learnt));
    }
    result
}

fn parse_row(text: &str, shape: &Shape<'_>, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    if shape.trade_seq.is_some() {
        return parse_trades(&format!("[{text}]"), Numbering::Apart, about, said);
    }
    if shape.kind.is_some() && shape.instrument_name.is_some() {
        said.extend(parse_instrument(text)?.map(|term| Said::Terms(vec![term])));
        return Ok(());
    }
    if shape.open_interest.is_some() && shape.instrument_name.is_some() {
        return figures::parse_figures(text, about, said);
    }
    let is_funding = shape.interest_8h.is_some() && shape.timestamp.is_some();
    match about.instrument.filter(|_| is_funding) {
        Some(instrument) => said.push(figures::parse_funding(text, instrument, about)?),
        None if is_funding => said.push(Said::Skipped(UNNAMED.into())),
        None => said.push(Said::Skipped("answer".into())),
    }
    Ok(())
}

/// What is said of an answer that nobody can tell whose it is.
const UNNAMED: &str = "REST body of an unknown instrument";

/// Reads an instrument; combinations of others are none.
fn parse_instrument(text: &str) -> Result<Option<(InstrumentId, crate::wire::Term)>, ParseError> {
    let row: InstrumentRow<'_> = read("instrument", text)?;
    if row.kind.ends_with("_combo") {
        return Ok(None);
    }
    terms::term(&row).map(Some)
}

/// Returns the currency that was asked about. A recording may not say it, and is told all the same.
fn currency(about: &About<'_>) -> Option<InstrumentId> {
    let asked = about.instrument.map(InstrumentId::as_str);
    let asked = asked.or_else(|| parameter(about.path, "currency"));
    match asked {
        Some(asked) => InstrumentId::new(&currency_of(asked)).ok(),
        None => (about.source == Source::Replay).then(unnamed),
    }
}

/// Returns a parameter of the question that is answered.
fn parameter<'a>(path: Option<&'a str>, name: &str) -> Option<&'a str> {
    let (_, query) = path?.split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Returns the length of a candle, in milliseconds, from the parameter that asks for it.
fn length_of(resolution: &str) -> i64 {
    let seconds = match resolution {
        "1D" => Some(86_400),
        seconds => seconds.parse::<i64>().ok(),
    };
    seconds
        .and_then(|seconds| seconds.checked_mul(1_000))
        .unwrap_or(PERIOD_MS)
}
