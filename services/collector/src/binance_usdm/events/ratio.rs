//! Long/short ratios.

use mprism_model::{Event, LongShortRatio, Origin, Population, TsSource, UnixNanos};

use super::common::{amount, impossible, origin, said};
use crate::binance_usdm::messages::{RatioRow, Timestamp};
use crate::wire::{About, ParseError, Said};

/// One, in units of 10⁻¹⁸.
const ONE: i128 = 10_i128.pow(18);
/// How far two shares may be from 1 together: the venue rounds each to four places.
const ROUNDING: i128 = 10_i128.pow(15);

/// Reads a long/short ratio. `ts` is when it was received, so that no query sees it before it was known; of a recording that
/// does not say when, the label of its period.
pub(in crate::binance_usdm) fn ratio(
    raw: &RatioRow<'_>,
    population: Population,
    period: &str,
    about: &About<'_>,
) -> Result<Said, ParseError> {
    let Timestamp(label) = raw.timestamp;
    let labelled = origin(&raw.symbol, label, about)?;
    let instrument = labelled.instrument_id.clone();
    let (period_ts, received) = (labelled.ts, about.ts_recv.map(UnixNanos::to_millis));
    let (long, short) = (
        amount("share of the longs", &raw.long)?,
        amount("share of the shorts", &raw.short)?,
    );
    let sum = long.value().scaled().checked_add(short.value().scaled());
    if sum.is_none_or(|sum| (sum - ONE).abs() > ROUNDING) {
        return Err(impossible("share of the longs", &raw.long));
    }
    Ok(said(
        instrument,
        Event::LongShortRatio(LongShortRatio {
            population,
            long_short_ratio: amount("long/short ratio", &raw.ratio)?,
            long_ratio: long,
            short_ratio: short,
            period: period.into(),
            period_ts,
            origin: Origin {
                ts: received.unwrap_or(period_ts),
                ts_source: received.map_or(TsSource::Event, |_| TsSource::Recv),
                ..labelled
            },
        }),
    ))
}
