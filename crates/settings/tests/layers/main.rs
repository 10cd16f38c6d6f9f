//! Layers, and what is said about wrong ones.

mod marketprism;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use mprism_settings::{
    Backend, ClickhouseServer, DEFAULT_YAML, Mode, NatsLogin, Override, Settings, SettingsError, SimRate, Sources,
    SyncInterval, VolumeSettings,
};

struct Home(tempfile::TempDir);

impl Home {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir(folder.path().join("config")).expect("made");
        for (name, text) in files {
            fs::write(folder.path().join("config").join(name), text).expect("written");
        }
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn sources(&self, environment: &[(&str, &str)]) -> Sources {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Sources {
            home: self.path().into(),
            environment: environment.iter().map(pair).collect::<BTreeMap<_, _>>(),
            ..Sources::default()
        }
    }

    fn load(&self, environment: &[(&str, &str)]) -> Result<Settings, String> {
        let folder = self.path().join("config");
        Settings::load(&self.sources(environment))
            .map_err(|e| e.to_string().replace(&format!("{}/", folder.display()), ""))
    }
}

fn problems(yaml: &str) -> String {
    Home::new(&[("config.yaml", yaml)]).load(&[]).expect_err(yaml)
}

#[test]
fn defaults_are_those_of_the_reference() {
    let settings = Home::new(&[]).load(&[]).expect("valid");
    assert_eq!(
        (settings.nats.port, settings.nats.monitor_port, settings.clickhouse.port),
        (4222, 8222, 8123)
    );
    assert_eq!((settings.collector.port, settings.collector.metrics_port), (8087, 9093));
    assert_eq!((settings.hot.port, settings.sim.port), (8085, 8090));
    assert_eq!(settings.nats.url.expose(), "nats://127.0.0.1:4222");
    assert_eq!(settings.nats.sync_interval, SyncInterval::Every(Duration::from_secs(1)));
    assert_eq!(settings.nats.market_data_bytes_max, 2_147_483_648);
    assert_eq!(settings.nats.orderbook_bytes_max, 5_368_709_120);
    assert_eq!(settings.hot.batch.rows_max, 20_000);
    assert_eq!(settings.collector.spool.fsync_interval, Duration::from_millis(50));
    assert_eq!(settings.sim.rate, SimRate::PerSecond(500));
    assert_eq!(
        settings.collector.exchanges["binance_spot"].symbols,
        ["BTCUSDT", "ETHUSDT"]
    );
}

#[test]
fn each_layer_wins_over_the_one_below() {
    let home = Home::new(&[
        (
            "10-first.yaml",
            "hot: {port: 1001}\nsim: {port: 1001}\ncollector: {port: 1001, metrics_port: 1111}\n",
        ),
        (
            "20-second.yaml",
            "sim: {port: 1002}\ncollector: {port: 1002}\nnats: {port: 1012}\n",
        ),
        (".20-second.yaml.swp.yaml", "nonsense: true\n"),
        ("notes.txt", "nonsense: true\n"),
    ]);
    let file = home.path().join("given.yml");
    fs::write(
        &file,
        "collector: {port: 1003}\nnats: {port: 1013, monitor_port: 1014}\nclickhouse: {port: 1023}\n",
    )
    .expect("written");
    let mut sources = home.sources(&[
        ("CLICKHOUSE_HTTP_PORT", "1024"),
        ("METRICS_PORT", "1034"),
        ("HOT_STORAGE_HTTP_PORT", ""),
    ]);
    sources.config_file = Some(file);
    sources.port_offset = Some(100);
    let flag = |path, value: &str| Override {
        path,
        value: value.to_owned(),
        flag: "--sim-rate",
    };
    sources.overrides = vec![flag("sim.rate", "max")];
    let settings = Settings::load(&sources).expect("valid");
    let ports = [
        settings.hot.port,
        settings.sim.port,
        settings.collector.port,
        settings.nats.port,
        settings.clickhouse.port,
        settings.collector.metrics_port,
    ];
    assert_eq!(ports, [1101, 1102, 1103, 1113, 1124, 1134]);
    assert_eq!(settings.sim.rate, SimRate::Max);
}

