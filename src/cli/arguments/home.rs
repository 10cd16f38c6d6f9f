//! The home: dependencies, settings, endpoints, logs, history, findings.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mprism_deps::{Dependency, Provider};

use super::values::{dependency, provider};

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
