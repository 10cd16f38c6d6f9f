//! A book as REST tells it: a little old now and then, and as bad as a fault wants it.

use std::time::Duration;

use crate::Exchange;
use crate::corpus::{Level, RecordedBook};
use crate::fault::FaultKind;
use crate::hub::{Hub, State};
use crate::market::{Fold, Scale, Side};
use crate::symbol::{Source, Synthetic};

/// The level that a bad snapshot lacks.
const MISSING: usize = 3;

/// A book to tell, taken under the lock and folded without it.
pub(crate) struct Snapshot {
    told: Told,
    is_bad: bool,
}

enum Told {
    Synthetic { fold: Fold, id: u64, scale: Scale },
    Recorded(Option<RecordedBook>),
}

/// A book's best levels as texts.
pub(crate) struct Folded {
    /// `None` where there is no book yet.
    pub(crate) id: Option<u64>,
    pub(crate) bids: Vec<Level>,
    pub(crate) asks: Vec<Level>,
}

/// Waits where a fault says so, and returns the HTTP status of a refusal.
pub(crate) async fn troubled(hub: &Hub, exchange: Exchange, symbol: &str) -> Option<u16> {
    let (delay, error) = {
        let mut state = hub.lock();
        let delay = state.troubles.take(exchange, Some(symbol), |kind| match kind {
            FaultKind::SnapshotDelay { duration, .. } => Some(*duration),
            _ => None,
        });
        let error = state.troubles.take(exchange, Some(symbol), |kind| match kind {
            FaultKind::SnapshotError { status, .. } => Some(*status),
            _ => None,
        });
        (delay, error)
    };
    if let Some((delay, _)) = delay {
        wait(hub, delay).await;
    }
    error.map(|(status, _)| status)
}

async fn wait(hub: &Hub, delay: Duration) {
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = hub.stop.cancelled() => {}
    }
}

impl Snapshot {
    /// Takes what is needed to tell the book of an instrument, by the venue's name.
    pub(crate) fn take(hub: &Hub, exchange: Exchange, name: &str) -> Option<Self> {
        let mut state = hub.lock();
        state.symbol(exchange, name)?;
        let stale = state.troubles.take(exchange, Some(name), |kind| {
            matches!(kind, FaultKind::StaleSnapshot { .. }).then_some(())
        });
        let bad = state.troubles.take(exchange, Some(name), |kind| {
            matches!(kind, FaultKind::BadSnapshot { .. }).then_some(())
        });
        let told = choose(&mut state, hub, exchange, name, stale.is_some())?;
        if let Some(symbol) = state.symbol_mut(exchange, name)
            && let Source::Recorded(recording) = &mut symbol.source
        {
            recording.asked();
        }
        let id = match &told {
            Told::Synthetic { id, .. } => *id,
            Told::Recorded(book) => book.as_ref().map_or(0, |book| book.id),
        };
        for ((), record) in stale.into_iter().chain(bad) {
            state.tell(record, name, id, id);
        }
        let is_bad = bad.is_some();
        Some(Self { told, is_bad })
    }

    /// Returns the best `limit` levels. Takes a moment: not for a thread that others wait for.
    pub(crate) fn fold(self, limit: usize) -> Folded {
        let mut folded = match self.told {
            Told::Synthetic { mut fold, id, scale } => {
                let book = fold.book(id);
                let levels = |side| {
                    let levels = book.map(|book| book.top(side, limit)).unwrap_or_default();
                    let texts = levels
                        .iter()
                        .map(|level| (scale.price(level.0), scale.quantity(level.1)));
                    texts.collect::<Vec<_>>()
                };
                let (bids, asks) = (levels(Side::Bid), levels(Side::Ask));
                Folded {
                    id: Some(id),
                    bids,
                    asks,
                }
            }
            Told::Recorded(book) => {
                let (bids, asks) = book.as_ref().map(|book| book.top(limit)).unwrap_or_default();
                let id = book.map(|book| book.id);
                Folded { id, bids, asks }
            }
        };
        if self.is_bad && folded.bids.len() > MISSING {
            folded.bids.remove(MISSING);
        }
        folded
    }
}

fn choose(state: &mut State, hub: &Hub, exchange: Exchange, name: &str, stale: bool) -> Option<Told> {
    let is_stale = state.random.happens(hub.tuning.stale_snapshots);
    let at_an_end = state.random.happens(hub.tuning.snapshots_at_event_end);
    let share = state.random.below(1 << 20);
    let symbol = state.symbol(exchange, name)?;
    Some(match &symbol.source {
        Source::Synthetic(market) => {
            let key = (exchange, name.to_owned());
            let id = match (stale, is_stale, at_an_end) {
                (true, _, _) => before_buffers(market, state.before_anybody(&key)),
                (_, true, _) => market.end_of_window(2),
                (_, _, true) => market.end_of_window(0),
                _ => {
                    let end = market.end_of_window(0);
                    let changes = (market.changes.last_id() - end) / market.stride();
                    end + (changes + 1) * share / (1 << 20) * market.stride()
                }
            };
            let id = market.changes.floor(id);
            Told::Synthetic {
                fold: market.changes.fold_at(id),
                id,
                scale: market.scale,
            }
        }
        Source::Recorded(recording) if stale => Told::Recorded(recording.first_snapshot()),
        Source::Recorded(recording) => Told::Recorded(recording.book()),
    })
}

/// Returns a change before the first one that anybody can have buffered.
fn before_buffers(market: &Synthetic, before_anybody: Option<u64>) -> u64 {
    let heard = before_anybody.unwrap_or_else(|| market.changes.last_id());
    let first = *market.changes.known().start();
    heard
        .saturating_sub(market.stride())
        .max(first)
        .min(market.end_of_window(2))
}
