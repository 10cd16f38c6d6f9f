//! The simulated exchanges and what their instruments are called here.

use axum::extract::ws::Message;

use crate::hub::Form;
use crate::socket::End;
use crate::symbol::{Interval, Item, Mask, Stream, Symbol};
use crate::{binance_spot, binance_usdm, deribit, okx};

/// One of the simulated exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exchange {
    /// Binance spot.
    BinanceSpot,
    /// Binance USDⓈ-M futures.
    BinanceDerivatives,
    /// OKX spot.
    OkxSpot,
    /// OKX swaps.
    OkxDerivatives,
    /// Deribit perpetuals and volatility indices.
    DeribitDerivatives,
}

impl Exchange {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::BinanceSpot,
        Self::BinanceDerivatives,
        Self::OkxSpot,
        Self::OkxDerivatives,
        Self::DeribitDerivatives,
    ];

    /// Returns the exchange's identifier, as in `--exchange` and in `/truth`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BinanceSpot => "binance_spot",
            Self::BinanceDerivatives => "binance_derivatives",
            Self::OkxSpot => "okx_spot",
            Self::OkxDerivatives => "okx_derivatives",
            Self::DeribitDerivatives => "deribit_derivatives",
        }
    }

    /// Finds an exchange by its identifier.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|exchange| exchange.as_str() == name)
    }

    /// Returns our name of one of the exchange's instruments: `BTCUSDT` is `BTC-USDT`.
    pub(crate) fn our_symbol(self, instrument: &str) -> String {
        match self {
            Self::BinanceSpot | Self::BinanceDerivatives => split_quote(instrument),
            Self::OkxSpot | Self::OkxDerivatives => instrument.trim_end_matches("-SWAP").to_owned(),
            Self::DeribitDerivatives => match instrument.split_once('_') {
                // An index of volatility is one of a currency.
                Some((currency, _)) if !self.has_trades(instrument) => currency.to_uppercase(),
                _ => instrument.replace("-PERPETUAL", "-USD"),
            },
        }
    }

    /// Whether an instrument is traded: an index is not.
    pub(crate) fn has_trades(self, instrument: &str) -> bool {
        self != Self::DeribitDerivatives || instrument.contains('-')
    }

    /// Whether the trades that the exchange documents are aggregates of fills.
    pub(crate) fn tells_aggregates(self) -> bool {
        self == Self::BinanceDerivatives
    }

    /// Returns what a market is seeded and kept by.
    pub(crate) fn market_name(self, instrument: &str) -> String {
        match self {
            // The first exchange there was; its markets go by the venue's symbol alone.
            Self::BinanceSpot => instrument.to_owned(),
            _ => format!("{}:{instrument}", self.as_str()),
        }
    }

    /// Writes an instrument's frames as the venue does; only the streams of `mask`.
    pub(crate) fn render(self, symbol: &Symbol, items: &[Item], form: Form, mask: Mask) -> Vec<Message> {
        match self {
            Self::BinanceSpot => binance_spot::render(symbol, items, form, mask),
            Self::BinanceDerivatives => binance_usdm::render(symbol, items, form, mask),
            Self::OkxSpot | Self::OkxDerivatives => okx::render(symbol, items, mask),
            Self::DeribitDerivatives => deribit::render(symbol, items, mask),
        }
    }

    /// Returns how the venue announces that it will end a connection.
    pub(crate) fn farewell(self, now_ms: i64, form: Form) -> String {
        match self {
            Self::BinanceSpot | Self::BinanceDerivatives => binance_spot::server_shutdown(now_ms, form),
            Self::OkxSpot | Self::OkxDerivatives => okx::NOTICE.to_owned(),
            Self::DeribitDerivatives => deribit::MAINTENANCE.to_owned(),
        }
    }

    /// Returns how the venue ends the connection of who cannot follow.
    pub(crate) fn end_of_slow(self) -> End {
        match self {
            Self::OkxSpot | Self::OkxDerivatives => End::Close(4_005, "buffer is full, cannot write data"),
            Self::BinanceSpot | Self::BinanceDerivatives | Self::DeribitDerivatives => End::Cut,
        }
    }

    /// Returns the stream that a fault means; nothing said means trades.
    pub(crate) fn stream_of_fault(self, name: Option<&str>) -> Option<Stream> {
        match (name, self) {
            // Aggregates are the only trades that the futures' public documentation has.
            (None | Some("trade"), Self::BinanceDerivatives) => Some(Stream::Aggregate),
            (None | Some("trade"), _) => Some(Stream::Trade),
            (Some("depth"), _) => Some(Stream::DEPTH),
            (Some("depth@1000ms"), Self::BinanceSpot) => Some(Stream::Depth(Interval::Ms1000)),
            (Some("funding_rate"), Self::BinanceDerivatives) => Some(Stream::Mark),
            (Some("funding_rate"), _) => Some(Stream::Funding),
            (Some("open_interest"), _) => Some(Stream::OpenInterest),
            (Some("liquidation"), _) => Some(Stream::LiquidationAll),
            (Some(name), Self::BinanceSpot) => binance_spot::stream_of(name),
            (Some(name), Self::BinanceDerivatives) => binance_usdm::stream_of(name),
            (Some(name), Self::OkxSpot | Self::OkxDerivatives) => okx::stream_of(name),
            (Some("ticker"), Self::DeribitDerivatives) => Some(Stream::Quote(Interval::Ms100)),
            (Some("volatility_index"), Self::DeribitDerivatives) => Some(Stream::Volatility),
            (Some(_), Self::DeribitDerivatives) => None,
        }
    }
}

fn split_quote(symbol: &str) -> String {
    const QUOTES: [&str; 14] = [
        "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "BIDR", "BTC", "ETH", "BNB", "EUR", "TRY", "GBP", "JPY", "BRL",
    ];
    let split = QUOTES
        .iter()
        .find_map(|quote| symbol.strip_suffix(quote).map(|base| (base, quote)));
    match split {
        Some((base, quote)) if !base.is_empty() => format!("{base}-{quote}"),
        _ => symbol.to_owned(),
    }
}
