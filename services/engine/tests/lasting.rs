//! What outlives a crash, a stop, and a client that goes away.

mod common;

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Call, Data, Engine, until};
use rustix::process::{Pid, setpriority_process};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS t (a UInt64) ENGINE = MergeTree ORDER BY a
    SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, old_parts_lifetime = 480";

/// How many statements run whose text holds `needle`.
fn running(engine: &Engine, needle: &str) -> u64 {
    let text = format!(
        "SELECT count() FROM system.processes WHERE position(query, '{needle}') > 0 AND position(query, 'system.processes') = 0"
    );
    engine.answer(&text).parse().expect("a number")
}

#[test]
fn a_crash_loses_no_acknowledged_insert() {
    let data = Data::new();
    let (sent, acknowledged) = (AtomicU64::new(0), AtomicU64::new(0));
    for life in 1..=3 {
        let engine = data.start();
        engine.done(TABLE);
        let (pid, address) = (engine.pid(), engine.address);
        let before = acknowledged.load(Ordering::SeqCst);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                loop {
                    let first = sent.fetch_add(100, Ordering::SeqCst);
                    let rows: String = (first..first + 100).map(|a| format!("{a}\n")).collect();
                    let call = Call::query("POST", "INSERT INTO t FORMAT TabSeparated")
                        .writer()
                        .body(rows);
                    let told = std::panic::catch_unwind(|| call.send(address).status);
                    if told.ok() != Some(200) {
                        return;
                    }
                    // One writer, in order: everything up to here but the inserts that a crash cut off.
                    acknowledged.fetch_add(100, Ordering::SeqCst);
                }
            });
            until("inserts are acknowledged", 30, || {
                acknowledged.load(Ordering::SeqCst) >= before + 2_000
            });
            engine.kill();
        });
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
        let engine = data.start();
        let stored: u64 = engine.answer("SELECT uniqExact(a) FROM t").parse().expect("a number");
        let rows: u64 = engine.answer("SELECT count() FROM t").parse().expect("a number");
        let acknowledged = acknowledged.load(Ordering::SeqCst);
        assert_eq!(stored, rows, "nothing twice");
        // What was cut off may be there: at most one insert a life.
        assert!(
            (acknowledged..=acknowledged + 100 * life).contains(&stored),
            "{acknowledged} acknowledged, {stored} stored"
        );
        engine.stop();
    }
}

#[test]
fn a_stop_finishes_what_runs() {
    let data = Data::new();
    let mut engine = data.start();
    engine.done(TABLE);
    let slow = "SELECT count(), sum(sleepEachRow(0.1)) FROM numbers(20)";
    let mut select = Call::new("POST", "/").body(slow).open(engine.address);
    let text = "INSERT INTO t SELECT number + sleepEachRow(0.1) FROM numbers(20)";
    let mut insert = Call::new("POST", "/").writer().body(text).open(engine.address);
    until("both run", 20, || running(&engine, "sleepEachRow") == 2);
    engine.begin_stop();
    let select = common::receive(&mut select, false);
    assert_eq!((select.status, select.text().trim()), (200, "20\t0"));
    assert_eq!(common::receive(&mut insert, false).status, 200);
    assert!(engine.wait().success());
    let engine = data.start();
    assert_eq!(engine.answer("SELECT count() FROM t"), "20");
    engine.stop();
}

#[test]
fn a_client_that_goes_away_takes_its_statement_along() {
    let data = Data::new();
    let engine = data.start();
    let endless = [
        "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(cityHash64(number))",
        "SELECT number, repeat('x', 100) FROM numbers(1000000000000)",
        "SELECT sum(sleepEachRow(0.01)) FROM numbers(100000) SETTINGS max_block_size = 100",
    ];
    for statement in endless {
        let text = statement.split(" SETTINGS").next().expect("a part");
        let call = Call::new("POST", "/").parameter("max_block_size", "100").body(text);
        let mut client = call.open(engine.address);
        let needle = if text.contains("repeat") {
            "repeat("
        } else if text.contains("sleep") {
            "sleepEachRow"
        } else {
            "cityHash64"
        };
        until("it runs", 20, || running(&engine, needle) == 1);
        if needle == "repeat(" {
            client.read_exact(&mut [0; 4096]).expect("the answer begins");
        }
        drop(client);
        until("it ends", 20, || running(&engine, needle) == 0);
    }
    engine.stop();
}

#[test]
fn a_reader_that_takes_nothing_costs_no_memory() {
    let data = Data::new();
    let engine = data.start();
    // What the engine needs for any such answer is there before it counts.
    engine.answer("SELECT number, repeat('x', 100) FROM numbers(1000000)");
    let before = engine.rss();
    let client = Call::new("POST", "/")
        .body("SELECT number, repeat('x', 100) FROM numbers(10000000000)")
        .open(engine.address);
    until("it runs", 20, || running(&engine, "repeat(") == 1);
    let mut wait = [0; 1];
    client.set_nonblocking(true).expect("a socket");
    until("the answer has begun", 20, || client.peek(&mut wait).is_ok());
    // Its answer would have a terabyte.
    let after = engine.rss();
    assert!(after < before + (200 << 20), "grew from {before} to {after} bytes");
    drop(client);
    until("it ends", 20, || running(&engine, "repeat(") == 0);
    engine.stop();
}

