//! Every setting there is: its path and what it may be.

use std::net::IpAddr;
use std::time::Duration;

use crate::units::{format_bytes, format_duration, parse_bytes, parse_duration};
use crate::url::ServerUrl;
use crate::values::Value;
use crate::yaml::{Content, Node};

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// What a setting may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Flag,
    Integer(u64, u64),
    /// A size in bytes.
    Bytes(u64, u64),
    /// In milliseconds.
    Span(u64, u64),
    Choice(&'static [&'static str]),
    /// The word, or what the other kind allows.
    Or(&'static str, &'static Kind),
    /// Nothing, or a URL of one of the schemes.
    Url(&'static [&'static str]),
    /// Instrument ids as an exchange writes them.
    Symbols,
    /// Some of these words, each once.
    Words(&'static [&'static str]),
    /// A log level or filter directives.
    LogFilter,
    /// Nothing, or an absolute path.
    Path,
    /// Nothing, or the name of a user.
    User,
    /// An address of this host.
    Address,
    /// Names and addresses of hosts, each once, or none.
    Hosts,
    /// Subjects of market data, each once, or none.
    Subjects,
    /// What a container engine calls an image or a network.
    Reference,
}

pub(crate) struct Field {
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
}

const fn field(path: &'static str, kind: Kind) -> Field {
    Field { path, kind }
}

const PORT: Kind = Kind::Integer(1, 65_535);
const MODE: Kind = Kind::Choice(&["managed", "external"]);
const BACKEND: Kind = Kind::Choice(&["embedded", "native", "docker", "external"]);
/// Docker refuses less than 6 MiB.
const CONTAINER_MEMORY: Kind = Kind::Bytes(6 * MIB, 16 * TIB);
/// 100 is one core.
const CONTAINER_CPU: Kind = Kind::Integer(1, 100_000);
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const STOP: Kind = Kind::Span(100, 10 * MINUTE);
const TIMEOUT: Kind = Kind::Span(10, 10 * MINUTE);

const POLLING: Kind = Kind::Or("auto", &Kind::Span(SECOND, 60 * MINUTE));
const WEBSOCKET: Kind = Kind::Url(&["ws", "wss"]);
const REST: Kind = Kind::Url(&["http", "https"]);
/// What each kind of exchange offers.
const SPOT: Kind = Kind::Words(&["orderbook", "trade"]);
const DERIVATIVES: Kind = Kind::Words(&[
    "orderbook",
    "trade",
    "funding_rate",
    "open_interest",
    "liquidation",
    "lsr_top_position",
    "lsr_all_account",
]);
const DERIBIT: Kind = Kind::Words(&[
    "orderbook",
    "trade",
    "funding_rate",
    "open_interest",
    "liquidation",
    "volatility_index",
]);

