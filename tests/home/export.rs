//! `mprism export`: what is in a file is what is in the stores, each row once and in order; a file that is there is whole.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mprism_runtime::process::Signal;

use crate::support::{Home, signal};

/// Bytes by which the memory of a larger export may exceed that of a smaller one.
const MEMORY_SLACK: u64 = 48 << 20;

/// Makes an engine alone, with trades of two hours: most in both stores, some in one of them.
fn filled(rows: u64) -> Home {
    let home = Home::new();
    home.good(&["init", "clickhouse"]);
    home.good(&["start", "clickhouse"]);
    trades(&home, "marketprism_hot", rows / 10, rows);
    trades(&home, "marketprism_cold", 0, rows - rows / 10);
    home
}

/// Writes the trades numbered so; prices need all their digits.
fn trades(home: &Home, database: &str, from: u64, to: u64) {
    home.write(&format!(
        "INSERT INTO {database}.trades (timestamp, exchange, market_type, symbol, trade_id, price, quantity, side, trade_time, \
         created_at, ts_recv, ts_insert, producer_epoch, producer_seq, source) SELECT \
         toDateTime64('2026-11-20 12:00:00', 3, 'UTC') + toIntervalMillisecond(intDiv(number, 4) * 7) AS time, \
         if(number % 3 = 0, 'okx_spot', 'binance_spot'), 'spot', if(number % 2 = 0, 'BTC-USDT', 'ETH-USDT'), toString(number), \
         toDecimal128('12345678901234567.123456789012345678', 18) + number, toDecimal128('0.000000000000000001', 18), 'buy', time, \
         time, time, time, 7, number, 'ws' FROM numbers({from}, {})",
        to - from
    ));
}

const WHEN: [&str; 4] = ["--from", "2026-11-20T12:00:00Z", "--to", "2026-11-20T14:00:00Z"];

fn export(home: &Home, data_type: &str, file: &Path, more: &[&str]) -> serde_json::Value {
    let file = file.display().to_string();
    home.good(&[&["export", data_type, "-o", &file][..], &WHEN, more].concat())
}

/// Reads a file back with ClickHouse and returns what it says, to be compared with [`content`] of a table.
async fn read_back(home: &Home, table: &str, format: &str, file: &Path) -> String {
    home.write("CREATE DATABASE IF NOT EXISTS back");
    home.write(&format!("DROP TABLE IF EXISTS back.{table}"));
    home.write(&format!("CREATE TABLE back.{table} AS marketprism_hot.{table}"));
    let secret = fs::read_to_string(home.path().join("secrets/clickhouse-writer")).expect("there");
    mprism::commands::install_crypto_provider();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let statement = format!("INSERT INTO back.{table} FORMAT {format}");
    let answer = client
        .post(format!("http://{}/", home.address(8123)))
        .query(&[("query", statement.as_str()), ("date_time_input_format", "best_effort")])
        .header("X-ClickHouse-User", "mprism")
        .header("X-ClickHouse-Key", secret.trim())
        .header("X-Mprism-Write", "operator")
        .body(fs::read(file).expect("there"))
        .send()
        .await
        .expect("sent");
    let status = answer.status();
    let said = answer.text().await.expect("text");
    assert!(status.is_success(), "{format}: {said}");
    home.query(&format!("SELECT {CONTENT} FROM back.{table}"))
}

/// Every column of every row.
const CONTENT: &str =
    "count(), uniqExact(producer_epoch, producer_seq), sum(sipHash64(tuple(*))), groupBitXor(cityHash64(tuple(*)))";