#[test]
fn readers_wait_for_their_turn_and_others_do_not() {
    let data = Data::new();
    let mut orders = data.orders();
    (orders.readers_max, orders.reader_wait_ms) = (2, 300);
    let engine = Engine::start(&orders);
    engine.done(TABLE);
    let slow = || {
        Call::new("POST", "/")
            .parameter("max_block_size", "1")
            .body("SELECT sum(sleepEachRow(0.05)) FROM numbers(1000)")
            .open(engine.address)
    };
    let clients = [slow(), slow()];
    until("no turn is left", 20, || engine.read("SELECT 1").status == 503);
    let begun = std::time::Instant::now();
    let reply = engine.read("SELECT 1");
    assert_eq!((reply.status, reply.code()), (503, Some(202)), "{}", reply.text());
    assert!(begun.elapsed() >= std::time::Duration::from_millis(300));
    assert_eq!(engine.get("/ping").status, 200);
    engine.done("INSERT INTO t VALUES (1)");
    assert_eq!(
        engine
            .send(Call::new("POST", "/mprism/fence?table=default.t").writer())
            .status,
        200
    );
    drop(clients);
    until("turns are free again", 20, || engine.read("SELECT 1").status == 200);
    engine.stop();
}

#[test]
fn a_time_condition_finds_what_a_full_scan_finds() {
    let data = Data::new();
    let engine = data.start();
    engine.done(
        "CREATE TABLE trades (timestamp DateTime64(3, 'UTC'), exchange LowCardinality(String), symbol LowCardinality(String),
         producer_seq UInt64, day Date MATERIALIZED toDate(timestamp), INDEX ps producer_seq TYPE minmax GRANULARITY 1)
         ENGINE = MergeTree PARTITION BY (day, exchange)
         ORDER BY (exchange, symbol, toUnixTimestamp64Milli(timestamp), producer_seq)
         SETTINGS auto_statistics_types = '', index_granularity = 128",
    );
    for part in 0..5 {
        // Ten minutes around now, one row every 60 ms, the parts interleaved.
        engine.done(&format!(
            "INSERT INTO trades (timestamp, exchange, symbol, producer_seq)
             SELECT now64(3) - INTERVAL 10 MINUTE + toIntervalMillisecond((number * 5 + {part}) * 60), 'binance', 'BTC-USDT', number
             FROM numbers(2000)"
        ));
    }
    let check = |state: &str| {
        for operator in [">", ">=", "<", "<="] {
            for minutes in [1, 5, 9] {
                // One `now()` for both sides.
                let text = format!(
                    "WITH now() - INTERVAL {minutes} MINUTE AS bound
                     SELECT (SELECT count() FROM trades WHERE timestamp {operator} bound) AS found,
                            (SELECT countIf(timestamp {operator} bound) FROM trades) AS scanned, found = scanned"
                );
                let answer = engine.answer(&text);
                assert!(answer.ends_with("\t1"), "{state}, {operator} {minutes}: {answer}");
                let plain = engine.answer(&format!(
                    "SELECT count() FROM trades WHERE timestamp {operator} now() - INTERVAL {minutes} MINUTE"
                ));
                assert_ne!(plain, "0", "{state}, {operator} {minutes}");
            }
        }
    };
    check("unmerged");
    engine.done("OPTIMIZE TABLE trades FINAL");
    let parts = "SELECT max(n) FROM (SELECT count() AS n FROM system.parts WHERE table = 'trades' AND active GROUP BY partition)";
    assert_eq!(engine.answer(parts), "1");
    check("merged");
    engine.stop();
}

/// The threads of an engine that have this name, and their nice values.
fn nice_of(pid: u32, name: &str) -> Vec<(Pid, i32)> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let of_name = threads.filter_map(|thread| {
        let thread = thread.ok()?;
        let stat = std::fs::read_to_string(thread.path().join("stat")).ok()?;
        let (before, after) = stat.rsplit_once(") ")?;
        let id = Pid::from_raw(thread.file_name().to_str()?.parse().ok()?)?;
        let nice = after.split(' ').nth(16)?.parse().expect("a number");
        before.ends_with(&format!("({name}")).then_some((id, nice))
    });
    of_name.collect()
}

#[test]
fn merges_give_way_to_statements() {
    let data = Data::new();
    let engine = data.start();
    engine.done(TABLE);
    for a in 0..4 {
        engine.done(&format!("INSERT INTO t VALUES ({a})"));
    }
    until("every thread that merges is nice", 30, || {
        let merging = nice_of(engine.pid(), "MergeMutate");
        !merging.is_empty() && merging.iter().all(|(_, nice)| *nice == 10)
    });
    engine.done("OPTIMIZE TABLE t FINAL");
    assert_eq!(engine.answer("SELECT count(), uniqExact(a) FROM t"), "4\t4");
    let others = nice_of(engine.pid(), "tokio-rt-worker");
    assert!(
        !others.is_empty() && others.iter().all(|(_, nice)| *nice == 0),
        "{others:?}"
    );
}

#[test]
fn a_thread_that_inherited_a_low_priority_gets_its_own_back() {
    // Whoever may not raise a priority has statements that give way to none, so there is nothing to inherit.
    let is_allowed = [5, 0].map(|nice| setpriority_process(None, nice).is_ok());
    if is_allowed != [true, true] {
        return;
    }
    let data = Data::new();
    let engine = data.start();
    let idle = nice_of(engine.pid(), "ThreadPool");
    let (id, nice) = idle[0];
    assert_eq!(nice, 0);
    setpriority_process(Some(id), 10).expect("lowered");
    until("it is as the others", 30, || {
        nice_of(engine.pid(), "ThreadPool").contains(&(id, 0))
    });
}
