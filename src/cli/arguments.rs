//! The arguments of each verb.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use mprism_deps::{Dependency, Provider};

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

/// `mprism deps`.
#[derive(Debug, Args)]
pub struct DepsArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub verb: DepsVerb,
}

/// What can be done with dependencies.
#[derive(Debug, Subcommand)]
pub enum DepsVerb {
    /// List what is pinned and where it was found
    List,
    /// Fetch what is missing or damaged and link it into the home
    Install {
        /// Which ones; all by default
        #[arg(value_name = "NAME", value_parser = dependency)]
        names: Vec<Dependency>,
        /// Where to fetch from
        #[arg(long, value_name = "PROVIDER", value_parser = provider, default_value = "auto")]
        provider: Provider,
        /// Use only what is already on this machine
        #[arg(long)]
        offline: bool,
    },
    /// Compare every byte with the pinned checksums
    Verify,
}

/// `mprism config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

/// What can be done with settings.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print every value and who said it; credentials are hidden
    Show {
        /// Only settings whose path starts so, for example `nats` or `hot.batch`
        #[arg(value_name = "PREFIX")]
        prefixes: Vec<String>,
    },
    /// Tell everything that is wrong at once, with file, line and key
    Validate {
        /// This file alone; by default everything that this home reads
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Print which files are read, the lowest layer first
    Path,
    /// Change the home's settings file with $VISUAL or $EDITOR; what is not valid replaces nothing
    Edit,
    /// Print a JSON Schema of settings files, for editors
    Schema,
}

/// `mprism env`.
#[derive(Debug, Args)]
pub struct EnvArgs {
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: EnvFormat,
}

/// Form of `mprism env`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EnvFormat {
    /// `NAME=value` lines
    #[default]
    Dotenv,
    /// The JSON document
    Json,
}

/// `mprism query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The statement; `-` reads it from standard input
    pub sql: String,
    /// Form of the answer: table, csv, tsv, json, jsonl, parquet, or ClickHouse's name of any [default: table on a terminal, else tsv]
    #[arg(long, value_name = "FORMAT", conflicts_with = "json")]
    pub format: Option<String>,
    /// Allow the statement to write, with the home's credential
    #[arg(long)]
    pub write: bool,
}

/// The data types that have a table of market data, as in subjects.
const DATA_TYPES: [&str; 8] = [
    "orderbook",
    "trade",
    "funding_rate",
    "open_interest",
    "liquidation",
    "lsr_top_position",
    "lsr_all_account",
    "volatility_index",
];

/// `mprism export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// What to export
    #[arg(value_name = "TYPE", value_parser = DATA_TYPES)]
    pub data_type: String,
    /// From this RFC 3339 time
    #[arg(long, value_name = "T")]
    pub from: String,
    /// Up to this RFC 3339 time, which is not in it
    #[arg(long, value_name = "T")]
    pub to: String,
    /// The file to write; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Form of the file [default: by the file's name]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<ExportFormat>,
    /// Only this exchange; may be given again
    #[arg(long, value_name = "E", value_parser = mprism_settings::EXCHANGES)]
    pub exchange: Vec<String>,
    /// Only this symbol; may be given again
    #[arg(long, value_name = "S")]
    pub symbol: Vec<String>,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}

/// Form of an exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Apache Parquet, compressed with zstd
    Parquet,
    /// Comma-separated values with a head; `.gz` and `.zst` compress
    Csv,
    /// One JSON object a line; `.gz` and `.zst` compress
    Jsonl,
}

/// What writes logs, and groups of them.
const WRITERS: [&str; 10] = [
    "supervisor",
    "nats",
    "clickhouse",
    "hot",
    "collector",
    "cold",
    "sim",
    "broker",
    "storage",
    "all",
];

/// `mprism logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Whose; all by default
    #[arg(value_name = "SERVICE", value_parser = WRITERS)]
    pub services: Vec<String>,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Show the last N lines [default: 100, or all with --since]
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Only what is newer: a duration like 10m, or an RFC 3339 time
    #[arg(long, value_name = "T")]
    pub since: Option<String>,
    /// Only this level and worse
    #[arg(long, value_enum, default_value_t)]
    pub level: LogLevel,
}

/// Levels of log lines, the worst first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LogLevel {
    /// Data was lost or a human is needed
    Error,
    /// Something went wrong and recovered
    Warn,
    /// What an operator wants to know
    Info,
    /// More
    Debug,
    /// Everything
    #[default]
    Trace,
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
    /// Also remove the data of these services, after asking for the home's name
    #[arg(long)]
    pub data: bool,
}

/// `mprism diagnose`.
#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    /// Write a support archive (.tar.gz) with logs, settings and findings; credentials are removed
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
}

/// `mprism history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Show the last N commands [default: 20]
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
}

/// `mprism integrity`.
#[derive(Debug, Args)]
pub struct IntegrityArgs {
    /// What to prove; everything by default
    #[arg(value_name = "SCOPE", value_enum)]
    pub scope: Option<IntegrityScope>,
    /// Only the last so much time
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with_all = ["from", "to"])]
    pub since: Option<Duration>,
    /// From this RFC 3339 time
    #[arg(long, value_name = "T", requires = "to")]
    pub from: Option<String>,
    /// To this RFC 3339 time
    #[arg(long, value_name = "T", requires = "from")]
    pub to: Option<String>,
    /// Warnings end with exit code 3
    #[arg(long)]
    pub strict: bool,
    /// Write a report to this file too: JSON if it ends with .json, Markdown if with .md
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// What `mprism integrity` proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IntegrityScope {
    /// Everything stored
    Storage,
    /// The hot store
    Hot,
    /// The cold store, all of it, and what it has of the hot one
    Cold,
}

