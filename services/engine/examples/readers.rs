//! Readers beside a writer: `cargo run --release -p mprism-engine --example readers -- [MINUTES]`.
//!
//! Eight readers run the queries that operators run while 5,000 rows a second go into the real trades table. Each answer
//! is held against what the writer knows: at least what was acknowledged before the query began, at most what was sent
//! before it ended.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clickhouse::{Client, Row};
use mprism_engine::EngineOptions;
use serde::{Deserialize, Serialize};

const READERS: u64 = 8;
const ROWS_A_SECOND: u64 = 5_000;
const BATCH_EVERY: Duration = Duration::from_millis(200);
/// The window of the documented queries, in milliseconds.
const WINDOW_MS: i64 = 300_000;
const SCHEMA: &str = include_str!("../../../config/schema.sql");
const PASSWORD: &str = "bench";
/// Makes this program the engine: its value is the data folder.
const ENGINE: &str = "MPRISM_BENCH_ENGINE";

#[derive(Row, Serialize, Deserialize)]
struct Trade {
    timestamp: i64,
    exchange: String,
    market_type: String,
    symbol: String,
    trade_id: String,
    price: i128,
    quantity: i128,
    side: String,
    is_maker: bool,
    trade_time: i64,
    data_source: String,
    ts_recv: i64,
    ts_insert: i64,
    producer_epoch: u64,
    producer_seq: u64,
    source: String,
}

/// A batch of the writer: all its rows have one time.
#[derive(Clone, Copy)]
struct Batch {
    rows: u64,
    time_ms: i64,
    sent: Instant,
    acknowledged: Option<Instant>,
}

#[derive(Default)]
struct Ledger {
    batches: Mutex<Vec<Batch>>,
}

impl Ledger {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Batch>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fewest and the most rows that a query between `begun` and `ended` may count in a window that opened, by the
    /// engine's clock of whole seconds, between these two times.
    fn bounds(&self, begun: Instant, ended: Instant, opened_first: i64, opened_last: i64) -> (u64, u64) {
        let batches = self.lock();
        let least = batches
            .iter()
            .filter(|b| b.acknowledged.is_some_and(|at| at <= begun) && b.time_ms > opened_last);
        let most = batches.iter().filter(|b| b.sent <= ended && b.time_ms > opened_first);
        (least.map(|b| b.rows).sum(), most.map(|b| b.rows).sum())
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    since.as_millis() as i64
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match std::env::var_os(ENGINE) {
        Some(data) => runtime.block_on(engine(data.into())),
        None => {
            let minutes = std::env::args()
                .nth(1)
                .map_or(10.0, |text| text.parse().expect("minutes"));
            runtime.block_on(bench(Duration::from_secs_f64(minutes * 60.0)));
        }
    }
}

/// The engine, in a process of its own.
async fn engine(data: std::path::PathBuf) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let listen = listener.local_addr().expect("bound");
    println!("{listen}");
    let options = EngineOptions {
        listen,
        library: mprism_testkit::dependency(mprism_deps::Dependency::Libchdb),
        data,
        writer_user: "writer".into(),
        writer_password: PASSWORD.into(),
        remote: None,
        allowed_hosts: Vec::new(),
        readers_from_anywhere: false,
        readers_max: 8,
        reader_wait: Duration::from_secs(5),
        reader_memory_max: 1 << 30,
        writers_max: 4,
        body_bytes_max: 1 << 30,
        fences: true,
    };
    let shutdown = tokio_util::sync::CancellationToken::new();
    let told = shutdown.clone();
    std::thread::spawn(move || {
        // Ends when the bench drops its end.
        let _end = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        told.cancel();
    });
    mprism_engine::serve(listener, options, shutdown)
        .await
        .expect("it serves");
}

