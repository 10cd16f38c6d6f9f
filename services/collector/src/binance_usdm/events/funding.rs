//! Funding rates: the running estimate, and what was paid.

use mprism_model::{DecimalText, Event, FundingKind, FundingRate, InstrumentId};

use super::common::{coin_margined, impossible, origin, price, said};
use crate::binance_usdm::instruments::is_coin_margined;
use crate::binance_usdm::messages::{FundingRow, MarkPriceEvent};
use crate::wire::{About, ParseError, Said, number, time};

/// One, in units of 10⁻¹⁸: no rate is more.
const ONE: i128 = 10_i128.pow(18);

/// Reads a running rate; what expires has none.
pub(in crate::binance_usdm) fn estimated(raw: &MarkPriceEvent<'_>, about: &About<'_>) -> Result<Said, ParseError> {
    if is_coin_margined(raw.st, &raw.symbol) {
        return Ok(coin_margined());
    }
    let (rate, next) = (
        raw.rate.as_deref().unwrap_or_default(),
        raw.next_funding_time.unwrap_or(0),
    );
    if rate.is_empty() || next == 0 {
        return Ok(Said::Blank {
            kind: "mark price of an instrument without funding".into(),
            number: None,
        });
    }
    let origin = origin(&raw.symbol, raw.event_time, about)?;
    let instrument = origin.instrument_id.clone();
    let next = time(next)?;
    Ok(said(
        instrument,
        Event::FundingRate(FundingRate {
            kind: FundingKind::Estimated,
            current_funding_rate: fraction(rate)?,
            estimated_funding_rate: None,
            funding_ts: Some(next),
            next_funding_ts: Some(next),
            funding_interval: interval(&origin.instrument_id, about),
            mark_price: price("mark price", raw.mark_price.as_deref())?,
            index_price: price("index price", raw.index_price.as_deref())?,
            premium_index: None,
            origin,
        }),
    ))
}

/// Reads a rate that was paid. Its time may be some milliseconds behind the full hour.
pub(in crate::binance_usdm) fn settled(raw: &FundingRow<'_>, about: &About<'_>) -> Result<Said, ParseError> {
    let origin = origin(&raw.symbol, raw.funding_time, about)?;
    let instrument = origin.instrument_id.clone();
    Ok(said(
        instrument,
        Event::FundingRate(FundingRate {
            kind: FundingKind::Settled,
            current_funding_rate: fraction(&raw.rate)?,
            estimated_funding_rate: None,
            funding_ts: Some(origin.ts),
            next_funding_ts: None,
            // Of its period, which need not be as long as today's.
            funding_interval: None,
            mark_price: price("mark price", raw.mark_price.as_deref())?,
            index_price: None,
            premium_index: None,
            origin,
        }),
    ))
}

/// Returns the time between two payments as the original writes it, where it is known.
fn interval(instrument: &InstrumentId, about: &About<'_>) -> Option<Box<str>> {
    let hours = about.terms.get(instrument)?.funding_hours?;
    Some(format!("{hours}h").into())
}

/// Reads a rate: no one pays more than a position.
fn fraction(text: &str) -> Result<DecimalText, ParseError> {
    let rate = number("funding rate", text)?;
    if rate.value().scaled().abs() > ONE {
        return Err(impossible("funding rate", text));
    }
    Ok(rate)
}
