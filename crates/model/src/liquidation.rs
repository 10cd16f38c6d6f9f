//! Liquidations: positions that a venue closed by force.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::Xxh3;

use crate::market::names;
use crate::origin::{Incoming, Outgoing, above_zero, not_negative, short_text, storable};
use crate::{DataType, Decimal, DecimalText, MessageId, Origin, Side, Subject, UnixMillis};

/// Longest liquidation id, in bytes.
const ID_BYTES_MAX: usize = 128;

names! {
    /// What has become of the closing order.
    pub enum LiquidationStatus ("liquidation status") {
        /// All of it was filled.
        Filled = "filled",
        /// Some of it was filled.
        PartiallyFilled = "partially_filled",
        /// It was cancelled.
        Cancelled = "cancelled",
        /// Nothing of it was filled yet.
        Pending = "pending",
    }
}

names! {
    /// Which instruments the publisher listened for.
    pub enum AggregationMode ("aggregation mode") {
        /// All of the venue's.
        AllSymbol = "all-symbol",
        /// Those that are collected.
        Filtered = "filtered",
    }
}

/// One forced closing of a position. Venues publish a sample of them, never all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Liquidation {
    /// Whom it is about, when, and how it reached us.
    pub origin: Origin,
    /// What it is told apart by within its symbol; venues give none, so the publisher makes it of what they say.
    pub liquidation_id: Box<str>,
    /// The side of the closing order: a long position is sold.
    pub side: Side,
    /// What has become of the closing order, where the venue says it.
    pub status: Option<LiquidationStatus>,
    /// Price in quote currency; OKX gives the bankruptcy price only, at which nothing was traded.
    pub price: DecimalText,
    /// Quantity in base currency.
    pub quantity: DecimalText,
    /// What of that was filled, in base currency.
    pub filled_quantity: Option<DecimalText>,
    /// Price times quantity, in quote currency.
    pub notional_value: Option<DecimalText>,
    /// Average price of the fills, in quote currency.
    pub average_price: Option<DecimalText>,
    /// Margin ratio of the position.
    pub margin_ratio: Option<DecimalText>,
    /// The price at which the position's margin is gone, in quote currency.
    pub bankruptcy_price: Option<DecimalText>,
    /// How many contracts, where the venue counts in those.
    pub contracts: Option<DecimalText>,
    /// The venue's time of the liquidation.
    pub liquidation_ts: UnixMillis,
    /// Which instruments the publisher listened for.
    pub aggregation_mode: Option<AggregationMode>,
}

impl Liquidation {
    /// Returns where the liquidation is published.
    pub fn subject(&self) -> Subject {
        self.origin.subject(DataType::Liquidation)
    }

    /// Returns a hash of what every source says: id, price and quantity by value, side and time.
    pub fn content_hash(&self) -> u64 {
        content_hash(
            &self.liquidation_id,
            self.price.value(),
            self.quantity.value(),
            self.side.as_str(),
            self.liquidation_ts,
        )
    }

    /// Returns the `Nats-Msg-Id`.
    pub fn message_id(&self) -> MessageId {
        let (exchange, symbol, id) = (self.origin.exchange, &self.origin.symbol, &self.liquidation_id);
        let hash = self.content_hash();
        MessageId(format!("liquidation:{exchange}:{symbol}:{id}#{hash:016x}"))
    }
}

/// The hash behind [`Liquidation::content_hash`], for a row read back from its table.
pub fn content_hash(id: &str, price: Decimal, quantity: Decimal, side: &str, ts: UnixMillis) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(id.as_bytes());
    hasher.update(&[0]);
    hasher.update(&price.scaled().to_le_bytes());
    hasher.update(&quantity.scaled().to_le_bytes());
    hasher.update(side.as_bytes());
    hasher.update(&ts.0.to_le_bytes());
    hasher.digest()
}

