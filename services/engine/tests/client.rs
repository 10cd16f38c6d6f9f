//! The `clickhouse` crate as writer: what every worker of ours uses.

mod common;

use clickhouse::Row;
use common::Data;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Row, Serialize, Deserialize)]
struct Trade {
    timestamp: i64,
    ts_recv: i64,
    exchange: String,
    price: i128,
    is_maker: bool,
    tags: Vec<String>,
    producer_seq: u64,
    note: Option<String>,
    ratio: Option<f64>,
    levels: Vec<(i128, i128)>,
}

const TRADES: &str = "CREATE TABLE market.trades (
    timestamp DateTime64(3, 'UTC'), ts_recv DateTime64(9, 'UTC'), exchange LowCardinality(String),
    price Decimal(38, 18) CODEC(ZSTD(1)), is_maker Bool, tags Array(String), producer_seq UInt64,
    note Nullable(String), ratio Nullable(Float64),
    levels Array(Tuple(Decimal(38, 18), Decimal(38, 18))),
    day Date MATERIALIZED toDate(timestamp), INDEX ps producer_seq TYPE minmax GRANULARITY 1
) ENGINE = MergeTree PARTITION BY (day, exchange)
ORDER BY (exchange, toUnixTimestamp64Milli(timestamp), producer_seq)
SETTINGS auto_statistics_types = '', fsync_after_insert = 1, old_parts_lifetime = 480";

