//! Environment variables: what each of ours and of MarketPrism's sets, and why some set nothing.

/// How a variable's text becomes a setting's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reads {
    /// As it stands.
    AsIs,
    /// A number of this unit.
    In(&'static str),
    /// `1`, `true`, `yes` or `0`, `false`, `no`.
    Truth,
    /// `development` and `production`, as MarketPrism's examples log in them.
    Environment,
}

/// Variables that say one setting each. Of two for one setting the earlier wins.
pub(crate) const VARIABLES: &[(&str, &str, Reads)] = &[
    ("MPRISM_LOG", "logging.level", Reads::AsIs),
    ("MARKETPRISM_LOG_LEVEL", "logging.level", Reads::AsIs),
    ("LOG_LEVEL", "logging.level", Reads::AsIs),
    ("ENVIRONMENT", "logging.level", Reads::Environment),
    ("MARKETPRISM_CLICKHOUSE_PORT", "clickhouse.port", Reads::AsIs),
    ("CLICKHOUSE_HTTP_PORT", "clickhouse.port", Reads::AsIs),
    ("HOT_STORAGE_HTTP_PORT", "hot.port", Reads::AsIs),
    ("MARKETPRISM_STORAGE_SERVICE_PORT", "hot.port", Reads::AsIs),
    ("HEALTH_CHECK_PORT", "collector.port", Reads::AsIs),
    ("METRICS_PORT", "collector.metrics_port", Reads::AsIs),
    ("NATS_STORE_DIR", "nats.data_folder", Reads::AsIs),
    ("MARKETPRISM_HOT_STORAGE_LOCK", "hot.lock", Reads::AsIs),
    ("MARKETPRISM_COLD_STORAGE_LOCK", "cold.lock", Reads::AsIs),
    ("MARKETPRISM_COLLECTOR_LOCK", "collector.lock", Reads::AsIs),
    ("REPL_LAG_WARN_MIN", "cold.lag_max", Reads::In("m")),
    (
        "AUTO_RESTART_ON_HEALTH_CRITICAL",
        "collector.self_heal.enabled",
        Reads::Truth,
    ),
    (
        "COLLECTOR_MEMORY_MB",
        "collector.self_heal.memory_bytes_max",
        Reads::In("MiB"),
    ),
    (
        "COLLECTOR_MEM_PCT",
        "collector.self_heal.memory_percent_max",
        Reads::AsIs,
    ),
    (
        "COLLECTOR_CPU_THRESHOLD",
        "collector.self_heal.cpu_percent_max",
        Reads::AsIs,
    ),
    ("COLLECTOR_MON_INTERVAL", "collector.self_heal.interval", Reads::In("s")),
    (
        "COLLECTOR_MAX_UPTIME_H",
        "collector.self_heal.uptime_max",
        Reads::In("h"),
    ),
    (
        "COLLECTOR_RESTART_COOLDOWN",
        "collector.self_heal.cooldown",
        Reads::In("s"),
    ),
    ("COLLECTOR_MAX_RESTART", "collector.self_heal.restarts_max", Reads::AsIs),
];

/// Variables that name a NATS server: the first wins, and makes it an external one unless it is ours.
pub(crate) const NATS_URL: [&str; 3] = ["MARKETPRISM_NATS_URL", "NATS_URL", "MARKETPRISM_NATS_SERVERS"];
/// Variables that name a ClickHouse server by its URL, in the same way.
pub(crate) const CLICKHOUSE_URL: [&str; 2] = ["CLICKHOUSE_HTTP_URL", "CLICKHOUSE_HTTP"];
/// Variables that name a ClickHouse host, in the same way.
pub(crate) const CLICKHOUSE_HOST: [&str; 2] = ["MARKETPRISM_CLICKHOUSE_HOST", "CLICKHOUSE_HOST"];
/// Variables that name a database whose name is fixed: another name is an error.
pub(crate) const CLICKHOUSE_DATABASE: [&str; 4] = [
    "MARKETPRISM_CLICKHOUSE_DATABASE",
    "CLICKHOUSE_DATABASE",
    "CLICKHOUSE_HOT_DB",
    "CLICKHOUSE_DB",
];
/// The variable that names the cold database, in the same way.
pub(crate) const COLD_DATABASE: &str = "CLICKHOUSE_COLD_DB";
/// Variables that name a configuration file, as `--config` does; the first wins.
pub(crate) const CONFIG_FILE: [&str; 3] = [
    "MPRISM_CONFIG",
    "MARKETPRISM_UNIFIED_DATA_COLLECTION_CONFIG",
    "MARKETPRISM_CONFIG_PATH",
];
/// The variable of `--port-offset`.
pub(crate) const PORT_OFFSET: &str = "MPRISM_PORT_OFFSET";

