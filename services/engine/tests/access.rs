//! What a reader cannot do, and what nobody can do.

mod common;

use common::{Call, Data, PASSWORD, Reply, WRITER};

#[track_caller]
fn refused(what: &str, reply: &Reply) {
    assert!(reply.status >= 400, "{what}: {} {}", reply.status, reply.text());
    assert!(reply.code().is_some(), "{what}: {}", reply.text());
}

#[test]
fn files_and_addresses_are_out_of_reach_of_everybody() {
    let data = Data::new();
    let engine = data.start();
    let secret = data.path().join("secret.csv");
    std::fs::write(&secret, "4711\n").expect("a file");
    let target = data.path().join("written");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let (secret, target_text) = (secret.display().to_string(), target.display().to_string());
    let statements = [
        format!("SELECT file('{secret}')"),
        "SELECT file('/etc/hostname')".to_owned(),
        format!("SELECT 1 INTO OUTFILE '{target_text}'"),
        format!("SELECT 1 into/**/outfile '{target_text}'"),
        format!("SELECT 1; SELECT 1 INTO OUTFILE '{target_text}'"),
        format!("SELECT * FROM (SELECT 1) INTO OUTFILE '{target_text}' FORMAT CSV"),
        format!("EXPLAIN AST SELECT 1; SELECT 1 INTO OUTFILE '{target_text}'"),
        "EXPLAIN AST SELECT 1; CREATE TABLE made (a UInt8) ENGINE = Memory".to_owned(),
        "EXPLAIN AST CREATE TABLE made (a UInt8) ENGINE = Memory".to_owned(),
        format!("DESCRIBE url('{url}', 'CSV')"),
        format!("DESCRIBE TABLE file('{secret}')"),
        format!("SELECT * FROM url('{url}', 'CSV', 'a String')"),
        format!("SELECT * FROM URL('{url}', 'CSV', 'a String')"),
        format!("SELECT * FROM `url`('{url}', 'CSV', 'a String')"),
        format!("SELECT * FROM view(SELECT * FROM url('{url}', 'CSV', 'a String'))"),
        format!("SELECT 1 IN (SELECT a FROM url('{url}', 'CSV', 'a UInt8'))"),
        format!("WITH x AS (SELECT * FROM file('{secret}', 'CSV', 'a String')) SELECT * FROM x"),
        format!("SELECT * FROM file('{secret}', 'CSV', 'a String')"),
        "SELECT * FROM remote('127.0.0.1:9000', system.one)".to_owned(),
        "SELECT * FROM s3('http://127.0.0.1/x', 'CSV')".to_owned(),
        "SELECT * FROM executable('x', 'CSV', 'a String')".to_owned(),
        "SELECT dictGet('d', 'a', 1)".to_owned(),
        "SELECT catboostEvaluate('/etc/hostname', 1)".to_owned(),
        format!("INSERT INTO FUNCTION file('{target_text}', 'CSV', 'a UInt8') SELECT 1"),
        format!("INSERT INTO TABLE FUNCTION file('{target_text}', 'CSV', 'a UInt8') VALUES (1)"),
        format!("INSERT INTO made FROM INFILE '{secret}' FORMAT CSV"),
        format!("CREATE TABLE made (a String) ENGINE = File(CSV, '{secret}')"),
        format!("CREATE TABLE made (a String) ENGINE = URL('{url}', CSV)"),
        format!(
            "CREATE TABLE made ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM file('{secret}', 'CSV', 'a String')"
        ),
        format!("CREATE TABLE made AS file('{secret}', 'CSV', 'a String')"),
        format!(
            "CREATE DICTIONARY made (a UInt8) PRIMARY KEY a SOURCE(FILE(path '{secret}' format 'CSV')) LAYOUT(FLAT()) LIFETIME(0)"
        ),
        format!("BACKUP DATABASE default TO File('{target_text}')"),
        "CREATE FUNCTION made AS x -> file(x)".to_owned(),
        "CREATE DATABASE made ENGINE = MySQL('127.0.0.1', 'a', 'b', 'c')".to_owned(),
        "KILL QUERY WHERE 1".to_owned(),
        "SYSTEM FLUSH LOGS".to_owned(),
        "SYSTEM SHUTDOWN".to_owned(),
        "SET readonly = 0".to_owned(),
        "SET dialect = 'prql'".to_owned(),
        "KILL QUERY WHERE query_id = 'a' OR 1".to_owned(),
        "KILL QUERY WHERE query_id IN (SELECT query_id FROM system.processes)".to_owned(),
        "KILL MUTATION WHERE 1".to_owned(),
        "ATTACH TABLE made UUID '00000000-0000-0000-0000-000000000001' (a UInt8) ENGINE = Memory".to_owned(),
    ];
    for statement in &statements {
        refused(statement, &engine.read(statement));
        refused(statement, &engine.send(Call::query("GET", statement)));
        refused(statement, &engine.write(statement));
        // Nor through any other door.
        let door = || Call::new("POST", "/").writer();
        refused(
            statement,
            &engine.send(door().parameter("session_id", "s").body(statement.as_str())),
        );
        refused(
            statement,
            &engine.send(
                door()
                    .parameter("query_id", "q")
                    .parameter("wait_end_of_query", "1")
                    .body(statement.as_str()),
            ),
        );
        let form = format!("--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\n{statement}\r\n--b--\r\n");
        refused(
            statement,
            &engine.send(
                door()
                    .header("Content-Type", "multipart/form-data; boundary=b")
                    .body(form),
            ),
        );
        let packed = zstd::encode_all(statement.as_bytes(), 1).expect("memory");
        refused(
            statement,
            &engine.send(door().header("Content-Encoding", "zstd").body(packed)),
        );
    }
    assert!(!target.exists(), "nothing was written");
    let nobody = listener.accept().expect_err("nobody came");
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(
        engine.answer("SELECT count() FROM system.tables WHERE name = 'made'"),
        "0"
    );
    assert_eq!(
        engine.answer("SELECT count() FROM system.databases WHERE name = 'made'"),
        "0"
    );
    engine.stop();
}

