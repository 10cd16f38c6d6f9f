//! Bodies of the REST interface, recognised by their shape.

use mprism_model::Population;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::events::{estimated, open_interest, past_open_interest, ratio, settled};
use super::instruments::{named, parse_list, with_hours};
use super::messages::{
    FundingInfo, FundingRow, MarkPriceEvent, OpenInterestBody, OpenInterestRow, PremiumIndex, RatioRow,
};
use super::parse::{each_row, fill_of, parse_frame};
use crate::binance::{Depth, Fill, RestAggregate, RestTrade, json};
use crate::wire::{About, ParseError, Said};

/// The period of ratios whose question is not known.
const USUAL_PERIOD: &str = "5m";

/// The fields by which a body, or a row of it, is known.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    e: Option<&'a RawValue>,
    #[serde(borrow, rename = "lastUpdateId")]
    last_update_id: Option<&'a RawValue>,
    #[serde(borrow)]
    symbols: Option<&'a RawValue>,
    #[serde(borrow)]
    a: Option<&'a RawValue>,
    #[serde(borrow, rename = "isBuyerMaker")]
    is_buyer_maker: Option<&'a RawValue>,
    #[serde(borrow, rename = "fundingRate")]
    funding_rate: Option<&'a RawValue>,
    #[serde(borrow, rename = "fundingIntervalHours")]
    funding_hours: Option<&'a RawValue>,
    #[serde(borrow, rename = "lastFundingRate")]
    last_funding_rate: Option<&'a RawValue>,
    #[serde(borrow, rename = "openInterest")]
    open_interest: Option<&'a RawValue>,
    #[serde(borrow, rename = "sumOpenInterest")]
    sum_open_interest: Option<&'a RawValue>,
    #[serde(borrow, rename = "longShortRatio")]
    ratio: Option<&'a RawValue>,
    /// By this name, positions and not accounts.
    #[serde(borrow, rename = "longPosition")]
    long_position: Option<&'a RawValue>,
    #[serde(borrow, rename = "serverTime")]
    server_time: Option<&'a RawValue>,
    /// Around the answer of the interface over a websocket.
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

/// Reads a body.
pub(super) fn parse_answer(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    if text.starts_with('[') {
        return each_row(text, |row| parse_one(row, about, said));
    }
    parse_one(text, about, said)
}

fn parse_one(text: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    let fields: Fields<'_> = serde_json::from_str(text).map_err(json("answer"))?;
    if fields.e.is_some() {
        return parse_frame(text, about, said);
    }
    if fields.symbols.is_some() {
        return parse_list(text, about, said);
    }
    let one = if fields.last_update_id.is_some() {
        let snapshot = Depth::read(text.as_bytes(), usize::MAX, about.ts_recv)?;
        Said::Depth(about.instrument.cloned(), Box::new(snapshot))
    } else if fields.a.is_some() {
        let row: RestAggregate<'_> = serde_json::from_str(text).map_err(json("aggregate trade"))?;
        past_trade(row.into(), about)?
    } else if fields.is_buyer_maker.is_some() {
        let row: RestTrade<'_> = serde_json::from_str(text).map_err(json("trade"))?;
        past_trade(row.into(), about)?
    } else if fields.funding_rate.is_some() {
        let row: FundingRow<'_> = serde_json::from_str(text).map_err(json("funding rate"))?;
        settled(&row, about)?
    } else if fields.last_funding_rate.is_some() {
        let body: PremiumIndex<'_> = serde_json::from_str(text).map_err(json("premium index"))?;
        estimated(&MarkPriceEvent::from(body), about)?
    } else if fields.funding_hours.is_some() {
        let row: FundingInfo<'_> = serde_json::from_str(text).map_err(json("funding interval"))?;
        let instrument = mprism_model::InstrumentId::new(&row.symbol)?;
        let term = with_hours(&instrument, row.hours, about.terms)?;
        Said::Terms(vec![(instrument, term)])
    } else if fields.sum_open_interest.is_some() {
        let row: OpenInterestRow<'_> = serde_json::from_str(text).map_err(json("open interest"))?;
        past_open_interest(&row, about)?
    } else if fields.open_interest.is_some() {
        let body: OpenInterestBody<'_> = serde_json::from_str(text).map_err(json("open interest"))?;
        open_interest(&body, about)?
    } else if fields.ratio.is_some() {
        let row: RatioRow<'_> = serde_json::from_str(text).map_err(json("long/short ratio"))?;
        let path = about.path.unwrap_or_default();
        match population(path, fields.long_position.is_some()) {
            Some(population) => ratio(
                &row,
                population,
                parameter(path, "period").unwrap_or(USUAL_PERIOD),
                about,
            )?,
            None => Said::Skipped("long/short ratio of the top accounts, or of nobody known".into()),
        }
    } else if let Some(result) = fields.result.filter(|result| result.get().contains("\"lastUpdateId\"")) {
        let snapshot = Depth::read(result.get().as_bytes(), usize::MAX, about.ts_recv)?;
        Said::Depth(about.instrument.cloned(), Box::new(snapshot))
    } else if fields.server_time.is_some() {
        Said::Skipped("time".into())
    } else {
        return parse_frame(text, about, said);
    };
    said.push(one);
    Ok(())
}

/// What an answer says of trades is no part of the live sequence: it fills holes and shows none.
fn past_trade(fill: Fill<'_>, about: &About<'_>) -> Result<Said, ParseError> {
    let Some(instrument) = about.instrument else {
        return Ok(Said::Skipped("REST body of an unknown instrument".into()));
    };
    Ok(Said::Aggregate {
        trade: Box::new(fill_of(fill, named(instrument.as_str())?, about)?),
        number: None,
        is_sized: true,
    })
}

/// Returns whose ratio it is: the endpoints write the same rows.
fn population(path: &str, has_positions: bool) -> Option<Population> {
    if path.contains("topLongShortPositionRatio") || (path.is_empty() && has_positions) {
        return Some(Population::TopPositions);
    }
    path.contains("globalLongShortAccountRatio")
        .then_some(Population::AllAccounts)
}

/// Returns a parameter of a question.
fn parameter<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = path.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}