#[test]
fn a_wrong_line_is_named_with_what_is_allowed() {
    let cases = [
        (
            "nats:\n  sync_intervall: 1s\n",
            "config.yaml:2: unknown key \"sync_intervall\" in nats, did you mean \"sync_interval\"?",
        ),
        (
            "natz:\n  port: 1\n",
            "config.yaml:1: unknown key \"natz\", did you mean \"nats\"?",
        ),
        (
            "durability: fast\n",
            "config.yaml:1: unknown key \"durability\", did you mean \"nats.durability\"?",
        ),
        (
            "xyzzy: 1\n",
            "config.yaml:1: unknown key \"xyzzy\"; known keys: nats, clickhouse, collector, hot, cold, sim, services, tls, infra, supervisor, logging",
        ),
        (
            "collector:\n  exchanges:\n    kraken: {}\n",
            "config.yaml:3: unknown key \"kraken\" in collector.exchanges; known keys: binance_spot, binance_derivatives, okx_spot, okx_derivatives, deribit_derivatives",
        ),
        (
            "nats: {port: 0}\n",
            "config.yaml:1: nats.port: expected an integer from 1 to 65535, not \"0\"",
        ),
        (
            "nats: {port: 65536}\n",
            "config.yaml:1: nats.port: expected an integer from 1 to 65535, not \"65536\"",
        ),
        ("nats: {port: -1}\n", "not \"-1\""),
        (
            "nats: {port: }\n",
            "nats.port: expected an integer from 1 to 65535, not nothing",
        ),
        ("nats: {port: [1]}\n", "not a list"),
        ("nats: {port: {a: 1}}\n", "not a section"),
        (
            "nats: 5\n",
            "config.yaml:1: nats must hold keys and values; known keys: mode, url, user, password_file",
        ),
        ("- a\n", "config.yaml:1: a settings file must hold keys and values"),
        (
            "nats: {durability: safe}\n",
            "nats.durability: expected one of balanced, strict, fast, not \"safe\"",
        ),
        (
            "nats: {market_data_bytes_max: 2 gigs}\n",
            "expected a size from 1MiB to 16TiB, like 16MiB, not \"2 gigs\"",
        ),
        (
            "hot: {batch: {age_max: 100}}\n",
            "hot.batch.age_max: expected a duration from 1ms to 1m, like 100ms or 2m, not \"100\"",
        ),
        (
            "hot: {batch: {rows_max: 500001}}\n",
            "expected an integer from 1 to 500000",
        ),
        (
            "collector: {exchanges: {binance_spot: {enabled: yes}}}\n",
            "expected true or false, not \"yes\"",
        ),
        (
            "collector: {exchanges: {binance_spot: {symbols: []}}}\n",
            "expected a list of instrument ids",
        ),
        (
            "collector: {exchanges: {binance_spot: {symbols: [BTCUSDT, BTCUSDT]}}}\n",
            "each once, not \"BTCUSDT\"",
        ),
        (
            "collector: {exchanges: {binance_spot: {symbols: [btcusdt]}}}\n",
            "not \"btcusdt\"",
        ),
        (
            "collector: {exchanges: {binance_spot: {websocket_url: null}}}\n",
            "websocket_url: expected a URL, not nothing",
        ),
        (
            "collector: {exchanges: {binance_spot: {websocket_url: ftp://a}}}\n",
            "expected a URL with the scheme ws or wss",
        ),
        (
            "collector: {spool: {bytes_max: 64MiB, segment_bytes: 1GiB}}\n",
            "collector.spool.bytes_max: expected at least two segments",
        ),
        (
            "sim: {rate: fast}\n",
            "sim.rate: expected max or an integer from 1 to 10000000, not \"fast\"",
        ),
        (
            "logging: {level: loud}\n",
            "expected error, warn, info, debug, trace, or directives",
        ),
        (
            "nats: {mode: external}\n",
            "config.yaml:1: nats.mode: external needs nats.url",
        ),
        (
            "nats: {url: nats://elsewhere:4222}\n",
            "nats.url: has a meaning only with nats.mode: external",
        ),
        (
            "nats: {durability: strict, sync_interval: 1s}\n",
            "nats.sync_interval: expected auto",
        ),
        (
            "nats: {sync_interval: 2s}\n",
            "nats.sync_interval: expected at most 1s with durability balanced",
        ),
        (
            "supervisor: {backoff_min: 2m}\n",
            "supervisor.backoff_max: expected at least supervisor.backoff_min",
        ),
        (
            "hot: {port: 8123}\n",
            "hot.port: port 8123 is already that of clickhouse.port",
        ),
        (
            "hot:\n  port: 1\n  port: 2\n",
            "config.yaml:3: key \"port\" stands here twice, first in line 2",
        ),
        ("hot: {port: 1\n", "not YAML"),
    ];
    for (yaml, expected) in cases {
        let said = problems(yaml);
        assert!(said.contains(expected), "{yaml:?}\n said {said}\n not  {expected}");
        assert!(!said.contains("built-in"), "{yaml:?}: {said}");
    }
}

