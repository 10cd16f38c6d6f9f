//! From the spool onto the bus: a bounded window of unacknowledged messages over a position in the spool.
//!
//! Everything that can go wrong ends in the same motion: go back to a position and publish from there on, under the same
//! message ids. Back to the first unacknowledged record after a reconnect, a refusal or a silence; further back, to what was
//! acknowledged within the broker's own fsync window, when another server answers than before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mprism_bus::{Answer, Answers, Bus, BusError, Mirror, Publisher, Trouble};
use mprism_model::ProducerId;
use mprism_runtime::backoff::Backoff;
use mprism_runtime::clock;
use mprism_runtime::log::chain;
use tokio_util::sync::CancellationToken;

use crate::spool::{Feed, SpoolError, Tail};
use crate::stats::Stats;

/// How publishing is bounded.
#[derive(Clone, Copy, Debug)]
pub struct PublishOptions {
    /// Messages that wait for an acknowledgement.
    pub in_flight_max: usize,
    /// Their bytes.
    pub bytes_in_flight_max: u64,
    /// After which unacknowledged messages are sent again.
    pub timeout: Duration,
    /// How long acknowledged messages are kept to be sent again to a broker that lost them: twice its fsync interval.
    pub keep_acked: Duration,
}

/// How often old messages, time-outs and segments are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the position that is safe is written down and segments are removed.
const RELEASE_EVERY: Duration = Duration::from_secs(1);
/// Messages handed to the connection between two looks at what came back.
const BURST: usize = 128;
/// How long what is in the spool is still published after the collector was told to stop.
const DRAIN_WITHIN: Duration = Duration::from_secs(6);

struct InFlight {
    id: ProducerId,
    bytes: u64,
    is_acked: bool,
}

/// What is sent and not yet acknowledged.
#[derive(Default)]
struct Window {
    /// Token of the first.
    first: u64,
    sent: VecDeque<InFlight>,
    bytes: u64,
    /// When the first was sent, or became the first.
    waiting_since: Option<Instant>,
}

impl Window {
    fn next_token(&self) -> u64 {
        self.first + self.sent.len() as u64
    }

    fn push(&mut self, id: ProducerId, bytes: u64) {
        self.bytes += bytes;
        self.waiting_since.get_or_insert_with(Instant::now);
        self.sent.push_back(InFlight {
            id,
            bytes,
            is_acked: false,
        });
    }

    /// Forgets everything; answers to what was sent before are ignored from now on.
    fn clear(&mut self) {
        self.first = self.next_token();
        self.sent.clear();
        self.bytes = 0;
        self.waiting_since = None;
    }

    /// Notes an acknowledgement; returns whether it was awaited.
    fn acked(&mut self, token: u64) -> bool {
        let index = token
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok());
        let Some(sent) = index.and_then(|index| self.sent.get_mut(index)) else {
            return false;
        };
        let was_awaited = !std::mem::replace(&mut sent.is_acked, true);
        while self.sent.front().is_some_and(|sent| sent.is_acked) {
            if let Some(sent) = self.sent.pop_front() {
                self.bytes -= sent.bytes;
                self.first += 1;
                self.waiting_since = Some(Instant::now());
            }
        }
        if self.sent.is_empty() {
            self.waiting_since = None;
        }
        was_awaited
    }
}

/// Publishes the spool.
pub(crate) struct Shipper {
    bus: Arc<Bus>,
    feed: Feed,
    tail: Arc<Tail>,
    options: PublishOptions,
    /// Copies on core NATS.
    mirror: Option<Mirror>,
    stats: Arc<Stats>,
    window: Window,
    /// Where everything was acknowledged, and when.
    history: VecDeque<(Instant, ProducerId)>,
    /// Everything before was acknowledged longer ago than the broker's fsync window.
    safe: Option<ProducerId>,
    released: Option<ProducerId>,
    paused_until: Option<Instant>,
    backoff: Backoff,
    server_id: String,
    connects: u64,
}

