//! What this market's instruments are. All of them are sized in base currency.

use mprism_model::{InstrumentId, MarketType, Symbol, UnknownName};

use crate::binance::{Listed, Names, listed};
use crate::wire::{About, Known, ParseError, Said, Sizing, Term, Terms};

/// Payments of funding that `fundingInfo` does not name are this many hours apart.
pub(super) const USUAL_FUNDING_HOURS: u32 = 8;

/// Returns what an instrument is. Its name says it, always the same, whether the venue's list (`contractType`) is known already or
/// not; perpetuals of shares and metals are perpetuals.
pub(super) fn known(instrument: &InstrumentId) -> Result<Known, UnknownName> {
    let (symbol, market_type) = match expiry(instrument.as_str()) {
        Some((pair, date)) => {
            let pair = Symbol::from_binance(&InstrumentId::new(pair)?)?;
            (Symbol::new(&format!("{pair}-{date}"))?, MarketType::Future)
        }
        None => (Symbol::from_binance(instrument)?, MarketType::Perpetual),
    };
    Ok(Known {
        symbol,
        market_type,
        sizing: Some(Sizing::Base),
    })
}

thread_local! {
    static NAMES: Names = const { Names::new() };
}

/// Returns an instrument by the venue's name for it, and what it is.
pub(super) fn named(text: &str) -> Result<(InstrumentId, Known), UnknownName> {
    NAMES.with(|names| names.read(text, known))
}

/// Returns pair and date (`yymmdd`) of an instrument that expires: `BTCUSDT_261225`.
pub(super) fn expiry(instrument: &str) -> Option<(&str, &str)> {
    let (pair, date) = instrument.rsplit_once('_')?;
    let is_date = date.len() == 6 && date.bytes().all(|byte| byte.is_ascii_digit());
    (is_date && !pair.is_empty()).then_some((pair, date))
}

/// Returns whether something is about COIN-M, whose instruments share streams and limits with these since June 2026: their
/// sizes are contracts. Recordings of before do not say it, but the names do (`BTCUSD_PERP`, `BTCUSD_261225`).
pub(super) fn is_coin_margined(st: Option<u8>, symbol: &str) -> bool {
    match st {
        Some(st) => st != 1,
        None => symbol.split_once('_').is_some_and(|(pair, _)| pair.ends_with("USD")),
    }
}

/// Reads `exchangeInfo`. What `fundingInfo` said before stays.
pub(super) fn parse_list(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    let mut result = Ok(());
    let mut terms = Vec::new();
    for row in listed(text)? {
        match row.and_then(|row| term(&row, about.terms)) {
            Ok(term) => terms.extend(term),
            Err(error) => result = result.and(Err(error)),
        }
    }
    said.push(Said::Terms(terms));
    result
}

/// Returns an instrument's terms; nothing for a coin-margined one.
fn term(row: &Listed<'_>, terms: &Terms) -> Result<Option<(InstrumentId, Term)>, ParseError> {
    if row.contract_size.is_some() {
        return Ok(None);
    }
    let instrument = InstrumentId::new(&row.symbol)?;
    let known = known(&instrument)?;
    let term = Term {
        symbol: known.symbol,
        market_type: known.market_type,
        sizing: Sizing::Base,
        tick: row.tick(),
        lot: row.lot(),
        is_trading: row.is_trading(),
        funding_hours: terms.get(&instrument).and_then(|known| known.funding_hours),
    };
    Ok(Some((instrument, term)))
}

/// Returns the terms of an instrument with this interval of funding.
pub(super) fn with_hours(instrument: &InstrumentId, hours: u32, terms: &Terms) -> Result<Term, ParseError> {
    if !(1..=24 * 7).contains(&hours) {
        return Err(ParseError::Impossible {
            field: "funding interval",
            text: hours.to_string(),
        });
    }
    if let Some(term) = terms.get(instrument) {
        return Ok(Term {
            funding_hours: Some(hours),
            ..term.clone()
        });
    }
    let known = known(instrument)?;
    Ok(Term {
        symbol: known.symbol,
        market_type: known.market_type,
        sizing: Sizing::Base,
        tick: None,
        lot: None,
        is_trading: true,
        funding_hours: Some(hours),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> InstrumentId {
        InstrumentId::new(name).expect("valid")
    }

    #[test]
    fn names_tell_what_expires_and_what_does_not() {
        let known = |name| {
            let known = known(&id(name)).expect("valid");
            (known.symbol.to_string(), known.market_type)
        };
        assert_eq!(known("BTCUSDT"), ("BTC-USDT".to_owned(), MarketType::Perpetual));
        assert_eq!(
            known("1000SHIBUSDT"),
            ("1000SHIB-USDT".to_owned(), MarketType::Perpetual)
        );
        assert_eq!(
            known("BTCUSDT_261225"),
            ("BTC-USDT-261225".to_owned(), MarketType::Future)
        );
        assert!(is_coin_margined(Some(2), "BTCUSDT") && is_coin_margined(None, "BTCUSD_PERP"));
        assert!(!is_coin_margined(None, "BTCUSDT_261225") && !is_coin_margined(Some(1), "BTCUSD_PERP"));
    }

    #[test]
    fn a_list_gives_terms_and_keeps_what_is_known_of_funding() {
        let text = r#"{"symbols":[
            {"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT","contractType":"PERPETUAL","status":"TRADING",
             "filters":[{"filterType":"PRICE_FILTER","tickSize":"0.10"},{"filterType":"LOT_SIZE","stepSize":"0.001"}]},
            {"symbol":"BTCUSDT_261225","baseAsset":"BTC","quoteAsset":"USDT","contractType":"CURRENT_QUARTER","status":"TRADING"},
            {"symbol":"NVDAUSDT","baseAsset":"NVDA","quoteAsset":"USDT","contractType":"TRADIFI_PERPETUAL","status":"SETTLING"},
            {"symbol":"BTCUSD_PERP","baseAsset":"BTC","quoteAsset":"USD","contractType":"PERPETUAL","contractSize":100},
            {"symbol":7}]}"#;
        let mut terms = Terms::default();
        terms.set(
            id("BTCUSDT"),
            with_hours(&id("BTCUSDT"), 4, &Terms::default()).expect("valid"),
        );
        let about = About {
            ts_recv: None,
            source: mprism_model::Source::Rest,
            terms: &terms,
            instrument: None,
            path: None,
        };
        let mut said = Vec::new();
        assert!(parse_list(text, &about, &mut said).is_err(), "one row is torn");
        let [Said::Terms(learnt)] = &said[..] else {
            panic!("{said:?}");
        };
        let told: Vec<_> = learnt
            .iter()
            .map(|(_, t)| (t.symbol.as_str(), t.market_type, t.is_trading, t.funding_hours))
            .collect();
        assert_eq!(
            told,
            [
                ("BTC-USDT", MarketType::Perpetual, true, Some(4)),
                ("BTC-USDT-261225", MarketType::Future, true, None),
                ("NVDA-USDT", MarketType::Perpetual, false, None),
            ]
        );
        let first = &learnt[0].1;
        assert_eq!(
            (first.tick.as_deref(), first.lot.as_deref()),
            (Some("0.10"), Some("0.001"))
        );
    }
}
