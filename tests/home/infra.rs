//! Servers in containers, on a real Docker Engine; and engines that are not there, do not answer, or are not for us.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;

use serde_json::{Value, json};

use crate::docker::{Engine, MPRISM_IMAGE, NATS_IMAGE, kill_container};
use crate::schemas::check;
use crate::support::Home;

fn settings(memory: &str) -> String {
    format!(
        "infra:\n  nats: {{mode: docker, image: {NATS_IMAGE}, memory_bytes_max: {memory}}}\n  clickhouse: {{mode: docker, image: \
         {MPRISM_IMAGE}, server: mprism}}\n  workers: {{image: {MPRISM_IMAGE}}}\n"
    )
}

#[test]
fn an_engine_that_is_absent_mute_or_not_for_us_is_one_clear_error_at_once() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let socket = folder.path().join("docker.sock");
    let home = Home::new().with("DOCKER_HOST", &format!("unix://{}", socket.display()));
    home.configure(&settings("256MiB"));
    let refused = |code: &str| {
        let done = home.run(&["infra", "status", "--json"]);
        assert_eq!(done.code, 1, "{done:?}");
        let document = done.document();
        assert_eq!(document["error"]["code"], code, "{document}");
        assert!(
            document["error"]["hints"][0]
                .as_str()
                .is_some_and(|hint| hint.contains('`')),
            "{document}"
        );
        assert!(
            document["elapsed_ms"].as_u64().is_some_and(|ms| ms < 5_000),
            "{document}"
        );
    };
    refused("docker_absent");
    // It takes every connection, and never says a word.
    let mute = UnixListener::bind(&socket).expect("bound");
    refused("docker_mute");
    let done = home.run(&["start", "--json"]);
    assert_eq!(
        (done.code, &done.document()["error"]["code"]),
        (1, &json!("docker_mute"))
    );
    assert_eq!(
        home.good(&["status"])["services"][0]["state"],
        "stopped",
        "nothing was started"
    );
    drop(mute);
    refused("docker_absent");
    let named = home.run(&["infra", "up", "--json"]);
    assert_eq!(named.document()["error"]["code"], "docker_absent");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // As somebody who may not.
    let _there = UnixListener::bind(folder.path().join("other.sock")).expect("bound");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
    fs::set_permissions(folder.path().join("other.sock"), fs::Permissions::from_mode(0o600)).expect("closed");
    let config = folder.path().join("c.yaml");
    fs::write(&config, settings("256MiB")).expect("written");
    let config = format!("--config={}", config.display());
    let program = folder.path().join("mprism");
    fs::copy(env!("CARGO_BIN_EXE_mprism"), &program).expect("copied");
    let output = std::process::Command::new(&program)
        .args(["infra", "status", "--json", "--home", "/nonexistent/home", &config])
        .env_clear()
        .env(
            "DOCKER_HOST",
            format!("unix://{}", folder.path().join("other.sock").display()),
        )
        .uid(65_534)
        .gid(65_534)
        .current_dir("/")
        .output()
        .expect("started");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert_eq!(document["error"]["code"], "docker_permission", "{document}");
}

#[test]
fn a_home_without_containers_says_how_it_would_have_them() {
    let home = Home::new().with("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    for verb in ["up", "down", "status", "logs", "compose"] {
        let done = home.run(&["infra", verb, "--json"]);
        assert_eq!(
            (done.code, &done.document()["error"]["code"]),
            (2, &json!("no_containers")),
            "{verb}"
        );
    }
    home.configure("infra: {nats: {mode: docker}}\n");
    let done = home.run(&["infra", "up", "clickhouse", "--json"]);
    assert_eq!(
        (done.code, &done.document()["error"]["code"]),
        (2, &json!("no_containers"))
    );
    // ClickHouse's own server is a store like another: only the engine that would run it is missing.
    home.configure("infra: {clickhouse: {mode: docker}}\n");
    let done = home.run(&["start", "--json"]);
    assert_eq!(
        (done.code, &done.document()["error"]["code"]),
        (1, &json!("docker_absent")),
        "{done:?}"
    );
    home.configure("");
}

