//! MarketPrism's own configuration files: what their keys mean here.
//!
//! Two shapes are known: the collector's (`unified_data_collection.yaml`) and the storage workers' (`tiered_storage_config.yaml`).
//! What is known to set nothing is told with its reason; so is what nobody knows, because those files hold much that never
//! had an effect.

use crate::schema;
use crate::yaml::{Content, Node};

/// Sections of which one is enough to know such a file. None of them is a section of ours.
const SECTIONS: [&str; 11] = [
    "exchanges",
    "orderbook",
    "data_types",
    "monitoring",
    "hot_storage",
    "cold_storage",
    "replication",
    "sync",
    "retry",
    "http_port",
    "system",
];

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It says this setting.
    Setting(&'static str),
    /// It names the server of a service.
    Server(&'static str),
    /// It names the host of ClickHouse.
    ClickhouseHost,
    /// It names a database whose name is fixed.
    Database(&'static str),
    /// It sets nothing.
    Nothing(&'static str),
}

/// One value of such a file.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) line: usize,
    pub(crate) key: String,
    pub(crate) text: String,
    pub(crate) meaning: Meaning,
}

const BATCHES: &str = "MarketPrism's hot worker never used it; see hot.batch";
const COLD: &str = "rows are compared, not copied by the clock; see cold";
const RECONNECTS: &str = "a lost server is waited for, without a limit";
const STREAMS: &str = "streams and subjects are fixed; see nats.*_bytes_max";
const CADENCE: &str = "order books follow every update, and what is collected is said per exchange";
const ONE_DATABASE: &str = "the writer's credential is generated, readers need none";

/// Keys and what they mean; a key that ends with `.` is a whole section. The first that fits counts.
const KEYS: &[(&str, Meaning)] = &[
    ("nats.servers", Meaning::Server("nats")),
    ("nats.client_name", Meaning::Nothing("each worker names itself")),
    ("nats.max_reconnect_attempts", Meaning::Nothing(RECONNECTS)),
    ("nats.reconnect_time_wait", Meaning::Nothing(RECONNECTS)),
    (
        "nats.publish.timeout",
        Meaning::Nothing("see collector.publish.timeout"),
    ),
    (
        "nats.publish.",
        Meaning::Nothing("MarketPrism never used it; see collector.publish"),
    ),
    ("nats.", Meaning::Nothing(STREAMS)),
    ("monitoring.metrics.port", Meaning::Setting("collector.metrics_port")),
    ("monitoring.health_check.port", Meaning::Setting("collector.port")),
    (
        "monitoring.performance_monitoring.latency_warning_threshold",
        Meaning::Setting("collector.latency.warn_above"),
    ),
    ("monitoring.", Meaning::Nothing("warnings are not configured")),
    ("orderbook.", Meaning::Nothing(CADENCE)),
    (
        "data_types.funding_rate.interval",
        Meaning::Setting("collector.polling.funding_rate"),
    ),
    (
        "data_types.open_interest.interval",
        Meaning::Setting("collector.polling.open_interest"),
    ),
    (
        "data_types.lsr_top_position.interval",
        Meaning::Setting("collector.polling.lsr_top_position"),
    ),
    (
        "data_types.lsr_all_account.interval",
        Meaning::Setting("collector.polling.lsr_all_account"),
    ),
    (
        "data_types.volatility_index.interval",
        Meaning::Setting("collector.polling.volatility_index"),
    ),
    ("data_types.", Meaning::Nothing(CADENCE)),
    ("http_port", Meaning::Setting("hot.port")),
    ("hot_storage.clickhouse_http_port", Meaning::Setting("clickhouse.port")),
    ("hot_storage.clickhouse_host", Meaning::ClickhouseHost),
    ("hot_storage.clickhouse_database", Meaning::Database("marketprism_hot")),
    (
        "hot_storage.clickhouse_tcp_port",
        Meaning::Nothing("the embedded engine speaks HTTP only"),
    ),
    ("hot_storage.clickhouse_user", Meaning::Nothing(ONE_DATABASE)),
    ("hot_storage.clickhouse_password", Meaning::Nothing(ONE_DATABASE)),
    ("hot_storage.retention_days", Meaning::Setting("cold.leave.after_days")),
    ("hot_storage.", Meaning::Nothing(BATCHES)),
    ("cold_storage.http_port", Meaning::Setting("cold.port")),
    ("cold_storage.retention_days", Meaning::Setting("cold.retention_days")),
    (
        "cold_storage.clickhouse_database",
        Meaning::Database("marketprism_cold"),
    ),
    ("cold_storage.", Meaning::Nothing(COLD)),
    ("replication.cleanup_enabled", Meaning::Setting("cold.leave.enabled")),
    ("replication.", Meaning::Nothing(COLD)),
    ("sync.", Meaning::Nothing(COLD)),
    ("retry.", Meaning::Nothing("a batch is retried until it is stored")),
];

/// Returns every key that is known, and the setting that it says, if any.
pub fn keys() -> Vec<&'static str> {
    KEYS.iter().map(|(key, _)| *key).collect()
}

/// Returns whether a file has MarketPrism's shape and none of ours.
pub(crate) fn is_marketprism(root: &Node) -> bool {
    let Content::Map(entries) = &root.content else {
        return false;
    };
    let has = |name: &str| entries.iter().any(|(key, _)| key.name == name);
    // `nats` stands in both.
    let is_ours = schema::children("")
        .into_iter()
        .any(|name| name != "nats" && name != "logging" && has(name));
    !is_ours && SECTIONS.into_iter().any(has)
}

/// Returns every value of the file and what it means; a port comes before the host that it belongs to.
pub(crate) fn read(root: &Node) -> Vec<Said> {
    let mut said = Vec::new();
    collect("", root, &mut said);
    said.sort_by_key(|said| matches!(said.meaning, Meaning::ClickhouseHost | Meaning::Server(_)));
    said
}

fn collect(path: &str, node: &Node, said: &mut Vec<Said>) {
    let text = match &node.content {
        Content::Map(entries) => {
            for (key, value) in entries {
                let child = if path.is_empty() {
                    key.name.clone()
                } else {
                    format!("{path}.{}", key.name)
                };
                collect(&child, value, said);
            }
            return;
        }
        Content::Null => return,
        Content::Scalar(text) => text.clone(),
        Content::List(items) => list(path, items),
    };
    let meaning = meaning(path);
    said.push(Said {
        line: node.line,
        key: path.to_owned(),
        text: if path.ends_with(".api.ws_url") {
            base(&text)
        } else {
            format!("{text}{}", unit(path))
        },
        meaning,
    });
}

/// Returns the unit that a plain number of the original has.
fn unit(path: &str) -> &'static str {
    if path.ends_with(".latency_warning_threshold") {
        "ms"
    } else if path.starts_with("data_types.") && path.ends_with(".interval") {
        "s"
    } else {
        ""
    }
}