/// In the order of `config/default.yaml`; a test compares the two.
pub(crate) const FIELDS: &[Field] = &[
    field("nats.mode", MODE),
    field("nats.url", Kind::Url(&["nats", "tls"])),
    field("nats.user", Kind::User),
    field("nats.password_file", Kind::Path),
    field("nats.token_file", Kind::Path),
    field("nats.nkey_file", Kind::Path),
    field("nats.credentials_file", Kind::Path),
    field("nats.secrets_folder", Kind::Path),
    field("nats.tls.ca_file", Kind::Path),
    field("nats.tls.cert_file", Kind::Path),
    field("nats.tls.key_file", Kind::Path),
    field("nats.listen", Kind::Address),
    field("nats.data_folder", Kind::Path),
    field("nats.port", PORT),
    field("nats.monitor_port", PORT),
    field("nats.durability", Kind::Choice(&["balanced", "strict", "fast"])),
    field("nats.sync_interval", Kind::Or("auto", &Kind::Span(10, 10 * MINUTE))),
    field("nats.market_data_bytes_max", Kind::Bytes(MIB, 16 * TIB)),
    field("nats.orderbook_bytes_max", Kind::Bytes(MIB, 16 * TIB)),
    field("nats.dead_letter_bytes_max", Kind::Bytes(MIB, 16 * TIB)),
    field("clickhouse.mode", MODE),
    field("clickhouse.url", Kind::Url(&["http", "https"])),
    field("clickhouse.user", Kind::User),
    field("clickhouse.password_file", Kind::Path),
    field("clickhouse.tls.ca_file", Kind::Path),
    field("clickhouse.listen", Kind::Address),
    field("clickhouse.port", PORT),
    field("clickhouse.readers_max", Kind::Integer(1, 256)),
    field("clickhouse.reader_wait", Kind::Span(0, 10 * MINUTE)),
    field("clickhouse.reader_memory_max", Kind::Bytes(16 * MIB, 16 * TIB)),
    field("clickhouse.writers_max", Kind::Integer(1, 64)),
    field("clickhouse.body_bytes_max", Kind::Bytes(MIB, 16 << 30)),
    field("collector.listen", Kind::Address),
    field("collector.port", PORT),
    field("collector.metrics_port", PORT),
    field("collector.exchanges.binance_spot.enabled", Kind::Flag),
    field("collector.exchanges.binance_spot.symbols", Kind::Symbols),
    field("collector.exchanges.binance_spot.websocket_url", WEBSOCKET),
    field("collector.exchanges.binance_spot.rest_url", REST),
    field("collector.exchanges.binance_spot.data_types", SPOT),
    field("collector.exchanges.binance_derivatives.enabled", Kind::Flag),
    field("collector.exchanges.binance_derivatives.symbols", Kind::Symbols),
    field("collector.exchanges.binance_derivatives.websocket_url", WEBSOCKET),
    field("collector.exchanges.binance_derivatives.rest_url", REST),
    field("collector.exchanges.binance_derivatives.data_types", DERIVATIVES),
    field("collector.exchanges.okx_spot.enabled", Kind::Flag),
    field("collector.exchanges.okx_spot.symbols", Kind::Symbols),
    field("collector.exchanges.okx_spot.websocket_url", WEBSOCKET),
    field("collector.exchanges.okx_spot.rest_url", REST),
    field("collector.exchanges.okx_spot.data_types", SPOT),
    field("collector.exchanges.okx_derivatives.enabled", Kind::Flag),
    field("collector.exchanges.okx_derivatives.symbols", Kind::Symbols),
    field("collector.exchanges.okx_derivatives.websocket_url", WEBSOCKET),
    field("collector.exchanges.okx_derivatives.rest_url", REST),
    field("collector.exchanges.okx_derivatives.data_types", DERIVATIVES),
    field("collector.exchanges.deribit_derivatives.enabled", Kind::Flag),
    field("collector.exchanges.deribit_derivatives.symbols", Kind::Symbols),
    field("collector.exchanges.deribit_derivatives.websocket_url", WEBSOCKET),
    field("collector.exchanges.deribit_derivatives.rest_url", REST),
    field("collector.exchanges.deribit_derivatives.data_types", DERIBIT),
    field(
        "collector.orderbook.cadence",
        Kind::Or("every", &Kind::Span(10, MINUTE)),
    ),
    // Fewer than 400 levels a side could not be published whole; more than 5,000 the venue does not give.
    field("collector.orderbook.snapshot_limit", Kind::Integer(500, 5_000)),
    field(
        "collector.orderbook.audit_every",
        Kind::Or("never", &Kind::Span(100, 24 * 60 * MINUTE)),
    ),
    field("collector.spool.bytes_max", Kind::Bytes(64 * MIB, 16 * TIB)),
    field("collector.spool.free_bytes_min", Kind::Bytes(0, 16 * TIB)),
    field("collector.spool.fsync_interval", Kind::Span(1, 10 * SECOND)),
    field("collector.spool.segment_bytes", Kind::Bytes(MIB, 1 << 30)),
    field("collector.publish.in_flight_max", Kind::Integer(1, 100_000)),
    field("collector.publish.bytes_in_flight_max", Kind::Bytes(64 << 10, 1 << 30)),
    field("collector.publish.timeout", TIMEOUT),
    field("collector.mirror.enabled", Kind::Flag),
    field("collector.mirror.subjects", Kind::Subjects),
    field("collector.liveness.first_message", Kind::Span(SECOND, 60 * MINUTE)),
    field("collector.liveness.silence", Kind::Span(SECOND, 60 * MINUTE)),
    field("collector.latency.warn_above", Kind::Span(1, 60 * MINUTE)),
    field("collector.latency.samples", Kind::Integer(4, 1_000)),
    field("collector.polling.funding_rate", POLLING),
    field("collector.polling.open_interest", POLLING),
    field("collector.polling.lsr_top_position", POLLING),
    field("collector.polling.lsr_all_account", POLLING),
    field("collector.polling.volatility_index", POLLING),
    field("collector.self_heal.enabled", Kind::Flag),
    field("collector.self_heal.interval", Kind::Span(100, 60 * MINUTE)),
    field("collector.self_heal.memory_bytes_max", Kind::Bytes(MIB, 16 * TIB)),
    field("collector.self_heal.memory_percent_max", Kind::Integer(1, 100)),
    field("collector.self_heal.cpu_percent_max", Kind::Integer(1, 100_000)),
    field(
        "collector.self_heal.uptime_max",
        Kind::Span(SECOND, 366 * 24 * 60 * MINUTE),
    ),
    field("collector.self_heal.cooldown", Kind::Span(0, 60 * MINUTE)),
    field("collector.self_heal.restarts_max", Kind::Integer(0, 1_000)),
    field("collector.lock", Kind::Path),
    field("hot.listen", Kind::Address),
    field("hot.port", PORT),
    field("hot.lock", Kind::Path),
    // One insert of more rows may become two parts, which is not atomic.
    field("hot.batch.rows_max", Kind::Integer(1, 500_000)),
    field("hot.batch.bytes_max", Kind::Bytes(64 << 10, 1 << 30)),
    field("hot.batch.age_max", Kind::Span(1, MINUTE)),
    field("hot.clickhouse.connect_timeout", TIMEOUT),
    field("hot.clickhouse.insert_timeout", TIMEOUT),
    field("hot.clickhouse.query_timeout", TIMEOUT),
    field("cold.listen", Kind::Address),
    field("cold.port", PORT),
    field("cold.lock", Kind::Path),
    field("cold.clickhouse.url", Kind::Url(&["http", "https"])),
    field("cold.clickhouse.credential_file", Kind::Path),
    field("cold.clickhouse.ca_file", Kind::Path),
    field("cold.clickhouse.connect_timeout", TIMEOUT),
    field("cold.clickhouse.copy_timeout", TIMEOUT),
    field("cold.clickhouse.query_timeout", TIMEOUT),
    field("cold.interval", Kind::Span(10, 60 * MINUTE)),
    field("cold.window", Kind::Span(SECOND, 60 * MINUTE)),
    field("cold.safety_lag", Kind::Span(0, 2 * MINUTE)),
    field("cold.look_back_interval", Kind::Span(10, 24 * 60 * MINUTE)),
    field("cold.lag_max", Kind::Span(SECOND, 24 * 60 * MINUTE)),
    field("cold.copy.rows_max", Kind::Integer(1_000, 10_000_000)),
    field("cold.copy.bytes_max", Kind::Bytes(MIB, 64 << 30)),
    field("cold.leave.enabled", Kind::Flag),
    // The hot worker looks for rows of today in the hot store only.
    field("cold.leave.after_days", Kind::Integer(1, 36_500)),
    field("cold.leave.delay", Kind::Span(0, 7 * 24 * 60 * MINUTE)),
    field("cold.retention_days", Kind::Integer(0, 36_500)),
    field("sim.port", PORT),
    field("sim.rate", Kind::Or("max", &Kind::Integer(1, 10_000_000))),
    field("sim.seed", Kind::Integer(0, u64::MAX)),
    field("services.collector.mode", MODE),
    field("services.collector.url", REST),
    field("services.collector.ca_file", Kind::Path),
    field("services.collector.password_file", Kind::Path),
    field("services.hot.mode", MODE),
    field("services.hot.url", REST),
    field("services.hot.ca_file", Kind::Path),
    field("services.hot.password_file", Kind::Path),
    field("services.cold.mode", MODE),
    field("services.cold.url", REST),
    field("services.cold.ca_file", Kind::Path),
    field("services.cold.password_file", Kind::Path),
    field("tls.listeners", Kind::Choice(&["auto", "always"])),
    field("tls.cert_file", Kind::Path),
    field("tls.key_file", Kind::Path),
    field("tls.ca_file", Kind::Path),
    field("tls.names", Kind::Hosts),
    field("infra.network", Kind::Reference),
    field("infra.nats.mode", BACKEND),
    field("infra.nats.image", Kind::Reference),
    field("infra.nats.volume", Kind::Reference),
    field("infra.nats.memory_bytes_max", CONTAINER_MEMORY),
    field("infra.nats.cpu_percent_max", CONTAINER_CPU),
    field("infra.clickhouse.mode", BACKEND),
    field("infra.clickhouse.image", Kind::Reference),
    field("infra.clickhouse.volume", Kind::Reference),
    field("infra.clickhouse.server", Kind::Choice(&["clickhouse", "mprism"])),
    field("infra.clickhouse.native_port", PORT),
    field("infra.clickhouse.memory_bytes_max", CONTAINER_MEMORY),
    field("infra.clickhouse.cpu_percent_max", CONTAINER_CPU),
    field("infra.workers.image", Kind::Reference),
    field("infra.workers.memory_bytes_max", CONTAINER_MEMORY),
    field("infra.workers.cpu_percent_max", CONTAINER_CPU),
    field("supervisor.ready_timeout", Kind::Span(SECOND, 60 * MINUTE)),
    field("supervisor.probe_interval", Kind::Span(50, MINUTE)),
    field("supervisor.stable_after", Kind::Span(100, 60 * MINUTE)),
    field("supervisor.backoff_min", Kind::Span(10, 60 * MINUTE)),
    field("supervisor.backoff_max", Kind::Span(10, 60 * MINUTE)),
    field("supervisor.failures_max", Kind::Integer(1, 1_000)),
    field("supervisor.stop_timeout.cold", STOP),
    field("supervisor.stop_timeout.collector", STOP),
    field("supervisor.stop_timeout.hot", STOP),
    field("supervisor.stop_timeout.clickhouse", STOP),
    field("supervisor.stop_timeout.nats", STOP),
    field("supervisor.stop_timeout.sim", STOP),
    field("logging.level", Kind::LogFilter),
    field("logging.file_bytes_max", Kind::Bytes(64 << 10, 16 * TIB)),
    field("logging.files_max", Kind::Integer(0, 1_000)),
    field("logging.total_bytes_max", Kind::Bytes(MIB, 16 * TIB)),
];

