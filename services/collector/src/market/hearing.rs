//! What connections, questions and polls bring, and whose state it becomes.

use std::sync::atomic::Ordering;

use mprism_model::{DataType, GapCause, Source};

use super::polling::Polled;
use super::{Found, Heard, Market, Out, State};
use crate::link::Plan;
use crate::rest::History;
use crate::wire::Said;

impl<H: History> Market<H> {
    pub(super) fn hear(&mut self, portion: Vec<Heard>) {
        for heard in portion {
            match heard {
                Heard::Said(said) => self.take(said),
                Heard::Polled(polled) => self.polled(*polled),
                // What one instrument lost is no explanation of another one's gap.
                Heard::Malformed(Some(instrument), _) if self.states.contains_key(&instrument) => {
                    let state = self.states.get_mut(&instrument);
                    if let Some(trades) = state.and_then(|state| state.trades.as_mut()) {
                        trades.expect(GapCause::Malformed);
                    }
                }
                Heard::Malformed(_, plan) => self.told_by(&plan, |state, data_type, _, _| {
                    if let (DataType::Trade, Some(trades)) = (data_type, &mut state.trades) {
                        trades.expect(GapCause::Malformed);
                    }
                }),
                Heard::Began(plan) => self.told_by(&plan, |state, data_type, is_had_elsewhere, out| {
                    if let Some(series) = state.series.get_mut(&data_type) {
                        if is_had_elsewhere {
                            series.is_had_elsewhere();
                        }
                        series.resume(out);
                    }
                }),
                Heard::Ended(plan, since) => self.told_by(&plan, |state, data_type, _, _| match data_type {
                    DataType::Trade => {
                        if let Some(trades) = &mut state.trades {
                            trades.expect(GapCause::Disconnect);
                        }
                    }
                    DataType::OrderBook => {
                        if let Some(books) = &mut state.books {
                            books.suspend();
                        }
                    }
                    other => {
                        if let Some(series) = state.series.get_mut(&other) {
                            series.suspend(since);
                        }
                    }
                }),
            }
        }
    }

    /// Does something for each type of each instrument that a connection tells. What comes with trades is had with them from
    /// history.
    fn told_by(&mut self, plan: &Plan, mut act: impl FnMut(&mut State, DataType, bool, &mut Out)) {
        for stream in &plan.streams {
            let has_trades = stream.tells.iter().any(|(data_type, _)| *data_type == DataType::Trade);
            for (data_type, instrument) in &stream.tells {
                if let Some(state) = self.states.get_mut(instrument) {
                    act(state, *data_type, has_trades, &mut self.out);
                    self.touched.push(instrument.clone());
                }
            }
        }
    }

    fn take(&mut self, said: Said) {
        let cadence = self.options.cadence;
        if let Some(latency_ms) = latency_ms(&said) {
            self.out.stats.latency_ms.store(latency_ms, Ordering::Relaxed);
        }
        match said {
            Said::Trade {
                trade,
                number,
                is_sized,
            } => {
                self.touch(&trade.instrument_id);
                let state = self.states.get_mut(&trade.instrument_id);
                match state.and_then(|state| state.trades.as_mut()) {
                    Some(trades) if !is_sized => {
                        trades.expect(GapCause::Malformed);
                        self.out.unsized_event();
                    }
                    Some(trades) => trades.hear(&trade, number, &mut self.out),
                    None => self.out.skipped("trade of an instrument that is not collected"),
                }
            }
            Said::Diff(instrument, diff) => {
                self.touch(&instrument);
                let state = self.states.get_mut(&instrument);
                match state.and_then(|state| state.books.as_mut()) {
                    Some(books) => books.hear(*diff, cadence, &mut self.out),
                    None => self.out.skipped("order book of an instrument that is not collected"),
                }
            }
            Said::Book(instrument, snapshot) => {
                self.touch(&instrument);
                let state = self.states.get_mut(&instrument);
                match state.and_then(|state| state.books.as_mut()) {
                    Some(books) => books.told(&snapshot, cadence, &mut self.out),
                    None => self.out.skipped("order book of an instrument that is not collected"),
                }
            }
            Said::Event {
                instrument,
                event,
                is_sized,
            } => {
                let state = self.states.get_mut(&instrument);
                match state.and_then(|state| state.series.get_mut(&event.data_type())) {
                    Some(_) if !is_sized => self.out.unsized_event(),
                    Some(series) => series.hear(&event, &mut self.out),
                    // All-market streams tell it of every instrument.
                    None => self.out.skipped("observation of an instrument that is not collected"),
                }
            }
            _ => self.out.skipped("something that is no event"),
        }
    }

    fn polled(&mut self, polled: Polled) {
        self.out.stats.polls.fetch_add(1, Ordering::Relaxed);
        match polled.answer {
            Ok(said) => {
                let state = self.states.get_mut(&polled.instrument);
                if let Some(series) = state.and_then(|state| state.series.get_mut(&polled.data_type)) {
                    for periods in polled.missing {
                        series.missing(periods, polled.cause, &mut self.out);
                    }
                }
                said.into_iter().for_each(|said| self.take(said));
            }
            Err(error) => self.out.unanswered(&error),
        }
    }

    pub(super) fn find(&mut self, found: Found) {
        match found {
            Found::Snapshot(instrument, answer) => {
                self.touch(&instrument);
                let state = self.states.get_mut(&instrument);
                if let Some(books) = state.and_then(|state| state.books.as_mut()) {
                    books.joined(answer, self.options.cadence, &mut self.out);
                }
            }
            Found::Piece(instrument, answer) => {
                self.touch(&instrument);
                let state = self.states.get_mut(&instrument);
                if let Some(trades) = state.and_then(|state| state.trades.as_mut()) {
                    trades.found(answer, &mut self.out);
                }
            }
            Found::Open(gaps) => {
                for (instrument, state) in &mut self.states {
                    let Some(trades) = &mut state.trades else {
                        continue;
                    };
                    for gap in &gaps {
                        if gap.symbol == trades.symbol() {
                            trades.adopt(gap);
                            self.touched.push(instrument.clone());
                        }
                    }
                }
            }
        }
    }
}

/// Returns how old an event was when it left the socket, where both clocks are known.
fn latency_ms(said: &Said) -> Option<i64> {
    let (ts, ts_recv) = match said {
        Said::Trade { trade, .. } if trade.source == Source::Ws => (trade.ts, trade.ts_recv),
        Said::Diff(_, diff) => (diff.ts, diff.ts_recv),
        _ => return None,
    };
    Some(ts_recv?.to_millis().0.saturating_sub(ts.0))
}
