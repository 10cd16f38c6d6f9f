//! Funding rates: what holders of a perpetual pay each other.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::Xxh3;

use crate::market::names;
use crate::origin::{Incoming, Outgoing, above_zero, short_text, storable};
use crate::{DataType, Decimal, DecimalText, MessageId, Origin, Subject, UnixMillis};

/// One, in units of 10⁻¹⁸.
const ONE: i128 = 10_i128.pow(18);

names! {
    /// Whether a rate was paid.
    pub enum FundingKind ("funding kind") {
        /// What the running period would pay if it ended now.
        Estimated = "estimated",
        /// What a period that is over paid.
        Settled = "settled",
    }
}

/// One funding rate at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundingRate {
    /// Whom it is about, when, and how it reached us.
    pub origin: Origin,
    /// Whether it was paid.
    pub kind: FundingKind,
    /// The rate, a fraction per interval (not percent); longs pay shorts where it is above zero.
    pub current_funding_rate: DecimalText,
    /// The rate that the venue expects for the period after, a fraction per interval.
    pub estimated_funding_rate: Option<DecimalText>,
    /// The settlement that the rate applies to.
    pub funding_ts: Option<UnixMillis>,
    /// The next settlement.
    pub next_funding_ts: Option<UnixMillis>,
    /// Time between settlements as the original writes it, for example `8h`.
    pub funding_interval: Option<Box<str>>,
    /// Mark price in quote currency.
    pub mark_price: Option<DecimalText>,
    /// Index price in quote currency.
    pub index_price: Option<DecimalText>,
    /// How far the perpetual trades from its index, a fraction.
    pub premium_index: Option<DecimalText>,
}

impl FundingRate {
    /// Returns where the rate is published.
    pub fn subject(&self) -> Subject {
        self.origin.subject(DataType::FundingRate)
    }

    /// Returns a hash of what every source of a rate says: event time, kind, and the rate by value.
    pub fn content_hash(&self) -> u64 {
        content_hash(self.origin.ts, self.kind.as_str(), self.current_funding_rate.value())
    }

    /// Returns the `Nats-Msg-Id`.
    pub fn message_id(&self) -> MessageId {
        let (exchange, symbol, ts, kind) = (self.origin.exchange, &self.origin.symbol, self.origin.ts.0, self.kind);
        let hash = self.content_hash();
        MessageId(format!("funding_rate:{exchange}:{symbol}:{ts}:{kind}#{hash:016x}"))
    }
}

/// The hash behind [`FundingRate::content_hash`], for a row read back from its table.
pub fn content_hash(ts: UnixMillis, kind: &str, rate: Decimal) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&ts.0.to_le_bytes());
    hasher.update(kind.as_bytes());
    hasher.update(&[0]);
    hasher.update(&rate.scaled().to_le_bytes());
    hasher.digest()
}

/// The figures on the bus.
#[derive(Serialize, Deserialize)]
struct Figures {
    kind: Option<FundingKind>,
    current_funding_rate: DecimalText,
    estimated_funding_rate: Option<DecimalText>,
    funding_ts_ms: Option<UnixMillis>,
    next_funding_ts_ms: Option<UnixMillis>,
    funding_interval: Option<Box<str>>,
    mark_price: Option<DecimalText>,
    index_price: Option<DecimalText>,
    premium_index: Option<DecimalText>,
}

impl Figures {
    fn check(&self) -> Result<(), String> {
        let is_fraction = |rate: &DecimalText| rate.value().scaled().abs() <= ONE;
        let rates = [Some(&self.current_funding_rate), self.estimated_funding_rate.as_ref()];
        if let Some(rate) = rates.into_iter().flatten().find(|rate| !is_fraction(rate)) {
            return Err(format!("a rate of {rate} is no fraction of a position"));
        }
        above_zero([
            ("mark_price", self.mark_price.as_ref()),
            ("index_price", self.index_price.as_ref()),
        ])?;
        if let Some(interval) = &self.funding_interval {
            short_text("funding_interval", interval, 16)?;
        }
        let times = [
            ("funding_ts_ms", self.funding_ts_ms),
            ("next_funding_ts_ms", self.next_funding_ts_ms),
        ];
        times
            .into_iter()
            .try_for_each(|(name, ts)| ts.map_or(Ok(()), |ts| storable(name, ts)))
    }
}