/// Returns the field at a path.
pub(crate) fn find(path: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.path == path)
}

/// Returns the names right below a section (`""` is the root), in their order.
pub(crate) fn children(section: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for field in FIELDS {
        let rest = match section {
            "" => Some(field.path),
            _ => field.path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')),
        };
        let name = rest.map(|rest| rest.split('.').next().unwrap_or(rest));
        if let Some(name) = name.filter(|name| !names.contains(name)) {
            names.push(name);
        }
    }
    names
}

impl Kind {
    /// Reads a value, or says what is allowed.
    pub(crate) fn read(&self, node: &Node) -> Result<Value, String> {
        match (self, &node.content) {
            (Self::Symbols, Content::List(items)) => symbols(items),
            (Self::Words(known), Content::List(items)) => words(items, known).ok_or_else(|| self.allowed()),
            (Self::Hosts, Content::List(items)) => hosts(items).ok_or_else(|| self.allowed()),
            (Self::Subjects, Content::List(items)) => subjects(items).ok_or_else(|| self.allowed()),
            (Self::Url(_) | Self::Path | Self::User, Content::Null) => Ok(Value::Nothing),
            (_, Content::Scalar(text)) => self.read_text(text),
            _ => Err(self.allowed()),
        }
    }

    /// Reads a value that stands in one piece of text, as in an environment variable.
    pub(crate) fn read_text(&self, text: &str) -> Result<Value, String> {
        let within = |value: u64, min: u64, max: u64| (min..=max).contains(&value).then_some(value);
        let read = match *self {
            Self::Flag => match text {
                "true" => Some(Value::Flag(true)),
                "false" => Some(Value::Flag(false)),
                _ => None,
            },
            Self::Integer(min, max) => {
                let digits = text.bytes().all(|b| b.is_ascii_digit());
                let number = digits.then(|| text.parse().ok()).flatten();
                number.and_then(|n| within(n, min, max)).map(Value::Integer)
            }
            Self::Bytes(min, max) => parse_bytes(text).and_then(|n| within(n, min, max)).map(Value::Integer),
            Self::Span(min, max) => {
                let fits = |d: &Duration| (Duration::from_millis(min)..=Duration::from_millis(max)).contains(d);
                parse_duration(text).filter(fits).map(Value::Span)
            }
            Self::Choice(words) => words
                .iter()
                .find(|word| **word == text)
                .map(|word| Value::Text((*word).to_owned())),
            Self::Or(word, _) if text == word => Some(Value::Text(word.to_owned())),
            Self::Or(_, other) => return other.read_text(text).map_err(|_| self.allowed()),
            // What is wrong is said without the text: it may hold a credential.
            Self::Url(schemes) => return ServerUrl::parse(text, schemes).map(Value::Url),
            Self::LogFilter => log_filter(text).map(Value::Text),
            Self::Path => (text.starts_with('/') && !text.contains('\0')).then(|| Value::Text(text.to_owned())),
            Self::User => is_user(text).then(|| Value::Text(text.to_owned())),
            Self::Address => text
                .parse::<IpAddr>()
                .ok()
                .map(|address| Value::Text(address.to_string())),
            Self::Reference => is_reference(text).then(|| Value::Text(text.to_owned())),
            Self::Symbols | Self::Words(_) | Self::Hosts | Self::Subjects => None,
        };
        read.ok_or_else(|| self.allowed())
    }