/// `mprism verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// From this RFC 3339 time
    #[arg(long, value_name = "T", requires = "to")]
    pub from: Option<String>,
    /// To this RFC 3339 time
    #[arg(long, value_name = "T", requires = "from")]
    pub to: Option<String>,
}

/// `mprism repair`.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Rebuild tables that are not as this version makes them, MarketPrism's own among them; the old ones are kept
    #[arg(long, conflicts_with_all = ["from", "to", "types", "dead_letters", "accept_broken_parts"])]
    pub schema: bool,
    /// Only what is from this RFC 3339 time on
    #[arg(long, value_name = "T", requires = "to")]
    pub from: Option<String>,
    /// Only what is before this RFC 3339 time
    #[arg(long, value_name = "T", requires = "from")]
    pub to: Option<String>,
    /// Only this type of data; may be given again
    #[arg(long = "type", value_name = "TYPE", value_parser = DATA_TYPES)]
    pub types: Vec<String>,
    /// Read dead letters again, and store those that are understood now
    #[arg(long)]
    pub dead_letters: bool,
    /// Drop parts that the engine could not read, and ask for their rows again
    #[arg(long)]
    pub accept_broken_parts: bool,
}

/// `mprism cold`.
#[derive(Debug, Args)]
pub struct ColdArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub verb: ColdVerb,
}

/// What can be done with the cold store.
#[derive(Debug, Subcommand)]
pub enum ColdVerb {
    /// Copy all that the hot store has to the cold one and prove it, now
    Backfill(ColdBackfillArgs),
}

/// `mprism cold backfill`.
#[derive(Debug, Args)]
pub struct ColdBackfillArgs {
    /// Only what is from this RFC 3339 time on
    #[arg(long, value_name = "T", requires = "to")]
    pub from: Option<String>,
    /// Only what is before this RFC 3339 time
    #[arg(long, value_name = "T", requires = "from")]
    pub to: Option<String>,
}

/// `mprism replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Recorded frames: files or folders
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Where the messages go
    #[arg(long, value_enum, default_value_t)]
    pub to: ReplayTarget,
    /// The exchange, where the path does not say it
    #[arg(long, value_name = "E")]
    pub exchange: Option<String>,
    /// The market, where the path does not say it
    #[arg(long, value_name = "M")]
    pub market: Option<String>,
    /// Which order books are told
    #[arg(long, value_enum, default_value_t)]
    pub books: ReplayBooks,
    /// Say with each message which file, line and item it comes from
    #[arg(long)]
    pub trace: bool,
    /// The exchange's own list of instruments: what a contract is worth
    #[arg(long, value_name = "FILE")]
    pub instruments: Option<PathBuf>,
}

/// Where replayed messages go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReplayTarget {
    /// One message a line on standard output
    #[default]
    Stdout,
}

/// Which order books a replay tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReplayBooks {
    /// As in production: when changed, at the cadence of the settings
    #[default]
    Cadence,
    /// After each applied frame
    Every,
    /// Once an instrument, at the end
    Final,
}

/// `mprism smoke`.
#[derive(Debug, Args)]
pub struct SmokeArgs {
    /// How long market data flows
    #[arg(long, value_name = "D", value_parser = duration, default_value = "30s")]
    pub duration: Duration,
    /// Print row counts at this interval
    #[arg(long, value_name = "D", value_parser = duration)]
    pub sample: Option<Duration>,
    /// Collect from the exchanges instead of the simulator, as --config says
    #[arg(long)]
    pub live: bool,
}

/// `mprism bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure
    #[arg(value_name = "NAME", value_parser = ["start", "status", "collector", "storage"])]
    pub name: String,
    /// Recorded frames to parse: a folder with exchange, market and type in its paths
    #[arg(long, value_name = "FOLDER")]
    pub frames: Option<PathBuf>,
}

/// `mprism systemd`.
#[derive(Debug, Args)]
pub struct SystemdArgs {
    /// What to do with the unit.
    #[command(subcommand)]
    pub verb: SystemdVerb,
    /// Of the machine's systemd [default: for root]
    #[arg(long, global = true, conflicts_with = "user")]
    pub system: bool,
    /// Of this user's systemd [default: for everybody else]
    #[arg(long, global = true)]
    pub user: bool,
    /// Name of the unit, for several homes on one machine
    #[arg(long, global = true, value_name = "NAME", value_parser = unit_name, default_value = "mprism")]
    pub name: String,
}

/// What can be done with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum SystemdVerb {
    /// Print the unit
    Print,
    /// Write the unit where systemd looks, and enable it
    Install,
    /// Stop, disable and remove the unit
    Uninstall,
}

/// `mprism completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: ShellName,
}

/// A shell that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShellName {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// `mprism man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Of this command; of mprism itself by default
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
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

fn dependency(text: &str) -> Result<Dependency, String> {
    let names = Dependency::ALL.map(Dependency::as_str);
    let found = Dependency::ALL
        .into_iter()
        .find(|dependency| dependency.as_str() == text);
    found.ok_or_else(|| format!("expected one of {}", names.join(", ")))
}

fn provider(text: &str) -> Result<Provider, String> {
    match text {
        "auto" => Ok(Provider::Auto),
        "path" => Ok(Provider::Path),
        "pip" => Ok(Provider::Pip),
        "npm" => Ok(Provider::Npm),
        _ => Err("expected one of auto, path, pip, npm".to_owned()),
    }
}

fn unit_name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("expected letters, digits, - and _".to_owned())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    mprism_settings::parse_duration(text).ok_or_else(|| "expected a duration like 30s, 5m or 2h".to_owned())
}
