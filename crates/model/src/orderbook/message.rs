//! An order book as it stands on the bus: MarketPrism's fields and types, and ours beside them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{LEVELS_MAX, Level, OrderBook, UpdateType};
use crate::{DataType, Exchange, InstrumentId, MarketType, Source, Symbol, TsSource, UnixMillis, UnixNanos, Written};

/// Everything but the levels, which are by far the most and are written by hand.
#[derive(Serialize)]
struct Head<'a> {
    data_type: DataType,
    exchange: Exchange,
    market_type: MarketType,
    symbol: &'a Symbol,
    normalized_symbol: &'a Symbol,
    instrument_id: &'a InstrumentId,
    last_update_id: u64,
    first_update_id: Option<u64>,
    prev_update_id: Option<u64>,
    update_type: UpdateType,
    depth_levels: usize,
    ts_ms: UnixMillis,
    ts_source: TsSource,
    collected_ts_ms: Option<UnixMillis>,
    ts_recv_ns: Option<UnixNanos>,
    source: Source,
    data_source: &'a str,
    standardized_at: Option<String>,
    standardization_version: &'a str,
    publisher: &'a str,
}

/// Bytes that a level takes with eight places in both numbers, and that the venue's own size takes beside them.
const LEVEL_BYTES: usize = 56;
const CONTRACTS_BYTES: usize = 32;

impl OrderBook {
    /// Returns the JSON text that is published.
    pub fn to_json(&self) -> Vec<u8> {
        let head = Head {
            data_type: DataType::OrderBook,
            exchange: self.exchange,
            market_type: self.market_type,
            symbol: &self.symbol,
            normalized_symbol: &self.symbol,
            instrument_id: &self.instrument_id,
            last_update_id: self.last_update_id,
            first_update_id: self.first_update_id,
            prev_update_id: self.prev_update_id,
            update_type: self.update_type,
            depth_levels: self.bids.len() + self.asks.len(),
            ts_ms: self.ts,
            ts_source: self.ts_source,
            collected_ts_ms: self.ts_recv.map(UnixNanos::to_millis),
            ts_recv_ns: self.ts_recv,
            source: self.source,
            data_source: "marketprism",
            standardized_at: self.ts_recv.map(|ts| ts.to_millis().to_rfc3339()),
            standardization_version: "2.0",
            publisher: "unified-collector",
        };
        let level_bytes = LEVEL_BYTES + self.contracts.as_ref().map_or(0, |_| CONTRACTS_BYTES);
        let mut out = Vec::with_capacity(640 + (self.bids.len() + self.asks.len()) * level_bytes);
        serde_json::to_writer(&mut out, &head).expect("strings and numbers always serialise");
        // The object is open again for the levels.
        out.pop();
        let contracts = self.contracts.as_deref();
        for (name, levels, contracts) in [
            (",\"bids\":[", &self.bids, contracts.map(|(bids, _)| bids)),
            (",\"asks\":[", &self.asks, contracts.map(|(_, asks)| asks)),
        ] {
            out.extend_from_slice(name.as_bytes());
            for (at, level) in levels.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b"{\"price\":\"" } else { b",{\"price\":\"" });
                level.price.write(&mut out);
                out.extend_from_slice(b"\",\"quantity\":\"");
                level.quantity.write(&mut out);
                if let Some(contracts) = contracts.and_then(|contracts| contracts.get(at)) {
                    out.extend_from_slice(b"\",\"contracts\":\"");
                    contracts.write(&mut out);
                }
                out.extend_from_slice(b"\"}");
            }
            out.push(b']');
        }
        out.push(b'}');
        out
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut level = serializer.serialize_struct("Level", 2)?;
        level.serialize_field("price", &self.price)?;
        level.serialize_field("quantity", &self.quantity)?;
        level.end()
    }
}

impl<'de> Deserialize<'de> for Level {
    /// Reads `{"price": …, "quantity": …}` or `["price", "quantity"]`; both forms are in use.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Level;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a level: an object or a pair")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Level, A::Error> {
                let (mut price, mut quantity) = (None, None);
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match &*key {
                        "price" => price = Some(map.next_value::<Written>()?),
                        "quantity" => quantity = Some(map.next_value::<Written>()?),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Level {
                    price: price.ok_or_else(|| A::Error::missing_field("price"))?,
                    quantity: quantity.ok_or_else(|| A::Error::missing_field("quantity"))?,
                })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Level, A::Error> {
                let price = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let quantity = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Level { price, quantity })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// What is needed of a book on the bus; MarketPrism's own messages carry less than ours.
#[derive(Deserialize)]
struct Incoming {
    data_type: DataType,
    exchange: Exchange,
    market_type: MarketType,
    symbol: Symbol,
    instrument_id: Option<InstrumentId>,
    last_update_id: u64,
    first_update_id: Option<u64>,
    prev_update_id: Option<u64>,
    update_type: Option<UpdateType>,
    bids: Vec<Level>,
    asks: Vec<Level>,
    ts_ms: UnixMillis,
    ts_source: Option<TsSource>,
    collected_ts_ms: Option<UnixMillis>,
    ts_recv_ns: Option<UnixNanos>,
    source: Option<Source>,
}

impl<'de> Deserialize<'de> for OrderBook {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let message = Incoming::deserialize(deserializer)?;
        if message.data_type != DataType::OrderBook {
            let other = message.data_type;
            return Err(D::Error::custom(format_args!(
                "data_type is `{other}`, not `orderbook`"
            )));
        }
        check_sides(&message.bids, &message.asks).map_err(D::Error::custom)?;
        let instrument_id = match message.instrument_id {
            Some(id) => id,
            None => InstrumentId::new(message.symbol.as_str()).map_err(D::Error::custom)?,
        };
        Ok(Self {
            exchange: message.exchange,
            market_type: message.market_type,
            symbol: message.symbol,
            instrument_id,
            last_update_id: message.last_update_id,
            first_update_id: message.first_update_id,
            prev_update_id: message.prev_update_id,
            update_type: message.update_type.unwrap_or(UpdateType::Update),
            bids: message.bids,
            asks: message.asks,
            // Nobody behind the bus asks for them.
            contracts: None,
            ts: message.ts_ms,
            ts_source: message.ts_source.unwrap_or(TsSource::Event),
            ts_recv: message.ts_recv_ns.or(message.collected_ts_ms.map(UnixNanos::from)),
            source: message.source.unwrap_or(Source::Ws),
        })
    }
}

