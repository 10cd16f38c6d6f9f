//! The venue's channels.

use std::collections::BTreeSet;

use super::market::EXCHANGE;
use crate::hub::{State, Wants};
use crate::symbol::{Interval, Levels, Stream};

/// Channels that exist and have nothing to tell here.
const QUIET: [&str; 3] = ["platform_state", "platform_state.public_methods_state", "announcements"];

/// What a channel means.
pub(super) enum Meaning {
    Streams(Vec<(String, Stream)>),
    Quiet,
    /// It needs authentication.
    Raw,
    Unknown,
}

/// Returns the length of a channel's windows.
fn interval_of(text: &str) -> Option<Interval> {
    match text {
        "100ms" => Some(Interval::Ms100),
        "agg2" => Some(Interval::Ms1000),
        _ => None,
    }
}

/// Reads a channel's name.
pub(super) fn meaning(channel: &str, state: &State) -> Meaning {
    let parts = channel.split('.').collect::<Vec<_>>();
    if parts.last() == Some(&"raw") {
        return Meaning::Raw;
    }
    if QUIET.contains(&channel) || parts.starts_with(&["instrument", "state"]) {
        return Meaning::Quiet;
    }
    let known = |name: &str| state.symbol(EXCHANGE, name).is_some();
    let one = |name: &str, stream: Option<Stream>| match stream {
        Some(stream) if known(name) => Meaning::Streams(vec![(name.to_owned(), stream)]),
        _ => Meaning::Unknown,
    };
    match parts[..] {
        ["book", name, interval] => one(name, interval_of(interval).map(Stream::Depth)),
        ["book", name, "none", depth, interval] => {
            let levels = match depth {
                "10" => Some(Levels::Ten),
                "20" => Some(Levels::Twenty),
                _ => None,
            };
            one(
                name,
                levels
                    .zip(interval_of(interval))
                    .map(|(levels, interval)| Stream::Top(levels, interval)),
            )
        }
        ["trades", name, interval] => one(name, interval_of(interval).map(|_| Stream::Trade)),
        ["trades", "future" | "any", currency, interval] if interval_of(interval).is_some() => {
            let names = state
                .symbols
                .get(&EXCHANGE)
                .into_iter()
                .flat_map(|symbols| symbols.keys());
            let meant = names.filter(|name| currency == "any" || name.split('-').next() == Some(currency));
            let meant = meant.filter(|name| EXCHANGE.has_trades(name));
            let streams = meant.map(|name| (name.clone(), Stream::Trade)).collect::<Vec<_>>();
            if streams.is_empty() {
                Meaning::Unknown
            } else {
                Meaning::Streams(streams)
            }
        }
        ["ticker", name, interval] => one(name, interval_of(interval).map(Stream::Quote)),
        ["perpetual", name, interval] => one(name, interval_of(interval).map(|_| Stream::Mark)),
        ["deribit_volatility_index", name] => one(name, Some(Stream::Volatility)),
        _ => Meaning::Unknown,
    }
}

/// Returns what channels mean.
pub(super) fn wants<'a>(channels: impl Iterator<Item = &'a String>, state: &State) -> Wants {
    let mut wants = Wants::new();
    for channel in channels.collect::<BTreeSet<_>>() {
        if let Meaning::Streams(streams) = meaning(channel, state) {
            for (name, stream) in streams {
                *wants.entry((EXCHANGE, name)).or_default() |= stream.bit();
            }
        }
    }
    wants
}

/// Returns the channel of an instrument's stream.
pub(super) fn channel_of(name: &str, stream: Stream) -> String {
    let interval = |interval| if interval == Interval::Ms1000 { "agg2" } else { "100ms" };
    match stream {
        Stream::Depth(length) => format!("book.{name}.{}", interval(length)),
        Stream::Top(levels, length) => format!("book.{name}.none.{}.{}", levels.count(), interval(length)),
        Stream::Quote(length) => format!("ticker.{name}.{}", interval(length)),
        Stream::Mark => format!("perpetual.{name}.100ms"),
        Stream::Volatility => format!("deribit_volatility_index.{name}"),
        _ => format!("trades.{name}.100ms"),
    }
}
