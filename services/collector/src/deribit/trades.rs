//! Trades, and the liquidations that they say of themselves.

use mprism_model::{
    AggregationMode, DecimalText, Exchange, InstrumentId, Liquidation, LiquidationStatus, MarketType, Side, Trade,
    TsSource, UnixMillis,
};
use serde_json::value::RawValue;

use super::messages::{TradeRow, read};
use super::terms::{known, origin};
use crate::wire::{About, Known, ParseError, Said, Sizing, positive, time};

/// Longest trade id, in bytes.
const ID_BYTES_MAX: usize = 64;

/// Whether trades are told with their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbering {
    /// They are a part of the sequence.
    Live,
    /// They fill holes and show none.
    Apart,
}

/// Reads an array of trades, each by itself: what is wrong with one does not lose the others.
///
/// # Errors
/// What is wrong with the first one that is not understood.
pub(super) fn parse_trades(
    data: &str,
    numbering: Numbering,
    about: &About<'_>,
    said: &mut Vec<Said>,
) -> Result<(), ParseError> {
    let rows: Vec<&RawValue> = read("list of trades", data)?;
    let mut result = Ok(());
    for row in rows {
        let read = read::<TradeRow<'_>>("trade", row.get());
        result = result.and(read.and_then(|row| tell(&Row::from(&row), numbering, about, said)));
    }
    result
}

/// What a row says.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) trade_seq: u64,
    pub(super) trade_id: &'a str,
    pub(super) timestamp: i64,
    pub(super) instrument_name: &'a str,
    pub(super) price: &'a str,
    pub(super) amount: &'a str,
    pub(super) direction: &'a str,
    pub(super) liquidation: Option<&'a str>,
}

impl<'a> From<&'a TradeRow<'_>> for Row<'a> {
    fn from(row: &'a TradeRow<'_>) -> Self {
        Self {
            trade_seq: row.trade_seq,
            trade_id: &row.trade_id,
            timestamp: row.timestamp,
            instrument_name: &row.instrument_name,
            price: row.price.get(),
            amount: row.amount.get(),
            direction: &row.direction,
            liquidation: row.liquidation.as_deref(),
        }
    }
}

/// Tells a trade, and the liquidations that it is.
pub(super) fn tell(
    row: &Row<'_>,
    numbering: Numbering,
    about: &About<'_>,
    said: &mut Vec<Said>,
) -> Result<(), ParseError> {
    let instrument = InstrumentId::new(row.instrument_name)?;
    let known = known(&instrument, about.terms)?;
    let size = Size::read(row, &known)?;
    let (side, ts) = (side_of(row.direction)?, time(row.timestamp)?);
    if row.trade_id.is_empty() || row.trade_id.len() > ID_BYTES_MAX {
        return Err(impossible("trade_id", row.trade_id));
    }
    let trade = Trade {
        exchange: Exchange::DeribitDerivatives,
        market_type: known.market_type,
        symbol: known.symbol.clone(),
        instrument_id: instrument.clone(),
        trade_id: row.trade_id.into(),
        price: size.price.clone(),
        quantity: size.quantity.clone(),
        contracts: size.contracts.clone(),
        sequence: Some(row.trade_seq),
        side,
        is_maker: side == Side::Sell,
        trade_ts: ts,
        ts,
        // The venue gives a trade one time.
        ts_source: TsSource::Trade,
        ts_recv: about.ts_recv,
        source: about.source,
    };
    let (trade, is_sized) = (Box::new(trade), size.is_known);
    said.push(match numbering {
        Numbering::Live => Said::Trade {
            trade,
            number: row.trade_seq,
            is_sized,
        },
        Numbering::Apart => Said::Aggregate {
            trade,
            number: None,
            is_sized,
        },
    });
    let Some(liquidated) = row.liquidation else {
        return Ok(());
    };
    for order in orders_of(liquidated, row.trade_id, side)? {
        said.push(liquidation(&instrument, &known, order, &size, ts, about));
    }
    Ok(())
}

