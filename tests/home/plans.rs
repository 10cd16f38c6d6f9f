//! What `--dry-run` prints is what is done then, and what is done twice changes nothing the second time: every command that changes
//! a home.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::cold::is_copied;
use crate::support::Home;

/// Cadences of seconds instead of minutes: nothing that a plan is about changes by itself while it is made and done.
const FAST: &str = "cold: {interval: 200ms, window: 1s, safety_lag: 0s}\n";

/// Commands that change nothing, of all that can be typed.
const READS: &[&str] = &[
    "bench",
    "completions",
    "config path",
    "config schema",
    "config show",
    "config validate",
    "deps list",
    "deps verify",
    "diagnose",
    "env",
    "health",
    "history",
    "infra compose",
    "infra logs",
    "infra status",
    "integrity",
    "logs",
    "man",
    "replay",
    "smoke",
    "status",
    "systemd print",
    "top",
    "verify",
];

/// Commands whose plan is held against what they do, here or where it says.
const CHANGES: &[&str] = &[
    "clean",
    "cold backfill",
    "config edit",
    "deps install",
    "down",
    "export",
    // In tests/home/infra.rs.
    "infra down",
    "infra up",
    "init",
    "query",
    "repair",
    "restart",
    "start",
    "stop",
    // In tests/cli/systemd.rs.
    "systemd install",
    "systemd uninstall",
    "up",
];

/// Returns every command that can be typed and does something, as the words after `mprism`.
pub(crate) fn leaves() -> BTreeSet<String> {
    fn walk(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
        let mut children = command.get_subcommands().filter(|sub| !sub.is_hide_set()).peekable();
        if children.peek().is_none() {
            found.insert(path.trim().to_owned());
        }
        children.for_each(|child| walk(child, &format!("{path} {}", child.get_name()), found));
    }
    let mut found = BTreeSet::new();
    walk(&mprism::cli::tree(), "", &mut found);
    found
}

#[test]
fn every_command_either_changes_nothing_or_its_plan_is_held_against_what_it_does() {
    let known: BTreeSet<String> = READS.iter().chain(CHANGES).map(|name| (*name).to_owned()).collect();
    assert_eq!(leaves(), known, "a new command stands in one of the lists of this file");
}

/// A service and what becomes of it.
type Told = (String, String);

/// Returns what a plan says will become of services, in order.
fn planned(document: &Value) -> Vec<Told> {
    assert_eq!(document["dry_run"], true, "{document}");
    let steps = document["plan"].as_array().unwrap_or_else(|| panic!("{document}"));
    let told = steps.iter().filter_map(|step| {
        let action = match step["step"].as_str()? {
            "spawn" => "started",
            "keep" => "already-running",
            "stop" => "stopped",
            "leave" => "already-stopped",
            "external" | "absent" => "skipped",
            _ => return None,
        };
        Some((step["service"].as_str()?.to_owned(), action.to_owned()))
    });
    told.collect()
}

/// Returns what became of services, in order.
fn done(document: &Value, lists: &[&str]) -> Vec<Told> {
    let lists = lists
        .iter()
        .flat_map(|list| document[*list].as_array().cloned().unwrap_or_default());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    lists
        .map(|outcome| (text(&outcome["name"]), text(&outcome["action"])))
        .collect()
}

/// Returns the steps of a plan that make something in the home.
fn home_steps(document: &Value) -> Vec<Value> {
    let steps = document["plan"].as_array().expect("a list").iter();
    steps.filter(|step| step.get("service").is_none()).cloned().collect()
}