/// What both stores have together.
fn content(home: &Home, table: &str, condition: &str) -> String {
    home.query(&format!(
        "SELECT {CONTENT} FROM (SELECT * FROM (SELECT * FROM marketprism_hot.{table} UNION ALL SELECT * FROM marketprism_cold.{table}) \
         WHERE {condition} LIMIT 1 BY producer_epoch, producer_seq)"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_says_what_both_stores_say_in_every_form() {
    const ROWS: u64 = 400_000;
    let home = filled(ROWS);
    let folder = home.beside().join("exports");
    fs::create_dir(&folder).expect("made");
    let both = content(&home, "trades", "1");
    assert!(both.starts_with(&format!("{ROWS}\t{ROWS}\t")), "{both}");
    for (name, format) in [
        ("trades.parquet", "Parquet"),
        ("trades.csv", "CSVWithNames"),
        ("trades.jsonl", "JSONEachRow"),
    ] {
        let file = folder.join(name);
        let document = export(&home, "trade", &file, &[]);
        assert_eq!(document["rows"], ROWS, "{document}");
        assert_eq!(
            document["bytes"],
            fs::metadata(&file).expect("there").len(),
            "{document}"
        );
        assert_eq!(read_back(&home, "trades", format, &file).await, both, "{name}");
    }
    // In order of time, with one head, every digit there.
    let text = fs::read_to_string(folder.join("trades.csv")).expect("text");
    let mut lines = text.lines();
    assert!(lines.next().expect("a head").starts_with("\"timestamp\",\"exchange\","));
    let times: Vec<&str> = lines.map(|line| &line[..26]).collect();
    assert_eq!((times.len() as u64, times[0]), (ROWS, "\"2026-11-20T12:00:00.000Z\""));
    assert!(times.is_sorted());
    assert!(text.contains(",12345678901234567.123456789012345678,0.000000000000000001,"));
    let lines = fs::read_to_string(folder.join("trades.jsonl")).expect("text");
    assert!(lines.contains("\"price\":\"12345678901234567.123456789012345678\""));

    // Filters, and compression by the file's name.
    let file = folder.join("some.csv.gz");
    let document = export(
        &home,
        "trade",
        &file,
        &["--exchange", "okx_spot", "--symbol", "ETH-USDT"],
    );
    assert_eq!(
        (&document["format"], &document["compression"]),
        (&"csv".into(), &"gzip".into())
    );
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(&file).expect("there"))
        .read_to_end(&mut plain)
        .expect("gzip");
    fs::write(folder.join("some.csv"), plain).expect("written");
    let some = content(&home, "trades", "exchange = 'okx_spot' AND symbol = 'ETH-USDT'");
    assert_eq!(
        read_back(&home, "trades", "CSVWithNames", &folder.join("some.csv")).await,
        some
    );

    // Levels of order books.
    for database in ["marketprism_hot", "marketprism_cold"] {
        home.write(&format!(
            "INSERT INTO {database}.orderbooks (timestamp, exchange, market_type, symbol, last_update_id, bids_count, asks_count, \
             bid_levels, ask_levels, created_at, producer_epoch, producer_seq) SELECT toDateTime64('2026-11-20 12:00:00', 3, 'UTC') + number, \
             'binance_spot', 'spot', 'BTC-USDT', number, 2, 1, [(10.5, number), (9.25, 1)], [(11, 0.5)], toDateTime64(1, 3), 8, number FROM numbers(5000)"
        ));
    }
    let books = content(&home, "orderbooks", "1");
    for (name, format) in [("books.parquet", "Parquet"), ("books.jsonl", "JSONEachRow")] {
        let file = folder.join(name);
        assert_eq!(export(&home, "orderbook", &file, &[])["rows"], 5_000);
        assert_eq!(read_back(&home, "orderbooks", format, &file).await, books, "{name}");
    }
    let stream = home.run(&[&["export", "orderbook", "--format", "csv", "-o", "-"][..], &WHEN].concat());
    assert_eq!((stream.code, stream.stdout.lines().count()), (0, 5_001));
    assert!(
        stream
            .stdout
            .contains(r#"[{""price"":""10.5"",""quantity"":""3""},{""price"":""9.25"",""quantity"":""1""}]"#)
    );
    let left: Vec<_> = fs::read_dir(&folder)
        .expect("there")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(
        left.iter().all(|name| !name.to_string_lossy().contains("partial")),
        "{left:?}"
    );
}

/// Runs an export and returns the most memory that it had, in bytes.
fn peak(home: &Home, to: &str) -> u64 {
    let file: PathBuf = home.beside().join("large.parquet");
    let line = [
        "export",
        "trade",
        "--force",
        "--from",
        "2026-11-20T12:00:00Z",
        "--to",
        to,
        "-o",
    ];
    peak_of(home.command(&[&line[..], &[&file.display().to_string()]].concat()))
}

/// Runs a command to its good end and returns the most memory that it had, in bytes.
fn peak_of(mut command: Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).spawn().expect("started");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("ours").is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) * 1_024);
        std::thread::yield_now();
    }
    assert!(child.wait().expect("ours").success());
    peak
}

#[test]
fn a_larger_export_takes_no_more_memory() {
    const ROWS: u64 = 2_000_000;
    let home = filled(ROWS);
    let small = peak(&home, "2026-11-20T12:10:00Z");
    let large = peak(&home, "2026-11-20T14:00:00Z");
    assert!(small > 0 && large < small + MEMORY_SLACK, "{small} bytes, then {large}");
    // Nor does a query whose answer is some hundred megabytes.
    let few = peak_of(home.command(&[
        "query",
        "SELECT * FROM marketprism.trades LIMIT 1000",
        "--format",
        "csv",
    ]));
    let many = peak_of(home.command(&["query", "SELECT * FROM marketprism_hot.trades", "--format", "jsonl"]));
    assert!(few > 0 && many < few + MEMORY_SLACK, "{few} bytes, then {many}");
}

