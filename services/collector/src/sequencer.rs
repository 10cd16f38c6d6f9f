//! Continuity of one symbol's trades.
//!
//! Binance numbers the trades of a symbol without holes: after `t` comes `t + 1`.
//! 1. The next id is passed on.
//! 2. An id beyond it is passed on, and what lies between is a gap from this second on.
//! 3. An id within a gap is late, not lost: it is passed on and the gap shrinks, splits or is filled.
//! 4. Any other id was seen: a replay, dropped and counted.
//! 5. A hole is asked for from the venue's history, from its first id on; what history gives is passed on like a late trade,
//!    and what it does not have between its neighbours does not exist: that part is unfillable.

use std::collections::BTreeMap;

use mprism_model::{DataType, Exchange, Gap, GapCause, GapState, MarketType, Source, Symbol, UnixMillis};

use crate::ledger::OpenGap;

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
    /// Everything before was had from history; the hole's first id at first.
    next: u64,
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
                next: last.id + 1,
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
        let Some((&from, watched)) = found.filter(|(_, w)| (w.next..=w.to).contains(&seen.id)) else {
            return Verdict::Replay;
        };
        let mut first = watched.clone();
        self.watched.remove(&from);
        first.version += 1;
        let mut gaps = Vec::new();
        if seen.id < first.to {
            let rest = Watched {
                next: seen.id + 1,
                from_ts: seen.ts,
                version: 1,
                ..first.clone()
            };
            gaps.push(self.gap(seen.id + 1, &rest, GapState::Open, now));
            self.watch(seen.id + 1, rest);
        }
        if seen.id > first.next {
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

    /// Returns the oldest hole that is still watched, as the range that is left to be had from history.
    pub(crate) fn hole(&self) -> Option<(u64, u64)> {
        self.watched.values().next().map(|watched| (watched.next, watched.to))
    }

    /// Takes up a hole that an earlier life noticed; returns whether it was unknown.
    pub(crate) fn adopt(&mut self, gap: &OpenGap) -> bool {
        let found = self.watched.range(..=gap.to).next_back();
        let is_known = found.is_some_and(|(_, watched)| watched.to >= gap.from);
        let is_ahead = self.last.is_none_or(|last| gap.to > last.id);
        if is_known || is_ahead || gap.from > gap.to {
            return false;
        }
        let watched = Watched {
            next: gap.from,
            to: gap.to,
            from_ts: gap.from_ts,
            to_ts: gap.to_ts,
            cause: gap.cause,
            version: gap.version,
        };
        self.watch(gap.from, watched);
        true
    }

    /// Takes a piece of the venue's history: of the ids `piece`, those of `trades` exist, in their order, and no others.
    ///
    /// Returns the positions of the trades that were missing, and what has become of the holes.
    pub(crate) fn fill(&mut self, piece: (u64, u64), trades: &[Seen], now: UnixMillis) -> (Vec<usize>, Vec<Gap>) {
        let (mut passed, mut gaps) = (Vec::new(), Vec::new());
        let touched: Vec<u64> = self.watched.range(..=piece.1).map(|(from, _)| *from).collect();
        for from in touched {
            let Some(watched) = self.watched.remove(&from) else {
                continue;
            };
            if watched.to < piece.0 || watched.next < piece.0 {
                // A piece that leaves something out before itself says nothing about the hole as a whole.
                self.watched.insert(from, watched);
                continue;
            }
            let upto = watched.to.min(piece.1);
            let here = trades.iter().enumerate();
            let here: Vec<_> = here.filter(|(_, t)| (watched.next..=upto).contains(&t.id)).collect();
            passed.extend(here.iter().map(|(at, _)| *at));
            let (mut from, mut watched) = (from, watched);
            for (_, seen) in &here {
                if seen.id > watched.next {
                    (from, watched) = self.split_off_absent(from, watched, **seen, now, &mut gaps);
                }
                watched.next = seen.id + 1;
            }
            if watched.next <= upto {
                let after = Seen {
                    id: upto + 1,
                    ts: watched.to_ts,
                };
                (from, watched) = self.split_off_absent(from, watched, after, now, &mut gaps);
            }
            if watched.next <= watched.to {
                if watched.version == 0 {
                    watched.version = 1;
                    gaps.push(self.gap(from, &watched, GapState::Open, now));
                }
                self.watched.insert(from, watched);
            } else if from <= watched.to {
                watched.version += 1;
                gaps.push(Gap {
                    source: Source::Backfill,
                    ..self.gap(from, &watched, GapState::Filled, now)
                });
            }
        }
        (passed, gaps)
    }

    /// Ends a hole before `seen`: what was had of it is filled, what lies between does not exist. Returns what is left.
    fn split_off_absent(
        &self,
        from: u64,
        watched: Watched,
        seen: Seen,
        now: UnixMillis,
        gaps: &mut Vec<Gap>,
    ) -> (u64, Watched) {
        let had = watched.next > from;
        let piece = |to: u64, version: u32| Watched {
            to,
            version,
            ..watched.clone()
        };
        let mut say = |from: u64, piece: &Watched, state: GapState| {
            gaps.push(Gap {
                source: Source::Backfill,
                ..self.gap(from, piece, state, now)
            });
        };
        if had {
            say(from, &piece(watched.next - 1, watched.version + 1), GapState::Filled);
        }
        let version = if had { 1 } else { watched.version + 1 };
        say(watched.next, &piece(seen.id - 1, version), GapState::Unfillable);
        let rest = Watched {
            next: seen.id,
            from_ts: seen.ts,
            version: 0,
            ..watched
        };
        (seen.id, rest)
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

    fn gap_rows(gaps: &[Gap]) -> Vec<(String, u32, GapState)> {
        let row = |g: &Gap| (format!("{}..{}", g.from_id, g.to_id), g.version, g.state);
        gaps.iter().map(row).collect()
    }

    #[test]
    fn history_fills_a_hole_piece_by_piece_and_says_what_does_not_exist() {
        let mut s = sequencer(Some(10));
        observe(&mut s, 20);
        assert_eq!(s.hole(), Some((11, 19)));
        let (passed, gaps) = s.fill((11, 13), &[seen(11), seen(12), seen(13)], UnixMillis(0));
        assert_eq!((passed, gaps), (vec![0, 1, 2], vec![]), "not a word before it is whole");
        assert_eq!(observe(&mut s, 12), Verdict::Replay, "had from history");
        assert_eq!(s.hole(), Some((14, 19)));
        let (passed, gaps) = s.fill((14, 19), &[seen(14), seen(17), seen(18), seen(19)], UnixMillis(0));
        assert_eq!(passed, [0, 1, 2, 3]);
        assert_eq!(
            gap_rows(&gaps),
            [
                ("11..14".into(), 2, GapState::Filled),
                ("15..16".into(), 1, GapState::Unfillable),
                ("17..19".into(), 1, GapState::Filled)
            ]
        );
        assert_eq!(s.hole(), None);
    }

    #[test]
    fn an_earlier_lifes_hole_is_taken_up_once() {
        let mut s = sequencer(Some(100));
        let gap = OpenGap {
            symbol: "BTC-USDT".into(),
            from: 50,
            to: 51,
            from_ts: UnixMillis(1),
            to_ts: UnixMillis(2),
            cause: GapCause::CollectorDown,
            version: 4,
        };
        assert!(s.adopt(&gap) && !s.adopt(&gap));
        let (_, gaps) = s.fill((50, 51), &[seen(50), seen(51)], UnixMillis(0));
        assert_eq!(gap_rows(&gaps), [("50..51".into(), 5, GapState::Filled)]);
        assert_eq!(
            (gaps[0].cause, gaps[0].source),
            (GapCause::CollectorDown, Source::Backfill)
        );
        assert!(
            !s.adopt(&OpenGap {
                from: 90,
                to: 120,
                ..gap
            }),
            "beyond what was seen"
        );
    }

    /// What may happen to a symbol's trades.
    #[derive(Clone, Debug)]
    enum Act {
        Live(u64),
        /// So many ids of the oldest hole are asked for.
        History(u64),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![4 => (1_u64..60).prop_map(Act::Live), 1 => (1_u64..12).prop_map(Act::History)]
    }

    proptest! {
        /// Whatever arrives in whatever order, and whatever history has: each id passes once, and the ledger's last word is
        /// what is missing.
        #[test]
        fn the_ledger_is_the_truth(
            acts in proptest::collection::vec(act(), 1..200),
            absent in proptest::collection::btree_set(1_u64..60, 0..10),
        ) {
            let mut s = sequencer(Some(0));
            let mut passed = BTreeSet::new();
            let mut ledger: BTreeMap<String, Gap> = BTreeMap::new();
            let mut highest = 0;
            for act in acts {
                let gaps = match act {
                    Act::Live(id) if absent.contains(&id) => continue,
                    Act::Live(id) => {
                        highest = highest.max(id);
                        let is_new = !passed.contains(&id);
                        match observe(&mut s, id) {
                            Verdict::Replay => {
                                prop_assert!(!is_new, "{id} was new");
                                continue;
                            }
                            Verdict::Pass(gaps) => {
                                prop_assert!(is_new, "{id} was seen");
                                passed.insert(id);
                                gaps
                            }
                        }
                    }
                    Act::History(count) => {
                        let Some((from, to)) = s.hole() else { continue };
                        let piece = (from, to.min(from + count - 1));
                        let exist: Vec<Seen> =
                            (piece.0..=piece.1).filter(|id| !absent.contains(id)).map(seen).collect();
                        let (new, gaps) = s.fill(piece, &exist, UnixMillis(0));
                        for at in new {
                            prop_assert!(passed.insert(exist[at].id), "{} was seen", exist[at].id);
                        }
                        gaps
                    }
                };
                for gap in gaps {
                    let before = ledger.insert(gap.gap_id(), gap.clone());
                    prop_assert!(before.is_none_or(|old| old.version < gap.version));
                }
            }
            let bounds = |gap: &Gap| {
                let bound = |text: &str| text.parse::<u64>().expect("a number");
                bound(&gap.from_id)..=bound(&gap.to_id)
            };
            let in_state = |state| ledger.values().filter(move |gap| gap.state == state);
            let unfillable: BTreeSet<u64> = in_state(GapState::Unfillable).flat_map(bounds).collect();
            prop_assert!(unfillable.is_subset(&absent), "only what does not exist is unfillable");
            let mut open: Vec<u64> = in_state(GapState::Open).flat_map(bounds).collect();
            let count = open.len();
            open.sort_unstable();
            open.dedup();
            prop_assert_eq!(open.len(), count, "no id twice");
            // Of a hole that is being filled some is there already; everything that is missing is in one.
            let open: BTreeSet<u64> = open.into_iter().collect();
            let accounted = |id: &u64| passed.contains(id) || open.contains(id) || unfillable.contains(id);
            prop_assert!((1..highest).all(|id| accounted(&id)));
            if s.hole().is_none() {
                prop_assert!(open.is_empty());
            }
        }
    }
}