    /// Says what is allowed, as it stands after "expected".
    pub(crate) fn allowed(&self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Integer(0, u64::MAX) => "an integer from 0".to_owned(),
            Self::Integer(min, max) => format!("an integer from {min} to {max}"),
            Self::Bytes(min, max) => {
                format!(
                    "a size from {} to {}, like 16MiB",
                    format_bytes(*min),
                    format_bytes(*max)
                )
            }
            Self::Span(min, max) => {
                let text = |ms: &u64| format_duration(Duration::from_millis(*ms));
                format!("a duration from {} to {}, like 100ms or 2m", text(min), text(max))
            }
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Or(word, other) => format!("{word} or {}", other.allowed()),
            Self::Url(schemes) => format!("a URL with the scheme {}", schemes.join(" or ")),
            Self::Symbols => "a list of instrument ids like [BTCUSDT, ETHUSDT], each once".to_owned(),
            Self::Words(known) => format!("a list of some of {}, each once", known.join(", ")),
            Self::LogFilter => "error, warn, info, debug, trace, or directives like info,mprism_hot=debug".to_owned(),
            Self::Path => "an absolute path".to_owned(),
            Self::User => "the name of a user, without blanks".to_owned(),
            Self::Address => "an address of this host, like 127.0.0.1, 10.0.0.5 or 0.0.0.0".to_owned(),
            Self::Hosts => "a list of names or addresses of hosts like [lake.internal, 10.0.0.5], each once".to_owned(),
            Self::Subjects => "a list of subjects like [trade.binance_spot.spot.BTC-USDT], each once".to_owned(),
            Self::Reference => "a name as Docker writes it, like clickhouse/clickhouse-server:26.5".to_owned(),
        }
    }

    /// Returns whether it is a list, which stands with commas in one piece of text.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Self::Symbols | Self::Words(_) | Self::Hosts | Self::Subjects)
    }

    /// Returns whether a number of it is a size in bytes.
    pub(crate) fn is_size(&self) -> bool {
        matches!(self, Self::Bytes(..))
    }

    /// Returns whether what was said may be repeated in an error.
    pub(crate) fn is_printable(&self) -> bool {
        !matches!(self, Self::Url(_))
    }
}

