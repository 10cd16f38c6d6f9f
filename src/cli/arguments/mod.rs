//! The arguments of each verb.

mod data;
mod home;
mod infra;
mod integration;
mod proofs;
mod services;
mod trials;
mod values;

pub use data::{ExportArgs, ExportFormat, QueryArgs, ReplayArgs, ReplayBooks, ReplayTarget};
pub use home::{
    ConfigArgs, ConfigVerb, DepsArgs, DepsVerb, DiagnoseArgs, EnvArgs, EnvFormat, HistoryArgs, LogLevel, LogsArgs,
};
pub use infra::{
    InfraArgs, InfraComposeArgs, InfraDownArgs, InfraLogsArgs, InfraServer, InfraStatusArgs, InfraUpArgs, InfraVerb,
};
pub use integration::{CompletionsArgs, ManArgs, ShellName, SystemdArgs, SystemdVerb};
pub use proofs::{ColdArgs, ColdBackfillArgs, ColdVerb, IntegrityArgs, IntegrityScope, RepairArgs, VerifyArgs};
pub use services::{
    CleanArgs, HealthArgs, InitArgs, RestartArgs, ServiceName, SimArgs, StartArgs, StatusArgs, StopArgs, TopArgs,
    UpArgs, WorkerArgs, WorkerName,
};
pub use trials::{BenchArgs, SmokeArgs};
