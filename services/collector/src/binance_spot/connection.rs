//! A venue's connection from its first byte to its last, and the next one after it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mprism_model::{InstrumentId, Source, UnixNanos};
use mprism_runtime::backoff::Backoff;
use mprism_runtime::clock;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::named::instrument_named;
use super::parse::parse_frame;
use super::requests::Requests;
use super::socket::{Ended, FRAMES_MAX, Received, Socket, connect, take_ready};
use crate::LivenessOptions;
use crate::market::{Heard, Instrument};
use crate::stats::ExchangeStats;
use crate::wire::{Accepted, ParseError, Said};

/// A connection that lived this long resets the backoff.
const GOOD_LIFE: Duration = Duration::from_secs(60);
/// How long a venue may take to agree to our leaving.
const FAREWELL: Duration = Duration::from_millis(500);

/// A venue's connection, and the next one after it.
struct Venue {
    url: String,
    streams: BTreeMap<String, Subscription>,
    liveness: LivenessOptions,
    stats: Arc<ExchangeStats>,
    heard: mpsc::Sender<Vec<Heard>>,
    /// A stream's name, while it is looked up.
    name: String,
}

/// One stream that is asked for.
#[derive(Debug, Default)]
struct Subscription {
    /// When it last spoke on the current connection.
    last: Option<Instant>,
    /// How many connections were given up for its silence since it last spoke: each next one has twice the time, so that an
    /// instrument that nobody trades does not cost the others theirs.
    strikes: u32,
}

/// Longest silence for which a connection is given up, however often that was in vain.
const SILENCE_MAX: Duration = Duration::from_secs(3_600);

/// What follows a symbol in the names of our streams: trades, and order-book diffs at the venue's shorter interval.
const TRADES: &str = "@trade";
const DIFFS: &str = "@depth@100ms";

/// Returns the names of the streams that an instrument is collected from.
pub(crate) fn streams_of(instrument: &Instrument) -> Vec<String> {
    let symbol = instrument.id.as_str().to_lowercase();
    let kinds = [
        (instrument.trades.is_some(), TRADES),
        (instrument.books.is_some(), DIFFS),
    ];
    let wanted = kinds.iter().filter(|(is_wanted, _)| *is_wanted);
    wanted.map(|(_, kind)| format!("{symbol}{kind}")).collect()
}

