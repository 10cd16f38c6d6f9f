//! Containers of the home.

use clap::{Args, Subcommand, ValueEnum};

/// `mprism infra`.
#[derive(Debug, Args)]
pub struct InfraArgs {
    /// What to do with the containers.
    #[command(subcommand)]
    pub verb: InfraVerb,
}

/// What can be done with the containers.
#[derive(Debug, Subcommand)]
pub enum InfraVerb {
    /// Make and start what is missing; what has changed is made anew, with its data
    Up(InfraUpArgs),
    /// Stop and remove the containers; data stays unless --volumes asks for it
    Down(InfraDownArgs),
    /// How the containers are
    Status(InfraStatusArgs),
    /// What the containers write
    Logs(InfraLogsArgs),
    /// Print a compose.yaml that makes the same containers
    Compose(InfraComposeArgs),
}

/// A server that can run in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InfraServer {
    /// The message broker.
    Nats,
    /// The store.
    Clickhouse,
}

/// `mprism infra up`.
#[derive(Debug, Args)]
pub struct InfraUpArgs {
    /// Which ones; all that run in containers by default
    #[arg(value_name = "SERVICE", value_enum)]
    pub services: Vec<InfraServer>,
    /// Remove foreign containers that have our names, and use foreign volumes
    #[arg(long)]
    pub force: bool,
    /// Wait at most so many seconds for each to be healthy [default: 120]
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u64>,
}

/// `mprism infra down`.
#[derive(Debug, Args)]
pub struct InfraDownArgs {
    /// Which ones; all that run in containers by default
    #[arg(value_name = "SERVICE", value_enum)]
    pub services: Vec<InfraServer>,
    /// Also remove the data, after asking for the home's name
    #[arg(long)]
    pub volumes: bool,
}

/// `mprism infra status`.
#[derive(Debug, Args)]
pub struct InfraStatusArgs {
    /// Which ones; all that run in containers by default
    #[arg(value_name = "SERVICE", value_enum)]
    pub services: Vec<InfraServer>,
}

/// `mprism infra logs`.
#[derive(Debug, Args)]
pub struct InfraLogsArgs {
    /// Whose; all that run in containers by default
    #[arg(value_name = "SERVICE", value_enum)]
    pub services: Vec<InfraServer>,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Show the last N lines of each [default: 100]
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
}

/// `mprism infra compose`.
#[derive(Debug, Args)]
pub struct InfraComposeArgs {
    /// With containers of hot, collector and cold
    #[arg(long)]
    pub workers: bool,
}
