//! Running statements: one connection a request, judged before it runs.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access::{Access, Role};
use crate::chdb::{Connection, Engine, Summary, literal};
use crate::clause;
use crate::exception::Exception;
use crate::fence::{Fences, Inserter, generation_of};
use crate::judge::Statement;
use crate::queries::{Queries, Query, Running};
use crate::request::Request;
use crate::sessions::{Entered, Sessions};
use crate::statement::Kind;
use crate::{EngineError, EngineOptions};

/// The open engine and everything that bounds its use.
pub(crate) struct Executor {
    pub(crate) engine: Arc<Engine>,
    pub(crate) options: EngineOptions,
    pub(crate) access: Access,
    pub(crate) fences: Arc<Fences>,
    pub(crate) readers: Arc<Semaphore>,
    pub(crate) writers: Arc<Semaphore>,
    /// Places for bodies whose content encoding is undone, of readers and of writers: each takes a thread.
    pub(crate) reader_decoders: Arc<Semaphore>,
    pub(crate) writer_decoders: Arc<Semaphore>,
    pub(crate) queries: Arc<Queries>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) table_functions: Vec<String>,
    pub(crate) judged: Mutex<HashMap<String, Statement>>,
    /// Held open so that the data stays open between requests.
    _first: Mutex<Connection>,
}

/// Everything that a statement needs to run, held until it has ended.
pub(crate) struct Job {
    pub(crate) asked: Arc<Request>,
    /// What may be done here: a GET of the writer may only read.
    pub(crate) rights: Role,
    pub(crate) statement: Statement,
    /// The comment by which the library's own list of processes finds it.
    pub(crate) mark: String,
    pub(crate) session: Option<Entered>,
    pub(crate) _running: Running,
    /// Freed when the statement has ended, not when its client has gone.
    pub(crate) _slot: OwnedSemaphorePermit,
}

/// An insert of more bytes than this is cut into smaller blocks than the library's own, which cost a gigabyte of memory.
const LARGE_INSERT_BYTES: u64 = 256 << 20;
const SMALL_BLOCKS: &str = "min_insert_block_size_bytes = 67108864";
/// Bodies decoded at once, of each role.
const DECODERS_MAX: usize = 8;

impl Executor {
    /// Opens the data. Blocks.
    pub(crate) fn open(options: EngineOptions) -> Result<Self, EngineError> {
        let engine = Engine::load(&options.library, &options.data)?;
        let mut first = engine.connect()?;
        let broken = |e: Exception| EngineError::Broken(e.body());
        let list = "SELECT arrayStringConcat(groupArray(lower(name)), ',') FROM system.table_functions";
        let functions = first.text(list).map_err(broken)?;
        let table_functions: Vec<String> = functions.trim().split(',').map(str::to_owned).collect();
        if !table_functions.iter().any(|name| name == "url") {
            return Err(EngineError::Broken(
                "the engine does not list its table functions".into(),
            ));
        }
        let started = u64::try_from(mprism_runtime::clock::now_ms()).unwrap_or(0);
        Ok(Self {
            engine,
            access: Access {
                user: options.writer_user.clone(),
                password: options.writer_password.clone(),
                hosts: options.allowed_hosts.clone(),
                reader_password: options.remote.as_ref().map(|remote| remote.reader_password.clone()),
            },
            fences: Fences::new(started),
            readers: Arc::new(Semaphore::new(options.readers_max)),
            writers: Arc::new(Semaphore::new(options.writers_max)),
            reader_decoders: Arc::new(Semaphore::new(DECODERS_MAX)),
            writer_decoders: Arc::new(Semaphore::new(DECODERS_MAX)),
            queries: Arc::default(),
            sessions: Arc::default(),
            options,
            table_functions,
            judged: Mutex::default(),
            _first: Mutex::new(first),
        })
    }

    /// Runs a SELECT and writes its answer into `out`, the writing end of a pipe. Blocks until the reading end took all
    /// of it or is closed.
    ///
    /// The engine itself writes the file: formats with a head or a foot come out whole, and memory stays constant.
    pub(crate) fn select(&self, mut job: Job, out: OwnedFd) -> Result<Summary, Exception> {
        self.on_connection(&mut job, |executor, connection, job| {
            let format = executor.format(&job.asked);
            let target = format!("INTO OUTFILE '/proc/self/fd/{}' TRUNCATE", out.as_raw_fd());
            let text = clause::with_output(&job.statement.text, &target, &format);
            connection
                .run(&format!("{} {text}", job.mark), "Null")
                .map(|(_, summary)| summary)
        })
    }

    /// Tells the statement that wears `mark` to end, and does not wait for it: that would last until its connection is
    /// closed. Blocks.
    pub(crate) fn kill(&self, mark: &str) -> Result<(), Exception> {
        let text = format!("KILL QUERY WHERE startsWith(query, {}) ASYNC", literal(mark));
        self.open_one()?.run(&text, "Null").map(|_| ())
    }

