//! What every venue's WebSocket has in common: frames out, ends of every kind.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use mprism_runtime::clock;
use tokio::sync::mpsc;

use crate::Exchange;
use crate::fault::FaultKind;
use crate::hub::{Batch, Form, Hub, Joined, Wants};

/// Time a closing frame has to get out.
const CLOSE_WAIT: Duration = Duration::from_secs(1);
/// A planned end.
const AWAY: u16 = 1_001;
/// Answers that may wait for their turn.
const REPLIES: usize = 1_100;

/// How a connection ends.
pub(crate) enum End {
    /// Without a close frame.
    Cut,
    Close(u16, &'static str),
    /// Not at all: it stays open and dead.
    Freeze,
}

/// Where a connection's frames come from.
pub(crate) type Source = SplitStream<WebSocket>;

/// A venue's side of one connection.
pub(crate) trait Talk: Send {
    /// Listens and answers until the connection has to end.
    fn listen(&mut self, source: &mut Source) -> impl Future<Output = End> + Send;
}

/// Answers on their way to a client, before its data.
#[derive(Clone)]
pub(crate) struct Outlet {
    replies: mpsc::Sender<Message>,
    last_ms: Arc<AtomicI64>,
}

impl Outlet {
    /// Sends one frame; says so where the connection has ended.
    pub(crate) async fn send(&self, message: Message) -> Option<End> {
        self.replies.send(message).await.err().map(|_| End::Cut)
    }

    pub(crate) async fn text(&self, text: impl Into<String>) -> Option<End> {
        self.send(Message::Text(text.into().into())).await
    }

    /// Returns when the last frame went out, in Unix milliseconds.
    pub(crate) fn last_ms(&self) -> i64 {
        self.last_ms.load(Ordering::Relaxed)
    }
}

/// Lets a connection attempt wait or fail where a fault says so.
pub(crate) async fn trouble_handshake(hub: &Hub, exchange: Exchange) -> Option<Response> {
    let (slow, error) = {
        let mut state = hub.lock();
        let slow = state.troubles.take(exchange, None, |kind| match kind {
            FaultKind::HandshakeSlow { duration, .. } => Some(*duration),
            _ => None,
        });
        let error = state.troubles.take(exchange, None, |kind| match kind {
            FaultKind::HandshakeError { status, .. } => Some(*status),
            FaultKind::Maintenance { .. } => Some(503),
            _ => None,
        });
        (slow, error)
    };
    if let Some((delay, _)) = slow {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = hub.stop.cancelled() => {}
        }
    }
    let (status, _) = error?;
    Some(
        StatusCode::from_u16(status)
            .unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
            .into_response(),
    )
}

/// What a connection begins with.
pub(crate) struct Beginning {
    pub(crate) exchange: Exchange,
    pub(crate) wants: Wants,
    pub(crate) form: Form,
    /// The venue ends connections that are too old.
    pub(crate) ages: bool,
}

/// Serves one connection to its end.
pub(crate) async fn serve<T: Talk>(
    hub: Arc<Hub>,
    socket: WebSocket,
    beginning: Beginning,
    begin: impl FnOnce(u64, Outlet) -> T + Send,
) {
    let Joined {
        id,
        batches,
        cut,
        leave,
        freeze,
        full,
    } = hub.join(beginning.exchange, beginning.wants, beginning.form);
    let (sink, mut source) = socket.split();
    let (replies, to_send) = mpsc::channel(REPLIES);
    let last_ms = Arc::new(AtomicI64::new(clock::now_ms()));
    let mut writer = tokio::spawn(write(sink, to_send, batches, last_ms.clone()));
    let outlet = Outlet { replies, last_ms };
    let mut talk = begin(id, outlet.clone());
    let end = tokio::select! {
        end = talk.listen(&mut source) => end,
        () = cut.cancelled() => End::Cut,
        () = leave.cancelled() => End::Close(AWAY, "server shutdown"),
        () = freeze.cancelled() => End::Freeze,
        () = full.cancelled() => beginning.exchange.end_of_slow(),
        () = live(&hub, beginning.ages) => End::Close(AWAY, "connection is 24 hours old"),
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
            let _gone = outlet.send(frame).await;
            (&mut writer).await
        })
        .await;
    }
    writer.abort();
}

/// Ends when a connection that begins now is too old; how old that is may change meanwhile.
async fn live(hub: &Hub, ages: bool) {
    let began = tokio::time::Instant::now();
    let mut life = hub.connection_life();
    if !ages {
        // Only where somebody says so.
        if life.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
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

/// Sends answers before data, so that a busy stream does not hold up pings; ends after a close frame.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut replies: mpsc::Receiver<Message>,
    mut batches: mpsc::Receiver<Batch>,
    last_ms: Arc<AtomicI64>,
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
        last_ms.store(clock::now_ms(), Ordering::Relaxed);
    }
}

async fn feed(sink: &mut SplitSink<WebSocket, Message>, batch: &Batch) -> Result<(), axum::Error> {
    for message in batch.iter() {
        sink.feed(message.clone()).await?;
    }
    sink.flush().await
}
