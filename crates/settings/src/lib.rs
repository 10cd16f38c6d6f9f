//! Settings: read once, in layers, into plain decided values.
//!
//! Layers, lowest first: the built-in defaults (`config/default.yaml`, which is also the reference), `<home>/config/*.yaml`,
//! the `--config` file, environment variables, flags. Nobody below this crate reads the environment or meets a value that
//! is not decided. This crate never reads the process environment itself: the caller passes it.

mod decide;
mod error;
mod explain;
mod home;
mod json_schema;
mod layers;
mod legacy;
mod remote;
mod schema;
mod settings;
mod units;
mod url;
mod values;
mod variables;
mod yaml;

pub use error::{Origin, Problem, SettingsError};
pub use explain::{Entry, Explained};
pub use home::{HomeFolders, default_home};
pub use json_schema::json_schema;
pub use layers::{DEFAULT_YAML, Ignored, Override, Sources};
pub use legacy::keys as marketprism_keys;
pub use remote::{NatsLogin, RemoteSettings, ServicesSettings, TlsSettings, TrustSettings, reached_at};
pub use settings::{
    Backend, BatchSettings, COLD_DATABASE, ClickhouseServer, ClickhouseSettings, ClickhouseTimeouts, ColdSettings,
    CollectorSettings, ContainerSettings, Durability, EXCHANGES, ExchangeSettings, HOT_DATABASE, HotSettings,
    InfraSettings, LatencySettings, LeaveSettings, LivenessSettings, LoggingSettings, MirrorSettings, Mode,
    NatsSettings, OrderBookSettings, PublishSettings, SelfHealSettings, Settings, SimRate, SimSettings, SpoolSettings,
    StopTimeouts, SupervisorSettings, SyncInterval, VolumeSettings, WRITER_USER, loopback,
};
pub use units::{format_duration, parse_bytes, parse_duration};
pub use url::ServerUrl;
pub use variables::{variables, variables_without_effect};
