//! A service by name, and its life: init, up, start, stop, restart, status, health, clean, and the worker itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use mprism_deps::Provider;

use super::values::{duration, interval, provider};

/// A service or a group of them, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum ServiceName {
    /// The message broker.
    Nats,
    /// The store.
    Clickhouse,
    /// The hot storage worker.
    Hot,
    /// The collector.
    Collector,
    /// The cold storage worker.
    Cold,
    /// The exchange simulator.
    Sim,
    /// `nats`.
    Broker,
    /// `clickhouse`, `hot` and `cold`.
    Storage,
    /// Everything.
    All,
}

/// The simulator in place of the exchanges.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Simulator")]
pub struct SimArgs {
    /// Collect from the exchange simulator instead of the exchanges
    #[arg(long)]
    pub sim: bool,
    /// Serve recorded frames from this folder
    #[arg(long, value_name = "DIR", requires = "sim")]
    pub sim_corpus: Option<PathBuf>,
    /// Events a second over all instruments, or max
    #[arg(long, value_name = "N|max", requires = "sim")]
    pub sim_rate: Option<String>,
    /// Seed of the synthetic market
    #[arg(long, value_name = "N", requires = "sim")]
    pub sim_seed: Option<u64>,
    /// YAML list of faults to play
    #[arg(long, value_name = "FILE", requires = "sim")]
    pub sim_faults: Option<PathBuf>,
    /// Keep the recorded times instead of shifting them to now
    #[arg(long, requires = "sim_corpus")]
    pub sim_keep_time: bool,
}

/// `mprism init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// For these services only
    #[arg(value_name = "SERVICE", value_enum)]
    pub services: Vec<ServiceName>,
    /// Where to fetch dependencies from
    #[arg(long, value_name = "PROVIDER", value_parser = provider, default_value = "auto")]
    pub provider: Provider,
    /// Use only what is already on this machine
    #[arg(long)]
    pub offline: bool,
    /// End foreign holders of our ports, after showing them
    #[arg(long)]
    pub force: bool,
}

/// `mprism up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// The simulator.
    #[command(flatten)]
    pub sim: SimArgs,
    /// Stop after this time, counted from healthy
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub run_for: Option<Duration>,
    /// End foreign holders of our ports, after showing them
    #[arg(long)]
    pub force: bool,
    /// End a MarketPrism that runs, and go on with what it has
    #[arg(long)]
    pub take_over: bool,
    /// Where to fetch dependencies from
    #[arg(long, value_name = "PROVIDER", value_parser = provider, default_value = "auto")]
    pub provider: Provider,
    /// Use only what is already on this machine
    #[arg(long)]
    pub offline: bool,
}

/// `mprism start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Which ones; all by default
    #[arg(value_name = "SERVICE", value_enum)]
    pub services: Vec<ServiceName>,
    /// The simulator.
    #[command(flatten)]
    pub sim: SimArgs,
    /// Wait at most so many seconds for everything to be ready
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u64>,
    /// Supervise in this terminal until something stops everything; SIGINT and SIGTERM stop it and end with 130 and 143
    #[arg(long, conflicts_with = "verify")]
    pub foreground: bool,
    /// End with a health check and its exit code
    #[arg(long)]
    pub verify: bool,
    /// End foreign holders of our ports, after showing them
    #[arg(long)]
    pub force: bool,
    /// End a MarketPrism that runs, and go on with what it has
    #[arg(long)]
    pub take_over: bool,
}

/// `mprism stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Which ones; all by default
    #[arg(value_name = "SERVICE", value_enum)]
    pub services: Vec<ServiceName>,
    /// Seconds that each service has to finish what it holds
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
}

/// `mprism restart`.
#[derive(Debug, Args)]
pub struct RestartArgs {
    /// Which ones; all by default
    #[arg(value_name = "SERVICE", value_enum)]
    pub services: Vec<ServiceName>,
    /// Only what runs, one after the other, the supervisor first: after this program was replaced
    #[arg(long, conflicts_with = "force")]
    pub one_by_one: bool,
    /// End foreign holders of our ports, after showing them
    #[arg(long)]
    pub force: bool,
}

/// `mprism status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Which ones; all by default
    #[arg(value_name = "SERVICE", value_enum)]
    pub services: Vec<ServiceName>,
}

/// `mprism health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Which ones; all by default
    #[arg(value_name = "SERVICE", value_enum)]
    pub services: Vec<ServiceName>,
}

/// `mprism top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Look again after this time, at least 200ms
    #[arg(long, value_name = "DURATION", value_parser = interval, default_value = "1s")]
    pub interval: Duration,
    /// End after N looks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
}

/// `mprism clean`.
#[derive(Debug, Args)]
pub struct CleanArgs {
    /// What belongs to these; everything by default
    #[arg(value_name = "SERVICE", value_enum)]
    pub services: Vec<ServiceName>,
    /// Only the ports: end our own leftovers on them, and foreign holders with --force
    #[arg(long, conflicts_with = "data")]
    pub ports: bool,
    /// Also stop what runs; with --ports, end foreign holders after showing them
    #[arg(long)]
    pub force: bool,
    /// Also remove the data of these services, in the home and in volumes of its containers, after asking for the home's name
    #[arg(long)]
    pub data: bool,
}

/// `mprism worker`.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Which one
    #[arg(value_name = "NAME", value_enum)]
    pub name: WorkerName,
    /// The simulator.
    #[command(flatten)]
    pub sim: SimArgs,
    /// It is alone in a container: it listens for the container's network, and logs to standard error
    #[arg(long)]
    pub container: bool,
    /// Ask the one that runs whether it can serve, and end with 0 or 1
    #[arg(long)]
    pub probe: bool,
}

/// A process of mprism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WorkerName {
    /// The message broker.
    Nats,
    /// The store.
    Clickhouse,
    /// The hot storage worker.
    Hot,
    /// The collector.
    Collector,
    /// The cold storage worker.
    Cold,
    /// The exchange simulator.
    Sim,
    /// The supervisor of all of them.
    Supervisor,
}

impl WorkerName {
    /// Returns the name as typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Clickhouse => "clickhouse",
            Self::Hot => "hot",
            Self::Collector => "collector",
            Self::Cold => "cold",
            Self::Sim => "sim",
            Self::Supervisor => "supervisor",
        }
    }
}
