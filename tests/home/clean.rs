//! Cleaning a home: what nobody misses goes, what runs and what is somebody else's stays.

use std::fs;

use mprism_runtime::process::ProcessIdentity;
use serde_json::{Value, json};

use crate::bad_input::Foreign;
use crate::support::Home;

fn code(document: &Value) -> &str {
    document["error"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn nothing_is_cleaned_while_services_run_and_data_goes_only_when_asked_for() {
    let home = Home::new();
    home.good(&["start", "--sim", "--sim-rate", "2000"]);
    home.flows().await;
    let refused = home.run(&["clean", "--json"]);
    assert_eq!(
        (refused.code, code(&refused.document())),
        (4, "still_running"),
        "{refused:?}"
    );
    let refused = home.run(&["clean", "hot", "--data", "--yes", "--json"]);
    assert_eq!(
        (refused.code, code(&refused.document())),
        (4, "still_running"),
        "{refused:?}"
    );
    let dry = home.good(&["clean", "--force", "--dry-run"]);
    assert_eq!(dry["stop"].as_array().map(Vec::len), Some(6), "{dry}");
    assert_eq!(home.status("hot")["state"], "running", "a dry run stops nothing");

    let cleaned = home.good(&["clean", "--force"]);
    assert_eq!(cleaned["stopped"].as_array().map(Vec::len), Some(6), "{cleaned}");
    let rows = home.rows();
    assert!(rows > 0, "data stays");
    for lock in [
        "nats.lock",
        "marketprism_hot_storage.lock",
        "marketprism_collector.lock",
        "operation.lock",
    ] {
        let text = fs::read_to_string(home.path().join("run").join(lock)).expect("the file stays");
        assert!(text.is_empty() || lock == "operation.lock", "{lock}: {text}");
    }
    assert!(!home.path().join("run/supervisor.sock").exists());

    // Nobody can be asked here, and nothing was said beforehand.
    let asked = home.run(&["clean", "--data", "--json"]);
    assert_eq!((asked.code, code(&asked.document())), (4, "needs_consent"), "{asked:?}");
    assert!(asked.stderr.contains("--yes"), "{asked:?}");
    assert_eq!(home.rows(), rows);
    let dry = home.good(&["clean", "--data", "--dry-run"]);
    let removed = |document: &Value| {
        let steps = document["plan"].as_array().expect("a list").iter();
        let data = steps.filter(|step| step["step"] == "remove-data");
        data.map(|step| step["service"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(removed(&dry), ["nats", "clickhouse", "collector", "sim"], "{dry}");
    assert_eq!(
        removed(&home.good(&["clean", "collector", "--data", "--yes"])),
        ["collector"]
    );
    assert_eq!(home.rows(), rows, "another service's data stays");
    let gone = home.good(&["clean", "--data", "--yes"]);
    assert_eq!(removed(&gone), ["nats", "clickhouse", "sim"], "{gone}");
    assert_eq!(home.good(&["clean", "--data", "--yes"])["plan"], json!([]));

    home.good(&["start", "--sim"]);
    home.flows().await;
    home.good(&["stop"]);

    let history = home.good(&["history", "-n", "100"]);
    let entries = history["entries"].as_array().expect("a list").clone();
    let lines = entries.iter().map(|entry| {
        let words = entry["command"].as_array().expect("words").iter();
        let words = words
            .filter_map(Value::as_str)
            .filter(|word| !word.starts_with('-') && !word.starts_with('/'));
        (
            words.take(1).collect::<String>(),
            entry["exit_code"].as_u64().unwrap_or(99),
        )
    });
    let lines: Vec<(String, u64)> = lines.collect();
    let expected = [
        ("start", 0),
        ("clean", 4),
        ("clean", 4),
        ("clean", 0),
        ("clean", 4),
        ("clean", 0),
        ("clean", 0),
        ("clean", 0),
        ("start", 0),
        ("stop", 0),
    ];
    let expected: Vec<(String, u64)> = expected.map(|(verb, code)| (verb.to_owned(), code)).to_vec();
    assert_eq!(lines, expected, "looking and dry runs are not in it");
    assert_eq!(entries[0]["plan"][0]["step"], "spawn", "{}", entries[0]);
    assert!(
        entries
            .iter()
            .all(|entry| entry["user"].as_str().is_some_and(|user| !user.is_empty()))
    );
    assert_eq!(
        home.good(&["history", "-n", "2"])["entries"].as_array().map(Vec::len),
        Some(2)
    );
}

#[test]
fn stale_files_are_forgotten_and_nothing_else() {
    let home = Home::new();
    home.good(&["init", "--offline"]);
    let run = home.path().join("run");
    let gone = "4194304";
    let holder = format!("{{\"pid\":{gone},\"start_ticks\":1,\"boot_id\":\"x\",\"exe\":\"/x\"}}\n");
    fs::write(run.join("marketprism_hot_storage.lock"), holder).expect("written");
    fs::write(run.join(format!(".state.json.{gone}.0123abcd")), "").expect("written");
    fs::write(run.join("nats-server.pid"), gone).expect("written");
    fs::write(run.join("other.pid"), std::process::id().to_string()).expect("written");
    fs::write(run.join("notes"), "precious").expect("written");
    drop(std::os::unix::net::UnixListener::bind(run.join("supervisor.sock")).expect("a socket"));
    let before = fs::read_dir(&run).expect("there").count();
    let dry = home.good(&["clean", "--dry-run"]);
    assert!(dry["plan"].as_array().is_some_and(|plan| plan.len() >= 4), "{dry}");
    assert_eq!(fs::read_dir(&run).expect("there").count(), before);
    home.good(&["clean"]);
    let left = fs::read_dir(&run)
        .expect("there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut left: Vec<String> = left
        .filter(|name| !name.ends_with(".lock") && !name.ends_with(".json"))
        .collect();
    left.sort();
    assert_eq!(left, ["nats.conf", "notes", "other.pid"]);
    assert_eq!(
        fs::read_to_string(run.join("marketprism_hot_storage.lock")).expect("it stays"),
        ""
    );
    assert_eq!(home.good(&["clean"])["plan"], json!([]));
}

#[tokio::test]
async fn our_own_leftover_on_a_port_is_ended_without_asking() {
    let home = Home::new();
    for verb in [
        &["clean", "--ports"][..],
        &["start", "clickhouse"],
        &["init"],
        &["restart", "clickhouse"],
    ] {
        home.good(&["start", "clickhouse"]);
        let leftover = home.leaves_behind("clickhouse").await;
        let done = home.run(&[verb, &["--json"]].concat());
        done.good();
        assert!(!leftover.is_alive(), "{verb:?}: {done:?}");
        let told = format!("ended our own leftover pid {}", leftover.pid);
        assert!(done.stderr.contains(&told), "{verb:?}: {done:?}");
        home.good(&["stop"]);
    }
}

#[test]
fn a_foreign_holder_is_named_with_everything_and_ended_only_by_force() {
    let home = Home::new();
    home.good(&["init"]);
    let mut foreign = Foreign::on(home.port(8123));
    let dry = home.run(&["clean", "--ports", "--dry-run", "--json"]);
    assert_eq!((dry.code, code(&dry.document())), (4, "port_taken"), "{dry:?}");
    let done = home.run(&["clean", "--ports", "--json"]);
    assert_eq!((done.code, code(&done.document())), (4, "port_taken"), "{done:?}");
    let error = done.document()["error"].clone();
    let message = error["message"].as_str().expect("a text").to_owned();
    let user = mprism::control::our_user();
    for told in [
        format!(
            "port {} of `clickhouse` is held by pid {}",
            home.port(8123),
            foreign.0.id()
        ),
        format!("user {user}, since 20"),
        "python3 -c import socket".to_owned(),
        "not started by mprism".to_owned(),
    ] {
        assert!(message.contains(&told), "{told}: {message}");
    }
    let hints = error["hints"].to_string();
    assert!(hints.contains("--force") && hints.contains("`kill "), "{hints}");
    assert!(foreign.is_alive());
    // A registry that names its pid, but another life of it, proves nothing.
    let state = home.path().join("run/state.json");
    let mut registry: Value = serde_json::from_str(&fs::read_to_string(&state).expect("there")).expect("JSON");
    let mut recycled = serde_json::to_value(ProcessIdentity::of(foreign.0.id()).expect("alive")).expect("JSON");
    recycled["start_ticks"] = json!(1);
    registry["units"]["clickhouse"] = json!({"process": recycled.clone(), "restarts": 0, "last_error": null});
    fs::write(&state, registry.to_string()).expect("written");
    // And so does a lock.
    fs::write(home.path().join("run/clickhouse.lock"), recycled.to_string()).expect("written");
    assert_eq!(home.run(&["clean", "--ports"]).code, 4);
    assert_eq!(home.run(&["start", "clickhouse"]).code, 4);
    assert!(foreign.is_alive(), "a recycled pid is never signalled");
    let forced = home.run(&["clean", "--ports", "--force", "--json"]);
    forced.good();
    let shown = forced.stderr.find("it is ended now").expect("shown before");
    let ended = forced.stderr.find("as --force asked").expect("ended");
    assert!(shown < ended, "{forced:?}");
    assert!(!foreign.is_alive());
    assert_eq!(home.good(&["clean", "--ports"])["plan"], json!([]));
}

/// Runs a command in a terminal, types one line when it asks, and returns its exit code.
fn in_a_terminal(home: &Home, arguments: &[&str], typed: &str) -> Option<i32> {
    let script = "import os, pty, sys\n\
                  typed, command = sys.argv[1], sys.argv[2:]\n\
                  pid, terminal = pty.fork()\n\
                  if pid == 0: os.execv(command[0], command)\n\
                  seen, answered = b'', False\n\
                  while True:\n\
                  \x20   try: part = os.read(terminal, 4096)\n\
                  \x20   except OSError: break\n\
                  \x20   if not part: break\n\
                  \x20   seen += part\n\
                  \x20   if not answered and b'to go on:' in seen:\n\
                  \x20       answered = True\n\
                  \x20       os.write(terminal, typed.encode() + b'\\n')\n\
                  sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";
    let command = home.command(arguments);
    let mut python = std::process::Command::new("python3");
    python
        .args(["-c", script, typed])
        .arg(command.get_program())
        .args(command.get_args());
    python
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    python.status().expect("python3 runs").code()
}

#[tokio::test]
async fn who_is_asked_in_a_terminal_has_to_type_the_homes_name() {
    let home = Home::new();
    home.good(&["start", "--sim"]);
    home.flows().await;
    home.good(&["stop"]);
    let rows = home.rows();
    assert_eq!(in_a_terminal(&home, &["clean", "--data"], "yes"), Some(4));
    assert_eq!(home.rows(), rows, "another word is no consent");
    assert_eq!(in_a_terminal(&home, &["clean", "--data"], "home"), Some(0));
    assert!(!home.path().join("data/clickhouse").exists());
}
