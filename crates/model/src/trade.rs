//! Trades: one fill each.

use std::borrow::Cow;

use compact_str::CompactString;
use serde::{Deserialize, Deserializer};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::json::{Fields, Piece, field};
use crate::{
    DataType, Decimal, DecimalText, Exchange, InstrumentId, MarketType, MessageId, Side, Source, Subject, Symbol,
    TsSource, UnixMillis, UnixNanos,
};

/// One fill, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trade {
    /// The venue.
    pub exchange: Exchange,
    /// The kind of market.
    pub market_type: MarketType,
    /// The symbol, in mprism's form.
    pub symbol: Symbol,
    /// The venue's own name for the instrument.
    pub instrument_id: InstrumentId,
    /// The venue's trade id, unique within the symbol.
    pub trade_id: CompactString,
    /// Price in quote currency.
    pub price: DecimalText,
    /// Quantity in base currency.
    pub quantity: DecimalText,
    /// The venue's own size, where it is not in base currency: contracts, or quote currency for inverse ones.
    pub contracts: Option<DecimalText>,
    /// The venue's consecutive number of the trade within its instrument, where that is not the id (Deribit's `trade_seq`).
    pub sequence: Option<u64>,
    /// The taker's side.
    pub side: Side,
    /// Whether the buyer was the maker, as the venue says it (`is_maker` of the original's table).
    pub is_maker: bool,
    /// The venue's trade time.
    pub trade_ts: UnixMillis,
    /// The venue's event time, or what [`Trade::ts_source`] says instead.
    pub ts: UnixMillis,
    /// Which clock `ts` was read from.
    pub ts_source: TsSource,
    /// When the frame left the socket; `None` where a recording does not say it.
    pub ts_recv: Option<UnixNanos>,
    /// How the trade reached us.
    pub source: Source,
}

impl Trade {
    /// Returns where the trade is published.
    pub fn subject(&self) -> Subject {
        Subject {
            data_type: DataType::Trade,
            exchange: self.exchange,
            market_type: self.market_type,
            symbol: self.symbol.clone(),
        }
    }

    /// Returns a hash of what every source of a trade says: id, price, quantity, side and trade time. No local clock, no
    /// event time (REST has none), decimals by value and not by text.
    pub fn content_hash(&self) -> u64 {
        content_hash(
            &self.trade_id,
            self.price.value(),
            self.quantity.value(),
            self.side,
            self.trade_ts,
        )
    }

    /// Returns the `Nats-Msg-Id`.
    pub fn message_id(&self) -> MessageId {
        let (exchange, symbol, id) = (self.exchange.as_str(), self.symbol.as_str(), self.trade_id.as_str());
        // As long as it becomes: it is kept without room to grow.
        let mut text = String::with_capacity(25 + exchange.len() + symbol.len() + id.len());
        for part in ["trade:", exchange, ":", symbol, ":", id, "#"] {
            text.push_str(part);
        }
        let hash = self.content_hash();
        let digits: [u8; 16] = std::array::from_fn(|at| HEX[(hash >> (60 - 4 * at)) as usize & 15]);
        text.push_str(std::str::from_utf8(&digits).expect("ASCII"));
        MessageId(text)
    }

    /// Returns the JSON text that is published: MarketPrism's fields and types, and ours beside them.
    pub fn to_json(&self) -> Vec<u8> {
        let mut fields = Fields::after(
            &BEGINNING[self.exchange as usize][self.market_type as usize],
            JSON_BYTES,
        );
        fields.text("", self.symbol.as_str());
        fields.text(field!("normalized_symbol", text), self.symbol.as_str());
        fields.text(field!("instrument_id", text), self.instrument_id.as_str());
        fields.plain(field!("price", text), self.price.text());
        fields.plain(field!("quantity", text), self.quantity.text());
        if let Some(contracts) = &self.contracts {
            fields.plain(field!("contracts", text), contracts.text());
        }
        fields.piece(&SIDE[self.side as usize][usize::from(self.is_maker)]);
        fields.text("", &self.trade_id);
        if let Some(sequence) = self.sequence {
            fields.number(field!("trade_seq"), sequence);
        }
        fields.number(field!("trade_ts_ms"), self.trade_ts.0);
        fields.number(field!("ts_ms"), self.ts.0);
        fields.piece(&CLOCK[self.ts_source as usize]);
        fields.number_or_null("", self.ts_recv.map(|ts| ts.to_millis().0));
        fields.number_or_null(field!("ts_recv_ns"), self.ts_recv.map(|ts| ts.0));
        fields.end(&END[self.source as usize])
    }
}