impl Shipper {
    pub(crate) fn new(bus: Arc<Bus>, feed: Feed, tail: Arc<Tail>, options: PublishOptions, stats: Arc<Stats>) -> Self {
        Self {
            bus,
            feed,
            tail,
            options,
            mirror: None,
            stats,
            window: Window::default(),
            history: VecDeque::new(),
            safe: None,
            released: None,
            paused_until: None,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(2)),
            server_id: String::new(),
            connects: 0,
        }
    }

    /// Copies what is published on these subjects to core NATS.
    pub(crate) fn mirroring(mut self, subjects: &[String]) -> Self {
        self.mirror = (!subjects.is_empty()).then(|| Mirror::new(&self.bus, subjects));
        self
    }

    /// Publishes until `stop` is cancelled and everything written is acknowledged, or the time for that is over.
    ///
    /// `stop` must be cancelled only after the last record was written.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), ShipError> {
        let (publisher, mut answers) = Publisher::new(&self.bus).await?;
        let mut connection = self.bus.connection();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut give_up: Option<Instant> = None;
        let mut last_release = Instant::now();
        loop {
            if stop.is_cancelled() {
                let give_up = *give_up.get_or_insert_with(|| Instant::now() + DRAIN_WITHIN);
                if self.is_done() || Instant::now() >= give_up {
                    self.release(true)?;
                    return Ok(());
                }
            }
            let may_send = self.may_send(connection.borrow().is_connected);
            let has_more = may_send && self.send_burst(&publisher).await?;
            tokio::select! {
                biased;
                changed = connection.changed() => {
                    if changed.is_err() {
                        return Err(ShipError::Bus(BusError::Closed));
                    }
                    let now = connection.borrow_and_update().clone();
                    self.connection_changed(now.is_connected, now.connects, &now.server_id);
                }
                answer = answers.next() => match answer {
                    Some(answer) => {
                        self.answered(&answer);
                        self.drain_answers(&mut answers).await;
                    }
                    None => return Err(ShipError::Bus(BusError::Closed)),
                },
                _ = looks.tick() => {
                    self.look();
                    if last_release.elapsed() >= RELEASE_EVERY {
                        last_release = Instant::now();
                        self.release(false)?;
                    }
                }
                () = self.tail.grown(), if may_send && !has_more => {}
                () = std::future::ready(()), if has_more => {}
                () = stop.cancelled(), if give_up.is_none() => {}
            }
        }
    }

    /// Takes what else has come back, without waiting.
    async fn drain_answers(&mut self, answers: &mut Answers) {
        for _ in 0..BURST {
            let ready = tokio::select! {
                biased;
                answer = answers.next() => answer,
                () = std::future::ready(()) => None,
            };
            match ready {
                Some(answer) => self.answered(&answer),
                None => return,
            }
        }
    }

    fn is_done(&self) -> bool {
        self.window.sent.is_empty() && self.feed.position() >= self.tail.end()
    }

    fn may_send(&self, is_connected: bool) -> bool {
        let is_paused = self.paused_until.is_some_and(|until| Instant::now() < until);
        is_connected && !is_paused && !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.window.sent.len() >= self.options.in_flight_max || self.window.bytes >= self.options.bytes_in_flight_max
    }

    /// Sends until the window is full, the burst is over or nothing is left; returns whether there is room and more.
    async fn send_burst(&mut self, publisher: &Publisher) -> Result<bool, ShipError> {
        for _ in 0..BURST {
            if self.is_full() {
                return Ok(false);
            }
            let Some(record) = self.feed.next()? else {
                return Ok(false);
            };
            let token = self.window.next_token();
            let bytes = record.payload.len() as u64 + 256;
            self.window.push(record.id, bytes);
            let copy = self.mirror.as_ref().map(|_| record.payload.clone());
            let sent = publisher.publish(token, &record.subject, &record.message_id, record.id, record.payload);
            match sent.await {
                Ok(()) => {}
                Err(error @ BusError::TooLarge { .. }) => {
                    // No server would ever take it: everything behind it must not wait for ever.
                    self.give_up_on(token, record.id, &chain(&error));
                }
                Err(error) => return Err(error.into()),
            }
            if let (Some(mirror), Some(payload)) = (&self.mirror, copy)
                && mirror.copy(&record.subject, record.id, &payload).await
            {
                self.stats.mirrored.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(!self.is_full())
    }

    fn answered(&mut self, answer: &Answer) {
        match &answer.outcome {
            Ok(stored) => {
                if self.window.acked(answer.token) {
                    self.stats.published.fetch_add(1, Ordering::Relaxed);
                    if stored.duplicate {
                        self.stats.publish_duplicates.fetch_add(1, Ordering::Relaxed);
                    }
                    self.stats.last_ack_ms.store(clock::now_ms(), Ordering::Relaxed);
                    self.backoff.reset();
                }
            }
            Err(trouble) if answer.token < self.window.first => {
                tracing::debug!(%trouble, "an answer to what was sent again already");
            }
            Err(trouble) => {
                if self.stats.publish_troubles.first(trouble.code()) {
                    tracing::warn!(%trouble, "the broker does not take messages; they wait in the spool");
                }
                if trouble.is_retryable() {
                    self.paused_until = Some(Instant::now() + self.backoff.next_wait());
                    self.rewind(false);
                } else if let Some(sent) = self.sent(answer.token) {
                    self.give_up_on(answer.token, sent, &trouble.to_string());
                }
            }
        }
    }

    fn sent(&self, token: u64) -> Option<ProducerId> {
        let index = usize::try_from(token.checked_sub(self.window.first)?).ok()?;
        self.window.sent.get(index).map(|sent| sent.id)
    }

    fn give_up_on(&mut self, token: u64, id: ProducerId, reason: &str) {
        self.stats.unpublishable.fetch_add(1, Ordering::Relaxed);
        tracing::error!(identity = %id, reason, "a message can never be published; it stays in the spool's log only");
        self.window.acked(token);
    }

    fn connection_changed(&mut self, is_connected: bool, connects: u64, server_id: &str) {
        if !is_connected || connects == self.connects {
            return;
        }
        let is_other_server = !self.server_id.is_empty() && self.server_id != server_id;
        if is_other_server {
            tracing::info!("another nats-server answers: the last moments are published again");
            self.stats.republishes.fetch_add(1, Ordering::Relaxed);
        }
        self.rewind(is_other_server);
        self.connects = connects;
        server_id.clone_into(&mut self.server_id);
        self.paused_until = None;
    }

    /// Goes back to the first unacknowledged record, or to the first that the broker may have lost.
    fn rewind(&mut self, to_safe: bool) {
        let mut to = self.floor();
        if to_safe {
            // What was acknowledged in this life before anything was safe is all of it.
            let oldest = self
                .safe
                .or_else(|| self.history.front().map(|(_, position)| *position));
            to = oldest.map_or(to, |oldest| oldest.min(to));
            self.history.clear();
        }
        self.window.clear();
        self.feed.seek(to);
    }

    /// Returns the first position that is not acknowledged.
    fn floor(&self) -> ProducerId {
        self.window
            .sent
            .front()
            .map_or_else(|| self.feed.position(), |sent| sent.id)
    }

    fn look(&mut self) {
        let now = Instant::now();
        let floor = self.floor();
        self.tail.forget_before(floor);
        if self.history.back().is_none_or(|(_, position)| *position < floor) {
            self.history.push_back((now, floor));
        }
        while let Some((at, position)) = self.history.front()
            && now - *at >= self.options.keep_acked
        {
            self.safe = Some(*position);
            self.history.pop_front();
        }
        let is_silent = self
            .window
            .waiting_since
            .is_some_and(|since| now - since >= self.options.timeout);
        if is_silent {
            if self.stats.publish_troubles.first(Trouble::NoAnswer.code()) {
                tracing::warn!(
                    in_flight = self.window.sent.len(),
                    "the broker does not answer; sending again"
                );
            }
            self.rewind(false);
        }
        let end = self.tail.end();
        let waiting = if floor.epoch == end.epoch {
            end.seq.saturating_sub(floor.seq.max(1))
        } else {
            end.seq
        };
        self.stats.backlog.store(waiting, Ordering::Relaxed);
        self.stats
            .in_flight
            .store(self.window.sent.len() as u64, Ordering::Relaxed);
    }

    /// Writes down what is safe and removes segments below it.
    fn release(&mut self, is_last: bool) -> Result<(), SpoolError> {
        if is_last {
            self.look();
        }
        let Some(safe) = self.safe.filter(|safe| self.released != Some(*safe)) else {
            return Ok(());
        };
        let freed = self.feed.release(safe)?;
        self.released = Some(safe);
        self.stats.spool_freed.fetch_add(freed, Ordering::Relaxed);
        Ok(())
    }
}

/// Why publishing ended.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// The bus cannot be used any more.
    #[error("the bus cannot be used any more")]
    Bus(#[from] BusError),
    /// The spool cannot be read.
    #[error("the spool cannot be read")]
    Spool(#[from] SpoolError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use mprism_model::Epoch;

    fn id(seq: u64) -> ProducerId {
        ProducerId { epoch: Epoch(1), seq }
    }

    #[test]
    fn the_window_moves_over_what_is_acked_in_a_row() {
        let mut window = Window::default();
        for seq in 1..=3 {
            window.push(id(seq), 10);
        }
        assert!(window.acked(1));
        assert_eq!((window.first, window.bytes), (0, 30), "the first still waits");
        assert!(window.acked(0));
        assert_eq!((window.first, window.bytes), (2, 10));
        assert!(!window.acked(0), "long gone");
        window.clear();
        assert!(!window.acked(2), "sent before the window was cleared");
        window.push(id(3), 10);
        assert!(window.acked(3));
        assert!(window.sent.is_empty() && window.waiting_since.is_none());
    }
}
