//! One connection, from its first byte to its last.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mprism_model::{DataType, InstrumentId, Source, UnixNanos};
use mprism_runtime::clock;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::requests::Requests;
use super::runner::Link;
use super::socket::{Ended, FRAMES_MAX, Received, Socket, connect, take_ready};
use super::streams::Streams;
use super::{Protocol, Rules};
use crate::market::Heard;
use crate::wire::{About, ParseError, Said, Terms};

/// How long a venue may take to agree to our leaving.
const FAREWELL: Duration = Duration::from_millis(500);
/// How often is looked after what should have happened.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a connection lets its runner know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Whether it is connected.
    pub(super) is_connected: bool,
    /// Whether everything was asked for, and is listened to.
    pub(super) is_listening: bool,
    /// Whether every stream has spoken, or has had its time to.
    pub(super) is_ready: bool,
    /// Why it should be replaced.
    pub(super) wants_replacement: Option<Replace>,
}

/// Why a connection should be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Replace {
    /// The venue is about to close it.
    Notice,
    /// It is old.
    Life,
    /// One of its streams is silent.
    Silent(String),
}

struct Connection<'a, P> {
    link: &'a Link<P>,
    rules: Rules,
    streams: Streams<'a>,
    requests: Requests,
    standing: watch::Sender<Standing>,
    said: Vec<Said>,
    heard_ms: &'a AtomicI64,
    last_heard: Instant,
    last_ping: Instant,
}

/// Listens on one connection until it ends, `stop` is cancelled or nobody listens any more.
pub(super) async fn listen<P: Protocol>(
    link: &Link<P>,
    standing: watch::Sender<Standing>,
    heard_ms: &AtomicI64,
    stop: CancellationToken,
) -> Ended {
    let connecting = async {
        link.pace.turn().await;
        connect(&link.url).await
    };
    let mut socket = tokio::select! {
        biased;
        () = stop.cancelled() => return Ended::Stopped,
        connected = connecting => match connected {
            Ok(socket) => socket,
            Err(ended) => return ended,
        },
    };
    link.stats.connects.fetch_add(1, Ordering::Relaxed);
    let _counted = Connected::new(link);
    standing.send_modify(|standing| standing.is_connected = true);
    let names: Vec<Box<str>> = link.plan.streams.iter().map(|stream| stream.name.clone()).collect();
    let mut requests = link.protocol.greeting(1);
    let first_id = requests.iter().map(|request| request.id).max().unwrap_or(0) + 1;
    requests.extend(link.protocol.subscribe(&names, first_id));
    let rules = link.protocol.rules();
    let mut connection = Connection {
        link,
        rules,
        streams: Streams::new(&link.plan, &link.strikes),
        requests: Requests::new(requests, rules.send_every),
        standing,
        said: Vec::new(),
        heard_ms,
        last_heard: Instant::now(),
        last_ping: Instant::now(),
    };
    connection.run(&mut socket, &stop).await
}

/// Counts a connection as long as there is one.
struct Connected<'a>(&'a std::sync::atomic::AtomicU64);

