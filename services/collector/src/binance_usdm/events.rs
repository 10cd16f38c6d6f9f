//! From messages to events. Pure.

use std::borrow::Cow;

use mprism_model::{
    AggregationMode, DataType, Decimal, DecimalText, Event, Exchange, FundingKind, FundingRate, InstrumentId,
    Liquidation, LiquidationStatus, LongShortRatio, OpenInterest, Origin, Population, Side, TsSource, UnixMillis,
    UnixNanos,
};

use super::instruments::{is_coin_margined, known};
use super::messages::{
    ForceOrderEvent, FundingRow, MarkPriceEvent, OpenInterestBody, OpenInterestRow, PremiumIndex, RatioRow, Timestamp,
};
use crate::binance::json;
use crate::wire::{About, ParseError, Said, number, positive, time};

/// One, in units of 10⁻¹⁸: no rate is more.
const ONE: i128 = 10_i128.pow(18);
/// How far two shares may be from 1 together: the venue rounds each to four places.
const ROUNDING: i128 = 10_i128.pow(15);

/// Reads a running rate; what expires has none.
pub(super) fn estimated(raw: &MarkPriceEvent<'_>, about: &About<'_>) -> Result<Said, ParseError> {
    if is_coin_margined(raw.st, &raw.symbol) {
        return Ok(coin_margined(DataType::FundingRate));
    }
    let (rate, next) = (
        raw.rate.as_deref().unwrap_or_default(),
        raw.next_funding_time.unwrap_or(0),
    );
    if rate.is_empty() || next == 0 {
        return Ok(Said::Blank {
            data_type: DataType::FundingRate,
            kind: "mark price of an instrument without funding".into(),
            number: None,
        });
    }
    let origin = origin(&raw.symbol, raw.event_time, about)?;
    let next = time(next)?;
    said(Event::FundingRate(FundingRate {
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
    }))
}

/// Reads a rate that was paid. Its time may be some milliseconds behind the full hour.
pub(super) fn settled(raw: &FundingRow<'_>, about: &About<'_>) -> Result<Said, ParseError> {
    let origin = origin(&raw.symbol, raw.funding_time, about)?;
    said(Event::FundingRate(FundingRate {
        kind: FundingKind::Settled,
        current_funding_rate: fraction(&raw.rate)?,
        estimated_funding_rate: None,
        funding_ts: Some(origin.ts),
        next_funding_ts: None,
        funding_interval: interval(&origin.instrument_id, about),
        mark_price: price("mark price", raw.mark_price.as_deref())?,
        index_price: None,
        premium_index: None,
        origin,
    }))
}

/// Reads a liquidation.
pub(super) fn liquidation(
    raw: &ForceOrderEvent<'_>,
    mode: Option<AggregationMode>,
    about: &About<'_>,
) -> Result<Said, ParseError> {
    let order = &raw.order;
    if is_coin_margined(raw.st, &order.symbol) {
        return Ok(coin_margined(DataType::Liquidation));
    }
    let side = match &*order.side {
        "BUY" => Side::Buy,
        "SELL" => Side::Sell,
        other => return Err(impossible("side", other)),
    };
    let average = price("average price", order.average_price.as_deref())?;
    // An order at the market has no price of its own.
    let own = price("price", Some(&order.price))?;
    let price = own
        .or_else(|| average.clone())
        .ok_or(ParseError::NotPositive { field: "price" })?;
    let quantity = positive("quantity", &order.quantity)?;
    let trade_time = time(order.trade_time)?;
    let notional = price.value().times(quantity.value()).map(DecimalText::shortest);
    let id = format!(
        "binance_{}_{}_{side}_{}_{}",
        trade_time.0,
        order.symbol,
        price.value(),
        quantity.value()
    );
    said(Event::Liquidation(Box::new(Liquidation {
        origin: origin(&order.symbol, raw.event_time, about)?,
        liquidation_id: id.into(),
        side,
        status: order.status.as_deref().and_then(status),
        price,
        quantity,
        filled_quantity: order
            .filled
            .as_deref()
            .map(|text| amount("filled quantity", text))
            .transpose()?,
        notional_value: notional,
        average_price: average,
        margin_ratio: None,
        bankruptcy_price: None,
        contracts: None,
        liquidation_ts: trade_time,
        aggregation_mode: mode,
    })))
}

fn status(text: &str) -> Option<LiquidationStatus> {
    match text {
        "FILLED" => Some(LiquidationStatus::Filled),
        "PARTIALLY_FILLED" => Some(LiquidationStatus::PartiallyFilled),
        "CANCELED" | "EXPIRED" | "EXPIRED_IN_MATCH" => Some(LiquidationStatus::Cancelled),
        "NEW" => Some(LiquidationStatus::Pending),
        _ => None,
    }
}

/// Reads the open interest of now.
pub(super) fn open_interest(raw: &OpenInterestBody<'_>, about: &About<'_>) -> Result<Said, ParseError> {
    interest(&raw.symbol, raw.time, &raw.open_interest, None, about)
}

/// Reads the open interest at the end of one of the venue's periods.
pub(super) fn past_open_interest(raw: &OpenInterestRow<'_>, about: &About<'_>) -> Result<Said, ParseError> {
    let value = raw.value.as_deref().map(|text| amount("value", text)).transpose()?;
    interest(&raw.symbol, raw.timestamp.0, &raw.open_interest, value, about)
}