async fn bench(length: Duration) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .env(ENGINE, folder.path().join("data"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let mut address = String::new();
    BufReader::new(child.stdout.take().expect("piped"))
        .read_line(&mut address)
        .expect("an address");
    let url = format!("http://{}", address.trim());
    let reader = Client::default().with_url(&url);
    let writer = reader.clone().with_user("writer").with_password(PASSWORD);
    while reader.query("SELECT 1").fetch_one::<u8>().await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for statement in SCHEMA.split(";\n").map(str::trim).filter(|text| !text.is_empty()) {
        writer.query(statement).execute().await.expect("the schema");
    }
    let ledger = Arc::new(Ledger::default());
    let end = Instant::now() + length;
    let inserting = tokio::spawn(insert(fenced(&url).await, Arc::clone(&ledger), end));
    let readers: Vec<_> = (0..READERS)
        .map(|n| tokio::spawn(read(n, reader.clone(), Arc::clone(&ledger), end)))
        .collect();
    let mut rss = Vec::new();
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(5).min(end.saturating_duration_since(Instant::now()))).await;
        rss.push(memory(child.id(), "VmRSS:"));
    }
    let inserts = inserting.await.expect("no panic");
    let mut reads: Vec<(&str, Duration)> = Vec::new();
    for task in readers {
        reads.extend(task.await.expect("every answer is right"));
    }
    report("insert", inserts.into_iter());
    let mut names: Vec<&str> = reads.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        report(name, reads.iter().filter(|(n, _)| *n == name).map(|(_, took)| *took));
    }
    report("all reads", reads.iter().map(|(_, took)| *took));
    let total: u64 = ledger.lock().iter().map(|b| b.rows).sum();
    let (first, last) = (rss.first().copied().unwrap_or(0), rss.last().copied().unwrap_or(0));
    let peak = memory(child.id(), "VmHWM:");
    println!("{total} rows; every answer within its bounds");
    println!("engine memory: {first} MiB after 5 s, {last} MiB at the end, {peak} MiB at most");
    drop(child.stdin.take());
    println!("engine ended: {}", child.wait().expect("our child"));
    std::io::stdout().flush().expect("a terminal");
}

/// A client whose inserts the fence lets through.
async fn fenced(url: &str) -> Client {
    let table = "marketprism_hot.trades";
    let done = Command::new("curl")
        .args(["--silent", "--fail", "-X", "POST", "-u", &format!("writer:{PASSWORD}")])
        .arg(format!("{url}/mprism/fence?table={table}"))
        .output()
        .expect("curl");
    let said: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let generation = said["generation"].as_u64().expect("a generation");
    Client::default()
        .with_url(url)
        .with_user("writer")
        .with_password(PASSWORD)
        .with_database("marketprism_hot")
        .with_setting("log_comment", format!("mp-{table}-{generation}-bench"))
}

async fn insert(client: Client, ledger: Arc<Ledger>, end: Instant) -> Vec<Duration> {
    let mut ticks = tokio::time::interval(BATCH_EVERY);
    let mut took = Vec::new();
    let begun = Instant::now();
    let mut first = 0;
    while Instant::now() < end {
        ticks.tick().await;
        // What came since the last batch: a slow insert makes the next one larger, as it does for the real writer.
        let due = begun.elapsed().as_millis() as u64 * ROWS_A_SECOND / 1_000;
        let rows = (due - first).max(1);
        let time_ms = now_ms();
        let sent = Instant::now();
        ledger.lock().push(Batch {
            rows,
            time_ms,
            sent,
            acknowledged: None,
        });
        let mut insert = client.insert::<Trade>("trades").await.expect("an insert");
        for seq in first..first + rows {
            insert.write(&trade(seq, time_ms)).await.expect("a row");
        }
        insert.end().await.expect("acknowledged");
        took.push(sent.elapsed());
        first += rows;
        if let Some(batch) = ledger.lock().last_mut() {
            batch.acknowledged = Some(Instant::now());
        }
    }
    took
}

fn trade(seq: u64, time_ms: i64) -> Trade {
    let one = 1_000_000_000_000_000_000_i128;
    Trade {
        timestamp: time_ms,
        exchange: "binance_spot".into(),
        market_type: "spot".into(),
        symbol: ["BTC-USDT", "ETH-USDT"][(seq % 2) as usize].into(),
        trade_id: seq.to_string(),
        price: 60_000 * one + i128::from(seq % 1_000) * one / 100,
        quantity: one / 1_000 + i128::from(seq % 77) * one / 10_000,
        side: ["buy", "sell"][(seq % 3 % 2) as usize].into(),
        is_maker: seq.is_multiple_of(3),
        trade_time: time_ms,
        data_source: "marketprism".into(),
        ts_recv: time_ms * 1_000_000,
        ts_insert: time_ms,
        producer_epoch: 1,
        producer_seq: seq,
        source: "bench".into(),
    }
}

