//! The control plane around a server in a container: homes that were never made, what goes on running, what is told of its use,
//! images that do not work, the machine's own network, and what homes leave behind.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::docker::{BROKEN_IMAGE, EMPTY_IMAGE, Engine, NATS_IMAGE};
use crate::schemas::check;
use crate::support::Home;

fn broker(image: &str, network: &str) -> String {
    format!("infra: {{network: {network}, nats: {{mode: docker, image: \"{image}\"}}}}\n")
}

fn steps(document: &Value) -> Vec<&str> {
    let plan = document["plan"].as_array().expect("a list").iter();
    plan.filter_map(|step| step["step"].as_str()).collect()
}

#[tokio::test]
async fn a_broker_in_a_container_is_the_homes_whatever_happens_around_it() {
    let Some(engine) = Engine::start().await else {
        return;
    };
    engine.make_broker_images();
    let home = Home::new().with("DOCKER_HOST", &engine.host());
    let nats = format!("marketprism-nats-{}", home.port(0));
    home.configure(&broker(NATS_IMAGE, "marketprism"));

    // A home that was never made is planned like any other, and stays so.
    let planned = home.good(&["infra", "up", "--dry-run"]);
    assert_eq!(
        steps(&planned),
        ["make-network", "make-volume", "make", "start"],
        "{planned}"
    );
    assert_eq!(home.good(&["infra", "down", "--dry-run"])["plan"], json!([]));
    let missing = home.run(&["infra", "status", "--json"]);
    assert_eq!(
        (missing.code, &missing.document()["services"][0]["state"]),
        (1, &json!("missing")),
        "{missing:?}"
    );
    let made = fs::read_dir(home.path()).expect("configured").count();
    assert_eq!(
        (made, engine.good(&["ps", "-aq"]).as_str()),
        (1, ""),
        "only its settings"
    );
    let done = home.run(&["infra", "up", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    let up = check("infra up", done.code, &done.stdout);
    assert_eq!((&up["plan"], &up["home"]), (&planned["plan"], &planned["home"]), "{up}");
    assert!(up["home"].to_string().contains("nats-operator"), "{up}");

    // What ran runs on, with its streams; what did not is stopped again.
    let began = engine.inspect(&nats)["State"]["StartedAt"].clone();
    home.good(&["init"]);
    assert_eq!(engine.inspect(&nats)["State"]["StartedAt"], began, "never touched");
    let health = home.run(&["health", "nats", "--json"]).document();
    assert!(health["streams"].to_string().contains("MARKET_DATA"), "{health}");
    engine.good(&["stop", &nats]);
    home.good(&["init"]);
    assert_eq!(engine.inspect(&nats)["State"]["Running"], false);

    usage_is_the_containers(&home, &engine, &nats).await;
    what_does_not_work_is_put_back(&home, &engine, &nats).await;
    what_was_interrupted_goes_on(&home, &engine, &nats);
    on_the_machines_network(&home, &engine, &nats);
    what_is_left_behind_is_cleaned(&home, &engine);
}

/// The process that keeps the container uses something else.
async fn usage_is_the_containers(home: &Home, engine: &Engine, nats: &str) {
    home.good(&["start", "nats"]);
    home.until("status tells what docker does", || {
        let told = home.status("nats");
        let used = engine.good(&["stats", "--no-stream", "--format", "{{.MemUsage}}", nats]);
        let docker = mebibytes(&used).ok_or_else(|| used.clone())?;
        let status = told["rss_bytes"].as_f64().ok_or_else(|| told.to_string())? / f64::from(1 << 20);
        let is_near = (status - docker).abs() < docker * 0.1;
        match is_near && told["cpu_percent"].is_number() {
            true => Ok(()),
            false => Err(format!("{used}: {told}")),
        }
    })
    .await;
}

/// Returns what is mounted where; the engine tells it in any order.
fn mounts(container: &Value) -> BTreeMap<&str, &Value> {
    let mounts = container["Mounts"].as_array().expect("a list");
    mounts
        .iter()
        .map(|mount| (mount["Destination"].as_str().expect("a path"), mount))
        .collect()
}

fn mebibytes(used: &str) -> Option<f64> {
    used.split_once("MiB")?.0.trim().parse().ok()
}

/// A server that ends at once, and one that is not there at all.
async fn what_does_not_work_is_put_back(home: &Home, engine: &Engine, nats: &str) {
    let before = engine.inspect(nats);
    for (image, verb) in [(BROKEN_IMAGE, &["infra", "up"][..]), (EMPTY_IMAGE, &["start", "nats"])] {
        home.configure(&broker(image, "marketprism"));
        let done = home.run(&[verb, &["--json"]].concat());
        let document = done.document();
        let error = &document["error"];
        assert_eq!(
            (done.code, &error["code"]),
            (1, &json!("container_not_replaced")),
            "{done:?}"
        );
        let message = error["message"].as_str().expect("text");
        assert!(
            message.contains(nats) && message.contains("runs with its data"),
            "{error}"
        );
        assert!(error["hints"].to_string().contains("mprism infra up"), "{error}");
        let now = engine.inspect(nats);
        assert_eq!(now["Id"], before["Id"], "the very same");
        assert_eq!(
            (&now["State"]["Running"], &now["Config"]["Image"]),
            (&json!(true), &json!(NATS_IMAGE))
        );
        assert_eq!(mounts(&now), mounts(&before));
        assert_eq!(engine.good(&["ps", "-aq"]).lines().count(), 1, "and nothing beside it");
    }
    home.until("it serves again", || {
        let status = home.status("nats");
        if status["healthy"] == true {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
    home.configure(&broker(NATS_IMAGE, "marketprism"));
    home.good(&["stop"]);
}

/// Whoever made it anew was killed after the one of before had lost its name.
fn what_was_interrupted_goes_on(home: &Home, engine: &Engine, nats: &str) {
    let id = engine.inspect(nats)["Id"].clone();
    engine.good(&["rename", nats, &format!("{nats}-before")]);
    let up = home.good(&["infra", "up"]);
    assert_eq!(steps(&up), ["put-back", "start"], "{up}");
    assert_eq!(engine.inspect(nats)["Id"], id);
}

/// Nothing is published then, and the server listens on the loopback only.
fn on_the_machines_network(home: &Home, engine: &Engine, nats: &str) {
    home.configure(&broker(NATS_IMAGE, "host"));
    let up = home.good(&["infra", "up"]);
    assert_eq!(steps(&up), ["replace"], "{up}");
    let found = engine.inspect(nats);
    assert_eq!(found["HostConfig"]["NetworkMode"], "host");
    assert_eq!(found["NetworkSettings"]["Ports"], json!({}), "{found}");
    let port = home.port(4222);
    TcpListener::bind(("127.0.0.1", port)).expect_err("it listens there");
    drop(TcpListener::bind(("127.0.0.2", port)).expect("and nowhere else"));
    home.good(&["start", "nats"]);
    assert_eq!(home.status("nats")["state"], "running");
    home.good(&["stop"]);
}

/// A service that moved out of its container, and a home that somebody removed while its container ran.
fn what_is_left_behind_is_cleaned(home: &Home, engine: &Engine) {
    let other = Home::new().with("DOCKER_HOST", &engine.host());
    let others = format!("marketprism-nats-{}", other.port(0));
    other.configure(&broker(NATS_IMAGE, "marketprism"));
    other.good(&["infra", "up"]);
    let names = |what: &[&str]| engine.good(what).lines().map(str::to_owned).collect::<Vec<_>>();
    let containers = || names(&["ps", "-a", "--format", "{{.Names}}"]);
    let networks = || names(&["network", "ls", "--format", "{{.Name}}", "--filter", "driver=bridge"]);
    let volumes = || names(&["volume", "ls", "-q"]);
    let network = |home: &Home| format!("marketprism-{}", home.port(0));
    let volume = |home: &Home| format!("marketprism-nats-data-{}", home.port(0));

    home.configure("");
    let planned = home.good(&["clean", "--dry-run"]);
    assert_eq!(planned["volumes"], json!([volume(home)]), "{planned}");
    assert_eq!(containers().len(), 2, "nothing was done");
    let done = home.run(&["clean", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    let cleaned = check("clean", done.code, &done.stdout);
    assert_eq!(cleaned["plan"], planned["plan"], "what was planned is done");
    assert!(
        steps(&cleaned).ends_with(&["remove-container", "remove-network"]),
        "{cleaned}"
    );
    assert!(
        cleaned.to_string().contains("does not run in a container any more"),
        "{cleaned}"
    );
    assert_eq!(
        containers(),
        [others.as_str()],
        "another home's stays, and this one went"
    );
    assert_eq!(networks(), [network(&other)]);
    assert!(volumes().contains(&volume(home)), "data stays");
    assert_eq!(home.good(&["clean"])["plan"], json!([]));

    fs::remove_dir_all(other.path()).expect("removed");
    assert_eq!(
        steps(&home.good(&["clean", "nats"])),
        Vec::<&str>::new(),
        "of all or of none"
    );
    let cleaned = home.good(&["clean"]);
    assert_eq!(steps(&cleaned), ["remove-container", "remove-network"], "{cleaned}");
    let why = cleaned["plan"][0]["why"].as_str().expect("text");
    assert!(why.contains(&other.path().display().to_string()), "{why}");
    assert_eq!((containers(), networks()), (Vec::new(), Vec::new()));
    // Data goes with consent, and another home's never.
    let asked = home.run(&["clean", "--data", "--json"]);
    assert_eq!(
        (asked.code, &asked.document()["error"]["code"]),
        (4, &json!("needs_consent")),
        "{asked:?}"
    );
    assert_eq!(volumes().len(), 2);
    home.good(&["clean", "--data", "--yes"]);
    assert_eq!(volumes(), [volume(&other)]);
}
