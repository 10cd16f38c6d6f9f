//! Open interest: how much of a derivative is held.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::Xxh3;

use crate::origin::{Incoming, Outgoing, above_zero, not_negative, short_text};
use crate::{DataType, Decimal, DecimalText, MessageId, Origin, Subject, UnixMillis};

/// The open interest of an instrument at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenInterest {
    /// Whom it is about, when, and how it reached us.
    pub origin: Origin,
    /// How much is open, in [`OpenInterest::unit`] (`open_interest_value` on the bus, `open_interest` in the table).
    pub open_interest: DecimalText,
    /// What that is worth in US dollars (`open_interest_usd` on the bus, `open_interest_value` in the table).
    pub value_usd: Option<DecimalText>,
    /// What [`OpenInterest::open_interest`] counts, as the original writes it: `contracts`, or a currency.
    pub unit: Option<Box<str>>,
    /// How many contracts, where the venue counts in those.
    pub contracts: Option<DecimalText>,
    /// How many there are of what a publisher counts; no venue says it, the original's table has a column for it.
    pub count: Option<u64>,
    /// Mark price in quote currency.
    pub mark_price: Option<DecimalText>,
    /// Index price in quote currency.
    pub index_price: Option<DecimalText>,
    /// Change within 24 hours, in the unit.
    pub change_24h: Option<DecimalText>,
    /// Change within 24 hours, in percent.
    pub change_24h_percent: Option<DecimalText>,
}

impl OpenInterest {
    /// Returns where the open interest is published.
    pub fn subject(&self) -> Subject {
        self.origin.subject(DataType::OpenInterest)
    }

    /// Returns a hash of what every source says: event time and open interest by value. What it is worth depends on which
    /// price the collector had at hand.
    pub fn content_hash(&self) -> u64 {
        content_hash(self.origin.ts, self.open_interest.value())
    }

    /// Returns the `Nats-Msg-Id`.
    pub fn message_id(&self) -> MessageId {
        let (exchange, symbol, ts) = (self.origin.exchange, &self.origin.symbol, self.origin.ts.0);
        let hash = self.content_hash();
        MessageId(format!("open_interest:{exchange}:{symbol}:{ts}#{hash:016x}"))
    }
}

/// The hash behind [`OpenInterest::content_hash`], for a row read back from its table.
pub fn content_hash(ts: UnixMillis, open_interest: Decimal) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&ts.0.to_le_bytes());
    hasher.update(&open_interest.scaled().to_le_bytes());
    hasher.digest()
}

/// The figures on the bus, by the original's names.
#[derive(Serialize, Deserialize)]
struct Figures {
    open_interest_value: DecimalText,
    open_interest_usd: Option<DecimalText>,
    open_interest_unit: Option<Box<str>>,
    contracts: Option<DecimalText>,
    count: Option<u64>,
    mark_price: Option<DecimalText>,
    index_price: Option<DecimalText>,
    change_24h: Option<DecimalText>,
    change_24h_percent: Option<DecimalText>,
}

impl Figures {
    fn check(&self) -> Result<(), String> {
        not_negative([
            ("open_interest_value", Some(&self.open_interest_value)),
            ("open_interest_usd", self.open_interest_usd.as_ref()),
            ("contracts", self.contracts.as_ref()),
        ])?;
        above_zero([
            ("mark_price", self.mark_price.as_ref()),
            ("index_price", self.index_price.as_ref()),
        ])?;
        let unit = self.open_interest_unit.as_deref();
        unit.map_or(Ok(()), |unit| short_text("open_interest_unit", unit, 32))
    }
}

