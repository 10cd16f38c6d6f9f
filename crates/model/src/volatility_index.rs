//! Volatility indices: what options say about the volatility to come.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::Xxh3;

use crate::origin::{Incoming, Outgoing, short_text};
use crate::{DataType, Decimal, DecimalText, MessageId, Origin, Subject, UnixMillis};

/// What an index can be, in percent points. Outside of this it is another scale (a fraction) or an error.
const RANGE: std::ops::RangeInclusive<i128> = 5 * 10_i128.pow(18)..=500 * 10_i128.pow(18);

/// A volatility index at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolatilityIndex {
    /// Whom it is about, when, and how it reached us. The symbol is the bare currency.
    pub origin: Origin,
    /// What the options are about, for example `BTC`.
    pub currency: Box<str>,
    /// The index: annualised volatility in percent points, 5 to 500.
    pub volatility_index: DecimalText,
    /// When the options expire that it is made of, at midnight UTC; `None` for an index of constant maturity, as Deribit's is.
    pub maturity: Option<UnixMillis>,
}

impl VolatilityIndex {
    /// Returns where the index is published.
    pub fn subject(&self) -> Subject {
        self.origin.subject(DataType::VolatilityIndex)
    }

    /// Returns a hash of what every source says: event time and index by value.
    pub fn content_hash(&self) -> u64 {
        content_hash(self.origin.ts, self.volatility_index.value())
    }

    /// Returns the `Nats-Msg-Id`.
    pub fn message_id(&self) -> MessageId {
        let (exchange, symbol, ts) = (self.origin.exchange, &self.origin.symbol, self.origin.ts.0);
        let hash = self.content_hash();
        MessageId(format!("volatility_index:{exchange}:{symbol}:{ts}#{hash:016x}"))
    }
}

/// The hash behind [`VolatilityIndex::content_hash`], for a row read back from its table.
pub fn content_hash(ts: UnixMillis, index: Decimal) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&ts.0.to_le_bytes());
    hasher.update(&index.scaled().to_le_bytes());
    hasher.digest()
}

/// The figures on the bus: the original says the index twice.
#[derive(Serialize, Deserialize)]
struct Figures {
    currency: Option<Box<str>>,
    vol_index: Option<DecimalText>,
    volatility_index: Option<DecimalText>,
    maturity_date: Option<Box<str>>,
}

impl Serialize for VolatilityIndex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let date = |ts: UnixMillis| ts.to_rfc3339().chars().take(10).collect::<String>().into();
        let figures = Figures {
            currency: Some(self.currency.clone()),
            vol_index: Some(self.volatility_index.clone()),
            volatility_index: Some(self.volatility_index.clone()),
            maturity_date: self.maturity.map(date),
        };
        Outgoing::new(DataType::VolatilityIndex, &self.origin, "marketprism", figures).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for VolatilityIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let message = Incoming::<Figures>::deserialize(deserializer)?;
        let (origin, figures) = message.open_as(DataType::VolatilityIndex).map_err(D::Error::custom)?;
        let volatility_index = figures.volatility_index.or(figures.vol_index);
        let index = Self {
            currency: figures.currency.unwrap_or_else(|| origin.symbol.as_str().into()),
            volatility_index: volatility_index.ok_or_else(|| D::Error::missing_field("volatility_index"))?,
            maturity: match figures.maturity_date {
                Some(date) => Some(format!("{date}T00:00:00Z").parse().map_err(D::Error::custom)?),
                None => None,
            },
            origin,
        };
        index.check().map_err(D::Error::custom)?;
        Ok(index)
    }
}

impl VolatilityIndex {
    fn check(&self) -> Result<(), String> {
        short_text("currency", &self.currency, 32)?;
        if !RANGE.contains(&self.volatility_index.value().scaled()) {
            return Err(format!(
                "an index of {} is not 5 to 500 percent points",
                self.volatility_index
            ));
        }
        let maturity = self.maturity;
        maturity.map_or(Ok(()), |ts| crate::origin::storable("maturity_date", ts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::origin::tests::{number, origin, reason, with};
    use crate::{Exchange, MarketType};

    const SUBJECT: &str = "volatility_index.deribit_derivatives.options.BTC";
    const ORIGINAL: &str = r#"{"data_type":"volatility_index","exchange":"deribit_derivatives","market_type":"options",
        "symbol":"BTC","currency":"BTC","vol_index":"41.27","volatility_index":"41.27","data_source":"marketprism",
        "ts_ms":1760054400123,"collected_ts_ms":1760054400120,"publisher":"unified-collector"}"#;

    fn index() -> VolatilityIndex {
        VolatilityIndex {
            origin: origin(Exchange::DeribitDerivatives, MarketType::Options, "BTC", "btc_usd"),
            currency: "BTC".into(),
            volatility_index: number("45.310"),
            maturity: Some(UnixMillis(1_795_132_800_000)),
        }
    }

    #[test]
    fn an_index_reads_back_as_itself() {
        let event = Event::VolatilityIndex(index());
        assert_eq!(Event::parse(SUBJECT, &event.to_json()).expect("valid"), event);
        let json: serde_json::Value = serde_json::from_slice(&event.to_json()).expect("JSON");
        assert_eq!(
            (&json["vol_index"], &json["volatility_index"]),
            (&"45.310".into(), &"45.310".into())
        );
        assert_eq!(json["maturity_date"], "2026-11-20");
    }

    #[test]
    fn a_message_of_the_original_is_understood() {
        let Ok(Event::VolatilityIndex(index)) = Event::parse(SUBJECT, ORIGINAL.as_bytes()) else {
            panic!("an index");
        };
        assert_eq!((&*index.currency, index.maturity), ("BTC", None));
        assert_eq!(index.origin.instrument_id.as_str(), "BTC");
        let id = index.message_id().0;
        assert!(
            id.starts_with("volatility_index:deribit_derivatives:BTC:1760054400123#"),
            "{id}"
        );
    }

    #[test]
    fn the_message_id_is_about_what_every_source_says() {
        let mut other = index();
        other.volatility_index = number("45.31");
        other.origin.ts_recv = None;
        other.maturity = None;
        assert_eq!(index().message_id(), other.message_id());
        other.volatility_index = number("45.32");
        assert_ne!(index().message_id(), other.message_id());
    }

    #[test]
    fn impossible_values_are_refused() {
        let refused = |field: &str, value: serde_json::Value| reason(SUBJECT, &with(ORIGINAL, field, value));
        assert!(
            refused("volatility_index", "0.4127".into()).contains("percent points"),
            "a fraction"
        );
        assert!(refused("volatility_index", "500.1".into()).contains("percent points"));
        assert!(refused("currency", "".into()).contains("currency"));
        assert!(refused("maturity_date", "2026-02-30".into()).contains("2026-02-30"));
        assert!(refused("maturity_date", "2200-01-01".into()).contains("stored"));
    }
}
