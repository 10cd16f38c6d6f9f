//! Bodies larger than memory should hold.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Data, Engine, PASSWORD, WRITER, encode, receive};

/// Numbers of ten digits.
const FIRST: u64 = 1_000_000_000;

/// Rows of 1,000 bytes each.
fn portion(first: u64, rows: u64) -> Vec<u8> {
    (first..first + rows)
        .flat_map(|n| format!("{}\t{n:0>988}\n", FIRST + n).into_bytes())
        .collect()
}

#[test]
fn a_gigabyte_goes_in_at_once_in_bounded_memory() {
    const ROWS: u64 = 1_500_000;
    const STEP: u64 = 10_000;
    let data = Data::new();
    let mut orders = data.orders();
    orders.body_bytes_max = 4 << 30;
    let engine = Engine::start(&orders);
    engine.done("CREATE TABLE t (a UInt64, b String CODEC(LZ4)) ENGINE = MergeTree ORDER BY a");
    // What the engine needs for any insert is there before it counts.
    engine.done("INSERT INTO t SELECT number, repeat('x', 1000) FROM numbers(10000)");
    engine.done("TRUNCATE TABLE t");
    let before = engine.rss();
    let mut stream = TcpStream::connect(engine.address).expect("the engine listens");
    let path = format!("/?query={}", encode("INSERT INTO t FORMAT TabSeparated"));
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nX-ClickHouse-User: {WRITER}\r\nX-ClickHouse-Key: {PASSWORD}\r\nContent-Length: {}\r\n\r\n",
        engine.address,
        ROWS * 1_000
    );
    stream.write_all(head.as_bytes()).expect("the engine reads");
    for first in (0..ROWS).step_by(STEP as usize) {
        stream.write_all(&portion(first, STEP)).expect("the engine reads");
    }
    let reply = receive(&mut stream, false);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let summary = reply.header("x-clickhouse-summary").expect("a summary");
    assert!(summary.contains(&format!("\"written_rows\":\"{ROWS}\"")), "{summary}");
    let most = engine.peak_rss();
    let expected = format!("{ROWS}\t{ROWS}\t{}", ROWS * FIRST + ROWS * (ROWS - 1) / 2);
    assert_eq!(engine.answer("SELECT count(), uniqExact(a), sum(a) FROM t"), expected);
    assert!(most < before + (900 << 20), "grew from {before} to {most} bytes");
    let left = std::fs::read_dir(orders.data).expect("a folder");
    let names: Vec<_> = left
        .map(|e| e.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    assert!(!names.iter().any(|name| name.starts_with(".tmp")), "{names:?}");
    engine.stop();
}

#[test]
fn an_upload_that_breaks_off_stores_nothing() {
    let data = Data::new();
    let engine = data.start();
    engine.done("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a");
    let whole = portion(0, 50_000);
    let path = format!("/?query={}", encode("INSERT INTO t FORMAT TabSeparated"));
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nX-ClickHouse-User: {WRITER}\r\nX-ClickHouse-Key: {PASSWORD}\r\nContent-Length: {}\r\n\r\n",
        engine.address,
        whole.len()
    );
    let mut stream = TcpStream::connect(engine.address).expect("the engine listens");
    stream.write_all(head.as_bytes()).expect("the engine reads");
    stream
        .write_all(&whole[..whole.len() - 1_000])
        .expect("the engine reads");
    stream.shutdown(std::net::Shutdown::Write).expect("a socket");
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer);
    assert!(
        !answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert_eq!(engine.answer("SELECT count() FROM t"), "0");
    engine.stop();
}