fn symbols(items: &[Node]) -> Result<Value, String> {
    let allowed = || Kind::Symbols.allowed();
    let mut names: Vec<String> = Vec::new();
    for item in items {
        let Content::Scalar(name) = &item.content else {
            return Err(allowed());
        };
        // What an exchange may name an instrument; upper case, because other names are acknowledged and stay silent.
        let fits = (2..=64).contains(&name.chars().count())
            && name
                .chars()
                .all(|c| (c.is_alphanumeric() && !c.is_lowercase()) || matches!(c, '-' | '_'));
        if !fits || names.contains(name) {
            return Err(format!("{}, not \"{}\"", allowed(), printable(name)));
        }
        names.push(name.clone());
    }
    if names.is_empty() {
        Err(allowed())
    } else {
        Ok(Value::List(names))
    }
}

fn words(items: &[Node], known: &[&str]) -> Option<Value> {
    let mut found: Vec<String> = Vec::new();
    for item in items {
        let Content::Scalar(word) = &item.content else {
            return None;
        };
        if !known.contains(&word.as_str()) || found.contains(word) {
            return None;
        }
        found.push(word.clone());
    }
    (!found.is_empty()).then_some(Value::List(found))
}

/// Accepts what can stand before a colon in a credential.
fn is_user(text: &str) -> bool {
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && c != ':';
    (1..=255).contains(&text.len()) && text.chars().all(fits)
}

