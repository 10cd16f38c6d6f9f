//! `--take-over` of a MarketPrism in containers, on a real Docker Engine: named, stopped in order and for good, and gone on with. Its
//! broker is a real nats-server with its streams and a pushed durable; what stands in for its other services only listens.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::docker::{Engine, NATS_IMAGE};
use crate::schemas::check;
use crate::support::Home;
use crate::take_over::{filled, steps};

const BROKER: &str = "marketprism-nats";
const STORE: &str = "marketprism-clickhouse-hot";
const HOT: &str = "marketprism-hot-storage-service";
const COLLECTOR: &str = "marketprism-data-collector";
/// Its containers, in the order in which they end.
const ALL: [&str; 4] = [COLLECTOR, HOT, STORE, BROKER];
/// It has a name of its, and another image.
const STRANGER: &str = "marketprism-cold-storage-service";
const MESSAGES: &str = "message-broker_nats_data";
const TABLES: &str = "marketprism-clickhouse-hot-data";

/// Starts a MarketPrism as its compose files do, on the ports of a home.
fn begin(engine: &Engine, home: &Home) {
    for image in [
        "nats:2.10-alpine",
        "clickhouse/clickhouse-server:23.8-alpine",
        "marketprism/hot-storage-service:latest",
        "marketprism/data-collector:simplified",
    ] {
        engine.good(&["tag", NATS_IMAGE, image]);
    }
    engine.good(&["network", "create", "marketprism"]);
    let run = |name: &str, options: &[&str], image: &str, words: &[&str]| {
        let start = ["run", "-d", "--restart", "unless-stopped", "--name", name];
        engine.good(&[&start[..], options, &[image], words].concat());
    };
    let published = |port: u16, inner: u16| format!("127.0.0.1:{}:{inner}", home.port(port));
    let (client, monitor) = (published(4222, 4222), published(8222, 8222));
    let volume = format!("{MESSAGES}:/data");
    run(
        BROKER,
        &["--network", "marketprism", "-p", &client, "-p", &monitor, "-v", &volume],
        "nats:2.10-alpine",
        &["-js", "-m", "8222", "-sd", "/data/jetstream", "-n", "marketprism-nats"],
    );
    let (volume, http) = (format!("{TABLES}:/var/lib/clickhouse"), published(8123, 4222));
    run(
        STORE,
        &["--network", "marketprism", "-p", &http, "-v", &volume],
        "clickhouse/clickhouse-server:23.8-alpine",
        &[],
    );
    let http = published(8085, 4222);
    run(
        HOT,
        &["--network", "marketprism", "-p", &http],
        "marketprism/hot-storage-service:latest",
        &[],
    );
    let port = home.port(8087).to_string();
    run(
        COLLECTOR,
        &["--network", "host"],
        "marketprism/data-collector:simplified",
        &["-a", "127.0.0.1", "-p", &port],
    );
    run(STRANGER, &["--network", "marketprism"], NATS_IMAGE, &[]);
}

/// Tables of MarketPrism's as ClickHouse 23.6 left them: 14 trades in the hot store, among them what a merge took the place of, 5 of them
/// in the cold one.
const LEFT: &[u8] = include_bytes!("marketprism/clickhouse-23.6.tar.gz");

/// Has them in the volume of its store. Returns what is there.
fn with_tables(engine: &Engine) -> String {
    let volume = engine.good(&["volume", "inspect", "-f", "{{.Mountpoint}}", TABLES]);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(LEFT));
    archive.unpack(&volume).expect("unpacked");
    files_of(engine, TABLES)
}

/// Lists the files of a volume with their sizes and times.
fn files_of(engine: &Engine, volume: &str) -> String {
    let folder = engine.good(&["volume", "inspect", "-f", "{{.Mountpoint}}", volume]);
    let listed = Command::new("find")
        .args([&folder, "-type", "f", "-printf", "%p %s %T@\n"])
        .output()
        .expect("find runs");
    let mut lines: Vec<String> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines.join("\n")
}

fn runs(engine: &Engine, container: &str) -> bool {
    engine.inspect(container)["State"]["Running"] == true
}

