//! The cold store of a whole home: filled from the first moment on, and right after the worker was killed.

use serde_json::Value;

use crate::support::{Home, kill};

/// Every table of market data.
pub(crate) const TABLES: [&str; 9] = [
    "orderbooks",
    "trades",
    "funding_rates",
    "open_interests",
    "liquidations",
    "lsr_top_positions",
    "lsr_all_accounts",
    "volatility_indices",
    "gaps",
];
/// Cadences of seconds instead of minutes.
const FAST: &str = "cold: {interval: 200ms, window: 1s, safety_lag: 2s}\n";

fn count(home: &Home, database: &str, table: &str) -> u64 {
    let counted = home.query(&format!("SELECT count() FROM {database}.{table}"));
    counted.parse().expect("a number")
}

/// Waits until the cold store has every row that the hot one has, once.
pub(crate) async fn is_copied(home: &Home) {
    for table in TABLES {
        home.until(table, || {
            let hot = count(home, "marketprism_hot", table);
            let cold = count(home, "marketprism_cold", table);
            if hot == cold {
                Ok(())
            } else {
                Err(format!("{cold} of {hot} rows"))
            }
        })
        .await;
        let content = |database: &str| {
            let columns = "count(), uniqExact(producer_epoch, producer_seq), sum(sipHash64(tuple(*)))";
            home.query(&format!("SELECT {columns} FROM {database}.{table}"))
        };
        let (hot, cold) = (content("marketprism_hot"), content("marketprism_cold"));
        assert_eq!(hot, cold, "{table}");
        let numbers: Vec<&str> = cold.split('\t').collect();
        assert_eq!(numbers[0], numbers[1], "{table}: each row once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hot_is_cold_too_from_the_first_moment_on() {
    let home = Home::new();
    home.configure(FAST);
    home.good(&["up", "--sim", "--sim-rate", "5000"]);
    home.flows().await;
    for table in TABLES {
        if count(&home, "marketprism_hot", table) == 0 {
            continue;
        }
        home.until(table, || match count(&home, "marketprism_cold", table) {
            0 => Err("no rows".to_owned()),
            _ => Ok(()),
        })
        .await;
    }
    assert!(count(&home, "marketprism_cold", "trades") > 0 && count(&home, "marketprism_cold", "orderbooks") > 0);
    let status = home.status("cold");
    assert_eq!(status["state"], "running", "{status}");
    assert!(
        status["address"]
            .as_str()
            .is_some_and(|address| address.ends_with(&home.port(8086).to_string()))
    );

    // Killed at some moment of its work, and the engine under it, too; the supervisor starts both again.
    for service in ["cold", "clickhouse", "cold"] {
        let before = home.process(service);
        kill(&before).await;
        home.back(service, &before).await;
    }
    home.flows().await;
    let found = home.settled(|_| 0).await;
    assert_eq!((found.lost, found.duplicated), (0, 0), "{found:?}");
    is_copied(&home).await;

    // Alone it can be stopped and started.
    home.good(&["stop", "cold"]);
    assert_eq!(home.status("hot")["state"], "running");
    home.good(&["start", "cold"]);
    let health = home.good(&["health", "cold"]);
    assert_eq!(health["services"][0]["name"], "cold", "{health}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cold_store_may_be_another_homes() {
    let archive = Home::new();
    archive.good(&["init", "clickhouse"]);
    archive.good(&["start", "clickhouse"]);
    let home = Home::new();
    let url = format!("http://{}", archive.address(8123));
    let credential = archive.path().join("secrets/clickhouse-writer");
    let settings = |credential: &str| {
        format!(
            "cold: {{interval: 200ms, window: 1s, safety_lag: 2s, clickhouse: {{url: '{url}', credential_file: {credential}}}}}\n"
        )
    };
    // The credential of this home is not that of the other.
    home.configure(&settings("null"));
    home.good(&["init"]);
    home.good(&["start", "clickhouse", "hot", "nats"]);
    let refused = home.run(&["start", "cold", "--wait", "2", "--json"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stdout.contains("Authentication failed"), "{refused:?}");
    home.configure(&settings(&credential.display().to_string()));
    home.good(&["restart", "cold"]);
    home.good(&["down"]);

    home.good(&["up", "--sim"]);
    home.flows().await;
    home.settled(|_| 0).await;
    let rows = home.rows();
    archive_has(&archive, rows, &home).await;
    assert_eq!(
        home.query("SELECT count() FROM system.databases WHERE name = 'marketprism_cold'"),
        "0"
    );

    // The archive goes away and comes back: told, and nothing is lost.
    archive.good(&["stop"]);
    home.until("it is told", || {
        let done = home.run(&["health", "cold", "--json"]);
        let is_told = done.code == 1 && done.stdout.contains("the cold store: no answer from clickhouse");
        if is_told { Ok(()) } else { Err(done.stdout) }
    })
    .await;
    home.tell_sim("/control/resume", "").await;
    home.flows().await;
    archive.good(&["start", "clickhouse"]);
    home.settled(|_| 0).await;
    let rows = home.rows();
    archive_has(&archive, rows, &home).await;
    home.until("it is well again", || {
        let done = home.run(&["health", "cold"]);
        if done.code == 0 { Ok(()) } else { Err(done.stdout) }
    })
    .await;

    // Rows that either engine lost come back from the other one, once. What is still to be copied is not among them.
    for table in TABLES {
        home.until(table, || {
            let hot = count(&home, "marketprism_hot", table);
            match count(&archive, "marketprism_cold", table) {
                cold if cold == hot => Ok(()),
                cold => Err(format!("{cold} of {hot} rows")),
            }
        })
        .await;
    }
    home.good(&["stop", "cold", "collector"]);
    let ids = |offset: u64| {
        let ids = home.query(&format!(
            "SELECT trade_id FROM marketprism_hot.trades WHERE symbol = 'BTC-USDT' ORDER BY toUInt64(trade_id) LIMIT 3 OFFSET {offset}"
        ));
        ids.lines().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ")
    };
    let deletion = |database: &str, ids: &str| {
        format!(
            "ALTER TABLE {database}.trades DELETE WHERE symbol = 'BTC-USDT' AND trade_id IN ({ids}) SETTINGS mutations_sync = 2"
        )
    };
    let (of_hot, of_archive) = (ids(5), ids(20));
    home.write(&deletion("marketprism_hot", &of_hot));
    archive.write(&deletion("marketprism_cold", &of_archive));
    let integrity = |wanted: &[(&str, u64)]| {
        let document = home.run(&["integrity", "--json"]).document();
        let checks = document["checks"].as_array().expect("a list").iter();
        let told = checks.filter(|check| check["id"] == "replication" && check["level"] == "error");
        let mut told: Vec<(String, u64)> = told
            .map(|check| {
                (
                    check["cause"].as_str().expect("a word").to_owned(),
                    check["rows"].as_u64().expect("a number"),
                )
            })
            .collect();
        told.sort();
        let is_told = told
            .iter()
            .map(|(cause, rows)| (cause.as_str(), *rows))
            .eq(wanted.iter().copied());
        if is_told { Ok(()) } else { Err(document.to_string()) }
    };
    home.until("integrity tells what each of them lacks", || {
        integrity(&[("missing_in_cold", 3), ("missing_in_hot", 3)])
    })
    .await;
    let told = |document: &Value| {
        let actions = document["actions"].as_array().expect("a list").iter();
        // A gap of another cause may have to be closed, too.
        let kinds = ["copy_to_cold", "restore_hot"];
        let of_trades =
            actions.filter(|action| action["type"] == "trade" && kinds.iter().any(|kind| action["kind"] == *kind));
        let mut told: Vec<(String, u64)> = of_trades
            .map(|action| {
                (
                    action["kind"].as_str().expect("a word").to_owned(),
                    action["rows"].as_u64().expect("a number"),
                )
            })
            .collect();
        told.sort();
        told
    };
    let wanted = [("copy_to_cold".to_owned(), 3), ("restore_hot".to_owned(), 3)];
    home.until("both are old enough to be called lost", || {
        let plan = home.good(&["repair", "--dry-run"]);
        if told(&plan) == wanted {
            Ok(())
        } else {
            Err(plan.to_string())
        }
    })
    .await;
    let done = home.good(&["repair"]);
    assert_eq!(told(&done), wanted, "{done}");
    assert_eq!(home.rows(), rows);
    archive_has(&archive, rows, &home).await;
    assert_eq!(integrity(&[]), Ok(()));
}

async fn archive_has(archive: &Home, rows: u64, home: &Home) {
    home.until("the archive has it", || {
        let text = archive.query(
            "SELECT count(), uniqExact(producer_epoch, producer_seq), sum(sipHash64(tuple(*))) FROM marketprism_cold.trades",
        );
        let cold = text.split('\t').next().unwrap_or_default().to_owned();
        if cold == rows.to_string() { Ok(text) } else { Err(format!("{text} of {rows}")) }
    })
    .await;
    let sum = |home: &Home, database: &str| {
        home.query(&format!(
            "SELECT count(), sum(sipHash64(tuple(*))) FROM {database}.trades"
        ))
    };
    assert_eq!(sum(archive, "marketprism_cold"), sum(home, "marketprism_hot"));
}
