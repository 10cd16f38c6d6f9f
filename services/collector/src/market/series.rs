//! What a venue says by the clock or now and then of one instrument: funding rates, open interest, liquidations, ratios,
//! volatility. Nothing of it is numbered: what is new is told by what it says and when it was.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mprism_bus::SubjectText;
use mprism_model::{
    DataType, Event, FundingKind, Gap, GapCause, GapState, Source, Subject, UnixMillis, UnixNanos, VolatilityIndex,
};

use super::{Out, gap_subject, now};
use crate::stats::StreamStats;

/// How long after it happened a venue tells of a liquidation, at most: each gathers them for a second.
const TOLD_WITHIN_MS: i64 = 5_000;
/// Observations that are remembered, so that one that is told again is known. A subscription to liquidations begins with up to
/// a hundred old ones.
const REMEMBERED: usize = 1_024;

/// Where earlier lives left a series off: the time of its newest value, of estimates and of settled ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeriesMark {
    pub(crate) newest: Option<UnixMillis>,
    /// Of settled funding rates, which come from another source than the running estimates.
    pub(crate) settled: Option<UnixMillis>,
}

/// One series.
pub(super) struct SeriesState {
    about: Subject,
    subject: SubjectText,
    gap_subject: SubjectText,
    stats: Arc<StreamStats>,
    mark: SeriesMark,
    recent: Recent,
    /// Where the venue repeats itself more often than is of use: at most one value in so long.
    thin: Option<Duration>,
    passed: Option<UnixMillis>,
    minutes: Minutes,
    /// The newest that was heard, in this life or before.
    newest: Option<UnixMillis>,
    /// Since when nothing could be heard, and why; of what nobody can be asked for afterwards.
    deaf: Option<(UnixMillis, GapCause)>,
}

/// What was told lately.
#[derive(Debug, Default)]
struct Recent {
    order: VecDeque<u64>,
    known: HashSet<u64>,
}

