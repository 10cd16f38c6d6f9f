//! `mprism repair` on stores that lack something: what has a source comes back, once, however often the command is killed.

use std::io::{BufRead, BufReader};
use std::process::Child;

use mprism_runtime::process::{ProcessIdentity, Signal};
use serde_json::Value;

use crate::damage::{self, whole_store};
use crate::support::{Home, signal};

/// Cadences of seconds instead of minutes.
const FAST: &str = "cold: {interval: 200ms, window: 1s, safety_lag: 0s}\n";

/// What an action is about: kind, type, symbol, rows.
type Told = (String, String, String, u64);

fn told(document: &Value) -> Vec<Told> {
    let actions = document["actions"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = actions.map(|action| {
        let rows = action["rows"].as_u64().expect("a number");
        (
            text(&action["kind"]),
            text(&action["type"]),
            text(&action["symbol"]),
            rows,
        )
    });
    told.collect()
}

/// The same without the ledger's own rows: a repair that was killed after it wrote one leaves copying it to the next.
fn of_data(document: &Value) -> Vec<Told> {
    let is_data = |told: &Told| told.1 != "gap";
    told(document).into_iter().filter(is_data).collect()
}

fn outcomes(document: &Value) -> Vec<&str> {
    let actions = document["actions"].as_array().expect("a list").iter();
    actions
        .map(|action| action["outcome"].as_str().expect("a word"))
        .collect()
}

/// A home with some seconds of trades of one exchange in both stores, and nothing on its way. The collector is stopped: what is
/// missing now nobody else asks for.
async fn filled() -> Home {
    let home = Home::new();
    home.configure(FAST);
    home.good(&["start", "--sim", "--sim-rate", "300"]);
    home.until("there are trades enough of both markets", || {
        let counts =
            home.query("SELECT min(n), count() FROM (SELECT count() AS n FROM marketprism_hot.trades GROUP BY symbol)");
        match counts
            .split_once('\t')
            .map(|(least, markets)| (least.parse::<u64>(), markets))
        {
            Some((Ok(300..), "2")) => Ok(()),
            _ => Err(counts),
        }
    })
    .await;
    let found = home.settled_quietly().await;
    assert_eq!((found.lost, found.duplicated), (0, 0), "{found:?}");
    home.good(&["stop", "collector"]);
    home.until("the cold store has everything", || {
        let count = |database: &str| {
            home.query(&format!(
                "SELECT (SELECT count() FROM {database}.trades), (SELECT count() FROM {database}.orderbooks)"
            ))
        };
        let (hot, cold) = (count("marketprism_hot"), count("marketprism_cold"));
        if hot == cold {
            Ok(())
        } else {
            Err(format!("{cold} of {hot}"))
        }
    })
    .await;
    home
}

fn trades(home: &Home, symbol: &str, count: usize, offset: usize) -> Vec<u64> {
    let ids = home.query(&format!(
        "SELECT toUInt64(trade_id) AS id FROM marketprism_hot.trades WHERE symbol = '{symbol}' ORDER BY id \
         LIMIT {count} OFFSET {offset}"
    ));
    let ids: Vec<u64> = ids.lines().map(|id| id.parse().expect("a number")).collect();
    assert_eq!(ids.len(), count);
    ids
}

fn delete(home: &Home, table: &str, symbol: &str, ids: &[u64]) {
    let list: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
    home.write(&format!(
        "ALTER TABLE {table} DELETE WHERE symbol = '{symbol}' AND trade_id IN ({}) SETTINGS mutations_sync = 1",
        list.join(",")
    ));
}

/// All that trades say, without what tells how they came.
fn content(home: &Home, database: &str) -> String {
    home.query(&format!(
        "SELECT count(), uniqExact(symbol, trade_id), sum(sipHash64(symbol, trade_id, price, quantity, side, trade_time)) \
         FROM {database}.trades"
    ))
}

/// Waits until a plan has so many actions: what just came is settled only after some seconds.
async fn planned(home: &Home, count: usize) -> Value {
    home.until("the plan is whole", || {
        let plan = home.good(&["repair", "--dry-run"]);
        if of_data(&plan).len() == count {
            Ok(plan)
        } else {
            Err(plan.to_string())
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_comes_back_once_and_a_second_repair_does_nothing() {
    let home = filled().await;
    let before = content(&home, "marketprism_hot");
    assert_eq!(told(&home.good(&["repair", "--dry-run"])), [], "nothing is wrong yet");

    // The cold worker would mend some of it by itself.
    home.good(&["stop", "cold"]);
    // Lost from one store, from the other, from both.
    let (btc, eth) = ("BTC-USDT", "ETH-USDT");
    delete(&home, "marketprism_hot.trades", btc, &trades(&home, btc, 3, 10));
    delete(&home, "marketprism_cold.trades", eth, &trades(&home, eth, 5, 10));
    let both = trades(&home, btc, 4, 30);
    delete(&home, "marketprism_hot.trades", btc, &both);
    delete(&home, "marketprism_cold.trades", btc, &both);
    // Twice in the hot store, and nobody may write there while its worker is there.
    home.good(&["stop", "hot"]);
    let twice = trades(&home, eth, 2, 30);
    home.write(&format!(
        "INSERT INTO marketprism_hot.trades SELECT * FROM marketprism_hot.trades WHERE symbol = '{eth}' \
         AND toUInt64(trade_id) IN ({}, {})",
        twice[0], twice[1]
    ));
    // A gap of before the venue's first trade: it has no such trades.
    let sent = home
        .sim("/truth/events?type=trade&exchange=binance_spot&symbol=BTC-USDT")
        .await;
    let first: Value = serde_json::from_str(sent.lines().next().expect("a trade")).expect("JSON");
    let first: u64 = first["id"].to_string().trim_matches('"').parse().expect("a number");
    home.write(&format!(
        "INSERT INTO marketprism_hot.gaps (timestamp, exchange, market_type, symbol, type, from_id, to_id, from_ts, to_ts, cause, \
         state, source, gap_id, version, ts_recv, ts_insert, producer_epoch, producer_seq) SELECT now64(3), 'binance_spot', 'spot', '{btc}', \
         'trade', '{0}', '{1}', now64(3) - 100, now64(3) - 90, 'sequence', 'open', 'ws', 'trade:binance_spot:spot:{btc}:{0}', 1, now64(9), now64(3), 1, 1",
        first - 9,
        first - 5
    ));
    // And one of trades that are there: it only has to be closed.
    home.write(&format!(
        "INSERT INTO marketprism_hot.gaps (timestamp, exchange, market_type, symbol, type, from_id, to_id, from_ts, to_ts, cause, \
         state, source, gap_id, version, ts_recv, ts_insert, producer_epoch, producer_seq) SELECT now64(3), 'binance_spot', 'spot', '{eth}', \
         'trade', '{0}', '{0}', now64(3) - 100, now64(3) - 90, 'sequence', 'open', 'ws', 'trade:binance_spot:spot:{eth}:{0}', 1, now64(9), now64(3), 1, 2",
        twice[0]
    ));
    home.good(&["start", "hot"]);

    let wanted: Vec<Told> = [
        ("remove_duplicates", "trade", eth, 2),
        ("restore_hot", "trade", btc, 3),
        ("refill_gap", "trade", btc, 5),
        ("close_gap", "trade", eth, 0),
        ("refill_gap", "trade", btc, 4),
        ("copy_to_cold", "trade", eth, 5),
    ]
    .map(|(kind, data_type, symbol, rows)| (kind.into(), data_type.into(), symbol.into(), rows))
    .into();
    let plan = planned(&home, wanted.len()).await;
    assert_eq!(of_data(&plan), wanted, "{plan}");
    assert!(outcomes(&plan).iter().all(|outcome| *outcome == "planned"));

    let done = home.good(&["repair"]);
    // The ledger's rows were too young to be copied when the plan was made.
    assert_eq!(of_data(&done), wanted, "what was planned is what is done: {done}");
    assert!(outcomes(&done).iter().all(|outcome| *outcome == "done"), "{done}");
    assert_ne!(done["integrity"]["verdict"], "fail", "{done}");
    assert_eq!(content(&home, "marketprism_hot"), before);
    let gaps =
        "SELECT symbol, from_id, state, source FROM marketprism_hot.gaps_current WHERE type = 'trade' ORDER BY ALL";
    let mut gaps: Vec<String> = home.query(gaps).lines().map(str::to_owned).collect();
    gaps.retain(|gap| gap.ends_with("backfill"));
    let mut expected = vec![
        format!("{btc}\t{}\tunfillable\tbackfill", first - 9),
        format!("{btc}\t{}\tfilled\tbackfill", both[0]),
        format!("{eth}\t{}\tfilled\tbackfill", twice[0]),
    ];
    expected.sort();
    gaps.sort();
    assert_eq!(gaps, expected);
    assert_eq!(content(&home, "marketprism_cold"), before);
    home.good(&["start", "cold"]);

    let again = home.good(&["repair"]);
    assert_eq!(told(&again), [], "{again}");
    assert_eq!(content(&home, "marketprism_hot"), before);
}

/// Begins a repair and kills it after it has said so many lines; returns whether it still ran then.
fn killed_after(home: &Home, lines: usize) -> bool {
    let mut child: Child = home.command(&["repair"]).spawn().expect("started");
    let process = ProcessIdentity::of(child.id()).expect("alive");
    let mut said = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut count = 0;
    while count < lines {
        match said.next() {
            Some(Ok(_)) => count += 1,
            _ => break,
        }
    }
    let has_run = matches!(child.try_wait(), Ok(None));
    if has_run {
        signal(&process, Signal::KILL);
    }
    child.wait().expect("ended");
    has_run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_is_killed_between_any_two_steps_is_finished_by_the_next() {
    let home = filled().await;
    let before = content(&home, "marketprism_hot");
    let (btc, eth) = ("BTC-USDT", "ETH-USDT");
    home.good(&["stop", "cold"]);
    for lines in 0..6 {
        let at = 10 + lines * 30;
        delete(&home, "marketprism_hot.trades", btc, &trades(&home, btc, 2, at));
        delete(&home, "marketprism_cold.trades", eth, &trades(&home, eth, 2, at));
        let both = trades(&home, btc, 2, at + 10);
        delete(&home, "marketprism_hot.trades", btc, &both);
        delete(&home, "marketprism_cold.trades", btc, &both);
        home.good(&["stop", "hot"]);
        let twice = trades(&home, eth, 2, at + 10);
        home.write(&format!(
            "INSERT INTO marketprism_hot.trades SELECT * FROM marketprism_hot.trades WHERE symbol = '{eth}' \
             AND toUInt64(trade_id) IN ({}, {})",
            twice[0], twice[1]
        ));
        home.good(&["start", "hot"]);
        planned(&home, 4).await;
        let has_run = killed_after(&home, lines);
        let done = home.good(&["repair"]);
        assert!(outcomes(&done).iter().all(|outcome| *outcome == "done"), "{done}");
        assert_eq!(
            content(&home, "marketprism_hot"),
            before,
            "killed after {lines} lines ({has_run})"
        );
        assert_eq!(
            content(&home, "marketprism_cold"),
            before,
            "killed after {lines} lines ({has_run})"
        );
        assert_eq!(of_data(&home.good(&["repair", "--dry-run"])), []);
    }
    home.good(&["start", "cold"]);
}

/// The subject of a market's trades.
const SUBJECT: &str = "trade.binance_spot.spot.BTC-USDT";

/// Returns the last message of the market, and its trade's number.
async fn last_message(home: &Home) -> (async_nats::jetstream::Context, mprism_bus::KeptMessage, u64) {
    let password = std::fs::read_to_string(home.path().join("secrets/nats-operator")).expect("a credential");
    let bus = async_nats::ConnectOptions::with_user_and_password("operator".into(), password.trim().into())
        .connect(format!("nats://{}", home.address(4222)))
        .await
        .expect("connected");
    let bus = async_nats::jetstream::new(bus);
    let stream = bus.get_stream("MARKET_DATA").await.expect("there");
    let message = stream.get_last_raw_message_by_subject(SUBJECT).await.expect("kept");
    let said: Value = serde_json::from_slice(&message.payload).expect("JSON");
    let id = said["trade_id"].as_str().expect("a text").parse().expect("a number");
    (bus, message, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_back_is_known_to_a_hot_worker_that_did_not_store_it() {
    let home = filled().await;
    let before = content(&home, "marketprism_hot");
    let (bus, message, id) = last_message(&home).await;
    delete(&home, "marketprism_hot.trades", "BTC-USDT", &[id]);
    // A worker that begins now finds the table without its last trade: whatever is behind it is new.
    home.good(&["restart", "hot"]);
    planned(&home, 1).await;
    let done = home.good(&["repair"]);
    assert_eq!(outcomes(&done), ["done"], "{done}");
    assert_eq!(content(&home, "marketprism_hot"), before);
    // Another collector says the same, and later something new.
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", "another's");
    headers.insert("Mprism-Seq", "7-7");
    let again = bus.publish_with_headers(SUBJECT, headers, message.payload.clone());
    again.await.expect("sent").await.expect("kept");
    home.good(&["start", "collector", "--sim", "--sim-rate", "300"]);
    home.tell_sim("/control/resume", "").await;
    home.flows().await;
    let found = home.settled_quietly().await;
    assert_eq!((found.lost, found.duplicated), (0, 0), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_understood_now_is_stored_once_and_the_others_are_told() {
    let home = filled().await;
    damage::poison(&home).await;
    let before = content(&home, "marketprism_hot");
    // The last trade's own message, as if the version before had not understood it.
    let (bus, message, id) = last_message(&home).await;
    for database in ["marketprism_hot", "marketprism_cold"] {
        delete(&home, &format!("{database}.trades"), "BTC-USDT", &[id]);
    }
    let identity = message.headers.get("Mprism-Seq").expect("ours").as_str().to_owned();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", format!("dead:{identity}"));
    headers.insert("Mprism-Seq", identity.clone());
    headers.insert("Mprism-Subject", SUBJECT);
    headers.insert("Mprism-Reason", "not understood then");
    let buried = bus.publish_with_headers(format!("dead.{SUBJECT}"), headers, message.payload.clone());
    buried.await.expect("sent").await.expect("kept");

    let left = home.run(&["repair", "--dead-letters", "--json"]);
    assert_eq!(left.code, 1, "{left:?}");
    let document = left.document();
    let letters: Vec<Value> = document["actions"].as_array().expect("a list").clone();
    let of = |outcome: &str| letters.iter().filter(|action| action["outcome"] == outcome).count();
    assert_eq!((of("done"), of("left"), letters.len()), (1, 1, 2), "{document}");
    let causes = document["error"]["causes"].to_string();
    assert!(causes.contains("retry_dead_letter"), "{causes}");
    assert_eq!(content(&home, "marketprism_hot"), before);
    let stored = home.query(&format!(
        "SELECT concat(toString(producer_epoch), '-', toString(producer_seq)) FROM marketprism_hot.trades \
         WHERE symbol = 'BTC-USDT' AND trade_id = '{id}'"
    ));
    assert_eq!(stored, identity, "once, and under its own identity");

    // The poison stays, and nothing is stored again.
    let again = home.run(&["repair", "--dead-letters", "--json"]);
    assert_eq!((again.code, told(&again.document()).len()), (1, 1), "{again:?}");
    assert_eq!(content(&home, "marketprism_hot"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn cold_backfill_copies_everything_beside_a_running_worker() {
    let home = filled().await;
    let rows = content(&home, "marketprism_hot");
    home.write("TRUNCATE TABLE marketprism_cold.trades");
    let planned = home.good(&["cold", "backfill", "--dry-run"]);
    let of = |document: &Value, key: &str| {
        let tables = document["tables"].as_array().expect("a list");
        let trades = tables.iter().find(|table| table["type"] == "trade").expect("there");
        trades[key].as_u64().expect("a number")
    };
    let count: u64 = rows.split('\t').next().expect("a count").parse().expect("a number");
    assert_eq!((of(&planned, "rows"), of(&planned, "copied")), (count, 0));
    let done = home.good(&["cold", "backfill"]);
    assert_eq!(of(&done, "rows"), count);
    assert_eq!(content(&home, "marketprism_cold"), rows);
    let again = home.good(&["cold", "backfill"]);
    assert_eq!(of(&again, "copied"), 0, "{again}");
    assert_eq!(content(&home, "marketprism_cold"), rows);
    // The worker goes on.
    home.good(&["start", "collector", "--sim", "--sim-rate", "300"]);
    home.tell_sim("/control/resume", "").await;
    home.flows().await;
    home.settled_quietly().await;
    home.until("the cold store has everything", || {
        let (hot, cold) = (content(&home, "marketprism_hot"), content(&home, "marketprism_cold"));
        if hot == cold {
            Ok(())
        } else {
            Err(format!("{cold} of {hot}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_a_source_in_a_damaged_store_is_mended_and_the_rest_is_told() {
    let home = whole_store().await;
    let clean = home.good(&["repair", "--dry-run"]);
    assert_eq!(told(&clean), [], "{clean}");
    damage::poison(&home).await;
    home.good(&["stop", "hot", "cold"]);
    let before = home.query("SELECT count(), uniqExact(exchange, symbol, trade_id) FROM marketprism_hot.trades");
    damage::delete_from_hot(&home);
    damage::delete_from_cold(&home);
    damage::double(&home);
    damage::lose_everywhere(&home);
    damage::add_from_the_future(&home);
    damage::zero(&home);
    damage::drop_column(&home);
    let done = home.run(&["repair", "--dead-letters", "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    let document = done.document();
    let actions = document["actions"].as_array().expect("a list").iter();
    let mut by_outcome: Vec<(&str, &str)> = actions
        .map(|action| {
            let kind = action["kind"].as_str().expect("a word");
            (action["outcome"].as_str().expect("a word"), kind)
        })
        .collect();
    by_outcome.sort_unstable();
    // One for each market whose liquidations have a bankruptcy price.
    by_outcome.dedup();
    assert_eq!(
        by_outcome,
        [
            ("done", "add_column"),
            ("done", "copy_to_cold"),
            ("done", "refill_gap"),
            ("done", "remove_duplicates"),
            ("done", "replace_blank"),
            ("done", "restore_hot"),
            ("left", "not_mendable"),
            ("left", "retry_dead_letter"),
        ],
        "{document}"
    );
    let after = home.query("SELECT count(), uniqExact(exchange, symbol, trade_id) FROM marketprism_hot.trades");
    assert_eq!(after, before);
    // Only what has no source is still there to be told.
    let again = home.run(&["repair", "--json"]);
    let (document, left) = (again.document(), told(&again.document()));
    assert_eq!(again.code, 1, "{again:?}");
    // What the first one wrote into the ledger was too young to be copied to the cold store, whose worker is stopped.
    let kinds = left
        .iter()
        .zip(outcomes(&document))
        .filter(|(_, outcome)| *outcome == "left");
    let kinds: Vec<(&str, &str)> = kinds.map(|(told, _)| (told.0.as_str(), told.1.as_str())).collect();
    assert_eq!(
        kinds,
        [("not_mendable", "funding_rate"), ("not_mendable", "volatility_index")],
        "{again:?}"
    );
}

/// Reads a command's answer once it has ended: its code and its document.
fn ended(child: Child) -> (i32, Value) {
    let output = child.wait_with_output().expect("ended");
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    (output.status.code().expect("not killed"), document)
}

#[tokio::test(flavor = "multi_thread")]
async fn repairs_at_once_do_nothing_twice_and_parts_that_cannot_be_read_are_told_and_mended() {
    let home = filled().await;
    let before = content(&home, "marketprism_hot");
    let (btc, eth) = ("BTC-USDT", "ETH-USDT");
    home.good(&["stop", "cold"]);
    delete(&home, "marketprism_hot.trades", btc, &trades(&home, btc, 40, 10));
    delete(&home, "marketprism_cold.trades", eth, &trades(&home, eth, 40, 10));
    let both = trades(&home, btc, 4, 60);
    delete(&home, "marketprism_hot.trades", btc, &both);
    delete(&home, "marketprism_cold.trades", btc, &both);
    planned(&home, 3).await;
    // Whoever is first: nobody does what another one does, and who is refused is told by whom.
    let begin = |line: &[&str]| home.command(line).spawn().expect("started");
    let copying = begin(&["cold", "backfill", "--json"]);
    let repairing = [begin(&["repair", "--json"]), begin(&["repair", "--json"])];
    let pids: Vec<String> = repairing.iter().map(|child| child.id().to_string()).collect();
    let ends = repairing.map(ended);
    for ((code, document), other) in ends.iter().zip(pids.iter().rev()) {
        match code {
            0 => assert!(
                outcomes(document).iter().all(|outcome| *outcome == "done"),
                "{document}"
            ),
            4 => {
                assert_eq!(document["error"]["code"], "already_running", "{document}");
                assert!(document["error"].to_string().contains(other.as_str()), "{document}");
            }
            _ => panic!("{code}: {document}"),
        }
    }
    assert!(ends.iter().any(|(code, _)| *code == 0), "{ends:?}");
    let (code, copied) = ended(copying);
    assert_eq!(code, 0, "{copied}");
    // What the backfill met half mended it has proven as it was then.
    home.good(&["repair"]);
    assert_eq!(of_data(&home.good(&["repair", "--dry-run"])), []);
    assert_eq!(content(&home, "marketprism_hot"), before);
    assert_eq!(content(&home, "marketprism_cold"), before);

    // A disk that lost the ends of some files, in either store; the engine is down.
    let of_books = |database: &str| home.query(&format!("SELECT count() FROM {database}.orderbooks"));
    let books = of_books("marketprism_hot");
    home.until("the cold store has every book", || {
        home.good(&["cold", "backfill"]);
        match of_books("marketprism_cold") {
            cold if cold == books => Ok(()),
            cold => Err(format!("{cold} of {books}")),
        }
    })
    .await;
    let (trades_lost, books_lost) = loop {
        let trades = damage::Part::largest(&home, "marketprism_hot", "trades");
        let books = damage::Part::largest(&home, "marketprism_cold", "orderbooks");
        home.good(&["stop"]);
        if trades.is_latest() && books.is_latest() {
            break (trades, books);
        }
        // Merged between the question and the stop.
        home.good(&["start", "nats", "clickhouse", "hot"]);
    };
    trades_lost.truncate();
    books_lost.truncate();
    home.good(&["start", "nats", "clickhouse", "hot"]);
    let told = home.run(&["integrity", "--json"]);
    assert_eq!(told.code, 1, "{told:?}");
    let document = told.document();
    let rows = |id: &str, cause: &str, data_type: &str| -> u64 {
        let checks = document["checks"].as_array().expect("a list").iter();
        let found = checks.filter(|check| {
            (&check["id"], &check["cause"], &check["type"]) == (&id.into(), &cause.into(), &data_type.into())
        });
        found.map(|check| check["rows"].as_u64().expect("a number")).sum()
    };
    let lost = (trades_lost.rows, books_lost.rows);
    assert_eq!(
        (
            rows("presence", "broken_part", "trade"),
            rows("presence", "broken_part", "orderbook")
        ),
        lost,
        "{document}"
    );
    assert_eq!(rows("replication", "missing_in_hot", "trade"), lost.0, "{document}");
    // A minute of which the cold store has nothing left is to be copied, like one that it never had.
    assert!(
        rows("replication", "missing_in_cold", "orderbook") <= lost.1,
        "{document}"
    );
    let diagnosed = home.run(&["diagnose", "--json"]).document();
    let findings = diagnosed["findings"].as_array().expect("a list").iter();
    let fixes: Vec<&Value> = findings
        .filter(|finding| finding["id"] == "broken_part")
        .map(|finding| &finding["fix"])
        .collect();
    assert_eq!(fixes, ["mprism repair --accept-broken-parts"; 2], "{diagnosed}");

    // Its rows come back either way; what could not be read is dropped where somebody agrees to it.
    let of = |document: &Value, kind: &str| -> Vec<(u64, String)> {
        let actions = document["actions"].as_array().expect("a list").iter();
        let found = actions.filter(|action| action["kind"] == kind);
        let told = found.map(|action| {
            (
                action["rows"].as_u64().expect("a number"),
                action["outcome"].to_string(),
            )
        });
        told.collect()
    };
    let sum = |document: &Value, kind: &str| of(document, kind).iter().map(|(rows, _)| rows).sum::<u64>();
    let left = home.run(&["repair", "--json"]);
    assert_eq!(left.code, 1, "{left:?}");
    let left = left.document();
    assert_eq!((sum(&left, "restore_hot"), sum(&left, "copy_to_cold")), lost, "{left}");
    let parts = |outcome: &str| [lost.0, lost.1].map(|rows| (rows, format!("\"{outcome}\"")));
    assert_eq!(of(&left, "drop_broken_part"), parts("left"), "{left}");
    assert!(
        left["error"]
            .to_string()
            .contains("mprism repair --accept-broken-parts"),
        "{left}"
    );
    assert_eq!(content(&home, "marketprism_hot"), before);
    let done = home.good(&["repair", "--accept-broken-parts"]);
    assert_eq!(of(&done, "drop_broken_part"), parts("done"), "{done}");
    assert_eq!(told_of_data(&done), 2, "nothing else was left to do: {done}");
    let proven = home.good(&["integrity"]);
    assert!(!proven.to_string().contains("broken_part"), "{proven}");
    assert_eq!(
        (content(&home, "marketprism_hot"), of_books("marketprism_cold")),
        (before, books)
    );
}

fn told_of_data(document: &Value) -> usize {
    of_data(document).len()
}
