//! What is wrong with the input or the machine is told, and nothing is changed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::Home;

/// A program of somebody else that listens on a port.
pub(crate) struct Foreign(pub(crate) Child);

impl Foreign {
    pub(crate) fn on(port: u16) -> Self {
        let script = format!(
            "import socket, time\ns = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
             s.bind(('127.0.0.1', {port}))\ns.listen()\nprint('listening', flush=True)\ntime.sleep(600)"
        );
        let child = Command::new("python3")
            .args(["-c", &script])
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("python3 runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("readable");
        assert_eq!(line, "listening\n");
        Self(child)
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("ours").is_none()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _may_have_ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn a_port_that_somebody_else_holds_is_named_and_left_alone() {
    for (standard, service) in [(4222, "nats"), (8123, "clickhouse")] {
        let home = Home::new();
        home.good(&["init"]);
        let mut foreign = Foreign::on(home.port(standard));
        for verb in [&["start", "--sim"][..], &["init"], &["up", "--sim", "--for", "1s"]] {
            let done = home.run(&[verb, &["--json"]].concat());
            assert_eq!(done.code, 4, "{verb:?}: {done:?}");
            let error = done.document()["error"].clone();
            let message = error["message"].as_str().expect("a text");
            for told in [
                format!("port {} of `{service}`", home.port(standard)),
                format!("pid {}", foreign.0.id()),
                "python3".to_owned(),
            ] {
                assert!(message.contains(&told), "{told}: {message}");
            }
            assert!(error["hints"].to_string().contains("--force"), "{error}");
            assert!(foreign.is_alive());
        }
        let status = home.good(&["status"]);
        let services = status["services"].as_array().expect("a list");
        assert!(services.iter().all(|service| service["state"] == "stopped"), "{status}");
        // Asked to, it ends what is in the way, and says so.
        let forced = home.run(&["start", service, "--force", "--json"]);
        forced.good();
        assert!(
            forced.stderr.contains(&format!("ended pid {}", foreign.0.id())),
            "{forced:?}"
        );
        assert!(!foreign.is_alive());
    }
}

#[test]
fn wrong_settings_change_nothing() {
    let home = Home::new();
    for (yaml, told) in [
        ("nats: {prot: 4222}\n", "nearest"),
        ("collectr: {}\n", "collector"),
        ("nats: {port: 99999}\n", "65535"),
    ] {
        home.configure(yaml);
        for verb in ["start", "init", "up"] {
            let done = home.run(&[verb, "--json"]);
            assert_eq!(done.code, 2, "{verb} {yaml}: {done:?}");
            let error = done.document()["error"].to_string();
            assert!(error.contains("test.yaml:1"), "{error}");
            assert!(error.contains(told) || error.contains("port"), "{told}: {error}");
        }
    }
    home.configure("infra: {clickhouse: {mode: native}}\n");
    let own = home.run(&["start", "--json"]);
    assert_eq!(own.code, 2, "{own:?}");
    assert_eq!(own.document()["error"]["code"], "not_supported", "{own:?}");
    let entries: Vec<_> = std::fs::read_dir(home.path()).expect("readable").collect();
    assert_eq!(entries.len(), 1, "only what the test wrote: {entries:?}");
    home.configure("");
    let far = home.run(&["start", "--port-offset", "64000"]);
    assert_eq!(far.code, 2, "{far:?}");
}

#[test]
fn a_corrupt_engine_is_fetched_again_and_never_loaded() {
    let real = mprism_testkit::dependency(mprism_deps::Dependency::Libchdb);
    let nats = mprism_testkit::dependency(mprism_deps::Dependency::NatsServer);
    let home = Home::new();
    let cache = home.beside().join("cache");
    for path in [&real, &nats] {
        let folder = path.parent().expect("in a folder of its own");
        let ours = cache.join("mprism").join(folder.file_name().expect("named"));
        std::fs::create_dir_all(&ours).expect("made");
        for entry in std::fs::read_dir(folder).expect("readable") {
            let entry = entry.expect("readable");
            let target = ours.join(entry.file_name());
            if entry.path() == real {
                // As large as the real one, and nothing in it.
                let length = entry.metadata().expect("there").len();
                std::fs::File::create(&target)
                    .and_then(|file| file.set_len(length))
                    .expect("made");
            } else {
                std::fs::copy(entry.path(), &target).expect("copied");
            }
        }
    }
    let cache = cache.display().to_string();
    // Without package clients nothing can be fetched.
    let home = home.with("XDG_CACHE_HOME", &cache).with("PATH", "/nonexistent");
    let done = home.run(&["start", "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    let error = done.document()["error"].to_string();
    assert!(error.contains("libchdb") && error.contains("npm"), "{error}");
    let done = home.run(&["init", "--offline", "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    let error = done.document()["error"].to_string();
    assert!(error.contains("libchdb"), "{error}");
    assert!(
        !home.path().join("lib/libchdb.so").exists(),
        "nothing half-made is linked"
    );
}

#[tokio::test]
async fn malformed_frames_are_counted_told_once_and_cost_nothing_else() {
    let home = Home::new();
    let kinds = [
        "truncated",
        "wrong_types",
        "nan",
        "long_number",
        "empty_object",
        "unknown_event",
        "binary",
    ];
    let twice = kinds.iter().chain(&kinds);
    let faults: String = twice
        .map(|kind| format!("- {{at: 1s, fault: malformed, kind: {kind}}}\n"))
        .collect();
    let file = home.beside().join("faults.yaml");
    std::fs::write(&file, faults).expect("written");
    let file = file.display().to_string();
    home.good(&["start", "--sim", "--sim-rate", "2000", "--sim-faults", &file]);
    let status = mprism_testkit::until("every fault has been played", async || {
        let faults = home.sim("/truth/faults").await;
        let played = faults.matches("malformed").count();
        if played >= 14 { Ok(()) } else { Err(faults) }
    });
    status.await;
    home.flows().await;
    let found = home.settled(|_| 0).await;
    assert_eq!((found.lost, found.duplicated), (0, 0), "{found:?}");
    let metrics = mprism_runtime::probe::get(home.address(9093), "/metrics", mprism_testkit::PATIENCE).await;
    let (_, metrics) = metrics.expect("answered");
    let counts = metrics
        .lines()
        .filter(|line| line.starts_with("marketprism_data_validation_errors_total{"));
    let counts: Vec<&str> = counts.collect();
    let sum: u64 = counts
        .iter()
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    // An event that nobody has documented is valid, and skipped.
    assert!(sum >= 12, "{counts:?}");
    let log = home.run(&["logs", "collector", "-n", "1000", "--json"]).stdout;
    let told = log.matches("a frame is not understood").count();
    assert_eq!(told, counts.len(), "once per cause: {log}");
}
