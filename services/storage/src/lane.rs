//! One table's writer: takes the table, has batches pulled, and stores them ([`crate::storing`]) while the table is its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mprism_bus::{Bus, DurableSpec, SubjectText};
use mprism_clickhouse::{InsertError, Store, StoreError};
use mprism_model::{DataType, Epoch};
use mprism_runtime::backoff::Backoff;
use mprism_runtime::lock::LockFile;
use mprism_runtime::log::chain;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::dead_letter::DeadLetter;
use crate::intake::{Intake, Pace};
use crate::marks::Marks;
use crate::room::Room;
use crate::settle::OwnIdentities;
use crate::stats::Stats;
use crate::writer::Writer;
use crate::{BatchOptions, StorageError, StorageOptions, tables};

/// How long a lane that was told to stop goes on trying to store what it holds.
const DRAIN_WITHIN: Duration = Duration::from_secs(8);

/// One table's writer.
pub(crate) struct Lane {
    pub(crate) data_type: DataType,
    pub(crate) table: String,
    pub(crate) durable: DurableSpec,
    batch: BatchOptions,
    room: Room,
    pub(crate) bus: Arc<Bus>,
    pub(crate) store: Store,
    /// Where rows are that have left.
    pub(crate) cold: Store,
    pub(crate) stats: Arc<Stats>,
    pub(crate) own: OwnIdentities,
    pub(crate) letters: mpsc::Sender<DeadLetter>,
    pub(crate) generation: u64,
    pub(crate) marks: Marks,
    /// When to give up, once told to stop.
    give_up: Option<Instant>,
    pub(crate) writer: Writer,
    /// The acks of the last batch, until they are confirmed.
    pub(crate) confirming: Option<JoinHandle<()>>,
}

/// Why the lane cannot store what it holds. It is not acked, so it comes again.
pub(crate) enum Stopped {
    /// It was told to stop and its time is over.
    GaveUp,
    /// Another writer may have the table.
    NotOurs,
}

