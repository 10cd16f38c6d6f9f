//! What every event of this market has, and how its values are read.

use std::borrow::Cow;

use mprism_model::{Decimal, DecimalText, Event, Exchange, InstrumentId, Origin, TsSource, UnixMillis};

use crate::binance_usdm::instruments::known;
use crate::wire::{About, ParseError, Said, number, time};

/// Says that something is of the other market that shares these streams.
pub(in crate::binance_usdm) fn coin_margined() -> Said {
    Said::Blank {
        kind: Cow::Borrowed("coin-margined"),
        number: None,
    }
}

/// Says an event; its quantities, where it has any, are in base currency.
pub(super) fn said(instrument: InstrumentId, event: Event) -> Said {
    Said::Event {
        instrument,
        event: Box::new(event),
        is_sized: true,
    }
}

/// Returns whom an event is about, with the venue's time of it.
pub(super) fn origin(symbol: &str, at: i64, about: &About<'_>) -> Result<Origin, ParseError> {
    let instrument_id = InstrumentId::new(symbol)?;
    let known = known(&instrument_id)?;
    Ok(Origin {
        exchange: Exchange::BinanceDerivatives,
        market_type: known.market_type,
        symbol: known.symbol,
        instrument_id,
        ts: time(at)?,
        ts_source: TsSource::Event,
        ts_recv: about.ts_recv,
        source: about.source,
    })
}

/// Reads a price that need not be there; zero says that there is none.
pub(super) fn price(field: &'static str, text: Option<&str>) -> Result<Option<DecimalText>, ParseError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let value = amount(field, text)?;
    Ok(Some(value).filter(|value| value.value().is_positive()))
}

/// Reads what is zero or more.
pub(super) fn amount(field: &'static str, text: &str) -> Result<DecimalText, ParseError> {
    let value = number(field, text)?;
    if value.value() < Decimal::ZERO {
        return Err(impossible(field, text));
    }
    Ok(value)
}

pub(super) fn impossible(field: &'static str, text: &str) -> ParseError {
    ParseError::Impossible {
        field,
        text: text.to_owned(),
    }
}

/// Returns the venue's time of what was said, or the label of its period.
pub(in crate::binance_usdm) fn time_of(said: &Said) -> Option<UnixMillis> {
    match said {
        Said::Event { event, .. } => match &**event {
            Event::LongShortRatio(ratio) => Some(ratio.period_ts),
            Event::FundingRate(rate) => Some(rate.origin.ts),
            Event::OpenInterest(interest) => Some(interest.origin.ts),
            _ => None,
        },
        _ => None,
    }
}
