//! Liquidations: a sample, at most one for each instrument and second.

use mprism_model::{AggregationMode, DecimalText, Event, Liquidation, LiquidationStatus, Side};

use super::common::{amount, coin_margined, impossible, origin, price, said};
use crate::binance_usdm::instruments::is_coin_margined;
use crate::binance_usdm::messages::ForceOrderEvent;
use crate::wire::{About, ParseError, Said, positive, time};

/// Reads a liquidation.
pub(in crate::binance_usdm) fn liquidation(
    raw: &ForceOrderEvent<'_>,
    mode: Option<AggregationMode>,
    about: &About<'_>,
) -> Result<Said, ParseError> {
    let order = &raw.order;
    if is_coin_margined(raw.st, &order.symbol) {
        return Ok(coin_margined());
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
    let origin = origin(&order.symbol, raw.event_time, about)?;
    let instrument = origin.instrument_id.clone();
    Ok(said(
        instrument,
        Event::Liquidation(Box::new(Liquidation {
            origin,
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
        })),
    ))
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
