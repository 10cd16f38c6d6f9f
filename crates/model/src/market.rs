//! The words of the market: exchanges, market types, data types, symbols.
//!
//! Names on the wire and in tables are a contract; the text forms here are the only place that spells them.

use std::borrow::Cow;
use std::fmt;

use compact_str::CompactString;
use serde::{Deserialize, Serialize, Serializer};

/// A text that is not one of the known names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{name}`")]
pub struct UnknownName {
    /// What was looked for, for example `exchange`.
    pub what: &'static str,
    /// The text that was found.
    pub name: String,
}

/// Spells an enum's names once, for text, serde and listing.
macro_rules! names {
    ($(#[$doc:meta])* $vis:vis enum $name:ident ($what:literal) { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        $vis enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the name on the wire and in tables.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownName;

            fn from_str(text: &str) -> Result<Self, $crate::UnknownName> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownName { what: $what, name: text.to_owned() }),
                }
            }
        }
    };
}
pub(crate) use names;

names! {
    /// A venue and one of its market segments, as named in subjects, messages and tables.
    pub enum Exchange ("exchange") {
        /// Binance spot.
        BinanceSpot = "binance_spot",
        /// Binance USDⓈ-M futures.
        BinanceDerivatives = "binance_derivatives",
        /// OKX spot.
        OkxSpot = "okx_spot",
        /// OKX perpetual swaps.
        OkxDerivatives = "okx_derivatives",
        /// Deribit perpetual swaps and volatility indices.
        DeribitDerivatives = "deribit_derivatives",
    }
}

names! {
    /// The kind of market a symbol trades on.
    pub enum MarketType ("market type") {
        /// Spot.
        Spot = "spot",
        /// Perpetual swaps.
        Perpetual = "perpetual",
        /// Options, and the indices made of them.
        Options = "options",
        /// Futures that expire.
        Future = "future",
    }
}

names! {
    /// What a message is about: the first token of its subject.
    pub enum DataType ("data type") {
        /// The best levels of both sides after an update.
        OrderBook = "orderbook",
        /// One fill.
        Trade = "trade",
        /// What holders of a perpetual pay each other.
        FundingRate = "funding_rate",
        /// How many contracts are open.
        OpenInterest = "open_interest",
        /// One forced closing of a position.
        Liquidation = "liquidation",
        /// How the positions of the largest traders divide into long and short.
        LsrTopPosition = "lsr_top_position",
        /// How all accounts with a position divide into long and short.
        LsrAllAccount = "lsr_all_account",
        /// The volatility that options imply.
        VolatilityIndex = "volatility_index",
        /// A hole in a sequence of events that is known to exist.
        Gap = "gap",
    }
}

impl DataType {
    /// Returns the name of the table that holds this type.
    pub fn table(self) -> &'static str {
        match self {
            Self::OrderBook => "orderbooks",
            Self::Trade => "trades",
            Self::FundingRate => "funding_rates",
            Self::OpenInterest => "open_interests",
            Self::Liquidation => "liquidations",
            Self::LsrTopPosition => "lsr_top_positions",
            Self::LsrAllAccount => "lsr_all_accounts",
            Self::VolatilityIndex => "volatility_indices",
            Self::Gap => "gaps",
        }
    }
}

names! {
    /// The taker's side.
    pub enum Side ("side") {
        /// The taker bought.
        Buy = "buy",
        /// The taker sold.
        Sell = "sell",
    }
}

names! {
    /// Where an event came from.
    pub enum Source ("source") {
        /// The venue's websocket.
        Ws = "ws",
        /// The venue's REST interface, polled.
        Rest = "rest",
        /// The venue's REST interface, to close a gap.
        Backfill = "backfill",
        /// Recorded frames.
        Replay = "replay",
    }
}

names! {
    /// Which clock `ts_ms` was read from.
    pub enum TsSource ("ts_source") {
        /// The venue's event time.
        Event = "event",
        /// The venue's trade time, where it gives no event time.
        Trade = "trade",
        /// Our receive time, where the venue gives no time at all.
        Recv = "recv",
    }
}

/// A symbol in mprism's form, for example `BTC-USDT`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(CompactString);

/// A symbol in the venue's own form, for example `BTCUSDT`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstrumentId(CompactString);

/// Longest symbol or instrument id, in bytes.
const SYMBOL_BYTES_MAX: usize = 64;

