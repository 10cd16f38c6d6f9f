//! From frames to what they say. Pure: when a frame was received is an argument.

use mprism_model::{AggregationMode, Exchange, InstrumentId, Trade};
use serde_json::value::RawValue;

use super::events::{coin_margined, estimated, liquidation};
use super::instruments::{is_coin_margined, named};
use super::messages::{ForceOrderEvent, MarkPriceEvent};
use crate::binance::{
    AggregateEvent, DepthEvent, Fill, Fills, Frame, Payload, TradeEvent, is_partial_depth, json, open, quick,
};
use crate::wire::{About, Known, ParseError, Said, shortened, time};

/// The stream of every instrument's liquidations.
pub(super) const ALL_LIQUIDATIONS: &str = "!forceOrder@arr";

/// Reads one frame, raw or from a combined stream; several events may stand in a list.
pub(super) fn parse_frame(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    if text.starts_with('[') {
        return each_row(text, |row| {
            said.push(parse_event(&Payload::of_event(None, row)?, about)?);
            Ok(())
        });
    }
    match quick(text) {
        Some(Fills::One(event)) => {
            said.push(parse_trade(event, about)?);
            return Ok(());
        }
        Some(Fills::Aggregate(event)) => {
            said.push(parse_aggregate(event, about)?);
            return Ok(());
        }
        None => {}
    }
    match open(text)? {
        Frame::Said(answer) => said.push(answer),
        Frame::Payload(payload) if payload.text.starts_with('[') => {
            return each_row(payload.text, |row| {
                let payload = Payload::of_event(payload.stream.clone(), row)?;
                said.push(parse_event(&payload, about)?);
                Ok(())
            });
        }
        Frame::Payload(payload) => said.push(parse_event(&payload, about)?),
    }
    Ok(())
}

/// Reads each row of a list by itself: a bad one does not lose the others. The first error is returned.
pub(super) fn each_row(text: &str, mut read: impl FnMut(&str) -> Result<(), ParseError>) -> Result<(), ParseError> {
    let rows: Vec<&RawValue> = serde_json::from_str(text).map_err(json("list"))?;
    let mut result = Ok(());
    for row in rows {
        result = result.and(read(row.get()));
    }
    result
}

fn parse_event(payload: &Payload<'_>, about: &About<'_>) -> Result<Said, ParseError> {
    let text = payload.text;
    match &*payload.event()? {
        "aggTrade" => parse_aggregate(serde_json::from_str(text).map_err(json("aggregate trade"))?, about),
        "trade" => parse_trade(serde_json::from_str(text).map_err(json("trade"))?, about),
        "depthUpdate" => parse_depth(payload, about),
        "markPriceUpdate" => {
            let raw: MarkPriceEvent<'_> = serde_json::from_str(text).map_err(json("mark price"))?;
            estimated(&raw, about)
        }
        "forceOrder" => {
            let raw: ForceOrderEvent<'_> = serde_json::from_str(text).map_err(json("liquidation"))?;
            let mode = payload.stream.as_deref().map(|stream| match stream {
                ALL_LIQUIDATIONS => AggregationMode::AllSymbol,
                _ => AggregationMode::Filtered,
            });
            liquidation(&raw, mode, about)
        }
        "serverShutdown" => Ok(Said::Leaving),
        other => Ok(Said::Skipped(shortened(other).into())),
    }
}

/// What is collected as trades: aggregates are numbered without holes, and nobody without a key is told the fills' history.
fn parse_aggregate(event: AggregateEvent<'_>, about: &About<'_>) -> Result<Said, ParseError> {
    if is_coin_margined(event.st, &event.symbol) {
        return Ok(coin_margined());
    }
    let named = named(&event.symbol)?;
    let fill = Fill::from(event);
    let number = fill.id;
    Ok(Said::Trade {
        trade: Box::new(fill_of(fill, named, about)?),
        number,
        is_sized: true,
    })
}

/// A fill by itself, numbered apart. What the insurance fund took over, or what reduced somebody else's position, is no trade
/// of the market, and counted with them.
fn parse_trade(event: TradeEvent<'_>, about: &About<'_>) -> Result<Said, ParseError> {
    if is_coin_margined(event.st, &event.symbol) {
        return Ok(coin_margined());
    }
    let named = named(&event.symbol)?;
    let order_type = event.order_type.as_deref().filter(|kind| *kind != "MARKET");
    let kind = order_type.map(|kind| format!("{} fill", shortened(kind)));
    let fill = Fill::from(event);
    let number = fill.countable()?;
    if let Some(kind) = kind {
        return Ok(Said::Blank {
            kind: kind.into(),
            number: Some((named.0, number, time(fill.trade_time)?)),
        });
    }
    Ok(Said::Aggregate {
        trade: Box::new(fill_of(fill, named, about)?),
        number: Some(number),
        is_sized: true,
    })
}

/// Returns a fill as a trade of this market.
pub(super) fn fill_of(
    fill: Fill<'_>,
    (instrument, known): (InstrumentId, Known),
    about: &About<'_>,
) -> Result<Trade, ParseError> {
    fill.into_trade(
        Exchange::BinanceDerivatives,
        instrument,
        known,
        about.ts_recv,
        about.source,
    )
}

/// Diffs, and the best levels alone: they look the same, and only the stream's name tells them apart.
fn parse_depth(payload: &Payload<'_>, about: &About<'_>) -> Result<Said, ParseError> {
    let kind = payload.kind().unwrap_or("depth");
    // With liquidity that no order can take.
    if kind == "rpiDepth" {
        return Ok(Said::Skipped("rpiDepth".into()));
    }
    let event = DepthEvent::read(payload.text)?;
    if is_coin_margined(event.st, &event.symbol) {
        return Ok(coin_margined());
    }
    let instrument = InstrumentId::new(&event.symbol)?;
    if is_partial_depth(kind) {
        let top = event.into_top(about.ts_recv)?;
        return Ok(Said::Depth(Some(instrument), Box::new(top)));
    }
    Ok(Said::Diff(instrument, Box::new(event.into_diff(about.ts_recv)?)))
}
