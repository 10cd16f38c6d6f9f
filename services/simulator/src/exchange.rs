//! The simulated exchanges and what their instruments are called here.

use axum::extract::ws::Message;

use crate::binance_spot;
use crate::hub::Form;
use crate::symbol::{Item, Mask, Stream, Symbol};

/// One of the simulated exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exchange {
    /// Binance spot.
    BinanceSpot,
}

impl Exchange {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::BinanceSpot];

    /// Returns the exchange's identifier, as in `--exchange` and in `/truth`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BinanceSpot => "binance_spot",
        }
    }

    /// Finds an exchange by its identifier.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|exchange| exchange.as_str() == name)
    }

    /// Returns our name of one of the exchange's instruments: `BTCUSDT` is `BTC-USDT`.
    pub(crate) fn our_symbol(self, instrument: &str) -> String {
        match self {
            Self::BinanceSpot => split_quote(instrument),
        }
    }
}

impl Exchange {
    /// Writes an instrument's frames as the venue does; only the streams of `mask`.
    pub(crate) fn render(self, symbol: &Symbol, items: &[Item], form: Form, mask: Mask) -> Vec<Message> {
        match self {
            Self::BinanceSpot => binance_spot::render(symbol, items, form, mask),
        }
    }

    /// Returns the stream that a fault means; nothing said means trades.
    pub(crate) fn stream_of_fault(self, name: Option<&str>) -> Option<Stream> {
        match (name, self) {
            (None | Some("trade"), _) => Some(Stream::Trade),
            (Some("depth"), _) => Some(Stream::Depth),
            (Some("depth@1000ms"), Self::BinanceSpot) => Some(Stream::DepthSlow),
            (Some(name), Self::BinanceSpot) => binance_spot::stream_of(name),
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
