//! Fences on ClickHouse's own server, made of what every server has: a table of generations, and its list of what runs.
//!
//! 1. A new generation, above all earlier ones, is written into the table.
//! 2. What runs of earlier ones is waited for, and killed if it takes long.
//!
//! Every insert looks into the table as it begins and fails where its own generation is not the newest ([`super::guard`]). A server
//! puts a statement on its list of what runs before it looks at anything that the statement names (ClickHouse
//! `src/Interpreters/executeQuery.cpp`: `ProcessList::insert` comes before the interpreter is made, which evaluates scalar subqueries).
//! So of an earlier insert there are two kinds when step 1 is done: either it has looked already, then it is on the list, and step 2 sees
//! its end; or it has not, then it finds the new generation, whenever it is read: from a socket, a proxy or a network that was away for an
//! hour. Nothing has to be waited for that nobody can see, so no timeout of the server is in the argument.
//!
//! It holds on one server: replicas would see each other's generations late.

use std::sync::Arc;
use std::time::Duration;

use clickhouse::Row;
use serde::Deserialize;
use tokio::time::Instant;

use super::guard::{Columns, GENERATIONS, quoted};
use crate::{Store, StoreError};

/// Inserts that run are given this long to end by themselves: killing one makes its writer read back all that it holds.
const KILL_AFTER: Duration = Duration::from_secs(1);
/// Between two looks at what runs.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a user needs for each step, as it is granted.
const GRANT_GENERATIONS: &str = "CREATE DATABASE, CREATE TABLE, SELECT, INSERT ON marketprism_fences.*";
const GRANT_LIST: &str = "SELECT ON system.processes";
const GRANT_KILL: &str = "KILL QUERY ON *.*";
const GRANT_COLUMNS: &str = "SELECT ON system.columns";

#[derive(Row, Deserialize)]
struct ColumnRow {
    name: String,
    r#type: String,
}

impl Store {
    /// Raises a table's fence, within the time that a fence may take.
    pub(super) async fn raise_in_table(&self, table: &str) -> Result<u64, StoreError> {
        let deadline = Instant::now() + self.options.fence_timeout;
        self.known.state().columns.remove(table);
        let generation = self.claim(table).await?;
        self.end_earlier(table, generation, deadline).await?;
        Ok(generation)
    }

    /// Writes a generation that nobody else has, above all that there are.
    async fn claim(&self, table: &str) -> Result<u64, StoreError> {
        let table = quoted(table);
        loop {
            let last = self.newest(&table).await?;
            let generation = next_generation(last, mprism_runtime::clock::now_ms(), rand::random());
            let statement = format!(
                "INSERT INTO {GENERATIONS} (table, generation) SETTINGS async_insert = 0, insert_deduplicate = 0 \
                 VALUES ({table}, {generation})"
            );
            self.execute(&statement)
                .await
                .map_err(|e| self.not_granted(e, GRANT_GENERATIONS))?;
            let query =
                format!("SELECT count() FROM {GENERATIONS} WHERE table = {table} AND generation = {generation}");
            // Somebody else's may be the same by chance. Who wrote last sees both, so at most one keeps it.
            if self.fetch_one::<u64>(&query).await? == 1 {
                return Ok(generation);
            }
        }
    }

    /// Returns the newest generation of a table, 0 where there is none; makes the table of generations where it is missing.
    async fn newest(&self, table: &str) -> Result<u64, StoreError> {
        let query = format!("SELECT max(generation) FROM {GENERATIONS} WHERE table = {table}");
        let error = match self.fetch_one::<u64>(&query).await {
            Ok(generation) => return Ok(generation),
            Err(error) => error,
        };
        if !error.is_missing_table() {
            return Err(self.not_granted(error, GRANT_GENERATIONS));
        }
        let database = GENERATIONS.split('.').next().unwrap_or(GENERATIONS);
        // As durable as the rows that it keeps out.
        for statement in [
            format!("CREATE DATABASE IF NOT EXISTS {database}"),
            format!(
                "CREATE TABLE IF NOT EXISTS {GENERATIONS} (table String, generation UInt64, raised_at DateTime64(3, 'UTC') DEFAULT \
                 now64(3)) ENGINE = MergeTree ORDER BY (table, generation) \
                 SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
            ),
        ] {
            self.execute(&statement)
                .await
                .map_err(|e| self.not_granted(e, GRANT_GENERATIONS))?;
        }
        self.fetch_one::<u64>(&query).await
    }

