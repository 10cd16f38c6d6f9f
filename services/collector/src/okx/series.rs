//! What happens by the clock or now and then: funding, open interest, liquidations, ratios.

use mprism_model::{
    AggregationMode, Decimal, DecimalText, Event, FundingKind, FundingRate, InstrumentId, Liquidation, LongShortRatio,
    OpenInterest, Origin, Population, Side, TsSource, UnixMillis, UnixNanos,
};
use serde_json::value::RawValue;

use super::instruments::{exchange, family, known};
use super::messages::{FundingRow, InterestRow, LiquidationDetail, LiquidationRow, told};
use super::parse::{each, millis};
use super::trades::{in_base, instrument, side};
use crate::wire::{About, Known, ParseError, Said, number, positive, shortened};

/// One, in units of 10⁻¹⁸.
const ONE: i128 = 10_i128.pow(18);
const HOUR_MS: i64 = 3_600_000;
/// Longest id of a liquidation that a message can carry, in bytes.
const ID_BYTES_MAX: usize = 128;

/// Reads a funding rate: what the running period would pay, or, from the history, what was paid.
///
/// Source: <https://www.okx.com/docs-v5/en/#public-data-websocket-funding-rate-channel>.
pub(super) fn funding(text: &str, named: Option<&str>, about: &About<'_>) -> Result<Said, ParseError> {
    let what = "funding rate";
    let row: FundingRow<'_> = serde_json::from_str(text).map_err(|source| ParseError::Json { what, source })?;
    let funding_ts = told(&row.funding_time).map(millis).transpose()?;
    let next_funding_ts = told(&row.next_funding_time).map(millis).transpose()?;
    let instrument = instrument(row.inst_id.as_deref(), named)?;
    let known = known(&instrument, about.terms)?;
    let (kind, rate, ts) = match (told(&row.realized_rate), told(&row.funding_rate)) {
        (Some(paid), _) => (FundingKind::Settled, paid, funding_ts),
        (None, Some(rate)) if row.realized_rate.is_none() => {
            (FundingKind::Estimated, rate, told(&row.ts).map(millis).transpose()?)
        }
        // Not settled yet, or a frame of 2021 that says only what comes after.
        _ => {
            return Ok(Said::Blank {
                kind: "funding rate that is not known yet".into(),
                number: None,
            });
        }
    };
    let interval = funding_ts.zip(next_funding_ts).map(|(this, next)| next.0 - this.0);
    let hours = interval
        .filter(|ms| *ms > 0 && ms % HOUR_MS == 0)
        .map(|ms| ms / HOUR_MS);
    let rate = FundingRate {
        origin: origin(&instrument, &known, ts, about),
        kind,
        current_funding_rate: fraction("fundingRate", rate)?,
        estimated_funding_rate: match told(&row.next_funding_rate) {
            Some(rate) => Some(fraction("nextFundingRate", rate)?),
            None => None,
        },
        funding_ts,
        next_funding_ts,
        funding_interval: hours.map(|hours| format!("{hours}h").into()),
        mark_price: None,
        index_price: None,
        premium_index: told(&row.premium).map(|text| number("premium", text)).transpose()?,
    };
    Ok(event(instrument, Event::FundingRate(rate), true))
}

/// Reads an open interest: in base currency, the contracts beside it.
///
/// Source: <https://www.okx.com/docs-v5/en/#public-data-websocket-open-interest-channel>.
pub(super) fn open_interest(text: &str, named: Option<&str>, about: &About<'_>) -> Result<Said, ParseError> {
    let what = "open interest";
    let row: InterestRow<'_> = serde_json::from_str(text).map_err(|source| ParseError::Json { what, source })?;
    let instrument = instrument(row.inst_id.as_deref(), named)?;
    let known = known(&instrument, about.terms)?;
    let contracts = not_negative("oi", &row.oi)?;
    let base = told(&row.oi_ccy).map(|text| not_negative("oiCcy", text)).transpose()?;
    let is_sized = base.is_some();
    let currency = family(&instrument).split('-').next().unwrap_or_default();
    let interest = OpenInterest {
        origin: origin(&instrument, &known, told(&row.ts).map(millis).transpose()?, about),
        open_interest: base.unwrap_or_else(|| contracts.clone()),
        value_usd: told(&row.oi_usd).map(|text| not_negative("oiUsd", text)).transpose()?,
        unit: Some(if is_sized { currency } else { "contracts" }.into()),
        contracts: Some(contracts),
        count: None,
        mark_price: None,
        index_price: None,
        change_24h: None,
        change_24h_percent: None,
    };
    Ok(event(instrument, Event::OpenInterest(interest), is_sized))
}

/// Reads an instrument's liquidations; one of them that is not understood does not lose the others.
///
/// Source: <https://www.okx.com/docs-v5/en/#public-data-websocket-liquidation-orders-channel>.
pub(super) fn liquidations(
    text: &str,
    named: Option<&str>,
    about: &About<'_>,
    said: &mut Vec<Said>,
) -> Result<(), ParseError> {
    let what = "liquidations";
    let row: LiquidationRow<'_> = serde_json::from_str(text).map_err(|source| ParseError::Json { what, source })?;
    let instrument = instrument(row.inst_id.as_deref(), named)?;
    let known = known(&instrument, about.terms)?;
    each(&row.details, |detail| {
        said.push(liquidation(detail, &instrument, &known, about)?);
        Ok(())
    })
}

