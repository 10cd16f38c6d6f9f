//! Sessions: what lasts from one request to the next, and for whom.

mod common;

use common::{Call, Data, Reply, receive, until};

fn within<'a>(session: &str, statement: &str) -> Call<'a> {
    Call::new("POST", "/").parameter("session_id", session).body(statement)
}

#[test]
fn a_readers_settings_last_as_long_as_its_session() {
    let data = Data::new();
    let engine = data.start();
    engine.done("CREATE DATABASE market");
    let ask = |statement: &str| engine.send(within("s", statement));
    let text = |statement: &str| {
        let reply = ask(statement);
        assert_eq!(reply.status, 200, "{statement}: {}", reply.text());
        reply.text()
    };
    text("SET max_block_size = 77, output_format_json_quote_64bit_integers = 0, param_x = 'bound'");
    text("USE market");
    assert_eq!(
        text("SELECT getSetting('max_block_size'), currentDatabase(), {x:String}"),
        "77\tmarket\tbound\n"
    );
    let once = within("s", "SELECT getSetting('max_block_size')").parameter("max_block_size", "5");
    assert_eq!(engine.send(once).text(), "5\n", "the request's own setting wins");
    assert_eq!(
        text("SELECT getSetting('max_block_size')"),
        "77\n",
        "and lasts no longer"
    );
    assert_eq!(ask("SELECT throwIf(1)").code(), Some(395));
    assert_eq!(
        text("SELECT getSetting('max_block_size')"),
        "77\n",
        "an error ends no session"
    );
    text("SET max_block_size = DEFAULT");
    assert_ne!(text("SELECT getSetting('max_block_size')"), "77\n");
    let elsewhere = engine.answer("SELECT getSetting('max_block_size'), currentDatabase()");
    assert!(
        elsewhere.ends_with("\tdefault") && !elsewhere.starts_with("77"),
        "{elsewhere}"
    );
    // Without a session they are checked and forgotten.
    assert_eq!(engine.answer("SET max_block_size = 77"), "");
    assert_eq!(engine.read("USE nowhere").code(), Some(81));
    engine.stop();
}

#[test]
fn a_readers_session_stays_read_only() {
    let data = Data::new();
    let engine = data.start();
    engine.done("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a");
    let refused = |session: &str, statement: &str| {
        let reply = engine.send(within(session, statement));
        assert!(reply.status >= 400, "{statement}: {}", reply.text());
        reply.code().expect("a code")
    };
    for statement in [
        "SET readonly = 0",
        "SET dialect = 'prql'",
        "SET max_block_size = 5, max_memory_usage = 1",
        "SET ROLE ALL",
        "SET allow_introspection_functions = 1",
        "CREATE TEMPORARY TABLE x (a UInt8)",
        "CREATE OR REPLACE TEMPORARY TABLE x (a UInt8)",
        "INSERT INTO t VALUES (1)",
        "SELECT file('/etc/hostname')",
        "SELECT * FROM file('/etc/hostname', 'CSV', 'a String')",
        "SELECT 1 INTO OUTFILE '/tmp/mprism-never'",
        "SELECT a FROM t SETTINGS max_memory_usage = 1",
    ] {
        refused("s", statement);
    }
    // The writer's session of the same name is another one.
    let writer = |statement: &str| {
        let reply = engine.send(within("s", statement).writer());
        assert_eq!(reply.status, 200, "{statement}: {}", reply.text());
        reply.text()
    };
    writer("CREATE TEMPORARY TABLE x (a UInt8)");
    writer("SET max_memory_usage = 123456789");
    assert_eq!(refused("s", "SELECT * FROM x"), 60);
    let setting = engine.send(within("s", "SELECT getSetting('max_memory_usage')"));
    assert_ne!(setting.text(), "123456789\n");
    for statement in [
        "SET readonly = 0",
        "SET dialect = 'prql'",
        "SELECT file('/etc/hostname')",
    ] {
        let reply = engine.send(within("s", statement).writer());
        assert_eq!(reply.code(), Some(497), "{statement}: {}", reply.text());
    }
    engine.stop();
}

