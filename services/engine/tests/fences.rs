//! One writer a table, through the interface.

mod common;

use std::io::Write;

use common::{Call, Data, Engine, Reply, receive, until};

fn raise(engine: &Engine, table: &str) -> u64 {
    let reply = engine.send(Call::new("POST", &format!("/mprism/fence?table={table}")).writer());
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let value: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(value["table"], table);
    value["generation"].as_u64().expect("a number")
}

fn comment(generation: u64) -> String {
    format!("mp-market.t-{generation}-6f9619ff-8b86-d011-b42d-00c04fc964ff")
}

fn insert(generation: u64) -> Call<'static> {
    Call::query("POST", "INSERT INTO market.t FORMAT TabSeparated")
        .parameter("log_comment", &comment(generation))
        .writer()
        .body("1\n")
}

fn fenced(reply: &Reply) -> bool {
    reply.status == 409 && reply.code() == Some(9001)
}

fn table(engine: &Engine) {
    engine.done("CREATE DATABASE IF NOT EXISTS market");
    engine.done("CREATE TABLE IF NOT EXISTS market.t (a UInt32) ENGINE = MergeTree ORDER BY a");
}

#[test]
fn only_the_newest_writer_inserts() {
    let data = Data::new();
    let engine = data.start();
    table(&engine);
    assert!(fenced(&engine.send(insert(1))), "no commented insert before a fence");
    engine.done("INSERT INTO market.t VALUES (1)");
    let first = raise(&engine, "market.t");
    assert_eq!(engine.send(insert(first)).status, 200);
    let second = raise(&engine, "market.t");
    assert!(second > first);
    assert!(fenced(&engine.send(insert(first))));
    assert_eq!(engine.send(insert(second)).status, 200);
    // Whatever way the table is named, it is the same table.
    let named = [
        ("INSERT INTO t FORMAT TabSeparated", Some("market")),
        ("INSERT INTO `market`.`t` FORMAT TabSeparated", None),
        ("INSERT INTO TABLE market.t (a) FORMAT TabSeparated", None),
        (
            "INSERT INTO market.t SETTINGS log_comment = 'x' FORMAT TabSeparated",
            None,
        ),
        ("INSERT INTO {x:Identifier} FORMAT TabSeparated", Some("market")),
    ];
    for (statement, database) in named {
        let mut call = Call::query("POST", statement)
            .parameter("param_x", "t")
            .writer()
            .body("9\n");
        if let Some(database) = database {
            call = call.parameter("database", database);
        }
        let reply = engine.send(call);
        assert!(reply.status >= 400, "{statement}: {}", reply.text());
    }
    assert!(fenced(&engine.write("INSERT INTO market.t SELECT 9")));
    let operator = || {
        Call::query("POST", "INSERT INTO market.t VALUES (5)")
            .writer()
            .header("X-Mprism-Write", "operator")
    };
    assert!(fenced(&engine.send(operator())), "its writer holds it");
    let release = |generation: u64| {
        engine.send(
            Call::new(
                "DELETE",
                &format!("/mprism/fence?table=market.t&generation={generation}"),
            )
            .writer(),
        )
    };
    assert!(fenced(&release(first)));
    assert_eq!(release(second).status, 200);
    assert_eq!(engine.send(operator()).status, 200);
    assert!(fenced(&engine.write("INSERT INTO market.t VALUES (6)")));
    assert_eq!(
        engine.answer("SELECT groupArray(a) FROM (SELECT a FROM market.t ORDER BY a)"),
        "[1,1,1,5]"
    );
    engine.stop();

    let engine = data.start();
    assert!(
        fenced(&engine.send(insert(second))),
        "a new life of the engine knows no writer"
    );
    assert!(raise(&engine, "market.t") > second);
    assert!(fenced(&engine.send(insert(second))));
    engine.stop();
}

