//! The venue's instruments: what their names say, and what it says of them.

use mprism_model::{Decimal, Exchange, InstrumentId, MarketType, Symbol, UnknownName};

use super::messages::{InstrumentRow, told};
use crate::wire::{Known, ParseError, Sizing, Term, Terms, number, shortened};

/// Returns what can be said of an instrument.
pub(super) fn known(instrument: &InstrumentId, terms: &Terms) -> Result<Known, UnknownName> {
    let term = terms.get(instrument);
    Ok(Known {
        symbol: symbol(instrument)?,
        market_type: market_type(instrument),
        sizing: term.map(|term| term.sizing).or_else(|| usual_sizing(instrument)),
    })
}

/// Returns an instrument's market by its name: `BTC-USDT`, `BTC-USDT-SWAP`, `BTC-USDT-261225`, `BTC-USD-261225-100000-C`.
pub(super) fn market_type(instrument: &InstrumentId) -> MarketType {
    let mut behind_family = instrument.as_str().split('-').skip(2);
    match (behind_family.next(), behind_family.next()) {
        (None, _) => MarketType::Spot,
        (Some("SWAP" | "PERPETUAL"), None) => MarketType::Perpetual,
        (Some(_), None) => MarketType::Future,
        (Some(_), Some(_)) => MarketType::Options,
    }
}

/// Returns which of the venue's markets an instrument belongs to.
pub(super) fn exchange(market_type: MarketType) -> Exchange {
    match market_type {
        MarketType::Spot => Exchange::OkxSpot,
        MarketType::Perpetual | MarketType::Future | MarketType::Options => Exchange::OkxDerivatives,
    }
}

/// Returns the symbol: as MarketPrism's, without the mark of a perpetual. What expires keeps its expiry: nothing else tells it
/// from its neighbours.
fn symbol(instrument: &InstrumentId) -> Result<Symbol, UnknownName> {
    let name = instrument.as_str();
    if !name.contains('-') {
        return Symbol::from_binance(instrument);
    }
    let name = instrument.to_upper();
    let family = name.strip_suffix("-SWAP").or_else(|| name.strip_suffix("-PERPETUAL"));
    Symbol::new(family.filter(|family| !family.is_empty()).unwrap_or(&name))
}

/// Returns the family that an instrument belongs to: `BTC-USD` of `BTC-USD-SWAP`.
pub(super) fn family(instrument: &InstrumentId) -> &str {
    let name = instrument.as_str();
    let second = name.match_indices('-').nth(1);
    second.map_or(name, |(at, _)| &name[..at])
}

/// Returns how an instrument is sized that the venue was not asked about, where that is usual knowledge: coin-margined
/// contracts are worth 100 US dollars for bitcoin and 10 for others; of the linear ones only the largest are known.
///
/// Source: <https://www.okx.com/docs-v5/en/#public-data-rest-api-get-instruments>, as answered in 2022 and in April 2026.
fn usual_sizing(instrument: &InstrumentId) -> Option<Sizing> {
    let value = |text: &str| text.parse::<Decimal>().ok();
    let market_type = market_type(instrument);
    match (market_type, family(instrument)) {
        (MarketType::Spot, _) => Some(Sizing::Base),
        (MarketType::Options, "BTC-USD") => value("0.01").map(Sizing::Linear),
        (MarketType::Options, "ETH-USD") => value("0.1").map(Sizing::Linear),
        (MarketType::Options, _) => None,
        (_, "BTC-USD") => value("100").map(Sizing::Inverse),
        (_, family) if family.ends_with("-USD") => value("10").map(Sizing::Inverse),
        (_, "BTC-USDT") => value("0.01").map(Sizing::Linear),
        (_, "ETH-USDT") => value("0.1").map(Sizing::Linear),
        (_, "BTC-USD_UM") => value("0.0001").map(Sizing::Linear),
        (_, "ETH-USD_UM") => value("0.001").map(Sizing::Linear),
        _ => None,
    }
}

/// Reads what the venue says of an instrument.
pub(super) fn term(text: &str) -> Result<(InstrumentId, Term), ParseError> {
    let what = "instrument";
    let row: InstrumentRow<'_> = serde_json::from_str(text).map_err(|source| ParseError::Json { what, source })?;
    let instrument = InstrumentId::new(&row.inst_id)?;
    let market_type = market_type(&instrument);
    let term = Term {
        symbol: symbol(&instrument)?,
        market_type,
        sizing: sizing(&row, market_type)?,
        tick: told(&row.tick_sz).map(Box::from),
        lot: told(&row.lot_sz).map(Box::from),
        is_trading: told(&row.state) == Some("live"),
        funding_hours: None,
    };
    Ok((instrument, term))
}