/// The figures on the bus.
#[derive(Serialize, Deserialize)]
struct Figures {
    liquidation_id: Option<Box<str>>,
    side: Side,
    status: Option<LiquidationStatus>,
    price: DecimalText,
    quantity: DecimalText,
    filled_quantity: Option<DecimalText>,
    notional_value: Option<DecimalText>,
    average_price: Option<DecimalText>,
    margin_ratio: Option<DecimalText>,
    bankruptcy_price: Option<DecimalText>,
    contracts: Option<DecimalText>,
    #[serde(skip_deserializing)]
    liquidation_time: String,
    liquidation_ts_ms: UnixMillis,
    aggregation_mode: Option<AggregationMode>,
}

impl Figures {
    fn check(&self) -> Result<(), String> {
        above_zero([
            ("price", Some(&self.price)),
            ("quantity", Some(&self.quantity)),
            ("average_price", self.average_price.as_ref()),
            ("contracts", self.contracts.as_ref()),
        ])?;
        not_negative([
            ("filled_quantity", self.filled_quantity.as_ref()),
            ("notional_value", self.notional_value.as_ref()),
            ("bankruptcy_price", self.bankruptcy_price.as_ref()),
        ])?;
        if let Some(id) = &self.liquidation_id {
            short_text("liquidation_id", id, ID_BYTES_MAX)?;
        }
        storable("liquidation_ts_ms", self.liquidation_ts_ms)
    }

    /// The original's form for a message without an id, by value and not by text.
    fn made_id(&self) -> Box<str> {
        let (ts, price, quantity) = (self.liquidation_ts_ms.0, self.price.value(), self.quantity.value());
        format!("{ts}:{price}:{quantity}:{}", self.side).into()
    }
}