fn liquidation(text: &str, instrument: &InstrumentId, known: &Known, about: &About<'_>) -> Result<Said, ParseError> {
    let what = "liquidation";
    let row: LiquidationDetail<'_> = serde_json::from_str(text).map_err(|source| ParseError::Json { what, source })?;
    let side = side(&row.side)?;
    let price = positive("bkPx", &row.bk_px)?;
    let size = positive("size", &row.sz)?;
    let ts = millis(&row.ts)?;
    let position = told(&row.pos_side).unwrap_or("net");
    let liquidation_id = id(instrument, ts, side, &size, &price, position)?;
    let (quantity, contracts, is_sized) = in_base(size, &price, known.sizing)?;
    let notional = is_sized.then(|| price.value().times(quantity.value())).flatten();
    let liquidation = Liquidation {
        origin: origin(instrument, known, Some(ts), about),
        liquidation_id,
        side,
        status: None,
        // The venue tells no other price; nothing was traded at it.
        bankruptcy_price: Some(price.clone()),
        price,
        quantity,
        filled_quantity: None,
        notional_value: notional.map(DecimalText::shortest),
        average_price: None,
        margin_ratio: None,
        contracts,
        liquidation_ts: ts,
        aggregation_mode: Some(AggregationMode::Filtered),
    };
    Ok(event(
        instrument.clone(),
        Event::Liquidation(Box::new(liquidation)),
        is_sized,
    ))
}

/// Makes an id of what tells liquidations apart: the venue repeats old ones to whoever subscribes.
fn id(
    instrument: &InstrumentId,
    ts: UnixMillis,
    side: Side,
    size: &DecimalText,
    price: &DecimalText,
    position: &str,
) -> Result<Box<str>, ParseError> {
    let (ts, size, price) = (ts.0, size.value(), price.value());
    let id = format!("okx_{ts}_{instrument}_{side}_{size}_{price}_{position}");
    let fits = id.len() <= ID_BYTES_MAX && !id.chars().any(char::is_control);
    fits.then(|| id.as_str().into()).ok_or_else(|| ParseError::Impossible {
        field: "posSide",
        text: shortened(position),
    })
}

/// Reads the ratios of an answer, `[time, ratio]` each, of one instrument and one period.
///
/// The venue tells no shares: they follow from the ratio. Source:
/// <https://www.okx.com/docs-v5/en/#trading-statistics-rest-api-get-contract-long-short-ratio>.
pub(super) fn ratios(
    rows: &[&RawValue],
    (population, period): (Population, &str),
    instrument: &InstrumentId,
    about: &About<'_>,
    said: &mut Vec<Said>,
) -> Result<(), ParseError> {
    let known = known(instrument, about.terms)?;
    each(rows, |text| {
        let what = "long/short ratio";
        let row: (&str, &str) = serde_json::from_str(text).map_err(|source| ParseError::Json { what, source })?;
        let long_short_ratio = not_negative("ratio", row.1)?;
        let (long_ratio, short_ratio) = shares(&long_short_ratio)?;
        let ratio = LongShortRatio {
            // When it was said is when it was received: its period ended before.
            origin: origin(instrument, &known, None, about),
            population,
            long_short_ratio,
            long_ratio,
            short_ratio,
            period: period.into(),
            period_ts: millis(row.0)?,
        };
        said.push(event(instrument.clone(), Event::LongShortRatio(ratio), true));
        Ok(())
    })
}

/// Divides one into longs and shorts: r / (1 + r), and the rest.
fn shares(ratio: &DecimalText) -> Result<(DecimalText, DecimalText), ParseError> {
    let value = ratio.value();
    let both = value.scaled().checked_add(ONE).and_then(Decimal::from_scaled);
    let long = both.and_then(|both| value.divided_by(both));
    let short = long.and_then(|long| Decimal::from_scaled(ONE - long.scaled()));
    let shares = long.zip(short).ok_or_else(|| ParseError::Impossible {
        field: "ratio",
        text: shortened(ratio.text()),
    })?;
    Ok((DecimalText::shortest(shares.0), DecimalText::shortest(shares.1)))
}

/// Says whom an event is about, and when it was: without a time of the venue's, when it was received.
fn origin(instrument: &InstrumentId, known: &Known, ts: Option<UnixMillis>, about: &About<'_>) -> Origin {
    let received = about.ts_recv.map(UnixNanos::to_millis);
    Origin {
        exchange: exchange(known.market_type),
        market_type: known.market_type,
        symbol: known.symbol.clone(),
        instrument_id: instrument.clone(),
        ts: ts.or(received).unwrap_or(UnixMillis(0)),
        ts_source: ts.map_or(TsSource::Recv, |_| TsSource::Event),
        ts_recv: about.ts_recv,
        source: about.source,
    }
}

fn event(instrument: InstrumentId, event: Event, is_sized: bool) -> Said {
    Said::Event {
        instrument,
        event: Box::new(event),
        is_sized,
    }
}

/// Reads a rate, which is a fraction of a position.
fn fraction(field: &'static str, text: &str) -> Result<DecimalText, ParseError> {
    let rate = number(field, text)?;
    if rate.value().scaled().abs() <= ONE {
        return Ok(rate);
    }
    Err(ParseError::Impossible {
        field,
        text: shortened(text),
    })
}

fn not_negative(field: &'static str, text: &str) -> Result<DecimalText, ParseError> {
    let value = number(field, text)?;
    if value.value() >= Decimal::ZERO {
        return Ok(value);
    }
    Err(ParseError::Impossible {
        field,
        text: shortened(text),
    })
}