const NO_LSR: &str = "long/short ratios are not collected yet";
const COPY: &str = "the copy from hot to cold is not a script of its own";

/// Variables of MarketPrism that set nothing, and why.
pub(crate) const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("CLICKHOUSE_TCP_PORT", "the embedded engine speaks HTTP only"),
    (
        "CLICKHOUSE_USER",
        "the writer's credential is generated, readers need none",
    ),
    (
        "CLICKHOUSE_PASSWORD",
        "the writer's credential is generated, readers need none",
    ),
    ("USE_CLICKHOUSE_DRIVER", "there is one way to the store"),
    ("COLLECTOR_ENABLE_HTTP", "the endpoints are always on"),
    ("STORAGE_MODE", "each worker is a process of its own"),
    ("ALLOW_APT", "nothing is installed with apt"),
    ("LSR_DELIVER_POLICY", NO_LSR),
    ("LSR_ACK_POLICY", NO_LSR),
    ("LSR_ACK_WAIT", NO_LSR),
    ("LSR_MAX_DELIVER", NO_LSR),
    ("LSR_MAX_ACK_PENDING", NO_LSR),
    ("MIGRATION_WINDOW_HOURS", COPY),
    ("MIGRATION_BATCH_LIMIT", COPY),
    ("MIGRATION_SYMBOL_PREFIX", COPY),
    ("MIGRATION_EXCHANGE", COPY),
    ("MIGRATION_MARKET_TYPE", COPY),
    ("MIGRATION_DRY_RUN", COPY),
    ("MIGRATION_FORCE_REPAIR", COPY),
    ("HOT_HOST", COPY),
    ("HOT_PORT", COPY),
    ("HOT_USER", COPY),
    ("HOT_PASSWORD", COPY),
    ("COLD_HOST", COPY),
    ("COLD_PORT", COPY),
    ("COLD_USER", COPY),
    ("COLD_PASSWORD", COPY),
    ("INIT_LOOKBACK_MIN", COPY),
    ("SAFETY_LAG_MIN", COPY),
    ("TRADES_WINDOW_MIN", COPY),
    ("ORDERBOOKS_WINDOW_MIN", COPY),
    ("LOWFREQ_WINDOW_MIN", COPY),
    ("EVENTS_WINDOW_MIN", COPY),
    ("ALLOW_MULTIPLE", "two writers of one table would store rows twice"),
];

/// Returns the name of every environment variable that has an effect on settings.
pub fn variables() -> Vec<&'static str> {
    let single = VARIABLES.iter().map(|(name, ..)| *name);
    let rest = [PORT_OFFSET, COLD_DATABASE]
        .into_iter()
        .chain(NATS_URL)
        .chain(CLICKHOUSE_URL)
        .chain(CLICKHOUSE_HOST)
        .chain(CLICKHOUSE_DATABASE)
        .chain(CONFIG_FILE);
    single.chain(rest).collect()
}

/// Returns the name of every variable of MarketPrism that sets nothing, and why.
pub fn variables_without_effect() -> &'static [(&'static str, &'static str)] {
    WITHOUT_EFFECT
}

impl Reads {
    /// Returns the setting's text, or `None` where the variable says nothing about it.
    pub(crate) fn text(self, said: &str) -> Option<String> {
        match (self, said.to_ascii_lowercase().as_str()) {
            (Self::AsIs, _) => Some(said.to_owned()),
            (Self::In(unit), _) => Some(format!("{said}{unit}")),
            (Self::Truth, "1" | "true" | "yes") => Some("true".to_owned()),
            (Self::Truth, "0" | "false" | "no") => Some("false".to_owned()),
            (Self::Truth, _) => Some(said.to_owned()),
            (Self::Environment, "development") => Some("debug".to_owned()),
            (Self::Environment, "production") => Some("warn".to_owned()),
            // Many programs have environments of other names.
            (Self::Environment, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::find;

    #[test]
    fn every_variable_stands_in_one_table_and_says_a_setting_that_exists() {
        for (name, path, _) in VARIABLES {
            assert!(find(path).is_some(), "{name} says {path}, which is no setting");
        }
        let mut names = variables();
        names.extend(WITHOUT_EFFECT.iter().map(|(name, _)| *name));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
