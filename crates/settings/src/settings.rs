//! The decided values, and what must hold between them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::error::SettingsError;
use crate::home::HomeFolders;
use crate::layers::{Ignored, Sources, gather};
use crate::remote::{NatsLogin, ServicesSettings, TlsSettings, TrustSettings};
use crate::url::ServerUrl;

/// The hot database's name; users' queries and dashboards name it, so it is fixed.
pub const HOT_DATABASE: &str = "marketprism_hot";
/// The cold database's name, fixed for the same reason.
pub const COLD_DATABASE: &str = "marketprism_cold";

/// The user name of the engine's writer; its password is the credential `clickhouse-writer` of the home.
pub const WRITER_USER: &str = "mprism";

/// Everything decided. Ports are already moved by the offset.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The home's folders.
    pub home: HomeFolders,
    /// By how much every port is moved.
    pub port_offset: u16,
    /// The message broker.
    pub nats: NatsSettings,
    /// The store.
    pub clickhouse: ClickhouseSettings,
    /// The collector.
    pub collector: CollectorSettings,
    /// The hot storage worker.
    pub hot: HotSettings,
    /// The cold storage worker.
    pub cold: ColdSettings,
    /// The exchange simulator.
    pub sim: SimSettings,
    /// Workers on other hosts.
    pub services: ServicesSettings,
    /// What listeners off the loopback show.
    pub tls: TlsSettings,
    /// Where the servers run.
    pub infra: InfraSettings,
    /// The supervisor.
    pub supervisor: SupervisorSettings,
    /// Logs of every process.
    pub logging: LoggingSettings,
    /// What was said in vain.
    pub ignored: Vec<Ignored>,
}

/// Who runs a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// mprism does.
    Managed,
    /// Somebody else does; mprism never starts or stops it.
    External,
}

/// Where a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// As mprism's own child process, of what mprism brings along.
    Embedded,
    /// As mprism's own child process, of a program found on the machine.
    Native,
    /// In a container that mprism makes.
    Docker,
    /// Somewhere else; then the server's [`Mode`] is [`Mode::External`].
    External,
}

/// Which program an image for ClickHouse has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClickhouseServer {
    /// ClickHouse's own server.
    Clickhouse,
    /// mprism, whose worker runs the embedded engine.
    Mprism,
}

/// Where the servers run, and their containers.
#[derive(Clone, Debug)]
pub struct InfraSettings {
    /// The containers' network; `host` is the machine's own.
    pub network: String,
    /// Where nats-server runs.
    pub nats_backend: Backend,
    /// nats-server's container.
    pub nats: ContainerSettings,
    /// The volume of nats-server's container, where it is one that somebody made.
    pub nats_volume: Option<VolumeSettings>,
    /// Where ClickHouse runs.
    pub clickhouse_backend: Backend,
    /// ClickHouse's container.
    pub clickhouse: ContainerSettings,
    /// The volume of ClickHouse's container, where it is one that somebody made.
    pub clickhouse_volume: Option<VolumeSettings>,
    /// What ClickHouse's image has.
    pub clickhouse_server: ClickhouseServer,
    /// Port of ClickHouse's native protocol.
    pub clickhouse_native_port: u16,
    /// The containers of each of the workers.
    pub workers: ContainerSettings,
}

/// A container.
#[derive(Clone, Debug)]
pub struct ContainerSettings {
    /// Its image.
    pub image: String,
    /// Memory that it may take, in bytes.
    pub memory_bytes_max: u64,
    /// CPU that it may take in percent, 100 being one core.
    pub cpu_percent_max: u64,
}

/// A volume that somebody made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSettings {
    /// Its name.
    pub name: String,
    /// The folder in it, where it is not the one that a home uses; `.` is the volume itself.
    pub folder: Option<String>,
}

/// What a power cut may cost the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Written for good at intervals; the spool covers the last of them.
    Balanced,
    /// Written for good before each acknowledgement.
    Strict,
    /// Written for good at long intervals.
    Fast,
}

