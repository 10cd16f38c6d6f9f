//! Synthetic instruments, made.

use std::collections::BTreeMap;

use super::{Derivative, Interval, Mask, Series, Source, Symbol, Synthetic};
use crate::market::{Market, Places, Scale};
use crate::{Exchange, SimulatorOptions};

/// What an exchange lists.
pub(crate) struct Listing {
    pub(crate) exchange: Exchange,
    /// The venue's name.
    pub(crate) name: String,
    pub(crate) scale: Scale,
    /// How much update identifiers grow with a change.
    pub(crate) stride: u64,
    pub(crate) series: Option<Series>,
    /// Windows and how many levels are shown, where the venue shows its books as chains of updates.
    pub(crate) views: Vec<(Interval, usize)>,
    /// Streams that go out at the end of 100 ms windows.
    pub(crate) batched: Mask,
}

/// Makes instruments; those that an earlier simulator had go on where it stopped.
pub(crate) fn list(
    listings: impl Iterator<Item = Listing>,
    options: &SimulatorOptions,
    places: &Places,
) -> BTreeMap<String, Symbol> {
    let symbols = listings.map(|listing| {
        let name = listing.exchange.market_name(&listing.name);
        let market = match places.get(&name) {
            Some(place) => Market::resume(options.seed, &name, &listing.scale, place),
            None => Market::new(options.seed, &name, &listing.scale),
        };
        let mut synthetic = Synthetic::new(market, listing.scale, listing.stride, options.unknown_fields);
        for (interval, limit) in listing.views {
            synthetic.show_view(interval, limit);
        }
        synthetic.batched = listing.batched;
        let derivative = |series| Derivative::new(options.seed, &name, series, options.tuning.pace);
        synthetic.derivative = listing.series.map(derivative);
        let limit = options.limit_trades.unwrap_or(u64::MAX);
        let source = Source::Synthetic(Box::new(synthetic));
        let symbol = Symbol::new(listing.exchange, &listing.name, source, limit);
        (listing.name, symbol)
    });
    symbols.collect()
}
