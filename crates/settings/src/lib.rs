//! Settings: read once, in layers, into plain decided values.
//!
//! Layers, lowest first: the built-in defaults (`config/default.yaml`, which is also the reference), `<home>/config/*.yaml`,
//! the `--config` file, environment variables, flags. Nobody below this crate reads the environment or meets a value that
//! is not decided. This crate never reads the process environment itself: the caller passes it.

mod decide;
mod error;
mod home;
mod layers;
mod schema;
mod settings;
mod units;
mod url;
mod values;
mod yaml;

pub use error::{Origin, Problem, SettingsError};
pub use home::{HomeFolders, default_home};
pub use layers::{DEFAULT_YAML, Override, Sources};
pub use schema::variables;
pub use settings::{
    BatchSettings, ClickhouseSettings, ClickhouseTimeouts, CollectorSettings, Durability, ExchangeSettings,
    HOT_DATABASE, HotSettings, LivenessSettings, LoggingSettings, Mode, NatsSettings, PublishSettings, Settings,
    SimRate, SimSettings, SpoolSettings, StopTimeouts, SupervisorSettings, SyncInterval, WRITER_USER, loopback,
};
pub use units::{format_duration, parse_bytes, parse_duration};
pub use url::ServerUrl;
