//! What happened by the clock.

use serde_json::{Value, json};

use crate::Exchange;
use crate::symbol::{Derivative, Ratio, RatioKind, Source, Symbol, fixed, shortest};

/// The data types that happen by the clock.
pub(super) const TYPES: [&str; 6] = [
    "funding_rate",
    "open_interest",
    "liquidation",
    "lsr_top_position",
    "lsr_all_account",
    "volatility_index",
];

/// Returns the events of a series so far; `None` where the instrument has no such series.
pub(super) fn lines(symbol: &Symbol, data_type: &str, now_ms: i64) -> Option<Vec<Value>> {
    let Source::Synthetic(market) = &symbol.source else {
        return None;
    };
    let derivative = market.derivative.as_ref()?;
    let number = |units: i64| match symbol.exchange {
        Exchange::BinanceSpot | Exchange::BinanceDerivatives => fixed(units),
        _ => shortest(units),
    };
    let series = derivative.series();
    let scale = &market.scale;
    Some(match data_type {
        "funding_rate" if series.marks => {
            let lines = derivative.marks.iter().map(|mark| {
                json!({"ts_ms": mark.ts_ms, "funding_rate": number(mark.rate), "mark_price": number(mark.mark),
                    "index_price": number(mark.index), "next_funding_ms": mark.next_ms})
            });
            lines.collect()
        }
        "open_interest" if series.interests => {
            let lines = derivative.interests.iter();
            let lines =
                lines.map(|point| json!({"ts_ms": point.ts_ms, "open_interest": scale.quantity_of(point.lots)}));
            lines.collect()
        }
        "liquidation" if series.liquidations => {
            let lines = derivative.liquidations.iter().map(|one| {
                json!({"id": one.id.to_string(), "price": scale.price(one.price), "average_price": scale.price(one.average),
                    "quantity": scale.quantity(one.lots), "side": if one.sells { "sell" } else { "buy" },
                    "ts_ms": one.ts_ms})
            });
            lines.collect()
        }
        "liquidation"
            if symbol.exchange == Exchange::DeribitDerivatives && symbol.exchange.has_trades(&symbol.name) =>
        {
            let lines = crate::deribit::liquidations(&market.trades).map(|trade| {
                json!({"id": trade.id.to_string(), "price": scale.price(trade.price),
                    "quantity": scale.quantity(trade.quantity), "side": if trade.taker_sold { "sell" } else { "buy" },
                    "ts_ms": trade.ts_ms})
            });
            lines.collect()
        }
        "lsr_top_position" if series.ratios => ratios(derivative, RatioKind::TopPosition, now_ms),
        "lsr_all_account" if series.ratios => ratios(derivative, RatioKind::AllAccount, now_ms),
        "volatility_index" if series.volatilities => {
            let lines = derivative.volatilities.iter();
            let lines = lines.map(|point| json!({"ts_ms": point.ts_ms, "volatility": point.text()}));
            lines.collect()
        }
        _ => return None,
    })
}

/// Returns the ratios that are published.
fn ratios(derivative: &Derivative, kind: RatioKind, now_ms: i64) -> Vec<Value> {
    let published = |ratio: &&Ratio| ratio.published_ms <= now_ms;
    let lines = derivative.ratios(kind).iter().filter(published).map(|ratio| {
        json!({"ts_ms": ratio.ts_ms, "ratio": ratio.ratio(), "long": ratio.long_share(), "short": ratio.short_share(),
            "published_ms": ratio.published_ms})
    });
    lines.collect()
}