#[test]
fn a_reader_changes_nothing() {
    let data = Data::new();
    let engine = data.start();
    engine.done("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a");
    engine.done("INSERT INTO t VALUES (1)");
    let statements = [
        "INSERT INTO t VALUES (2)",
        "INSERT INTO t SELECT 2",
        "CREATE TABLE made (a UInt8) ENGINE = Memory",
        "CREATE DATABASE made",
        "DROP TABLE t",
        "TRUNCATE TABLE t",
        "ALTER TABLE t DELETE WHERE 1",
        "DELETE FROM t WHERE 1",
        "OPTIMIZE TABLE t FINAL",
        "RENAME TABLE t TO u",
        "SELECT a FROM t SETTINGS readonly = 0",
        "SELECT a FROM t SETTINGS max_memory_usage = 1",
    ];
    for statement in statements {
        refused(statement, &engine.read(statement));
        refused(statement, &engine.send(Call::query("GET", statement)));
        // A GET changes nothing even with the writer's credential.
        refused(statement, &engine.send(Call::query("GET", statement).writer()));
    }
    for setting in [
        "max_memory_usage",
        "allow_introspection_functions",
        "async_insert",
        "format_schema",
        "readonly2",
        "dialect",
    ] {
        refused(
            setting,
            &engine.send(Call::query("GET", "SELECT 1").parameter(setting, "1")),
        );
    }
    assert_eq!(engine.answer("SELECT count() FROM t"), "1");
    assert_eq!(
        engine.answer("SELECT count() FROM system.tables WHERE name = 'made'"),
        "0"
    );
    let fence = engine.send(Call::new("POST", "/mprism/fence?table=default.t"));
    assert_eq!((fence.status, fence.code()), (403, Some(497)));
    engine.stop();
}

#[test]
fn only_our_own_names_and_credentials_are_taken() {
    let data = Data::new();
    let engine = data.start();
    let select = || Call::query("GET", "SELECT 1");
    let status = |call: Call<'_>| engine.send(call).status;
    assert_eq!(status(select().host("evil.example:8123")), 403);
    assert_eq!(status(select().host("localhost.evil.example")), 403);
    assert_eq!(status(select().host("lake.internal:8123")), 200);
    assert_eq!(status(select().host("localhost")), 200);
    assert_eq!(status(select().header("Origin", "https://evil.example")), 403);
    assert_eq!(status(select().header("Origin", "null")), 403);
    assert_eq!(status(select().header("Origin", "http://localhost:3000")), 200);
    assert_eq!(status(select().header("X-ClickHouse-User", "default")), 200);
    let wrong = engine.send(
        select()
            .header("X-ClickHouse-User", WRITER)
            .header("X-ClickHouse-Key", "wrong"),
    );
    assert_eq!((wrong.status, wrong.code()), (403, Some(516)));
    assert!(!wrong.text().contains(PASSWORD));
    assert_eq!(status(select().header("X-ClickHouse-User", WRITER)), 403);
    assert_eq!(status(select().header("Authorization", "Basic d3JpdGVyOndyb25n")), 403);
    assert_eq!(status(select().header("Authorization", "Bearer x")), 403);
    let in_url = |password: &str| status(select().parameter("user", WRITER).parameter("password", password));
    assert_eq!((in_url(PASSWORD), in_url("wrong")), (200, 403));
    assert_eq!(status(select().writer()), 200);
    engine.stop();
}