#[test]
fn temporary_tables_live_in_the_writers_session() {
    let data = Data::new();
    let engine = data.start();
    let ask = |session: &str, statement: &str| engine.send(within(session, statement).writer());
    let text = |reply: Reply| {
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.text()
    };
    text(ask("s", "CREATE TEMPORARY TABLE x (a UInt64, b String)"));
    text(ask("s", "INSERT INTO x VALUES (1, 'one'), (2, 'two')"));
    let rows = within("s", "3\tthree\n")
        .writer()
        .parameter("query", "INSERT INTO x FORMAT TabSeparated");
    text(engine.send(rows));
    text(ask("s", "INSERT INTO x SELECT number, 'many' FROM numbers(10)"));
    assert_eq!(text(ask("s", "SELECT count(), sum(a) FROM x")), "13\t51\n");
    assert_eq!(ask("other", "SELECT * FROM x").code(), Some(60));
    assert_eq!(engine.write("SELECT * FROM x").code(), Some(60));
    // It survives errors, and they leave nothing running.
    assert_eq!(ask("s", "SELECT throwIf(a = 2) FROM x").code(), Some(395));
    assert_eq!(
        ask("s", "INSERT INTO x FORMAT TabSeparated\nno number\n").code(),
        Some(27)
    );
    let left = "SELECT query FROM system.processes WHERE position(query, 'system.processes') = 0";
    assert_eq!(engine.answer(left), "");
    assert_eq!(text(ask("s", "SELECT count() FROM x")), "13\n");
    // Settings of one request do not stay on the connection that does.
    let once = within("s", "SELECT getSetting('max_block_size') FROM x LIMIT 1").writer();
    assert_eq!(text(engine.send(once.parameter("max_block_size", "5"))), "5\n");
    assert_ne!(
        text(ask("s", "SELECT getSetting('max_block_size') FROM x LIMIT 1")),
        "5\n"
    );
    text(ask("s", "SET max_block_size = 9"));
    assert_eq!(
        text(ask("s", "SELECT getSetting('max_block_size') FROM x LIMIT 1")),
        "9\n"
    );
    // A killed statement does not take the session along.
    let long = within("s", "SELECT sum(sleepEachRow(0.01)) FROM numbers(10000)").writer();
    let mut client = long.parameter("query_id", "long").open(engine.address);
    until("it runs", 20, || engine.answer(left).contains("sleepEachRow"));
    assert!(
        engine
            .write("KILL QUERY WHERE query_id = 'long' SYNC")
            .text()
            .starts_with("finished")
    );
    assert_eq!(receive(&mut client, false).code(), Some(394));
    assert_eq!(text(ask("s", "SELECT count() FROM x")), "13\n");
    assert_eq!(engine.answer(left), "");
    text(ask("s", "DROP TABLE x"));
    assert_eq!(ask("s", "SELECT * FROM x").code(), Some(60));
    engine.stop();
}

#[test]
fn an_insert_in_a_session_meets_its_fence() {
    let data = Data::new();
    let engine = data.start();
    engine.done("CREATE DATABASE market");
    engine.done("CREATE TABLE market.t (a UInt64) ENGINE = MergeTree ORDER BY a");
    let fence = engine.send(Call::new("POST", "/mprism/fence?table=market.t").writer());
    assert_eq!(fence.status, 200, "{}", fence.text());
    let ask = |statement: &str| engine.send(within("s", statement).writer());
    assert_eq!(ask("USE market").status, 200);
    for statement in [
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t SELECT 1",
        "INSERT INTO market.t VALUES (1)",
    ] {
        let reply = ask(statement);
        assert_eq!(
            (reply.status, reply.code()),
            (409, Some(9001)),
            "{statement}: {}",
            reply.text()
        );
    }
    for text in [
        "INSERT INTO {x:Identifier} VALUES (1)",
        "INSERT INTO market.{x:Identifier} SELECT 1",
    ] {
        let hidden = engine.send(within("s", text).writer().parameter("param_x", "t"));
        assert_eq!(hidden.code(), Some(497), "{text}: {}", hidden.text());
    }
    assert_eq!(engine.answer("SELECT count() FROM market.t"), "0");
    engine.stop();
}

#[test]
fn sessions_are_checked_locked_and_end() {
    let data = Data::new();
    let engine = data.start();
    let check = |session: &str| engine.send(within(session, "SELECT 1").parameter("session_check", "1"));
    let unknown = check("s");
    assert_eq!((unknown.status, unknown.code()), (500, Some(372)), "{}", unknown.text());
    let long = engine.send(within("s", "SELECT 1").parameter("session_timeout", "3601"));
    assert_eq!((long.status, long.code()), (500, Some(374)), "{}", long.text());
    let slow = within("s", "SELECT sum(sleepEachRow(0.01)) FROM numbers(10000)")
        .parameter("max_block_size", "10")
        .parameter("query_id", "slow");
    let mut client = slow.open(engine.address);
    until("it is locked", 20, || check("s").code() == Some(373));
    until("it runs", 20, || {
        engine
            .write("KILL QUERY WHERE query_id = 'slow' SYNC")
            .text()
            .starts_with("finished")
    });
    assert_eq!(receive(&mut client, false).code(), Some(394));
    assert_eq!(check("s").text(), "1\n");
    let over = within("t", "CREATE TEMPORARY TABLE x (a UInt8)").writer();
    assert_eq!(engine.send(over.parameter("session_timeout", "0")).status, 200);
    let gone = within("t", "SELECT 1").writer().parameter("session_check", "1");
    assert_eq!(engine.send(gone).code(), Some(372));
    engine.stop();
}
