//! The volatility index: points by the socket, candles by REST.

use mprism_model::{DecimalText, Event, InstrumentId, Source, TsSource, UnixMillis, UnixNanos, VolatilityIndex};

use super::messages::{Candle, Candles, VolatilityPoint, read};
use super::terms::{currency_of, known, origin};
use crate::wire::{About, ParseError, Said, number, time};

/// What an index can be, in percent points; other values are of another scale, or wrong.
const POINTS: std::ops::RangeInclusive<i128> = 5 * 10_i128.pow(18)..=500 * 10_i128.pow(18);
/// Length of the candles that are asked for.
pub(super) const PERIOD_MS: i64 = 60_000;

/// Reads a notification of `deribit_volatility_index.<index>`.
///
/// # Errors
/// Where it is not understood.
pub(super) fn parse_point(data: &str, about: &About<'_>) -> Result<Said, ParseError> {
    let point: VolatilityPoint<'_> = read("volatility index", data)?;
    let currency = InstrumentId::new(&currency_of(&point.index_name))?;
    event(&currency, point.volatility.get(), time(point.timestamp)?, about)
}

/// What an answer says of an index, and what is left to ask for.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The end of the page before, where there is one.
    pub(super) before: Option<i64>,
}

/// Reads the result of `get_volatility_index_data`: the last value of each period that is over, as of the venue's label of the
/// period. `asked_ms` is the venue's time of the answer, where it is known: what has not ended then is left out.
///
/// # Errors
/// What is wrong with the first row that is not understood.
pub(super) fn parse_candles(
    result: &str,
    currency: &InstrumentId,
    length_ms: i64,
    asked_ms: Option<i64>,
    about: &About<'_>,
    said: &mut Vec<Said>,
) -> Result<Page, ParseError> {
    let candles: Candles<'_> = read("volatility index", result)?;
    let mut problem = None;
    for row in candles.data {
        let closed = read::<Candle<'_>>("candle", row.get()).and_then(|(begin, _, _, _, close)| {
            let ts = time(begin)?;
            let is_open = asked_ms.is_some_and(|now| ts.0.saturating_add(length_ms) > now);
            (!is_open).then(|| event(currency, close.get(), ts, about)).transpose()
        });
        match closed {
            Ok(closed) => said.extend(closed),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    match problem {
        Some(error) => Err(error),
        None => Ok(Page {
            before: candles.continuation,
        }),
    }
}

fn event(currency: &InstrumentId, text: &str, ts: UnixMillis, about: &About<'_>) -> Result<Said, ParseError> {
    let index = number("volatility", text)?;
    // What somebody recorded of the old scale is told as it is; live it would be an error of a hundredfold.
    if about.source != Source::Replay && !POINTS.contains(&index.value().scaled()) {
        return Err(ParseError::Impossible {
            field: "volatility",
            text: text.to_owned(),
        });
    }
    Ok(Said::Event {
        instrument: currency.clone(),
        event: Box::new(Event::VolatilityIndex(told(currency, index, ts, about)?)),
        is_sized: true,
    })
}

fn told(
    currency: &InstrumentId,
    index: DecimalText,
    ts: UnixMillis,
    about: &About<'_>,
) -> Result<VolatilityIndex, ParseError> {
    let known = known(currency, about.terms)?;
    // The venue's own name; the settings' is the bare currency.
    let name = InstrumentId::new(&index_name(currency.as_str()))?;
    Ok(VolatilityIndex {
        origin: origin(&name, &known, ts, TsSource::Event, about),
        currency: known.symbol.as_str().into(),
        volatility_index: index,
        maturity: None,
    })
}

/// Returns the venue's name of a currency's index.
pub(super) fn index_name(currency: &str) -> String {
    format!("{}_usd", currency_of(currency).to_lowercase())
}

/// Returns when an answer was made: by the venue's clock in microseconds, else by ours.
pub(super) fn asked_ms(us_out: Option<i64>, ts_recv: Option<UnixNanos>) -> Option<i64> {
    let received = ts_recv.map(|received| received.to_millis().0);
    us_out.map(|us| us / 1_000).or(received)
}
