//! The venue's instruments and streams.

use std::collections::{BTreeMap, BTreeSet};

use crate::hub::Wants;
use crate::market::{Places, Scale, Style};
use crate::symbol::{Interval, Levels, Listing, Series, Stream, Symbol, list};
use crate::{Exchange, SimulatorOptions};

/// Ticks of 0.10 and lots of 0.001.
const SCALE: Scale = Scale {
    tick: 10,
    price_decimals: 2,
    lot: 1,
    quantity_decimals: 3,
    price_style: Style::Places(2),
    quantity_style: Style::Places(3),
};

/// Identifiers are shared with other instruments: those between two changes of a book are none of its own.
const STRIDE: u64 = 3;

/// Makes the synthetic instruments.
pub(crate) fn synthetic(options: &SimulatorOptions, places: &Places) -> BTreeMap<String, Symbol> {
    let listings = options.instruments.binance_derivatives.iter().map(|name| Listing {
        exchange: Exchange::BinanceDerivatives,
        name: name.clone(),
        scale: SCALE,
        stride: STRIDE,
        series: Some(Series {
            marks: true,
            interests: true,
            liquidations: true,
            ratios: true,
            volatilities: false,
        }),
        views: Vec::new(),
        batched: Stream::Aggregate.bit(),
    });
    list(listings, options, places)
}

/// Where a stream is served: a wrong place acknowledges it and stays silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Category {
    Public,
    Market,
}

const STREAMS: [(&str, Stream, Category); 18] = [
    // Undocumented, and seen.
    ("trade", Stream::Trade, Category::Public),
    ("bookTicker", Stream::Ticker, Category::Public),
    ("depth", Stream::Depth(Interval::Ms250), Category::Public),
    ("depth@100ms", Stream::DEPTH, Category::Public),
    ("depth@500ms", Stream::Depth(Interval::Ms500), Category::Public),
    ("depth5", Stream::Top(Levels::Five, Interval::Ms250), Category::Public),
    ("depth10", Stream::Top(Levels::Ten, Interval::Ms250), Category::Public),
    (
        "depth20",
        Stream::Top(Levels::Twenty, Interval::Ms250),
        Category::Public,
    ),
    (
        "depth5@100ms",
        Stream::Top(Levels::Five, Interval::Ms100),
        Category::Public,
    ),
    (
        "depth10@100ms",
        Stream::Top(Levels::Ten, Interval::Ms100),
        Category::Public,
    ),
    (
        "depth20@100ms",
        Stream::Top(Levels::Twenty, Interval::Ms100),
        Category::Public,
    ),
    (
        "depth5@500ms",
        Stream::Top(Levels::Five, Interval::Ms500),
        Category::Public,
    ),
    (
        "depth10@500ms",
        Stream::Top(Levels::Ten, Interval::Ms500),
        Category::Public,
    ),
    (
        "depth20@500ms",
        Stream::Top(Levels::Twenty, Interval::Ms500),
        Category::Public,
    ),
    ("aggTrade", Stream::Aggregate, Category::Market),
    ("markPrice@1s", Stream::Mark, Category::Market),
    ("markPrice", Stream::MarkSlow, Category::Market),
    ("forceOrder", Stream::Liquidation, Category::Market),
];

/// Streams of all instruments.
const ALL_MARKET: [(&str, Stream); 3] = [
    ("!forceOrder@arr", Stream::LiquidationAll),
    ("!markPrice@arr@1s", Stream::MarkAll),
    ("!markPrice@arr", Stream::MarkSlowAll),
];

/// Finds a stream by the part of its name after the symbol.
pub(crate) fn stream_of(kind: &str) -> Option<Stream> {
    STREAMS
        .into_iter()
        .find(|(name, ..)| *name == kind)
        .map(|(_, stream, _)| stream)
}

/// Returns the name of a stream in a wrapper.
pub(super) fn name_of(symbol: &str, stream: Stream) -> String {
    if let Some((name, _)) = ALL_MARKET.into_iter().find(|(_, known)| *known == stream) {
        return name.to_owned();
    }
    let kind = STREAMS.into_iter().find(|(_, known, _)| *known == stream);
    format!("{}@{}", symbol.to_lowercase(), kind.map_or("", |(name, ..)| name))
}

/// What the names mean on `/public`.
pub(super) fn public(names: &BTreeSet<String>, known: &[String]) -> Wants {
    wants(names, known, Category::Public)
}

/// What the names mean on `/market`.
pub(super) fn market(names: &BTreeSet<String>, known: &[String]) -> Wants {
    wants(names, known, Category::Market)
}

/// What the names meant before there were categories.
pub(super) fn any(names: &BTreeSet<String>, known: &[String]) -> Wants {
    let mut both = wants(names, known, Category::Public);
    for (key, mask) in wants(names, known, Category::Market) {
        *both.entry(key).or_default() |= mask;
    }
    both
}

/// What the names mean on `/private`: nothing that is public.
pub(super) fn private(_names: &BTreeSet<String>, _known: &[String]) -> Wants {
    Wants::new()
}

fn wants(names: &BTreeSet<String>, known: &[String], category: Category) -> Wants {
    let mut wants = Wants::new();
    let mut want = |symbol: String, stream: Stream| {
        *wants.entry((Exchange::BinanceDerivatives, symbol)).or_default() |= stream.bit();
    };
    for name in names {
        if let Some((_, stream)) = ALL_MARKET.into_iter().find(|(known, _)| *known == name) {
            if category == Category::Market {
                known.iter().for_each(|symbol| want(symbol.clone(), stream));
            }
        } else if let Some((symbol, kind)) = name.split_once('@')
            && symbol == symbol.to_lowercase()
            && let Some((_, stream, _)) = STREAMS
                .into_iter()
                .find(|(name, _, place)| *name == kind && *place == category)
        {
            want(symbol.to_uppercase(), stream);
        }
    }
    wants
}
