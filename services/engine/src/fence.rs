//! One writer a table: an insert of an earlier writer's life is refused, however late it is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::exception::{Exception, FENCED};

/// The generations of all fenced tables, and the inserts running into them.
#[derive(Debug)]
pub(crate) struct Fences {
    tables: Mutex<HashMap<String, TableFence>>,
    changed: Notify,
    /// Engine start in milliseconds × 2¹⁶: generations of a later life are above all earlier ones.
    base: u64,
}

#[derive(Debug, Default)]
struct TableFence {
    generation: u64,
    running: usize,
    held: bool,
}

/// Who an insert says it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserter {
    /// A writer of this generation.
    Writer(u64),
    /// The operator, who may write where no writer is.
    Operator,
    /// Anybody else with the writer's credential.
    Other,
}

/// A running insert; the fence waits for its end.
#[derive(Debug)]
pub(crate) struct Running {
    fences: Arc<Fences>,
    table: String,
}

impl Fences {
    pub(crate) fn new(engine_start_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            tables: Mutex::default(),
            changed: Notify::new(),
            base: engine_start_ms << 16,
        })
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<String, TableFence>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Raises a table's generation and returns it once no earlier insert runs any more. Cancel safe: the generation stays
    /// raised.
    pub(crate) async fn raise(&self, table: &str) -> u64 {
        let generation = {
            let mut tables = self.tables();
            let fence = tables.entry(table.to_owned()).or_default();
            fence.generation = fence.generation.max(self.base) + 1;
            fence.held = true;
            fence.generation
        };
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the check, so that an end in between is not missed.
            changed.as_mut().enable();
            if self.tables().get(table).is_none_or(|fence| fence.running == 0) {
                return generation;
            }
            changed.await;
        }
    }

    /// Gives a table up, if `generation` is still the newest; operators may then write into it.
    pub(crate) fn release(&self, table: &str, generation: u64) -> bool {
        let mut tables = self.tables();
        match tables.get_mut(table) {
            Some(fence) if fence.generation == generation => {
                fence.held = false;
                true
            }
            _ => false,
        }
    }

    /// Admits an insert or refuses it. From here until the guard drops, a fence waits for it.
    pub(crate) fn begin(self: &Arc<Self>, table: &str, inserter: Inserter) -> Result<Running, Exception> {
        let mut tables = self.tables();
        let refuse = |why: String| Err(Exception::new(FENCED, &why, "FENCED"));
        match (tables.get(table), inserter) {
            (None, Inserter::Writer(_)) => {
                return refuse(format!("Table {table} was not fenced since the engine started"));
            }
            (Some(fence), Inserter::Writer(generation)) if generation != fence.generation => {
                let newest = fence.generation;
                return refuse(format!(
                    "Table {table} belongs to generation {newest}, this is {generation}"
                ));
            }
            (Some(fence), Inserter::Operator) if fence.held => {
                return refuse(format!(
                    "Table {table} is held by its writer; stop it first (`mprism stop hot`)"
                ));
            }
            (Some(_), Inserter::Other) => {
                return refuse(format!("Table {table} takes inserts of its writer only"));
            }
            _ => {}
        }
        tables
            .entry(table.to_owned())
            .or_insert_with(|| TableFence {
                generation: 0,
                ..TableFence::default()
            })
            .running += 1;
        Ok(Running {
            fences: Arc::clone(self),
            table: table.to_owned(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut tables = self.fences.tables();
        if let Some(fence) = tables.get_mut(&self.table) {
            fence.running -= 1;
            if fence.running == 0 && fence.generation == 0 {
                // Never fenced: forgotten again, so that it stays an ordinary table.
                tables.remove(&self.table);
            }
        }
        drop(tables);
        self.fences.changed.notify_waiters();
    }
}

/// Reads the generation from a writer's `log_comment`: `mp-<table>-<generation>-<uuid>`.
pub(crate) fn generation_of(comment: &str, table: &str) -> Option<u64> {
    comment
        .strip_prefix("mp-")?
        .strip_prefix(table)?
        .strip_prefix('-')?
        .split('-')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_newest_generation_inserts() {
        let fences = Fences::new(1_000);
        assert!(
            fences.begin("d.t", Inserter::Writer(1)).is_err(),
            "no commented insert before a fence"
        );
        assert!(fences.begin("d.t", Inserter::Other).is_ok(), "an ordinary table");
        let first = fences.raise("d.t").await;
        assert!(first > 1_000 << 16);
        drop(fences.begin("d.t", Inserter::Writer(first)).expect("the newest"));
        assert!(fences.begin("d.t", Inserter::Other).is_err());
        assert!(fences.begin("d.t", Inserter::Operator).is_err(), "held");
        let second = fences.raise("d.t").await;
        assert!(second > first);
        assert!(fences.begin("d.t", Inserter::Writer(first)).is_err());
        assert!(!fences.release("d.t", first), "not the newest");
        assert!(fences.release("d.t", second));
        assert!(fences.begin("d.t", Inserter::Operator).is_ok());
    }

    #[tokio::test]
    async fn a_fence_waits_for_running_inserts() {
        let fences = Fences::new(1);
        let generation = fences.raise("d.t").await;
        let running = fences.begin("d.t", Inserter::Writer(generation)).expect("the newest");
        let raised = tokio::spawn({
            let fences = Arc::clone(&fences);
            async move { fences.raise("d.t").await }
        });
        while fences.begin("d.t", Inserter::Writer(generation)).is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(
            !raised.is_finished(),
            "the generation is raised, the old insert still runs"
        );
        drop(running);
        assert_eq!(raised.await.expect("no panic"), generation + 1);
    }

    #[test]
    fn a_comment_names_table_and_generation() {
        assert_eq!(generation_of("mp-d.t-17-6f9619ff-8b86", "d.t"), Some(17));
        for comment in ["mp-d.u-17-x", "mp-d.t-x-17", "d.t-17", "", "mp-d.t17-"] {
            assert_eq!(generation_of(comment, "d.t"), None, "{comment}");
        }
    }
}
