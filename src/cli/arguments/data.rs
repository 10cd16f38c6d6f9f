//! Getting at the data: queries, exports, recorded frames.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::DATA_TYPES;

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
