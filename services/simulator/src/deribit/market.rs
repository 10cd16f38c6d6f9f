//! The venue's instruments.

use std::collections::BTreeMap;

use crate::market::{KeptTrade, Places, Scale, Style, TradeLog};
use crate::symbol::{Interval, Listing, Series, Stream, Symbol, list};
use crate::{Exchange, SimulatorOptions};

pub(super) const EXCHANGE: Exchange = Exchange::DeribitDerivatives;
/// Every so many trades one is a liquidation.
const LIQUIDATION_EVERY: u64 = 97;

/// Makes the synthetic instruments.
pub(crate) fn synthetic(options: &SimulatorOptions, places: &Places) -> BTreeMap<String, Symbol> {
    let perpetuals = options.instruments.deribit_derivatives.iter().map(|name| Listing {
        exchange: EXCHANGE,
        name: name.clone(),
        scale: scale(name),
        stride: 1,
        series: Some(Series {
            marks: true,
            interests: true,
            ..Series::default()
        }),
        views: vec![(Interval::Ms100, usize::MAX), (Interval::Ms1000, usize::MAX)],
        batched: Stream::Trade.bit(),
    });
    let indices = options.instruments.deribit_indices.iter().map(|name| Listing {
        exchange: EXCHANGE,
        name: name.clone(),
        scale: scale(name),
        stride: 1,
        series: Some(Series {
            volatilities: true,
            ..Series::default()
        }),
        views: Vec::new(),
        batched: Stream::Trade.bit(),
    });
    list(perpetuals.chain(indices), options, places)
}

/// Ticks of 0.5 and lots of 10 US dollars for bitcoin, of 0.05 and 1 for others.
fn scale(name: &str) -> Scale {
    let is_bitcoin = name.starts_with("BTC");
    Scale {
        tick: 5,
        price_decimals: if is_bitcoin { 1 } else { 2 },
        lot: if is_bitcoin { 10 } else { 1 },
        quantity_decimals: 0,
        price_style: Style::Number,
        quantity_style: Style::Number,
    }
}

/// Whether a trade is a liquidation of its taker.
pub(super) fn is_liquidation(id: u64) -> bool {
    id.is_multiple_of(LIQUIDATION_EVERY)
}

/// Returns the trades that are liquidations.
pub(crate) fn liquidations(log: &TradeLog) -> impl Iterator<Item = KeptTrade> {
    let first = log.first_id().next_multiple_of(LIQUIDATION_EVERY) - log.first_id();
    let step = usize::try_from(LIQUIDATION_EVERY).unwrap_or(usize::MAX);
    (first..log.count())
        .step_by(step)
        .filter_map(|position| log.at(position))
}
