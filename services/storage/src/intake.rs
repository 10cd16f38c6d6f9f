//! Pulling messages and cutting batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mprism_bus::{Bus, BusError, DurableSpec, Pull, open_durable, reclaim_unacked};
use mprism_runtime::backoff::Backoff;
use mprism_runtime::clock;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::BatchOptions;
use crate::row::{Row, Unstorable, read};
use crate::stats::Stats;

/// A batch may become so many times as old as wished where writing takes long.
const AGE_GROWS_TO: u32 = 10;

/// Messages of one pull, in order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) rows: Vec<Row>,
    pub(crate) unstorable: Vec<Unstorable>,
    bytes: usize,
}

impl Batch {
    fn len(&self) -> usize {
        self.rows.len() + self.unstorable.len()
    }
}

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

/// Pulls for ever; ends when `shutdown` is cancelled or nobody takes batches any more.
pub(crate) async fn pull(
    bus: Arc<Bus>,
    durable: DurableSpec,
    options: BatchOptions,
    pace: Pace,
    batches: mpsc::Sender<Batch>,
    stats: Arc<Stats>,
    shutdown: CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
    let mut logged = false;
    let mut reclaiming = None;
    while !shutdown.is_cancelled() && !batches.is_closed() {
        let opened = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            opened = open_durable(&bus, &durable) => opened,
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
                    reclaiming = Some(tokio::spawn(reclaim(Arc::clone(&bus), durable.clone())));
                }
                stats.begins(&durable.name);
                let ended = consume(&bus, &durable, options, &pace, &batches, &stats, &shutdown).await;
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

async fn consume(
    bus: &Bus,
    durable: &DurableSpec,
    options: BatchOptions,
    pace: &Pace,
    batches: &mpsc::Sender<Batch>,
    stats: &Stats,
    shutdown: &CancellationToken,
) -> Result<(), BusError> {
    let mut messages = Pull::new(bus, durable).await?;
    let mut batch = Batch::default();
    let mut deadline = Instant::now();
    loop {
        // One request for the next batch while this one is gathered: what comes early waits in the connection, and not more.
        messages.ask(options.rows_max, options.bytes_max).await?;
        let due = tokio::select! {
            biased;
            // What is pulled and not yet handed over is not acked: it comes again.
            () = shutdown.cancelled() => {
                hand_over(batch, batches).await;
                return Ok(());
            }
            () = tokio::time::sleep_until(deadline), if batch.len() > 0 => true,
            message = messages.next() => {
                let message = match message {
                    Ok(Some(message)) => message,
                    Ok(None) => continue,
                    Err(error) => {
                        hand_over(batch, batches).await;
                        return Err(error);
                    }
                };
                if batch.len() == 0 {
                    deadline = Instant::now() + pace.age(options.age_max);
                }
                stats.received.fetch_add(1, Ordering::Relaxed);
                batch.bytes += message.payload.len();
                match read(message) {
                    Ok(row) => batch.rows.push(row),
                    Err(unstorable) => batch.unstorable.push(*unstorable),
                }
                batch.len() >= options.rows_max || batch.bytes >= options.bytes_max
            }
        };
        if due {
            stats.last_message_ms.store(clock::now_ms(), Ordering::Relaxed);
            if !hand_over(std::mem::take(&mut batch), batches).await {
                return Ok(());
            }
        }
    }
}

/// Hands a batch over; a full channel slows the pulling. Returns whether anybody took it.
async fn hand_over(batch: Batch, batches: &mpsc::Sender<Batch>) -> bool {
    batch.len() == 0 || batches.send(batch).await.is_ok()
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
