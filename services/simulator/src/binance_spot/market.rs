//! The venue's instruments and streams.

use std::collections::{BTreeMap, BTreeSet};

use crate::corpus::{Recording, Tape};
use crate::hub::Wants;
use crate::market::{Market, Places, Scale, Style};
use crate::symbol::{Source, Stream, Symbol, Synthetic};
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

/// Makes the synthetic instruments; those that an earlier simulator had go on where it stopped.
pub(crate) fn synthetic(options: &SimulatorOptions, places: &Places) -> BTreeMap<String, Symbol> {
    let symbols = options.symbols.iter().map(|name| {
        let market = match places.get(name) {
            Some(place) => Market::resume(options.seed, name, &SCALE, place),
            None => Market::new(options.seed, name, &SCALE),
        };
        let synthetic = Synthetic::new(market, SCALE, 1, options.unknown_fields);
        (
            name.clone(),
            symbol(name, Source::Synthetic(Box::new(synthetic)), options),
        )
    });
    symbols.collect()
}

/// Makes the recorded instruments.
pub(crate) fn recorded(tapes: BTreeMap<String, Tape>, options: &SimulatorOptions) -> BTreeMap<String, Symbol> {
    let symbols = tapes.into_iter().map(|(name, tape)| {
        let source = Source::Recorded(Box::new(Recording::new(tape, options.keep_time)));
        let symbol = symbol(&name, source, options);
        (name, symbol)
    });
    symbols.collect()
}

fn symbol(name: &str, source: Source, options: &SimulatorOptions) -> Symbol {
    let limit = options.limit_trades.unwrap_or(u64::MAX);
    Symbol::new(Exchange::BinanceSpot, name, source, limit)
}

/// Finds a stream by the part of its name after the symbol.
pub(crate) fn stream_of(kind: &str) -> Option<Stream> {
    Stream::ALL.into_iter().find(|stream| kind_of(*stream) == Some(kind))
}

/// Returns the part of a stream's name after the symbol; `None` for what the venue does not have.
pub(crate) fn kind_of(stream: Stream) -> Option<&'static str> {
    Some(match stream {
        Stream::Trade => "trade",
        Stream::Aggregate => "aggTrade",
        Stream::Depth => "depth@100ms",
        Stream::DepthSlow => "depth",
        Stream::Ticker => "bookTicker",
        Stream::Top5 => "depth5@100ms",
        Stream::Top10 => "depth10@100ms",
        Stream::Top20 => "depth20@100ms",
        Stream::Top5Slow => "depth5",
        Stream::Top10Slow => "depth10",
        Stream::Top20Slow => "depth20",
    })
}

/// Returns what streams a connection's names mean.
///
/// The venue takes lower case only; other names are acknowledged and stay silent.
pub(crate) fn wants<'a>(names: impl Iterator<Item = &'a String>) -> Wants {
    let mut wants = Wants::new();
    for name in names.collect::<BTreeSet<_>>() {
        let Some((symbol, kind)) = name.split_once('@') else {
            continue;
        };
        if let Some(stream) = stream_of(kind).filter(|_| symbol == symbol.to_lowercase()) {
            *wants.entry((Exchange::BinanceSpot, symbol.to_uppercase())).or_default() |= stream.bit();
        }
    }
    wants
}
