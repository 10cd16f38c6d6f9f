//! Copying rows from table to table, of one server or of two. Unlike an insert of our own rows a copy may end half done: who
//! copies has to compare, and copies only what is missing.

use reqwest::{Body, Response};

use crate::fence::Source;
use crate::insert::Writing;
use crate::store::code_of;
use crate::{InsertError, Store, StoreError};

/// Bytes of one block on its way: what a copy takes of the server's memory is a few of these.
const BLOCK_BYTES: usize = 32 << 20;

/// A copy into a table.
#[derive(Clone, Debug)]
pub struct Copy<'a> {
    /// `database.table`.
    pub table: &'a str,
    /// The columns, in the order in which they are selected.
    pub columns: &'a str,
    /// The fence's generation.
    pub generation: u64,
    /// The SELECT that gives the rows.
    pub select: &'a str,
    /// About how many bytes a row has: blocks are cut by this.
    pub row_bytes: usize,
    /// How much of the machine it takes.
    pub pace: Pace,
}

/// How much of the machine a statement takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Two threads for a copy, and as many as there are cores for a question.
    Steady,
    /// One thread, which gives way to others where the server may let it (`CAP_SYS_NICE`).
    Gentle,
}

impl Pace {
    /// Returns the settings of a question at this pace.
    #[must_use]
    pub fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Steady => &[],
            Self::Gentle => &[("max_threads", "1"), ("os_threads_nice_value_query", "10")],
        }
    }

    fn of_copy(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Steady => &[("max_threads", "2")],
            Self::Gentle => self.settings(),
        }
    }
}

/// The rows of a query on their way, in ClickHouse's Native format.
#[derive(Debug)]
pub struct Rows(Response);

impl Copy<'_> {
    /// Settings that keep a copy's memory bounded, whatever its rows are.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let rows = (BLOCK_BYTES / self.row_bytes.max(1)).clamp(64, 65_536).to_string();
        let bounds = [
            ("max_block_size", rows),
            ("preferred_block_size_bytes", BLOCK_BYTES.to_string()),
            ("min_insert_block_size_bytes", BLOCK_BYTES.to_string()),
            // A month in another order may become as many days of as many exchanges.
            ("max_partitions_per_insert_block", "0".to_owned()),
        ];
        let pace = self.pace.of_copy().iter();
        bounds
            .into_iter()
            .chain(pace.map(|(name, value)| (*name, (*value).to_owned())))
            .collect()
    }
}

impl Store {
    /// Copies within this server. Returns how many rows it says it wrote, where it says that.
    ///
    /// # Errors
    /// See [`InsertError`]; some of the rows may be there all the same.
    pub async fn copy(&self, copy: &Copy<'_>) -> Result<Option<u64>, InsertError> {
        let source = Source::Select {
            columns: copy.columns,
            select: copy.select,
        };
        let writing = Writing {
            table: copy.table,
            generation: copy.generation,
            source,
            settings: &copy.settings(),
        };
        self.write(writing, None).await
    }

    /// Writes rows that another server gives. Nothing of them is held here.
    ///
    /// # Errors
    /// See [`InsertError`]; some of the rows may be there all the same.
    pub async fn copy_from(&self, copy: &Copy<'_>, rows: Rows) -> Result<Option<u64>, InsertError> {
        let source = Source::Data {
            columns: copy.columns,
            format: "Native",
        };
        let writing = Writing {
            table: copy.table,
            generation: copy.generation,
            source,
            settings: &copy.settings(),
        };
        // A stream that breaks breaks the request: what came until then is not taken for all of it.
        let rows = Body::wrap_stream(rows.0.bytes_stream());
        self.write(writing, Some(rows)).await
    }

    /// Begins to read a copy's rows.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn read(&self, copy: &Copy<'_>) -> Result<Rows, StoreError> {
        let sent = self
            .signed(self.http.post(&self.options.url))
            .query(&copy.settings())
            .timeout(self.options.insert_timeout)
            .body(format!("{} FORMAT Native", copy.select))
            .send()
            .await;
        let answer = sent.map_err(|e| self.unreachable(e))?;
        if answer.status().is_success() {
            return Ok(Rows(answer));
        }
        let message = answer.text().await.map_err(|e| self.unreachable(e))?;
        Err(StoreError::Exception {
            code: code_of(&message),
            message: message.trim().to_owned(),
        })
    }
}