impl Serialize for Liquidation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let figures = Figures {
            liquidation_id: Some(self.liquidation_id.clone()),
            side: self.side,
            status: self.status,
            price: self.price.clone(),
            quantity: self.quantity.clone(),
            filled_quantity: self.filled_quantity.clone(),
            notional_value: self.notional_value.clone(),
            average_price: self.average_price.clone(),
            margin_ratio: self.margin_ratio.clone(),
            bankruptcy_price: self.bankruptcy_price.clone(),
            contracts: self.contracts.clone(),
            liquidation_time: self.liquidation_ts.to_rfc3339(),
            liquidation_ts_ms: self.liquidation_ts,
            aggregation_mode: self.aggregation_mode,
        };
        Outgoing::new(DataType::Liquidation, &self.origin, "marketprism", figures).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Liquidation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let message = Incoming::<Figures>::deserialize(deserializer)?;
        let (origin, figures) = message.open_as(DataType::Liquidation).map_err(D::Error::custom)?;
        figures.check().map_err(D::Error::custom)?;
        let made_id = figures.made_id();
        Ok(Self {
            origin,
            liquidation_id: figures.liquidation_id.unwrap_or(made_id),
            side: figures.side,
            status: figures.status,
            price: figures.price,
            quantity: figures.quantity,
            filled_quantity: figures.filled_quantity,
            notional_value: figures.notional_value,
            average_price: figures.average_price,
            margin_ratio: figures.margin_ratio,
            bankruptcy_price: figures.bankruptcy_price,
            contracts: figures.contracts,
            liquidation_ts: figures.liquidation_ts_ms,
            aggregation_mode: figures.aggregation_mode,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::origin::tests::{number, origin, reason, with};
    use crate::{Exchange, MarketType};

    const SUBJECT: &str = "liquidation.binance_derivatives.perpetual.ETH-USDT";
    const ORIGINAL: &str = r#"{"data_type":"liquidation","exchange":"binance_derivatives","market_type":"perpetual",
        "symbol":"ETH-USDT","instrument_id":"ETHUSDT","liquidation_id":"binance_1760054399900_ETHUSDT_sell","side":"sell",
        "status":"filled","price":"2410.5","quantity":"3.2","filled_quantity":"3.2","notional_value":"7713.6",
        "liquidation_time":"2025-10-10 00:00:00+00:00","liquidation_ts_ms":1760054399900,"aggregation_mode":"filtered",
        "ts_ms":1760054400123,"collected_ts_ms":1760054400120,"publisher":"unified-collector"}"#;

    fn liquidation() -> Liquidation {
        Liquidation {
            origin: origin(
                Exchange::BinanceDerivatives,
                MarketType::Perpetual,
                "ETH-USDT",
                "ETHUSDT",
            ),
            liquidation_id: "binance_1760054399900_ETHUSDT_sell_3.2_2410.5".into(),
            side: Side::Sell,
            status: Some(LiquidationStatus::PartiallyFilled),
            price: number("2410.50"),
            quantity: number("3.200"),
            filled_quantity: Some(number("0")),
            notional_value: Some(number("7713.6")),
            average_price: Some(number("2410.4")),
            margin_ratio: Some(number("0.99")),
            bankruptcy_price: Some(number("2409")),
            contracts: Some(number("32")),
            liquidation_ts: UnixMillis(1_760_054_399_900),
            aggregation_mode: Some(AggregationMode::AllSymbol),
        }
    }

    #[test]
    fn a_liquidation_reads_back_as_itself() {
        let event = Event::Liquidation(Box::new(liquidation()));
        assert_eq!(Event::parse(SUBJECT, &event.to_json()).expect("valid"), event);
        let json: serde_json::Value = serde_json::from_slice(&event.to_json()).expect("JSON");
        assert_eq!(json["liquidation_time"], "2025-10-09T23:59:59.900Z");
        assert_eq!(json["aggregation_mode"], "all-symbol");
        assert_eq!(json["quantity"], "3.200");
    }

    #[test]
    fn a_message_of_the_original_is_understood() {
        let Ok(Event::Liquidation(found)) = Event::parse(SUBJECT, ORIGINAL.as_bytes()) else {
            panic!("a liquidation");
        };
        assert_eq!(&*found.liquidation_id, "binance_1760054399900_ETHUSDT_sell");
        assert_eq!(found.liquidation_ts, UnixMillis(1_760_054_399_900));
        let id = found.message_id().0;
        assert!(
            id.starts_with("liquidation:binance_derivatives:ETH-USDT:binance_1760054399900_ETHUSDT_sell#"),
            "{id}"
        );
        let nameless = with(ORIGINAL, "liquidation_id", serde_json::Value::Null);
        let Ok(Event::Liquidation(found)) = Event::parse(SUBJECT, &nameless) else {
            panic!("a liquidation");
        };
        assert_eq!(&*found.liquidation_id, "1760054399900:2410.5:3.2:sell");
    }

    #[test]
    fn the_message_id_is_about_what_every_source_says() {
        let mut other = liquidation();
        other.price = number("2410.5");
        other.quantity = number("3.2");
        other.origin.ts = UnixMillis(1);
        other.status = None;
        assert_eq!(liquidation().message_id(), other.message_id());
        other.side = Side::Buy;
        assert_ne!(liquidation().message_id(), other.message_id());
    }

    #[test]
    fn impossible_values_are_refused() {
        let refused = |field: &str, value: serde_json::Value| reason(SUBJECT, &with(ORIGINAL, field, value));
        assert!(refused("price", "0".into()).contains("above zero"));
        assert!(refused("quantity", "-3.2".into()).contains("above zero"));
        assert!(refused("quantity", serde_json::Value::Null).contains("null"));
        assert!(refused("filled_quantity", "-1".into()).contains("below zero"));
        assert!(refused("side", "long".into()).contains("long"));
        assert!(refused("status", "gone".into()).contains("gone"));
        assert!(refused("liquidation_id", "".into()).contains("printable"));
        assert!(refused("liquidation_id", "x".repeat(129).into()).contains("128"));
        assert!(refused("liquidation_ts_ms", i64::MIN.into()).contains("stored"));
    }
}