/// How often the broker writes for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncInterval {
    /// At every message.
    Always,
    /// At intervals.
    Every(Duration),
}

/// The message broker.
#[derive(Clone, Debug)]
pub struct NatsSettings {
    /// Who runs it.
    pub mode: Mode,
    /// Where clients reach it, in either mode.
    pub url: ServerUrl,
    /// Who connects.
    pub login: NatsLogin,
    /// Whom to believe there.
    pub trust: TrustSettings,
    /// Where the managed server listens.
    pub listen: IpAddr,
    /// Where the managed server keeps its streams.
    pub data_folder: PathBuf,
    /// Client port of the managed server.
    pub port: u16,
    /// Monitoring port of the managed server.
    pub monitor_port: u16,
    /// What a power cut may cost.
    pub durability: Durability,
    /// How often it writes for good.
    pub sync_interval: SyncInterval,
    /// Largest size of `MARKET_DATA` in bytes.
    pub market_data_bytes_max: u64,
    /// Largest size of `ORDERBOOK_SNAP` in bytes.
    pub orderbook_bytes_max: u64,
    /// Largest size of `DEAD_LETTER` in bytes.
    pub dead_letter_bytes_max: u64,
}

/// The store.
#[derive(Clone, Debug)]
pub struct ClickhouseSettings {
    /// Who runs it.
    pub mode: Mode,
    /// Where its HTTP interface is reached, in either mode.
    pub url: ServerUrl,
    /// Who asks an external server, where the URL does not say it.
    pub user: Option<String>,
    /// The file of its password.
    pub password_file: Option<PathBuf>,
    /// Whom to believe there.
    pub trust: TrustSettings,
    /// Where the managed engine listens.
    pub listen: IpAddr,
    /// HTTP port of the managed engine.
    pub port: u16,
    /// Readers at once.
    pub readers_max: usize,
    /// How long one more reader waits.
    pub reader_wait: Duration,
    /// Memory that one query of a reader may take, in bytes.
    pub reader_memory_max: u64,
    /// Writers at once.
    pub writers_max: usize,
    /// Largest body of data accepted, unpacked, in bytes.
    pub body_bytes_max: u64,
}

/// The collector.
#[derive(Clone, Debug)]
pub struct CollectorSettings {
    /// Where both ports listen.
    pub listen: IpAddr,
    /// Port of `/health` and `/status`.
    pub port: u16,
    /// Port of `/metrics`.
    pub metrics_port: u16,
    /// The exchanges, by their ids.
    pub exchanges: BTreeMap<&'static str, ExchangeSettings>,
    /// Order books.
    pub order_book: OrderBookSettings,
    /// The spool.
    pub spool: SpoolSettings,
    /// Publishing.
    pub publish: PublishSettings,
    /// Copies on core NATS.
    pub mirror: MirrorSettings,
    /// When silence means trouble.
    pub liveness: LivenessSettings,
    /// When a rising latency is worth a warning.
    pub latency: LatencySettings,
    /// How often is asked for a type, by its name, where that is not left to each exchange.
    pub polling: BTreeMap<&'static str, Duration>,
    /// What the worker does about itself.
    pub self_heal: SelfHealSettings,
    /// The worker's lock.
    pub lock: PathBuf,
}

/// When a rising latency is worth a warning.
#[derive(Clone, Copy, Debug)]
pub struct LatencySettings {
    /// Below this it is none.
    pub warn_above: Duration,
    /// Seconds over which it has to rise.
    pub samples: usize,
}

/// When a worker uses too much, and what it does about it.
#[derive(Clone, Debug)]
pub struct SelfHealSettings {
    /// Whether it starts over, or only says so.
    pub enabled: bool,
    /// Between looks.
    pub interval: Duration,
    /// Resident memory in bytes.
    pub memory_bytes_max: u64,
    /// Resident memory as a share of the machine's, in percent.
    pub memory_percent_max: u64,
    /// CPU in percent, 100 being one core.
    pub cpu_percent_max: u64,
    /// The longest life.
    pub uptime_max: Duration,
    /// Between two lives.
    pub cooldown: Duration,
    /// How often it starts over at most.
    pub restarts_max: u32,
}

