//! Proving what is stored, and mending it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::values::{DATA_TYPES, duration};

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