/// Refuses what is no book: an empty side, too many levels, a level of nothing, a wrong order, or crossed sides.
fn check_sides(bids: &[Level], asks: &[Level]) -> Result<(), &'static str> {
    let (Some(bid), Some(ask)) = (bids.first(), asks.first()) else {
        return Err("a side of the book is empty");
    };
    if bids.len() > LEVELS_MAX || asks.len() > LEVELS_MAX {
        return Err("more than 400 levels on a side");
    }
    if bids
        .iter()
        .chain(asks)
        .any(|l| l.price.is_zero() || l.quantity.is_zero())
    {
        return Err("a level without price or quantity");
    }
    let falls = bids.windows(2).all(|pair| pair[0].price > pair[1].price);
    let rises = asks.windows(2).all(|pair| pair[0].price < pair[1].price);
    if !falls || !rises {
        return Err("levels out of order");
    }
    if bid.price >= ask.price {
        return Err("the book is crossed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    fn level(price: &str, quantity: &str) -> Level {
        Level {
            price: Written::new(price).expect("valid"),
            quantity: Written::new(quantity).expect("valid"),
        }
    }

    fn book() -> OrderBook {
        OrderBook {
            exchange: Exchange::BinanceSpot,
            market_type: MarketType::Spot,
            symbol: Symbol::new("BTC-USDT").expect("valid"),
            instrument_id: InstrumentId::new("BTCUSDT").expect("valid"),
            last_update_id: 117,
            first_update_id: Some(101),
            prev_update_id: Some(100),
            update_type: UpdateType::Update,
            bids: vec![level("64000.10000000", "1.20000000"), level("63999", "0.5")],
            asks: vec![level("64000.20000000", "3.10000000")],
            contracts: None,
            ts: UnixMillis(1_795_176_000_200),
            ts_source: TsSource::Event,
            ts_recv: Some(UnixNanos(1_795_176_000_201_000_000)),
            source: Source::Ws,
        }
    }

    const SUBJECT: &str = "orderbook.binance_spot.spot.BTC-USDT";

    #[test]
    fn a_book_reads_back_as_itself_and_says_what_the_original_said() {
        let event = Event::OrderBook(Box::new(book()));
        let json = event.to_json();
        assert_eq!(Event::parse(SUBJECT, &json).expect("valid"), event);
        let value: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(
            value["bids"][0],
            serde_json::json!({"price": "64000.10000000", "quantity": "1.20000000"})
        );
        assert_eq!(value["depth_levels"], 3);
        assert_eq!(value["standardized_at"], "2026-11-20T12:00:00.201Z");
        assert!(event.message_id().0.starts_with("orderbook:binance_spot:BTC-USDT:117#"));
    }

    #[test]
    fn levels_say_the_venues_sizes_where_these_are_not_in_base_currency() {
        let mut book = book();
        let sizes = |texts: &[&str]| texts.iter().map(|text| Written::new(text).expect("valid")).collect();
        book.contracts = Some(Box::new((sizes(&["120", "50"]), sizes(&["310.5"]))));
        let value: serde_json::Value = serde_json::from_slice(&book.to_json()).expect("JSON");
        assert_eq!(
            value["asks"][0],
            serde_json::json!({"price": "64000.20000000", "quantity": "3.10000000", "contracts": "310.5"})
        );
        assert_eq!(value["bids"][1]["contracts"], "50");
        assert!(Event::parse(SUBJECT, &book.to_json()).is_ok());
    }

    #[test]
    fn pairs_are_read_as_well_and_mean_the_same() {
        let pairs = br#"{"data_type":"orderbook","exchange":"binance_spot","market_type":"spot","symbol":"BTC-USDT",
            "last_update_id":117,"bids":[["64000.1","1.2"],["63999","0.50"]],"asks":[["64000.2","3.1","0","14"]],
            "update_type":"update","ts_ms":1795176000200,"collected_ts_ms":1795176000201}"#;
        let Ok(Event::OrderBook(read)) = Event::parse(SUBJECT, pairs) else {
            panic!("a book");
        };
        assert_eq!(read.content_hash(), book().content_hash(), "by value, not by text");
    }

    #[test]
    fn what_is_no_book_is_refused() {
        let refused = |change: fn(&mut OrderBook)| {
            let mut bad = book();
            change(&mut bad);
            let error = Event::parse(SUBJECT, &bad.to_json()).expect_err("refused");
            std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        assert!(refused(|b| b.asks.clear()).contains("empty"));
        assert!(refused(|b| b.bids.swap(0, 1)).contains("order"));
        assert!(refused(|b| b.asks[0].price = b.bids[0].price).contains("crossed"));
        assert!(refused(|b| b.asks[0].quantity = Written::ZERO).contains("without"));
        assert!(refused(|b| b.asks = vec![b.asks[0]; 401]).contains("400"));
    }
}
