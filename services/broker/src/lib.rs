//! The broker: nats-server as a child with a generated configuration, its streams and durables, and room in them.
//!
//! Being well is not the server's own word: the fsync policy is read back from the running server, and the streams are
//! compared with the layout at every start.

mod config;
mod server;
mod varz;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use mprism_bus::{
    Bus, BusError, BusLayout, BusOptions, Credentials, DurableSpec, ORDERBOOK_SNAP, PurgePolicy, StreamSpec,
    WindowKeeper,
};
use mprism_runtime::lock::LockFile;
use mprism_runtime::tls::{ClientTls, TlsIdentity};
use tokio_util::sync::CancellationToken;

pub use config::{Passwords, SyncPolicy, USER_COLLECTOR, USER_HOT, USER_OPERATOR, container_config};

/// How long nats-server may take to accept a connection: it recovers its streams first.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often room is made. At 40,000 trades a second 2 GB fill in about 100 s.
const PURGE_EVERY: Duration = Duration::from_secs(5);
/// Of how many rounds one looks at ages, too: hours are what they are kept, so minutes are soon enough.
const ROUNDS_OF_AGES: u32 = 120;
/// How long the end of a server that does not answer is waited for, before it is taken to be alive.
const ENDED_WITHIN: Duration = Duration::from_millis(500);
/// How long nats-server may take to end after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(9);

/// Everything the broker needs to know.
#[derive(Debug)]
pub struct BrokerOptions {
    /// The nats-server binary.
    pub program: PathBuf,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// What clients are shown; then nobody is let in without a credential, either.
    pub identity: Option<TlsIdentity>,
    /// Whom to believe, where clients are shown something.
    pub trust: Option<ClientTls>,
    /// Where monitoring answers.
    pub monitor: SocketAddr,
    /// Folder of JetStream's files.
    pub store: PathBuf,
    /// Where the generated configuration is written (mode 0600).
    pub config_file: PathBuf,
    /// nats-server's own log.
    pub log_file: PathBuf,
    /// A log larger than this is rotated, in bytes.
    pub log_bytes_max: u64,
    /// Rotated logs kept.
    pub log_files_max: u32,
    /// The users' passwords.
    pub passwords: Passwords,
    /// When the server fsyncs.
    pub sync: SyncPolicy,
    /// Streams and durables.
    pub layout: BusLayout,
    /// The lock that nats-server inherits, so that it is known to be ours as long as it lives; `None` where it is not our
    /// child.
    pub lock: Option<LockFile>,
}

impl BrokerOptions {
    /// Returns how this host's own clients reach the server.
    fn url(&self) -> String {
        let reached = match self.listen.ip() {
            IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            address => address,
        };
        let scheme = if self.identity.is_some() { "tls" } else { "nats" };
        format!("{scheme}://{}", SocketAddr::from((reached, self.listen.port())))
    }
}