/// A contract is worth its value times its multiplier: of base currency, or, where it is inverse, of US dollars.
fn sizing(row: &InstrumentRow<'_>, market_type: MarketType) -> Result<Sizing, ParseError> {
    if market_type == MarketType::Spot {
        return Ok(Sizing::Base);
    }
    let impossible = |text: &str| ParseError::Impossible {
        field: "ctVal",
        text: shortened(text),
    };
    let value_text = told(&row.ct_val).unwrap_or_default();
    let value = number("ctVal", value_text)?.value();
    let multiplier = number("ctMult", told(&row.ct_mult).unwrap_or("1"))?.value();
    let value = value.times(multiplier).filter(|value| value.is_positive());
    let value = value.ok_or_else(|| impossible(value_text))?;
    Ok(match told(&row.ct_type) {
        Some("inverse") => Sizing::Inverse(value),
        // Options name no type; they are sized in their currency.
        Some("linear") | None => Sizing::Linear(value),
        Some(other) => return Err(impossible(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_symbol_market_and_usual_sizes() {
        let linear = |text: &str| Some(Sizing::Linear(text.parse().expect("valid")));
        let inverse = |text: &str| Some(Sizing::Inverse(text.parse().expect("valid")));
        for (name, symbol, market_type, sizing) in [
            ("BTC-USDT", "BTC-USDT", MarketType::Spot, Some(Sizing::Base)),
            ("BTC-USDT-SWAP", "BTC-USDT", MarketType::Perpetual, linear("0.01")),
            ("ETH-USD-SWAP", "ETH-USD", MarketType::Perpetual, inverse("10")),
            ("BTC-USD_UM-SWAP", "BTC-USD_UM", MarketType::Perpetual, linear("0.0001")),
            ("PEPE-USDT-SWAP", "PEPE-USDT", MarketType::Perpetual, None),
            ("BTC-USDT-261225", "BTC-USDT-261225", MarketType::Future, linear("0.01")),
            ("BTC-USD-220527", "BTC-USD-220527", MarketType::Future, inverse("100")),
            (
                "LTC-USD_UM_XPERP-310404",
                "LTC-USD_UM_XPERP-310404",
                MarketType::Future,
                None,
            ),
            (
                "BTC-USD-261225-100000-C",
                "BTC-USD-261225-100000-C",
                MarketType::Options,
                linear("0.01"),
            ),
        ] {
            let known = known(&InstrumentId::new(name).expect("valid"), &Terms::default()).expect("valid");
            assert_eq!(
                (known.symbol.as_str(), known.market_type, known.sizing),
                (symbol, market_type, sizing)
            );
        }
        assert_eq!(
            family(&InstrumentId::new("BTC-USD-261225-100000-C").expect("valid")),
            "BTC-USD"
        );
    }

    #[test]
    fn terms_are_values_times_multipliers_and_win_over_what_is_usual() {
        let row = r#"{"instType":"OPTION","instId":"BTC-USD-261225-100000-C","ctVal":"1","ctMult":"0.01","ctValCcy":"BTC",
            "ctType":"","lotSz":"1","tickSz":"0.0005","state":"live"}"#;
        let (_, option) = term(row).expect("valid");
        assert_eq!(option.sizing, Sizing::Linear("0.01".parse().expect("valid")));
        let row = r#"{"instType":"SWAP","instId":"BTC-USDT-SWAP","ctVal":"0.02","ctMult":"","ctType":"linear","state":"suspend"}"#;
        let (instrument, swap) = term(row).expect("valid");
        assert!(!swap.is_trading && swap.tick.is_none());
        let mut terms = Terms::default();
        terms.set(instrument.clone(), swap);
        let known = known(&instrument, &terms).expect("valid");
        assert_eq!(known.sizing, Some(Sizing::Linear("0.02".parse().expect("valid"))));
        for wrong in [
            "\"ctVal\":\"0\"",
            "\"ctVal\":\"\"",
            "\"ctVal\":\"x\"",
            "\"ctType\":\"quanto\"",
        ] {
            let key = wrong.split(':').next().expect("a key");
            let kept: Vec<_> = row.split(',').filter(|field| !field.starts_with(key)).collect();
            let text = kept.join(",").replacen('{', &format!("{{{wrong},"), 1);
            assert!(term(&text).is_err(), "{text}");
        }
    }
}