    /// Waits until nothing of an earlier generation runs; what takes long is killed.
    async fn end_earlier(&self, table: &str, generation: u64, deadline: Instant) -> Result<(), StoreError> {
        let begin = quoted(&format!("mp-{table}-"));
        let of_table = format!("startsWith(Settings['log_comment'], {begin})");
        // Later ones are nobody's to wait for: they have taken the table from us.
        let query = format!(
            "SELECT query_id FROM system.processes WHERE {of_table} AND \
             toUInt64OrZero(splitByChar('-', substring(Settings['log_comment'], length({begin}) + 1))[1]) < {generation}"
        );
        let kill_at = Instant::now() + KILL_AFTER;
        loop {
            let running = self.fetch_all::<String>(&query).await;
            let running = running.map_err(|e| self.not_granted(e, GRANT_LIST))?;
            let Some(first) = running.into_iter().next() else {
                return Ok(());
            };
            let now = Instant::now();
            if now >= deadline {
                return Err(StoreError::StillRuns {
                    url: self.options.url.clone(),
                    table: table.to_owned(),
                    query: first,
                });
            }
            if now >= kill_at {
                // Told again each time: one that had only begun when it was told first may not have heard it.
                self.execute(&format!("KILL QUERY WHERE {of_table} ASYNC"))
                    .await
                    .map_err(|e| self.not_granted(e, GRANT_KILL))?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Returns the types of a table's columns: what comes with a guarded insert has to say them.
    pub(super) async fn columns_of(&self, table: &str) -> Result<Arc<Columns>, StoreError> {
        if let Some(columns) = self.known.state().columns.get(table) {
            return Ok(Arc::clone(columns));
        }
        let (database, name) = table.split_once('.').unwrap_or(("default", table));
        let query = format!(
            "SELECT name, type FROM system.columns WHERE database = {} AND table = {}",
            quoted(database),
            quoted(name)
        );
        let rows = self.fetch_all::<ColumnRow>(&query).await;
        let rows = rows.map_err(|e| self.not_granted(e, GRANT_COLUMNS))?;
        let columns: Columns = rows.into_iter().map(|row| (row.name, row.r#type)).collect();
        let columns = Arc::new(columns);
        let mut state = self.known.state();
        state.columns.insert(table.to_owned(), Arc::clone(&columns));
        Ok(columns)
    }

    /// Says what to grant where the server refused because the user may not.
    fn not_granted(&self, error: StoreError, grant: &'static str) -> StoreError {
        match error {
            // ACCESS_DENIED and READONLY of ClickHouse `src/Common/ErrorCodes.cpp`.
            StoreError::Exception {
                code: 497 | 164,
                message,
            } => StoreError::NotGranted {
                url: self.options.url.clone(),
                user: self.options.user.clone(),
                grant,
                message,
            },
            other => other,
        }
    }
}

/// Returns a generation above the last one. Its upper bits are a time, so that one that was lost with a disk is never given again; the
/// lower 16 are random, so that two writers seldom choose the same.
fn next_generation(last: u64, now_ms: i64, random: u16) -> u64 {
    let by_time = u64::try_from(now_ms).unwrap_or(0) << 16 | u64::from(random);
    by_time.max(last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_rise_even_where_the_clock_does_not() {
        let first = next_generation(0, 1_700_000_000_000, 9);
        assert_eq!(first, 1_700_000_000_000 << 16 | 9);
        assert_eq!(
            next_generation(first, 1_600_000_000_000, 9),
            first + 1,
            "a clock that was set back"
        );
        assert!(next_generation(first, 1_700_000_000_001, 0) > first);
    }
}