#[test]
fn where_a_server_runs_is_said_once_or_twice_but_not_differently() {
    let load = |yaml: &str| Home::new(&[("a.yaml", yaml)]).load(&[]).expect("valid");
    let infra = load("").infra;
    assert_eq!(
        (infra.nats_backend, infra.clickhouse_backend),
        (Backend::Embedded, Backend::Embedded)
    );
    assert_eq!(infra.clickhouse_server, ClickhouseServer::Clickhouse);
    let infra =
        load("infra: {nats: {mode: docker}, clickhouse: {mode: native, image: \"r.internal:5000/c@sha256:ab\"}}\n")
            .infra;
    assert_eq!(
        (infra.nats_backend, infra.clickhouse_backend),
        (Backend::Docker, Backend::Native)
    );
    assert_eq!(infra.clickhouse.image, "r.internal:5000/c@sha256:ab");
    for yaml in [
        "nats: {mode: external, url: \"nats://lake:4222\"}\n",
        "nats: {url: \"nats://lake:4222\"}\ninfra: {nats: {mode: external}}\n",
    ] {
        let settings = load(yaml);
        assert_eq!(
            (settings.nats.mode, settings.infra.nats_backend),
            (Mode::External, Backend::External),
            "{yaml}"
        );
    }
    let told = problems("nats: {mode: external, url: \"nats://lake:4222\"}\ninfra: {nats: {mode: docker}}\n");
    assert!(
        told.contains("infra.nats.mode: docker contradicts nats.mode: external"),
        "{told}"
    );
    let told = problems("infra: {nats: {mode: external}}\n");
    assert!(told.contains("infra.nats.mode: external needs nats.url"), "{told}");
    let told = problems("infra: {nats: {image: \"nats; rm\"}}\n");
    assert!(told.contains("a name as Docker writes it"), "{told}");
}

#[test]
fn a_volume_is_the_homes_own_unless_one_is_named() {
    let load = |yaml: &str| Home::new(&[("a.yaml", yaml)]).load(&[]).expect("valid").infra;
    let infra = load("");
    assert_eq!((infra.nats_volume, infra.clickhouse_volume), (None, None));
    let volume = |name: &str, folder: Option<&str>| {
        Some(VolumeSettings {
            name: name.to_owned(),
            folder: folder.map(str::to_owned),
        })
    };
    let infra = load("infra: {nats: {volume: lake_nats/jetstream}, clickhouse: {volume: tables}}\n");
    assert_eq!(infra.nats_volume, volume("lake_nats", Some("jetstream")));
    assert_eq!(infra.clickhouse_volume, volume("tables", None));
    let infra = load("infra: {nats: {volume: lake_nats/.}}\n");
    assert_eq!(infra.nats_volume, volume("lake_nats", Some(".")));
    let told = problems("infra: {clickhouse: {volume: tables/clickhouse}}\n");
    assert!(
        told.contains("infra.clickhouse.volume: a volume's name without a folder"),
        "{told}"
    );
}

