//! Trades.

use compact_str::CompactString;
use mprism_model::{DecimalText, InstrumentId, Side, Trade, TsSource};

use super::instruments::{exchange, known};
use super::messages::TradeRow;
use crate::wire::{About, ParseError, Said, Sizing, positive, shortened};

/// A trade and whether its quantity is in base currency.
struct Sized {
    trade: Trade,
    is_sized: bool,
}

/// Tells a trade as what it is in its channel; `named` is whom the subscription or the question was about.
pub(super) fn told(
    row: &TradeRow<'_>,
    is_merged: bool,
    named: Option<&str>,
    about: &About<'_>,
) -> Result<Said, ParseError> {
    let Sized { trade, is_sized } = trade(row, named, about)?;
    if is_merged {
        return Ok(Said::Aggregate {
            trade: Box::new(trade),
            // Their numbers skip those that they cover.
            number: None,
            is_sized,
        });
    }
    let number = number(&trade)?;
    Ok(Said::Trade {
        trade: Box::new(trade),
        number,
        is_sized,
    })
}

/// Reads a trade.
///
/// Source: <https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-all-trades-channel>.
fn trade(row: &TradeRow<'_>, named: Option<&str>, about: &About<'_>) -> Result<Sized, ParseError> {
    let instrument_id = instrument(row.inst_id.as_deref(), named)?;
    let known = known(&instrument_id, about.terms)?;
    let price = positive("price", &row.px)?;
    let size = positive("size", &row.sz)?;
    let side = side(&row.side)?;
    let (quantity, contracts, is_sized) = in_base(size, &price, known.sizing)?;
    let trade_ts = super::parse::millis(&row.ts)?;
    let trade = Trade {
        exchange: exchange(known.market_type),
        market_type: known.market_type,
        symbol: known.symbol,
        instrument_id,
        trade_id: id(&row.trade_id)?,
        price,
        quantity,
        contracts,
        sequence: None,
        side,
        is_maker: side == Side::Sell,
        trade_ts,
        ts: trade_ts,
        ts_source: TsSource::Trade,
        ts_recv: about.ts_recv,
        source: about.source,
    };
    Ok(Sized { trade, is_sized })
}

/// Returns a trade's number in the venue's numbering of the instrument's fills.
fn number(trade: &Trade) -> Result<u64, ParseError> {
    trade.trade_id.parse().map_err(|_| ParseError::Impossible {
        field: "tradeId",
        text: shortened(&trade.trade_id),
    })
}

/// Returns whom a row is about: what it says itself counts.
pub(super) fn instrument(said: Option<&str>, named: Option<&str>) -> Result<InstrumentId, ParseError> {
    let name = said.filter(|name| !name.is_empty()).or(named);
    Ok(InstrumentId::new(name.unwrap_or_default())?)
}

pub(super) fn side(text: &str) -> Result<Side, ParseError> {
    match text {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        _ => Err(ParseError::Impossible {
            field: "side",
            text: shortened(text),
        }),
    }
}

/// Returns a size in base currency, the venue's own where it is in contracts, and whether the first is known: where the size
/// of a contract is not, the venue's stands in.
pub(super) fn in_base(
    size: DecimalText,
    price: &DecimalText,
    sizing: Option<Sizing>,
) -> Result<(DecimalText, Option<DecimalText>, bool), ParseError> {
    match sizing {
        Some(Sizing::Base) => Ok((size, None, true)),
        None => Ok((size.clone(), Some(size), false)),
        Some(sizing) => {
            let base = sizing.base(size.value(), price.value());
            let base = base.filter(|base| base.is_positive());
            let base = base.ok_or_else(|| ParseError::Impossible {
                field: "size",
                text: shortened(size.text()),
            })?;
            Ok((DecimalText::shortest(base), Some(size), true))
        }
    }
}

/// Takes a trade's id, which is a number everywhere.
fn id(text: &str) -> Result<CompactString, ParseError> {
    let is_number = !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.into()).ok_or_else(|| ParseError::Impossible {
        field: "tradeId",
        text: shortened(text),
    })
}
