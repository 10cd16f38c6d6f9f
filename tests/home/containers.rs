//! The control plane around a server in a container: homes that were never made, what goes on running, what is told of its use,
//! images that do not work, the machine's own network, and what homes leave behind.

use std::fs;

use serde_json::{Value, json};

use crate::docker::{Engine, NATS_IMAGE};
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

fn mebibytes(used: &str) -> Option<f64> {
    used.split_once("MiB")?.0.trim().parse().ok()
}
