//! nats-server's configuration, generated at every start.

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use mprism_bus::{DATA_SUBJECTS, MIRROR_SUBJECTS, inbox_prefix};
use mprism_runtime::files;

use crate::{BrokerError, BrokerOptions};

/// The collector's user: publishes market data.
pub const USER_COLLECTOR: &str = "collector";
/// The hot worker's user: consumes and acks, and publishes dead letters.
pub const USER_HOT: &str = "hot";
/// The operator's user: everything.
pub const USER_OPERATOR: &str = "operator";
/// Who connects without credentials: may listen to market data and nothing else.
const USER_ANONYMOUS: &str = "anonymous";

/// The users' passwords.
#[derive(Clone)]
pub struct Passwords {
    /// Of [`USER_COLLECTOR`].
    pub collector: String,
    /// Of [`USER_HOT`].
    pub hot: String,
    /// Of [`USER_OPERATOR`].
    pub operator: String,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords(…)")
    }
}

/// When JetStream makes what it acknowledged durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before every acknowledgement.
    Always,
    /// Every so often; the collector publishes the window again after a restart of the server.
    Every(Duration),
}

impl fmt::Display for SyncPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Every(interval) => write!(f, "{}ms", interval.as_millis()),
        }
    }
}

pub(crate) fn write(options: &BrokerOptions) -> Result<(), BrokerError> {
    let path = &options.config_file;
    files::write_atomic(path, render(options, Some(&options.log_file)).as_bytes(), 0o600).map_err(|source| {
        BrokerError::Config {
            path: path.clone(),
            source,
        }
    })
}

/// Returns the configuration of a server that runs elsewhere and writes its log to standard error: one in a container.
pub fn container_config(options: &BrokerOptions) -> String {
    render(options, None)
}

fn render(options: &BrokerOptions, log_file: Option<&Path>) -> String {
    let mut text = String::from("# Written by mprism at every start: changes made here are lost.\n");
    let mut line = |text_line: fmt::Arguments<'_>| {
        writeln!(text, "{text_line}").expect("a String takes everything");
    };
    line(format_args!("server_name: mprism"));
    line(format_args!("listen: {}", quoted(&options.listen.to_string())));
    line(format_args!("http: {}", quoted(&options.monitor.to_string())));
    if let Some(log_file) = log_file {
        line(format_args!("log_file: {}", quoted(&log_file.display().to_string())));
        line(format_args!("logfile_size_limit: {}", options.log_bytes_max));
        line(format_args!("logfile_max_num: {}", options.log_files_max + 1));
    }
    line(format_args!("logtime_utc: true"));
    line(format_args!("max_payload: 8388608"));
    line(format_args!("max_pending: 268435456"));
    line(format_args!("write_deadline: \"10s\""));
    if let Some(identity) = &options.identity {
        line(format_args!("tls {{"));
        for (key, file) in [("cert_file", &identity.cert_file), ("key_file", &identity.key_file)] {
            line(format_args!("  {key}: {}", quoted(&file.display().to_string())));
        }
        line(format_args!("  min_version: \"1.2\""));
        line(format_args!("}}"));
    }
    line(format_args!("jetstream {{"));
    line(format_args!(
        "  store_dir: {}",
        quoted(&options.store.display().to_string())
    ));
    line(format_args!("  sync_interval: \"{}\"", options.sync));
    let file_bytes: u64 = options.layout.streams.iter().map(|stream| stream.bytes_max).sum();
    line(format_args!("  max_file_store: {}", file_bytes.saturating_mul(2)));
    line(format_args!("  max_memory_store: 67108864"));
    line(format_args!("}}"));
    line(format_args!("authorization {{"));
    line(format_args!("  users: ["));
    let data: Vec<&str> = DATA_SUBJECTS.to_vec();
    let passwords = &options.passwords;
    let everybody = [
        user(USER_OPERATOR, &passwords.operator, &[">"], &[">"]),
        user(
            USER_COLLECTOR,
            &passwords.collector,
            &[
                &data[..],
                &[
                    MIRROR_SUBJECTS,
                    "$JS.API.STREAM.INFO.*",
                    "$JS.API.STREAM.MSG.GET.*",
                    "health.>",
                ],
            ]
            .concat(),
            &[&format!("{}.>", inbox_prefix(USER_COLLECTOR))],
        ),
        user(
            USER_HOT,
            &passwords.hot,
            &[
                "dead.>",
                "lease.>",
                "$JS.API.STREAM.MSG.GET.MPRISM_LEASES",
                // What the store rejects is fetched once more, to be kept as it came.
                "$JS.API.STREAM.MSG.GET.MARKET_DATA",
                "$JS.API.STREAM.MSG.GET.ORDERBOOK_SNAP",
                "$JS.ACK.>",
                "$JS.API.STREAM.INFO.*",
                "$JS.API.CONSUMER.INFO.*.*",
                "$JS.API.CONSUMER.MSG.NEXT.*.*",
                "$JS.API.CONSUMER.CREATE.>",
                "$JS.API.CONSUMER.DURABLE.CREATE.>",
                "$JS.API.CONSUMER.DELETE.*.*",
            ],
            &[&format!("{}.>", inbox_prefix(USER_HOT))],
        ),
        user(
            USER_ANONYMOUS,
            "",
            &["_INBOX.none"],
            &[&data[..], &[MIRROR_SUBJECTS, "_INBOX.>"]].concat(),
        ),
    ];
    // Whom nobody has to prove to be is nobody where everybody has to.
    let known = everybody.len() - usize::from(options.identity.is_some());
    for user in &everybody[..known] {
        line(format_args!("    {user}"));
    }
    line(format_args!("  ]"));
    line(format_args!("}}"));
    // What other hosts can reach is for those who are known.
    if options.identity.is_none() {
        line(format_args!("no_auth_user: {USER_ANONYMOUS}"));
    }
    text
}

fn user(name: &str, password: &str, publish: &[&str], subscribe: &[&str]) -> String {
    let list = |subjects: &[&str]| subjects.iter().map(|s| quoted(s)).collect::<Vec<_>>().join(", ");
    format!(
        "{{user: {name}, password: {}, permissions: {{publish: [{}], subscribe: [{}]}}}}",
        quoted(password),
        list(publish),
        list(subscribe)
    )
}

/// Writes a text so that nats-server's configuration reads it back as it is.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
