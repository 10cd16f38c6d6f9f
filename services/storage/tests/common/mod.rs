//! A real engine in this process, with the schema; and messages of every type but books, trades and gaps.
#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::time::Duration;

use mprism_clickhouse::{Store, StoreOptions, Tier, ensure_schema};
use mprism_deps::Dependency;
use mprism_engine::EngineOptions;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A running engine. The library allows one a process: a test program has one test that starts it.
pub(crate) struct Engine {
    pub(crate) options: StoreOptions,
    pub(crate) store: Store,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
    _data: tempfile::TempDir,
}

/// Returns how the writer reaches an engine.
pub(crate) fn store_options(url: &str) -> StoreOptions {
    StoreOptions {
        url: url.into(),
        user: "writer".into(),
        password: "secret".into(),
        tls: None,
        connect_timeout: Duration::from_secs(10),
        query_timeout: Duration::from_secs(60),
        insert_timeout: Duration::from_secs(60),
        fence_timeout: Duration::from_secs(60),
    }
}

impl Engine {
    /// Starts it and makes the tables.
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder")).await
    }

    /// As [`Engine::start`], with its data in a folder of that.
    pub(crate) async fn start_in(data: tempfile::TempDir) -> Self {
        Self::start_with(data, true).await
    }

    /// As [`Engine::start`], with no more fences than a ClickHouse server has.
    pub(crate) async fn start_as_server() -> Self {
        Self::start_with(tempfile::tempdir().expect("a folder"), false).await
    }

    async fn start_with(data: tempfile::TempDir, fences: bool) -> Self {
        // Each test program makes its first client here; a second provider would be refused, and is the same.
        let _there_already = rustls::crypto::ring::default_provider().install_default();
        let library = tokio::task::spawn_blocking(|| mprism_testkit::dependency(Dependency::Libchdb));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let listen = listener.local_addr().expect("bound");
        let options = EngineOptions {
            listen,
            library: library.await.expect("no panic"),
            data: data.path().join("data"),
            writer_user: "writer".into(),
            writer_password: "secret".into(),
            remote: None,
            allowed_hosts: Vec::new(),
            readers_from_anywhere: false,
            readers_max: 4,
            reader_wait: Duration::from_secs(5),
            reader_memory_max: 1 << 30,
            writers_max: 16,
            body_bytes_max: 1 << 30,
            fences,
        };
        let shutdown = CancellationToken::new();
        let served = mprism_engine::serve(listener, options, shutdown.clone());
        let serving = tokio::spawn(async move { served.await.expect("serves until it is told to end") });
        let options = store_options(&format!("http://{listen}"));
        let store = Store::new(options.clone()).expect("a client");
        mprism_testkit::until("the engine answers", async || {
            let answer = store.ping(Duration::from_secs(1)).await;
            answer.map_err(|e| e.to_string())
        })
        .await;
        let tiers = [Tier::Hot, Tier::Leaving, Tier::Cold];
        let made = ensure_schema(&store, &tiers).await.expect("tables");
        let tables: usize = tiers.iter().map(|tier| tier.tables().len()).sum();
        assert_eq!(made.created.len(), tables, "{made:?}");
        Self {
            options,
            store,
            shutdown,
            serving,
            _data: data,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.serving.await.expect("ends");
    }
}

/// One type: where its messages go, and messages of it.
pub(crate) struct Sample {
    pub(crate) subject: &'static str,
    pub(crate) table: &'static str,
    /// What somebody publishes.
    pub(crate) first: Value,
    /// The same as somebody else says it: other local clocks, other spelling, other extras.
    pub(crate) again: Value,
    /// What follows.
    pub(crate) next: Value,
    /// The first with other content.
    pub(crate) revised: Value,
    /// The columns that say what the first says.
    pub(crate) columns: &'static str,
    /// What the first says there.
    pub(crate) stored: &'static str,
}

