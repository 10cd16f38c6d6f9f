//! The interface as plain HTTP clients see it.

mod common;

use common::{Call, Data, encode};

#[test]
fn a_statement_may_stand_anywhere_the_server_allows() {
    let data = Data::new();
    let engine = data.start();
    let text = |call: Call<'_>| {
        let reply = engine.send(call);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.text()
    };
    assert_eq!(text(Call::query("GET", "SELECT 1")), "1\n");
    assert_eq!(text(Call::query("POST", "SELECT 1")), "1\n");
    assert_eq!(text(Call::new("POST", "/").body("SELECT 'é', 1")), "é\t1\n");
    assert_eq!(
        text(Call::query("POST", "SELECT number").body("FROM numbers(2)")),
        "0\n1\n"
    );
    assert_eq!(text(Call::new("GET", "/?query=SELECT+1%2B1")), "2\n");
    let formatted = Call::query("GET", "SELECT 1 AS a").parameter("default_format", "JSONEachRow");
    assert_eq!(text(formatted), "{\"a\":1}\n");
    let formatted = Call::query("GET", "SELECT 1 AS a FORMAT CSVWithNames").parameter("default_format", "JSONEachRow");
    assert_eq!(text(formatted), "\"a\"\n1\n");
    // A format that is a keyword is a format all the same.
    let discarded = Call::query("GET", "SELECT 1 AS a FORMAT Null").parameter("default_format", "JSONEachRow");
    assert_eq!(text(discarded), "");
    let bound = Call::query("GET", "SELECT {x:String}, {n:UInt8}")
        .parameter("param_x", "it's\\ta \\\\ b")
        .parameter("param_n", "7");
    assert_eq!(text(bound), "it\\'s\\ta \\\\ b\t7\n");
    let set = Call::query("GET", "SELECT getSetting('max_block_size')").parameter("max_block_size", "77");
    assert_eq!(text(set), "77\n");
    engine.done("CREATE DATABASE market");
    engine.done("CREATE TABLE market.t (a UInt8) ENGINE = MergeTree ORDER BY a");
    assert_eq!(
        text(Call::query("GET", "SELECT currentDatabase()").parameter("database", "market")),
        "market\n"
    );
    assert_eq!(
        text(Call::query("GET", "SELECT count() FROM t").header("X-ClickHouse-Database", "market")),
        "0\n"
    );
    assert_eq!(text(Call::query("GET", "SHOW TABLES FROM market")), "t\n");
    assert_eq!(text(Call::query("GET", "EXISTS TABLE market.t")), "1\n");
    assert!(text(Call::query("GET", "DESCRIBE TABLE market.t")).starts_with("a\tUInt8"));
    assert!(text(Call::query("GET", "EXPLAIN SELECT 1")).contains("Expression"));
    engine.stop();
}

#[test]
fn inserts_come_in_every_form() {
    let data = Data::new();
    let engine = data.start();
    engine.done("CREATE TABLE t (a UInt32, b String) ENGINE = MergeTree ORDER BY a");
    engine.done("INSERT INTO t VALUES (1, 'x'), (2, 'it''s')");
    engine.done("INSERT INTO t (b, a) FORMAT CSV\n\"y\",3\n");
    engine.done("INSERT INTO t FORMAT JSONEachRow {\"a\":4,\"b\":\"z\"}\n{\"a\":5,\"b\":\"SELECT\"}");
    engine.done("INSERT INTO t SELECT 6, 'six'");
    let split = Call::query("POST", "INSERT INTO t FORMAT TabSeparated")
        .writer()
        .body("7\tseven\n8\teight\n");
    assert_eq!(engine.send(split).status, 200);
    let values = Call::query("POST", "INSERT INTO t VALUES").writer().body("(9, 'nine')");
    assert_eq!(engine.send(values).status, 200);
    let binary = [&b"INSERT INTO t FORMAT RowBinary\n"[..], &[10, 0, 0, 0, 2, 0xff, 0xfe]].concat();
    let reply = engine.send(Call::new("POST", "/").writer().body(binary));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(engine.answer("SELECT count(), sum(a) FROM t"), "10\t55");
    assert_eq!(engine.answer("SELECT hex(b) FROM t WHERE a = 10"), "FFFE");
    let bad = engine.write("INSERT INTO t FORMAT TabSeparated\nx\ty\n");
    assert_eq!((bad.status, bad.code()), (400, Some(27)), "{}", bad.text());
    assert_eq!(engine.answer("SELECT count() FROM t"), "10");
    engine.stop();
}

