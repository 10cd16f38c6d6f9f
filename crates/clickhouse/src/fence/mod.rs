//! Fences: from the moment that one is raised no insert of an earlier writer runs into the table, and none can ever begin.
//!
//! A writer that was killed leaves inserts behind that still run, and requests that the server has not even read. Its successor
//! reads what is stored and inserts what is missing; an insert that lands after that look would double rows. mprism's engine keeps
//! such inserts out itself ([`engine`]). ClickHouse's own server has nothing of the kind, and is made to with what it has ([`server`]).

mod engine;
mod guard;
mod server;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::StoreError;
use crate::{InsertError, Store};

pub(crate) use guard::{REFUSED, Source};

/// What keeps late inserts out of a store's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceKeeper {
    /// mprism's engine: it knows the generation of each table and refuses every other one.
    Engine,
    /// A table of generations, which every insert looks into as it begins: ClickHouse's own server.
    Table,
}

/// What is known of how a store is fenced; all clients of one [`Store`] share it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    keeper: Option<FenceKeeper>,
    /// The columns of tables, as [`server`] read them since the last fence.
    columns: HashMap<String, Arc<guard::Columns>>,
}

impl Known {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Raises the fence of a table (`database.table`): returns its generation once no insert of an earlier one runs or can ever begin.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn fence(&self, table: &str) -> Result<u64, StoreError> {
        // Asked every time: another server may answer at this address by now.
        match self.raise_in_engine(table).await? {
            Some(generation) => {
                self.known.state().keeper = Some(FenceKeeper::Engine);
                Ok(generation)
            }
            None => {
                self.known.state().keeper = Some(FenceKeeper::Table);
                self.raise_in_table(table).await
            }
        }
    }

    /// Gives a table up, so that the operator may write to it by hand. Failing to is harmless.
    pub async fn release(&self, table: &str, generation: u64) {
        // A server keeps nobody's hands off; its generation stays, so that what is late stays out.
        if self.known.state().keeper != Some(FenceKeeper::Table) {
            self.release_in_engine(table, generation).await;
        }
    }

    /// Returns what keeps late inserts out.
    ///
    /// # Errors
    /// Where the server does not answer, and nothing is known yet.
    pub async fn fence_keeper(&self) -> Result<FenceKeeper, StoreError> {
        if let Some(keeper) = self.known.state().keeper {
            return Ok(keeper);
        }
        let keeper = match self.has_fences().await? {
            true => FenceKeeper::Engine,
            false => FenceKeeper::Table,
        };
        self.known.state().keeper = Some(keeper);
        Ok(keeper)
    }

    /// Returns the statement of an insert that no server lets begin once another fence was raised.
    pub(crate) async fn fenced_statement(
        &self,
        table: &str,
        source: &Source<'_>,
        generation: u64,
    ) -> Result<String, InsertError> {
        // Nothing was sent, so nothing is in doubt.
        let failed = |error: StoreError| InsertError::Failed {
            table: table.to_owned(),
            code: 0,
            message: mprism_runtime::log::chain(&error),
        };
        match self.fence_keeper().await.map_err(failed)? {
            FenceKeeper::Engine => Ok(guard::plain(table, source)),
            // Nobody's. A table that was never fenced would take it.
            FenceKeeper::Table if generation == 0 => Err(InsertError::Fenced {
                table: table.to_owned(),
            }),
            FenceKeeper::Table => {
                let columns = self.columns_of(table).await.map_err(failed)?;
                guard::guarded(table, source, &columns, generation).map_err(|column| InsertError::Failed {
                    table: table.to_owned(),
                    code: 0,
                    message: format!("the table has no column {column}"),
                })
            }
        }
    }
}
