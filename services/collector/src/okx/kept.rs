//! Series that the venue keeps: ratios by their periods, funding rates by their settlements.

use mprism_model::{DataType, Event, InstrumentId, UnixMillis};
use mprism_runtime::clock;

use super::Rest;
use super::limits::Endpoint;
use crate::rest::RestError;
use crate::wire::Said;

/// Rows of a series that are asked for first: what is new since the last time, almost always.
const ROWS_FIRST: usize = 10;
/// Rows of a series that are asked for afterwards.
const ROWS_MAX: usize = 100;
/// Answers that catching up takes at most: the venue keeps 1,440 ratios, and three months of funding, hourly at the most.
const PAGES_MAX: usize = 25;

/// A series, and how it is asked for what is older than a row.
pub(super) struct Series {
    endpoint: Endpoint,
    parameters: Option<(&'static str, &'static str)>,
    older_than: &'static str,
}

impl Series {
    /// Returns what is asked for a type, where the venue keeps it.
    pub(super) fn of(data_type: DataType) -> Option<Self> {
        let ratios = |endpoint| Self {
            endpoint,
            parameters: Some(("period", "5m")),
            older_than: "end",
        };
        match data_type {
            DataType::LsrTopPosition => Some(ratios(Endpoint::TopPositions)),
            DataType::LsrAllAccount => Some(ratios(Endpoint::AllAccounts)),
            DataType::FundingRate => Some(Self {
                endpoint: Endpoint::FundingHistory,
                parameters: None,
                older_than: "after",
            }),
            _ => None,
        }
    }
}

/// Returns what a series' value is labelled with.
pub(super) fn label(said: &Said) -> Option<UnixMillis> {
    let Said::Event { event, .. } = said else { return None };
    match &**event {
        Event::LongShortRatio(ratio) => Some(ratio.period_ts),
        Event::FundingRate(rate) => Some(rate.origin.ts),
        _ => None,
    }
}

impl Rest {
    /// Asks for a series back to `after`, page by page, the newest first: what the venue gives for it.
    pub(super) async fn back_to(
        &self,
        series: &Series,
        instrument: &InstrumentId,
        after: Option<UnixMillis>,
    ) -> Result<Vec<Said>, RestError> {
        let (mut told, mut oldest): (Vec<(UnixMillis, Said)>, Option<UnixMillis>) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let rows = oldest.map_or(ROWS_FIRST, |_| ROWS_MAX);
            let (limit, before) = (rows.to_string(), oldest.map(|oldest| oldest.0.to_string()));
            let mut query = vec![("instId", instrument.as_str()), ("limit", &limit)];
            query.extend(series.parameters);
            query.extend(before.as_deref().map(|before| (series.older_than, before)));
            let page = self.rows(series.endpoint, instrument, &query).await?;
            let is_full = page.len() >= rows;
            let labelled = page.into_iter().filter_map(|said| Some((label(&said)?, said)));
            let labelled: Vec<_> = labelled
                .filter(|(ts, _)| oldest.is_none_or(|oldest| *ts < oldest))
                .collect();
            let Some(least) = labelled.iter().map(|(ts, _)| *ts).min() else {
                break;
            };
            told.extend(labelled);
            oldest = Some(least);
            if !is_full || after.is_none_or(|after| least <= after) {
                break;
            }
        }
        // A period whose label lies ahead has not ended.
        let now = UnixMillis(clock::now_ms());
        told.retain(|(ts, _)| *ts <= now && after.is_none_or(|after| *ts > after));
        told.sort_by_key(|(ts, _)| *ts);
        if after.is_none() {
            told.drain(..told.len().saturating_sub(1));
        }
        Ok(told.into_iter().map(|(_, said)| said).collect())
    }
}