#[test]
fn what_other_hosts_can_reach_speaks_tls() {
    let load = |yaml: &str| Home::new(&[("a.yaml", yaml)]).load(&[]).expect("valid");
    let settings = load("");
    assert_eq!(settings.nats.url.to_string(), "nats://127.0.0.1:4222");
    assert!(!settings.tls.guards(settings.nats.listen));
    let settings = load("nats: {listen: 10.0.0.2}\nclickhouse: {listen: 0.0.0.0}\nhot: {listen: \"::\"}\n");
    assert_eq!(settings.nats.url.to_string(), "tls://10.0.0.2:4222");
    assert_eq!(settings.clickhouse.url.to_string(), "https://127.0.0.1:8123");
    assert!(settings.tls.guards(settings.hot.listen) && !settings.tls.guards(settings.cold.listen));
    assert_eq!(settings.nats.trust.ca_file, Some(settings.home.certificate("ca.pem")));
    let always = load("tls: {listeners: always}\n");
    assert_eq!(always.clickhouse.url.to_string(), "https://127.0.0.1:8123");
    let own = load("tls: {cert_file: /a.pem, key_file: /a.key, names: [lake.internal]}\n");
    assert!(!own.tls.is_generated && own.tls.ca_file.is_none());
}

#[test]
fn a_server_of_somebody_elses_is_told_once_who_we_are() {
    let load = |yaml: &str| Home::new(&[("a.yaml", yaml)]).load(&[]).expect("valid");
    let external = "nats: {mode: external, url: \"tls://lake:4222\", ";
    let login = |rest: &str| load(&format!("{external}{rest}}}\n")).nats.login;
    assert_eq!(login("token_file: /t"), NatsLogin::Token("/t".into()));
    assert_eq!(login("secrets_folder: /s"), NatsLogin::Members("/s".into()));
    assert_eq!(login("credentials_file: /c"), NatsLogin::Credentials("/c".into()));
    assert_eq!(login("nkey_file: /n"), NatsLogin::Nkey("/n".into()));
    assert_eq!(login("port: 1"), NatsLogin::AsAddressed);
    let user = NatsLogin::User {
        user: "bob".into(),
        password_file: "/p".into(),
    };
    assert_eq!(login("user: bob, password_file: /p"), user);
    let remote = "services:\n  hot: {mode: external, url: \"https://lake:8085/\", ca_file: /ca, password_file: /p}\n";
    let hot = load(remote).services.hot.expect("elsewhere");
    assert_eq!(
        (hot.url.to_string(), hot.ca_file),
        ("https://lake:8085".to_owned(), Some("/ca".into()))
    );
    for (yaml, expected) in [
        (
            format!("{external}user: bob}}\n"),
            "nats.user: needs nats.password_file",
        ),
        (
            format!("{external}token_file: /t, nkey_file: /n}}\n"),
            "nats.nkey_file: nats.token_file says already who connects",
        ),
        (
            format!("{external}tls: {{cert_file: /c}}}}\n"),
            "nats.tls.cert_file: needs nats.tls.key_file",
        ),
        (
            "nats: {mode: external, url: \"nats://bob:s3cret@lake\", token_file: /t}\n".to_owned(),
            "nats.token_file: the credential stands in nats.url already",
        ),
        (
            "nats: {token_file: /t}\n".to_owned(),
            "nats.token_file: has a meaning only with nats.mode: external",
        ),
        (
            "clickhouse: {user: reader}\n".to_owned(),
            "clickhouse.user: has a meaning only with clickhouse.mode: external",
        ),
        (
            "nats: {listen: lake}\n".to_owned(),
            "config.yaml:1: nats.listen: expected an address of this host",
        ),
        ("tls: {cert_file: /c}\n".to_owned(), "tls.cert_file: needs tls.key_file"),
        (
            "collector: {mirror: {subjects: [trade.binance_spot.spot.>]}}\n".to_owned(),
            "collector.mirror.subjects: expected a list of subjects",
        ),
        (
            "tls: {names: [\"a b\"]}\n".to_owned(),
            "tls.names: expected a list of names or addresses",
        ),
        (
            "services: {hot: {mode: external}}\n".to_owned(),
            "services.hot.mode: external needs services.hot.url",
        ),
        (
            "services: {hot: {mode: external, url: \"http://lake:8085\", password_file: /p}}\n".to_owned(),
            "services.hot.password_file: is not sent without TLS",
        ),
        ("services: {hto: {}}\n".to_owned(), "did you mean \"hot\"?"),
    ] {
        let told = problems(&yaml);
        assert!(told.contains(expected) && !told.contains("s3cret"), "{yaml}{told}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let home = Home::new(&[
        ("a.yaml", "nats:\n  portt: 1\n  durability: x\n"),
        ("b.yaml", "hot:\n  batch:\n    rows_max: 0\n"),
    ]);
    let said = home
        .load(&[("HEALTH_CHECK_PORT", "http"), ("MPRISM_PORT_OFFSET", "50")])
        .expect_err("wrong");
    let lines: Vec<&str> = said.lines().map(|line| line.split(": ").next().unwrap_or("")).collect();
    assert_eq!(
        lines,
        [
            "a.yaml:2",
            "a.yaml:3",
            "b.yaml:3",
            "MPRISM_PORT_OFFSET",
            "HEALTH_CHECK_PORT"
        ],
        "{said}"
    );
}

