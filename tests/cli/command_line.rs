//! What an operator sees: the real binary in a home of its own, with nothing of the caller's environment.

use std::fs;

use crate::support::{Home, STATE_KEYS};
use serde_json::Value;

#[test]
fn help_lists_what_exists_and_nothing_else() {
    let home = Home::new();
    let done = home.mprism(&["--help"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let verbs: Vec<&str> = done
        .stdout
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for verb in &verbs {
        let help = home.mprism(&[verb, "--help"]);
        assert_eq!(help.code, 0, "{verb}");
        assert!(
            help.stdout.contains(&format!("Usage: mprism {verb}")),
            "{}",
            help.stdout
        );
    }
    for verb in ["deps", "env", "logs", "query"] {
        assert!(verbs.contains(&verb), "{verbs:?}");
    }
    assert!(!verbs.contains(&"worker") && !verbs.contains(&"dashboard"), "{verbs:?}");
}

#[test]
fn the_version_needs_no_home() {
    let done = Home::new().without("HOME").mprism(&["--version"]);
    assert_eq!(
        (done.code, done.stdout),
        (0, format!("mprism {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn wrong_usage_ends_with_2_and_a_document_if_one_is_wanted() {
    let home = Home::new();
    for line in [
        vec!["deps", "nonsense", "--json"],
        vec!["--json", "deps", "list", "--nonsense"],
        vec!["deps", "--json"],
    ] {
        let done = home.mprism(&line);
        assert_eq!(done.code, 2, "{line:?}");
        let document = done.document();
        assert_eq!(document["command"], "deps");
        assert_eq!(
            (&document["ok"], &document["exit_code"]),
            (&Value::Bool(false), &Value::from(2))
        );
        assert_eq!(document["error"]["code"], "usage");
        assert!(
            document["error"]["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty())
        );
        assert!(done.stderr.contains("Usage:"), "{}", done.stderr);
    }
    let done = home.mprism(&["env", "nonsense"]);
    assert_eq!((done.code, done.stdout.as_str()), (2, ""));
    assert!(
        done.stderr.starts_with("error: unexpected argument 'nonsense'"),
        "{}",
        done.stderr
    );
}

#[test]
fn an_unknown_key_is_named_with_file_line_and_neighbour() {
    let home = Home::new();
    home.write("config/site.yaml", "nats:\n  port: 4300\n  sync_intervall: 1s\n");
    let place = home.path().join("config/site.yaml");
    let message = format!(
        "{}:3: unknown key \"sync_intervall\" in nats, did you mean \"sync_interval\"?",
        place.display()
    );
    let done = home.mprism(&["env"]);
    assert_eq!((done.code, done.stdout.as_str()), (2, ""));
    let hint = "hint: mend the file, which is checked before it is kept: `mprism config edit`";
    assert_eq!(done.stderr, format!("error: {message}\n{hint}\n"));
    let document = home.mprism(&["env", "--json"]).document();
    assert_eq!(document["error"]["code"], "invalid_settings");
    assert_eq!(document["error"]["message"], Value::from(message));
}

#[test]
fn everything_wrong_with_the_settings_is_told_at_once() {
    let home = Home::new();
    home.write("config/site.yaml", "hot:\n  port: 99999\n  batch: {age_max: 5}\n");
    let done = home.with("METRICS_PORT", "many").mprism(&["env", "--json"]);
    assert_eq!(done.code, 2);
    let causes = done.document()["error"]["causes"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let causes: Vec<&str> = causes.iter().filter_map(Value::as_str).collect();
    assert_eq!(causes.len(), 3, "{causes:?}");
    assert!(
        causes[0].contains("site.yaml:2: hot.port: expected an integer from 1 to 65535, not \"99999\""),
        "{causes:?}"
    );
    assert!(causes[2].starts_with("METRICS_PORT: expected"), "{causes:?}");
}

#[test]
fn a_port_out_of_range_changes_nothing() {
    let home = Home::new();
    let before = home.tree();
    for (line, message) in [
        (["--port-offset", "60000", "env"], "the offset can be up to 56400"),
        (["--port-offset", "150", "env"], "expected 0 or a multiple of 100"),
        (["--port-offset", "-1", "env"], "error:"),
    ] {
        let done = home.mprism(&line);
        assert_eq!(done.code, 2, "{line:?}");
        assert!(done.stderr.contains(message), "{}", done.stderr);
    }
    let done = home.with("MPRISM_PORT_OFFSET", "7").mprism(&["env"]);
    assert_eq!(done.code, 2);
    assert!(
        done.stderr.starts_with("error: MPRISM_PORT_OFFSET: expected"),
        "{}",
        done.stderr
    );
    assert_eq!(home.tree(), before);
}

#[test]
fn env_says_where_everything_is_and_no_secret() {
    let home = Home::new();
    home.write("secrets/nats-hot", "s3cret-s3cret");
    let done = home.mprism(&["env", "--port-offset", "200"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let root = home.path().display().to_string();
    for line in [
        format!("MPRISM_HOME={root}"),
        "MARKETPRISM_NATS_URL=nats://127.0.0.1:4422".to_owned(),
        "CLICKHOUSE_HTTP_URL=http://127.0.0.1:8323/".to_owned(),
        format!("MPRISM_NATS_HOT_CREDENTIAL={root}/secrets/nats-hot"),
    ] {
        assert!(
            done.stdout.lines().any(|found| found == line),
            "{line}\n{}",
            done.stdout
        );
    }
    assert!(!done.stdout.contains("s3cret"));
    let document = home.mprism(&["env", "--format", "json"]).document();
    assert_eq!(document, home.mprism(&["env", "--json"]).document());
    assert_eq!(document["variables"]["MPRISM_HOT_URL"], "http://127.0.0.1:8085");
    let external = home
        .with("MARKETPRISM_NATS_URL", "nats://bob:s3cret@elsewhere:4222")
        .mprism(&["env"]);
    assert!(
        external.stdout.contains("nats://***@elsewhere:4222"),
        "{}",
        external.stdout
    );
}

#[test]
fn the_home_is_that_of_the_flag_then_of_the_variable_then_of_the_user() {
    let home = Home::new();
    let line = |done: crate::support::Done| {
        done.stdout
            .lines()
            .find(|l| l.starts_with("MPRISM_HOME="))
            .map(str::to_owned)
    };
    let user = home.user();
    let named = |path: &str| Some(format!("MPRISM_HOME={path}"));
    assert_eq!(
        line(home.with("MPRISM_HOME", "/b").mprism(&["--home", "/a", "env"])),
        named("/a")
    );
    assert_eq!(line(home.with("MPRISM_HOME", "/b").mprism(&["env"])), named("/b"));
    let without = home.without("MPRISM_HOME");
    assert_eq!(
        line(without.with("XDG_DATA_HOME", "/c").mprism(&["env"])),
        named("/c/mprism")
    );
    assert_eq!(
        line(without.mprism(&["env"])),
        named(&format!("{}/.local/share/mprism", user.display()))
    );
    let nowhere = without.without("HOME").mprism(&["env", "--json"]);
    assert_eq!(
        (nowhere.code, nowhere.document()["error"]["code"].clone()),
        (2, Value::from("no_home"))
    );
}

#[test]
fn a_home_that_cannot_be_written_is_one_clear_error() {
    let home = Home::new();
    home.write("file", "");
    let place = home.path().join("file/home").display().to_string();
    let done = home.mprism(&["--home", &place, "deps", "install", "--offline", "--json"]);
    assert_eq!(done.code, 1);
    let document = done.document();
    assert_eq!(document["error"]["code"], "home_not_writable");
    assert_eq!(
        document["error"]["message"],
        Value::from(format!("cannot make folder {place}"))
    );
    assert!(done.stderr.contains("hint: use another home"), "{}", done.stderr);
}

#[test]
fn missing_dependencies_are_told_and_never_faked() {
    let home = Home::new();
    let list = home.mprism(&["deps", "list", "--json"]);
    assert_eq!(list.code, 0);
    let document = list.document();
    let found = document["dependencies"].as_array().cloned().unwrap_or_default();
    assert_eq!(found.len(), 2);
    for one in &found {
        assert_eq!(
            (&one["state"], &one["linked"]),
            (&Value::from("missing"), &Value::Bool(false))
        );
        assert!(STATE_KEYS.iter().all(|key| one.get(*key).is_some()), "{one}");
    }
    let verify = home.mprism(&["deps", "verify", "--json"]);
    assert_eq!(
        (verify.code, verify.document()["error"]["code"].clone()),
        (1, Value::from("dependency_missing"))
    );
    let plan = home
        .mprism(&["deps", "install", "nats-server", "--dry-run", "--json"])
        .document();
    assert_eq!(plan["dry_run"], true);
    assert!(
        plan["plan"]
            .as_array()
            .is_some_and(|plan| plan.iter().any(|step| step["name"] == "nats-server")),
        "{plan}"
    );
    assert_eq!(home.tree(), Vec::<String>::new(), "a dry run changes nothing");
    let offline = home.mprism(&["deps", "install", "nats-server", "--offline", "--json"]);
    assert_eq!(
        (offline.code, offline.document()["error"]["code"].clone()),
        (1, Value::from("dependency_missing"))
    );
    assert_eq!(home.mprism(&["deps", "install", "redis"]).code, 2);
}

#[test]
fn a_damaged_dependency_is_found_and_named() {
    let home = Home::new();
    let list = home.mprism(&["deps", "list", "--json"]).document();
    let path = list["dependencies"][0]["path"].as_str().expect("a path").to_owned();
    fs::create_dir_all(std::path::Path::new(&path).parent().expect("a folder")).expect("made");
    fs::write(&path, "not a server").expect("written");
    let verify = home.mprism(&["deps", "verify", "--json"]);
    assert_eq!(verify.code, 1);
    let document = verify.document();
    assert_eq!(
        (&document["error"]["code"], &document["ok"]),
        (&Value::from("checksum_mismatch"), &Value::Bool(false))
    );
    assert_eq!(document["dependencies"][0]["state"], "damaged");
    assert!(
        verify.stderr.contains("hint: fetch again: `mprism deps install`"),
        "{}",
        verify.stderr
    );
}

#[test]
fn colour_is_never_part_of_the_meaning() {
    let home = Home::new();
    let plain = home.mprism(&["deps", "list"]);
    assert!(!plain.stdout.contains('\x1b'));
    let colored = home.mprism(&["deps", "list", "--color", "always"]);
    assert!(colored.stdout.contains('\x1b'));
    assert_eq!(crate::support::without_color(&colored.stdout), plain.stdout);
    let error = home.with("NO_COLOR", "1").mprism(&["deps", "nonsense"]);
    assert!(!error.stderr.contains('\x1b'));
    let error = home.mprism(&["deps", "nonsense", "--color=always"]);
    assert!(error.stderr.contains('\x1b'));
}

#[test]
fn a_reader_that_leaves_is_not_an_error() {
    let home = Home::new();
    let done = home.mprism_into_closed_pipe(&["env"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    let home = Home::new();
    let full = fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("a device that is always full");
    let output = home.command(&["env"]).stdout(full).output().expect("started");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.starts_with("error: cannot write to standard output"), "{said}");
}

#[test]
fn a_home_is_linked_to_the_cache_and_repaired() {
    let home = Home::new();
    // The user's real cache: what is fetched once is fetched for every test.
    let real = std::env::var("HOME").expect("a user's folder");
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{real}/.cache"));
    let path = std::env::var("PATH").expect("a path");
    let home = home
        .with("XDG_CACHE_HOME", &cache)
        .with("PATH", &path)
        .with("HOME", &real);
    let link = home.path().join("bin/nats-server");
    let install = || home.mprism(&["deps", "install", "nats-server", "--json"]);
    let first = install();
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!(first.document()["dependencies"][0]["linked"], true);
    assert_eq!(first.document()["dependencies"].as_array().map(Vec::len), Some(1));
    let target = fs::read_link(&link).expect("a link");
    fs::remove_file(&link).expect("removed");
    fs::write(&link, "somebody's own").expect("written");
    assert_eq!(install().code, 0);
    assert_eq!(fs::read_link(&link).expect("a link again"), target);
    let plan = home.mprism(&["deps", "install", "nats-server", "--dry-run"]);
    assert_eq!((plan.code, plan.stdout.as_str()), (0, "nothing to do\n"));
    let elsewhere =
        home.with("XDG_CACHE_HOME", "/nonexistent")
            .mprism(&["deps", "install", "nats-server", "--offline"]);
    assert_eq!(
        elsewhere.code, 1,
        "a link into another cache is not what was asked for: {}",
        elsewhere.stdout
    );
}

#[test]
fn too_few_open_files_are_refused_before_anything_starts() {
    let home = Home::new();
    let mprism = env!("CARGO_BIN_EXE_mprism");
    let limited = |line: &str| {
        let script = format!("ulimit -n 64; exec {mprism} {line} --json");
        let mut command = std::process::Command::new("sh");
        let command = command
            .args(["-c", &script])
            .env_clear()
            .env("HOME", home.user())
            .env("MPRISM_HOME", home.path());
        let output = command.output().expect("sh runs");
        let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
        (output.status.code(), document)
    };
    let before = home.tree();
    let (code, start) = limited("start");
    assert_eq!((code, &start["error"]["code"]), (Some(2), &Value::from("open_files")));
    assert_eq!(home.tree(), before);
    let (_, diagnosed) = limited("diagnose");
    assert!(
        diagnosed["findings"].to_string().contains("open-file limit 64 < 1024"),
        "{diagnosed}"
    );
}
