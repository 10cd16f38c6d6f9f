//! `mprism diagnose` on homes in trouble, and its support archive.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde_json::{Value, json};

use crate::bad_input::Foreign;
use crate::support::{Home, kill};

fn findings(document: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = document["findings"].as_array().unwrap_or_else(|| panic!("{document}"));
    list.iter()
        .map(|found| (text(&found["level"]), text(&found["id"]), text(&found["subject"])))
        .collect()
}

fn found<'a>(document: &'a Value, id: &str) -> &'a Value {
    let list = document["findings"].as_array().expect("a list");
    list.iter()
        .find(|found| found["id"] == id)
        .unwrap_or_else(|| panic!("{id}: {document}"))
}

#[tokio::test]
async fn a_healthy_home_has_no_errors_and_its_ports_and_locks_are_its_own() {
    let home = Home::new();
    let empty = home.good(&["diagnose"]);
    assert_eq!(found(&empty, "no_home")["fix"], "mprism init");
    assert!(!home.path().exists(), "looking makes nothing");
    home.good(&["start", "--sim"]);
    home.flows().await;
    let document = home.good(&["diagnose"]);
    assert!(
        findings(&document).iter().all(|(level, ..)| level != "error"),
        "{document}"
    );
    let ports = document["ports"].as_array().expect("a list");
    assert_eq!(ports.len(), 8, "{document}");
    assert!(ports.iter().all(|port| port["holder"]["ours"] == true), "{document}");
    let held = document["locks"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|lock| lock["state"] == "held")
        .count();
    assert_eq!(held, 7, "six workers and the supervisor: {document}");
    assert_eq!(document["processes"].as_array().map(Vec::len), Some(7));
    let versions = &document["versions"];
    assert_eq!(versions["running"]["nats"], versions["pinned"]["nats-server"]);
    assert!(document["machine"]["memory_bytes"].as_u64() > Some(0), "{document}");
    assert!(
        document["machine"]["fdatasync"]["ms_p50"].as_f64() > Some(0.0),
        "{document}"
    );

    assert!(
        findings(&document).iter().all(|(_, id, _)| id != "lock_stale"),
        "{document}"
    );

    // Streams and tables that are not as this version makes them.
    home.write("ALTER TABLE marketprism_hot.trades ADD COLUMN extra UInt8");
    home.write("DROP TABLE marketprism_hot.gaps");
    let drifted = home.run(&["diagnose", "--json"]);
    assert_eq!(drifted.code, 1, "{drifted:?}");
    let drifted = drifted.document();
    assert_eq!(found(&drifted, "table_drift")["fix"], "mprism init");
    let levels: Vec<String> = findings(&drifted).into_iter().map(|(level, ..)| level).collect();
    let mut ranked = levels.clone();
    ranked.sort_by_key(|level| ["error", "warn", "info"].iter().position(|known| known == level));
    assert_eq!(levels, ranked, "the worst first");

    // A supervisor that died is told and left dead: looking changes nothing.
    kill(&home.supervisor()).await;
    let orphaned = home.run(&["diagnose", "--json"]).document();
    assert_eq!(found(&orphaned, "no_supervisor")["level"], "error");
    assert!(
        orphaned["processes"].to_string().find("supervisor").is_none(),
        "{orphaned}"
    );
}

