//! What instruments are: by the venue's list, else by their names.
//!
//! Source of the names: <https://docs.deribit.com/> (Naming).

use mprism_model::{Decimal, Exchange, InstrumentId, MarketType, Origin, Symbol, TsSource, UnixMillis, UnknownName};

use super::messages::InstrumentRow;
use crate::wire::{About, Known, ParseError, Sizing, Term, Terms};

/// Months in names of dated instruments.
const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
/// Hours that a perpetual's funding rate is an average of; it is paid continuously.
const FUNDING_HOURS: u32 = 8;

/// Returns what can be said of an instrument.
///
/// # Errors
/// Where its name cannot be a symbol.
pub(super) fn known(instrument: &InstrumentId, terms: &Terms) -> Result<Known, UnknownName> {
    match terms.get(instrument) {
        Some(term) => Ok(Known {
            symbol: term.symbol.clone(),
            market_type: term.market_type,
            sizing: Some(term.sizing),
        }),
        None => by_name(instrument.as_str()),
    }
}

/// Returns what an event is about, when it was and how it reached us.
pub(super) fn origin(
    instrument: &InstrumentId,
    known: &Known,
    ts: UnixMillis,
    ts_source: TsSource,
    about: &About<'_>,
) -> Origin {
    Origin {
        exchange: Exchange::DeribitDerivatives,
        market_type: known.market_type,
        symbol: known.symbol.clone(),
        instrument_id: instrument.clone(),
        ts,
        ts_source,
        ts_recv: about.ts_recv,
        source: about.source,
    }
}

/// Returns what an instrument's name says.
pub(super) fn by_name(name: &str) -> Result<Known, UnknownName> {
    let parts: Vec<&str> = name.split('-').collect();
    let (symbol, market_type, sizing) = match parts[..] {
        // The settings' name of a volatility index, and the venue's.
        [index] if !index.contains('_') || index == index.to_lowercase() => {
            (currency_of(index), MarketType::Options, Some(Sizing::Base))
        }
        [pair] => (pair.replacen('_', "-", 1), MarketType::Spot, Some(Sizing::Base)),
        [pair, "PERPETUAL"] => {
            let (base, quote) = currencies(pair);
            let symbol = format!("{base}-{quote}");
            (symbol, MarketType::Perpetual, Some(sizing_of(quote)))
        }
        [pair, expiry] if day_of(expiry).is_some() => {
            let (base, quote) = currencies(pair);
            let symbol = format!("{base}-{quote}-{}", day_of(expiry).unwrap_or_default());
            (symbol, MarketType::Future, Some(sizing_of(quote)))
        }
        // A spread of futures has a price that is a difference: it says nothing of the quantity.
        [_, "FS", _] => (name.to_owned(), MarketType::Future, None),
        _ => (name.to_owned(), MarketType::Options, Some(Sizing::Base)),
    };
    Ok(Known {
        symbol: Symbol::new(&symbol)?,
        market_type,
        sizing,
    })
}

/// Returns the currency of a volatility index: `BTC` of `btc_usd`, and of itself.
pub(super) fn currency_of(index: &str) -> String {
    let base = index.split_once('_').map_or(index, |(base, _)| base);
    base.to_uppercase()
}

/// Returns base and quote of the first part of a name: futures quoted in dollars do not name them.
pub(super) fn currencies(pair: &str) -> (&str, &str) {
    pair.split_once('_').unwrap_or((pair, "USD"))
}

/// Futures quoted in dollars are settled in their base currency: their amounts are dollars. Those quoted in a currency that is
/// held are linear: their amounts are base currency.
fn sizing_of(quote: &str) -> Sizing {
    match quote {
        "USD" => Sizing::Inverse(one()),
        _ => Sizing::Base,
    }
}

fn one() -> Decimal {
    Decimal::from_scaled(10_i128.pow(18)).expect("one is small")
}

/// Reads the day of a dated instrument: `25MAR22` is `220325`.
fn day_of(text: &str) -> Option<String> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (day, rest) = text.split_at(digits);
    let (month, year) = rest.split_at_checked(3)?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let is_year = year.len() == 2 && year.bytes().all(|b| b.is_ascii_digit());
    let day: u8 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    is_year.then(|| format!("{year}{month:02}{day:02}"))
}

/// Reads a row of the venue's list of instruments.
///
/// # Errors
/// Where its name cannot be used.
pub(super) fn term(row: &InstrumentRow<'_>) -> Result<(InstrumentId, Term), ParseError> {
    let instrument = InstrumentId::new(&row.instrument_name)?;
    let named = by_name(instrument.as_str())?;
    let is_perpetual = row.settlement_period.as_deref() == Some("perpetual");
    let market_type = match &*row.kind {
        "spot" => MarketType::Spot,
        "future" if is_perpetual => MarketType::Perpetual,
        "future" | "future_combo" => MarketType::Future,
        _ => MarketType::Options,
    };
    let direction = row.instrument_type.as_deref().or(row.future_type.as_deref());
    let sizing = match (&*row.kind, direction, row.quote_currency.as_deref()) {
        // Options say `reversed`, too: it is their price that is in base currency.
        ("future", Some("linear"), _) => Sizing::Base,
        ("future", Some("reversed" | "inverse"), _) | ("future", None, Some("USD")) => Sizing::Inverse(one()),
        _ => Sizing::Base,
    };
    let number = |value: Option<&serde_json::value::RawValue>| value.map(|value| value.get().into());
    let term = Term {
        symbol: named.symbol,
        market_type,
        sizing,
        tick: number(row.tick_size),
        lot: number(row.min_trade_amount),
        is_trading: match row.state.as_deref() {
            Some(state) => state == "open" || state == "started",
            None => row.is_active.unwrap_or(true),
        },
        funding_hours: is_perpetual.then_some(FUNDING_HOURS),
    };
    Ok((instrument, term))
}
