//! Continuity of one symbol's trades.
//!
//! Binance numbers the trades of a symbol without holes: after `t` comes `t + 1`.
//! 1. The next id is passed on.
//! 2. An id beyond it is passed on, and what lies between is a gap from this second on.
//! 3. An id within a gap is late, not lost: it is passed on and the gap shrinks, splits or is filled.
//! 4. Any other id was seen: a replay, dropped and counted.

use std::collections::BTreeMap;

use mprism_model::{DataType, Exchange, Gap, GapCause, GapState, MarketType, Source, Symbol, UnixMillis};

/// Gaps of one symbol that are watched for late trades; older ones are left to the ledger.
const WATCHED_MAX: usize = 1_000;

/// The state of one symbol.
#[derive(Debug)]
pub(crate) struct Sequencer {
    exchange: Exchange,
    market_type: MarketType,
    symbol: Symbol,
    last: Option<Seen>,
    cause: GapCause,
    /// By first missing id.
    watched: BTreeMap<u64, Watched>,
}

/// A trade that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: u64,
    pub(crate) ts: UnixMillis,
}

#[derive(Clone, Debug)]
struct Watched {
    to: u64,
    from_ts: UnixMillis,
    to_ts: UnixMillis,
    cause: GapCause,
    version: u32,
}

/// What to do with a trade.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Pass it on, after these versions of gaps.
    Pass(Vec<Gap>),
    /// It was seen before.
    Replay,
}

impl Sequencer {
    /// Starts after the last trade that is known to be accepted, if any is.
    pub(crate) fn new(exchange: Exchange, market_type: MarketType, symbol: Symbol, last: Option<Seen>) -> Self {
        Self {
            exchange,
            market_type,
            symbol,
            last,
            cause: GapCause::CollectorDown,
            watched: BTreeMap::new(),
        }
    }

    /// Says why the next hole, if there is one, came about.
    pub(crate) fn expect(&mut self, cause: GapCause) {
        // Until the first trade of this life every hole is from before it.
        if self.cause != GapCause::CollectorDown {
            self.cause = cause;
        }
    }

    /// Decides about a trade.
    pub(crate) fn observe(&mut self, seen: Seen, now: UnixMillis) -> Verdict {
        let Some(last) = self.last else {
            self.advance(seen);
            return Verdict::Pass(Vec::new());
        };
        if seen.id <= last.id {
            return self.observe_late(seen, now);
        }
        let mut gaps = Vec::new();
        if seen.id > last.id + 1 {
            let watched = Watched {
                to: seen.id - 1,
                from_ts: last.ts,
                to_ts: seen.ts,
                cause: self.cause,
                version: 1,
            };
            gaps.push(self.gap(last.id + 1, &watched, GapState::Open, now));
            self.watch(last.id + 1, watched);
        }
        self.advance(seen);
        Verdict::Pass(gaps)
    }

    fn advance(&mut self, seen: Seen) {
        self.last = Some(seen);
        self.cause = GapCause::Sequence;
    }

    fn observe_late(&mut self, seen: Seen, now: UnixMillis) -> Verdict {
        let found = self.watched.range(..=seen.id).next_back();
        let Some((&from, watched)) = found.filter(|(_, watched)| seen.id <= watched.to) else {
            return Verdict::Replay;
        };
        let mut first = watched.clone();
        self.watched.remove(&from);
        first.version += 1;
        let mut gaps = Vec::new();
        if seen.id < first.to {
            let rest = Watched {
                from_ts: seen.ts,
                version: 1,
                ..first.clone()
            };
            gaps.push(self.gap(seen.id + 1, &rest, GapState::Open, now));
            self.watch(seen.id + 1, rest);
        }
        if seen.id > from {
            first.to = seen.id - 1;
            first.to_ts = seen.ts;
            gaps.push(self.gap(from, &first, GapState::Open, now));
            self.watch(from, first);
        } else {
            // Nothing is missing any more from this gap's own first id on; what is left has its own entry.
            first.to = seen.id;
            gaps.push(self.gap(from, &first, GapState::Filled, now));
        }
        Verdict::Pass(gaps)
    }

    fn watch(&mut self, from: u64, watched: Watched) {
        self.watched.insert(from, watched);
        if self.watched.len() > WATCHED_MAX {
            self.watched.pop_first();
        }
    }