/// How much was traded, and at which price.
struct Size {
    price: DecimalText,
    /// In base currency, where that is known.
    quantity: DecimalText,
    /// The venue's amount, where that is not in base currency.
    contracts: Option<DecimalText>,
    /// Price times quantity, in quote currency.
    notional: Option<DecimalText>,
    is_known: bool,
}

impl Size {
    fn read(row: &Row<'_>, known: &Known) -> Result<Self, ParseError> {
        let (price, amount) = (positive("price", row.price)?, positive("amount", row.amount)?);
        let base = known.sizing.map(|sizing| sizing.base(amount.value(), price.value()));
        let base = match base {
            Some(None) => return Err(impossible("amount", amount.text())),
            Some(base) => base,
            None => None,
        };
        if base.is_some_and(|base| !base.is_positive()) {
            return Err(ParseError::NotPositive { field: "quantity" });
        }
        let is_base = known.sizing == Some(Sizing::Base);
        // An option's price is in base currency, as its quantity is.
        let notional = match known.sizing {
            _ if known.market_type == MarketType::Options => None,
            Some(Sizing::Inverse(_)) => Some(amount.clone()),
            _ => base
                .and_then(|base| base.times(price.value()))
                .map(DecimalText::shortest),
        };
        Ok(Self {
            price,
            quantity: base
                .filter(|_| !is_base)
                .map_or_else(|| amount.clone(), DecimalText::shortest),
            contracts: (!is_base).then_some(amount),
            notional,
            is_known: base.is_some(),
        })
    }
}

/// A closing order: its side, and the id of the liquidation.
struct ClosingOrder {
    side: Side,
    id: Box<str>,
}

/// Returns the closing orders that a trade filled: the taker's, the maker's, or both. The venue gives a liquidation no id; it
/// is told apart by its trade's.
///
/// Source: <https://docs.deribit.com/> (`trades.{instrument_name}.{interval}`: `liquidation`).
fn orders_of(flag: &str, trade_id: &str, taker: Side) -> Result<Vec<ClosingOrder>, ParseError> {
    let of_taker = || ClosingOrder {
        side: taker,
        id: trade_id.into(),
    };
    let of_maker = || ClosingOrder {
        side: match taker {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        },
        id: format!("{trade_id}-maker").into(),
    };
    match flag {
        "T" => Ok(vec![of_taker()]),
        "M" => Ok(vec![of_maker()]),
        "MT" | "TM" => Ok(vec![of_maker(), of_taker()]),
        "none" => Ok(Vec::new()),
        _ => Err(impossible("liquidation", flag)),
    }
}

fn liquidation(
    instrument: &InstrumentId,
    known: &Known,
    order: ClosingOrder,
    size: &Size,
    ts: UnixMillis,
    about: &About<'_>,
) -> Said {
    let liquidation = Liquidation {
        origin: origin(instrument, known, ts, TsSource::Trade, about),
        liquidation_id: order.id,
        side: order.side,
        status: Some(LiquidationStatus::Filled),
        price: size.price.clone(),
        quantity: size.quantity.clone(),
        filled_quantity: Some(size.quantity.clone()),
        notional_value: size.notional.clone(),
        average_price: Some(size.price.clone()),
        margin_ratio: None,
        bankruptcy_price: None,
        contracts: size.contracts.clone(),
        liquidation_ts: ts,
        aggregation_mode: Some(AggregationMode::Filtered),
    };
    Said::Event {
        instrument: instrument.clone(),
        event: Box::new(mprism_model::Event::Liquidation(Box::new(liquidation))),
        is_sized: size.is_known,
    }
}

fn side_of(direction: &str) -> Result<Side, ParseError> {
    direction.parse().map_err(|_| impossible("direction", direction))
}

fn impossible(field: &'static str, text: &str) -> ParseError {
    ParseError::Impossible {
        field,
        text: text.to_owned(),
    }
}