/// Returns a message with fields changed.
fn with(message: &Value, changes: Value) -> Value {
    let mut message = message.clone();
    let Value::Object(changes) = changes else {
        return message;
    };
    for (field, value) in changes {
        message[field] = value;
    }
    message
}

/// Returns messages of every type but books, trades and gaps.
pub(crate) fn samples() -> Vec<Sample> {
    let mut samples = vec![funding_rate(), open_interest(), liquidation(), volatility_index()];
    samples.extend(
        [
            ("lsr_top_position", "lsr_top_positions"),
            ("lsr_all_account", "lsr_all_accounts"),
        ]
        .map(lsr),
    );
    samples
}

fn funding_rate() -> Sample {
    let first = json!({"data_type": "funding_rate", "exchange": "okx_derivatives", "market_type": "perpetual",
        "symbol": "BTC-USDT", "instrument_id": "BTC-USDT-SWAP", "kind": "estimated", "current_funding_rate": "-0.00010000",
        "estimated_funding_rate": "0", "funding_ts_ms": 1_760_083_200_000_i64, "next_funding_ts_ms": 1_760_112_000_000_i64,
        "funding_interval": "8h", "mark_price": "61235.123456789012345678", "index_price": null, "premium_index": null,
        "ts_ms": 1_760_054_400_123_i64, "ts_recv_ns": 1_760_054_400_125_000_001_i64, "source": "ws"});
    Sample {
        subject: "funding_rate.okx_derivatives.perpetual.BTC-USDT",
        table: "funding_rates",
        again: with(
            &first,
            json!({"current_funding_rate": "-1e-4", "mark_price": null, "ts_recv_ns": null}),
        ),
        next: with(&first, json!({"ts_ms": 1_760_054_400_124_i64})),
        revised: with(&first, json!({"current_funding_rate": "0.0001"})),
        first,
        columns: "toString(timestamp), funding_rate, toUnixTimestamp64Milli(funding_time), \
                  toUnixTimestamp64Milli(next_funding_time), mark_price, index_price, toString(ts_recv), source, kind, \
                  estimated_funding_rate, premium_index, funding_interval",
        stored: "('2025-10-10 00:00:00.123',-0.0001,1760083200000,1760112000000,61235.123456789012345678,0,\
                 '2025-10-10 00:00:00.125000001','ws','estimated',0,NULL,'8h')",
    }
}

fn open_interest() -> Sample {
    let first = json!({"data_type": "open_interest", "exchange": "binance_derivatives", "market_type": "perpetual",
        "symbol": "BTC-USDT", "instrument_id": "BTCUSDT", "open_interest_value": "81234.567",
        "open_interest_usd": "4974500000.12", "open_interest_unit": "BTC", "contracts": "8123456.7", "count": 7,
        "mark_price": "61235.1", "index_price": "61230.4", "ts_ms": 1_760_054_400_123_i64, "source": "rest"});
    Sample {
        subject: "open_interest.binance_derivatives.perpetual.BTC-USDT",
        table: "open_interests",
        again: with(
            &first,
            json!({"open_interest_value": "81234.5670", "open_interest_usd": null, "source": "ws"}),
        ),
        next: with(&first, json!({"ts_ms": 1_760_054_403_123_i64})),
        revised: with(&first, json!({"open_interest_value": "81234.568"})),
        first,
        columns: "toUnixTimestamp64Milli(timestamp), open_interest, open_interest_value, count, source, open_interest_unit, \
                  contracts, mark_price, index_price, toString(day)",
        stored: "(1760054400123,81234.567,4974500000.12,7,'rest','BTC',8123456.7,61235.1,61230.4,'2025-10-10')",
    }
}