/// Collects the named streams until `shutdown` is cancelled or nobody listens any more.
pub(crate) async fn run(
    websocket_url: String,
    streams: Vec<String>,
    liveness: LivenessOptions,
    stats: Arc<ExchangeStats>,
    heard: mpsc::Sender<Vec<Heard>>,
    shutdown: CancellationToken,
) {
    let mut venue = Venue {
        url: format!("{websocket_url}/stream"),
        streams: streams
            .into_iter()
            .map(|name| (name, Subscription::default()))
            .collect(),
        liveness,
        stats,
        heard,
        name: String::new(),
    };
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
    loop {
        let began = Instant::now();
        let ended = venue.connection(&shutdown).await;
        venue.stats.is_connected.store(false, Ordering::Relaxed);
        if matches!(ended, Ended::Stopped | Ended::Closed) {
            return;
        }
        if venue.heard.send(vec![Heard::Ended]).await.is_err() {
            return;
        }
        venue.streams.values_mut().for_each(|stream| stream.last = None);
        let first = venue.stats.disconnects.first(ended.cause());
        let error = mprism_runtime::log::chain(&ended);
        venue.stats.ended(&error);
        if first {
            tracing::warn!(exchange = "binance_spot", error, "connection ended; connecting again");
        } else {
            tracing::debug!(exchange = "binance_spot", error, "connection ended; connecting again");
        }
        if began.elapsed() >= GOOD_LIFE {
            backoff.reset();
        }
        // A notice is no failure: the replacement is opened at once.
        let wait = if matches!(ended, Ended::Shutdown) {
            Duration::ZERO
        } else {
            backoff.next_wait()
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Venue {
    /// One connection, from its first byte to its last.
    async fn connection(&mut self, shutdown: &CancellationToken) -> Ended {
        let mut socket = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ended::Stopped,
            connected = connect(&self.url) => match connected {
                Ok(socket) => socket,
                Err(ended) => return ended,
            },
        };
        self.stats.connects.fetch_add(1, Ordering::Relaxed);
        self.stats.is_connected.store(true, Ordering::Relaxed);
        let mut requests = Requests::new(self.streams.keys());
        let connected = Instant::now();
        let mut looks = tokio::time::interval(Duration::from_millis(100));
        let mut frames = Vec::with_capacity(FRAMES_MAX);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {
                    let farewell = self.farewell(&mut socket, &mut requests);
                    // The venue need not answer.
                    let _in_time = tokio::time::timeout(FAREWELL, farewell).await;
                    return Ended::Stopped;
                }
                () = requests.due() => {
                    if let Some(text) = requests.next()
                        && let Err(error) = socket.send(Message::text(text)).await
                    {
                        return Ended::Socket(Box::new(error));
                    }
                }
                message = socket.next() => {
                    frames.push((clock::now_ns(), message));
                    take_ready(&mut socket, &mut frames).await;
                    if let Err(ended) = self.take(&mut frames, &mut requests).await {
                        return ended;
                    }
                }
                _ = looks.tick() => {
                    if let Some(ended) = requests.overdue().or_else(|| self.silence(connected)) {
                        return ended;
                    }
                }
            }
        }
    }

    /// Closes, and takes what was sent until the venue agrees: what it sent before is not lost with us.
    async fn farewell(&mut self, socket: &mut Socket, requests: &mut Requests) {
        if socket.close(None).await.is_err() {
            return;
        }
        let mut frames = Vec::with_capacity(FRAMES_MAX);
        loop {
            let message = socket.next().await;
            frames.push((clock::now_ns(), message));
            take_ready(socket, &mut frames).await;
            if self.take(&mut frames, requests).await.is_err() {
                return;
            }
        }
    }

    /// Takes what was received, in order, as one batch.
    async fn take(&mut self, frames: &mut Vec<Received>, requests: &mut Requests) -> Result<(), Ended> {
        let mut portion = Vec::with_capacity(frames.len());
        let mut result = Ok(());
        let now = Instant::now();
        for (recv_ns, message) in frames.drain(..) {
            let taken = match message {
                Some(Ok(Message::Text(text))) => self.frame(&text, UnixNanos(recv_ns), requests, now, &mut portion),
                Some(Ok(Message::Binary(_))) => {
                    self.malformed("binary", "a binary frame on a text connection");
                    portion.push(Heard::Malformed(None));
                    Ok(())
                }
                Some(Ok(Message::Ping(_))) => {
                    // The library answers; flushing happens with the next read.
                    self.stats.pings.fetch_add(1, Ordering::Relaxed);
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
        if !portion.is_empty() && self.heard.send(portion).await.is_err() {
            return Err(Ended::Closed);
        }
        result
    }

    fn frame(
        &mut self,
        text: &str,
        ts_recv: UnixNanos,
        requests: &mut Requests,
        now: Instant,
        portion: &mut Vec<Heard>,
    ) -> Result<(), Ended> {
        self.stats.frames.fetch_add(1, Ordering::Relaxed);
        self.stats.last_frame_ms.store(ts_recv.to_millis().0, Ordering::Relaxed);
        match parse_frame(text, Some(ts_recv), Source::Ws) {
            Ok(Said::Trade { trade, number, .. }) => {
                self.spoke(&trade.instrument_id, TRADES, now);
                portion.push(Heard::Trade(trade, number));
            }
            Ok(Said::Diff(instrument, diff)) => {
                self.spoke(&instrument, DIFFS, now);
                portion.push(Heard::Diff(instrument, diff));
            }
            Ok(Said::Accepted(Accepted::All(id))) => requests.accepted(id),
            Ok(Said::Refused { code, message, .. }) => return Err(Ended::Refused { code, message }),
            Ok(Said::Leaving) => return Err(Ended::Shutdown),
            Ok(Said::Skipped(kind)) => self.skipped(&kind),
            Ok(_) => self.skipped("something else"),
            Err(error) => {
                self.malformed(error.cause(), &describe(&error, text));
                let named = instrument_named(text).and_then(|name| InstrumentId::new(&name).ok());
                portion.push(Heard::Malformed(named));
            }
        }
        Ok(())
    }

    fn spoke(&mut self, instrument: &InstrumentId, kind: &str, now: Instant) {
        self.name.clear();
        self.name
            .extend(instrument.as_str().chars().flat_map(char::to_lowercase));
        self.name.push_str(kind);
        if let Some(stream) = self.streams.get_mut(&self.name) {
            stream.last = Some(now);
            stream.strikes = 0;
        }
    }

    fn malformed(&self, cause: &str, text: &str) {
        if self.stats.malformed.first(cause) {
            tracing::warn!(exchange = "binance_spot", cause, text, "a frame is not understood");
        }
    }

    fn skipped(&self, kind: &str) {
        if self.stats.skipped.first(kind) {
            tracing::info!(exchange = "binance_spot", kind, "valid, but not collected");
        }
    }

    /// Returns why the connection has to be replaced, if a subscription is silent for too long.
    fn silence(&mut self, connected: Instant) -> Option<Ended> {
        for (name, stream) in &mut self.streams {
            let patience = 1_u32.checked_shl(stream.strikes).unwrap_or(u32::MAX);
            let allowed = |limit: Duration| limit.saturating_mul(patience).min(SILENCE_MAX);
            let ended = match stream.last {
                Some(last) if last.elapsed() >= allowed(self.liveness.silence) => Ended::FellSilent(name.clone()),
                None if connected.elapsed() >= allowed(self.liveness.first_message) => Ended::NeverSpoke(name.clone()),
                _ => continue,
            };
            stream.strikes += 1;
            return Some(ended);
        }
        None
    }
}

fn describe(error: &ParseError, text: &str) -> String {
    let start: String = text.chars().filter(|c| !c.is_control()).take(120).collect();
    format!("{}: {start}", mprism_runtime::log::chain(error))
}
