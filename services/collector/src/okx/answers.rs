//! From answers over REST to what they say.

use std::borrow::Cow;

use mprism_model::{InstrumentId, Population, UnixNanos};
use serde_json::value::RawValue;

use super::messages::{Answer, Shape};
use super::parse::{Kind, each, json, rows};
use super::{books, instruments, series};
use crate::orderbook::Snapshot;
use crate::wire::{About, ParseError, Said, Term, shortened};

/// The period of ratios that is not asked for by name.
const USUAL_PERIOD: &str = "5m";

/// Reads the body of an answer over REST, by its rows' shape.
pub(super) fn answer(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    let data = data(text)?;
    let named = about.instrument.map(InstrumentId::as_str);
    let Some(first) = data.first() else {
        return skip("empty answer", said);
    };
    if first.get().starts_with('[') {
        return ratios(&data, about, said);
    }
    let shape: Shape = json("row", first.get())?;
    let kind = match shape {
        Shape { asks: Some(_), .. } => Kind::Books,
        Shape { trade_id: Some(_), .. } => Kind::Merged,
        Shape {
            realized_rate,
            funding_time,
            ..
        } if realized_rate.is_some() || funding_time.is_some() => Kind::Funding,
        Shape { oi: Some(_), .. } => Kind::Interest,
        Shape { details: Some(_), .. } => Kind::Liquidations,
        Shape { tick: Some(_), .. } => Kind::Instruments,
        _ => return skip("other REST body", said),
    };
    rows(kind, &data, named, about, said)
}

/// Reads trades that were asked for by their numbers, in the order of these: as what they are, fills of the live sequence.
pub(super) fn fills(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    let mut data = data(text)?;
    data.reverse();
    let named = about.instrument.map(InstrumentId::as_str);
    rows(Kind::Fills, &data, named, about, said)
}

/// Returns an answer's rows.
fn data(text: &str) -> Result<Vec<&RawValue>, ParseError> {
    if text.trim_start().starts_with('[') {
        return json("list of rows", text);
    }
    let answer: Answer<'_> = json("answer", text)?;
    if let Some(code) = answer
        .code
        .map(|code| code.get().trim_matches('"'))
        .filter(|code| *code != "0")
    {
        return Err(ParseError::Refused {
            code: code.parse().unwrap_or(0),
            message: answer.msg.as_deref().map(shortened).unwrap_or_default(),
        });
    }
    json("list of rows", answer.data.ok_or(ParseError::Unknown)?.get())
}

/// Reads ratios: whose they are and of whom, only the question says.
fn ratios(data: &[&RawValue], about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    let (Some(path), Some(instrument)) = (about.path, about.instrument) else {
        return skip("REST body of an unknown question", said);
    };
    let (place, query) = path.split_once('?').unwrap_or((path, ""));
    let population = match place.rsplit('/').next() {
        Some("long-short-position-ratio-contract-top-trader") => Population::TopPositions,
        Some("long-short-account-ratio-contract") => Population::AllAccounts,
        _ => return skip("other REST body", said),
    };
    let period = query.split('&').find_map(|pair| pair.strip_prefix("period="));
    let period = period.filter(|period| !period.is_empty() && period.len() <= 16);
    let series = (population, period.unwrap_or(USUAL_PERIOD));
    series::ratios(data, series, instrument, about, said)
}

fn skip(kind: &'static str, said: &mut Vec<Said>) -> Result<(), ParseError> {
    said.push(Said::Skipped(Cow::Borrowed(kind)));
    Ok(())
}

/// Reads an instrument's book, as the answer to a question for `limit` levels: one that diffs can be joined with.
pub(super) fn book(text: &str, limit: usize, received: UnixNanos) -> Result<Snapshot, ParseError> {
    let data = data(text)?;
    let row = data.first().ok_or(ParseError::NoBook)?;
    let book = books::whole(row.get(), limit, Some(received))?;
    if book.last == 0 {
        return Err(books::unnumbered());
    }
    Ok(book)
}

/// Reads terms of instruments; one that is not understood does not lose the others.
pub(super) fn terms(text: &str, terms: &mut Vec<(InstrumentId, Term)>) -> Result<(), ParseError> {
    each(&data(text)?, |row| {
        terms.push(instruments::term(row)?);
        Ok(())
    })
}

/// Returns the code of an answer that is a refusal.
pub(super) fn refusal(text: &str) -> Option<i64> {
    let answer: Answer<'_> = json("answer", text).ok()?;
    code(&answer)?.parse().ok()
}

/// Returns an answer's code where it is not 0.
fn code<'a>(answer: &Answer<'a>) -> Option<&'a str> {
    let code = answer.code?.get().trim_matches('"');
    (code != "0").then_some(code)
}