fn interest(
    symbol: &str,
    at: i64,
    open: &str,
    value_usd: Option<DecimalText>,
    about: &About<'_>,
) -> Result<Said, ParseError> {
    if is_coin_margined(None, symbol) {
        return Ok(coin_margined(DataType::OpenInterest));
    }
    let origin = origin(symbol, at, about)?;
    let base = origin.symbol.as_str().split_once('-').map(|(base, _)| base.into());
    said(Event::OpenInterest(OpenInterest {
        open_interest: amount("open interest", open)?,
        value_usd,
        unit: base,
        contracts: None,
        count: None,
        mark_price: None,
        index_price: None,
        change_24h: None,
        change_24h_percent: None,
        origin,
    }))
}

/// Reads a long/short ratio. `ts` is when it was received, so that no query sees it before it was known; of a recording that
/// does not say when, the label of its period.
pub(super) fn ratio(
    raw: &RatioRow<'_>,
    population: Population,
    period: &str,
    about: &About<'_>,
) -> Result<Said, ParseError> {
    let Timestamp(label) = raw.timestamp;
    let labelled = origin(&raw.symbol, label, about)?;
    let (period_ts, received) = (labelled.ts, about.ts_recv.map(UnixNanos::to_millis));
    let (long, short) = (
        amount("share of the longs", &raw.long)?,
        amount("share of the shorts", &raw.short)?,
    );
    let sum = long.value().scaled().checked_add(short.value().scaled());
    if sum.is_none_or(|sum| (sum - ONE).abs() > ROUNDING) {
        return Err(impossible("share of the longs", &raw.long));
    }
    said(Event::LongShortRatio(LongShortRatio {
        population,
        long_short_ratio: amount("long/short ratio", &raw.ratio)?,
        long_ratio: long,
        short_ratio: short,
        period: period.into(),
        period_ts,
        origin: Origin {
            ts: received.unwrap_or(period_ts),
            ts_source: received.map_or(TsSource::Event, |_| TsSource::Recv),
            ..labelled
        },
    }))
}

/// Says that something is of the other market that shares these streams.
pub(super) fn coin_margined(data_type: DataType) -> Said {
    Said::Blank {
        data_type,
        kind: Cow::Borrowed("coin-margined"),
        number: None,
    }
}

fn said(event: Event) -> Result<Said, ParseError> {
    let instrument = match &event {
        Event::FundingRate(rate) => &rate.origin.instrument_id,
        Event::OpenInterest(interest) => &interest.origin.instrument_id,
        Event::Liquidation(liquidation) => &liquidation.origin.instrument_id,
        Event::LongShortRatio(ratio) => &ratio.origin.instrument_id,
        _ => return Err(ParseError::Unknown),
    };
    Ok(Said::Event {
        instrument: instrument.clone(),
        event: Box::new(event),
        is_sized: true,
    })
}

fn origin(symbol: &str, at: i64, about: &About<'_>) -> Result<Origin, ParseError> {
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

/// Returns the time between two payments as the original writes it, where it is known.
fn interval(instrument: &InstrumentId, about: &About<'_>) -> Option<Box<str>> {
    let hours = about.terms.get(instrument)?.funding_hours?;
    Some(format!("{hours}h").into())
}

/// Reads a price that need not be there; zero says that there is none.
fn price(field: &'static str, text: Option<&str>) -> Result<Option<DecimalText>, ParseError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let value = amount(field, text)?;
    Ok(Some(value).filter(|value| value.value().is_positive()))
}

/// Reads what is zero or more.
fn amount(field: &'static str, text: &str) -> Result<DecimalText, ParseError> {
    let value = number(field, text)?;
    if value.value() < Decimal::ZERO {
        return Err(impossible(field, text));
    }
    Ok(value)
}

/// Reads a rate: no one pays more than a position.
fn fraction(text: &str) -> Result<DecimalText, ParseError> {
    let rate = number("funding rate", text)?;
    if rate.value().scaled().abs() > ONE {
        return Err(impossible("funding rate", text));
    }
    Ok(rate)
}

fn impossible(field: &'static str, text: &str) -> ParseError {
    ParseError::Impossible {
        field,
        text: text.to_owned(),
    }
}

/// Says of open interest what it is worth, by the mark price that `GET /fapi/v1/premiumIndex` answers.
pub(super) fn worth(interest: &mut OpenInterest, body: &str) -> Result<(), ParseError> {
    let raw: PremiumIndex<'_> = serde_json::from_str(body).map_err(json("premium index"))?;
    let raw = MarkPriceEvent::from(raw);
    interest.mark_price = price("mark price", raw.mark_price.as_deref())?;
    interest.index_price = price("index price", raw.index_price.as_deref())?;
    let mark = interest.mark_price.as_ref().map(DecimalText::value);
    let value = mark.and_then(|mark| interest.open_interest.value().times(mark));
    interest.value_usd = value.map(DecimalText::shortest);
    Ok(())
}

/// Returns the venue's time of what was said, or the label of its period.
pub(super) fn time_of(said: &Said) -> Option<UnixMillis> {
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