#[test]
fn errors_look_as_the_servers_do() {
    let data = Data::new();
    let engine = data.start();
    let cases = [
        ("SELEC 1", 400, 62, "SYNTAX_ERROR"),
        ("SELECT a", 404, 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT * FROM nowhere", 404, 60, "UNKNOWN_TABLE"),
        ("SELECT * FROM no.where", 404, 81, "UNKNOWN_DATABASE"),
        ("SELECT nofunction(1)", 404, 46, "UNKNOWN_FUNCTION"),
        ("SELECT throwIf(1)", 500, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT 1; SELECT 2", 400, 62, "SYNTAX_ERROR"),
        ("", 400, 62, "SYNTAX_ERROR"),
        ("SELECT 1 FORMAT Nothing", 404, 73, "UNKNOWN_FORMAT"),
        ("SELECT 1 + 'a'", 500, 43, "ILLEGAL_TYPE_OF_ARGUMENT"),
        ("SELECT toUInt8('x')", 400, 6, "CANNOT_PARSE_TEXT"),
    ];
    for (statement, status, code, name) in cases {
        let reply = engine.read(statement);
        assert_eq!(
            (reply.status, reply.code()),
            (status, Some(code)),
            "{statement}: {}",
            reply.text()
        );
        let text = reply.text();
        assert!(text.starts_with(&format!("Code: {code}. DB::Exception: ")), "{text}");
        assert!(text.contains(&format!("({name}) (version ")), "{text}");
    }
    let slow = Call::query(
        "GET",
        "SELECT sum(sleepEachRow(0.1)) FROM numbers(100) SETTINGS max_block_size = 1",
    );
    let slow = engine.send(
        slow.parameter("max_execution_time", "1")
            .parameter("max_block_size", "1"),
    );
    assert_eq!((slow.status, slow.code()), (408, Some(159)), "{}", slow.text());
    engine.stop();
}

#[test]
fn paths_answer_as_the_servers_do() {
    let data = Data::new();
    let engine = data.start();
    for path in ["/ping", "/replicas_status", "/"] {
        let reply = engine.get(path);
        assert_eq!((reply.status, reply.text().as_str()), (200, "Ok.\n"), "{path}");
        let reply = engine.send(Call::new("HEAD", path));
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{path}");
    }
    let options = engine.send(Call::new("OPTIONS", "/"));
    assert_eq!(
        (options.status, options.header("access-control-allow-origin")),
        (204, None)
    );
    let nothing = engine.get("/nothing");
    assert_eq!(nothing.status, 404);
    assert!(
        nothing.text().starts_with("There is no handle /nothing\n"),
        "{}",
        nothing.text()
    );
    for page in ["/play", "/dashboard"] {
        let reply = engine.get(page);
        assert_eq!(reply.status, 404);
        assert!(reply.text().contains("no web pages"), "{}", reply.text());
    }
    assert_eq!(engine.send(Call::new("PUT", "/")).status, 404);
    engine.stop();
}

#[test]
fn every_answer_says_what_the_servers_says() {
    let data = Data::new();
    let engine = data.start();
    let reply = engine.read("SELECT number FROM numbers(1000) WHERE number % 2 FORMAT JSONCompact");
    assert_eq!(reply.header("x-clickhouse-format"), Some("JSONCompact"));
    assert_eq!(reply.header("content-type"), Some("application/json; charset=UTF-8"));
    assert_eq!(reply.header("x-clickhouse-timezone"), Some("UTC"));
    assert_eq!(reply.header("x-clickhouse-server-display-name"), Some("mprism"));
    let summary: serde_json::Value =
        serde_json::from_str(reply.header("x-clickhouse-summary").expect("a summary")).expect("JSON");
    let number = |name: &str| {
        summary[name]
            .as_str()
            .expect("a text")
            .parse::<u64>()
            .expect("a number")
    };
    assert_eq!((number("read_rows"), number("read_bytes")), (1_000, 8_000));
    assert_eq!((number("result_rows"), number("result_bytes")), (500, 4_000));
    assert_eq!((number("written_rows"), number("written_bytes")), (0, 0));
    assert!(number("elapsed_ns") > 0);
    let by_header = engine.send(Call::query("GET", "SELECT 1 AS a").header("X-ClickHouse-Format", "JSONEachRow"));
    assert_eq!(by_header.text(), "{\"a\":1}\n");
    engine.stop();
}

#[test]
fn forms_carry_parameters_and_no_tables() {
    let data = Data::new();
    let engine = data.start();
    let form = |parts: &[(&str, &str)]| {
        let part =
            |(head, value): &(&str, &str)| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n");
        let body: String = parts.iter().map(part).chain(["--b--\r\n".to_owned()]).collect();
        engine.send(
            Call::new("POST", "/")
                .header("Content-Type", "multipart/form-data; boundary=b")
                .body(body),
        )
    };
    let reply = form(&[("name=\"query\"", "SELECT {a:String}"), ("name=\"param_a\"", "x")]);
    assert_eq!((reply.status, reply.text().as_str()), (200, "x\n"));
    let setting = form(&[("name=\"query\"", "SELECT 1"), ("name=\"max_memory_usage\"", "1")]);
    assert_eq!(setting.code(), Some(164), "{}", setting.text());
    let change = form(&[("name=\"query\"", "CREATE TABLE t (a UInt8) ENGINE = Memory")]);
    assert_eq!(change.code(), Some(164), "{}", change.text());
    let file = form(&[
        ("name=\"query\"", "SELECT * FROM x"),
        ("name=\"x\"; filename=\"x.tsv\"", "1"),
    ]);
    assert_eq!((file.status, file.code()), (501, Some(48)), "{}", file.text());
    let columns = Call::query("POST", "SELECT * FROM x").parameter("x_structure", "a UInt8");
    assert_eq!(engine.send(columns).code(), Some(48));
    engine.stop();
}

#[test]
fn curl_reads_without_a_credential() {
    let data = Data::new();
    let engine = data.start();
    let url = format!("http://{}/", engine.address);
    let curl = |arguments: &[&str]| {
        let output = std::process::Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "30"])
            .args(arguments)
            .output()
            .expect("curl is installed");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(curl(&[&format!("{url}ping")]), "Ok.\n");
    assert_eq!(
        curl(&[&format!("{url}?query={}", encode("SELECT version()"))]),
        "26.5.1.1\n"
    );
    assert_eq!(
        curl(&[&url, "--data-binary", "SELECT 1 FORMAT JSONCompactEachRow"]),
        "[1]\n"
    );
    assert_eq!(curl(&["-G", &url, "--data-urlencode", "query=SELECT 'a b'"]), "a b\n");
    let rows = curl(&[&url, "-d", "SELECT number FROM numbers(300000)"]);
    assert_eq!(rows.lines().count(), 300_000);
    let refused = curl(&[&url, "-d", "CREATE TABLE t (a UInt8) ENGINE = Memory"]);
    assert!(refused.starts_with("Code: 164."), "{refused}");
    let login = format!("{}:{}", common::WRITER, common::PASSWORD);
    assert_eq!(
        curl(&[&url, "-u", &login, "-d", "CREATE TABLE t (a UInt8) ENGINE = Memory"]),
        ""
    );
    engine.stop();
}
