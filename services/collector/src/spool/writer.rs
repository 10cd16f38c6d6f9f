//! Appending to the spool, on threads of its own: a slow disk stops nobody but who waits for room in the queue.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use mprism_bus::SubjectText;
use mprism_model::{DataType, Epoch, ProducerId, UnixNanos};
use mprism_runtime::{clock, files};
use tokio::sync::mpsc;

use super::{Record, Segment, SpoolError, Tail};

/// Batches that may wait to be written.
const QUEUE: usize = 64;

/// An event that is to be written.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) data_type: DataType,
    /// When what it says left the socket.
    pub(crate) received: UnixNanos,
    pub(crate) subject: SubjectText,
    pub(crate) message_id: Box<str>,
    pub(crate) payload: Bytes,
}

/// How to write.
#[derive(Clone, Debug)]
pub(crate) struct WriterOptions {
    pub(crate) folder: PathBuf,
    pub(crate) epoch: Epoch,
    pub(crate) segment_bytes: u64,
    pub(crate) fsync_interval: Duration,
}

/// The writing side of the spool.
#[derive(Debug)]
pub(crate) struct Writer {
    batches: mpsc::Sender<Vec<Outgoing>>,
    threads: Vec<JoinHandle<()>>,
    state: Arc<State>,
}

/// What others may know about the writing.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Bytes written in this life.
    pub(crate) bytes: AtomicU64,
    /// Records written in this life.
    pub(crate) records: AtomicU64,
    /// Longest time from leaving the socket to being on the disk for good, in microseconds, by data type.
    durable_after_longest_us: [AtomicU64; DataType::ALL.len()],
    /// Set for ever once a write failed: what is not in the spool must not be published.
    pub(crate) failed: AtomicBool,
}

impl State {
    /// Returns the longest time from leaving the socket to being on the disk for good of each data type.
    pub(crate) fn durable_after_longest(&self) -> impl Iterator<Item = (DataType, Duration)> {
        let longest = self.durable_after_longest_us.iter();
        let longest = longest.map(|us| Duration::from_micros(us.load(Ordering::Relaxed)));
        DataType::ALL.iter().copied().zip(longest)
    }

    fn durable(&self, oldest: &Oldest) {
        let now = clock::now_ns();
        for (received, longest) in oldest.0.iter().zip(&self.durable_after_longest_us) {
            if let Some(received) = received {
                let took = now.saturating_sub(received.0).max(0) / 1_000;
                longest.fetch_max(took.unsigned_abs(), Ordering::Relaxed);
            }
        }
    }
}

/// When the oldest event of each data type left its socket.
#[derive(Clone, Copy, Debug, Default)]
struct Oldest([Option<UnixNanos>; DataType::ALL.len()]);

impl Oldest {
    fn take(&mut self, data_type: DataType, received: UnixNanos) {
        let oldest = &mut self.0[data_type as usize];
        *oldest = Some(oldest.map_or(received, |oldest| oldest.min(received)));
    }

    fn join(&mut self, other: &Self) {
        for (data_type, received) in DataType::ALL.iter().zip(other.0) {
            if let Some(received) = received {
                self.take(*data_type, received);
            }
        }
    }
}

impl Writer {
    /// Starts writing a new epoch, durably begun before its first record.
    pub(crate) fn start(options: WriterOptions, tail: Arc<Tail>) -> Result<Self, SpoolError> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let state = Arc::new(State::default());
        let dirty = Arc::new(Dirty::default());
        let current = Current::open(&options, 1)?;
        let appending = {
            let (state, dirty) = (Arc::clone(&state), Arc::clone(&dirty));
            let interval = options.fsync_interval;
            let name = std::thread::Builder::new().name("spool".into());
            let spawned = name.spawn(move || {
                append_all(&options, current, receiver, &tail, &state, &dirty);
                dirty.close();
            });
            (
                spawned.map_err(SpoolError::io("start a thread for", std::path::Path::new("the spool")))?,
                interval,
            )
        };
        let syncing = {
            let (state, interval) = (Arc::clone(&state), appending.1);
            let name = std::thread::Builder::new().name("spool-sync".into());
            let spawned = name.spawn(move || dirty.sync_all(interval, &state));
            spawned.map_err(SpoolError::io("start a thread for", std::path::Path::new("the spool")))?
        };
        Ok(Self {
            batches: sender,
            threads: vec![appending.0, syncing],
            state,
        })
    }

    /// Returns the way in: a full queue makes its sender wait.
    pub(crate) fn batches(&self) -> mpsc::Sender<Vec<Outgoing>> {
        self.batches.clone()
    }

    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    /// Waits until everything handed over is written and durable. Every other way in must be dropped before.
    pub(crate) async fn finish(self) {
        drop(self.batches);
        let joined = tokio::task::spawn_blocking(move || {
            for thread in self.threads {
                if thread.join().is_err() {
                    tracing::error!("a thread of the spool panicked");
                }
            }
        });
        let _panic_is_logged = joined.await;
    }
}

/// The segment that is being written.
struct Current {
    file: File,
    bytes: u64,
}

impl Current {
    fn open(options: &WriterOptions, seq: u64) -> Result<Self, SpoolError> {
        let first = ProducerId {
            epoch: options.epoch,
            seq,
        };
        let segment = Segment::new(&options.folder, first);
        let opened = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&segment.path);
        let file = opened.map_err(SpoolError::io("create", &segment.path))?;
        files::sync_folder(&options.folder).map_err(SpoolError::io("sync", &options.folder))?;
        Ok(Self { file, bytes: 0 })
    }
}