fn liquidation() -> Sample {
    let first = json!({"data_type": "liquidation", "exchange": "binance_derivatives", "market_type": "perpetual",
        "symbol": "ETH-USDT", "instrument_id": "ETHUSDT", "liquidation_id": "it's \\ a 'name'", "side": "sell",
        "status": "filled", "price": "2410.5", "quantity": "3.2", "filled_quantity": "3.1", "notional_value": "7713.6",
        "average_price": "2410.4", "bankruptcy_price": null, "contracts": "32", "liquidation_ts_ms": 1_760_054_399_900_i64,
        "aggregation_mode": "filtered", "ts_ms": 1_760_054_400_123_i64});
    Sample {
        subject: "liquidation.binance_derivatives.perpetual.ETH-USDT",
        table: "liquidations",
        again: with(
            &first,
            json!({"price": "2410.50", "ts_ms": 1_760_054_400_999_i64, "status": null}),
        ),
        next: with(&first, json!({"liquidation_id": "another"})),
        revised: with(&first, json!({"quantity": "3.3"})),
        first,
        columns: "side, price, quantity, toUnixTimestamp64Milli(liquidation_time), liquidation_id, status, filled_quantity, \
                  average_price, bankruptcy_price, contracts",
        stored: "('sell',2410.5,3.2,1760054399900,'it\\'s \\\\ a \\'name\\'','filled',3.1,2410.4,0,32)",
    }
}

fn volatility_index() -> Sample {
    let first = json!({"data_type": "volatility_index", "exchange": "deribit_derivatives", "market_type": "options",
        "symbol": "BTC", "currency": "BTC", "vol_index": "41.27", "volatility_index": "41.27",
        "maturity_date": "2026-11-20", "ts_ms": 1_760_054_400_000_i64});
    Sample {
        subject: "volatility_index.deribit_derivatives.options.BTC",
        table: "volatility_indices",
        again: with(
            &first,
            json!({"volatility_index": "41.270", "collected_ts_ms": 1_760_054_400_120_i64}),
        ),
        next: with(&first, json!({"ts_ms": 1_760_054_401_000_i64})),
        revised: with(&first, json!({"volatility_index": "41.28"})),
        first,
        columns: "toUnixTimestamp64Milli(timestamp), index_value, underlying_asset, toString(maturity_date), market_type",
        stored: "(1760054400000,41.27,'BTC','2026-11-20','options')",
    }
}

fn lsr((data_type, table): (&'static str, &'static str)) -> Sample {
    let is_top = table == "lsr_top_positions";
    let [long, short] = if is_top {
        ["long_position_ratio", "short_position_ratio"]
    } else {
        ["long_account_ratio", "short_account_ratio"]
    };
    let first = json!({"data_type": data_type, "exchange": "binance_derivatives", "market_type": "perpetual",
        "symbol": "BTC-USDT", "instrument_id": "BTCUSDT", "long_short_ratio": "1.8571", long: "0.6500", short: "0.3500",
        "period": "5m", "period_ts_ms": 1_760_054_100_000_i64, "ts_ms": 1_760_054_410_000_i64, "ts_source": "recv"});
    Sample {
        subject: if is_top {
            "lsr_top_position.binance_derivatives.perpetual.BTC-USDT"
        } else {
            "lsr_all_account.binance_derivatives.perpetual.BTC-USDT"
        },
        table,
        // Asked for again a day later: another partition, and still the same.
        again: with(&first, json!({long: "0.65", "ts_ms": 1_760_140_810_000_i64})),
        next: with(&first, json!({"period_ts_ms": 1_760_054_400_000_i64})),
        revised: with(&first, json!({"long_short_ratio": "1.8572"})),
        first,
        columns: if is_top {
            "toUnixTimestamp64Milli(timestamp), long_position_ratio, short_position_ratio, period, \
             toUnixTimestamp64Milli(period_ts), long_short_ratio, data_source"
        } else {
            "toUnixTimestamp64Milli(timestamp), long_account_ratio, short_account_ratio, period, \
             toUnixTimestamp64Milli(period_ts), long_short_ratio, data_source"
        },
        stored: "(1760054410000,0.65,0.35,'5m',1760054100000,1.8571,'api')",
    }
}
