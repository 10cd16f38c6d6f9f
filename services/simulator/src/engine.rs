//! The clock of all markets: what happens when, and to whom it is sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::Message;
use mprism_runtime::clock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Rate;
use crate::emit::{Item, shift_ms};
use crate::fault::{Fault, FaultKind};
use crate::hub::{Batch, Hub, State};
use crate::places::Keeper;

const TICK: Duration = Duration::from_millis(5);
/// Trades of one symbol in one batch: bounds what a client's queue can hold.
const BATCH_MAX: u64 = 1_024;

/// Lets the markets run until the hub stops.
pub(crate) async fn play(hub: Arc<Hub>, rate: Rate, mut keeper: Option<Keeper>) {
    let mut pace = Pace {
        rate,
        started: None,
        market_time: Duration::ZERO,
        last: Instant::now(),
        credit: 0.0,
        turn: 0,
    };
    while !hub.stop.is_cancelled() {
        let deliveries = pace.step(&hub);
        if let Some(keeper) = &mut keeper {
            keeper.reserve(&hub);
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
        keeper.settle(&hub);
    }
}

struct Delivery {
    queue: mpsc::Sender<Batch>,
    cut: CancellationToken,
    batch: Batch,
}

impl Delivery {
    async fn send(self, hub: &Hub, rate: Rate) {
        if rate == Rate::Max {
            tokio::select! {
                // A closed queue is a client that left.
                _left = self.queue.send(self.batch) => {}
                () = self.cut.cancelled() => {}
                () = hub.stop.cancelled() => {}
            }
        } else if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(self.batch) {
            hub.note("client too slow: its queue is full");
            self.cut.cancel();
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
        if state.paused || !state.symbols.values().any(|symbol| symbol.started) {
            return deliveries;
        }
        if self.started.is_none() {
            self.started = Some(now_ms);
            let shift = shift_ms(&state.symbols, self.rate, now_ms);
            state.symbols.values_mut().for_each(|symbol| symbol.shift(shift));
        } else {
            self.market_time += passed;
        }
        while state.faults.front().is_some_and(|fault| fault.at <= self.market_time) {
            if let Some(fault) = state.faults.pop_front() {
                strike(hub, &mut state, &fault, now, &mut deliveries);
            }
        }
        let names = self.due(&state, passed, now);
        for (name, count) in names {
            let from_ms = now_ms - i64::try_from(passed.as_millis()).unwrap_or(0).min(1_000);
            let Some(symbol) = state.symbols.get_mut(&name) else {
                continue;
            };
            let items = symbol.produce(count, (from_ms, now_ms), now);
            dispatch(&state, &name, &items, &mut deliveries);
        }
        deliveries
    }

    /// Decides how many trades of which symbol happen now.
    fn due(&mut self, state: &State, passed: Duration, now: Instant) -> Vec<(String, u64)> {
        let running = state.symbols.values().filter(|symbol| symbol.started);
        match self.rate {
            Rate::Max => {
                // Only what somebody takes happens: a market nobody hears would run through in a moment.
                let heard = |name: &str| {
                    state
                        .clients
                        .values()
                        .any(|client| client.streams.contains(&stream(name)))
                };
                running
                    .filter(|symbol| heard(&symbol.name) && symbol.mute_until.is_none_or(|until| now >= until))
                    .filter(|symbol| !symbol.ended() || !symbol.extra.is_empty())
                    .map(|symbol| (symbol.name.clone(), 256))
                    .collect()
            }
            Rate::PerSecond(rate) => {
                let live = running.collect::<Vec<_>>();
                // After a long stall the market goes on; it does not make up for more than a second.
                self.credit = (self.credit + rate * passed.as_secs_f64()).min(rate.max(1.0));
                let mut total = (self.credit as u64).min(BATCH_MAX * live.len() as u64);
                self.credit -= total as f64;
                let mut names = Vec::new();
                for position in 0..live.len() {
                    let left = (live.len() - position) as u64;
                    let count = total.div_ceil(left);
                    total -= count;
                    let symbol = live[(self.turn + position) % live.len()];
                    if count > 0 || !symbol.extra.is_empty() {
                        names.push((symbol.name.clone(), count));
                    }
                }
                self.turn = self.turn.wrapping_add(1);
                names
            }
        }
    }
}

fn stream(name: &str) -> String {
    format!("{}@trade", name.to_lowercase())
}

fn dispatch(state: &State, name: &str, items: &[Item], deliveries: &mut Vec<Delivery>) {
    let Some(symbol) = state.symbols.get(name).filter(|_| !items.is_empty()) else {
        return;
    };
    let stream = stream(name);
    let mut forms = HashMap::<(bool, bool), Batch>::new();
    for client in state.clients.values().filter(|client| client.streams.contains(&stream)) {
        let form = (client.combined, client.micros);
        let batch = forms
            .entry(form)
            .or_insert_with(|| Arc::new(symbol.render(items, form.0, form.1)));
        let (queue, cut) = (client.queue.clone(), client.cut.clone());
        deliveries.push(Delivery {
            queue,
            cut,
            batch: batch.clone(),
        });
    }
}

/// Carries out one fault.
fn strike(hub: &Arc<Hub>, state: &mut State, fault: &Fault, now: Instant, deliveries: &mut Vec<Delivery>) {
    let mut ids = Vec::new();
    let meant = |name: &str| fault.symbol.as_deref().is_none_or(|symbol| symbol == name);
    let concerned = |streams: &std::collections::BTreeSet<String>| {
        fault
            .symbol
            .as_deref()
            .is_none_or(|symbol| streams.contains(&stream(symbol)))
    };
    match &fault.kind {
        FaultKind::Disconnect => {
            state
                .clients
                .values()
                .filter(|client| concerned(&client.streams))
                .for_each(|client| client.cut.cancel());
        }
        FaultKind::NoPing { duration } => state.no_ping_until = Some(now + *duration),
        FaultKind::ServerShutdown { after } => {
            let mut leaving = Vec::new();
            for client in state.clients.values().filter(|client| concerned(&client.streams)) {
                let time = clock::now_ms() * if client.micros { 1_000 } else { 1 };
                let raw = format!(r#"{{"e":"serverShutdown","E":{time}}}"#);
                let text = match client.combined {
                    true => format!(r#"{{"stream":"!serverShutdown","data":{raw}}}"#),
                    false => raw,
                };
                let batch = Arc::new(vec![Message::Text(text.into())]);
                deliveries.push(Delivery {
                    queue: client.queue.clone(),
                    cut: client.cut.clone(),
                    batch,
                });
                leaving.push(client.leave.clone());
            }
            let (after, stop) = (*after, hub.stop.clone());
            hub.connections.spawn(async move {
                tokio::select! {
                    () = tokio::time::sleep(after) => leaving.iter().for_each(CancellationToken::cancel),
                    () = stop.cancelled() => {}
                }
            });
        }
        kind => {
            for symbol in state.symbols.values_mut().filter(|symbol| meant(&symbol.name)) {
                let range = match kind {
                    FaultKind::Gap { count } => {
                        symbol.gap_left += count;
                        symbol.coming(*count)
                    }
                    FaultKind::Duplicate { count } => symbol.duplicate(*count),
                    FaultKind::Reorder => {
                        symbol.reorder = true;
                        symbol.coming(2)
                    }
                    FaultKind::MalformedReplace(kind) => {
                        symbol.replace.push_back(*kind);
                        symbol.coming(1)
                    }
                    FaultKind::Malformed(kind) => {
                        let id = symbol.coming(1).map_or(1, |ids| ids.0);
                        symbol.extra.push(Item::Broken {
                            kind: *kind,
                            id,
                            event_ms: clock::now_ms(),
                        });
                        None
                    }
                    FaultKind::Mute { duration } => {
                        symbol.mute_until = Some(now + *duration);
                        // Where it ends is not known yet.
                        ids.extend(symbol.coming(1).map(|(first, _)| (symbol.name.clone(), first, None)));
                        None
                    }
                    _ => None,
                };
                ids.extend(range.map(|(first, last)| (symbol.name.clone(), first, Some(last))));
            }
        }
    }
    state.record(fault, &ids);
}
