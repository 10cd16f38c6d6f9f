//! What instruments lack, and asking the venue and the ledger for it: only of those that something was learnt of.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mprism_model::InstrumentId;

use super::books::BookState;
use super::trades::TradeState;
use super::{Found, Market};
use crate::ledger::open_trade_gaps;
use crate::rest::History;

impl<H: History> Market<H> {
    /// Looks after the instruments of which something was learnt.
    pub(super) fn attend(&mut self, is_ending: bool) {
        // What history gives needs room in the spool like everything else.
        let has_room = self.out.admission.admits();
        if has_room {
            self.touched.extend(self.waiting.drain());
        }
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for instrument in touched.drain(..) {
            let Some(state) = self.states.get_mut(&instrument) else {
                continue;
            };
            if let Some(due) = state.books.as_ref().and_then(BookState::due)
                && state.noted != Some(due)
            {
                state.noted = Some(due);
                self.due.push(Reverse((due, instrument.clone())));
            }
            if !is_ending {
                self.ask(&instrument, has_room);
            }
        }
        self.touched = touched;
    }

    /// Asks the venue for what an instrument lacks, one question of a kind at a time.
    fn ask(&mut self, instrument: &InstrumentId, has_room: bool) {
        let Some(state) = self.states.get_mut(instrument) else {
            return;
        };
        if let Some(wait) = state.books.as_mut().and_then(BookState::question) {
            let (history, instrument) = (Arc::clone(&self.history), instrument.clone());
            self.out.stats.snapshots.fetch_add(1, Ordering::Relaxed);
            self.asked.spawn(async move {
                tokio::time::sleep(wait).await;
                let answer = history.snapshot(&instrument).await;
                Found::Snapshot(instrument, answer)
            });
        }
        if !has_room {
            self.waiting.insert(instrument.clone());
            return;
        }
        if let Some(question) = state.trades.as_mut().and_then(TradeState::question) {
            let (history, instrument) = (Arc::clone(&self.history), instrument.clone());
            self.asked.spawn(async move {
                let answer = question.ask(&*history, &instrument).await;
                Found::Piece(instrument, answer)
            });
        }
    }

    pub(super) fn touch(&mut self, instrument: &InstrumentId) {
        if self.touched.last() != Some(instrument) {
            self.touched.push(instrument.clone());
        }
    }

    pub(super) fn ask_ledger(&mut self) {
        let exchange = self.options.exchange;
        if let Some(store) = self.options.store.clone() {
            self.asked
                .spawn(async move { Found::Open(open_trade_gaps(&store, exchange).await) });
        }
    }
}
