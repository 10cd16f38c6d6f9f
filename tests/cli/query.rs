//! `mprism query`: what is sent, and what is made of each answer. The server's side is played by the test.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread::JoinHandle;

use crate::support::Home;
use serde_json::Value;

/// Answers one request with these bytes and returns what was asked.
fn server(answer: String) -> (Home, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let home = Home::new();
    home.write("config/site.yaml", &format!("clickhouse: {{port: {port}}}\n"));
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut asked = Vec::new();
        let mut buffer = [0; 4096];
        // The statements of these tests end with a semicolon.
        while !asked.ends_with(b";") {
            let read = stream.read(&mut buffer).expect("readable");
            assert_ne!(read, 0, "the client left: {}", String::from_utf8_lossy(&asked));
            asked.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(answer.as_bytes()).expect("written");
        String::from_utf8(asked).expect("text")
    });
    (home, asked)
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn an_answer_is_printed_as_it_comes() {
    let (home, asked) = server(ok("n\n42\n"));
    let done = home.mprism(&["query", "SELECT 42 AS n;"]);
    assert_eq!(
        (done.code, done.stdout.as_str(), done.stderr.as_str()),
        (0, "n\n42\n", "")
    );
    let asked = asked.join().expect("served");
    let head = "POST /?default_format=TabSeparatedWithNames&readonly=1 HTTP/1.1";
    assert!(asked.starts_with(head), "{asked}");
    assert!(!asked.to_lowercase().contains("x-clickhouse-key"), "{asked}");
}

#[test]
fn a_document_holds_the_servers_own() {
    let (home, asked) = server(ok(r#"{"meta":[{"name":"n"}],"data":[{"n":42}],"rows":1}"#));
    let document = home.mprism(&["query", "--json", "SELECT 42 AS n;"]).document();
    assert_eq!(
        (&document["data"][0]["n"], &document["rows"], &document["ok"]),
        (&Value::from(42), &Value::from(1), &Value::Bool(true))
    );
    assert!(asked.join().expect("served").contains("default_format=JSON&"));
}

#[test]
fn a_refused_statement_shows_the_servers_code() {
    let text = "Code: 62. DB::Exception: Syntax error. (SYNTAX_ERROR) (version 26.5.1.1)\n";
    let head = "HTTP/1.1 400 Bad Request\r\nX-ClickHouse-Exception-Code: 62\r\nConnection: close";
    let (home, asked) = server(format!("{head}\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
    let done = home.mprism(&["query", "--json", "SELEC;"]);
    asked.join().expect("served");
    let error = done.document()["error"].clone();
    assert_eq!((done.code, &error["code"]), (1, &Value::from("query_failed")));
    assert_eq!(error["message"], "clickhouse refused the statement with code 62");
    assert_eq!(error["causes"][0], text.trim());
}

#[test]
fn an_answer_that_breaks_off_is_not_passed_off_as_whole() {
    let body = "1\n2\nCode: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)\n";
    let (home, asked) = server(format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n",
        body.len()
    ));
    let done = home.mprism(&["query", "SELECT n;"]);
    asked.join().expect("served");
    assert_eq!(done.code, 1);
    assert!(done.stdout.starts_with("1\n2\n"), "{}", done.stdout);
    assert!(done.stderr.contains("the answer broke off"), "{}", done.stderr);
    assert!(
        done.stderr.contains("Code: 241. DB::Exception: Memory limit exceeded"),
        "{}",
        done.stderr
    );
}

#[test]
fn writing_needs_the_homes_credential() {
    let (home, asked) = server(ok(""));
    let missing = home.mprism(&["query", "--write", "INSERT;"]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("secrets/clickhouse-writer"),
        "{}",
        missing.stderr
    );
    home.write("secrets/clickhouse-writer", "s3cret");
    let path = home.path().join("secrets/clickhouse-writer");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
    assert_eq!(
        home.mprism(&["query", "--write", "INSERT;"]).code,
        1,
        "others could read it"
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
    let plan = home.mprism(&["query", "--write", "--dry-run", "INSERT;"]);
    assert!(
        plan.stdout.starts_with("would send to http://127.0.0.1:"),
        "{}",
        plan.stdout
    );
    let done = home.mprism(&["query", "--write", "--json", "INSERT;"]);
    assert_eq!(
        (done.code, done.document()["ok"].clone()),
        (0, Value::Bool(true)),
        "{}",
        done.stderr
    );
    let asked = asked.join().expect("served").to_lowercase();
    for header in [
        "x-clickhouse-user: mprism",
        "x-clickhouse-key: s3cret",
        "x-mprism-write: operator",
    ] {
        assert!(asked.contains(header), "{asked}");
    }
    assert!(!asked.contains("readonly"), "{asked}");
}

#[test]
fn a_store_that_is_not_there_is_one_clear_error() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let home = Home::new();
    home.write("config/site.yaml", &format!("clickhouse: {{port: {port}}}\n"));
    // A proxy is for the outside.
    let done = home
        .with("http_proxy", "http://127.0.0.1:1")
        .mprism(&["query", "SELECT 1"]);
    assert_eq!(done.code, 1);
    assert!(
        done.stderr
            .contains(&format!("no answer from clickhouse at http://127.0.0.1:{port}")),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("refused"), "{}", done.stderr);
    assert!(done.stderr.contains("hint: start it"), "{}", done.stderr);
    assert_eq!(home.mprism(&["query", "--json", "--format", "CSV", "SELECT 1"]).code, 2);
}