    /// Returns how far the statement that wears `mark` has come, or `None` where it does not run. Blocks.
    pub(crate) fn progress(&self, mark: &str) -> Result<Option<Summary>, Exception> {
        let text = format!(
            "SELECT read_rows, read_bytes, written_rows, written_bytes, total_rows_approx, toUInt64(elapsed * 1e9),
             toUInt64(greatest(memory_usage, 0)) FROM system.processes WHERE startsWith(query, {})",
            literal(mark)
        );
        let (bytes, _) = self.open_one()?.run(&text, "TabSeparated")?;
        let text = String::from_utf8_lossy(&bytes);
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let &[
            read_rows,
            read_bytes,
            written_rows,
            written_bytes,
            total_rows_to_read,
            elapsed_ns,
            memory_usage,
        ] = numbers.as_slice()
        else {
            return Ok(None);
        };
        Ok(Some(Summary {
            read_rows,
            read_bytes,
            written_rows,
            written_bytes,
            total_rows_to_read,
            elapsed_ns,
            memory_usage,
            ..Summary::default()
        }))
    }

    /// Runs a statement with a small answer, or none. Blocks.
    pub(crate) fn small(&self, mut job: Job) -> Result<(Vec<u8>, Summary), Exception> {
        let outcome = self.on_connection(&mut job, |executor, connection, job| {
            let request = &job.asked;
            let _running = match &job.statement.kind {
                Kind::InsertSelect(table) => executor.admit(request, table)?,
                _ => None,
            };
            let text = match &job.statement.kind {
                // A comment before these would not be one.
                Kind::Set(_) | Kind::Use(_) => job.statement.text.clone(),
                _ => format!("{} {}", job.mark, job.statement.text),
            };
            connection.run(&text, &executor.format(request))
        })?;
        if let Some(entered) = &mut job.session {
            match &job.statement.kind {
                Kind::Set(assignments) => entered.session.set(assignments)?,
                Kind::Use(database) => entered.session.database = Some(database.clone()),
                _ => {}
            }
        }
        Ok(outcome)
    }

    /// Runs an INSERT with `length` bytes of data. Blocks.
    pub(crate) fn insert(&self, mut job: Job, data: &File, length: u64) -> Result<Summary, Exception> {
        let (Kind::InsertData(table) | Kind::InsertInput(table)) = job.statement.kind.clone() else {
            return Err(Exception::new(49, "Not an insert with data", "LOGICAL_ERROR"));
        };
        self.on_connection(&mut job, |executor, connection, job| {
            let request = &job.asked;
            // Here and not earlier: an insert that is read late meets the fence of a later writer.
            let _running = executor.admit(request, &table)?;
            let inserter = executor.inserter(request, &table);
            // A writer's insert stays one part; anybody else's of this size would be several anyway.
            if length > LARGE_INSERT_BYTES && !matches!(inserter, Inserter::Writer(_)) {
                connection.run(&format!("SET {SMALL_BLOCKS}"), "Null")?;
            }
            let file = format!("/proc/self/fd/{}", data.as_raw_fd());
            let text = match &job.statement.kind {
                Kind::InsertInput(_) => clause::with_file(&job.statement.text, &file)?,
                _ => clause::with_input(&job.statement.text, &format!("FROM INFILE '{file}'")),
            };
            connection
                .run(&format!("{} {text}", job.mark), "Null")
                .map(|(_, summary)| Summary {
                    result_rows: summary.written_rows,
                    result_bytes: summary.written_bytes,
                    ..summary
                })
        })
    }

    /// Returns what `KILL QUERY` says: a row for each of `queries`. Blocks.
    pub(crate) fn killed(
        &self,
        request: &Request,
        format: &str,
        queries: &[Query],
        status: Option<&str>,
    ) -> Result<Vec<u8>, Exception> {
        let row = |query: &Query| {
            let values = [status.unwrap_or(""), &query.id, &query.user, &query.text];
            format!("({})", values.map(literal).join(", "))
        };
        let rows: Vec<String> = queries.iter().map(row).collect();
        let columns = if status.is_some() { "*" } else { "* EXCEPT kill_status" };
        let (rows, condition) = match rows.is_empty() {
            true => ("('', '', '', '')".to_owned(), " WHERE 0"),
            false => (rows.join(", "), ""),
        };
        let names = "'kill_status String, query_id String, user String, query String'";
        let text = format!("SELECT {columns} FROM values({names}, {rows}){condition}");
        self.connect(request)?.run(&text, format).map(|(bytes, _)| bytes)
    }

    /// Returns the format of an answer whose statement names none.
    pub(crate) fn format(&self, request: &Request) -> String {
        let asked = request
            .default_format
            .as_deref()
            .filter(|f| f.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        asked.unwrap_or("TabSeparated").to_owned()
    }

    fn qualified(&self, request: &Request, table: &str) -> String {
        if table.contains('.') {
            return table.to_owned();
        }
        format!("{}.{table}", request.database.as_deref().unwrap_or("default"))
    }

    /// Admits an insert, or refuses it where somebody else has the table.
    fn admit(&self, request: &Request, table: &str) -> Result<Option<crate::fence::Running>, Exception> {
        if !self.options.fences {
            return Ok(None);
        }
        let inserter = self.inserter(request, table);
        self.fences.begin(&self.qualified(request, table), inserter).map(Some)
    }

    fn inserter(&self, request: &Request, table: &str) -> Inserter {
        let table = self.qualified(request, table);
        if request.operator {
            return Inserter::Operator;
        }
        let comment = request.setting("log_comment");
        comment
            .and_then(|comment| generation_of(comment, &table))
            .map_or(Inserter::Other, Inserter::Writer)
    }
}
