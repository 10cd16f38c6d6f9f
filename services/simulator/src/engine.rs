//! The clock of all markets: what happens when, and to whom it is sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mprism_runtime::clock;
use tokio::sync::mpsc;

use crate::Rate;
use crate::fault::strike;
use crate::hub::{Batch, Delivery, Form, Hub, Key, State};
use crate::market::Keeper;
use crate::symbol::{Interval, Item, Mask, Source, Turn};

const TICK: Duration = Duration::from_millis(5);
/// Steps of one instrument in one batch: bounds what a client's queue can hold.
const BATCH_MAX: u64 = 1_024;
/// Steps of a turn where the market is as fast as its listeners; a turn is a window of 100 ms then.
const TURN_STEPS: u64 = 256;
const TURN_MS: u64 = 100;

/// Lets the markets run until the hub stops.
pub(crate) async fn play(hub: Arc<Hub>, rate: Rate, mut keeper: Option<Keeper>) {
    let mut pace = Pace {
        rate,
        started: None,
        market_time: Duration::ZERO,
        last: Instant::now(),
        credit: 0.0,
        turn: 0,
        windows_ms: 0,
        windows_began: None,
        is_paused: false,
    };
    while !hub.stop.is_cancelled() {
        let deliveries = pace.step(&hub);
        if let Some(keeper) = &mut keeper {
            reserve(&hub, keeper);
        }
        let idle = deliveries.is_empty();
        for delivery in deliveries {
            delivery.send(&hub, rate).await;
        }
        if idle || rate != Rate::Max {
            tokio::select! {
                () = hub.stop.cancelled() => break,
                () = hub.wake.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }
    if let Some(keeper) = keeper {
        keeper.settle(&hub.lock().places());
    }
}

/// Reserves numbers for what has just been produced, where the last block is used up.
fn reserve(hub: &Hub, keeper: &mut Keeper) {
    let (places, stride) = {
        let state = hub.lock();
        let is_used_up = state
            .all()
            .filter(|symbol| symbol.started)
            .any(|symbol| match &symbol.source {
                Source::Synthetic(market) => {
                    keeper.is_used_up(&symbol.place_name(), market.next_id(), market.changes.last_id())
                }
                Source::Recorded(_) => false,
            });
        if !is_used_up {
            return;
        }
        (state.places(), state.stride_max())
    };
    keeper.reserve(places, stride);
}

impl Delivery {
    async fn send(self, hub: &Hub, rate: Rate) {
        if rate == Rate::Max {
            tokio::select! {
                // A closed queue is a client that left.
                _left = self.queue.send(self.batch) => {}
                () = self.full.cancelled() => {}
                () = hub.stop.cancelled() => {}
            }
        } else if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(self.batch) {
            hub.note("client too slow: its queue is full");
            self.full.cancel();
        }
    }
}

struct Pace {
    rate: Rate,
    started: Option<i64>,
    market_time: Duration,
    last: Instant,
    credit: f64,
    turn: usize,
    /// How much of the windows' time is over.
    windows_ms: u64,
    windows_began: Option<Instant>,
    is_paused: bool,
}

impl Pace {
    fn step(&mut self, hub: &Arc<Hub>) -> Vec<Delivery> {
        let now = Instant::now();
        let now_ms = clock::now_ms();
        let passed = now - std::mem::replace(&mut self.last, now);
        let mut state = hub.lock();
        let mut deliveries = Vec::new();
        for fault in std::mem::take(&mut state.injected) {
            strike(hub, &mut state, &fault, now, &mut deliveries);
        }
        // What has happened when the market stops is told before it does: windows that are open end with it.
        let is_last = state.paused && !std::mem::replace(&mut self.is_paused, state.paused);
        if (state.paused && !is_last) || !state.all().any(|symbol| symbol.started) {
            return deliveries;
        }
        if self.started.is_none() {
            self.started = Some(now_ms);
            let shift = shift_ms(&state, self.rate, now_ms);
            for symbol in state.all_mut() {
                if let Source::Recorded(recording) = &mut symbol.source {
                    recording.shift(shift);
                }
            }
        } else {
            self.market_time += passed;
        }
        while state.faults.front().is_some_and(|fault| fault.at <= self.market_time) {
            if let Some(fault) = state.faults.pop_front() {
                strike(hub, &mut state, &fault, now, &mut deliveries);
            }
        }
        let wanted = wanted(&state);
        let (counts, closes) = if is_last {
            let running = state.all().filter(|symbol| symbol.started);
            let counts = running.map(|symbol| ((symbol.exchange, symbol.name.clone()), 0));
            (counts.collect(), [true; 4])
        } else {
            (self.due(&state, &wanted, passed, now), self.close_windows(now))
        };
        let from_ms = now_ms - i64::try_from(passed.as_millis()).unwrap_or(0).min(1_000);
        for (key, count) in counts {
            let skew_ms = state.skew_ms.get(&key.0).copied().unwrap_or(0);
            let Some(symbol) = state.symbol_mut(key.0, &key.1) else {
                continue;
            };
            let turn = Turn {
                count,
                from_ms: from_ms + skew_ms,
                now_ms: now_ms + skew_ms,
                now,
                holds: self.rate == Rate::Max,
                closes,
            };
            let mut told = Vec::new();
            let heard = wanted.get(&key).copied().unwrap_or(0);
            let items = symbol.produce(&turn, heard, &mut told);
            for (record, first, last) in told {
                state.tell(record, &key.1, first, last);
            }
            dispatch(&state, &key, &items, &mut deliveries);
        }
        deliveries
    }

    /// Decides which windows of changes end now, in the order of [`Interval::ALL`].
    fn close_windows(&mut self, now: Instant) -> [bool; 4] {
        let before = self.windows_ms;
        match self.rate {
            Rate::Max => self.windows_ms += TURN_MS,
            Rate::PerSecond(_) => {
                let began = *self.windows_began.get_or_insert(now);
                self.windows_ms = u64::try_from((now - began).as_millis()).unwrap_or(u64::MAX);
            }
        }
        Interval::ALL.map(|interval| self.windows_ms / interval.ms() > before / interval.ms())
    }

    /// Decides how many steps of which instrument happen now.
    fn due(&mut self, state: &State, wanted: &HashMap<Key, Mask>, passed: Duration, now: Instant) -> Vec<(Key, u64)> {
        let key = |symbol: &crate::symbol::Symbol| (symbol.exchange, symbol.name.clone());
        let running = state.all().filter(|symbol| symbol.started);
        // An index has no trades, and what is halted has none now; they go by the clock alone.
        let trades = |symbol: &&crate::symbol::Symbol| symbol.exchange.has_trades(&symbol.name) && !symbol.is_halted();
        let (running, indices) = running.partition::<Vec<_>, _>(trades);
        let mut counts = indices.into_iter().map(|symbol| (key(symbol), 0)).collect::<Vec<_>>();
        match self.rate {
            Rate::Max => {
                // Only what somebody takes happens: a market nobody hears would run through in a moment.
                let counted = running.into_iter().map(|symbol| {
                    let heard = wanted.contains_key(&key(symbol)) && !symbol.waits(now);
                    (key(symbol), if heard { TURN_STEPS } else { 0 })
                });
                counts.extend(counted);
            }
            Rate::PerSecond(rate) => {
                let live = running;
                // After a long stall the market goes on; it does not make up for more than a second.
                self.credit = (self.credit + rate * passed.as_secs_f64()).min(rate.max(1.0));
                let mut total = (self.credit as u64).min(BATCH_MAX * live.len() as u64);
                self.credit -= total as f64;
                for position in 0..live.len() {
                    let left = (live.len() - position) as u64;
                    let count = total.div_ceil(left);
                    total -= count;
                    let symbol = live[(self.turn + position) % live.len()];
                    let burst = symbol.burst.filter(|(_, until)| now < *until);
                    counts.push((key(symbol), count * burst.map_or(1, |burst| burst.0)));
                }
                self.turn = self.turn.wrapping_add(1);
            }
        }
        counts
    }
}

/// Returns what anybody hears, by instrument.
fn wanted(state: &State) -> HashMap<Key, Mask> {
    let mut wanted = HashMap::<Key, Mask>::new();
    for client in state.clients.values() {
        for (key, mask) in &client.wants {
            match wanted.get_mut(key) {
                Some(sum) => *sum |= mask,
                None => {
                    wanted.insert(key.clone(), *mask);
                }
            }
        }
    }
    wanted
}

fn dispatch(state: &State, key: &Key, items: &[Item], deliveries: &mut Vec<Delivery>) {
    let Some(symbol) = state.symbol(key.0, &key.1).filter(|_| !items.is_empty()) else {
        return;
    };
    // Serialised once for all clients that want the same in the same form.
    let mut forms = HashMap::<(Form, Mask), Batch>::new();
    for client in state.clients.values().filter(|client| !client.freeze.is_cancelled()) {
        let Some(mask) = client.wants.get(key) else {
            continue;
        };
        let batch = forms
            .entry((client.form, *mask))
            .or_insert_with(|| Arc::new(symbol.exchange.render(symbol, items, client.form, *mask)));
        if !batch.is_empty() {
            deliveries.push(Delivery::new(client, batch.clone()));
        }
    }
}

/// Returns by how much recorded times move: one constant for the whole run.
fn shift_ms(state: &State, rate: Rate, start_ms: i64) -> i64 {
    let spans = || {
        state.all().filter_map(|symbol| match &symbol.source {
            Source::Recorded(recording) => recording.span(),
            Source::Synthetic(_) => None,
        })
    };
    let anchor = match rate {
        Rate::Max => spans().map(|span| span.1).max(),
        Rate::PerSecond(_) => spans().map(|span| span.0).min(),
    };
    anchor.map_or(0, |anchor| start_ms - anchor)
}
