//! How faults strike.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::Message;
use mprism_runtime::clock;
use tokio_util::sync::CancellationToken;

use super::{Fault, FaultKind};
use crate::Exchange;
use crate::hub::{Client, Delivery, Hub, State};
use crate::symbol::{Body, Item, Source, Stream, Symbol};

/// Identifiers that a fault hits, as far as they are known when it strikes.
pub(crate) struct Affected {
    pub(crate) symbol: String,
    pub(crate) first: u64,
    pub(crate) last: Option<u64>,
}

/// Carries out one fault.
pub(crate) fn strike(hub: &Arc<Hub>, state: &mut State, fault: &Fault, now: Instant, deliveries: &mut Vec<Delivery>) {
    let record = state.next_record();
    state.troubles.add(fault, record, now);
    let mut affected = Vec::new();
    match &fault.kind {
        FaultKind::Disconnect => concerned(state, fault).for_each(|client| client.cut.cancel()),
        FaultKind::HalfOpen => concerned(state, fault).for_each(|client| client.freeze.cancel()),
        FaultKind::ConnectionLife { duration } => hub.set_connection_life(*duration),
        FaultKind::Http418 { duration } => {
            let until_ms = clock::now_ms() + i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2);
            for exchange in exchanges(fault) {
                state.banned_until_ms.insert(exchange, until_ms);
            }
        }
        FaultKind::ClockSkew { ms } => {
            for exchange in exchanges(fault) {
                state.skew_ms.insert(exchange, *ms);
            }
            meant(state, fault, |symbol| {
                if let Source::Synthetic(synthetic) = &mut symbol.source {
                    synthetic.clock_was_set();
                }
            });
        }
        FaultKind::ServerShutdown { .. } | FaultKind::Maintenance { .. } => {
            let after = match &fault.kind {
                FaultKind::ServerShutdown { after } => *after,
                _ => Duration::ZERO,
            };
            let mut leaving = Vec::new();
            for client in concerned(state, fault) {
                let text = client.exchange.farewell(clock::now_ms(), client.form);
                let batch = Arc::new(vec![Message::Text(text.into())]);
                deliveries.push(Delivery::new(client, batch));
                leaving.push(client.leave.clone());
            }
            let stop = hub.stop.clone();
            hub.connections.spawn(async move {
                tokio::select! {
                    () = tokio::time::sleep(after) => leaving.iter().for_each(CancellationToken::cancel),
                    () = stop.cancelled() => {}
                }
            });
        }
        FaultKind::EngineRestart => meant(state, fault, |symbol| {
            if let Source::Synthetic(market) = &mut symbol.source {
                let last = market.changes.last_id();
                market.restart();
                affected.push(Affected {
                    symbol: symbol.name.clone(),
                    first: last,
                    last: Some(market.changes.last_id()),
                });
            }
        }),
        FaultKind::SeqReset => meant(state, fault, |symbol| {
            let is_okx = matches!(symbol.exchange, Exchange::OkxSpot | Exchange::OkxDerivatives);
            if let Source::Synthetic(market) = &mut symbol.source
                && is_okx
            {
                market.numbering.begin_anew(market.changes.last_id());
                affected.push(Affected {
                    symbol: symbol.name.clone(),
                    first: market.changes.last_id(),
                    last: None,
                });
            }
        }),
        FaultKind::IntervalChange { hours } => meant(state, fault, |symbol| {
            if let Source::Synthetic(market) = &mut symbol.source
                && let Some(derivative) = &mut market.derivative
            {
                derivative.pay_every(i64::try_from(*hours).unwrap_or(8));
            }
        }),
        FaultKind::SymbolHalt { duration } => meant(state, fault, |symbol| symbol.halt(now + *duration)),
        _ => meant(state, fault, |symbol| {
            affected.extend(bend(symbol, fault, record, now));
        }),
    }
    state.record(fault, &affected);
}

fn exchanges(fault: &Fault) -> impl Iterator<Item = Exchange> {
    Exchange::ALL.into_iter().filter(|exchange| is_meant(fault, *exchange))
}

