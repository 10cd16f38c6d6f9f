//! Connections of the library: given a job's settings and rights, and taken back where they stay open.

use crate::access::Role;
use crate::chdb::{Connection, literal};
use crate::exception::Exception;
use crate::execute::{Executor, Job};
use crate::request::Request;
use crate::statement::Kind;

/// How long a reader's statement may run where it does not say so itself, in seconds.
const READER_SECONDS_MAX: u32 = 300;

impl Executor {
    /// Opens a connection with a request's parameters bound. Blocks.
    pub(crate) fn connect(&self, request: &Request) -> Result<Connection, Exception> {
        let mut connection = self.open_one()?;
        bind(&mut connection, request)?;
        Ok(connection)
    }

    pub(crate) fn open_one(&self) -> Result<Connection, Exception> {
        let opened = self.engine.connect();
        opened.map_err(|e| Exception::new(210, &e.to_string(), "NETWORK_ERROR"))
    }

    /// Runs `work` on a connection that has the job's rights, settings and temporary tables. Blocks.
    pub(crate) fn on_connection<T>(
        &self,
        job: &mut Job,
        work: impl FnOnce(&Self, &mut Connection, &Job) -> Result<T, Exception>,
    ) -> Result<T, Exception> {
        let kept = job
            .session
            .as_mut()
            .and_then(|entered| entered.session.connection.take());
        let was_kept = kept.is_some();
        let mut connection = kept.map_or_else(|| self.open_one(), Ok)?;
        let mut applied = Vec::new();
        // What is kept open cannot be made read-only: that would last. Only the writer has such.
        // `SET` itself was judged: it names only what its role may change.
        let changes_settings = matches!(job.statement.kind, Kind::Set(_));
        let read_only = !was_kept && !changes_settings && job.rights == Role::Reader;
        let outcome = apply(
            &mut connection,
            job,
            read_only,
            self.options.reader_memory_max,
            &mut applied,
        )
        .and_then(|()| work(self, &mut connection, job));
        let keep = was_kept || (outcome.is_ok() && job.statement.kind == Kind::CreateTemporary);
        if let Some(entered) = job.session.as_mut().filter(|_| keep) {
            match take_back(&mut connection, &applied) {
                Ok(()) => entered.session.connection = Some(connection),
                Err(exception) => {
                    let error = exception.body();
                    tracing::warn!(error = %error.trim_end(), "a session lost its temporary tables");
                }
            }
        }
        outcome
    }
}

/// Binds a request's parameters.
pub(crate) fn bind(connection: &mut Connection, request: &Request) -> Result<(), Exception> {
    for (name, value) in &request.parameters {
        connection.run(&format!("SET param_{name} = {}", literal(value)), "Null")?;
    }
    Ok(())
}

/// Gives a connection a job's database, settings and rights; `applied` gets the names of the settings that were changed
/// for this request only.
fn apply(
    connection: &mut Connection,
    job: &Job,
    read_only: bool,
    reader_memory_max: u64,
    applied: &mut Vec<String>,
) -> Result<(), Exception> {
    let request = &job.asked;
    bind(connection, request)?;
    let database = request.database.as_deref().unwrap_or("default");
    let quoted = database.replace('\\', "\\\\").replace('`', "\\`");
    connection.run(&format!("USE `{quoted}`"), "Null")?;
    // The library's own default loses acknowledged rows.
    connection.run("SET async_insert = 0", "Null")?;
    // Its default maps the file: the whole of an insert's data would count as our memory.
    connection.run("SET storage_file_read_method = 'pread'", "Null")?;
    if job.rights == Role::Reader && request.setting("max_execution_time").is_none() {
        connection.run(&format!("SET max_execution_time = {READER_SECONDS_MAX}"), "Null")?;
        applied.push("max_execution_time".to_owned());
    }
    if job.rights == Role::Reader {
        // Eight of them must not take the memory that the writer needs.
        connection.run(&format!("SET max_memory_usage = {reader_memory_max}"), "Null")?;
        applied.push("max_memory_usage".to_owned());
    }
    let session: &[(String, String)] = job.session.as_ref().map_or(&[], |entered| &entered.session.settings);
    for (name, value) in session {
        connection.run(&format!("SET {name} = {value}"), "Null")?;
    }
    for (name, value) in request.settings_for(job.rights)? {
        connection.run(&format!("SET {name} = {}", literal(value)), "Null")?;
        applied.push(name.clone());
    }
    if read_only {
        connection.run("SET readonly = 1", "Null")?;
    }
    Ok(())
}

/// Undoes what was set for one request; the session's own settings are applied with the next one.
///
/// These statements also take a failed one out of the library's list of processes, where it stays until its connection
/// runs another.
fn take_back(connection: &mut Connection, applied: &[String]) -> Result<(), Exception> {
    connection.run("SET min_insert_block_size_bytes = DEFAULT", "Null")?;
    for name in applied {
        connection.run(&format!("SET {name} = DEFAULT"), "Null")?;
    }
    connection.run("SET async_insert = 0", "Null").map(|_| ())
}