impl Recent {
    /// Returns whether it was not there.
    fn insert(&mut self, hash: u64) -> bool {
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// Minutes of which a stream told a volatility index. The candle of a minute stands in for what nobody heard, and only there.
#[derive(Debug, Default)]
struct Minutes(VecDeque<i64>);

impl Minutes {
    /// Returns whether an observation is the candle of a minute that is had already; what a stream tells is remembered.
    fn have(&mut self, event: &Event) -> bool {
        let Event::VolatilityIndex(VolatilityIndex { origin, .. }) = event else {
            return false;
        };
        let minute = origin.ts.0.div_euclid(60_000);
        if origin.source != Source::Ws {
            return self.0.contains(&minute);
        }
        if self.0.back() != Some(&minute) {
            self.0.push_back(minute);
        }
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
        false
    }
}

/// Returns what tells an observation from the next one: its time, or the label of its period.
pub(crate) fn natural_time(event: &Event) -> UnixMillis {
    match event {
        Event::FundingRate(rate) => match rate.kind {
            FundingKind::Settled => rate.funding_ts.unwrap_or(rate.origin.ts),
            FundingKind::Estimated => rate.origin.ts,
        },
        Event::OpenInterest(interest) => interest.origin.ts,
        Event::Liquidation(liquidation) => liquidation.origin.ts,
        Event::LongShortRatio(ratio) => ratio.period_ts,
        Event::VolatilityIndex(index) => index.origin.ts,
        Event::Trade(trade) => trade.ts,
        Event::OrderBook(book) => book.ts,
        Event::Gap(gap) => gap.ts,
    }
}

fn is_settled(event: &Event) -> bool {
    matches!(event, Event::FundingRate(rate) if rate.kind == FundingKind::Settled)
}

impl SeriesState {
    pub(super) fn new(about: Subject, mark: SeriesMark, thin: Option<Duration>, stats: Arc<StreamStats>) -> Self {
        // What an earlier life did not hear of it cannot be had; a first life has missed nothing.
        let deaf = mark.newest.map(|since| (since, GapCause::CollectorDown));
        Self {
            subject: about.to_string().into(),
            gap_subject: gap_subject(&about),
            stats,
            mark,
            recent: Recent::default(),
            thin,
            passed: None,
            minutes: Minutes::default(),
            newest: mark.newest,
            deaf: deaf.filter(|_| about.data_type == DataType::Liquidation),
            about,
        }
    }

    /// Says that nothing is heard since a moment. What was on its way then may be as much older as a venue takes to tell it, but
    /// is not older than what was told before it.
    pub(super) fn suspend(&mut self, since: UnixMillis) {
        if self.about.data_type == DataType::Liquidation {
            let since = UnixMillis(since.0 - TOLD_WITHIN_MS);
            let since = self.newest.map_or(since, |newest| newest.max(since));
            self.deaf.get_or_insert((since, GapCause::Disconnect));
        }
    }

    /// Says that it can be heard again: what was missed meanwhile is written down.
    pub(super) fn resume(&mut self, out: &mut Out) {
        if let Some((since, cause)) = self.deaf.take() {
            let gap = self.gap((since, now()), cause);
            out.gap(&self.gap_subject, gap);
        }
    }

    /// Forgets what could not be heard: it is had from elsewhere.
    pub(super) fn is_had_elsewhere(&mut self) {
        self.deaf = None;
    }

    /// Writes down periods that nobody has a value of.
    pub(super) fn missing(&mut self, periods: (UnixMillis, UnixMillis), cause: GapCause, out: &mut Out) {
        let gap = self.gap(periods, cause);
        out.gap(&self.gap_subject, gap);
    }

    /// Takes an observation.
    pub(super) fn hear(&mut self, event: &Event, out: &mut Out) {
        let at = natural_time(event);
        let received = event.ts_recv().map_or_else(now, UnixNanos::to_millis);
        self.stats.last_ms.store(received.0, Ordering::Relaxed);
        if !out.admission.admits() {
            out.stats.shed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if self.minutes.have(event) {
            out.stats.repeats.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mark = if is_settled(event) {
            self.mark.settled
        } else {
            self.mark.newest
        };
        if mark.is_some_and(|mark| at <= mark) || !self.recent.insert(event.content_hash()) {
            out.stats.repeats.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let (Some(thin), Some(passed)) = (self.thin, self.passed)
            && !is_settled(event)
            && u128::try_from(at.0 - passed.0).is_ok_and(|passed| passed < thin.as_millis())
        {
            out.stats.thinned.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.passed = Some(at);
        self.newest = self.newest.max(Some(at));
        out.stats.observations.fetch_add(1, Ordering::Relaxed);
        self.stats.events.fetch_add(1, Ordering::Relaxed);
        out.push(&self.subject, event);
    }

    /// A moment, or a period, that nobody can be asked for: its identity is its beginning. Where nothing was heard between two
    /// of them they begin at the same moment, and the later one is longer: that makes it the later version.
    fn gap(&self, (from, to): (UnixMillis, UnixMillis), cause: GapCause) -> Gap {
        let length_ms = to.0.saturating_sub(from.0);
        Gap {
            ts: now(),
            exchange: self.about.exchange,
            market_type: self.about.market_type,
            symbol: self.about.symbol.clone(),
            data_type: self.about.data_type,
            from_id: from.0.to_string().into(),
            to_id: to.0.to_string().into(),
            from_ts: from,
            to_ts: to,
            cause,
            state: GapState::Unfillable,
            source: Source::Ws,
            version: u32::try_from(length_ms).unwrap_or(u32::MAX).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use mprism_model::{DecimalText, Exchange, InstrumentId, MarketType, Origin, Symbol, TsSource};

    use super::*;

    #[test]
    fn a_candle_stands_in_only_for_a_minute_of_which_nothing_was_heard() {
        let index = |ts: i64, source| {
            Event::VolatilityIndex(VolatilityIndex {
                origin: Origin {
                    exchange: Exchange::DeribitDerivatives,
                    market_type: MarketType::Options,
                    symbol: Symbol::new("BTC").expect("valid"),
                    instrument_id: InstrumentId::new("btc_usd").expect("valid"),
                    ts: UnixMillis(ts),
                    ts_source: TsSource::Event,
                    ts_recv: None,
                    source,
                },
                currency: "BTC".into(),
                volatility_index: DecimalText::new("45.31").expect("valid"),
                maturity: None,
            })
        };
        let mut minutes = Minutes::default();
        for second in [0, 1, 59, 180] {
            let point = index(1_795_176_000_000 + second * 1_000, Source::Ws);
            assert!(!minutes.have(&point), "a point is never left out");
        }
        let left_out = [0, 1, 2, 3, 4].map(|minute| {
            let candle = index(1_795_176_000_000 + minute * 60_000, Source::Backfill);
            minutes.have(&candle)
        });
        assert_eq!(left_out, [true, false, false, true, false]);
    }

    #[test]
    fn what_was_on_its_way_when_a_connection_died_is_within_the_gap() {
        let about = Subject {
            data_type: DataType::Liquidation,
            exchange: Exchange::OkxDerivatives,
            market_type: MarketType::Perpetual,
            symbol: Symbol::new("ETH-USDT").expect("valid"),
        };
        let began = UnixMillis(1_795_176_000_000);
        for (newest, since) in [
            (None, -TOLD_WITHIN_MS),
            (Some(-60_000), -TOLD_WITHIN_MS),
            (Some(-329), -329),
        ] {
            let mut series = SeriesState::new(about.clone(), SeriesMark::default(), None, Arc::default());
            series.newest = newest.map(|ms: i64| UnixMillis(began.0 + ms));
            series.suspend(began);
            series.suspend(UnixMillis(began.0 + 1));
            let expected = (UnixMillis(began.0 + since), GapCause::Disconnect);
            assert_eq!(series.deaf, Some(expected), "{newest:?}");
        }
    }

    #[test]
    fn a_gap_that_begins_where_another_one_did_is_not_taken_for_it() {
        let about = Subject {
            data_type: DataType::Liquidation,
            exchange: Exchange::OkxDerivatives,
            market_type: MarketType::Perpetual,
            symbol: Symbol::new("ETH-USDT").expect("valid"),
        };
        let series = SeriesState::new(about, SeriesMark::default(), None, Arc::default());
        let gap = |to| series.gap((UnixMillis(1_000), UnixMillis(to)), GapCause::CollectorDown);
        let (first, second) = (gap(7_000), gap(17_000));
        assert_eq!(first.gap_id(), second.gap_id());
        assert_ne!(
            Event::Gap(first.clone()).message_id(),
            Event::Gap(second.clone()).message_id()
        );
        assert!(second.version > first.version && gap(1_000).version > 0);
    }
}
