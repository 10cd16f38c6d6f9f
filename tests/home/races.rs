//! Operators who type at once: many starts and stops in any order leave one worker of each or none, and everybody an honest code.
//!
//! `MPRISM_RACE_ROUNDS` says how often (`scripts/races.sh`), `MPRISM_RACE_SEED` repeats a run.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;

use mprism_runtime::process::ProcessIdentity;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::support::{Home, get};

/// Rounds where nobody says how many.
const ROUNDS: usize = 2;
/// Commands at once.
const COMMANDS: usize = 10;
const SERVICES: [&str; 6] = ["sim", "nats", "clickhouse", "hot", "collector", "cold"];
const PORTS: [u16; 8] = [4222, 8222, 8123, 8085, 8086, 8087, 8090, 9093];

fn said<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: {text} is no number")))
}

/// Returns the processes of the home's workers, by service; whatever a registry or a lock says.
fn workers(home: &Home) -> BTreeMap<String, Vec<u32>> {
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let root = home.path().display().to_string();
    for entry in fs::read_dir("/proc").expect("there").filter_map(Result::ok) {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        // The broker's server is started with a file of the home.
        let name = match words.get(1).map(String::as_str) {
            Some("worker") if words.contains(&root) => words[2].clone(),
            _ if words[0].ends_with("nats-server") && words.iter().any(|word| word.starts_with(&root)) => {
                "server".to_owned()
            }
            _ => continue,
        };
        if ProcessIdentity::of(pid).is_some() {
            found.entry(name).or_default().push(pid);
        }
    }
    found
}

/// Returns who says to hold a worker's lock.
fn holder(home: &Home, service: &str) -> Option<u32> {
    let name = match service {
        "hot" => "marketprism_hot_storage.lock",
        "cold" => "marketprism_cold_storage.lock",
        "collector" => "marketprism_collector.lock",
        _ => return lock(home, &format!("{service}.lock")),
    };
    lock(home, name)
}

fn lock(home: &Home, name: &str) -> Option<u32> {
    let text = fs::read_to_string(home.path().join("run").join(name)).ok()?;
    let holder: Value = serde_json::from_str(&text).ok()?;
    holder["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
}

/// Everything runs, once: processes, locks and the broker's own list of clients agree.
async fn is_whole(home: &Home, clients_of_one: &BTreeMap<String, usize>, told: &str) {
    let found = workers(home);
    for service in SERVICES {
        let pids = found.get(service).cloned().unwrap_or_default();
        assert_eq!(
            pids,
            holder(home, service).into_iter().collect::<Vec<_>>(),
            "{service}, {told}: {found:?}"
        );
    }
    assert_eq!(
        (found["server"].len(), found["supervisor"].len()),
        (1, 1),
        "{told}: {found:?}"
    );
    mprism_testkit::until("the broker has the clients of one of each", async || {
        let found = clients(home).await;
        if found == *clients_of_one {
            Ok(())
        } else {
            Err(format!("{told}: {found:?}, not {clients_of_one:?}"))
        }
    })
    .await;
}

/// Returns how many connections of each worker the broker has.
async fn clients(home: &Home) -> BTreeMap<String, usize> {
    let text = get(&format!("http://{}/connz", home.address(8222))).await;
    let document: Value = serde_json::from_str(&text).expect("a document");
    let mut found = BTreeMap::new();
    for connection in document["connections"].as_array().expect("a list") {
        let name = connection["name"].as_str().unwrap_or_default();
        if ["mprism-hot", "mprism-collector"].contains(&name) {
            *found.entry(name.to_owned()).or_default() += 1;
        }
    }
    found
}

#[tokio::test]
async fn starts_and_stops_at_once_leave_one_of_each_or_nothing() {
    let rounds = said("MPRISM_RACE_ROUNDS").unwrap_or(ROUNDS);
    let seed: u64 = said("MPRISM_RACE_SEED").unwrap_or_else(rand::random);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let home = Home::new();
    home.good(&["init"]);
    // How it looks where nobody else types.
    home.good(&["start", "--sim"]);
    home.flows().await;
    let one = clients(&home).await;
    assert_eq!(one.len(), 2, "{one:?}");
    let mut ups = 0;
    for round in 0..rounds {
        let verbs: Vec<&[&str]> = (0..COMMANDS)
            .map(|_| match random.random_bool(0.5) {
                true => &["start", "--sim", "--json"][..],
                false => &["stop", "--json"],
            })
            .collect();
        let told = format!("seed {seed}, round {round}: {verbs:?}");
        let commands: Vec<_> = verbs
            .iter()
            .map(|verb| home.command(verb).spawn().expect("started"))
            .collect();
        for command in commands {
            let output = command.wait_with_output().expect("ended");
            let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
            assert_eq!(
                (output.status.code(), &document["ok"]),
                (Some(0), &Value::Bool(true)),
                "{told}: {document}"
            );
        }
        // A supervisor that the last stop left is about to leave.
        let is_up = home
            .until("it is all or nothing", || {
                let found = workers(&home);
                let is_whole = SERVICES.iter().all(|service| found.contains_key(*service));
                if found.is_empty() || is_whole {
                    Ok(is_whole)
                } else {
                    Err(format!("{told}: {found:?}"))
                }
            })
            .await;
        if is_up {
            ups += 1;
            is_whole(&home, &one, &told).await;
        }
    }
    // Whoever is last: after a start everything runs, after a stop nothing is left, not even a port.
    home.good(&["start", "--sim"]);
    is_whole(&home, &one, "at the end").await;
    home.good(&["stop"]);
    home.until("nothing is left", || {
        let found = workers(&home);
        if found.is_empty() {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
    for port in PORTS {
        TcpListener::bind(home.address(port)).unwrap_or_else(|e| panic!("port {port}: {e}"));
    }
    println!("{rounds} rounds of {COMMANDS} commands, {ups} ended with everything up");
}