    fn gap(&self, from: u64, watched: &Watched, state: GapState, now: UnixMillis) -> Gap {
        Gap {
            ts: now,
            exchange: self.exchange,
            market_type: self.market_type,
            symbol: self.symbol.clone(),
            data_type: DataType::Trade,
            from_id: from.to_string().into(),
            to_id: watched.to.to_string().into(),
            from_ts: watched.from_ts,
            to_ts: watched.to_ts,
            cause: watched.cause,
            state,
            source: Source::Ws,
            version: watched.version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn sequencer(last: Option<u64>) -> Sequencer {
        let symbol = Symbol::new("BTC-USDT").expect("valid");
        Sequencer::new(Exchange::BinanceSpot, MarketType::Spot, symbol, last.map(seen))
    }

    fn seen(id: u64) -> Seen {
        Seen {
            id,
            ts: UnixMillis(id as i64),
        }
    }

    fn observe(sequencer: &mut Sequencer, id: u64) -> Verdict {
        sequencer.observe(seen(id), UnixMillis(0))
    }

    fn bounds(verdict: Verdict) -> Vec<(String, String, u32, GapState, GapCause)> {
        let Verdict::Pass(gaps) = verdict else {
            panic!("passed on")
        };
        let bounds = gaps.into_iter();
        bounds
            .map(|g| (g.from_id.into(), g.to_id.into(), g.version, g.state, g.cause))
            .collect()
    }

    #[test]
    fn holes_are_exact_and_say_why() {
        let mut s = sequencer(Some(10));
        s.expect(GapCause::Disconnect);
        let text = |from: u64, to: u64| (from.to_string(), to.to_string());
        let open = |from, to, version, cause| (text(from, to).0, text(from, to).1, version, GapState::Open, cause);
        assert_eq!(bounds(observe(&mut s, 13)), [open(11, 12, 1, GapCause::CollectorDown)]);
        assert_eq!(bounds(observe(&mut s, 14)), []);
        assert_eq!(bounds(observe(&mut s, 16)), [open(15, 15, 1, GapCause::Sequence)]);
        s.expect(GapCause::Disconnect);
        assert_eq!(bounds(observe(&mut s, 20)), [open(17, 19, 1, GapCause::Disconnect)]);
        assert_eq!(observe(&mut s, 20), Verdict::Replay);
        assert_eq!(observe(&mut s, 16), Verdict::Replay);
    }

    #[test]
    fn a_first_life_has_no_hole_before_it() {
        let mut s = sequencer(None);
        assert_eq!(bounds(observe(&mut s, 1_000)), []);
    }

    #[test]
    fn a_late_trade_is_passed_on_and_its_gap_is_filled() {
        let mut s = sequencer(Some(1));
        observe(&mut s, 3);
        let gaps = bounds(observe(&mut s, 2));
        assert_eq!(
            gaps,
            [("2".into(), "2".into(), 2, GapState::Filled, GapCause::CollectorDown)]
        );
        assert_eq!(observe(&mut s, 2), Verdict::Replay);
    }

    proptest! {
        /// Whatever arrives in whatever order: each id passes once, and the ledger's last word is what is missing.
        #[test]
        fn the_ledger_is_the_truth(ids in proptest::collection::vec(1_u64..60, 1..200)) {
            let mut s = sequencer(Some(0));
            let mut passed = BTreeSet::new();
            let mut ledger: BTreeMap<String, Gap> = BTreeMap::new();
            let mut highest = 0;
            for id in ids {
                let expected = !passed.contains(&id);
                match observe(&mut s, id) {
                    Verdict::Replay => prop_assert!(!expected, "{id} was new"),
                    Verdict::Pass(gaps) => {
                        prop_assert!(expected, "{id} was seen");
                        passed.insert(id);
                        for gap in gaps {
                            let before = ledger.insert(gap.gap_id(), gap.clone());
                            prop_assert!(before.is_none_or(|old| old.version < gap.version));
                        }
                    }
                }
                highest = highest.max(id);
            }
            let missing: BTreeSet<u64> = (1..highest).filter(|id| !passed.contains(id)).collect();
            let open = ledger.values().filter(|gap| gap.state == GapState::Open);
            let ledgered: Vec<u64> = open
                .flat_map(|gap| {
                    let bound = |text: &str| text.parse::<u64>().expect("a number");
                    bound(&gap.from_id)..=bound(&gap.to_id)
                })
                .collect();
            prop_assert_eq!(ledgered.len(), missing.len(), "no id twice");
            prop_assert_eq!(ledgered.into_iter().collect::<BTreeSet<u64>>(), missing);
        }
    }
}
