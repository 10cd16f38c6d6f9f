//! One WebSocket connection: frames out, control messages in, pings, limits and ends.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use mprism_runtime::clock;
use tokio::sync::mpsc;

use super::address::Address;
use super::protocol;
use crate::fault::FaultKind;
use crate::hub::{Batch, Form, Hub, Joined, Wants};
use crate::{Exchange, PingRule};

/// In which so many frames are counted.
const FRAMES_SPAN: Duration = Duration::from_secs(1);
/// Time a closing frame has to get out.
const CLOSE_WAIT: Duration = Duration::from_secs(1);
const POLICY: u16 = 1_008;
const AWAY: u16 = 1_001;

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
    let heard = (dialect.wants)(&(&address.streams - &unserved), &known(&hub, dialect.exchange));
    let Joined {
        id,
        batches,
        cut,
        leave,
        freeze,
    } = hub.join(heard, address.form);
    let (sink, mut source) = socket.split();
    let (replies, to_send) = mpsc::channel(16);
    let mut writer = tokio::spawn(write(sink, to_send, batches));
    let mut reader = Reader {
        hub: hub.clone(),
        dialect,
        id,
        streams: address.streams,
        unserved,
        form: address.form,
        replies,
        seen: VecDeque::new(),
        unanswered: VecDeque::new(),
    };
    let end = tokio::select! {
        end = reader.read(&mut source) => end,
        () = cut.cancelled() => End::Cut,
        () = leave.cancelled() => End::Close(AWAY, "server shutdown"),
        () = freeze.cancelled() => End::Freeze,
        () = live(&hub) => End::Close(AWAY, "connection is 24 hours old"),
        () = hub.stop.cancelled() => End::Close(AWAY, "simulator stops"),
        _ended = &mut writer => End::Cut,
    };
    if matches!(end, End::Freeze) {
        // The socket stays open with nobody behind it: not even pings and answers to close frames.
        writer.abort();
        tokio::select! {
            () = cut.cancelled() => {}
            () = hub.stop.cancelled() => {}
        }
    }
    hub.lock().clients.remove(&id);
    if let End::Close(code, reason) = end {
        hub.note(reason);
        let frame = Message::Close(Some(CloseFrame {
            code,
            reason: reason.into(),
        }));
        let _slow = tokio::time::timeout(CLOSE_WAIT, async {
            // A writer that is gone has nobody to tell.
            let _gone = reader.replies.send(frame).await;
            (&mut writer).await
        })
        .await;
    }
    writer.abort();
}

/// Returns the names of all instruments.
fn known(hub: &Hub, exchange: Exchange) -> Vec<String> {
    let state = hub.lock();
    let symbols = state.symbols.get(&exchange);
    symbols
        .map(|symbols| symbols.keys().cloned().collect())
        .unwrap_or_default()
}

/// Ends when a connection that begins now is too old; how old that is may change meanwhile.
pub(crate) async fn live(hub: &Hub) {
    let began = tokio::time::Instant::now();
    let mut life = hub.connection_life();
    loop {
        let until = began + *life.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep_until(until) => return,
            changed = life.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
            }
        }
    }
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

enum End {
    /// Without a close frame.
    Cut,
    Close(u16, &'static str),
    /// Not at all: the connection stays open and dead.
    Freeze,
}

/// Sends answers before data, so that a busy stream does not hold up pings; ends after a close frame.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut replies: mpsc::Receiver<Message>,
    mut batches: mpsc::Receiver<Batch>,
) {
    loop {
        let sent = tokio::select! {
            biased;
            reply = replies.recv() => {
                let Some(reply) = reply else { return };
                let last = matches!(reply, Message::Close(_));
                let sent = sink.send(reply).await;
                if last {
                    return;
                }
                sent
            }
            Some(batch) = batches.recv() => feed(&mut sink, &batch).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn feed(sink: &mut SplitSink<WebSocket, Message>, batch: &Batch) -> Result<(), axum::Error> {
    for message in batch.iter() {
        sink.feed(message.clone()).await?;
    }
    sink.flush().await
}

struct Reader {
    hub: Arc<Hub>,
    dialect: Dialect,
    id: u64,
    streams: BTreeSet<String>,
    unserved: BTreeSet<String>,
    form: Form,
    replies: mpsc::Sender<Message>,
    seen: VecDeque<Instant>,
    unanswered: VecDeque<(Vec<u8>, Instant)>,
}

impl Reader {
    async fn read(&mut self, source: &mut SplitStream<WebSocket>) -> End {
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
                    if !silent && self.ping(now).await.is_err() {
                        return End::Cut;
                    }
                }
            }
        }
    }

    async fn ping(&mut self, now: Instant) -> Result<(), mpsc::error::SendError<Message>> {
        let payload = clock::now_ms().to_string().into_bytes();
        self.unanswered.push_back((payload.clone(), now));
        self.replies.send(Message::Ping(payload.into())).await
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
                self.replies
                    .send(Message::Text(answer.into()))
                    .await
                    .err()
                    .map(|_| End::Cut)
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
                self.replies
                    .send(Message::Text(answer.into()))
                    .await
                    .err()
                    .map(|_| End::Cut)
            }
        }
    }
}
