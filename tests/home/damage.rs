//! Faults written into a store that was whole: what an operator's slip, a crash or a bug can leave behind, each in another market.
//!
//! [`damaged`] builds the store and writes all of them. Each function by itself writes one, and returns what has to be found.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::Home;

/// Rows that the store has at least before anything is damaged.
const ROWS_MIN: u64 = 10_000;
/// The cold store is filled within seconds instead of minutes.
const FAST: &str = "cold: {interval: 200ms, window: 1s, safety_lag: 0s}\n";

/// A fault, as `integrity` has to name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    /// The proof that finds it.
    pub(crate) id: &'static str,
    /// What it is called there.
    pub(crate) cause: &'static str,
    pub(crate) data_type: &'static str,
    /// Where the fault is of one market.
    pub(crate) market: Option<(&'static str, &'static str)>,
    /// Rows that are concerned; 0 where it is about none.
    pub(crate) rows: u64,
}

impl Fault {
    /// Returns whether a check of an `integrity` document is about it.
    pub(crate) fn is(&self, check: &Value) -> bool {
        let market = (check["exchange"].as_str(), check["symbol"].as_str());
        check["id"] == self.id
            && check["cause"] == self.cause
            && check["type"] == self.data_type
            && market == (self.market.map(|market| market.0), self.market.map(|market| market.1))
    }
}

/// Builds a store of all types and exchanges, hot and cold, with nothing on its way; then stops everything but the broker and the
/// engine.
pub(crate) async fn whole_store() -> Home {
    let home = Home::whole();
    home.configure(FAST);
    home.good(&["start", "--sim", "--sim-rate", "2000"]);
    home.until("every type of every exchange flows", || {
        let health = home.run(&["health", "--json"]).document();
        let flow = health["flow"].as_array().cloned().unwrap_or_default();
        let flowing = flow.iter().filter(|flow| flow["state"] == "flowing").count();
        if flowing == 24 {
            Ok(())
        } else {
            Err(format!("{flowing} of 24"))
        }
    })
    .await;
    home.until("there are rows enough", || {
        let rows = total(&home, "marketprism_hot");
        if rows >= ROWS_MIN {
            Ok(())
        } else {
            Err(rows.to_string())
        }
    })
    .await;
    let found = home.settled_quietly().await;
    assert_eq!(
        (found.lost, found.duplicated, found.wrong_books),
        (0, 0, 0),
        "{found:?}"
    );
    home.good(&["stop", "collector"]);
    home.until("what the collector said last is stored", || match home.on_their_way() {
        0 => Ok(()),
        waiting => Err(waiting.to_string()),
    })
    .await;
    home.until("the cold store has everything", || {
        let (hot, cold) = (total(&home, "marketprism_hot"), total(&home, "marketprism_cold"));
        if hot == cold {
            Ok(())
        } else {
            Err(format!("{cold} of {hot}"))
        }
    })
    .await;
    home
}

/// Builds a store and writes every fault into it; the workers are stopped. Returns the faults, too.
pub(crate) async fn damaged() -> (Home, BTreeSet<Fault>) {
    let home = whole_store().await;
    // The hot worker has to bury it before it is stopped.
    let poison = poison(&home).await;
    home.good(&["stop", "hot", "cold", "sim"]);
    let faults = [
        poison,
        delete_from_hot(&home),
        delete_from_cold(&home),
        double(&home),
        lose_everywhere(&home),
        add_from_the_future(&home),
        zero(&home),
        // Last: what is read from a table by `*` needs its columns.
        drop_column(&home),
    ];
    (home, faults.into())
}

fn total(home: &Home, database: &str) -> u64 {
    let tables = mprism_clickhouse::Tier::Hot.market_tables().iter();
    let counts = tables.map(|table| format!("SELECT count() AS rows FROM {database}.{table}"));
    let counts: Vec<String> = counts.collect();
    let total = home.query(&format!("SELECT sum(rows) FROM ({})", counts.join(" UNION ALL ")));
    total.parse().expect("a number")
}

/// Returns numbers of trades that follow each other, in the middle of a market: at its end nothing could tell that they ever were.
fn trades_amidst(home: &Home, (exchange, symbol): (&str, &str), count: u32) -> String {
    let ids = home.query(&format!(
        "SELECT trade_id FROM marketprism_hot.trades WHERE exchange = '{exchange}' AND symbol = '{symbol}' \
         ORDER BY toUInt64(trade_id) LIMIT {count} OFFSET 50"
    ));
    let ids: Vec<String> = ids.lines().map(|id| format!("'{id}'")).collect();
    assert_eq!(ids.len(), count as usize, "{exchange} {symbol}");
    ids.join(", ")
}