#[test]
fn an_insert_that_waited_in_the_socket_is_refused() {
    let data = Data::new();
    let engine = data.start();
    table(&engine);
    let first = raise(&engine, "market.t");
    // Half of it is there when its writer stops; another takes over; the rest arrives.
    let head = format!(
        "POST /?query={}&log_comment={} HTTP/1.1\r\nHost: localhost\r\nX-ClickHouse-User: {}\r\nX-ClickHouse-Key: {}\r\nConnection: close\r\nContent-Length: 4\r\n\r\n1\n",
        common::encode("INSERT INTO market.t FORMAT TabSeparated"),
        comment(first),
        common::WRITER,
        common::PASSWORD
    );
    let mut late = std::net::TcpStream::connect(engine.address).expect("the engine listens");
    late.write_all(head.as_bytes()).expect("sent");
    let second = raise(&engine, "market.t");
    // All of this one lies in the socket while the engine stands still.
    engine.signal("STOP");
    let mut whole = insert(first).open(engine.address);
    engine.signal("CONT");
    late.write_all(b"2\n").expect("sent");
    assert!(fenced(&common::receive(&mut late, false)));
    assert!(fenced(&common::receive(&mut whole, false)));
    assert_eq!(engine.send(insert(second)).status, 200);
    assert_eq!(engine.answer("SELECT count() FROM market.t"), "1");
    engine.stop();
}

#[test]
fn a_stopped_engine_fences_what_was_sent_before() {
    let data = Data::new();
    let engine = data.start();
    table(&engine);
    let first = raise(&engine, "market.t");
    engine.signal("STOP");
    let mut fence = Call::new("POST", "/mprism/fence?table=market.t")
        .writer()
        .open(engine.address);
    let mut old: Vec<_> = (0..4).map(|_| insert(first).open(engine.address)).collect();
    engine.signal("CONT");
    assert_eq!(common::receive(&mut fence, false).status, 200);
    let replies = old.iter_mut().map(|stream| common::receive(stream, false).status);
    let before = replies.filter(|status| *status == 200).count();
    // Those that the engine read before the fence ran to their end before it answered; all others were refused.
    assert_eq!(engine.answer("SELECT count() FROM market.t"), before.to_string());
    assert!(fenced(&engine.send(insert(first))));
    engine.stop();
}

#[test]
fn without_fences_it_is_as_a_server_to_its_writer() {
    let data = Data::new();
    let mut orders = data.orders();
    orders.fences = false;
    let engine = Engine::start(&orders);
    table(&engine);
    let asked = engine.send(Call::new("POST", "/mprism/fence?table=market.t").writer());
    assert_eq!(asked.status, 404, "{}", asked.text());
    assert_eq!(engine.send(insert(7)).status, 200, "a comment is only a comment");
    // What comes with it can be selected from.
    let selecting = |condition: &str| {
        let text =
            format!("INSERT INTO market.t (a) SELECT a + 1 FROM input('a UInt32') WHERE {condition} FORMAT RowBinary");
        let call = Call::query("POST", &text).writer();
        engine.send(call.body([41_u32, 42].map(u32::to_le_bytes).concat()))
    };
    let written = selecting("a > 41");
    assert_eq!(written.status, 200, "{}", written.text());
    let summary = written.header("x-clickhouse-summary").expect("a summary");
    assert!(summary.contains("\"written_rows\":\"1\""), "{summary}");
    let refused = selecting("throwIf((SELECT count() FROM market.t) > 0, 'full') = 0");
    assert_eq!((refused.status, refused.code()), (500, Some(395)), "{}", refused.text());
    assert_eq!(
        engine.answer("SELECT groupArray(a) FROM (SELECT a FROM market.t ORDER BY a)"),
        "[1,43]"
    );
    // Who runs is seen, and killed, by its comment.
    let slow = Call::new("POST", "/")
        .writer()
        .parameter("log_comment", "mp-market.t-7-x")
        .parameter("max_block_size", "10")
        .body("INSERT INTO market.t SELECT sleepEachRow(0.01) + number FROM numbers(10000)");
    let mut slow = slow.open(engine.address);
    let of_table = "startsWith(Settings['log_comment'], 'mp-market.t-')";
    let running = || {
        engine.answer(&format!(
            "SELECT Settings['log_comment'] FROM system.processes WHERE {of_table}"
        ))
    };
    until("it runs", 20, || running() == "mp-market.t-7-x");
    engine.done(&format!("KILL QUERY WHERE {of_table} ASYNC"));
    let killed = receive(&mut slow, false);
    assert_eq!((killed.status, killed.code()), (500, Some(394)), "{}", killed.text());
    until("nothing runs", 20, || running().is_empty());
    engine.stop();
}
