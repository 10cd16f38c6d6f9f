//! Open interest, in base currency.

use mprism_model::{DecimalText, Event, OpenInterest};

use super::common::{amount, coin_margined, origin, price, said};
use crate::binance::json;
use crate::binance_usdm::instruments::is_coin_margined;
use crate::binance_usdm::messages::{MarkPriceEvent, OpenInterestBody, OpenInterestRow, PremiumIndex};
use crate::wire::{About, ParseError, Said};

/// Reads the open interest of now.
pub(in crate::binance_usdm) fn open_interest(
    raw: &OpenInterestBody<'_>,
    about: &About<'_>,
) -> Result<Said, ParseError> {
    interest(&raw.symbol, raw.time, &raw.open_interest, None, about)
}

/// Reads the open interest at the end of one of the venue's periods.
pub(in crate::binance_usdm) fn past_open_interest(
    raw: &OpenInterestRow<'_>,
    about: &About<'_>,
) -> Result<Said, ParseError> {
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
        return Ok(coin_margined());
    }
    let origin = origin(symbol, at, about)?;
    let instrument = origin.instrument_id.clone();
    let base = origin.symbol.as_str().split_once('-').map(|(base, _)| base.into());
    Ok(said(
        instrument,
        Event::OpenInterest(OpenInterest {
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
        }),
    ))
}

/// Says of open interest what it is worth, by the mark price that `GET /fapi/v1/premiumIndex` answers.
pub(in crate::binance_usdm) fn worth(interest: &mut OpenInterest, body: &str) -> Result<(), ParseError> {
    let raw: PremiumIndex<'_> = serde_json::from_str(body).map_err(json("premium index"))?;
    let raw = MarkPriceEvent::from(raw);
    interest.mark_price = price("mark price", raw.mark_price.as_deref())?;
    interest.index_price = price("index price", raw.index_price.as_deref())?;
    let mark = interest.mark_price.as_ref().map(DecimalText::value);
    let value = mark.and_then(|mark| interest.open_interest.value().times(mark));
    interest.value_usd = value.map(DecimalText::shortest);
    Ok(())
}