fn append_all(
    options: &WriterOptions,
    mut current: Current,
    mut batches: mpsc::Receiver<Vec<Outgoing>>,
    tail: &Tail,
    state: &State,
    dirty: &Dirty,
) {
    let mut seq = 0;
    let mut encoded = Vec::new();
    dirty.follow(&current.file);
    while let Some(batch) = batches.blocking_recv() {
        encoded.clear();
        let first = seq + 1;
        let mut records = Vec::with_capacity(batch.len());
        let mut oldest = Oldest::default();
        for outgoing in batch {
            seq += 1;
            oldest.take(outgoing.data_type, outgoing.received);
            let record = Record {
                id: ProducerId {
                    epoch: options.epoch,
                    seq,
                },
                subject: outgoing.subject,
                message_id: outgoing.message_id,
                payload: outgoing.payload,
            };
            record.encode(&mut encoded);
            records.push(record);
        }
        if state.failed.load(Ordering::Relaxed) {
            return;
        }
        let written = (|| {
            if current.bytes >= options.segment_bytes {
                dirty.sync_now(state);
                current = Current::open(options, first)?;
                dirty.follow(&current.file);
            }
            let whole = current.file.write_all(&encoded);
            whole.map_err(SpoolError::io("write", &options.folder))
        })();
        if let Err(error) = written {
            state.failed.store(true, Ordering::Relaxed);
            let error = mprism_runtime::log::chain(&error);
            tracing::error!(error, "the spool cannot be written; nothing is accepted any more");
            return;
        }
        current.bytes += encoded.len() as u64;
        state.bytes.fetch_add(encoded.len() as u64, Ordering::Relaxed);
        state.records.fetch_add(records.len() as u64, Ordering::Relaxed);
        dirty.touch(&oldest);
        tail.extend(records);
    }
}

/// What is written and not yet durable.
#[derive(Default)]
struct Dirty {
    state: Mutex<DirtyState>,
    changed: Condvar,
}

#[derive(Default)]
struct DirtyState {
    file: Option<File>,
    /// What is not durable.
    since: Option<Oldest>,
    is_closed: bool,
}

impl Dirty {
    fn follow(&self, file: &File) {
        let copy = file.try_clone().ok();
        self.state.lock().unwrap_or_else(PoisonError::into_inner).file = copy;
    }

    fn touch(&self, oldest: &Oldest) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.since.get_or_insert_default().join(oldest);
        drop(state);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.changed.notify_one();
    }

    /// Makes durable what is written; whoever writes waits.
    fn sync_now(&self, state: &State) {
        let mut dirty = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(since), Some(file)) = (dirty.since.take(), &dirty.file) {
            make_durable(file, &since, state);
        }
    }

    /// Group commit: what was written in one interval becomes durable at once. Ends after the last of it.
    fn sync_all(&self, interval: Duration, state: &State) {
        loop {
            let mut dirty = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            while dirty.since.is_none() && !dirty.is_closed {
                dirty = self.changed.wait(dirty).unwrap_or_else(PoisonError::into_inner);
            }
            let (since, is_closed) = (dirty.since.take(), dirty.is_closed);
            let file = dirty.file.as_ref().and_then(|file| file.try_clone().ok());
            drop(dirty);
            if let (Some(since), Some(file)) = (since, file) {
                make_durable(&file, &since, state);
            }
            if is_closed {
                return;
            }
            std::thread::sleep(interval);
        }
    }
}

fn make_durable(file: &File, since: &Oldest, state: &State) {
    if let Err(error) = file.sync_data() {
        state.failed.store(true, Ordering::Relaxed);
        tracing::error!(%error, "the spool cannot be made durable; nothing is accepted any more");
    }
    state.durable(since);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn how_long_it_took_is_told_from_the_oldest_of_each_type() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = WriterOptions {
            folder: folder.path().to_path_buf(),
            epoch: Epoch(7),
            segment_bytes: 1 << 20,
            fsync_interval: Duration::from_millis(1),
        };
        let writer = Writer::start(options, Arc::new(Tail::new(Epoch(7)))).expect("started");
        let now = clock::now_ns();
        let event = |data_type, seconds_ago: i64| Outgoing {
            data_type,
            received: UnixNanos(now - seconds_ago * 1_000_000_000),
            subject: "s".to_owned().into(),
            message_id: "id".into(),
            payload: "payload".into(),
        };
        let batch = vec![
            event(DataType::Trade, 7_200),
            event(DataType::Trade, 1),
            event(DataType::OrderBook, 3_600),
        ];
        let state = writer.state();
        writer.batches().send(batch).await.expect("taken");
        writer.finish().await;
        let hours = state.durable_after_longest();
        let hours: Vec<(DataType, u64)> = hours
            .map(|(data_type, took)| (data_type, took.as_secs() / 3_600))
            .collect();
        let of = |wanted| {
            hours
                .iter()
                .find(|(data_type, _)| *data_type == wanted)
                .map(|(_, hours)| *hours)
        };
        assert_eq!(of(DataType::Trade), Some(2), "not that of the newest");
        assert_eq!(of(DataType::OrderBook), Some(1));
        assert_eq!(of(DataType::FundingRate), Some(0), "nothing came of it");
    }
}
