//! Running statements: one connection a request, judged before it runs.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::access::{Access, Role};
use crate::chdb::{Connection, Engine, Summary, escape_parameter, literal};
use crate::exception::Exception;
use crate::fence::{Fences, Inserter, generation_of};
use crate::request::Request;
use crate::statement::{self, Kind};
use crate::{EngineError, EngineOptions};

/// The open engine and everything that bounds its use.
pub(crate) struct Executor {
    engine: Arc<Engine>,
    pub(crate) options: EngineOptions,
    pub(crate) access: Access,
    pub(crate) fences: Arc<Fences>,
    pub(crate) readers: Arc<Semaphore>,
    pub(crate) writers: Arc<Semaphore>,
    table_functions: Vec<String>,
    judged: Mutex<HashMap<String, Statement>>,
    /// Held open so that the data stays open between requests.
    _first: Mutex<Connection>,
}

/// A judged statement: the engine's own text of it, and what it is.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

/// Judged statements remembered: a writer sends the same few again and again.
const JUDGED_MAX: usize = 256;
/// The parameter that carries a client's text to be normalised.
const TEXT_PARAMETER: &str = "mprism_statement_text";

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
            },
            fences: Fences::new(started),
            readers: Arc::new(Semaphore::new(options.readers_max)),
            writers: Arc::new(Semaphore::new(options.writers_max)),
            options,
            table_functions,
            judged: Mutex::default(),
            _first: Mutex::new(first),
        })
    }

    /// Opens a connection with a request's parameters bound. Blocks.
    fn connect(&self, request: &Request) -> Result<Connection, Exception> {
        let opened = self.engine.connect();
        let mut connection = opened.map_err(|e| Exception::new(210, &e.to_string(), "NETWORK_ERROR"))?;
        for (name, value) in &request.parameters {
            connection.run(&format!("SET param_{name} = {}", literal(value)), "Null")?;
        }
        Ok(connection)
    }

    /// Decides what `text` is and whether `role` may run it. Blocks.
    pub(crate) fn judge(&self, request: &Request, role: Role, text: &str) -> Result<Statement, Exception> {
        let known = self
            .judged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(text)
            .cloned();
        let statement = match known {
            Some(statement) => statement,
            None => self.judge_anew(request, text)?,
        };
        if role == Role::Reader && !statement.kind.is_read() {
            return Err(Exception::readonly("Cannot execute query in readonly mode"));
        }
        Ok(statement)
    }

    fn judge_anew(&self, request: &Request, text: &str) -> Result<Statement, Exception> {
        let mut connection = self.connect(request)?;
        let bound = literal(&escape_parameter(text));
        connection.run(&format!("SET param_{TEXT_PARAMETER} = {bound}"), "Null")?;
        let normalised = connection.text(&format!("SELECT formatQuerySingleLine({{{TEXT_PARAMETER}:String}})"))?;
        let (ast, _) = connection.run(&format!("EXPLAIN AST {normalised}"), "TSVRaw")?;
        let kind = statement::judge(&normalised, &String::from_utf8_lossy(&ast), &self.table_functions)?;
        let statement = Statement { text: normalised, kind };
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.len() >= JUDGED_MAX {
            judged.clear();
        }
        judged.insert(text.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Opens a connection that has the role's rights and the request's settings. Blocks.
    ///
    /// A `mark` takes the place of the client's own `log_comment`, so that nobody can wear another's.
    fn session(
        &self,
        request: &Request,
        role: Role,
        read_only: bool,
        mark: Option<&str>,
    ) -> Result<Connection, Exception> {
        let mut connection = self.connect(request)?;
        if let Some(database) = &request.database {
            connection.run(
                &format!("USE `{}`", database.replace('\\', "\\\\").replace('`', "\\`")),
                "Null",
            )?;
        }
        // The library's own default loses acknowledged rows.
        connection.run("SET async_insert = 0", "Null")?;
        if role == Role::Reader && request.setting("max_execution_time").is_none() {
            connection.run("SET max_execution_time = 300", "Null")?;
        }
        for (name, value) in request.settings_for(role)? {
            connection.run(&format!("SET {name} = {}", literal(value)), "Null")?;
        }
        if let Some(mark) = mark {
            connection.run(&format!("SET log_comment = {}", literal(mark)), "Null")?;
        }
        if role == Role::Reader || read_only {
            connection.run("SET readonly = 1", "Null")?;
        }
        Ok(connection)
    }

    /// Runs a SELECT and writes its answer into `out`, the writing end of a pipe. Blocks until the reading end took all
    /// of it or is closed.
    ///
    /// The engine itself writes the file: formats with a head or a foot come out whole, and memory stays constant.
    pub(crate) fn select(
        &self,
        request: &Request,
        role: Role,
        statement: &Statement,
        out: OwnedFd,
        mark: &str,
    ) -> Result<(), Exception> {
        let mut connection = self.session(request, role, true, Some(mark))?;
        let format = self.format(request);
        let target = format!("INTO OUTFILE '/proc/self/fd/{}' TRUNCATE", out.as_raw_fd());
        let text = statement::with_output(&statement.text, &target, &format);
        connection.run(&text, "Null").map(|_| ())
    }

    /// Tells the statement that wears `mark` to end, and does not wait for it: that would last until its connection is
    /// closed. Blocks.
    pub(crate) fn kill(&self, mark: &str) -> Result<(), Exception> {
        let mut connection = self.connect(&Request::default())?;
        let marked = format!("KILL QUERY WHERE Settings['log_comment'] = {} ASYNC", literal(mark));
        connection.run(&marked, "Null").map(|_| ())
    }

    /// Runs a statement with a small answer, or none. Blocks.
    pub(crate) fn small(
        &self,
        request: &Request,
        role: Role,
        statement: &Statement,
    ) -> Result<(Vec<u8>, Summary), Exception> {
        let mut connection = self.session(request, role, false, None)?;
        let _running = match &statement.kind {
            Kind::InsertSelect(table) => Some(
                self.fences
                    .begin(&self.qualified(request, table), self.inserter(request, table))?,
            ),
            _ => None,
        };
        connection.run(&statement.text, &self.format(request))
    }

    /// Runs an INSERT with data. Blocks.
    pub(crate) fn insert(&self, request: &Request, statement: &Statement, data: &File) -> Result<Summary, Exception> {
        let Kind::InsertData(table) = &statement.kind else {
            return Err(Exception::new(49, "Not an insert with data", "LOGICAL_ERROR"));
        };
        let mut connection = self.session(request, Role::Writer, false, None)?;
        // Here and not earlier: an insert that is read late meets the fence of a later writer.
        let _running = self
            .fences
            .begin(&self.qualified(request, table), self.inserter(request, table))?;
        let text = statement::with_input(
            &statement.text,
            &format!("FROM INFILE '/proc/self/fd/{}'", data.as_raw_fd()),
        );
        connection.run(&text, "Null").map(|(_, summary)| summary)
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

/// Makes a file in memory for the data of an insert.
pub(crate) fn memory_file() -> Result<File, Exception> {
    let made = rustix::fs::memfd_create("insert", rustix::fs::MemfdFlags::CLOEXEC);
    made.map(File::from)
        .map_err(|e| Exception::new(76, &e.to_string(), "CANNOT_OPEN_FILE"))
}

/// Appends to an insert's data.
pub(crate) fn append(file: &mut File, bytes: &[u8]) -> Result<(), Exception> {
    file.write_all(bytes)
        .map_err(|e| Exception::new(75, &e.to_string(), "CANNOT_WRITE_TO_FILE_DESCRIPTOR"))
}