/// Makes an array of what each position says.
macro_rules! each {
    ($($count:expr),+; |$at:ident| $element:expr) => {{
        let mut all = each!(@empty $($count),+);
        let mut $at = 0;
        while $at < all.len() {
            all[$at] = $element;
            $at += 1;
        }
        all
    }};
    (@empty $count:expr) => {
        [const { Piece::of(&[]) }; $count]
    };
    (@empty $count:expr, $($inner:expr),+) => {
        [const { each!(@empty $($inner),+) }; $count]
    };
}

const EXCHANGES: usize = Exchange::ALL.len();
const MARKETS: usize = MarketType::ALL.len();
const SIDES: usize = Side::ALL.len();
const CLOCKS: usize = TsSource::ALL.len();
const SOURCES: usize = Source::ALL.len();

/// Everything before the symbol, by exchange and market type.
static BEGINNING: [[Piece<128>; MARKETS]; EXCHANGES] = each!(EXCHANGES, MARKETS; |exchange| each!(MARKETS; |market| {
    Piece::of(&[
        "{\"data_type\":\"trade\"",
        field!("exchange", text),
        Exchange::ALL[exchange].as_str(),
        "\"",
        field!("market_type", text),
        MarketType::ALL[market].as_str(),
        "\"",
        field!("symbol", text),
    ])
}));

/// What stands between the sizes and the trade's id, by side and by whether the buyer was the maker.
static SIDE: [[Piece<64>; 2]; SIDES] = each!(SIDES, 2; |side| each!(2; |is_maker| {
    Piece::of(&[
        field!("side", text),
        Side::ALL[side].as_str(),
        "\"",
        field!("is_maker"),
        if is_maker == 1 { "true" } else { "false" },
        field!("trade_id", text),
    ])
}));

/// Which clock the time before was read from.
static CLOCK: [Piece<48>; CLOCKS] = each!(CLOCKS; |clock| {
    Piece::of(&[
        field!("ts_source", text),
        TsSource::ALL[clock].as_str(),
        "\"",
        field!("collected_ts_ms"),
    ])
});

/// How the trade reached us, and the end.
static END: [Piece<96>; SOURCES] = each!(SOURCES; |source| {
    Piece::of(&[
        field!("source", text),
        Source::ALL[source].as_str(),
        "\",\"data_source\":\"marketprism\",\"publisher\":\"unified-collector\"}",
    ])
});

const HEX: &[u8; 16] = b"0123456789abcdef";
/// What the text of a trade takes.
const JSON_BYTES: usize = 512;
/// Bytes of what is hashed beside the id: a separator, two decimals, a side and a time.
const HASHED_BYTES: usize = 1 + 16 + 16 + 4 + 8;

/// The hash behind [`Trade::content_hash`], for a row read back from its table.
pub fn content_hash(trade_id: &str, price: Decimal, quantity: Decimal, side: Side, trade_ts: UnixMillis) -> u64 {
    let parts = [
        trade_id.as_bytes(),
        &[0],
        &price.scaled().to_le_bytes(),
        &quantity.scaled().to_le_bytes(),
        side.as_str().as_bytes(),
        &trade_ts.0.to_le_bytes(),
    ];
    // In one piece where it fits: beginning to hash in parts takes longer than all the rest.
    let mut buffer = [0; 2 * HASHED_BYTES];
    if trade_id.len() > HASHED_BYTES {
        let mut hasher = Xxh3::new();
        parts.iter().for_each(|part| hasher.update(part));
        return hasher.digest();
    }
    let mut length = 0;
    for part in parts {
        buffer[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    }
    xxh3_64(&buffer[..length])
}

/// What is needed of a trade on the bus; MarketPrism's own messages carry less than ours.
#[derive(Deserialize)]
struct Incoming<'a> {
    data_type: DataType,
    exchange: Exchange,
    market_type: MarketType,
    symbol: Symbol,
    instrument_id: Option<InstrumentId>,
    price: DecimalText,
    quantity: DecimalText,
    contracts: Option<DecimalText>,
    side: Side,
    #[serde(default)]
    is_maker: bool,
    #[serde(borrow)]
    trade_id: Cow<'a, str>,
    trade_seq: Option<u64>,
    trade_ts_ms: UnixMillis,
    ts_ms: UnixMillis,
    ts_source: Option<TsSource>,
    collected_ts_ms: Option<UnixMillis>,
    ts_recv_ns: Option<UnixNanos>,
    source: Option<Source>,
}