impl Lane {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another thing that a lane shares with the others"
    )]
    pub(crate) fn new(
        data_type: DataType,
        durable: DurableSpec,
        options: &StorageOptions,
        bus: Arc<Bus>,
        (store, cold): (Store, Store),
        stats: Arc<Stats>,
        own_epoch: Epoch,
        room: Room,
        letters: mpsc::Sender<DeadLetter>,
    ) -> Result<Self, StorageError> {
        let lock = writer_lock(options, data_type.table())?;
        let path = lock_path(options, data_type.table());
        let (table, ttl) = (data_type.table(), options.lease_ttl);
        let writer = Writer::new(table, (lock, &path), ttl, Arc::clone(&bus), Arc::clone(&stats));
        Ok(Self {
            data_type,
            table: tables::full_name(data_type),
            durable,
            batch: options.batch.of(data_type),
            room,
            bus,
            store,
            cold,
            stats,
            own: OwnIdentities::new(Epoch(own_epoch.0 + data_type as u64)),
            letters,
            generation: 0,
            marks: Marks::default(),
            give_up: None,
            writer,
            confirming: None,
        })
    }

    /// Stores until `shutdown` is cancelled, then what is pulled.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), StorageError> {
        while !shutdown.is_cancelled() && self.become_writer(&shutdown).await.is_ok() {
            self.serve(&shutdown).await?;
        }
        if self.generation > 0 {
            self.store.release(&self.table, self.generation).await;
        }
        self.writer.release().await;
        Ok(())
    }

    /// Stores while the table is ours.
    async fn serve(&mut self, shutdown: &CancellationToken) -> Result<(), StorageError> {
        // One batch is pulled while another is written; none is begun before there is a place for it.
        let (sender, mut batches) = mpsc::channel(1);
        let pace = Pace::default();
        let ours = shutdown.child_token();
        let intake = Intake {
            data_type: self.data_type,
            bus: Arc::clone(&self.bus),
            durable: self.durable.clone(),
            options: self.batch,
            pace: pace.clone(),
            room: self.room.clone(),
            batches: sender,
            stats: Arc::clone(&self.stats),
        };
        let pulling = tokio::spawn(intake.run(ours.clone()));
        loop {
            let batch = tokio::select! {
                biased;
                () = self.writer.lost() => None,
                batch = batches.recv() => match batch {
                    Some(batch) => Some(batch),
                    None => break,
                },
            };
            let began = Instant::now();
            let stopped = match batch {
                Some(batch) => self.write(batch, shutdown).await.err(),
                None => Some(Stopped::NotOurs),
            };
            pace.wrote_within(began.elapsed());
            match stopped {
                None => {}
                Some(Stopped::GaveUp) => {
                    tracing::warn!(
                        table = self.table,
                        "stopped with messages that are not stored; they will come again"
                    );
                    break;
                }
                Some(Stopped::NotOurs) => {
                    tracing::warn!(
                        table = self.table,
                        "the table is not ours any more; what is not stored goes to whoever has it"
                    );
                    ours.cancel();
                    while let Some(batch) = batches.recv().await {
                        self.give_back(batch.replies()).await;
                    }
                    break;
                }
            }
        }
        // Whoever goes on with the table, or ends, leaves no ack behind that was not taken.
        self.confirmed().await;
        drop(batches);
        pulling.await.map_err(|panic| StorageError::Lane {
            table: self.data_type.table(),
            reason: panic.to_string(),
        })
    }

    /// Has messages delivered again at once, to whoever reads then; a message that cannot be given back comes after the ack wait.
    pub(crate) async fn give_back(&self, replies: impl Iterator<Item = SubjectText>) {
        for reply in replies {
            let _comes_later = self.bus.client().publish(reply, NAK).await;
        }
    }

    /// Takes the lease, raises the fence and reads the marks, for as long as it takes.
    async fn become_writer(&mut self, shutdown: &CancellationToken) -> Result<(), Stopped> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut logged = false;
        loop {
            let taken = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Err(Stopped::GaveUp),
                taken = self.writer.take() => taken,
            };
            let made = match taken {
                Ok(_) => self.try_become_writer().await.map_err(|error| chain(&error)),
                Err(error) => Err(chain(&error)),
            };
            match made {
                Ok(()) => {
                    tracing::info!(table = self.table, generation = self.generation, "writing");
                    self.stats.stored(self.data_type.table());
                    return Ok(());
                }
                Err(error) => {
                    self.stats.kept_from_writing(self.data_type.table(), &error);
                    if !logged {
                        logged = true;
                        tracing::warn!(table = self.table, error, "the table cannot be taken yet");
                    }
                }
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Err(Stopped::GaveUp),
                () = tokio::time::sleep(backoff.next_wait()) => {}
            }
        }
    }

    async fn try_become_writer(&mut self) -> Result<(), StoreError> {
        self.generation = self.store.fence(&self.table).await?;
        self.marks = tables::read_marks(&self.store, self.data_type).await?;
        Ok(())
    }

    /// Makes sure that no insert of ours runs any more, so that what is read back afterwards is the truth.
    pub(crate) async fn recover(
        &mut self,
        error: InsertError,
        backoff: &mut Backoff,
        shutdown: &CancellationToken,
    ) -> Result<(), Stopped> {
        self.stats.kept_from_storing(self.data_type.table(), &chain(&error));
        self.stats.retries.fetch_add(1, Ordering::Relaxed);
        self.stats.in_doubt.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(table = self.table, error = %chain(&error), "batch in doubt, reading back");
        self.pause(backoff, error.pause(), shutdown).await?;
        if !self.writer.may_write() {
            return Err(Stopped::NotOurs);
        }
        let mut was_anothers = false;
        loop {
            match self.take_again(&mut was_anothers).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.stats.error_now();
                    tracing::debug!(table = self.table, error = %chain(&error), "no fence yet");
                    self.pause(backoff, Duration::ZERO, shutdown).await?;
                }
            }
        }
    }

    /// Raises the fence. Where it is not the one right behind ours somebody else had the table, and what was written then is not in
    /// our marks: they are read anew. A server without fences of its own has generations that never follow each other.
    async fn take_again(&mut self, was_anothers: &mut bool) -> Result<(), StoreError> {
        let generation = self.store.fence(&self.table).await?;
        *was_anothers |= generation != self.generation + 1;
        self.generation = generation;
        if *was_anothers {
            self.marks = tables::read_marks(&self.store, self.data_type).await?;
        }
        Ok(())
    }

    /// Waits before the next try; gives up where the lane was told to stop and its time is over.
    pub(crate) async fn pause(
        &mut self,
        backoff: &mut Backoff,
        at_least: Duration,
        shutdown: &CancellationToken,
    ) -> Result<(), Stopped> {
        if shutdown.is_cancelled() {
            let give_up = *self.give_up.get_or_insert_with(|| Instant::now() + DRAIN_WITHIN);
            if Instant::now() >= give_up {
                return Err(Stopped::GaveUp);
            }
        }
        tokio::time::sleep(backoff.next_wait().max(at_least)).await;
        Ok(())
    }
}

const NAK: Bytes = Bytes::from_static(b"-NAK");

fn lock_path(options: &StorageOptions, table: &str) -> PathBuf {
    options.locks.join(format!("writer.{table}.lock"))
}

pub(crate) fn writer_lock(options: &StorageOptions, table: &str) -> Result<LockFile, StorageError> {
    LockFile::acquire(&lock_path(options, table)).map_err(|source| StorageError::Writer {
        table: table.to_owned(),
        source,
    })
}