fn is_meant(fault: &Fault, exchange: Exchange) -> bool {
    fault.exchange.is_none_or(|meant| meant == exchange)
}

/// Calls `act` for every instrument the fault is bound to.
fn meant(state: &mut State, fault: &Fault, mut act: impl FnMut(&mut Symbol)) {
    let symbols = state
        .symbols
        .iter_mut()
        .filter(|(exchange, _)| is_meant(fault, **exchange));
    for symbol in symbols.flat_map(|(_, symbols)| symbols.values_mut()) {
        if fault.symbol.as_deref().is_none_or(|name| symbol.is_called(name)) {
            act(symbol);
        }
    }
}

/// Returns the connections that the fault is bound to.
fn concerned<'a>(state: &'a State, fault: &Fault) -> impl Iterator<Item = &'a Client> {
    let bound = fault.exchange.is_some() || fault.symbol.is_some();
    let is_called = |exchange: Exchange, name: &str| {
        let symbol = state.symbols.get(&exchange).and_then(|symbols| symbols.get(name));
        let called = |wanted: &str| symbol.is_some_and(|symbol| symbol.is_called(wanted));
        is_meant(fault, exchange) && fault.symbol.as_deref().is_none_or(called)
    };
    let names = state
        .symbols
        .iter()
        .flat_map(|(exchange, symbols)| symbols.keys().map(|name| (*exchange, name.clone())));
    let names = names
        .filter(|(exchange, name)| is_called(*exchange, name))
        .collect::<BTreeSet<_>>();
    let (clients, any_symbol, exchange) = (state.clients.values(), fault.symbol.is_none(), fault.exchange);
    clients.filter(move |client| {
        let connected = any_symbol && exchange == Some(client.exchange);
        !bound || connected || client.wants.keys().any(|key| names.contains(key))
    })
}

/// Bends one instrument's stream and returns the identifiers that are hit, where they are known already.
fn bend(symbol: &mut Symbol, fault: &Fault, record: u64, now: Instant) -> Option<Affected> {
    let stream = symbol.exchange.stream_of_fault(fault.stream.as_deref())?;
    let is_trade = stream == Stream::Trade;
    let bend = symbol.bend(stream);
    // Trades are numbered without a hole, so it is known which ones come; of other frames it is told when they came.
    bend.record = (!is_trade).then_some(record);
    let count = match &fault.kind {
        FaultKind::Gap { count } => {
            bend.gap_left += count;
            *count
        }
        FaultKind::Reorder => {
            bend.reorder = true;
            2
        }
        FaultKind::MalformedReplace(kind) => {
            bend.replace.push_back(*kind);
            1
        }
        FaultKind::Mute { duration } | FaultKind::SilentStream { duration } => {
            bend.mute_until = Some(now + *duration);
            if matches!(fault.kind, FaultKind::Mute { .. }) {
                symbol.mute(now + *duration);
            }
            // Where it ends is not known yet.
            let first = symbol.coming(1).filter(|_| is_trade)?.0;
            let (symbol, last) = (symbol.name.clone(), None);
            return Some(Affected { symbol, first, last });
        }
        FaultKind::Duplicate { count } => {
            let (first, last) = symbol.duplicate(stream, *count)?;
            let (symbol, last) = (symbol.name.clone(), Some(last));
            return Some(Affected { symbol, first, last });
        }
        FaultKind::Malformed(kind) => {
            let (kind, event_ms) = (*kind, clock::now_ms());
            let id = symbol.coming(1).map_or(1, |ids| ids.0);
            let body = Body::Broken { kind, id, event_ms };
            symbol.bend(stream).extra.push(Item { stream, body });
            return None;
        }
        FaultKind::Burst { factor, duration } => {
            symbol.burst = Some((*factor, now + *duration));
            return None;
        }
        _ => return None,
    };
    let (first, last) = symbol.coming(count).filter(|_| is_trade)?;
    let (symbol, last) = (symbol.name.clone(), Some(last));
    Some(Affected { symbol, first, last })
}
