//! The venue's instruments and channels.

use std::collections::BTreeMap;

use crate::market::{Places, Scale, Style};
use crate::symbol::{Interval, Levels, Listing, Series, Stream, Symbol, list};
use crate::{Exchange, SimulatorOptions};

/// Levels of a side in the channel `books`.
const BOOK_LEVELS: usize = 400;

/// Makes the synthetic instruments of one of the venue's markets.
pub(crate) fn synthetic(exchange: Exchange, options: &SimulatorOptions, places: &Places) -> BTreeMap<String, Symbol> {
    let names = match exchange {
        Exchange::OkxSpot => &options.instruments.okx_spot,
        _ => &options.instruments.okx_derivatives,
    };
    let listings = names.iter().map(|name| Listing {
        exchange,
        name: name.clone(),
        scale: scale(exchange, name),
        stride: 1,
        series: (exchange == Exchange::OkxDerivatives).then_some(Series {
            marks: true,
            interests: true,
            liquidations: true,
            ratios: true,
            volatilities: false,
        }),
        views: vec![(Interval::Ms100, BOOK_LEVELS)],
        batched: 0,
    });
    list(listings, options, places)
}

/// Ticks of 0.1 for bitcoin and 0.01 for others; lots of 0.00001 coins, or of 0.01 contracts.
fn scale(exchange: Exchange, name: &str) -> Scale {
    Scale {
        tick: 1,
        price_decimals: if name.starts_with("BTC") { 1 } else { 2 },
        lot: 1,
        quantity_decimals: if exchange == Exchange::OkxSpot { 5 } else { 2 },
        price_style: Style::Shortest,
        quantity_style: Style::Shortest,
    }
}

/// What a contract is worth, in units of 10⁻² of the base currency.
pub(super) fn contract_hundredths(name: &str) -> u64 {
    if name.starts_with("BTC") { 1 } else { 10 }
}

/// Where a channel is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Public,
    Business,
}

pub(super) const CHANNELS: [(&str, Stream, Endpoint); 9] = [
    ("books", Stream::DEPTH, Endpoint::Public),
    ("books5", Stream::Top(Levels::Five, Interval::Ms100), Endpoint::Public),
    ("bbo-tbt", Stream::Ticker, Endpoint::Public),
    ("trades", Stream::Aggregate, Endpoint::Public),
    ("trades-all", Stream::Trade, Endpoint::Business),
    ("funding-rate", Stream::Funding, Endpoint::Public),
    ("open-interest", Stream::OpenInterest, Endpoint::Public),
    ("mark-price", Stream::Mark, Endpoint::Public),
    ("liquidation-orders", Stream::LiquidationAll, Endpoint::Public),
];

/// Finds a stream by its channel.
pub(crate) fn stream_of(channel: &str) -> Option<Stream> {
    CHANNELS
        .into_iter()
        .find(|(name, ..)| *name == channel)
        .map(|(_, stream, _)| stream)
}

/// Returns the channel of a stream.
pub(super) fn channel_of(stream: Stream) -> &'static str {
    CHANNELS
        .into_iter()
        .find(|(_, known, _)| *known == stream)
        .map_or("", |(name, ..)| name)
}