/// The exchanges there are settings of, by the ids that subjects and tables name them with.
pub const EXCHANGES: [&str; 5] = [
    "binance_spot",
    "binance_derivatives",
    "okx_spot",
    "okx_derivatives",
    "deribit_derivatives",
];

impl CollectorSettings {
    /// Returns the exchanges that are collected.
    pub fn enabled(&self) -> impl Iterator<Item = (&'static str, &ExchangeSettings)> {
        let exchanges = self.exchanges.iter().filter(|(_, exchange)| exchange.enabled);
        exchanges.map(|(id, exchange)| (*id, exchange))
    }
}

/// One exchange.
#[derive(Clone, Debug)]
pub struct ExchangeSettings {
    /// Whether it is collected.
    pub enabled: bool,
    /// Instrument ids as the exchange writes them; at least one, each once.
    pub symbols: Vec<String>,
    /// Base of the websocket endpoints, without a slash at the end.
    pub websocket_url: ServerUrl,
    /// Base of the REST endpoints, without a slash at the end.
    pub rest_url: ServerUrl,
    /// What is collected, by names as in subjects; at least one, each once.
    pub data_types: Vec<String>,
}

/// Order books.
#[derive(Clone, Debug)]
pub struct OrderBookSettings {
    /// How often a changed book is published at most; `None` after each of the venue's diffs.
    pub cadence: Option<Duration>,
    /// Levels a side of the snapshots that a book begins with.
    pub snapshot_limit: usize,
    /// How often a live book is compared with a second snapshot; `None` is never.
    pub audit_every: Option<Duration>,
}

/// The collector's spool.
#[derive(Clone, Debug)]
pub struct SpoolSettings {
    /// Largest size in bytes.
    pub bytes_max: u64,
    /// Room in bytes that the disk must keep.
    pub free_bytes_min: u64,
    /// Between group commits.
    pub fsync_interval: Duration,
    /// Size of a segment in bytes.
    pub segment_bytes: u64,
}

/// Publishing from the spool.
#[derive(Clone, Debug)]
pub struct PublishSettings {
    /// Messages that wait for an acknowledgement.
    pub in_flight_max: usize,
    /// Their bytes.
    pub bytes_in_flight_max: u64,
    /// After which a message is sent again.
    pub timeout: Duration,
}

/// Copies of what is published, on core NATS.
#[derive(Clone, Debug)]
pub struct MirrorSettings {
    /// Whether there are any.
    pub enabled: bool,
    /// The subjects that are copied.
    pub subjects: Vec<String>,
}

/// When silence means trouble.
#[derive(Clone, Debug)]
pub struct LivenessSettings {
    /// From an acknowledged subscription to its first message.
    pub first_message: Duration,
    /// Between any two messages of a connection.
    pub silence: Duration,
}

/// The hot storage worker.
#[derive(Clone, Debug)]
pub struct HotSettings {
    /// Where it listens.
    pub listen: IpAddr,
    /// Port of `/health`, `/stats` and `/metrics`.
    pub port: u16,
    /// The worker's lock.
    pub lock: PathBuf,
    /// When an insert is made.
    pub batch: BatchSettings,
    /// Waiting for the store.
    pub clickhouse: ClickhouseTimeouts,
}

/// When an insert is made: at the first of these.
#[derive(Clone, Debug)]
pub struct BatchSettings {
    /// Rows.
    pub rows_max: usize,
    /// Bytes.
    pub bytes_max: u64,
    /// Age of the oldest row.
    pub age_max: Duration,
}

/// How long a storage worker waits for the store.
#[derive(Clone, Debug)]
pub struct ClickhouseTimeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the answer to an insert.
    pub insert: Duration,
    /// For the answer to a query.
    pub query: Duration,
}