/// A command that is killed with its test, if not before.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _may_have_ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[tokio::test]
async fn a_marketprism_in_containers_is_named_stopped_for_good_and_gone_on_with() {
    let Some(mut engine) = Engine::start().await else {
        return;
    };
    engine.make_broker_images();
    let home = Home::new().with("DOCKER_HOST", &engine.host());
    begin(&engine, &home);
    let kept = with_tables(&engine);
    filled(home.port(4222), 5, 2).await;

    named(&home, &engine).await;
    let plan = home.good(&["start", "--sim", "--take-over", "--dry-run"]);
    let planned = steps(&plan, "take-over-container");
    let containers: Vec<&Value> = planned.iter().map(|step| &step["container"]).collect();
    assert_eq!(containers, ALL, "{plan}");
    let folder = engine.good(&["volume", "inspect", "-f", "{{.Mountpoint}}", MESSAGES]);
    let adopted = steps(&plan, "adopt-messages")[0];
    assert_eq!(
        (&adopted["store"], &adopted["volume"]),
        (&json!(format!("{folder}/jetstream")), &json!(MESSAGES)),
        "{plan}"
    );
    let adopted = steps(&plan, "adopt-tables")[0];
    assert_eq!(
        (&adopted["volume"], &adopted["tables"]),
        (
            &json!(TABLES),
            &json!(["marketprism_hot.trades", "marketprism_cold.trades"])
        ),
        "{plan}"
    );
    assert!(ALL.iter().all(|name| runs(&engine, name)), "a plan stops nothing");

    // Killed once the first has stopped, the same command goes on.
    let killed = home
        .command(&["start", "--sim", "--take-over"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let killed = Running(killed.expect("started"));
    engine
        .until("the collector has stopped", COLLECTOR, |found| {
            found["State"]["Running"] == false
        })
        .await;
    drop(killed);
    let done = home.run(&["start", "--sim", "--take-over", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    let taken = check("start", done.code, &done.stdout);
    let stopped = taken["taken_over"]["containers"].as_array().expect("a list").iter();
    let stopped: Vec<&str> = stopped.filter_map(|its| its["container"].as_str()).collect();
    assert!(
        ALL.ends_with(&stopped),
        "who produces ends first, nobody twice: {taken}"
    );

    // Its messages are stored from behind what its storage had acked, and new ones come.
    home.until("what its storage had not acked is stored", || {
        let rows = home.query("SELECT min(open_interest), count() FROM marketprism_hot.open_interests WHERE exchange = 'binance_derivatives' AND open_interest < 1010");
        if rows == "1002\t3" { Ok(()) } else { Err(rows) }
    })
    .await;
    home.flows().await;
    assert_eq!(
        taken["taken_over"]["tables"],
        json!(["marketprism_hot.trades", "marketprism_cold.trades"]),
        "{taken}"
    );
    assert_eq!(
        home.query("SELECT count(), uniqExact(trade_id), any(source) FROM marketprism.trades WHERE startsWith(trade_id, 'original-')"),
        "14\t14\timport"
    );
    assert_eq!(
        files_of(&engine, TABLES),
        kept,
        "its tables are copied, and never opened"
    );

    // Everything of it is kept, and does not come back with the engine. A name alone was never touched.
    engine.end();
    engine.begin().await;
    for name in ALL {
        let found = engine.inspect(name);
        assert_eq!(
            (
                &found["State"]["Running"],
                &found["HostConfig"]["RestartPolicy"]["Name"]
            ),
            (&json!(false), &json!("no")),
            "{name}"
        );
    }
    engine
        .until("the stranger comes back", STRANGER, |found| {
            found["State"]["Running"] == true
        })
        .await;
    for volume in [MESSAGES, TABLES] {
        engine.good(&["volume", "inspect", volume]);
    }
    let again = home.good(&["start", "--sim", "--take-over"]);
    assert_eq!(again["taken_over"]["containers"], json!([]), "{again}");
    assert_eq!(home.good(&["status"]).get("marketprism"), None);
    home.good(&["stop"]);
    its_volume_is_used_in_place(&engine, home.port(4222)).await;
}

/// A home whose broker runs in a container: that one uses the volume.
async fn its_volume_is_used_in_place(engine: &Engine, port: u16) {
    engine.good(&["start", BROKER]);
    let url = format!("nats://127.0.0.1:{port}");
    let client = mprism_testkit::until("its broker answers", async || {
        async_nats::connect(&url).await.map_err(|e| e.to_string())
    });
    let context = async_nats::jetstream::new(client.await);
    let sent = context.publish("trade.okx_spot.spot.BTC-USDT", "kept".into()).await;
    sent.expect("sent").await.expect("stored");

    let home = Home::new().with("DOCKER_HOST", &engine.host());
    home.configure(&format!("infra: {{nats: {{mode: docker, image: \"{NATS_IMAGE}\"}}}}\n"));
    let taken = home.good(&["start", "nats", "--take-over"]);
    assert_eq!(
        taken["taken_over"]["messages"]["volume"],
        json!(format!("{MESSAGES}/jetstream")),
        "{taken}"
    );
    assert!(!runs(engine, BROKER));
    let ours = format!("marketprism-nats-{}", home.port(0));
    let mounts = engine.inspect(&ours)["Mounts"].clone();
    let mut names = mounts.as_array().expect("a list").iter().map(|mount| &mount["Name"]);
    assert!(names.any(|name| name == MESSAGES), "{mounts}");
    let health = home.run(&["health", "nats", "--json"]).document();
    let streams = health["streams"].as_array().expect("a list").iter();
    let kept = streams
        .filter(|stream| stream["name"] == "MARKET_DATA")
        .filter_map(|stream| stream["messages"].as_u64());
    assert!(kept.sum::<u64>() > 0, "a volume of its own would be empty: {health}");
    // Where both want one name, that of MarketPrism's container gives way, and is kept.
    let home_folder = home.path().display().to_string();
    let planned = Command::new(env!("CARGO_BIN_EXE_mprism"))
        .args([
            "start",
            "nats",
            "--take-over",
            "--dry-run",
            "--json",
            "--home",
            &home_folder,
        ])
        .env("DOCKER_HOST", engine.host())
        .output();
    let plan: Value = serde_json::from_slice(&planned.expect("started").stdout).expect("JSON");
    let planned = steps(&plan, "take-over-container")[0];
    assert_eq!(planned["renamed"], json!(format!("{BROKER}-taken-over")), "{plan}");
    home.good(&["infra", "down", "--volumes", "--yes"]);
    engine.good(&["volume", "inspect", MESSAGES]);
}

/// Whoever asks is told what runs, by name and image, and what to type.
async fn named(home: &Home, engine: &Engine) {
    let diagnosed = home.run(&["diagnose", "--json"]).document();
    let findings = diagnosed["findings"].as_array().expect("a list").iter();
    let told: Vec<&Value> = findings.clone().filter(|found| found["id"] == "marketprism").collect();
    assert_eq!(told.len(), ALL.len(), "{diagnosed}");
    assert!(
        told.iter().all(|found| found["fix"] == "mprism start --take-over"),
        "{diagnosed}"
    );
    assert_eq!(diagnosed["docker"]["containers"], json!(ALL), "{diagnosed}");
    let ports: Vec<&Value> = findings.filter(|found| found["id"] == "port_taken").collect();
    assert_eq!(ports.len(), 5, "{diagnosed}");
    assert!(
        ports.iter().all(|found| found["fix"] == "mprism start --take-over"),
        "{diagnosed}"
    );
    // Status waits for no engine that is slow.
    home.until("status tells what runs", || {
        let status = home.good(&["status"]);
        let parts = status["marketprism"]["parts"].as_array().into_iter().flatten();
        let parts: Vec<&Value> = parts.map(|part| &part["container"]).collect();
        if parts == ALL { Ok(()) } else { Err(status.to_string()) }
    })
    .await;

    let refused = home.run(&["start", "--sim", "--json"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    let error = refused.document()["error"].to_string();
    assert!(
        error.contains(BROKER) && error.contains("message broker of a MarketPrism that runs"),
        "{error}"
    );
    assert!(error.contains("take it over: `mprism start --take-over`"), "{error}");
    assert!(
        ALL.iter().all(|name| runs(engine, name)),
        "whoever is refused stops nothing"
    );
}
