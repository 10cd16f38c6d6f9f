//! `exchangeInfo`: which instruments there are.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::json;
use crate::wire::ParseError;

/// One instrument of the list.
#[derive(Debug, Deserialize)]
pub(crate) struct Listed<'a> {
    #[serde(borrow)]
    pub(crate) symbol: Cow<'a, str>,
    /// Quote currency in a contract, of coin-margined ones alone.
    #[serde(rename = "contractSize", borrow)]
    pub(crate) contract_size: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    filters: Vec<Filter<'a>>,
}

#[derive(Debug, Deserialize)]
struct Filter<'a> {
    #[serde(rename = "filterType", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "tickSize", borrow)]
    tick: Option<Cow<'a, str>>,
    #[serde(rename = "stepSize", borrow)]
    step: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    symbols: Vec<&'a RawValue>,
}

impl Listed<'_> {
    /// Returns the smallest step of the price.
    pub(crate) fn tick(&self) -> Option<Box<str>> {
        let filter = self.filters.iter().find(|filter| filter.kind == "PRICE_FILTER")?;
        filter.tick.as_deref().map(Into::into)
    }

    /// Returns the smallest step of the size.
    pub(crate) fn lot(&self) -> Option<Box<str>> {
        let filter = self.filters.iter().find(|filter| filter.kind == "LOT_SIZE")?;
        filter.step.as_deref().map(Into::into)
    }

    /// Returns whether it trades now.
    pub(crate) fn is_trading(&self) -> bool {
        self.status == "TRADING"
    }
}

/// Reads the list, each instrument by itself.
///
/// # Errors
/// Where it is no list of instruments.
pub(crate) fn listed(text: &str) -> Result<impl Iterator<Item = Result<Listed<'_>, ParseError>>, ParseError> {
    let body: Body<'_> = serde_json::from_str(text).map_err(json("list of instruments"))?;
    let rows = body.symbols.into_iter();
    Ok(rows.map(|row| serde_json::from_str(row.get()).map_err(json("instrument"))))
}
