//! The variables and files of MarketPrism.

use super::*;

#[test]
fn the_variables_of_marketprism_keep_their_meaning() {
    let home = Home::new(&[]);
    let nats = |pairs: &[(&str, &str)]| {
        let settings = home.load(pairs).expect("valid");
        (settings.nats.mode, settings.nats.url.expose().to_owned())
    };
    let ours = (Mode::Managed, "nats://127.0.0.1:4222".to_owned());
    let theirs = |url: &str| (Mode::External, url.to_owned());
    assert_eq!(nats(&[("NATS_URL", "nats://localhost:4222")]), ours);
    assert_eq!(nats(&[("NATS_URL", "nats://localhost")]), ours);
    assert_eq!(nats(&[("NATS_URL", "")]), ours);
    assert_eq!(
        nats(&[("NATS_URL", "nats://b:1"), ("MARKETPRISM_NATS_URL", "nats://a:1")]),
        theirs("nats://a:1")
    );
    assert_eq!(
        nats(&[("NATS_URL", "nats://localhost:4333")]),
        theirs("nats://localhost:4333")
    );

    let settings = home
        .load(&[
            ("MARKETPRISM_CLICKHOUSE_HOST", "lake.internal"),
            ("LOG_LEVEL", "WARNING"),
        ])
        .expect("valid");
    assert_eq!(settings.clickhouse.mode, Mode::External);
    assert_eq!(settings.clickhouse.url.expose(), "http://lake.internal:8123");
    assert_eq!(settings.logging.level, "warn");
    let settings = home
        .load(&[
            ("CLICKHOUSE_HOST", "localhost"),
            ("MARKETPRISM_CLICKHOUSE_PORT", "9123"),
        ])
        .expect("valid");
    assert_eq!(
        (settings.clickhouse.mode, settings.clickhouse.port),
        (Mode::Managed, 9123)
    );
    let said = home.load(&[("CLICKHOUSE_DATABASE", "default")]).expect_err("wrong");
    assert!(
        said.starts_with("CLICKHOUSE_DATABASE: expected marketprism_hot"),
        "{said}"
    );
    for name in mprism_settings::variables() {
        assert_eq!(name, name.to_uppercase());
    }
}

#[test]
fn a_variable_in_marketprisms_units_is_read_in_them() {
    let home = Home::new(&[]);
    let settings = home
        .load(&[
            ("AUTO_RESTART_ON_HEALTH_CRITICAL", "1"),
            ("COLLECTOR_MEMORY_MB", "1400"),
            ("COLLECTOR_MAX_UPTIME_H", "48"),
            ("ENVIRONMENT", "development"),
            ("MARKETPRISM_COLLECTOR_LOCK", "/tmp/marketprism_collector.lock"),
            ("STORAGE_MODE", "cold"),
        ])
        .expect("valid");
    let heal = &settings.collector.self_heal;
    assert!(heal.enabled && heal.memory_bytes_max == 1400 << 20 && heal.uptime_max == Duration::from_secs(48 * 3600));
    assert_eq!(settings.logging.level, "debug");
    assert_eq!(settings.collector.lock, Path::new("/tmp/marketprism_collector.lock"));
    assert_eq!(settings.ignored.len(), 1);
    assert_eq!(
        home.load(&[("ENVIRONMENT", "staging")]).expect("valid").logging.level,
        "info"
    );
    for pair in [
        ("COLLECTOR_MEMORY_MB", "lots"),
        ("MARKETPRISM_HOT_STORAGE_LOCK", "relative"),
    ] {
        assert!(home.load(&[pair]).expect_err("wrong").starts_with(pair.0));
    }
}

#[test]
fn a_file_of_marketprisms_means_here_what_it_meant_there() {
    let home = Home::new(&[]);
    let file = home.path().join("unified_data_collection.yaml");
    let yaml = "exchanges:\n  binance_spot:\n    market_type: spot\n    enabled: true\n    symbols: [BTCUSDT]\n    api:\n      \
                ws_url: wss://stream.binance.com:9443/ws\n  kraken: {enabled: true}\nnats:\n  servers: ['nats://lake:4222']\n\
                monitoring: {metrics: {port: 9193}, health_check: {port: 8187}}\nmystery: 1\n";
    fs::write(&file, yaml).expect("written");
    let mut sources = home.sources(&[]);
    sources.config_file = Some(file);
    let settings = Settings::load(&sources).expect("valid");
    assert_eq!(settings.collector.exchanges["binance_spot"].symbols, ["BTCUSDT"]);
    assert_eq!((settings.collector.port, settings.collector.metrics_port), (8187, 9193));
    assert_eq!(
        (settings.nats.mode, settings.nats.url.expose()),
        (Mode::External, "nats://lake:4222")
    );
    let keys: Vec<_> = settings
        .ignored
        .iter()
        .filter_map(|ignored| ignored.key.as_deref())
        .collect();
    assert_eq!(
        keys,
        [
            "exchanges.binance_spot.market_type",
            "exchanges.kraken.enabled",
            "mystery"
        ]
    );
}