fn trade(n: u64) -> Trade {
    Trade {
        timestamp: 1_700_000_000_000 + n as i64,
        ts_recv: 1_700_000_000_000_000_123 + n as i64,
        exchange: "binance".into(),
        price: -12_345_678_901_234_567_890_123_456_789_012_345_678 + i128::from(n),
        is_maker: n.is_multiple_of(2),
        tags: vec!["a'\\\t".into(), "ü".into()],
        producer_seq: u64::MAX - n,
        note: (n > 0).then(|| "n".into()),
        ratio: (n == 0).then_some(0.1),
        levels: vec![(1, 2), (i128::from(n), -3)],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_rows_go_in_and_come_out_unchanged() {
    let data = Data::new();
    let engine = data.start();
    let server = engine.client();
    server
        .query("CREATE DATABASE IF NOT EXISTS market")
        .execute()
        .await
        .expect("a database");
    server.query(TRADES).execute().await.expect("a table");
    for (round, compression) in [clickhouse::Compression::Lz4, clickhouse::Compression::None]
        .into_iter()
        .enumerate()
    {
        let client = server.clone().with_compression(compression).with_database("market");
        let written: Vec<Trade> = (0..3).map(trade).collect();
        let mut insert = client.insert::<Trade>("trades").await.expect("an insert");
        for row in &written {
            insert.write(row).await.expect("a row");
        }
        insert.end().await.expect("acknowledged");
        let read = "SELECT ?fields FROM trades ORDER BY producer_seq DESC LIMIT 1 BY producer_seq";
        assert_eq!(client.query(read).fetch_all::<Trade>().await.expect("rows"), written);
        let one = client.query("SELECT count() FROM trades WHERE exchange = ? AND producer_seq = ?");
        let count: u64 = one.bind("binance").bind(u64::MAX).fetch_one().await.expect("a row");
        assert_eq!(count, round as u64 + 1);
        let one = client.query("SELECT {text:String}").param("text", "a'\\ \t\nb");
        assert_eq!(one.fetch_one::<String>().await.expect("a row"), "a'\\ \t\nb");
        let none = client.query("SELECT producer_seq FROM trades WHERE exchange = 'none'");
        assert_eq!(none.fetch_optional::<u64>().await.expect("an answer"), None);
        let error = client
            .query("SELECT nothing FROM trades")
            .fetch_all::<u64>()
            .await
            .expect_err("no column");
        assert!(error.to_string().contains("Code: 47."), "{error}");
        let error = client
            .query("INSERT INTO trades SELECT 1")
            .execute()
            .await
            .expect_err("no such columns");
        assert!(error.to_string().contains("Code: "), "{error}");
    }
    let set = server.clone().with_setting("max_block_size", "99");
    let value: String = set
        .query("SELECT toString(getSetting('max_block_size'))")
        .fetch_one()
        .await
        .expect("a row");
    assert_eq!(value, "99");
    engine.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn options_name_sessions_and_queries() {
    let data = Data::new();
    let engine = data.start();
    let client = engine.client();
    let session = client.clone().with_setting("session_id", "crate");
    let temporary = "CREATE TEMPORARY TABLE mine (a UInt64)";
    session.query(temporary).execute().await.expect("a temporary table");
    session
        .query("INSERT INTO mine SELECT number FROM numbers(3)")
        .execute()
        .await
        .expect("rows");
    let sum = "SELECT sum(a) FROM mine";
    assert_eq!(session.query(sum).fetch_one::<u64>().await.expect("a row"), 3);
    let error = client.query(sum).fetch_one::<u64>().await.expect_err("another session");
    assert!(error.to_string().contains("Code: 60."), "{error}");

    let slow = client
        .clone()
        .with_setting("query_id", "crate-slow")
        .with_setting("max_block_size", "10");
    let running = tokio::spawn(async move {
        let text = "SELECT sum(toUInt64(sleepEachRow(0.01))) FROM numbers(10000)";
        slow.query(text).fetch_one::<u64>().await
    });
    loop {
        let kill = client.query("KILL QUERY WHERE query_id = 'crate-slow' SYNC");
        let mut lines = kill.fetch_bytes("JSONEachRow").expect("an answer");
        if !lines.collect().await.expect("an answer").is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let error = running.await.expect("no panic").expect_err("killed");
    assert!(error.to_string().contains("Code: 394."), "{error}");

    for compression in [clickhouse::Compression::Lz4, clickhouse::Compression::None] {
        let client = client.clone().with_compression(compression);
        let mut rows = client
            .query("SELECT number + throwIf(number = 3000000) FROM numbers(10000000)")
            .fetch::<u64>()
            .expect("a stream");
        let error = loop {
            match rows.next().await {
                Ok(row) => assert!(row.is_some(), "the answer is not whole"),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("Code: 395."), "{error}");
    }
    engine.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_does_not_fit_its_table_is_refused() {
    #[derive(Row, Serialize, Deserialize)]
    struct Wrong {
        a: String,
    }
    let data = Data::new();
    let engine = data.start();
    let client = engine.client();
    client
        .query("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        .execute()
        .await
        .expect("a table");
    // The crate itself notices before anything is sent, by panic or by error, once it knows the table's columns.
    let outcome = tokio::spawn({
        let client = client.clone();
        async move {
            let mut insert = client.insert::<Wrong>("t").await?;
            insert.write(&Wrong { a: "x".into() }).await?;
            insert.end().await
        }
    });
    assert!(!matches!(outcome.await, Ok(Ok(()))));
    assert_eq!(
        client
            .query("SELECT count() FROM t")
            .fetch_one::<u64>()
            .await
            .expect("a row"),
        0
    );
    engine.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn millions_of_rows_pass_in_bounded_memory() {
    #[derive(Row, Serialize, Deserialize)]
    struct Pair {
        a: u64,
        b: String,
    }
    const INSERTED: u64 = 1_000_000;
    const STREAMED: u64 = 10_000_000;
    let data = Data::new();
    let engine = data.start();
    let client = engine.client();
    client
        .query("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
        .execute()
        .await
        .expect("a table");
    let mut insert = client.insert::<Pair>("t").await.expect("an insert");
    for a in 0..INSERTED {
        let pair = Pair {
            a,
            b: format!("row {a}"),
        };
        insert.write(&pair).await.expect("a row");
    }
    insert.end().await.expect("acknowledged");
    let sum: u64 = client.query("SELECT sum(a) FROM t").fetch_one().await.expect("a row");
    assert_eq!(sum, INSERTED * (INSERTED - 1) / 2);

    let before = engine.rss();
    let text = "SELECT t.a AS a, concat(b, repeat('x', 100)) AS b FROM t, numbers(10) AS n";
    let mut rows = client.query(text).fetch::<Pair>().expect("a stream");
    let (mut count, mut sum, mut most) = (0, 0, 0);
    while let Some(row) = rows.next().await.expect("a row") {
        assert!(row.b.len() > 100);
        count += 1;
        sum += row.a;
        if count % 100_000 == 0 {
            most = most.max(engine.rss());
        }
    }
    assert_eq!((count, sum), (STREAMED, 10 * (INSERTED * (INSERTED - 1) / 2)));
    // The answer has 1.2 GB.
    assert!(most < before + (300 << 20), "grew from {before} to {most} bytes");
    engine.stop();
}
