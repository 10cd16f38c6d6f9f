//! One WebSocket connection: frames out, control messages in, pings, limits and ends.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt;
use mprism_runtime::clock;

use super::address::Address;
use super::protocol;
use crate::fault::FaultKind;
use crate::hub::{Form, Hub, Wants};
use crate::socket::{self, Beginning, End, Outlet, Source, Talk};
use crate::{Exchange, PingRule};

/// In which so many frames are counted.
const FRAMES_SPAN: Duration = Duration::from_secs(1);
const POLICY: u16 = 1_008;

/// What differs between Binance's markets.
#[derive(Clone, Copy)]
pub(crate) struct Dialect {
    pub(crate) exchange: Exchange,
    /// Frames a client may send in a second.
    pub(crate) frames_max: usize,
    /// What stream names mean, given the names of all instruments.
    pub(crate) wants: fn(&BTreeSet<String>, &[String]) -> Wants,
    pub(crate) ping: fn(&Hub) -> PingRule,
}

/// Serves one connection to its end.
pub(crate) async fn serve(hub: Arc<Hub>, dialect: Dialect, socket: WebSocket, address: Address) {
    let unserved = unserved(&hub, dialect.exchange, &address.streams);
    let beginning = Beginning {
        exchange: dialect.exchange,
        wants: (dialect.wants)(&(&address.streams - &unserved), &known(&hub, dialect.exchange)),
        form: address.form,
        ages: true,
    };
    let begin = |id, outlet| Reader {
        hub: hub.clone(),
        dialect,
        id,
        streams: address.streams,
        unserved,
        form: address.form,
        outlet,
        seen: VecDeque::new(),
        unanswered: VecDeque::new(),
    };
    socket::serve(hub.clone(), socket, beginning, begin).await;
}

/// Returns the names of all instruments.
fn known(hub: &Hub, exchange: Exchange) -> Vec<String> {
    let state = hub.lock();
    let symbols = state.symbols.get(&exchange);
    symbols
        .map(|symbols| symbols.keys().cloned().collect())
        .unwrap_or_default()
}

/// Returns the streams that a fault lets go unserved after their acknowledgement.
fn unserved(hub: &Hub, exchange: Exchange, added: &BTreeSet<String>) -> BTreeSet<String> {
    if added.is_empty() {
        return BTreeSet::new();
    }
    let silent = |kind: &FaultKind| matches!(kind, FaultKind::SilentAfterAck { .. }).then_some(());
    let struck = hub.lock().troubles.take(exchange, None, silent);
    match struck {
        Some(_) => added.clone(),
        None => BTreeSet::new(),
    }
}

struct Reader {
    hub: Arc<Hub>,
    dialect: Dialect,
    id: u64,
    streams: BTreeSet<String>,
    unserved: BTreeSet<String>,
    form: Form,
    outlet: Outlet,
    seen: VecDeque<Instant>,
    unanswered: VecDeque<(Vec<u8>, Instant)>,
}

impl Talk for Reader {
    async fn listen(&mut self, source: &mut Source) -> End {
        let rule = (self.dialect.ping)(&self.hub);
        let mut next_ping = Instant::now() + rule.interval;
        loop {
            let overdue = self.unanswered.front().map(|(_, sent)| *sent + rule.timeout);
            let wake = overdue.map_or(next_ping, |overdue| overdue.min(next_ping));
            tokio::select! {
                message = source.next() => match message {
                    Some(Ok(message)) => {
                        if let Some(end) = self.receive(message).await {
                            return end;
                        }
                    }
                    Some(Err(_)) | None => return End::Cut,
                },
                () = tokio::time::sleep_until(wake.into()) => {
                    let now = Instant::now();
                    if overdue.is_some_and(|overdue| now >= overdue) {
                        return End::Close(POLICY, "Pong timeout");
                    }
                    next_ping = now + rule.interval;
                    let no_ping = |kind: &FaultKind| matches!(kind, FaultKind::NoPing { .. }).then_some(());
                    let silent = self.hub.lock().troubles.take(self.dialect.exchange, None, no_ping).is_some();
                    if !silent && self.ping(now).await.is_some() {
                        return End::Cut;
                    }
                }
            }
        }
    }
}

impl Reader {
    async fn ping(&mut self, now: Instant) -> Option<End> {
        let payload = clock::now_ms().to_string().into_bytes();
        self.unanswered.push_back((payload.clone(), now));
        self.outlet.send(Message::Ping(payload.into())).await
    }

    /// Answers a control message and passes on what this connection wants by now.
    fn obey(&mut self, text: &str) -> String {
        let before = self.streams.clone();
        let answer = protocol::answer(text, &mut self.streams, &mut self.form.combined);
        let added = self.streams.difference(&before).cloned().collect();
        self.unserved.retain(|name| self.streams.contains(name));
        self.unserved
            .append(&mut unserved(&self.hub, self.dialect.exchange, &added));
        let known = known(&self.hub, self.dialect.exchange);
        let wants = (self.dialect.wants)(&(&self.streams - &self.unserved), &known);
        self.hub.change(self.id, wants, self.form);
        answer
    }

    async fn receive(&mut self, message: Message) -> Option<End> {
        let now = Instant::now();
        self.seen.retain(|at| now.duration_since(*at) < FRAMES_SPAN);
        self.seen.push_back(now);
        if self.seen.len() > self.dialect.frames_max {
            return Some(End::Close(POLICY, "Too many requests"));
        }
        match message {
            Message::Text(text) => {
                let answer = self.obey(&text);
                self.outlet.text(answer).await
            }
            Message::Pong(payload) => {
                if let Some(position) = self.unanswered.iter().position(|(sent, _)| payload == *sent) {
                    self.unanswered.drain(..=position);
                }
                None
            }
            // Pings are answered below us, and the answer to a close frame too.
            Message::Ping(_) | Message::Close(_) => None,
            Message::Binary(_) => {
                let answer = r#"{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}"#;
                self.outlet.text(answer).await
            }
        }
    }
}