/// Returns a list as one text; of several servers the first counts.
fn list(path: &str, items: &[Node]) -> String {
    let texts = items.iter().filter_map(|item| match &item.content {
        Content::Scalar(text) => Some(text.as_str()),
        _ => None,
    });
    let texts: Vec<&str> = texts.collect();
    if path == "nats.servers" {
        texts.first().copied().unwrap_or_default().to_owned()
    } else {
        texts.join(",")
    }
}

fn meaning(key: &str) -> Meaning {
    if let Some(setting) = exchange(key) {
        return setting;
    }
    let fits = |known: &str| key == known || (known.ends_with('.') && key.starts_with(known));
    let found = KEYS.iter().find(|(known, _)| fits(known));
    found.map_or(Meaning::Nothing("nothing is known of it"), |(_, meaning)| *meaning)
}

/// An exchange's keys: those of exchanges that are collected say the setting of the same name.
fn exchange(key: &str) -> Option<Meaning> {
    let (id, rest) = key.strip_prefix("exchanges.")?.split_once('.')?;
    let ours = match rest {
        "enabled" => "enabled",
        "symbols" => "symbols",
        "api.ws_url" => "websocket_url",
        "market_type" | "data_types" => return Some(Meaning::Nothing("it follows from the exchange")),
        _ => return Some(Meaning::Nothing("nothing is known of it")),
    };
    let path = format!("collector.exchanges.{id}.{ours}");
    Some(match schema::find(&path) {
        Some(field) => Meaning::Setting(field.path),
        None => Meaning::Nothing("the exchange is not collected yet"),
    })
}

/// Returns `scheme://host:port` of a websocket address: paths are ours to write.
fn base(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    #[test]
    fn only_a_file_of_the_old_shape_is_one() {
        let is = |text: &str| is_marketprism(&parse(text).expect("YAML"));
        assert!(is("exchanges: {}\nnats: {servers: [a]}\n"));
        assert!(is("http_port: 8085\n"));
        assert!(!is("nats: {port: 1}\n"));
        assert!(
            !is("exchanges: {}\nhot: {port: 1}\n"),
            "a typing error in a file of ours"
        );
    }

    #[test]
    fn addresses_lose_their_paths_and_ports_come_first() {
        let text = "hot_storage: {clickhouse_host: a, clickhouse_http_port: 9}\n\
                    exchanges: {binance_spot: {api: {ws_url: 'wss://stream.binance.com:9443/ws'}}}\n";
        let said = read(&parse(text).expect("YAML"));
        assert_eq!(said[1].text, "wss://stream.binance.com:9443");
        assert_eq!(said.last().expect("some").meaning, Meaning::ClickhouseHost);
    }
}