/// Quote currencies that end a venue's joined symbol, in the order they are tried: longest first, so that `BTCFDUSD` is not quoted
/// in dollars.
///
/// Source: what Binance quotes in, and MarketPrism's list, whose symbols existing queries use.
const QUOTES_OF_5: [&[u8; 5]; 1] = [b"FDUSD"];
const QUOTES_OF_4: [&[u8; 4]; 6] = [b"USDT", b"USDC", b"TUSD", b"BUSD", b"USDE", b"USD1"];
const QUOTES_OF_3: [&[u8; 3]; 10] = [
    b"DAI", b"EUR", b"TRY", b"BRL", b"JPY", b"GBP", b"BTC", b"ETH", b"BNB", b"USD",
];

/// Returns the length of a joined symbol's quote currency.
fn quote_bytes(joined: &str) -> Option<usize> {
    /// Compares whole words: names are of a trade each.
    fn ends_with<const N: usize>(joined: &[u8], quotes: &[&[u8; N]]) -> Option<usize> {
        let end = joined.last_chunk::<N>()?;
        quotes.contains(&end).then_some(N)
    }
    let joined = joined.as_bytes();
    ends_with(joined, &QUOTES_OF_5)
        .or_else(|| ends_with(joined, &QUOTES_OF_4))
        .or_else(|| ends_with(joined, &QUOTES_OF_3))
}

impl Symbol {
    /// Accepts a symbol that is already in mprism's form.
    ///
    /// # Errors
    /// Where the text is empty, longer than 64 bytes, or could not be one token of a subject.
    pub fn new(text: &str) -> Result<Self, UnknownName> {
        checked(text, "symbol").map(|()| Self(text.into()))
    }

    /// Normalises a Binance instrument id: `BTCUSDT` becomes `BTC-USDT`; without a known quote it stays as it is.
    ///
    /// # Errors
    /// As [`Symbol::new`].
    pub fn from_binance(id: &InstrumentId) -> Result<Self, UnknownName> {
        let upper = id.to_upper();
        if let Some((base, quote)) = quote_bytes(&upper).and_then(|bytes| upper.split_at_checked(upper.len() - bytes))
            && !base.is_empty()
            && !base.bytes().any(|byte| byte == b'-')
            && upper.len() < SYMBOL_BYTES_MAX
        {
            // Made of parts of what is an id already, so it is one token, too.
            let mut text = CompactString::new(base);
            text.push('-');
            text.push_str(quote);
            return Ok(Self(text));
        }
        Self::new(&upper)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl InstrumentId {
    /// Accepts a venue's own name for an instrument.
    ///
    /// # Errors
    /// As [`Symbol::new`].
    pub fn new(text: &str) -> Result<Self, UnknownName> {
        checked(text, "instrument id").map(|()| Self(text.into()))
    }

    /// Returns the text in upper case, as nearly every venue writes it.
    pub fn to_upper(&self) -> Cow<'_, str> {
        let is_upper = self.0.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_lowercase());
        match is_upper {
            true => Cow::Borrowed(&self.0),
            false => Cow::Owned(self.as_str().to_uppercase()),
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Refuses what could not be one token of a subject: dots, wildcards, blanks, control characters.
fn checked(text: &str, what: &'static str) -> Result<(), UnknownName> {
    let is_plain = || text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_token = || {
        !text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>'))
    };
    if !text.is_empty() && text.len() <= SYMBOL_BYTES_MAX && (is_plain() || is_token()) {
        return Ok(());
    }
    let name = text.chars().take(SYMBOL_BYTES_MAX).collect();
    Err(UnknownName { what, name })
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for InstrumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Symbol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for InstrumentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Symbol {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for InstrumentId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binance_symbols_become_base_and_quote() {
        let cases = [
            ("BTCUSDT", "BTC-USDT"),
            ("ethbtc", "ETH-BTC"),
            ("RUNEEUR", "RUNE-EUR"),
            ("BTCFDUSD", "BTC-FDUSD"),
            ("BTCTUSD", "BTC-TUSD"),
            ("USDTTRY", "USDT-TRY"),
            ("BTCUSD", "BTC-USD"),
            ("USDT", "USDT"),
            ("ABCXYZ", "ABCXYZ"),
            ("币安人生USDT", "币安人生-USDT"),
        ];
        for (id, symbol) in cases {
            let id = InstrumentId::new(id).expect("valid");
            assert_eq!(Symbol::from_binance(&id).expect("valid").as_str(), symbol);
        }
    }

    #[test]
    fn what_cannot_be_a_subject_token_is_refused() {
        for text in ["", "A.B", "A*", ">", "A B", "A\n", &"A".repeat(65)] {
            assert!(Symbol::new(text).is_err(), "{text:?}");
        }
    }
}