/// The cold storage worker.
#[derive(Clone, Debug)]
pub struct ColdSettings {
    /// Where it listens.
    pub listen: IpAddr,
    /// Port of `/health`, `/stats` and `/metrics`.
    pub port: u16,
    /// The worker's lock.
    pub lock: PathBuf,
    /// The store that keeps what is cold, where it is another one.
    pub url: Option<ServerUrl>,
    /// The file of its writer's credential, where it is another's.
    pub credential_file: Option<PathBuf>,
    /// The certificate authorities that it is believed by; `None` is those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// Waiting for the stores; `insert` is for one statement that copies.
    pub clickhouse: ClickhouseTimeouts,
    /// Between looks at the hot store.
    pub interval: Duration,
    /// Width of the windows of the newest hour.
    pub window: Duration,
    /// Windows that ended less than this ago are left alone.
    pub safety_lag: Duration,
    /// How often an hour that was proven long ago is compared again.
    pub look_back_interval: Duration,
    /// Being behind for longer, without getting on, is unhealthy.
    pub lag_max: Duration,
    /// Rows that one statement copies.
    pub copy_rows_max: u64,
    /// Bytes that one statement copies.
    pub copy_bytes_max: u64,
    /// When partitions leave the hot store; `None` is never.
    pub leave: Option<LeaveSettings>,
    /// Days that the cold store keeps; `None` is for ever.
    pub retention_days: Option<u32>,
}

/// When partitions leave the hot store.
#[derive(Clone, Copy, Debug)]
pub struct LeaveSettings {
    /// Days that a day has to be over; at least one.
    pub after_days: u32,
    /// For so long a partition has to have been proven as it is.
    pub delay: Duration,
}

/// Events a second of the simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimRate {
    /// As many as are absorbed.
    Max,
    /// So many.
    PerSecond(u32),
}

/// The exchange simulator.
#[derive(Clone, Debug)]
pub struct SimSettings {
    /// Its one port.
    pub port: u16,
    /// Events a second over all instruments.
    pub rate: SimRate,
    /// The synthetic market's seed.
    pub seed: u64,
}

/// The supervisor.
#[derive(Clone, Debug)]
pub struct SupervisorSettings {
    /// From start to the first good probe.
    pub ready_timeout: Duration,
    /// Between probes.
    pub probe_interval: Duration,
    /// Readiness after which an exit restarts at once.
    pub stable_after: Duration,
    /// The first wait between restarts.
    pub backoff_min: Duration,
    /// The longest wait between restarts.
    pub backoff_max: Duration,
    /// Starts in a row that never became ready.
    pub failures_max: u32,
    /// Time to drain.
    pub stop_timeout: StopTimeouts,
}

/// Time that each service has to finish what it holds.
#[derive(Clone, Debug)]
pub struct StopTimeouts {
    /// The cold storage worker.
    pub cold: Duration,
    /// The collector.
    pub collector: Duration,
    /// The hot storage worker.
    pub hot: Duration,
    /// The engine.
    pub clickhouse: Duration,
    /// The broker.
    pub nats: Duration,
    /// The simulator.
    pub sim: Duration,
}

/// Logs of every process.
#[derive(Clone, Debug)]
pub struct LoggingSettings {
    /// Least level, or filter directives.
    pub level: String,
    /// A larger file is rotated, in bytes.
    pub file_bytes_max: u64,
    /// Rotated files kept.
    pub files_max: u32,
    /// All logs together, in bytes.
    pub total_bytes_max: u64,
}

/// Returns the loopback address of a port: where every listener of ours is bound.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

impl Settings {
    /// Reads every layer and decides every value.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] with everything that is wrong at once, [`SettingsError::Read`] where a file cannot be read.
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let gathered = gather(sources)?;
        crate::decide::decide(HomeFolders::new(&sources.home), gathered)
    }
}
