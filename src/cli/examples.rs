//! An example for every command, shown at the end of its help. A test reads each of them as a command line.

/// Commands by the words after `mprism`, and what one types.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("", &["mprism up --sim --for 30s", "mprism status", "mprism diagnose"]),
    (
        "init",
        &["mprism init", "mprism init nats --offline", "mprism init --dry-run"],
    ),
    ("up", &["mprism up --sim --for 30s", "mprism up"]),
    ("down", &["mprism down"]),
    (
        "start",
        &[
            "mprism start",
            "mprism start hot collector --wait 60",
            "mprism start --sim --verify",
            "mprism start --take-over --dry-run",
        ],
    ),
    ("stop", &["mprism stop", "mprism stop collector --timeout 30"]),
    (
        "restart",
        &["mprism restart", "mprism restart hot", "mprism restart --one-by-one"],
    ),
    ("status", &["mprism status", "mprism status hot --json"]),
    ("health", &["mprism health", "mprism health storage"]),
    (
        "top",
        &["mprism top", "mprism top --interval 5s", "mprism top --json --count 10"],
    ),
    (
        "integrity",
        &[
            "mprism integrity --since 1h",
            "mprism integrity storage --strict --report report.md",
        ],
    ),
    (
        "verify",
        &[
            "mprism verify",
            "mprism verify --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z",
        ],
    ),
    (
        "repair",
        &[
            "mprism repair --dry-run",
            "mprism repair",
            "mprism repair --dead-letters --type trade",
            "mprism repair --schema --dry-run",
        ],
    ),
    ("cold", &["mprism cold backfill"]),
    (
        "cold backfill",
        &[
            "mprism cold backfill",
            "mprism cold backfill --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z",
        ],
    ),
    (
        "diagnose",
        &["mprism diagnose", "mprism diagnose --bundle support.tar.gz"],
    ),
    (
        "clean",
        &[
            "mprism clean",
            "mprism clean --ports",
            "mprism clean collector --data --dry-run",
        ],
    ),
    ("history", &["mprism history", "mprism history -n 100 --json"]),
    ("config", &["mprism config show", "mprism config validate"]),
    (
        "config show",
        &["mprism config show", "mprism config show nats hot.batch"],
    ),
    (
        "config validate",
        &["mprism config validate", "mprism config validate site.yaml"],
    ),
    ("config path", &["mprism config path"]),
    ("config edit", &["mprism config edit"]),
    ("config schema", &["mprism config schema"]),
    ("deps", &["mprism deps list", "mprism deps verify"]),
    ("deps list", &["mprism deps list"]),
    (
        "deps install",
        &["mprism deps install", "mprism deps install nats-server --offline"],
    ),
    ("deps verify", &["mprism deps verify"]),
    ("env", &["mprism env", "mprism env --format json"]),
    (
        "query",
        &[
            "mprism query \"SELECT count() FROM marketprism_hot.trades\"",
            "mprism query --format CSV \"SELECT 1\"",
        ],
    ),
    (
        "export",
        &[
            "mprism export trade --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z -o trades.parquet",
            "mprism export orderbook --from 2026-11-01T00:00:00Z --to 2026-11-01T01:00:00Z -o b.jsonl.zst",
        ],
    ),
    ("infra", &["mprism infra up", "mprism infra status"]),
    ("infra up", &["mprism infra up", "mprism infra up nats --dry-run"]),
    ("infra down", &["mprism infra down", "mprism infra down --volumes"]),
    (
        "infra status",
        &["mprism infra status", "mprism infra status nats --json"],
    ),
    (
        "infra logs",
        &["mprism infra logs -f", "mprism infra logs clickhouse -n 20"],
    ),
    (
        "infra compose",
        &["mprism infra compose", "mprism infra compose --workers"],
    ),
    ("logs", &["mprism logs -f", "mprism logs hot --level warn --since 10m"]),
    ("replay", &["mprism replay frames/binance/spot/trade --trace"]),
    (
        "smoke",
        &[
            "mprism smoke",
            "mprism smoke --duration 10m --sample 30s",
            "mprism smoke --live --duration 10m --sample 30s",
        ],
    ),
    (
        "bench",
        &[
            "mprism bench control",
            "mprism bench pipeline --rate 1000 --for 30s",
            "mprism bench transport --for 5m --window 30s --jsonl latency.jsonl",
            "mprism bench all --json",
            "mprism bench all --baseline before.json",
        ],
    ),
    ("systemd", &["mprism systemd print", "mprism systemd install --user"]),
    ("systemd print", &["mprism systemd print --system"]),
    (
        "systemd install",
        &["mprism systemd install", "mprism systemd install --user --name lake"],
    ),
    ("systemd uninstall", &["mprism systemd uninstall"]),
    ("completions", &["mprism completions bash"]),
    ("man", &["mprism man", "mprism man start"]),
];

/// Adds its examples to each command's help.
pub(super) fn attach(command: clap::Command, path: &str) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |command, name| {
        let child = if path.is_empty() {
            name.clone()
        } else {
            format!("{path} {name}")
        };
        command.mut_subcommand(name, |sub| attach(sub, &child))
    });
    match EXAMPLES.iter().find(|(known, _)| *known == path) {
        Some((_, lines)) => command.after_help(format!("Examples:\n  {}", lines.join("\n  "))),
        None => command,
    }
}
