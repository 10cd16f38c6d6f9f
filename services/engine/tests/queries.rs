//! Statements under their ids: seen, killed, left behind by their clients.

mod common;

use std::io::Read;

use common::{Call, Data, Engine, receive, until};

const SLOW: &str = "SELECT sum(sleepEachRow(0.01)) FROM numbers(10000)";

/// What the library itself still lists, but for the statement that asks.
fn processes(engine: &Engine) -> String {
    engine.answer("SELECT query FROM system.processes WHERE position(query, 'system.processes') = 0")
}

fn slow(engine: &Engine, id: &str) -> std::net::TcpStream {
    let call = Call::new("POST", "/")
        .parameter("query_id", id)
        .parameter("max_block_size", "10");
    let stream = call.body(SLOW).open(engine.address);
    until("it runs", 20, || processes(engine).contains("sleepEachRow"));
    stream
}

fn kill(engine: &Engine, rest: &str) -> String {
    let reply = engine.write(&format!("KILL QUERY WHERE query_id {rest}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text()
}

#[test]
fn every_answer_carries_its_id() {
    let data = Data::new();
    let engine = data.start();
    let given = |statement: &str| engine.send(Call::query("GET", statement).parameter("query_id", "mine-1"));
    assert_eq!(given("SELECT 1").header("x-clickhouse-query-id"), Some("mine-1"));
    let failed = given("SELECT nothing");
    assert_eq!(
        (failed.status, failed.header("x-clickhouse-query-id")),
        (404, Some("mine-1"))
    );
    let denied = Call::query("GET", "SELECT 1").parameter("query_id", "mine-2");
    let denied = engine.send(denied.header("X-ClickHouse-User", "nobody"));
    assert_eq!(
        (denied.status, denied.header("x-clickhouse-query-id")),
        (403, Some("mine-2"))
    );
    let made = |statement: &str| {
        let reply = engine.read(statement);
        reply.header("x-clickhouse-query-id").expect("an id").to_owned()
    };
    let (one, other) = (made("SELECT 1"), made("SELEC"));
    assert_ne!(one, other);
    let parts: Vec<usize> = one.split('-').map(str::len).collect();
    assert_eq!((parts, &one[14..15]), (vec![8, 4, 4, 4, 12], "4"), "{one}");
    engine.stop();
}

#[test]
fn a_statement_is_killed_by_its_id() {
    let data = Data::new();
    let engine = data.start();
    let mut client = slow(&engine, "it's slow");
    let again = Call::query("GET", "SELECT 1").parameter("query_id", "it's slow");
    let again = engine.send(again);
    assert_eq!((again.status, again.code()), (500, Some(216)), "{}", again.text());
    let by_reader = engine.read("KILL QUERY WHERE query_id = 'it''s slow' SYNC");
    assert_eq!(by_reader.code(), Some(164), "{}", by_reader.text());
    let everything = engine.write("KILL QUERY WHERE query_id != ''");
    assert_eq!(
        (everything.status, everything.code()),
        (403, Some(497)),
        "{}",
        everything.text()
    );
    assert_eq!(kill(&engine, "= 'nobody' SYNC"), "");
    let listed = kill(&engine, "IN ('it''s slow', 'nobody') TEST");
    assert!(listed.starts_with("it\\'s slow\tdefault\tSELECT sum("), "{listed}");
    let killed = kill(&engine, "= 'it''s slow' SYNC");
    assert!(killed.starts_with("finished\tit\\'s slow\tdefault\t"), "{killed}");
    assert_eq!(processes(&engine), "", "SYNC waits for the end");
    let answer = receive(&mut client, false);
    assert_eq!((answer.status, answer.code()), (500, Some(394)), "{}", answer.text());
    let free = Call::query("GET", "SELECT 1").parameter("query_id", "it's slow");
    assert_eq!(engine.send(free).text(), "1\n");
    engine.stop();
}

#[test]
fn an_answer_under_way_and_an_insert_are_killed_too() {
    let data = Data::new();
    let engine = data.start();
    let endless = Call::new("POST", "/").parameter("query_id", "streams");
    let endless = endless.body("SELECT number, repeat('x', 100) FROM numbers(1000000000000)");
    let mut client = endless.open(engine.address);
    client.read_exact(&mut [0; 4096]).expect("the answer begins");
    engine.done("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a");
    let insert = Call::new("POST", "/")
        .writer()
        .parameter("query_id", "inserts")
        .parameter("max_block_size", "10");
    let insert = insert.body("INSERT INTO t SELECT sleepEachRow(0.01) + number FROM numbers(10000)");
    let mut inserter = insert.open(engine.address);
    until("both run", 20, || {
        let list = processes(&engine);
        list.contains("repeat(") && list.contains("sleepEachRow")
    });
    let answer = engine.write("KILL QUERY WHERE query_id IN ('streams', 'inserts') ASYNC FORMAT JSONCompactEachRow");
    assert_eq!(answer.text().matches("[\"waiting\"").count(), 2, "{}", answer.text());
    let refused = receive(&mut inserter, false);
    assert_eq!((refused.status, refused.code()), (500, Some(394)), "{}", refused.text());
    let mut rest = Vec::new();
    let _broken_off = client.read_to_end(&mut rest);
    let end = String::from_utf8_lossy(&rest[rest.len().saturating_sub(1_000)..]).into_owned();
    assert!(end.contains("__exception__") && end.contains("Code: 394."), "{end}");
    until("nothing runs", 20, || processes(&engine).is_empty());
    engine.stop();
}

#[test]
fn clients_that_go_away_leave_nothing_behind() {
    let data = Data::new();
    let engine = data.start();
    let statements = [
        // No output yet.
        "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(cityHash64(number))",
        SLOW,
        // In the middle of it.
        "SELECT number, repeat('x', 100) FROM numbers(1000000000000)",
    ];
    for statement in statements {
        // A block of sleeping takes a second: one of more than three is refused before anybody sees it run.
        let call = Call::new("POST", "/").parameter("max_block_size", "100");
        let call = call.parameter("cancel_http_readonly_queries_on_client_close", "1");
        let mut client = call.body(statement).open(engine.address);
        until("it runs", 20, || !processes(&engine).is_empty());
        if statement.contains("repeat") {
            client.read_exact(&mut vec![0; 3 << 20]).expect("the answer begins");
        }
        drop(client);
        until("nothing runs", 20, || processes(&engine).is_empty());
    }
    engine.stop();
}

#[test]
fn a_failure_within_an_answer_is_framed() {
    let data = Data::new();
    let engine = data.start();
    let statement = "SELECT number, throwIf(number = 3000000) FROM numbers(10000000)";
    let late = engine.read(statement);
    assert_eq!((late.status, late.whole), (200, false), "the transfer breaks");
    let tag = late.header("x-clickhouse-exception-tag").expect("a tag").to_owned();
    assert_eq!(tag.len(), 16);
    let text = late.text();
    let (rows, block) = text.split_once("\r\n__exception__\r\n").expect("the block");
    assert!(
        rows.ends_with('\n') && rows.lines().count() > 100_000,
        "what came before it is whole"
    );
    let inner = block
        .strip_suffix(&format!(" {tag}\r\n__exception__\r\n"))
        .expect("its end");
    let inner = inner.strip_prefix(&format!("{tag}\r\n")).expect("its begin");
    let (message, length) = inner.rsplit_once('\n').expect("a length");
    assert_eq!(length.parse(), Ok(message.len() + 1));
    assert!(message.starts_with("Code: 395. DB::Exception: "), "{message}");
    assert!(message.ends_with("(version 26.5.1.1)"), "{message}");
    // Held back, the same becomes a proper refusal.
    for (name, value) in [("wait_end_of_query", "1"), ("buffer_size", "60000000")] {
        let held = engine.send(Call::new("POST", "/").parameter(name, value).body(statement));
        assert_eq!((held.status, held.code(), held.whole), (500, Some(395), true), "{name}");
    }
    engine.stop();
}

#[test]
fn what_waits_for_its_end_comes_whole_and_is_bounded() {
    let data = Data::new();
    let mut orders = data.orders();
    orders.body_bytes_max = 100 << 20;
    let engine = Engine::start(&orders);
    let waiting = |rows: u64| {
        let statement = format!("SELECT number FROM numbers({rows}) FORMAT RowBinary");
        engine.send(
            Call::new("POST", "/")
                .parameter("wait_end_of_query", "1")
                .body(statement),
        )
    };
    for rows in [10, 5_000_000] {
        let reply = waiting(rows);
        assert_eq!((reply.status, reply.whole), (200, true));
        let numbers = reply
            .body
            .chunks_exact(8)
            .map(|n| u64::from_le_bytes(n.try_into().expect("eight")));
        assert!(numbers.eq(0..rows), "{rows} rows");
        let summary = reply.header("x-clickhouse-summary").expect("a summary");
        assert!(summary.contains(&format!("\"result_rows\":\"{rows}\"")), "{summary}");
        assert!(summary.contains(&format!("\"read_rows\":\"{rows}\"")), "{summary}");
    }
    let reply = waiting(20_000_000);
    assert_eq!((reply.status, reply.code()), (413, Some(307)), "{}", reply.text());
    until("it is cancelled", 20, || processes(&engine).is_empty());
    engine.stop();
}

#[test]
fn progress_is_told_to_whom_it_may_concern() {
    let data = Data::new();
    let engine = data.start();
    let ask = |wanted: &str| {
        let call = Call::new("POST", "/").parameter("send_progress_in_http_headers", wanted);
        let call = call
            .parameter("http_headers_progress_interval_ms", "50")
            .parameter("max_block_size", "1");
        engine.send(call.body("SELECT sum(sleepEachRow(0.02)) FROM numbers(50)"))
    };
    let told = ask("1");
    let lines = told.headers.iter().filter(|(name, _)| name == "x-clickhouse-progress");
    let lines: Vec<serde_json::Value> = lines
        .map(|(_, json)| serde_json::from_str(json).expect("JSON"))
        .collect();
    let rows = |line: &serde_json::Value| {
        line["read_rows"]
            .as_str()
            .expect("a text")
            .parse::<u64>()
            .expect("a number")
    };
    assert!(!lines.is_empty() && lines.iter().is_sorted_by_key(rows), "{lines:?}");
    assert!(lines.iter().all(|line| line["total_rows_to_read"] == "50"), "{lines:?}");
    assert_eq!(ask("0").header("x-clickhouse-progress"), None);
    engine.stop();
}

#[test]
fn a_readers_query_has_so_much_memory_and_no_more() {
    let data = Data::new();
    let engine = data.start();
    let large = engine.read("SELECT uniqExact(number, toString(number)) FROM numbers(100000000)");
    assert_eq!((large.status, large.code()), (500, Some(241)), "{}", large.text());
    assert_eq!(engine.answer("SELECT count() FROM numbers(100000000)"), "100000000");
    let raised = engine.read("SELECT uniqExact(number) FROM numbers(10) SETTINGS max_memory_usage = 0");
    assert_eq!(raised.code(), Some(164), "{}", raised.text());
    engine.stop();
}
