//! One WebSocket connection: frames out, control messages in, pings, limits and ends.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use mprism_runtime::clock;
use tokio::sync::mpsc;

use crate::hub::{Batch, Hub, Joined};
use crate::protocol;

/// Frames a client may send in [`FRAMES_SPAN`].
const FRAMES_MAX: usize = 5;
const FRAMES_SPAN: Duration = Duration::from_secs(1);
/// Time a closing frame has to get out.
const CLOSE_WAIT: Duration = Duration::from_secs(1);
const POLICY: u16 = 1_008;
const AWAY: u16 = 1_001;

/// Serves one connection to its end.
pub(crate) async fn serve(hub: Arc<Hub>, socket: WebSocket, streams: BTreeSet<String>, combined: bool, micros: bool) {
    let Joined {
        id,
        batches,
        cut,
        leave,
    } = hub.join(streams.clone(), combined, micros);
    let (sink, source) = socket.split();
    let (replies, to_send) = mpsc::channel(16);
    let mut writer = tokio::spawn(write(sink, to_send, batches));
    let mut reader = Reader {
        hub: hub.clone(),
        id,
        streams,
        combined,
        replies,
        seen: VecDeque::new(),
        unanswered: VecDeque::new(),
    };
    let life = tokio::time::sleep(hub.connection_life);
    let end = tokio::select! {
        end = reader.read(source) => end,
        () = cut.cancelled() => End::Cut,
        () = leave.cancelled() => End::Close(AWAY, "server shutdown"),
        () = life => End::Close(AWAY, "connection is 24 hours old"),
        () = hub.stop.cancelled() => End::Close(AWAY, "simulator stops"),
        _ended = &mut writer => End::Cut,
    };
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

enum End {
    /// Without a close frame.
    Cut,
    Close(u16, &'static str),
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
    id: u64,
    streams: BTreeSet<String>,
    combined: bool,
    replies: mpsc::Sender<Message>,
    seen: VecDeque<Instant>,
    unanswered: VecDeque<(Vec<u8>, Instant)>,
}

impl Reader {
    async fn read(&mut self, mut source: SplitStream<WebSocket>) -> End {
        let rule = self.hub.pings;
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
                    let silent = self.hub.lock().no_ping_until.is_some_and(|until| now < until);
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

    /// Passes on what this connection wants by now.
    fn tell_market(&self) {
        let mut state = self.hub.lock();
        state.start_markets(&self.streams);
        if let Some(client) = state.clients.get_mut(&self.id) {
            client.streams.clone_from(&self.streams);
            client.combined = self.combined;
        }
    }

    async fn receive(&mut self, message: Message) -> Option<End> {
        let now = Instant::now();
        self.seen.retain(|at| now.duration_since(*at) < FRAMES_SPAN);
        self.seen.push_back(now);
        if self.seen.len() > FRAMES_MAX {
            return Some(End::Close(POLICY, "Too many requests"));
        }
        match message {
            Message::Text(text) => {
                let answer = protocol::answer(&text, &mut self.streams, &mut self.combined);
                self.tell_market();
                self.hub.wake.notify_one();
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
