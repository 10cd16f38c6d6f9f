//! A venue's connection from its first byte to its last, and the next one after it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mprism_bus::SubjectText;
use mprism_model::{Event, Exchange, GapCause, InstrumentId, MarketType, Source, Subject, UnixNanos};
use mprism_runtime::backoff::Backoff;
use mprism_runtime::clock;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::named::instrument_named;
use super::requests::Requests;
use super::socket::{Ended, FRAMES_MAX, Received, Socket, connect, take_ready};
use super::{ParseError, Parsed, parse_frame};
use crate::LivenessOptions;
use crate::admission::Admission;
use crate::sequencer::{Seen, Sequencer, Verdict};
use crate::spool::Outgoing;
use crate::stats::ExchangeStats;

/// A connection that lived this long resets the backoff.
const GOOD_LIFE: Duration = Duration::from_secs(60);
/// How long a venue may take to agree to our leaving.
const FAREWELL: Duration = Duration::from_millis(500);

/// One collected instrument.
#[derive(Debug)]
pub(crate) struct Instrument {
    pub(crate) id: InstrumentId,
    pub(crate) subject: Subject,
    pub(crate) last: Option<Seen>,
}

/// Everything that outlives a connection.
struct Collector {
    url: String,
    states: HashMap<InstrumentId, State>,
    streams: Vec<String>,
    liveness: LivenessOptions,
    stats: Arc<ExchangeStats>,
    batches: mpsc::Sender<Vec<Outgoing>>,
    admission: Admission,
}

struct State {
    subject: SubjectText,
    gap_subject: SubjectText,
    symbol: String,
    sequencer: Sequencer,
    /// Of the current connection.
    last_event: Option<Instant>,
}