impl<'de> Deserialize<'de> for Trade {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let message = Incoming::deserialize(deserializer)?;
        if message.data_type != DataType::Trade {
            return Err(D::Error::custom(format_args!(
                "data_type is `{}`, not `trade`",
                message.data_type
            )));
        }
        let sizes = [
            Some(&message.price),
            Some(&message.quantity),
            message.contracts.as_ref(),
        ];
        if sizes.into_iter().flatten().any(|number| !number.value().is_positive()) {
            return Err(D::Error::custom("price and quantity must be above zero"));
        }
        if message.trade_id.is_empty() || message.trade_id.len() > 64 {
            return Err(D::Error::custom("trade_id must have 1 to 64 bytes"));
        }
        let instrument_id = match message.instrument_id {
            Some(id) => id,
            None => InstrumentId::new(message.symbol.as_str()).map_err(D::Error::custom)?,
        };
        Ok(Self {
            exchange: message.exchange,
            market_type: message.market_type,
            symbol: message.symbol,
            instrument_id,
            trade_id: message.trade_id.as_ref().into(),
            price: message.price,
            quantity: message.quantity,
            contracts: message.contracts,
            sequence: message.trade_seq,
            side: message.side,
            is_maker: message.is_maker,
            trade_ts: message.trade_ts_ms,
            ts: message.ts_ms,
            ts_source: message.ts_source.unwrap_or(TsSource::Event),
            ts_recv: message.ts_recv_ns.or(message.collected_ts_ms.map(UnixNanos::from)),
            source: message.source.unwrap_or(Source::Ws),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade() -> Trade {
        Trade {
            exchange: Exchange::BinanceSpot,
            market_type: MarketType::Spot,
            symbol: Symbol::new("BTC-USDT").expect("valid"),
            instrument_id: InstrumentId::new("BTCUSDT").expect("valid"),
            trade_id: "3735683259".into(),
            price: DecimalText::new("61837.63000000").expect("valid"),
            quantity: DecimalText::new("0.02000000").expect("valid"),
            contracts: None,
            sequence: None,
            side: Side::Sell,
            is_maker: true,
            trade_ts: UnixMillis(1_723_161_255_342),
            ts: UnixMillis(1_723_161_255_343),
            ts_source: TsSource::Event,
            ts_recv: Some(UnixNanos(1_723_161_254_087_896_568)),
            source: Source::Ws,
        }
    }

    #[test]
    fn the_message_carries_the_venues_text_and_reads_back_as_itself() {
        let text = String::from_utf8(trade().to_json()).expect("UTF-8");
        assert!(
            text.contains(r#""price":"61837.63000000","quantity":"0.02000000","side":"sell""#),
            "{text}"
        );
        assert!(text.contains(r#""collected_ts_ms":1723161254087,"#), "{text}");
        assert_eq!(serde_json::from_str::<Trade>(&text).expect("parses"), trade());
    }

    #[test]
    fn every_word_of_ours_reads_back_as_itself() {
        let mut read = 0;
        for (&exchange, &market_type) in Exchange::ALL.iter().zip(MarketType::ALL.iter().cycle()) {
            for (&source, &ts_source) in Source::ALL.iter().zip(TsSource::ALL.iter().cycle()) {
                for (side, is_maker) in [
                    (Side::Buy, false),
                    (Side::Sell, true),
                    (Side::Buy, true),
                    (Side::Sell, false),
                ] {
                    for market_type in [market_type, MarketType::Spot, MarketType::Future] {
                        let said = Trade {
                            exchange,
                            market_type,
                            source,
                            ts_source,
                            side,
                            is_maker,
                            ..trade()
                        };
                        assert_eq!(serde_json::from_slice::<Trade>(&said.to_json()).expect("JSON"), said);
                        read += 1;
                    }
                }
            }
        }
        assert_eq!(read, 5 * 4 * 4 * 3);
    }

    #[test]
    fn what_only_some_venues_say_is_left_out_or_reads_back() {
        let plain = String::from_utf8(trade().to_json()).expect("UTF-8");
        assert!(!plain.contains("contracts") && !plain.contains("trade_seq"), "{plain}");
        let derivative = Trade {
            contracts: Some(DecimalText::new("5000.0").expect("valid")),
            sequence: Some(92_836_831),
            ..trade()
        };
        let text = String::from_utf8(derivative.to_json()).expect("UTF-8");
        assert_eq!(serde_json::from_str::<Trade>(&text).expect("parses"), derivative);
    }

    #[test]
    fn a_message_of_the_original_is_understood() {
        let text = r#"{"data_type":"trade","exchange":"binance_spot","market_type":"spot","symbol":"BTC-USDT",
            "normalized_symbol":"BTC-USDT","price":"61234.50","quantity":"0.012","side":"buy","trade_id":"4123456789",
            "trade_ts_ms":1760054400077,"ts_ms":1760054400123,"collected_ts_ms":1760054400120,
            "data_source":"marketprism","publisher":"unified-collector"}"#;
        let trade: Trade = serde_json::from_str(text).expect("parses");
        assert_eq!(trade.ts_recv, Some(UnixNanos(1_760_054_400_120_000_000)));
        assert_eq!(trade.instrument_id.as_str(), "BTC-USDT");
    }

    #[test]
    fn the_message_id_is_about_the_content_and_not_its_spelling() {
        let other = Trade {
            price: DecimalText::new("61837.63").expect("valid"),
            ts: UnixMillis(1),
            ts_recv: None,
            source: Source::Backfill,
            ..trade()
        };
        assert_eq!(trade().message_id(), other.message_id());
        assert!(
            trade()
                .message_id()
                .0
                .starts_with("trade:binance_spot:BTC-USDT:3735683259#")
        );
        let revised = Trade {
            price: DecimalText::new("61837.64").expect("valid"),
            ..trade()
        };
        assert_ne!(trade().message_id(), revised.message_id());
    }

    #[test]
    fn whatever_the_venue_calls_things_stays_json() {
        let odd = Trade {
            instrument_id: InstrumentId::new("A\"B\\C").expect("a token"),
            symbol: Symbol::new("币安-USDT").expect("a token"),
            trade_id: "a\n\u{1}".into(),
            ts_recv: None,
            ..trade()
        };
        assert_eq!(serde_json::from_slice::<Trade>(&odd.to_json()).expect("JSON"), odd);
    }

    #[test]
    fn the_hash_is_the_same_in_one_piece_and_in_parts() {
        for id in ["", "1", &"9".repeat(45), &"9".repeat(46), &"9".repeat(64)] {
            let (price, quantity) = (Decimal::from_scaled(7).expect("small"), Decimal::ZERO);
            let mut hasher = Xxh3::new();
            hasher.update(id.as_bytes());
            hasher.update(&[0]);
            hasher.update(&price.scaled().to_le_bytes());
            hasher.update(&quantity.scaled().to_le_bytes());
            hasher.update(b"sell");
            hasher.update(&5_i64.to_le_bytes());
            let hash = content_hash(id, price, quantity, Side::Sell, UnixMillis(5));
            assert_eq!(hash, hasher.digest(), "{id}");
        }
    }

    #[test]
    fn impossible_values_are_refused() {
        let text = String::from_utf8(trade().to_json()).expect("UTF-8");
        for (from, to) in [
            ("0.02000000", "0"),
            ("0.02000000", "-1"),
            ("0.02000000", "NaN"),
            ("3735683259", ""),
        ] {
            assert!(serde_json::from_str::<Trade>(&text.replace(from, to)).is_err(), "{to}");
        }
    }
}