fn delete(home: &Home, table: &str, condition: &str) {
    home.write(&format!(
        "ALTER TABLE {table} DELETE WHERE {condition} SETTINGS mutations_sync = 2"
    ));
}

/// Three trades that only the cold store still has.
pub(crate) fn delete_from_hot(home: &Home) -> Fault {
    let market @ (exchange, symbol) = ("binance_spot", "BTC-USDT");
    let ids = trades_amidst(home, market, 3);
    let condition = format!("exchange = '{exchange}' AND symbol = '{symbol}' AND trade_id IN ({ids})");
    delete(home, "marketprism_hot.trades", &condition);
    Fault {
        id: "replication",
        cause: "missing_in_hot",
        data_type: "trade",
        market: Some(market),
        rows: 3,
    }
}

/// Five order books that only the hot store still has.
pub(crate) fn delete_from_cold(home: &Home) -> Fault {
    let market @ (exchange, symbol) = ("okx_spot", "BTC-USDT");
    let of_it = format!("exchange = '{exchange}' AND symbol = '{symbol}'");
    let ids = home.query(&format!(
        "SELECT producer_epoch, producer_seq FROM marketprism_cold.orderbooks WHERE {of_it} ORDER BY ALL LIMIT 5 OFFSET 10"
    ));
    let ids: Vec<String> = ids.lines().map(|id| format!("({})", id.replace('\t', ", "))).collect();
    assert_eq!(ids.len(), 5);
    let condition = format!("{of_it} AND (producer_epoch, producer_seq) IN ({})", ids.join(", "));
    delete(home, "marketprism_cold.orderbooks", &condition);
    Fault {
        id: "replication",
        cause: "missing_in_cold",
        data_type: "orderbook",
        market: Some(market),
        rows: 5,
    }
}

/// Two trades that are there twice.
pub(crate) fn double(home: &Home) -> Fault {
    let market @ (exchange, symbol) = ("binance_derivatives", "BTC-USDT");
    let ids = trades_amidst(home, market, 2);
    home.write(&format!(
        "INSERT INTO marketprism_hot.trades SELECT * FROM marketprism_hot.trades WHERE exchange = '{exchange}' \
         AND symbol = '{symbol}' AND trade_id IN ({ids})"
    ));
    Fault {
        id: "duplicates",
        cause: "doubled",
        data_type: "trade",
        market: Some(market),
        rows: 2,
    }
}

/// Four trades that no store has and no ledger knows of, as if they had never come.
pub(crate) fn lose_everywhere(home: &Home) -> Fault {
    let market @ (exchange, symbol) = ("okx_spot", "ETH-USDT");
    let ids = trades_amidst(home, market, 4);
    let condition = format!("exchange = '{exchange}' AND symbol = '{symbol}' AND trade_id IN ({ids})");
    delete(home, "marketprism_hot.trades", &condition);
    delete(home, "marketprism_cold.trades", &condition);
    Fault {
        id: "continuity",
        cause: "not_in_ledger",
        data_type: "trade",
        market: Some(market),
        rows: 4,
    }
}

/// A message that can never be stored: it is in the dead-letter stream when this returns.
pub(crate) async fn poison(home: &Home) -> Fault {
    let market @ (exchange, symbol) = ("binance_spot", "ETH-USDT");
    let password = std::fs::read_to_string(home.path().join("secrets/nats-operator")).expect("a credential");
    let bus = async_nats::ConnectOptions::with_user_and_password("operator".into(), password.trim().into())
        .connect(format!("nats://{}", home.address(4222)))
        .await
        .expect("connected");
    let subject = format!("trade.{exchange}.spot.{symbol}");
    let stream = async_nats::jetstream::new(bus);
    let published = stream.publish(subject, "{\"price\": no".into()).await;
    published.expect("sent").await.expect("kept");
    home.until("it is among the dead letters", || {
        let letters = home.query("SELECT count() FROM marketprism_hot.dead_letters");
        if letters == "1" { Ok(()) } else { Err(letters) }
    })
    .await;
    Fault {
        id: "transport",
        cause: "dead_letters",
        data_type: "trade",
        market: Some(market),
        rows: 1,
    }
}