impl Serialize for FundingRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let figures = Figures {
            kind: Some(self.kind),
            current_funding_rate: self.current_funding_rate.clone(),
            estimated_funding_rate: self.estimated_funding_rate.clone(),
            funding_ts_ms: self.funding_ts,
            next_funding_ts_ms: self.next_funding_ts,
            funding_interval: self.funding_interval.clone(),
            mark_price: self.mark_price.clone(),
            index_price: self.index_price.clone(),
            premium_index: self.premium_index.clone(),
        };
        Outgoing::new(DataType::FundingRate, &self.origin, "marketprism", figures).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FundingRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let message = Incoming::<Figures>::deserialize(deserializer)?;
        let (origin, figures) = message.open_as(DataType::FundingRate).map_err(D::Error::custom)?;
        figures.check().map_err(D::Error::custom)?;
        Ok(Self {
            origin,
            // The original polls what the running period would pay.
            kind: figures.kind.unwrap_or(FundingKind::Estimated),
            current_funding_rate: figures.current_funding_rate,
            estimated_funding_rate: figures.estimated_funding_rate,
            funding_ts: figures.funding_ts_ms,
            next_funding_ts: figures.next_funding_ts_ms,
            funding_interval: figures.funding_interval,
            mark_price: figures.mark_price,
            index_price: figures.index_price,
            premium_index: figures.premium_index,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::origin::tests::{number, origin, reason, with};
    use crate::{Exchange, MarketType};

    const SUBJECT: &str = "funding_rate.okx_derivatives.perpetual.BTC-USDT";
    const ORIGINAL: &str = r#"{"data_type":"funding_rate","exchange":"okx_derivatives","market_type":"perpetual","symbol":"BTC-USDT",
        "instrument_id":"BTC-USDT-SWAP","current_funding_rate":"0.0001","estimated_funding_rate":null,
        "next_funding_ts_ms":1760083200000,"funding_interval":"8h","mark_price":null,"index_price":null,"premium_index":null,
        "ts_ms":1760054400123,"collected_ts_ms":1760054400120,"publisher":"unified-collector"}"#;

    fn rate() -> FundingRate {
        FundingRate {
            origin: origin(
                Exchange::OkxDerivatives,
                MarketType::Perpetual,
                "BTC-USDT",
                "BTC-USDT-SWAP",
            ),
            kind: FundingKind::Settled,
            current_funding_rate: number("-0.00010000"),
            estimated_funding_rate: Some(number("0")),
            funding_ts: Some(UnixMillis(1_760_054_400_000)),
            next_funding_ts: Some(UnixMillis(1_760_083_200_000)),
            funding_interval: Some("8h".into()),
            mark_price: Some(number("61235.1")),
            index_price: Some(number("61230.4")),
            premium_index: Some(number("-0.0000767")),
        }
    }

    #[test]
    fn a_rate_reads_back_as_itself() {
        let event = Event::FundingRate(rate());
        assert_eq!(Event::parse(SUBJECT, &event.to_json()).expect("valid"), event);
        let json: serde_json::Value = serde_json::from_slice(&event.to_json()).expect("JSON");
        assert_eq!(json["current_funding_rate"], "-0.00010000", "the venue's text");
        assert_eq!(json["kind"], "settled");
    }

    #[test]
    fn a_message_of_the_original_is_understood() {
        let Ok(Event::FundingRate(rate)) = Event::parse(SUBJECT, ORIGINAL.as_bytes()) else {
            panic!("a rate");
        };
        assert_eq!((rate.kind, rate.funding_ts), (FundingKind::Estimated, None));
        assert_eq!(rate.next_funding_ts, Some(UnixMillis(1_760_083_200_000)));
        let id = rate.message_id().0;
        assert!(
            id.starts_with("funding_rate:okx_derivatives:BTC-USDT:1760054400123:estimated#"),
            "{id}"
        );
    }

    #[test]
    fn the_message_id_is_about_what_every_source_says() {
        let mut other = rate();
        other.current_funding_rate = number("-0.0001");
        other.origin.ts_recv = None;
        other.mark_price = None;
        assert_eq!(rate().message_id(), other.message_id());
        other.current_funding_rate = number("0.0001");
        assert_ne!(rate().message_id(), other.message_id());
        let estimated = FundingRate {
            kind: FundingKind::Estimated,
            ..rate()
        };
        assert_ne!(rate().message_id(), estimated.message_id());
    }

    #[test]
    fn impossible_values_are_refused() {
        let refused = |field: &str, value: serde_json::Value| reason(SUBJECT, &with(ORIGINAL, field, value));
        assert!(refused("current_funding_rate", "1.5".into()).contains("fraction"));
        assert!(refused("current_funding_rate", "-1.000001".into()).contains("fraction"));
        assert!(refused("current_funding_rate", serde_json::Value::Null).contains("null"));
        assert!(
            refused("current_funding_rate", 0.0001.into()).contains("string"),
            "no floats"
        );
        assert!(refused("mark_price", "0".into()).contains("above zero"));
        assert!(refused("kind", "guessed".into()).contains("guessed"));
        assert!(refused("next_funding_ts_ms", (-1).into()).contains("stored"));
        assert!(refused("ts_ms", i64::MAX.into()).contains("stored"));
        assert!(refused("data_type", "open_interest".into()).contains("not `funding_rate`"));
    }
}
