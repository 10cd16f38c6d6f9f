//! Pulling messages and cutting batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mprism_bus::{Bus, BusError, DurableSpec, Pull, open_durable, reclaim_unacked};
use mprism_model::DataType;
use mprism_runtime::backoff::Backoff;
use mprism_runtime::clock;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::batch::Batch;
use crate::gather::{Gathering, Sizes};
use crate::room::Room;
use crate::stats::Stats;
use crate::{BOOK_BYTES, BatchOptions};

/// Messages of one request. Until they are read they wait in the connection, with headers and all, which takes more than the rows
/// that become of them; so a batch is asked for in parts.
const ASKED_MESSAGES: usize = 2_000;
/// The same of order books, in bytes.
const ASKED_BOOK_BYTES: usize = 2 << 20;
/// A batch may become so many times as old as wished where writing takes long.
const AGE_GROWS_TO: u32 = 10;

/// How long writing a batch takes, which decides how much is gathered for the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    writing_ms: Arc<AtomicU64>,
}

impl Pace {
    /// Notes how long the last batch took.
    pub(crate) fn wrote_within(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.writing_ms.store(ms, Ordering::Relaxed);
    }

    /// Returns how old a batch may become. An insert costs the same for one row as for a thousand, and there is one for each
    /// partition: so that writing is at work a third of the time at most, and no part is needlessly small.
    fn age(&self, age_max: Duration) -> Duration {
        let writing = Duration::from_millis(self.writing_ms.load(Ordering::Relaxed));
        writing.saturating_mul(3).clamp(age_max, age_max * AGE_GROWS_TO)
    }
}

/// What a lane pulls, and for whom.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) data_type: DataType,
    pub(crate) bus: Arc<Bus>,
    pub(crate) durable: DurableSpec,
    pub(crate) options: BatchOptions,
    pub(crate) pace: Pace,
    /// What all lanes together may hold.
    pub(crate) room: Room,
    pub(crate) batches: mpsc::Sender<Batch>,
    pub(crate) stats: Arc<Stats>,
}

impl Intake {
    /// Pulls for ever; ends when `shutdown` is cancelled or nobody takes batches any more.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let Self {
            bus, durable, stats, ..
        } = &self;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut logged = false;
        let mut reclaiming = None;
        while !shutdown.is_cancelled() && !self.batches.is_closed() {
            let opened = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                opened = open_durable(bus, durable) => opened,
            };
            match opened {
                Ok(opened) => {
                    if let Some((position, last)) = opened.was_ahead {
                        tracing::warn!(
                            durable = durable.name,
                            position,
                            last,
                            "the durable stood ahead of its stream and begins anew"
                        );
                    }
                    backoff.reset();
                    logged = false;
                    let info = opened.consumer.cached_info();
                    // Once a life: what the last one held would otherwise come back only after the full ack wait.
                    if reclaiming.is_none() && (info.num_ack_pending > 0 || info.config.ack_wait != durable.ack_wait) {
                        reclaiming = Some(tokio::spawn(reclaim(Arc::clone(bus), durable.clone())));
                    }
                    stats.begins(&durable.name);
                    let ended = self.consume(&shutdown).await;
                    stats.ends(&durable.name);
                    if let Err(error) = ended {
                        stats.error_now();
                        tracing::warn!(durable = durable.name, error = %mprism_runtime::log::chain(&error), "pulling stopped and begins again");
                    }
                }
                Err(error) => {
                    stats.error_now();
                    if !logged {
                        logged = true;
                        let error = mprism_runtime::log::chain(&error);
                        tracing::warn!(durable = durable.name, error, "the durable cannot be opened yet");
                    }
                }
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(backoff.next_wait()) => {}
            }
        }
    }

    async fn consume(&self, shutdown: &CancellationToken) -> Result<(), BusError> {
        let mut messages = Pull::new(&self.bus, &self.durable).await?;
        let mut expected = Sizes::default();
        loop {
            // Nothing is gathered before there is a place for it: one batch is written, and one waits or grows.
            let place = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                place = self.batches.reserve() => place,
            };
            let Ok(place) = place else { return Ok(()) };
            let mut batch = Gathering::new(self.data_type, &self.room, expected);
            let gathered = self.gather(&mut messages, &mut batch, shutdown).await;
            expected = batch.sizes();
            // What is pulled and not handed over is not acked: it comes again.
            if batch.len() > 0 {
                self.stats.last_message_ms.store(clock::now_ms(), Ordering::Relaxed);
                place.send(batch.close());
            }
            gathered?;
        }
    }

    /// Gathers messages until the batch is due.
    async fn gather(
        &self,
        messages: &mut Pull,
        batch: &mut Gathering,
        shutdown: &CancellationToken,
    ) -> Result<(), BusError> {
        let options = self.options;
        let asked = options.rows_max.min(self.asked_messages());
        let mut deadline = Instant::now();
        loop {
            // One request for what comes next while this is read: what comes early waits in the connection, and not more.
            messages.ask(asked, options.bytes_max).await?;
            let message = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep_until(deadline), if batch.len() > 0 => return Ok(()),
                message = messages.next() => message?,
            };
            let mut next = message;
            while let Some(message) = next {
                if batch.len() == 0 {
                    deadline = Instant::now() + self.pace.age(options.age_max);
                }
                self.stats.received.fetch_add(1, Ordering::Relaxed);
                batch.take(message);
                if batch.len() >= options.rows_max || batch.payload_bytes() >= options.bytes_max {
                    return Ok(());
                }
                // What is here already needs no waiting for it.
                next = messages.ready()?;
            }
            batch.account();
            if batch.len() > 0 && self.room.is_full() {
                return Ok(());
            }
        }
    }

    fn asked_messages(&self) -> usize {
        match self.data_type {
            DataType::OrderBook => ASKED_BOOK_BYTES / BOOK_BYTES,
            _ => ASKED_MESSAGES,
        }
    }
}

async fn reclaim(bus: Arc<Bus>, durable: DurableSpec) {
    if let Err(error) = reclaim_unacked(&bus, &durable).await {
        let error = mprism_runtime::log::chain(&error);
        tracing::warn!(
            durable = durable.name,
            error,
            "unacked messages come back only after the full ack wait"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_with_the_time_that_writing_takes() {
        let (pace, wished) = (Pace::default(), Duration::from_millis(100));
        assert_eq!(pace.age(wished), wished, "nothing is written yet");
        for (took, age) in [(10, 100), (60, 180), (5_000, 1_000)] {
            pace.wrote_within(Duration::from_millis(took));
            assert_eq!(pace.age(wished), Duration::from_millis(age), "{took} ms");
        }
    }
}