/// A value of tomorrow.
pub(crate) fn add_from_the_future(home: &Home) -> Fault {
    let market @ (exchange, symbol) = ("deribit_derivatives", "BTC");
    home.write(&format!(
        "INSERT INTO marketprism_hot.volatility_indices SELECT * REPLACE (timestamp + INTERVAL 1 DAY AS timestamp, \
         0 AS producer_epoch, cityHash64('tomorrow') AS producer_seq) FROM marketprism_hot.volatility_indices \
         WHERE exchange = '{exchange}' AND symbol = '{symbol}' ORDER BY timestamp DESC LIMIT 1"
    ));
    Fault {
        id: "time",
        cause: "future",
        data_type: "volatility_index",
        market: Some(market),
        rows: 1,
    }
}

/// A mark price that the venue sent and that is zero, in both stores: so it is stored by whoever forgets to read it.
pub(crate) fn zero(home: &Home) -> Fault {
    let market @ (exchange, symbol) = ("binance_derivatives", "ETH-USDT");
    let of_it = format!("exchange = '{exchange}' AND symbol = '{symbol}'");
    let id = home.query(&format!(
        "SELECT producer_epoch, producer_seq FROM marketprism_hot.funding_rates WHERE {of_it} AND kind = 'estimated' \
         ORDER BY ALL LIMIT 1"
    ));
    let id = id.replace('\t', ", ");
    for database in ["marketprism_hot", "marketprism_cold"] {
        home.write(&format!(
            "ALTER TABLE {database}.funding_rates UPDATE mark_price = 0 WHERE {of_it} \
             AND (producer_epoch, producer_seq) = ({id}) SETTINGS mutations_sync = 2"
        ));
    }
    Fault {
        id: "values",
        cause: "mark_price",
        data_type: "funding_rate",
        market: Some(market),
        rows: 1,
    }
}

/// A column that is gone.
pub(crate) fn drop_column(home: &Home) -> Fault {
    home.write("ALTER TABLE marketprism_hot.liquidations DROP COLUMN bankruptcy_price");
    Fault {
        id: "schema",
        cause: "column_missing",
        data_type: "liquidation",
        market: None,
        rows: 0,
    }
}

/// A part of a table, as it lies on the disk.
pub(crate) struct Part {
    pub(crate) rows: u64,
    /// Its folder, and those of the parts that it was merged from: the engine would go back to these.
    folders: Vec<PathBuf>,
    partition: String,
    blocks: (i64, i64),
}

impl Part {
    /// Returns the part of a table with the most rows.
    pub(crate) fn largest(home: &Home, database: &str, table: &str) -> Self {
        let of_table = format!("database = '{database}' AND table = '{table}'");
        let found = home.query(&format!(
            "SELECT rows, partition_id, min_block_number, max_block_number FROM system.parts WHERE {of_table} AND active \
             ORDER BY rows DESC LIMIT 1"
        ));
        let found: Vec<&str> = found.split('\t').collect();
        let [rows, partition, first, last] = found[..] else {
            panic!("{found:?}");
        };
        let folders = home.query(&format!(
            "SELECT path FROM system.parts WHERE {of_table} AND partition_id = '{partition}' \
             AND min_block_number >= {first} AND max_block_number <= {last}"
        ));
        Self {
            rows: rows.parse().expect("a number"),
            folders: folders.lines().map(PathBuf::from).collect(),
            partition: partition.to_owned(),
            blocks: (first.parse().expect("a number"), last.parse().expect("a number")),
        }
    }

    /// Returns whether no other part has its rows: the engine may have merged it meanwhile. It is down.
    pub(crate) fn is_latest(&self) -> bool {
        let table = self.folders[0].parent().expect("a table's folder");
        let parts = std::fs::read_dir(table)
            .expect("readable")
            .map(|part| part.expect("readable").path());
        let covers = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let blocks = name
                .strip_prefix(&self.partition)
                .and_then(|rest| rest.strip_prefix('_'));
            let numbers: Vec<i64> = blocks
                .iter()
                .flat_map(|blocks| blocks.split('_'))
                .flat_map(str::parse)
                .collect();
            matches!(numbers[..], [first, last, ..] if first <= self.blocks.0 && self.blocks.1 <= last)
        };
        let mut others = parts.filter(|path| !self.folders.contains(path));
        !others.any(|path| covers(&path))
    }

    /// Cuts the largest file of its data in half, while the engine is down.
    pub(crate) fn truncate(&self) {
        for folder in &self.folders {
            // What was merged may have been removed by now.
            let Ok(files) = std::fs::read_dir(folder) else { continue };
            let files = files.map(|file| file.expect("readable"));
            let data = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "bin"));
            let size = |file: &std::fs::DirEntry| file.metadata().expect("there").len();
            let largest = data.max_by_key(size).expect("a part has data");
            let file = std::fs::File::options().write(true).open(largest.path()).expect("ours");
            file.set_len(size(&largest) / 2).expect("cut");
        }
    }
}
