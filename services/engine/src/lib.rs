//! The embedded ClickHouse engine behind ClickHouse's HTTP interface.
//!
//! libchdb is loaded at run time into a process of its own; every ClickHouse client that speaks HTTP can use it. What a
//! client may do is decided here, because the library itself runs any SQL with the rights of the process.
//!
//! # Fences
//! A table has one writer. `POST /mprism/fence?table=<database>.<table>`, with the writer's credential and both names as
//! the statements write them, without quotes (`marketprism_hot.trades`), begins a new generation, waits for inserts that
//! run, and answers `{"table": "<database>.<table>", "generation": <n>}`. The writer then sends each insert with the URL
//! parameter `log_comment=mp-<database>.<table>-<generation>-<uuid>`: the same two names as in the fence, even where
//! `database=` names the database. An insert of any other generation is refused with status 409 and exception code 9001,
//! as are inserts without such a comment while the table is fenced. `DELETE
//! /mprism/fence?table=<database>.<table>&generation=<n>` gives the table up; inserts with the header
//! `X-Mprism-Write: operator` are then accepted. Generations live as long as the engine's process: a writer that is
//! refused after a restart fences again.
//!
//! With [`EngineOptions::fences`] off nothing of this is there, as on ClickHouse's own server: that is what tests of a writer that
//! has to do without run against.

mod access;
mod answer;
mod background;
mod body;
mod cancel;
mod chdb;
mod clause;
mod compress;
mod directive;
mod encoding;
mod exception;
mod execute;
mod fence;
mod form;
mod http;
mod judge;
mod prepare;
mod progress;
mod queries;
mod query;
mod request;
mod sessions;
mod spool;
mod statement;
mod stream;
mod tokens;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mprism_runtime::tls::{TlsError, TlsIdentity};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use chdb::OpenError;

/// Everything the engine needs to know.
#[derive(Clone)]
pub struct EngineOptions {
    /// Where the HTTP interface listens.
    pub listen: SocketAddr,
    /// `libchdb.so`.
    pub library: PathBuf,
    /// The data folder: one process at a time.
    pub data: PathBuf,
    /// The writer's user name.
    pub writer_user: String,
    /// The writer's password.
    pub writer_password: String,
    /// How other hosts reach it, where they may: over TLS, and nobody without a credential.
    pub remote: Option<RemoteOptions>,
    /// Names besides those of the loopback that a `Host` or `Origin` header may carry.
    pub allowed_hosts: Vec<String>,
    /// Whether whoever reaches the address may read without a credential, and not only the loopback: in a container, whose
    /// port is published on the loopback of its machine.
    pub readers_from_anywhere: bool,
    /// Readers running at once.
    pub readers_max: usize,
    /// How long a reader waits for its turn.
    pub reader_wait: Duration,
    /// Memory that one query of a reader may take, in bytes.
    pub reader_memory_max: u64,
    /// Writers running at once.
    pub writers_max: usize,
    /// Largest body of data accepted, unpacked, in bytes.
    pub body_bytes_max: u64,
    /// Whether tables have fences. Without, the engine takes inserts as ClickHouse's own server does: for tests.
    pub fences: bool,
}

/// How other hosts reach the engine.
#[derive(Clone)]
pub struct RemoteOptions {
    /// What is shown to clients.
    pub identity: TlsIdentity,
    /// The password of [`READER_USER`], who reads and nothing else.
    pub reader_password: String,
}

/// The user of readers who have to say who they are.
pub const READER_USER: &str = "reader";

/// Why the engine ended.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The library or its data did not open.
    #[error("the engine did not open")]
    Open(#[from] OpenError),
    /// The engine refused its first statement.
    #[error("the engine does not work: {0}")]
    Broken(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// The address is taken or not ours.
    #[error("cannot listen on {listen}")]
    Bind {
        /// The address asked for.
        listen: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// Serves until `shutdown` is cancelled; statements that run then are finished.
///
/// # Errors
/// Where the library or its data cannot be opened, or the address cannot be had.
pub async fn run(options: EngineOptions, shutdown: CancellationToken) -> Result<(), EngineError> {
    let listen = options.listen;
    // The address first: two engines never fight over one data folder because of a taken port.
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .map_err(|source| EngineError::Bind { listen, source })?;
    serve(listener, options, shutdown).await
}

/// As [`run`], on a listener that is bound already; `options.listen` is not looked at.
///
/// # Errors
/// Where the library or its data cannot be opened.
pub async fn serve(
    listener: tokio::net::TcpListener,
    options: EngineOptions,
    shutdown: CancellationToken,
) -> Result<(), EngineError> {
    let tls = options
        .remote
        .as_ref()
        .map(|remote| remote.identity.server_config())
        .transpose()?;
    let engine = tokio::task::spawn_blocking(move || execute::Executor::open(options))
        .await
        .map_err(|e| EngineError::Broken(e.to_string()))??;
    tracing::info!(listen = ?listener.local_addr().ok(), "engine open");
    let tls = tls.map(TlsAcceptor::from);
    let priorities = tokio::spawn(background::keep_priorities());
    http::serve(listener, std::sync::Arc::new(engine), tls, shutdown).await;
    priorities.abort();
    Ok(())
}