/// Why the broker ended.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The configuration cannot be written.
    #[error("cannot write {}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// nats-server cannot be started.
    #[error("cannot start {}", program.display())]
    Spawn {
        /// The binary.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// nats-server ended by itself.
    #[error("nats-server ended: {how}{}", said(log))]
    Ended {
        /// Its exit status in words.
        how: String,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// The streams cannot be made as wanted.
    #[error("streams cannot be made ready")]
    Streams(#[from] BusError),
    /// The server does not fsync as it was told to.
    #[error("nats-server runs with {found}, not with {wanted}")]
    Durability {
        /// What was asked for.
        wanted: String,
        /// What it says.
        found: String,
    },
    /// Monitoring does not answer.
    #[error("nats-server's monitoring at {monitor} does not answer: {reason}")]
    Monitoring {
        /// Its address.
        monitor: SocketAddr,
        /// What was met.
        reason: String,
    },
}

fn said(log: &[String]) -> String {
    if log.is_empty() {
        return String::new();
    }
    format!("; it said: {}", log.join(" | "))
}

/// Runs nats-server until `shutdown` is cancelled, then ends it in order.
///
/// # Errors
/// Where it does not start, ends by itself, or is not as wanted; it is not left running then.
pub async fn run(options: BrokerOptions, shutdown: CancellationToken) -> Result<(), BrokerError> {
    config::write(&options)?;
    let mut server = server::Server::spawn(&options)?;
    let result = tokio::select! {
        biased;
        () = shutdown.cancelled() => Ok(()),
        ended = server.ended() => Err(ended),
        failed = serve(&options) => failed,
    };
    let result = match result {
        Err(failed) if !matches!(failed, BrokerError::Ended { .. }) => {
            // A server that has died refuses connections before its end can be seen: its end is the better reason.
            let ended = tokio::time::timeout(ENDED_WITHIN, server.ended()).await;
            Err(ended.unwrap_or(failed))
        }
        result => result,
    };
    if !matches!(result, Err(BrokerError::Ended { .. })) {
        server.stop(STOP_WITHIN).await;
    }
    result
}

/// Looks after a server of ours that is not our child, one in a container: makes its streams and keeps room in them until
/// `shutdown` is cancelled.
///
/// # Errors
/// Where it does not answer in time, or is not as wanted.
pub async fn tend(options: &BrokerOptions, shutdown: &CancellationToken) -> Result<(), BrokerError> {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => Ok(()),
        failed = serve(options) => failed,
    }
}

/// Makes the streams and durables of a server of ours that runs and that nobody looks after at the moment.
///
/// # Errors
/// Where it does not answer in time, or is not as wanted.
pub async fn arrange(options: &BrokerOptions) -> Result<(), BrokerError> {
    arranged(options).await.map(|_bus| ())
}

/// Makes the server as wanted and keeps room in its streams and in its memory. Ends only with an error.
async fn serve(options: &BrokerOptions) -> Result<(), BrokerError> {
    let bus = arranged(options).await?;
    let mut troubles = mprism_runtime::log::Causes::new();
    let mut rounds = 0_u32;
    let mut keepers: Vec<WindowKeeper> = options.layout.streams.iter().map(|_| WindowKeeper::default()).collect();
    loop {
        tokio::time::sleep(PURGE_EVERY).await;
        let looks_at_ages = rounds.is_multiple_of(ROUNDS_OF_AGES);
        rounds = rounds.wrapping_add(1);
        for (stream, keeper) in options.layout.streams.iter().zip(&mut keepers) {
            keep_window(&bus, stream, keeper, &mut troubles).await;
            let of = |durable: &&DurableSpec| durable.stream == stream.name;
            let durables: Vec<&DurableSpec> = options.layout.durables.iter().filter(of).collect();
            make_room(&bus, &stream.name, &durables, looks_at_ages, &mut troubles).await;
        }
    }
}

/// Makes the server as wanted, and returns the connection over which that was done.
async fn arranged(options: &BrokerOptions) -> Result<Bus, BrokerError> {
    let bus = Bus::connect(BusOptions {
        url: options.url(),
        credentials: Some(Credentials::Member {
            user: USER_OPERATOR.into(),
            password: options.passwords.operator.clone(),
        }),
        client_name: "mprism-broker".into(),
        tls: options.trust.clone(),
    })
    .await?;
    let connection = bus.ready(READY_WITHIN).await?;
    varz::prove(options).await?;
    let moved = mprism_bus::move_streams(&bus, &options.layout).await?;
    let report = mprism_bus::reconcile(&bus, &options.layout).await?;
    for drift in &report.drifts {
        tracing::warn!(drift, "the server differs from the layout and cannot be edited");
    }
    tracing::info!(
        version = connection.server_version,
        created = ?report.created,
        updated = ?report.updated,
        ?moved,
        sync = %options.sync,
        "nats ready"
    );
    Ok(bus)
}

async fn make_room(
    bus: &Bus,
    stream: &str,
    durables: &[&DurableSpec],
    looks_at_ages: bool,
    troubles: &mut mprism_runtime::log::Causes,
) {
    // What no durable reads stays: dead letters wait for the operator.
    if durables.is_empty() {
        return;
    }
    let now_ms = mprism_runtime::clock::now_ms();
    match mprism_bus::purge(bus, stream, durables, &policy(stream, looks_at_ages), now_ms).await {
        Ok(0) => {}
        Ok(messages) => tracing::info!(stream, messages, "stored messages left the stream"),
        // The next round tries again; what matters, a full stream, shows in health.
        Err(error) => {
            if troubles.first(stream) {
                tracing::warn!(stream, error = %mprism_runtime::log::chain(&error), "no room made");
            }
        }
    }
}

async fn keep_window(
    bus: &Bus,
    stream: &StreamSpec,
    keeper: &mut WindowKeeper,
    troubles: &mut mprism_runtime::log::Causes,
) {
    match keeper.keep(bus, stream).await {
        Ok(None) => {}
        Ok(Some(window)) => tracing::info!(
            stream = stream.name,
            window_s = window.as_secs(),
            "message ids are remembered for another time, by how many come"
        ),
        // The next round tries again; until then more memory is taken than has to be.
        Err(error) => {
            if troubles.first(&format!("window of {}", stream.name)) {
                tracing::warn!(stream = stream.name, error = %mprism_runtime::log::chain(&error), "window of message ids not kept");
            }
        }
    }
}

/// Stored messages stay as long as the original kept them, if there is room.
fn policy(stream: &str, looks_at_ages: bool) -> PurgePolicy {
    let hours = if stream == ORDERBOOK_SNAP { 24 } else { 48 };
    PurgePolicy {
        age_max: looks_at_ages.then(|| Duration::from_secs(hours * 3600)),
        fill_percent_max: 70,
        fill_percent_target: 50,
        fill_percent_urgent: 85,
    }
}