#[test]
fn ports_stay_ports_when_moved() {
    let home = Home::new(&[]);
    let offset = |offset| {
        let mut sources = home.sources(&[]);
        sources.port_offset = Some(offset);
        Settings::load(&sources)
            .map(|s| s.clickhouse.port)
            .map_err(|e| e.to_string())
    };
    assert_eq!(offset(56_400), Ok(64_523));
    let beyond = offset(60_000).expect_err("beyond");
    assert!(
        beyond.contains("collector.metrics_port: port 9093 with the offset 60000 is beyond 65535"),
        "{beyond}"
    );
    for wrong in [150, 70_000, u32::MAX] {
        let said = offset(wrong).expect_err("wrong");
        assert!(
            said.starts_with("--port-offset: expected 0 or a multiple of 100 up to 65500"),
            "{said}"
        );
    }
}

#[test]
fn an_address_of_our_own_is_ours_with_the_ports_moved_too() {
    let home = Home::new(&[]);
    let mut sources = home.sources(&[
        ("MARKETPRISM_NATS_URL", "nats://127.0.0.1:4422"),
        ("CLICKHOUSE_HTTP_URL", "http://127.0.0.1:8323/"),
    ]);
    sources.port_offset = Some(200);
    let settings = Settings::load(&sources).expect("valid");
    assert_eq!(
        (settings.nats.mode, settings.clickhouse.mode),
        (Mode::Managed, Mode::Managed)
    );
}

#[test]
fn a_credential_in_an_address_is_never_shown() {
    let home = Home::new(&[(
        "a.yaml",
        "nats: {mode: external, url: \"nats://bob:s3cret@nats.internal:4222\"}\n",
    )]);
    let settings = home.load(&[]).expect("valid");
    assert!(settings.nats.url.expose().contains("s3cret"));
    assert!(!format!("{settings:?}").contains("s3cret"));
    for url in ["nats//bob:s3cret@x", "http://bob:s3cret@x", "nats://bob:s3cret@x:99999"] {
        assert!(!problems(&format!("nats: {{mode: external, url: \"{url}\"}}\n")).contains("s3cret"));
        assert!(!home.load(&[("NATS_URL", url)]).expect_err("wrong").contains("s3cret"));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let home = Home::new(&[]);
    let mut sources = home.sources(&[]);
    sources.config_file = Some(home.path().join("missing.yaml"));
    let error = Settings::load(&sources).expect_err("missing");
    assert!(matches!(error, SettingsError::Read { .. }));
    assert!(error.to_string().ends_with("missing.yaml"), "{error}");
    sources.config_file = Some(home.path().into());
    Settings::load(&sources).expect_err("a folder is no file");
}

#[test]
fn the_reference_can_be_given_as_a_file() {
    let settings = Home::new(&[("all.yaml", DEFAULT_YAML)]).load(&[]).expect("valid");
    assert_eq!(settings.hot.port, 8085);
}