/// Asks in turn; panics where an answer cannot be right.
async fn read(reader: u64, client: Client, ledger: Arc<Ledger>, end: Instant) -> Vec<(&'static str, Duration)> {
    let table = "marketprism_hot.trades";
    let window = "WHERE timestamp > now() - INTERVAL 5 MINUTE";
    let mut took = Vec::new();
    let mut turn = reader;
    while Instant::now() < end {
        let (begun, clock) = (Instant::now(), now_ms());
        let name = match turn % 6 {
            0 | 1 => {
                let text = match turn % 6 {
                    0 => format!("SELECT count() FROM {table} {window}"),
                    _ => format!(
                        "SELECT rows FROM (SELECT 'trades' AS name, count() AS rows FROM {table} {window}
                         UNION ALL SELECT 'gaps', count() FROM marketprism_hot.gaps {window}) WHERE name = 'trades'"
                    ),
                };
                let count = client.query(&text).fetch_one::<u64>().await.expect("an answer");
                let opened = |ms: i64| ms / 1_000 * 1_000 - WINDOW_MS;
                let (least, most) = ledger.bounds(begun, Instant::now(), opened(clock), opened(now_ms()));
                assert!(
                    (least..=most).contains(&count),
                    "{text}: {count} is not within {least} and {most}"
                );
                ["5 minutes", "5 minutes, all tables"][(turn % 6) as usize]
            }
            2 => {
                let text = format!("SELECT count() FROM {table}");
                let count = client.query(&text).fetch_one::<u64>().await.expect("an answer");
                let (least, most) = ledger.bounds(begun, Instant::now(), i64::MIN, i64::MIN);
                assert!(
                    (least..=most).contains(&count),
                    "{text}: {count} is not within {least} and {most}"
                );
                "total"
            }
            3 => {
                let text = format!("SELECT count(), count(DISTINCT trade_id, exchange, symbol) FROM {table}");
                let (count, distinct) = client.query(&text).fetch_one::<(u64, u64)>().await.expect("an answer");
                let (least, most) = ledger.bounds(begun, Instant::now(), i64::MIN, i64::MIN);
                assert!(
                    (least..=most).contains(&count) && count == distinct,
                    "{text}: {count}, {distinct}"
                );
                "duplicates"
            }
            4 => {
                let text = format!("SELECT timestamp, exchange, symbol FROM {table} ORDER BY timestamp DESC LIMIT 3");
                let rows = client
                    .query(&text)
                    .fetch_all::<(i64, String, String)>()
                    .await
                    .expect("an answer");
                let ended = Instant::now();
                let newest = rows.first().map_or(i64::MIN, |row| row.0);
                let batches = ledger.lock();
                let known = batches.iter().filter(|b| b.acknowledged.is_some_and(|at| at <= begun));
                let known = known.map(|b| b.time_ms).max().unwrap_or(i64::MIN);
                let sent = batches
                    .iter()
                    .filter(|b| b.sent <= ended)
                    .map(|b| b.time_ms)
                    .max()
                    .unwrap_or(i64::MIN);
                assert!(
                    (known..=sent).contains(&newest),
                    "{text}: {newest} is not within {known} and {sent}"
                );
                "newest"
            }
            _ => {
                let version = client
                    .query("SELECT version()")
                    .fetch_one::<String>()
                    .await
                    .expect("an answer");
                assert_eq!(version, "26.5.1.1");
                "liveness"
            }
        };
        took.push((name, begun.elapsed()));
        turn += 1;
    }
    took
}

fn report(name: &str, took: impl Iterator<Item = Duration>) {
    let mut took: Vec<Duration> = took.collect();
    took.sort_unstable();
    let at = |share: f64| took.get(((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1)));
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| at(share).copied().unwrap_or_default().as_secs_f64() * 1_000.0);
    println!(
        "{name:<22} {:>8} times  p50 {p50:>8.1} ms  p99 {p99:>8.1} ms  max {max:>8.1} ms",
        took.len()
    );
}

fn memory(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) >> 10
}