/// Collects until `shutdown` is cancelled or nobody takes events any more.
pub(crate) async fn run(
    websocket_url: String,
    instruments: Vec<Instrument>,
    liveness: LivenessOptions,
    stats: Arc<ExchangeStats>,
    batches: mpsc::Sender<Vec<Outgoing>>,
    admission: Admission,
    shutdown: CancellationToken,
) {
    let streams = instruments
        .iter()
        .map(|i| format!("{}@trade", i.id.as_str().to_lowercase()))
        .collect();
    stats.symbols_seen(instruments.iter().map(|i| i.subject.symbol.as_str()), 0);
    let states = instruments.into_iter().map(|i| (i.id.clone(), State::new(i))).collect();
    let mut collector = Collector {
        url: format!("{websocket_url}/stream"),
        states,
        streams,
        liveness,
        stats,
        batches,
        admission,
    };
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
    loop {
        let began = Instant::now();
        let ended = collector.connection(&shutdown).await;
        collector.stats.is_connected.store(false, Ordering::Relaxed);
        if matches!(ended, Ended::Stopped | Ended::Closed) {
            return;
        }
        for state in collector.states.values_mut() {
            state.sequencer.expect(GapCause::Disconnect);
            state.last_event = None;
        }
        let first = collector.stats.disconnects.first(ended.cause());
        let error = mprism_runtime::log::chain(&ended);
        collector.stats.ended(&error);
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

impl State {
    fn new(instrument: Instrument) -> Self {
        let subject = &instrument.subject;
        let gap = Subject {
            data_type: mprism_model::DataType::Gap,
            ..subject.clone()
        };
        Self {
            subject: subject.to_string().into(),
            gap_subject: gap.to_string().into(),
            symbol: subject.symbol.as_str().to_owned(),
            sequencer: Sequencer::new(
                Exchange::BinanceSpot,
                MarketType::Spot,
                subject.symbol.clone(),
                instrument.last,
            ),
            last_event: None,
        }
    }
}

impl Collector {
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
        let mut requests = Requests::new(&self.streams);
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
        let mut batch = Vec::with_capacity(frames.len());
        let mut result = Ok(());
        let now = Instant::now();
        for (recv_ns, message) in frames.drain(..) {
            let taken = match message {
                Some(Ok(Message::Text(text))) => self.frame(&text, UnixNanos(recv_ns), requests, now, &mut batch),
                Some(Ok(Message::Binary(_))) => {
                    self.malformed("binary", "a binary frame on a text connection");
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
        if !batch.is_empty() && self.batches.send(batch).await.is_err() {
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
        batch: &mut Vec<Outgoing>,
    ) -> Result<(), Ended> {
        self.stats.frames.fetch_add(1, Ordering::Relaxed);
        self.stats.last_frame_ms.store(ts_recv.to_millis().0, Ordering::Relaxed);
        match parse_frame(text, Some(ts_recv), Source::Ws) {
            Ok(Parsed::Trade(trade, id)) => {
                let Some(state) = self.states.get_mut(&trade.instrument_id) else {
                    self.skipped("trade of an instrument that is not collected");
                    return Ok(());
                };
                state.last_event = Some(now);
                if !self.admission.admits() {
                    // Not advanced: what is refused becomes a gap as soon as something is accepted again.
                    state.sequencer.expect(GapCause::Shed);
                    self.stats.shed.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                let seen = Seen { id, ts: trade.ts };
                match state.sequencer.observe(seen, ts_recv.to_millis()) {
                    Verdict::Replay => {
                        self.stats.replays.fetch_add(1, Ordering::Relaxed);
                    }
                    Verdict::Pass(gaps) => {
                        for gap in gaps {
                            self.stats.gaps.fetch_add(1, Ordering::Relaxed);
                            tracing::warn!(
                                symbol = state.symbol,
                                from = &*gap.from_id,
                                to = &*gap.to_id,
                                cause = %gap.cause,
                                state = %gap.state,
                                "gap"
                            );
                            batch.push(outgoing(&state.gap_subject, &Event::Gap(gap)));
                        }
                        self.stats.trades.fetch_add(1, Ordering::Relaxed);
                        self.stats
                            .symbols_seen(std::iter::once(state.symbol.as_str()), ts_recv.to_millis().0);
                        batch.push(outgoing(&state.subject, &Event::Trade(*trade)));
                    }
                }
            }
            Ok(Parsed::Accepted(id)) => requests.accepted(id),
            Ok(Parsed::Refused { code, message, .. }) => return Err(Ended::Refused { code, message }),
            Ok(Parsed::Shutdown) => return Err(Ended::Shutdown),
            Ok(Parsed::Skipped(kind)) => self.skipped(&kind),
            Ok(Parsed::Aggregate(..)) => self.skipped("aggTrade"),
            Err(error) => {
                self.malformed(error.cause(), &describe(&error, text));
                // What one instrument lost is no explanation of another one's gap.
                let named = instrument_named(text).and_then(|name| InstrumentId::new(&name).ok());
                match named.and_then(|id| self.states.get_mut(&id)) {
                    Some(state) => state.sequencer.expect(GapCause::Malformed),
                    None => {
                        let states = self.states.values_mut();
                        states.for_each(|state| state.sequencer.expect(GapCause::Malformed));
                    }
                }
            }
        }
        Ok(())
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
    fn silence(&self, connected: Instant) -> Option<Ended> {
        let mut ended = None;
        for state in self.states.values() {
            let symbol = || state.symbol.clone();
            match state.last_event {
                Some(last) if last.elapsed() >= self.liveness.silence => ended = Some(Ended::FellSilent(symbol())),
                None if connected.elapsed() >= self.liveness.first_message => {
                    ended = ended.or(Some(Ended::NeverSpoke(symbol())));
                }
                _ => {}
            }
        }
        ended
    }
}

fn outgoing(subject: &SubjectText, event: &Event) -> Outgoing {
    Outgoing {
        subject: subject.clone(),
        message_id: event.message_id().0.into(),
        payload: event.to_json().into(),
    }
}

fn describe(error: &ParseError, text: &str) -> String {
    let start: String = text.chars().filter(|c| !c.is_control()).take(120).collect();
    format!("{}: {start}", mprism_runtime::log::chain(error))
}