fn hosts(items: &[Node]) -> Option<Value> {
    let mut found: Vec<String> = Vec::new();
    for item in items {
        let Content::Scalar(name) = &item.content else {
            return None;
        };
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let is_host = name.parse::<IpAddr>().is_ok() || (name.len() <= 253 && name.split('.').all(is_label));
        if !is_host || found.contains(name) {
            return None;
        }
        found.push(name.clone());
    }
    Some(Value::List(found))
}

/// Accepts type, exchange, kind of market and symbol; whether there is such a market shows who listens.
fn subjects(items: &[Node]) -> Option<Value> {
    let mut found: Vec<String> = Vec::new();
    for item in items {
        let Content::Scalar(subject) = &item.content else {
            return None;
        };
        let is_token = |token: &str| {
            let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
            !token.is_empty() && token.chars().all(fits)
        };
        let is_subject = subject.len() <= 200 && subject.split('.').count() == 4 && subject.split('.').all(is_token);
        if !is_subject || found.contains(subject) {
            return None;
        }
        found.push(subject.clone());
    }
    Some(Value::List(found))
}

/// Accepts what can be an image, with its registry, tag and digest, or a network. Docker has the last word.
fn is_reference(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    text.len() <= 255 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(fits)
}

/// Accepts a level, MarketPrism's level names, and directives of the right form; the log set-up reads them whole.
fn log_filter(text: &str) -> Option<String> {
    let level = |word: &str| match word.to_ascii_lowercase().as_str() {
        "warning" => Some("warn".to_owned()),
        "critical" => Some("error".to_owned()),
        word @ ("error" | "warn" | "info" | "debug" | "trace" | "off") => Some(word.to_owned()),
        _ => None,
    };
    let directive = |part: &str| match part.split_once('=') {
        None => level(part),
        Some((target, word)) => {
            let target_fits =
                !target.is_empty() && target.chars().all(|c| c.is_ascii_alphanumeric() || "_:-".contains(c));
            level(word)
                .filter(|_| target_fits)
                .map(|word| format!("{target}={word}"))
        }
    };
    let parts: Option<Vec<String>> = text.split(',').map(|part| directive(part.trim())).collect();
    parts.map(|parts| parts.join(","))
}

/// Shortens what a file says to what can stand in an error.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// Returns the name nearest to a misspelt one, if one is near.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let far = (name.chars().count() / 3).max(1);
    let distance = |candidate: &str| strsim::damerau_levenshtein(&name.to_lowercase(), candidate);
    let best = known.iter().min_by_key(|candidate| distance(candidate))?;
    (distance(best) <= far).then_some(*best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Sources, gather};

    #[test]
    fn the_reference_says_every_setting_and_nothing_else() {
        let home = tempfile::tempdir().expect("temporary folder");
        let sources = Sources {
            home: home.path().into(),
            ..Sources::default()
        };
        let gathered = gather(&sources).expect("readable");
        assert_eq!(gathered.problems, []);
        for field in FIELDS {
            assert!(gathered.values.has(field.path), "{} has no default", field.path);
        }
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        assert_eq!(nearest("sync_intervall", &children("nats")), Some("sync_interval"));
        assert_eq!(nearest("Port", &children("nats")), Some("port"));
        assert_eq!(nearest("zzz", &children("nats")), None);
    }
}