#[tokio::test]
async fn what_is_not_whole_is_not_there_and_what_cannot_be_is_said() {
    let home = filled(1_000);
    let folder = home.beside().join("exports");
    fs::create_dir(&folder).expect("made");
    let file = folder.join("x.csv").display().to_string();
    let run = |more: &[&str]| home.run(&[&["export"][..], more, &["--json"]].concat());
    let entries = || fs::read_dir(&folder).expect("there").count();
    let refused: &[(&[&str], i32, &str)] = &[
        (
            &[
                "trade",
                "--from",
                "2026-11-20T14:00:00Z",
                "--to",
                "2026-11-20T12:00:00Z",
                "-o",
                &file,
            ],
            2,
            "is not before",
        ),
        (
            &[
                "trade",
                "--from",
                "yesterday",
                "--to",
                "2026-11-20T12:00:00Z",
                "-o",
                &file,
            ],
            2,
            "yesterday",
        ),
        (
            &[
                "trades",
                "--from",
                "2026-11-20T12:00:00Z",
                "--to",
                "2026-11-20T14:00:00Z",
                "-o",
                &file,
            ],
            2,
            "funding_rate",
        ),
        (
            &[
                "trade",
                "--exchange",
                "kraken",
                "--from",
                "2026-11-20T12:00:00Z",
                "--to",
                "2026-11-20T14:00:00Z",
                "-o",
                &file,
            ],
            2,
            "okx_spot",
        ),
        (
            &[
                "trade",
                "--from",
                "2026-11-20T12:00:00Z",
                "--to",
                "2026-11-20T14:00:00Z",
                "-o",
                "/nonexistent/x.csv",
            ],
            1,
            "/nonexistent/x.csv",
        ),
        (
            &[
                "trade",
                "--from",
                "2026-11-20T12:00:00Z",
                "--to",
                "2026-11-20T14:00:00Z",
                "-o",
                "x.txt",
            ],
            2,
            "--format",
        ),
        (
            &[
                "trade",
                "--from",
                "2026-11-20T12:00:00Z",
                "--to",
                "2026-11-20T14:00:00Z",
                "--format",
                "csv",
                "-o",
                "-",
            ],
            2,
            "standard output",
        ),
        (
            &[
                "trade",
                "--from",
                "2025-11-20T12:00:00Z",
                "--to",
                "2025-11-20T14:00:00Z",
                "-o",
                &file,
            ],
            1,
            "there are rows from 2026-11-20T12:00:00.000Z",
        ),
        (
            &[
                "liquidation",
                "--from",
                "2026-11-20T12:00:00Z",
                "--to",
                "2026-11-20T14:00:00Z",
                "-o",
                &file,
            ],
            1,
            "no liquidation rows",
        ),
    ];
    for (line, code, told) in refused {
        let done = run(line);
        assert_eq!(done.code, *code, "{line:?}: {done:?}");
        assert!(
            done.document()["error"].to_string().contains(told),
            "{line:?}: {done:?}"
        );
        assert_eq!(entries(), 0, "{line:?}");
    }
    // The engine holds still while an export begins, and somebody loses patience.
    let engine = home.process("clickhouse");
    signal(&engine, Signal::STOP);
    let line = [&["export", "trade", "-o", &file][..], &WHEN].concat();
    let child = home.command(&line).spawn().expect("started");
    home.until("the export has begun", || match entries() {
        1 => Ok(()),
        count => Err(format!("{count} files")),
    })
    .await;
    assert!(!Path::new(&file).exists());
    let exporting = mprism_runtime::process::ProcessIdentity::of(child.id()).expect("alive");
    signal(&exporting, Signal::INT);
    let done = child.wait_with_output().expect("ours");
    signal(&engine, Signal::CONT);
    assert_eq!((done.status.code(), entries()), (Some(130), 0));
    // A file that is there stays as it is, unless it may go.
    fs::write(&file, "mine").expect("written");
    let line = [&["trade", "-o", &file][..], &WHEN].concat();
    let refused = run(&line);
    assert_eq!(
        (refused.code, &refused.document()["error"]["code"]),
        (4, &"file_exists".into())
    );
    assert_eq!(fs::read_to_string(&file).expect("there"), "mine");
    let replaced = run(&[&line[..], &["--force"]].concat()).good();
    assert_eq!(replaced["rows"], 1_000);
    assert_eq!(fs::read_to_string(&file).expect("there").lines().count(), 1_001);
    // A stopped engine runs for as long as it takes.
    home.good(&["stop"]);
    assert_eq!(run(&[&line[..], &["--force"]].concat()).good()["rows"], 1_000);
    assert_eq!(home.status("clickhouse")["state"], "stopped");
}