impl<'a> Connected<'a> {
    fn new<P>(link: &'a Link<P>) -> Self {
        link.stats.connected.fetch_add(1, Ordering::Relaxed);
        Self(&link.stats.connected)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<P: Protocol> Connection<'_, P> {
    async fn run(&mut self, socket: &mut Socket, stop: &CancellationToken) -> Ended {
        let began = Instant::now();
        // A connection's end is not everyone's end.
        let life = self
            .rules
            .life
            .map(|life| life.mul_f64(0.95 + 0.05 * rand::random::<f64>()));
        let mut asked = None;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let mut frames = Vec::with_capacity(FRAMES_MAX);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    // The venue need not answer.
                    let _in_time = tokio::time::timeout(FAREWELL, self.farewell(socket)).await;
                    return Ended::Stopped;
                }
                () = self.requests.due() => {
                    if let Some(text) = self.requests.next()
                        && let Err(error) = socket.send(Message::text(text)).await
                    {
                        return Ended::Socket(Box::new(error));
                    }
                }
                message = socket.next() => {
                    frames.push((clock::now_ns(), message));
                    take_ready(socket, &mut frames).await;
                    if let Err(ended) = self.take(&mut frames).await {
                        return ended;
                    }
                }
                _ = looks.tick() => {
                    if asked.is_none() && self.requests.is_done() {
                        asked = Some(Instant::now());
                        self.standing.send_modify(|standing| standing.is_listening = true);
                        let began = vec![Heard::Began(Arc::clone(&self.link.plan))];
                        if self.link.heard.send(began).await.is_err() {
                            return Ended::Closed;
                        }
                    }
                    if let Err(ended) = self.look(asked) {
                        return ended;
                    }
                    if life.is_some_and(|life| began.elapsed() >= life) {
                        self.replace(Replace::Life);
                    }
                }
            }
        }
    }

    /// Looks after what should have happened by now.
    fn look(&mut self, asked: Option<Instant>) -> Result<(), Ended> {
        if self.last_heard.elapsed() >= self.rules.dead_after {
            return Err(Ended::Dead(self.rules.dead_after));
        }
        if let Some((after, text)) = self.rules.ping
            && self.last_heard.elapsed() >= after
            && self.last_ping.elapsed() >= after
        {
            self.last_ping = Instant::now();
            self.requests.reply(text.to_owned());
        }
        if let Some(ended) = self.requests.overdue() {
            return Err(ended);
        }
        for refused in self.requests.given_up() {
            let (code, message) = (refused.code, refused.message);
            self.not_given(&refused.streams, &format!("{message} (code {code})"))
                .map_err(|()| Ended::Refused { code, message })?;
        }
        let Some(asked) = asked else {
            return Ok(());
        };
        let liveness = self.link.liveness;
        let is_ready = self.streams.all_spoke() || asked.elapsed() >= liveness.first_message;
        if is_ready && !self.standing.borrow().is_ready {
            self.standing.send_modify(|standing| standing.is_ready = true);
        }
        if self.standing.borrow().wants_replacement.is_none()
            && let Some(silent) = self.streams.silent(asked, liveness)
        {
            let what = if silent.is_first {
                "is acknowledged and silent"
            } else {
                "fell silent"
            };
            let cause = if silent.is_first { "never_spoke" } else { "fell_silent" };
            self.streams.strike(&silent);
            self.link.trouble(cause, &format!("`{}` {what}", silent.name));
            self.replace(Replace::Silent(silent.name.into()));
        }
        Ok(())
    }

    fn replace(&self, why: Replace) {
        self.standing.send_if_modified(|standing| {
            let is_new = standing.wants_replacement.is_none() || why == Replace::Notice;
            if is_new {
                standing.wants_replacement = Some(why);
            }
            is_new
        });
    }

    /// Notes streams that the venue does not give; an error where it gives none at all.
    fn not_given(&mut self, names: &[Box<str>], why: &str) -> Result<(), ()> {
        let mut has_others = true;
        for name in names {
            has_others = self.streams.refuse(name);
            self.link
                .trouble("stream_refused", &format!("the venue does not give `{name}`: {why}"));
        }
        if has_others { Ok(()) } else { Err(()) }
    }

    /// Closes, and takes what was sent until the venue agrees: what it sent before is not lost with us.
    async fn farewell(&mut self, socket: &mut Socket) {
        if socket.close(None).await.is_err() {
            return;
        }
        let mut frames = Vec::with_capacity(FRAMES_MAX);
        loop {
            let message = socket.next().await;
            frames.push((clock::now_ns(), message));
            take_ready(socket, &mut frames).await;
            if self.take(&mut frames).await.is_err() {
                return;
            }
        }
    }

    /// Takes what was received, in order, as one batch.
    async fn take(&mut self, frames: &mut Vec<Received>) -> Result<(), Ended> {
        let mut portion = Vec::with_capacity(frames.len());
        let mut result = Ok(());
        let terms = self.link.terms.now();
        let now = Instant::now();
        self.last_heard = now;
        for (recv_ns, message) in frames.drain(..) {
            if matches!(message, Some(Ok(_))) {
                self.heard_ms.store(UnixNanos(recv_ns).to_millis().0, Ordering::Relaxed);
            }
            let taken = match message {
                Some(Ok(Message::Text(text))) => self.frame(&text, UnixNanos(recv_ns), &terms, now, &mut portion),
                Some(Ok(Message::Binary(_))) => {
                    self.link.malformed("binary", "a binary frame on a text connection");
                    portion.push(self.garbled(None));
                    Ok(())
                }
                Some(Ok(Message::Ping(_))) => {
                    // The library answers; flushing happens with the next read.
                    self.link.stats.pings.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                }
                Some(Ok(Message::Pong(_) | Message::Frame(_))) => Ok(()),
                Some(Ok(Message::Close(_))) | None => Err(Ended::ClosedByVenue),
                Some(Err(error)) => Err(Ended::Socket(Box::new(error))),
            };
            if taken.is_err() {
                result = taken;
                break;
            }
        }
        if !portion.is_empty() && self.link.heard.send(portion).await.is_err() {
            return Err(Ended::Closed);
        }
        result
    }

    fn frame(
        &mut self,
        text: &str,
        ts_recv: UnixNanos,
        terms: &Terms,
        now: Instant,
        portion: &mut Vec<Heard>,
    ) -> Result<(), Ended> {
        let stats = &self.link.stats;
        stats.frames.fetch_add(1, Ordering::Relaxed);
        stats.last_frame_ms.store(ts_recv.to_millis().0, Ordering::Relaxed);
        let about = About {
            ts_recv: Some(ts_recv),
            source: Source::Ws,
            terms,
            instrument: None,
            path: None,
        };
        let wire = self.link.protocol.wire();
        let mut said = std::mem::take(&mut self.said);
        if let Err(error) = wire.frame(text, &about, &mut said) {
            self.link.malformed(error.cause(), &describe(&error, text));
            let named = wire
                .instrument_named(text)
                .and_then(|name| InstrumentId::new(&name).ok());
            portion.push(self.garbled(named));
        }
        let mut result = Ok(());
        for said in said.drain(..) {
            if let Err(ended) = self.hear(said, now, portion) {
                result = Err(ended);
            }
        }
        self.said = said;
        result
    }

    fn hear(&mut self, said: Said, now: Instant, portion: &mut Vec<Heard>) -> Result<(), Ended> {
        match &said {
            Said::Trade { trade, .. } => self.streams.spoke(DataType::Trade, &trade.instrument_id, now),
            Said::Diff(instrument, _) | Said::Book(instrument, _) => {
                self.streams.spoke(DataType::OrderBook, instrument, now);
            }
            Said::Event { instrument, event, .. } => self.streams.spoke(event.data_type(), instrument, now),
            _ => {}
        }
        match said {
            Said::Trade { .. } | Said::Diff(..) | Said::Book(..) | Said::Event { .. } => {
                portion.push(Heard::Said(said))
            }
            Said::Terms(terms) => self.link.terms.learn(terms),
            Said::Accepted(accepted) => {
                let missing = self.requests.accepted(&accepted);
                let message = "not in the answer".to_owned();
                self.not_given(&missing, &message)
                    .map_err(|()| Ended::Refused { code: 0, message })?;
            }
            Said::Refused { id, code, message } => self.requests.refused(id, code, message)?,
            Said::Leaving => {
                self.link
                    .trouble("server_shutdown", "the venue is about to close the connection");
                self.replace(Replace::Notice);
            }
            Said::Asks(text) => self.requests.reply(text.into_owned()),
            Said::Alive => {}
            Said::Skipped(kind) => self.link.skipped(&kind),
            Said::Aggregate { .. } => self.link.skipped("aggregate trade"),
            Said::Depth(..) => self.link.skipped("partial book"),
            Said::Blank { kind, .. } => self.link.skipped(&kind),
        }
        Ok(())
    }

    fn garbled(&self, instrument: Option<InstrumentId>) -> Heard {
        Heard::Malformed(instrument, Arc::clone(&self.link.plan))
    }
}

fn describe(error: &ParseError, text: &str) -> String {
    let start: String = text.chars().filter(|c| !c.is_control()).take(120).collect();
    format!("{}: {start}", mprism_runtime::log::chain(error))
}
