//! The venue's instruments and streams.

use std::collections::{BTreeMap, BTreeSet};

use crate::corpus::{Recording, Tape};
use crate::hub::Wants;
use crate::market::{Places, Scale, Style};
use crate::symbol::{Interval, Levels, Listing, Source, Stream, Symbol, list};
use crate::{Exchange, SimulatorOptions};

/// Ticks of 0.01 and lots of 0.00001, written with eight decimals.
const SCALE: Scale = Scale {
    tick: 1,
    price_decimals: 2,
    lot: 1,
    quantity_decimals: 5,
    price_style: Style::Places(8),
    quantity_style: Style::Places(8),
};

/// Makes the synthetic instruments.
pub(crate) fn synthetic(options: &SimulatorOptions, places: &Places) -> BTreeMap<String, Symbol> {
    let listings = options.symbols.iter().map(|name| Listing {
        exchange: Exchange::BinanceSpot,
        name: name.clone(),
        scale: SCALE,
        stride: 1,
        series: None,
        views: Vec::new(),
        batched: 0,
    });
    list(listings, options, places)
}

/// Makes the recorded instruments.
pub(crate) fn recorded(tapes: BTreeMap<String, Tape>, options: &SimulatorOptions) -> BTreeMap<String, Symbol> {
    let limit = options.limit_trades.unwrap_or(u64::MAX);
    let symbols = tapes.into_iter().map(|(name, tape)| {
        let source = Source::Recorded(Box::new(Recording::new(tape, options.keep_time)));
        let symbol = Symbol::new(Exchange::BinanceSpot, &name, source, limit);
        (name, symbol)
    });
    symbols.collect()
}

const STREAMS: [(&str, Stream); 11] = [
    ("trade", Stream::Trade),
    ("aggTrade", Stream::Aggregate),
    ("bookTicker", Stream::Ticker),
    ("depth@100ms", Stream::DEPTH),
    ("depth", Stream::Depth(Interval::Ms1000)),
    ("depth5@100ms", Stream::Top(Levels::Five, Interval::Ms100)),
    ("depth10@100ms", Stream::Top(Levels::Ten, Interval::Ms100)),
    ("depth20@100ms", Stream::Top(Levels::Twenty, Interval::Ms100)),
    ("depth5", Stream::Top(Levels::Five, Interval::Ms1000)),
    ("depth10", Stream::Top(Levels::Ten, Interval::Ms1000)),
    ("depth20", Stream::Top(Levels::Twenty, Interval::Ms1000)),
];

/// Finds a stream by the part of its name after the symbol.
pub(crate) fn stream_of(kind: &str) -> Option<Stream> {
    STREAMS
        .into_iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, stream)| stream)
}

/// Returns the part of a stream's name after the symbol; `None` for what the venue does not have.
pub(super) fn kind_of(stream: Stream) -> Option<&'static str> {
    STREAMS
        .into_iter()
        .find(|(_, known)| *known == stream)
        .map(|(name, _)| name)
}

/// Returns what streams a connection's names mean.
///
/// The venue takes lower case only; other names are acknowledged and stay silent.
pub(super) fn wants(names: &BTreeSet<String>, _known: &[String]) -> Wants {
    let mut wants = Wants::new();
    for name in names {
        let Some((symbol, kind)) = name.split_once('@') else {
            continue;
        };
        if let Some(stream) = stream_of(kind).filter(|_| symbol == symbol.to_lowercase()) {
            *wants.entry((Exchange::BinanceSpot, symbol.to_uppercase())).or_default() |= stream.bit();
        }
    }
    wants
}