/// Returns a document's list without keys that only doing it can tell.
fn without(document: &Value, list: &str, keys: &[&str]) -> Vec<Value> {
    let mut found = document[list]
        .as_array()
        .unwrap_or_else(|| panic!("{document}"))
        .clone();
    for entry in found.iter_mut().filter_map(Value::as_object_mut) {
        entry.retain(|key, _| !keys.contains(&key.as_str()));
    }
    found
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

impl Home {
    /// Has a command say what it would do and do it, and returns both documents.
    fn both(&self, line: &[&str]) -> (Value, Value) {
        let plan = self.good(&[line, &["--dry-run"]].concat());
        (plan, self.good(line))
    }

    /// As [`Home::both`], whatever the proof says that ends it: a busy cold worker is behind.
    fn both_whatever(&self, line: &[&str]) -> (Value, Value) {
        let plan = self.good(&[line, &["--dry-run"]].concat());
        (plan, self.run(&[line, &["--json"]].concat()).document())
    }
}

#[tokio::test]
async fn what_a_plan_says_is_done_and_done_again_it_is_nothing() {
    let home = Home::new().with("EDITOR", "true");
    home.configure(FAST);

    let (plan, made) = home.both(&["init"]);
    assert_eq!((&plan["plan"], &plan["tables"]), (&made["steps"], &made["tables"]));
    assert!(
        list(&made["tables"]).len() > 10 && list(&made["steps"]).len() > 5,
        "{made}"
    );
    let (plan, made) = home.both(&["init"]);
    for nothing in [&plan["plan"], &plan["tables"], &made["steps"], &made["tables"]] {
        assert_eq!(nothing, &json!([]));
    }
    fs::remove_file(home.path().join("secrets/nats-hot")).expect("there");
    fs::remove_file(home.path().join("bin/nats-server")).expect("there");
    home.write("DROP TABLE marketprism_hot.liquidations");
    let (plan, made) = home.both(&["init"]);
    assert_eq!((&plan["plan"], &plan["tables"]), (&made["steps"], &made["tables"]));
    assert_eq!(
        (list(&made["steps"]).len(), &made["tables"]),
        (2, &json!(["liquidations"]))
    );

    fs::remove_file(home.path().join("bin/nats-server")).expect("there");
    let (plan, made) = home.both(&["deps", "install"]);
    assert_eq!((list(&plan["plan"]).len(), &plan["plan"]), (1, &made["steps"]));
    let (plan, made) = home.both(&["deps", "install"]);
    assert_eq!((&plan["plan"], made.get("steps")), (&json!([]), None));

    let settings = || fs::read(home.path().join("config/mprism.yaml")).expect("there");
    let before = settings();
    let (plan, edited) = home.both(&["config", "edit"]);
    assert_eq!(
        (&plan["outcome"], &edited["outcome"]),
        (&json!("would edit"), &json!("unchanged"))
    );
    assert_eq!((&plan["file"], settings()), (&edited["file"], before));

    // What is missing is made before anything starts, and told.
    fs::remove_file(home.path().join("secrets/nats-hot")).expect("there");
    let (plan, started) = home.both(&["start", "--sim"]);
    assert_eq!(planned(&plan), done(&started, &["services"]));
    assert_eq!(home_steps(&plan), list(&started["steps"]));
    assert_eq!(
        (list(&started["steps"]).len(), planned(&plan).len()),
        (1, 6),
        "{started}"
    );
    let (plan, started) = home.both(&["start", "--sim"]);
    assert_eq!(planned(&plan), done(&started, &["services"]));
    assert!(
        planned(&plan).iter().all(|(_, action)| action == "already-running"),
        "{plan}"
    );
    let (plan, up) = home.both_whatever(&["up", "--sim"]);
    assert_eq!(planned(&plan), done(&up, &["services"]));
    assert_eq!(list(&up["steps"]), list(&plan["steps"]));

    let (plan, restarted) = home.both(&["restart", "hot", "collector"]);
    assert_eq!(planned(&plan), done(&restarted, &["stopped", "services"]));
    assert_eq!(planned(&plan).len(), 4, "{plan}");
    let (plan, restarted) = home.both(&["restart", "hot", "cold", "--one-by-one"]);
    let one_by_one: Vec<Told> = list(&restarted["stopped"])
        .iter()
        .zip(list(&restarted["services"]))
        .flat_map(|(stopped, started)| done(&json!({"both": [stopped, started]}), &["both"]))
        .collect();
    assert_eq!(planned(&plan), one_by_one, "{restarted}");
    home.flows().await;

    // A market that rests, so that both look at the same rows.
    let found = home.settled_quietly().await;
    assert_eq!((found.lost, found.duplicated), (0, 0), "{found:?}");
    is_copied(&home).await;
    home.good(&["stop", "hot", "collector", "cold"]);
    let ours = ["outcome", "detail", "reason", "aside", "repeats"];
    home.write("INSERT INTO marketprism_hot.trades SELECT * FROM marketprism_hot.trades ORDER BY trade_id LIMIT 3");
    let (plan, repaired) = home.both(&["repair"]);
    assert_eq!(without(&plan, "actions", &ours), without(&repaired, "actions", &ours));
    assert!(!list(&plan["actions"]).is_empty(), "{plan}");
    assert_eq!(home.good(&["repair"])["actions"], json!([]));
    home.write("ALTER TABLE marketprism_hot.trades MODIFY COLUMN is_maker UInt8");
    let (plan, repaired) = home.both(&["repair", "--schema"]);
    assert_eq!(without(&plan, "actions", &ours), without(&repaired, "actions", &ours));
    assert_eq!(list(&repaired["actions"]).len(), 1, "{repaired}");
    assert_eq!(home.good(&["repair", "--schema"])["actions"], json!([]));
    // Each goes up to its own now.
    let ours = ["copied", "left", "to"];
    let (plan, copied) = home.both(&["cold", "backfill"]);
    assert_eq!(without(&plan, "tables", &ours), without(&copied, "tables", &ours));
    let again = home.good(&["cold", "backfill"]);
    assert!(
        list(&again["tables"]).iter().all(|table| table["copied"] == 0),
        "{again}"
    );

    let (plan, sent) = home.both(&[
        "query",
        "--write",
        "CREATE TABLE IF NOT EXISTS marketprism_hot.mine (n UInt8) ENGINE = Memory",
    ]);
    assert!(
        plan["sql"]
            .as_str()
            .is_some_and(|sql| sql.contains("marketprism_hot.mine")),
        "{plan}"
    );
    assert_eq!(sent["ok"], true);

    let file = home.beside().join("trades.csv").display().to_string();
    let when = ["--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"];
    let (plan, exported) = home.both(&[&["export", "trade", "-o", &file][..], &when].concat());
    for key in ["type", "from", "to", "file", "format"] {
        assert_eq!(plan[key], exported[key], "{key}: {plan}");
    }

    let (plan, cleaned) = home.both(&["clean", "--force"]);
    assert_eq!((&plan["plan"], &plan["stop"]), (&cleaned["plan"], &cleaned["stop"]));
    let stopped: Vec<Value> = list(&cleaned["stopped"])
        .iter()
        .map(|outcome| outcome["name"].clone())
        .collect();
    assert_eq!(list(&plan["stop"]), stopped);
    assert_eq!(list(&plan["plan"]).len(), 7, "six services and the supervisor: {plan}");
    assert_eq!(home.good(&["clean", "--force"])["plan"], json!([]));

    let (plan, stopped) = home.both(&["stop"]);
    assert_eq!(planned(&plan), done(&stopped, &["services"]));
    assert!(
        planned(&plan).iter().all(|(_, action)| action == "already-stopped"),
        "{plan}"
    );
    home.good(&["start", "nats", "clickhouse"]);
    let (plan, stopped) = home.both(&["down"]);
    assert_eq!(planned(&plan), done(&stopped, &["services"]));
    let (plan, up) = home.both_whatever(&["up", "--sim", "--for", "1s"]);
    assert_eq!(planned(&plan), done(&up, &["services", "stopped"]));
}