#[test]
fn trouble_is_named_with_the_command_that_mends_it() {
    let home = Home::new();
    home.good(&["init"]);
    let mut foreign = Foreign::on(home.port(8085));
    // What listens everywhere is in the way, too, and told where it really is.
    let everywhere = std::net::TcpListener::bind(("0.0.0.0", home.port(8086))).expect("free");
    home.configure("nats:\n  prot: 1\n");
    fs::set_permissions(home.path().join("secrets/nats-hot"), fs::Permissions::from_mode(0o644)).expect("opened");
    let now = mprism_model::UnixMillis(mprism_runtime::clock::now_ms()).to_rfc3339();
    let line = format!("{{\"ts\":\"{now}\",\"level\":\"error\",\"service\":\"hot\",\"message\":\"no room\"}}\n");
    fs::write(home.path().join("logs/hot.log"), line).expect("written");
    let done = home.run(&["diagnose", "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    let document = done.document();
    let port = found(&document, "port_taken");
    assert_eq!(port["fix"], json!(format!("kill {}", foreign.0.id())), "{port}");
    let holder = document["ports"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|port| port["port"] == home.port(8085));
    let holder = &holder.expect("listed")["holder"];
    assert_eq!(
        (&holder["pid"], &holder["ours"]),
        (&json!(foreign.0.id()), &json!(false))
    );
    assert!(
        holder["command"]
            .as_str()
            .is_some_and(|command| command.contains("python3")),
        "{holder}"
    );
    let there = everywhere.local_addr().expect("bound").to_string();
    let findings = document["findings"].as_array().expect("a list").iter();
    let mut taken = findings.filter(|finding| finding["id"] == "port_taken");
    let told = |text: &str| text.contains("`cold`") && text.contains(&format!("listens on {there}"));
    assert!(
        taken.any(|finding| finding["message"].as_str().is_some_and(told)),
        "{document}"
    );
    let ports = document["ports"].as_array().expect("a list").iter();
    let addresses: Vec<&Value> = ports.map(|port| &port["holder"]["address"]).collect();
    for address in [there, home.address(8085).to_string()] {
        assert!(addresses.contains(&&json!(address)), "{address}: {document}");
    }
    assert!(
        found(&document, "config")["message"]
            .as_str()
            .is_some_and(|text| text.contains("test.yaml:2"))
    );
    assert!(
        found(&document, "home_incomplete")["message"]
            .to_string()
            .contains("nats-hot"),
        "{document}"
    );
    assert_eq!(found(&document, "logged_error")["subject"], "hot");
    assert!(foreign.is_alive());
    assert!(done.stderr.contains("mend it: `"), "{done:?}");
    // Everything has to be stopped in the end, which reads the settings.
    home.configure("");
}

#[test]
fn a_docker_that_hangs_or_is_absent_is_a_finding() {
    let clients = tempfile::tempdir().expect("temporary folder");
    let path = clients.path().display().to_string();
    let absent = Home::new().with("PATH", &path);
    let document = absent.run(&["diagnose", "--json"]).document();
    assert_eq!(
        (
            &document["docker"]["state"],
            found(&document, "docker_absent")["level"].clone()
        ),
        (&json!("absent"), json!("info"))
    );
    let script = |text: &str| {
        let file = fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o755)
            .open(clients.path().join("docker"));
        std::io::Write::write_all(&mut file.expect("made"), text.as_bytes()).expect("written");
    };
    script("#!/bin/sh\nexec /bin/sleep 600\n");
    let mute = Home::new().with("PATH", &path);
    let began = std::time::Instant::now();
    let document = mute.run(&["diagnose", "--json"]).document();
    assert!(began.elapsed().as_secs() < 15, "bounded");
    assert_eq!(found(&document, "docker_mute")["level"], "warn");
    script("#!/bin/sh\necho marketprism-nats; echo my-marketprism-nats-copy\n");
    let present = Home::new().with("PATH", &path);
    let document = present.run(&["diagnose", "--json"]).document();
    let docker = &document["docker"];
    assert_eq!(
        (&docker["state"], &docker["containers"]),
        (&json!("present"), &json!([])),
        "a name is no proof"
    );
}

/// Returns the files of an archive.
fn unpacked(path: &Path) -> BTreeMap<String, String> {
    let file = fs::File::open(path).expect("there");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = archive.entries().expect("an archive");
    entries
        .map(|entry| {
            let mut entry = entry.expect("whole");
            let name = entry.path().expect("named").display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            (name, text)
        })
        .collect()
}

#[tokio::test]
async fn a_support_archive_holds_everything_but_credentials() {
    let home = Home::new();
    home.good(&["start", "--sim"]);
    home.flows().await;
    home.good(&["stop"]);
    let secrets = home.path().join("secrets");
    let mut canaries: Vec<String> = fs::read_dir(&secrets)
        .expect("there")
        .map(|entry| fs::read_to_string(entry.expect("there").path()).expect("text"))
        .collect();
    assert_eq!(canaries.len(), 6);
    let planted = [
        "urlcanary1",
        "logcanary2",
        "outcanary3",
        "histcanary4",
        "tokencanary5",
        "filecanary6",
    ];
    canaries.extend(planted.map(str::to_owned));
    let copy = home.beside().join("their-endpoints");
    fs::write(&copy, "filecanary6\n").expect("written");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).expect("closed");
    home.configure(&format!(
        "nats: {{mode: external, url: 'nats://bob:urlcanary1@127.0.0.1:1'}}\n\
         services: {{cold: {{mode: external, url: 'https://127.0.0.1:1', password_file: {}}}}}\n",
        copy.display()
    ));
    let logs = home.path().join("logs");
    let secret = canaries[0].clone();
    fs::write(
        logs.join("hot.log"),
        format!(
            "{{\"level\":\"error\",\"message\":\"cannot reach nats://bob:logcanary2@lake\",\"ts\":\"t\"}}\n\
             {{\"message\":\"plain urlcanary1, filecanary6 and {secret}\",\"token\":\"tokencanary5\"}}\nkept line\n"
        ),
    )
    .expect("written");
    fs::write(logs.join("collector.out"), "panic: password=outcanary3 at x\n").expect("written");
    let wrong = home.run(&["stop", "--home", "/nonexistent/nats://u:histcanary4@h"]);
    assert!(wrong.code <= 4, "{wrong:?}");
    let file = home.beside().join("support.tar.gz");
    let name = file.display().to_string();
    let dry = home.run(&["diagnose", "--bundle", &name, "--dry-run", "--json"]);
    assert_eq!(dry.document()["dry_run"], true);
    assert!(!file.exists());
    let done = home.run(&["diagnose", "--bundle", &name, "--json"]);
    done.good();
    let shown = home.run(&["diagnose", "--json"]);
    assert_eq!(found(&shown.document(), "lock_stale")["fix"], "mprism clean");
    for canary in &planted {
        assert!(
            !shown.stdout.contains(canary) && !shown.stderr.contains(canary),
            "{canary}: {shown:?}"
        );
    }
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    let files = unpacked(&file);
    for part in [
        "diagnose.json",
        "config.json",
        "status.json",
        "versions.json",
        "history.jsonl",
        "logs/hot.log",
    ] {
        let name = format!("mprism-support/{part}");
        assert!(
            files.get(&name).is_some_and(|text| !text.is_empty()),
            "{part}: {:?}",
            files.keys()
        );
    }
    assert!(files["mprism-support/logs/hot.log"].contains("kept line"));
    for (name, text) in &files {
        for canary in &canaries {
            assert!(!text.contains(canary.as_str()), "{canary} in {name}: {text}");
        }
    }
    let config: Value = serde_json::from_str(&files["mprism-support/config.json"]).expect("JSON");
    assert!(config.to_string().contains("nats://***@127.0.0.1:1"), "{config}");
    home.configure("");
}