impl Serialize for OpenInterest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let figures = Figures {
            open_interest_value: self.open_interest.clone(),
            open_interest_usd: self.value_usd.clone(),
            open_interest_unit: self.unit.clone(),
            contracts: self.contracts.clone(),
            count: self.count,
            mark_price: self.mark_price.clone(),
            index_price: self.index_price.clone(),
            change_24h: self.change_24h.clone(),
            change_24h_percent: self.change_24h_percent.clone(),
        };
        Outgoing::new(DataType::OpenInterest, &self.origin, "marketprism", figures).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OpenInterest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let message = Incoming::<Figures>::deserialize(deserializer)?;
        let (origin, figures) = message.open_as(DataType::OpenInterest).map_err(D::Error::custom)?;
        figures.check().map_err(D::Error::custom)?;
        Ok(Self {
            origin,
            open_interest: figures.open_interest_value,
            value_usd: figures.open_interest_usd,
            unit: figures.open_interest_unit,
            contracts: figures.contracts,
            count: figures.count,
            mark_price: figures.mark_price,
            index_price: figures.index_price,
            change_24h: figures.change_24h,
            change_24h_percent: figures.change_24h_percent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::origin::tests::{number, origin, reason, with};
    use crate::{Exchange, MarketType};

    const SUBJECT: &str = "open_interest.binance_derivatives.perpetual.BTC-USDT";
    const ORIGINAL: &str = r#"{"data_type":"open_interest","exchange":"binance_derivatives","market_type":"perpetual",
        "symbol":"BTC-USDT","instrument_id":"BTCUSDT","open_interest_value":"81234.567","open_interest_usd":"4974500000.12",
        "open_interest_unit":"contracts","mark_price":"61235.1","index_price":"61230.4","change_24h":null,
        "change_24h_percent":null,"ts_ms":1760054400123,"collected_ts_ms":1760054400120,"publisher":"unified-collector"}"#;

    fn interest() -> OpenInterest {
        OpenInterest {
            origin: origin(
                Exchange::BinanceDerivatives,
                MarketType::Perpetual,
                "BTC-USDT",
                "BTCUSDT",
            ),
            open_interest: number("28123.4560"),
            value_usd: Some(number("1799901184")),
            unit: Some("BTC".into()),
            contracts: Some(number("2812345.6")),
            count: Some(3),
            mark_price: Some(number("64000.1")),
            index_price: None,
            change_24h: Some(number("-12.5")),
            change_24h_percent: Some(number("-0.04")),
        }
    }

    #[test]
    fn open_interest_reads_back_as_itself() {
        let event = Event::OpenInterest(interest());
        assert_eq!(Event::parse(SUBJECT, &event.to_json()).expect("valid"), event);
        let json: serde_json::Value = serde_json::from_slice(&event.to_json()).expect("JSON");
        assert_eq!(json["open_interest_value"], "28123.4560");
        assert_eq!(json["contracts"], "2812345.6");
        assert!(json["index_price"].is_null());
    }

    #[test]
    fn a_message_of_the_original_is_understood() {
        let Ok(Event::OpenInterest(interest)) = Event::parse(SUBJECT, ORIGINAL.as_bytes()) else {
            panic!("open interest");
        };
        assert_eq!(interest.open_interest.text(), "81234.567");
        assert_eq!((interest.contracts.as_ref(), interest.count), (None, None));
        let id = interest.message_id().0;
        assert!(
            id.starts_with("open_interest:binance_derivatives:BTC-USDT:1760054400123#"),
            "{id}"
        );
    }

    #[test]
    fn the_message_id_is_about_what_every_source_says() {
        let mut other = interest();
        other.open_interest = number("28123.456");
        other.value_usd = Some(number("1799901185"));
        other.origin.ts_recv = None;
        assert_eq!(interest().message_id(), other.message_id());
        other.open_interest = number("28123.457");
        assert_ne!(interest().message_id(), other.message_id());
    }

    #[test]
    fn impossible_values_are_refused() {
        let refused = |field: &str, value: serde_json::Value| reason(SUBJECT, &with(ORIGINAL, field, value));
        assert!(refused("open_interest_value", "-1".into()).contains("below zero"));
        assert!(refused("open_interest_value", "1e400".into()).contains("out of range"));
        assert!(refused("index_price", "-1".into()).contains("above zero"));
        assert!(refused("open_interest_unit", "".into()).contains("printable"));
        assert!(refused("count", (-1).into()).contains("u64"));
        let empty = with(ORIGINAL, "open_interest_value", "0".into());
        assert!(Event::parse(SUBJECT, &empty).is_ok(), "a new contract has none");
    }
}
