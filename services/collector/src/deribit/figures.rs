//! Open interest and funding rates: what tickers, order books by REST and summaries say of an instrument.

use mprism_model::{
    DecimalText, Event, FundingKind, FundingRate, InstrumentId, MarketType, OpenInterest, TsSource, UnixMillis,
};
use serde_json::value::RawValue;

use super::messages::{Figures, FundingRow, read};
use super::terms::{known, origin};
use crate::wire::{About, Known, ParseError, Said, Sizing, number, time};

/// Reads what a ticker or its like says; an incremental ticker says only what changed.
///
/// # Errors
/// Where a part of it is not understood; the other parts are said.
pub(super) fn parse_figures(data: &str, about: &About<'_>, said: &mut Vec<Said>) -> Result<(), ParseError> {
    let figures: Figures<'_> = read("ticker", data)?;
    let instrument = InstrumentId::new(&figures.instrument_name)?;
    let known = known(&instrument, about.terms)?;
    let ts = figures.timestamp.or(figures.creation_timestamp);
    let ts = time(ts.ok_or(ParseError::Time(0))?)?;
    let told = Told {
        instrument: &instrument,
        known: &known,
        ts,
        mark_price: price("mark_price", figures.mark_price)?,
        index_price: price("index_price", figures.index_price)?,
        about,
    };
    let mut result = Ok(());
    let mut add = |found: Result<Option<Said>, ParseError>| match found {
        Ok(found) => said.extend(found),
        Err(error) if result.is_ok() => result = Err(error),
        Err(_) => {}
    };
    add(told.open_interest(figures.open_interest));
    add(told.funding_rate(figures.funding_8h, figures.current_funding));
    result
}

/// Reads the past funding rates of a perpetual, which the answer does not name.
///
/// # Errors
/// Where it is not understood.
pub(super) fn parse_funding(row: &str, instrument: &InstrumentId, about: &About<'_>) -> Result<Said, ParseError> {
    let row: FundingRow<'_> = read("funding rate", row)?;
    let known = known(instrument, about.terms)?;
    let told = Told {
        instrument,
        known: &known,
        ts: time(row.timestamp)?,
        mark_price: None,
        index_price: price("index_price", row.index_price)?,
        about,
    };
    let rate = fraction("interest_8h", row.interest_8h)?;
    Ok(told.rate(FundingKind::Settled, rate, None))
}

/// What is said beside a figure.
struct Told<'a> {
    instrument: &'a InstrumentId,
    known: &'a Known,
    ts: UnixMillis,
    mark_price: Option<DecimalText>,
    index_price: Option<DecimalText>,
    about: &'a About<'a>,
}

impl Told<'_> {
    fn open_interest(&self, value: Option<&RawValue>) -> Result<Option<Said>, ParseError> {
        let Some(value) = value.filter(|_| self.known.market_type != MarketType::Spot) else {
            return Ok(None);
        };
        let open = number("open_interest", value.get())?;
        if open.value().scaled() < 0 {
            return Err(ParseError::Impossible {
                field: "open_interest",
                text: open.text().to_owned(),
            });
        }
        let price = self.mark_price.as_ref().or(self.index_price.as_ref());
        let base = match self.known.sizing {
            Some(Sizing::Base) => Some(open.clone()),
            Some(sizing) => price
                .and_then(|price| sizing.base(open.value(), price.value()))
                .map(DecimalText::shortest),
            None => None,
        };
        let is_base = self.known.sizing == Some(Sizing::Base);
        // An option's mark price is in base currency.
        let value_usd = match (self.known.sizing, self.known.market_type) {
            (_, MarketType::Options) => None,
            (Some(Sizing::Inverse(_)), _) => Some(open.clone()),
            (Some(Sizing::Base), _) => self.mark_price.as_ref().and_then(|price| {
                let value = open.value().times(price.value())?;
                Some(DecimalText::shortest(value))
            }),
            _ => None,
        };
        let is_sized = base.is_some();
        let interest = OpenInterest {
            origin: self.origin(),
            open_interest: base.unwrap_or_else(|| open.clone()),
            value_usd,
            unit: self.base_currency(),
            contracts: (!is_base).then_some(open),
            count: None,
            mark_price: self.mark_price.clone(),
            index_price: self.index_price.clone(),
            change_24h: None,
            change_24h_percent: None,
        };
        Ok(Some(self.event(Event::OpenInterest(interest), is_sized)))
    }

    /// Funding is paid continuously: the rate of the past eight hours is an estimate until an hour of it is over.
    fn funding_rate(&self, value: Option<&RawValue>, premium: Option<&RawValue>) -> Result<Option<Said>, ParseError> {
        let Some(value) = value.filter(|_| self.known.market_type == MarketType::Perpetual) else {
            return Ok(None);
        };
        let rate = fraction("funding_8h", value)?;
        let premium = premium
            .map(|premium| number("current_funding", premium.get()))
            .transpose()?;
        Ok(Some(self.rate(FundingKind::Estimated, rate, premium)))
    }

    fn rate(&self, kind: FundingKind, rate: DecimalText, premium_index: Option<DecimalText>) -> Said {
        let rate = FundingRate {
            origin: self.origin(),
            kind,
            current_funding_rate: rate,
            estimated_funding_rate: None,
            funding_ts: None,
            next_funding_ts: None,
            funding_interval: Some("8h".into()),
            mark_price: self.mark_price.clone(),
            index_price: self.index_price.clone(),
            premium_index,
        };
        self.event(Event::FundingRate(rate), true)
    }

    fn origin(&self) -> mprism_model::Origin {
        origin(self.instrument, self.known, self.ts, TsSource::Event, self.about)
    }

    fn event(&self, event: Event, is_sized: bool) -> Said {
        Said::Event {
            instrument: self.instrument.clone(),
            event: Box::new(event),
            is_sized,
        }
    }

    fn base_currency(&self) -> Option<Box<str>> {
        let symbol = self.known.symbol.as_str();
        let name = symbol.split_once('-').map_or(symbol, |(base, _)| base);
        Some(super::terms::currencies(name).0.into())
    }
}

/// Reads a price; zero says that there is none.
fn price(field: &'static str, value: Option<&RawValue>) -> Result<Option<DecimalText>, ParseError> {
    let price = value.map(|value| number(field, value.get())).transpose()?;
    Ok(price.filter(|price| price.value().is_positive()))
}

/// Reads a rate: a fraction of a position.
fn fraction(field: &'static str, value: &RawValue) -> Result<DecimalText, ParseError> {
    let rate = number(field, value.get())?;
    if rate.value().scaled().abs() <= 10_i128.pow(18) {
        return Ok(rate);
    }
    Err(ParseError::Impossible {
        field,
        text: rate.text().to_owned(),
    })
}