#[tokio::test]
async fn containers_carry_the_whole_pipeline_and_every_fault() {
    let Some(mut engine) = Engine::start().await else {
        return;
    };
    engine.make_images();
    let home = Home::new().with("DOCKER_HOST", &engine.host());
    let offset = home.port(0);
    let (nats, clickhouse) = (
        format!("marketprism-nats-{offset}"),
        format!("marketprism-clickhouse-hot-{offset}"),
    );

    // What is in the way is named and left alone; nothing is made then.
    home.configure(&settings("256MiB"));
    engine.good(&["create", "--name", &nats, NATS_IMAGE]);
    let foreign = engine.inspect(&nats)["Id"].clone();
    let done = home.run(&["infra", "up", "--json"]);
    assert_eq!(
        (done.code, &done.document()["error"]["code"]),
        (4, &json!("foreign_container")),
        "{done:?}"
    );
    let done = home.run(&["start", "--json"]);
    assert_eq!(
        (done.code, &done.document()["error"]["code"]),
        (4, &json!("foreign_container")),
        "{done:?}"
    );
    assert_eq!(
        home.run(&["infra", "status", "--json"]).document()["services"][0]["ours"],
        false
    );
    assert_eq!(engine.inspect(&nats)["Id"], foreign);
    let down = home.good(&["infra", "down"]);
    assert_eq!(
        (down["plan"].as_array().map(Vec::len), &down["foreign"][0]["name"]),
        (Some(0), &json!(nats))
    );
    assert_eq!(engine.inspect(&nats)["Id"], foreign, "somebody else's stays");
    engine.good(&["rm", &nats]);
    let stranger = TcpListener::bind(home.address(4222)).expect("free");
    let done = home.run(&["infra", "up", "--json"]);
    assert_eq!(
        (done.code, &done.document()["error"]["code"]),
        (4, &json!("port_taken")),
        "{done:?}"
    );
    assert!(
        done.stdout.contains(&std::process::id().to_string()),
        "the holder is named: {done:?}"
    );
    drop(stranger);
    let twice = format!("127.0.0.1:{}:4222", home.port(4222));
    home.good(&["infra", "up", "--dry-run"]);
    assert_eq!(engine.good(&["ps", "-aq"]), "", "a dry run makes nothing");
    engine.good(&["network", "create", "other"]);
    engine.good(&[
        "run",
        "-d",
        "--name",
        "squatter",
        "--network",
        "other",
        "-p",
        &twice,
        NATS_IMAGE,
    ]);
    let done = home.run(&["infra", "up", "--json"]);
    assert_eq!(done.code, 4, "{done:?}");
    assert!(
        done.document()["error"]["hints"]
            .to_string()
            .contains("docker stop squatter"),
        "{done:?}"
    );
    engine.good(&["rm", "-f", "squatter"]);
    engine.good(&["network", "rm", "other"]);
    home.configure(&settings("256MiB").replace(NATS_IMAGE, "registry.invalid/nats:1"));
    let done = home.run(&["infra", "up", "nats", "--json"]);
    assert_eq!(
        (done.code, &done.document()["error"]["code"]),
        (1, &json!("no_image")),
        "{done:?}"
    );

    // Made once, kept the second time, and the same as what the compose file says.
    home.configure(&settings("256MiB"));
    let planned = home.good(&["infra", "up", "--dry-run"]);
    let done = home.run(&["infra", "up", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    let up = check("infra up", done.code, &done.stdout);
    assert_eq!(up["plan"], planned["plan"], "what was planned is done");
    assert!(up["plan"].to_string().contains("make-network"), "{up}");
    for service in up["services"].as_array().expect("a list") {
        assert_eq!(
            (&service["health"], &service["current"]),
            (&json!("healthy"), &json!(true)),
            "{service}"
        );
    }
    let again = home.good(&["infra", "up"]);
    let steps: Vec<&Value> = again["plan"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|step| &step["step"])
        .collect();
    assert_eq!(steps, ["keep", "keep"]);
    // What they hold is made in them as they run, and they run on.
    let began = || [&nats, &clickhouse].map(|name| engine.inspect(name)["State"]["StartedAt"].clone());
    let before = began();
    let planned = home.good(&["init", "--dry-run"]);
    assert!(planned["tables"].to_string().contains("trades"), "{planned}");
    assert_eq!(home.good(&["init"])["tables"], planned["tables"]);
    assert_eq!(home.good(&["init", "--dry-run"])["tables"], json!([]));
    assert_eq!(began(), before);
    let done = home.run(&["infra", "compose", "--json"]);
    let compose = parsed(&check("infra compose", done.code, &done.stdout));
    for name in ["nats", "clickhouse"] {
        let wanted = &compose["services"][name];
        let container = wanted["container_name"].as_str().expect("text");
        same(wanted, &engine.inspect(container));
    }
    let owner = &compose["networks"]
        .as_object()
        .expect("one")
        .values()
        .next()
        .expect("one")["labels"]["io.mprism.home"];
    for volume in compose["volumes"].as_object().expect("two").keys() {
        let text = engine.good(&["volume", "inspect", volume]);
        let found: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(&found[0]["Labels"]["io.mprism.home"], owner);
    }

    // The whole line goes through them, adopted as they are.
    let pid = engine.inspect(&nats)["State"]["Pid"].clone();
    home.good(&["start", "--sim"]);
    assert_eq!(engine.inspect(&nats)["State"]["Pid"], pid, "adopted");
    home.flows().await;
    assert_eq!(home.status("nats")["state"], "running");
    let done = home.run(&["infra", "status", "--json"]);
    check("infra status", done.code, &done.stdout);
    let done = home.run(&["infra", "logs", "nats", "-n", "20", "--json"]);
    assert!(
        check("infra logs", done.code, &done.stdout)
            .to_string()
            .contains("Server is ready"),
        "{done:?}"
    );
    let diagnosed = home.run(&["diagnose", "--json"]).document();
    assert!(!diagnosed["findings"].to_string().contains("port_taken"), "{diagnosed}");
    assert_eq!(diagnosed["docker"]["containers"], json!([]), "{diagnosed}");

    // Killed servers, and an engine that ends and comes back.
    kill_container(&engine, &nats).await;
    home.flows().await;
    kill_container(&engine, &clickhouse).await;
    answers(&home).await;
    home.flows().await;
    engine.end();
    engine.begin().await;
    for container in [&nats, &clickhouse] {
        engine
            .until("it runs again", container, |now| now["State"]["Running"] == true)
            .await;
    }
    answers(&home).await;
    home.flows().await;

    // Other settings are another container with the same data.
    home.configure(&settings("300MiB"));
    let status = home.run(&["infra", "status", "--json"]).document();
    assert_eq!(
        (&status["services"][0]["current"], &status["services"][1]["current"]),
        (&json!(false), &json!(true))
    );
    let upgraded = home.good(&["infra", "up"]);
    assert!(
        upgraded["plan"].to_string().contains("its configuration has changed"),
        "{upgraded}"
    );
    assert_eq!(engine.inspect(&nats)["HostConfig"]["Memory"], 300 << 20);
    home.flows().await;

    // Collector, hot and cold in containers too.
    home.good(&["stop", "collector", "hot", "cold"]);
    home.configure(&format!(
        "{}collector: {{exchanges: {{binance_spot: {{websocket_url: \"ws://127.0.0.1:{port}/binance-spot\", rest_url: \
         \"http://127.0.0.1:{port}/binance-spot\"}}}}}}\n",
        settings("300MiB"),
        port = home.port(8090)
    ));
    let compose = parsed(&home.good(&["infra", "compose", "--workers"]));
    let workers = ["hot", "collector", "cold"];
    for name in workers {
        run(&engine, &compose["services"][name]);
    }
    for name in workers {
        let container = compose["services"][name]["container_name"]
            .as_str()
            .expect("text")
            .to_owned();
        let probe = compose["services"][name]["healthcheck"]["test"]
            .as_array()
            .expect("words");
        let words: Vec<&str> = probe.iter().skip(1).filter_map(Value::as_str).collect();
        let line: Vec<&str> = ["exec", container.as_str()].into_iter().chain(words).collect();
        home.until(&format!("{name} says that it is well"), || {
            let output = engine.run(&line);
            if output.status.success() {
                Ok(())
            } else {
                Err(format!("{output:?}"))
            }
        })
        .await;
    }
    home.flows().await;
    let second = home.run(&["worker", "hot", "--json"]);
    assert_eq!(second.code, 4, "one hot worker, wherever it is: {second:?}");
    let settled = home.settled_quietly().await;
    assert_eq!(
        (settled.lost, settled.duplicated),
        (0, 0),
        "every trade once, after all of that: {settled:?}"
    );
    let integrity = home.run(&["integrity", "--json"]).document();
    assert_ne!(integrity["verdict"], "fail", "{integrity}");
    for name in workers {
        engine.good(&[
            "rm",
            "-f",
            compose["services"][name]["container_name"].as_str().expect("text"),
        ]);
    }

    // Down keeps data until it is asked for, and asks.
    let rows = home.rows();
    home.good(&["down"]);
    assert_eq!(engine.inspect(&nats)["State"]["Running"], false);
    let done = home.run(&["infra", "down", "--json"]);
    check("infra down", done.code, &done.stdout);
    assert_eq!(engine.good(&["ps", "-aq"]), "");
    home.good(&["infra", "up"]);
    assert_eq!(home.rows(), rows, "the volume was kept");
    let done = home.run(&["infra", "down", "--volumes", "--json"]);
    assert_eq!(
        (done.code, &done.document()["error"]["code"]),
        (4, &json!("needs_consent")),
        "{done:?}"
    );
    assert_eq!(engine.inspect(&nats)["State"]["Running"], true, "nothing was done");
    home.good(&["infra", "down", "--volumes", "--yes"]);
    for what in [
        &["ps", "-aq"][..],
        &["volume", "ls", "-q"],
        &["network", "ls", "-q", "--filter", "driver=bridge"],
    ] {
        assert_eq!(engine.good(what), "", "{what:?}");
    }
    home.good(&["down"]);
}

/// Waits until the store serves again: its proxy takes connections before it does.
async fn answers(home: &Home) {
    home.until("the store answers", || {
        let done = home.run(&["query", "SELECT 1"]);
        if done.code == 0 { Ok(()) } else { Err(done.stderr) }
    })
    .await;
}

fn parsed(document: &Value) -> Value {
    serde_yaml::from_str(document["compose"].as_str().expect("text")).expect("YAML")
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
        .collect()
}

fn seconds(text: &Value) -> u64 {
    text.as_str()
        .and_then(|text| text.strip_suffix('s')?.parse().ok())
        .expect("seconds")
}

/// Holds what a compose file says of a service against the container that is there.
fn same(wanted: &Value, found: &Value) {
    let (config, host) = (&found["Config"], &found["HostConfig"]);
    let env: BTreeMap<String, String> = texts(&config["Env"])
        .iter()
        .filter_map(|line| {
            line.split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        })
        .collect();
    for (name, value) in wanted["environment"].as_object().into_iter().flatten() {
        assert_eq!(env.get(name).map(String::as_str), value.as_str(), "{name}");
    }
    for (name, value) in wanted["labels"].as_object().expect("some") {
        assert_eq!(&config["Labels"][name], value);
    }
    assert_eq!(wanted["image"], config["Image"]);
    assert_eq!(wanted["user"], config["User"]);
    assert_eq!(texts(&wanted["command"]), texts(&config["Cmd"]));
    let health = (&wanted["healthcheck"], &config["Healthcheck"]);
    assert_eq!(health.0["test"], health.1["Test"]);
    assert_eq!(health.0["retries"], health.1["Retries"]);
    for (ours, engines) in [
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start_period", "StartPeriod"),
    ] {
        assert_eq!(
            Some(seconds(&health.0[ours]) * 1_000_000_000),
            health.1[engines].as_u64()
        );
    }
    assert_eq!(
        seconds(&wanted["stop_grace_period"]),
        config["StopTimeout"].as_u64().expect("a number")
    );
    assert_eq!(wanted["restart"], host["RestartPolicy"]["Name"]);
    assert_eq!(wanted["mem_limit"], host["Memory"]);
    assert_eq!(
        wanted["cpus"].as_f64().map(|cpus| cpus * 1e9),
        host["NanoCpus"].as_f64()
    );
    assert_eq!(wanted["read_only"], host["ReadonlyRootfs"]);
    assert_eq!(wanted["cap_drop"], host["CapDrop"]);
    assert_eq!(wanted["security_opt"], host["SecurityOpt"]);
    assert_eq!(wanted["networks"][0], host["NetworkMode"]);
    assert_eq!(wanted["logging"]["driver"], host["LogConfig"]["Type"]);
    assert_eq!(wanted["logging"]["options"], host["LogConfig"]["Config"]);
    let scratch: Vec<String> = host["Tmpfs"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(folder, _)| folder.clone())
        .collect();
    let mut wanted_scratch = texts(&wanted["tmpfs"]);
    wanted_scratch.sort();
    assert_eq!(wanted_scratch, scratch);
    let mut published = Vec::new();
    for (inside, bindings) in host["PortBindings"].as_object().expect("some") {
        let binding = &bindings[0];
        let text = |name: &str| binding[name].as_str().expect("text").to_owned();
        published.push(format!(
            "{}:{}:{}",
            text("HostIp"),
            text("HostPort"),
            inside.trim_end_matches("/tcp")
        ));
    }
    published.sort();
    let mut wanted_ports = texts(&wanted["ports"]);
    wanted_ports.sort();
    assert_eq!(wanted_ports, published);
    let mounts = found["Mounts"].as_array().expect("a list");
    let wanted_mounts = wanted["volumes"].as_array().expect("a list");
    assert_eq!(mounts.len(), wanted_mounts.len());
    for mount in wanted_mounts {
        let there = mounts
            .iter()
            .find(|there| there["Destination"] == mount["target"])
            .expect("mounted");
        let source = if mount["type"] == "volume" { "Name" } else { "Source" };
        assert_eq!((&there["Type"], &there[source]), (&mount["type"], &mount["source"]));
        assert_eq!(
            there["RW"] == json!(false),
            mount["read_only"] == json!(true),
            "{there}"
        );
    }
}

/// Runs a service of a compose file, word by word.
fn run(engine: &Engine, service: &Value) {
    let text = |name: &str| service[name].as_str().expect("text").to_owned();
    let mut line = vec!["run".to_owned(), "-d".to_owned(), "--read-only".to_owned()];
    line.extend([
        "--name".to_owned(),
        text("container_name"),
        "--network".to_owned(),
        text("network_mode"),
    ]);
    line.extend([
        "--user".to_owned(),
        text("user"),
        "--restart".to_owned(),
        text("restart"),
    ]);
    line.extend(["--memory".to_owned(), service["mem_limit"].to_string()]);
    line.extend(["--cpus".to_owned(), service["cpus"].to_string()]);
    for (flag, name) in [
        ("--cap-drop", "cap_drop"),
        ("--security-opt", "security_opt"),
        ("--tmpfs", "tmpfs"),
    ] {
        for value in texts(&service[name]) {
            line.extend([flag.to_owned(), value]);
        }
    }
    for (name, value) in service["environment"].as_object().into_iter().flatten() {
        line.extend(["--env".to_owned(), format!("{name}={}", value.as_str().expect("text"))]);
    }
    for mount in service["volumes"].as_array().into_iter().flatten() {
        let part = |name: &str| mount[name].as_str().expect("text");
        let mut words = format!(
            "type={},source={},target={}",
            part("type"),
            part("source"),
            part("target")
        );
        if mount["read_only"] == true {
            words.push_str(",readonly");
        }
        line.extend(["--mount".to_owned(), words]);
    }
    line.push(text("image"));
    line.extend(texts(&service["command"]));
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    engine.good(&line);
}
