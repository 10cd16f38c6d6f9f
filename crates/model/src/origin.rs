//! What every message of a derivative's figures says besides the figures: whom they are about, when, and how they reached us.

use serde::{Deserialize, Serialize};

use crate::{
    DataType, DecimalText, Exchange, InstrumentId, MarketType, Source, Subject, Symbol, TsSource, UnixMillis, UnixNanos,
};

/// Whom an event is about, when it was, and how it reached us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The venue.
    pub exchange: Exchange,
    /// The kind of market.
    pub market_type: MarketType,
    /// The symbol, in mprism's form.
    pub symbol: Symbol,
    /// The venue's own name for the instrument.
    pub instrument_id: InstrumentId,
    /// The venue's event time, or what [`Origin::ts_source`] says instead.
    pub ts: UnixMillis,
    /// Which clock `ts` was read from.
    pub ts_source: TsSource,
    /// When the frame or answer left the socket; `None` where a recording does not say it.
    pub ts_recv: Option<UnixNanos>,
    /// How the event reached us.
    pub source: Source,
}

impl Origin {
    pub(crate) fn subject(&self, data_type: DataType) -> Subject {
        Subject {
            data_type,
            exchange: self.exchange,
            market_type: self.market_type,
            symbol: self.symbol.clone(),
        }
    }
}

/// A message as it is published: MarketPrism's common fields, ours beside them, and the figures `F`.
#[derive(Serialize)]
pub(crate) struct Outgoing<'a, F> {
    data_type: DataType,
    exchange: Exchange,
    market_type: MarketType,
    symbol: &'a Symbol,
    instrument_id: &'a InstrumentId,
    #[serde(flatten)]
    figures: F,
    ts_ms: UnixMillis,
    ts_source: TsSource,
    collected_ts_ms: Option<UnixMillis>,
    ts_recv_ns: Option<UnixNanos>,
    source: Source,
    data_source: &'static str,
    publisher: &'static str,
}

impl<'a, F> Outgoing<'a, F> {
    pub(crate) fn new(data_type: DataType, origin: &'a Origin, data_source: &'static str, figures: F) -> Self {
        Self {
            data_type,
            exchange: origin.exchange,
            market_type: origin.market_type,
            symbol: &origin.symbol,
            instrument_id: &origin.instrument_id,
            figures,
            ts_ms: origin.ts,
            ts_source: origin.ts_source,
            collected_ts_ms: origin.ts_recv.map(UnixNanos::to_millis),
            ts_recv_ns: origin.ts_recv,
            source: origin.source,
            data_source,
            publisher: "unified-collector",
        }
    }
}

/// What is needed of a message; MarketPrism's own carry less than ours.
#[derive(Deserialize)]
pub(crate) struct Incoming<F> {
    pub(crate) data_type: DataType,
    exchange: Exchange,
    market_type: MarketType,
    symbol: Symbol,
    instrument_id: Option<InstrumentId>,
    #[serde(flatten)]
    figures: F,
    ts_ms: UnixMillis,
    ts_source: Option<TsSource>,
    collected_ts_ms: Option<UnixMillis>,
    ts_recv_ns: Option<UnixNanos>,
    source: Option<Source>,
}

impl<F> Incoming<F> {
    /// Takes the message apart. `default` is the clock of a message that does not name one.
    pub(crate) fn open(self, default: TsSource) -> Result<(Origin, F), String> {
        let instrument_id = match self.instrument_id {
            Some(id) => id,
            None => InstrumentId::new(self.symbol.as_str()).map_err(|e| e.to_string())?,
        };
        storable("ts_ms", self.ts_ms)?;
        let origin = Origin {
            exchange: self.exchange,
            market_type: self.market_type,
            symbol: self.symbol,
            instrument_id,
            ts: self.ts_ms,
            ts_source: self.ts_source.unwrap_or(default),
            ts_recv: self.ts_recv_ns.or(self.collected_ts_ms.map(UnixNanos::from)),
            source: self.source.unwrap_or(Source::Ws),
        };
        Ok((origin, self.figures))
    }

    /// As [`Incoming::open`], where only one type is right.
    pub(crate) fn open_as(self, expected: DataType) -> Result<(Origin, F), String> {
        if self.data_type != expected {
            return Err(format!("data_type is `{}`, not `{expected}`", self.data_type));
        }
        self.open(TsSource::Event)
    }
}

/// Refuses a time outside the days that a `Date` column has (1970 to 2149).
pub(crate) fn storable(name: &str, ts: UnixMillis) -> Result<(), String> {
    if u16::try_from(ts.day()).is_ok() {
        return Ok(());
    }
    Err(format!("{name} is {}, no time that can be stored", ts.0))
}

/// Refuses what is not above zero.
pub(crate) fn above_zero<'a>(
    fields: impl IntoIterator<Item = (&'a str, Option<&'a DecimalText>)>,
) -> Result<(), String> {
    for (name, value) in fields {
        if let Some(value) = value
            && !value.value().is_positive()
        {
            return Err(format!("{name} is {value} and must be above zero"));
        }
    }
    Ok(())
}

/// Refuses what is below zero.
pub(crate) fn not_negative<'a>(
    fields: impl IntoIterator<Item = (&'a str, Option<&'a DecimalText>)>,
) -> Result<(), String> {
    for (name, value) in fields {
        if let Some(value) = value
            && value.value() < crate::Decimal::ZERO
        {
            return Err(format!("{name} is {value} and must not be below zero"));
        }
    }
    Ok(())
}

/// Refuses a text that is empty, longer than `bytes_max` or not printable.
pub(crate) fn short_text(name: &str, text: &str, bytes_max: usize) -> Result<(), String> {
    if text.is_empty() || text.len() > bytes_max || text.chars().any(char::is_control) {
        return Err(format!("{name} must have 1 to {bytes_max} printable bytes"));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Event;

    pub(crate) fn number(text: &str) -> DecimalText {
        DecimalText::new(text).expect("valid")
    }

    pub(crate) fn origin(exchange: Exchange, market_type: MarketType, symbol: &str, instrument_id: &str) -> Origin {
        Origin {
            exchange,
            market_type,
            symbol: Symbol::new(symbol).expect("valid"),
            instrument_id: InstrumentId::new(instrument_id).expect("valid"),
            ts: UnixMillis(1_760_054_400_123),
            ts_source: TsSource::Event,
            ts_recv: Some(UnixNanos(1_760_054_400_125_000_001)),
            source: Source::Rest,
        }
    }

    /// Returns a message with one field changed.
    pub(crate) fn with(message: &str, field: &str, value: serde_json::Value) -> Vec<u8> {
        let mut message: serde_json::Value = serde_json::from_str(message).expect("JSON");
        message[field] = value;
        serde_json::to_vec(&message).expect("JSON")
    }

    /// Returns why a message is refused.
    pub(crate) fn reason(subject: &str, payload: &[u8]) -> String {
        let error = Event::parse(subject, payload).expect_err("refused");
        std::error::Error::source(&error)
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}
