//! Tables that are not as this version makes them, in a home that goes on collecting.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, Stdio};

use mprism::control::{HomePaths, Rebuilder};
use mprism_runtime::process::{ProcessIdentity, Signal};
use mprism_storage::cold::CopierLock;
use serde_json::json;

use crate::support::{Home, kill, signal};

/// What is said when both writers are paused.
const PAUSED: &str = "hot: stopped after";
const DRIFT: &str = "ALTER TABLE marketprism_hot.trades MODIFY COLUMN is_maker UInt8";

#[tokio::test]
async fn a_wrong_type_is_told_and_rebuilt_while_nothing_is_lost() {
    let home = Home::new();
    home.good(&["start", "--sim", "--sim-rate", "500"]);
    home.flows().await;
    home.write(DRIFT);
    home.write("ALTER TABLE marketprism_hot.trades DROP INDEX natural");
    let told = home.run(&["init", "--json"]);
    assert_eq!(told.code, 1, "{told:?}");
    let document = told.document();
    assert_eq!(document["error"]["code"], "schema_differs", "{document}");
    assert_eq!(document["differs"][0]["kind"], "type", "{document}");
    assert_eq!(
        document["differs"][0]["statement"], "mprism repair --schema",
        "{document}"
    );
    assert!(
        document["error"]["hints"]
            .to_string()
            .contains("mprism repair --schema"),
        "{document}"
    );

    let planned = home.good(&["repair", "--schema", "--dry-run"]);
    assert_eq!(planned["actions"][0]["table"], "marketprism_hot.trades", "{planned}");
    assert_eq!(planned["pauses"], json!(["hot", "cold"]), "{planned}");
    let shown = home.run(&["repair", "--schema", "--dry-run"]).stdout;
    let lines: Vec<&str> = shown.lines().map(str::trim).collect();
    assert_eq!(
        (lines[0], lines[lines.len() - 1]),
        ("would stop hot, cold", "would start again hot, cold"),
        "{shown}"
    );
    let kind =
        "SELECT type FROM system.columns WHERE database = 'marketprism_hot' AND table = 'trades' AND name = 'is_maker'";
    assert_eq!(home.query(kind), "UInt8", "nothing was changed");

    let repaired = home.good(&["repair", "--schema"]);
    assert_eq!(
        repaired["pauses"], planned["pauses"],
        "what was planned is what is done"
    );
    let action = &repaired["actions"][0];
    assert_eq!(action["outcome"], "rebuilt", "{repaired}");
    assert_eq!(home.query(kind), "Bool");
    let aside = action["aside"].as_str().expect("a name");
    assert_eq!(
        home.query(&format!("SELECT count() FROM {aside}")),
        action["rows_before"].to_string()
    );
    home.flows().await;
    home.good(&["init"]);
    // With nothing to rebuild nobody is stopped.
    let hot = home.process("hot");
    let nothing = home.good(&["repair", "--schema"]);
    assert_eq!(
        (&nothing["actions"], &nothing["pauses"]),
        (&json!([]), &json!([])),
        "{nothing}"
    );
    assert_eq!(home.process("hot"), hot);

    // While it is at work the writers wait, whoever asks for them is told for what, and nobody else does the same. It goes no
    // further than to the copier's lock, which we have.
    home.write(DRIFT);
    let copier = home.path().join("run/copier.lock");
    let turn = home
        .until("nobody copies", || {
            CopierLock::acquire(&copier).map_err(|e| e.to_string())
        })
        .await;
    let mut repair = Repairing::until(&home, PAUSED);
    let pid = repair.process.pid.to_string();
    for service in ["hot", "cold"] {
        let status = home.status(service);
        assert_eq!(
            (&status["desired"], &status["state"]),
            (&json!("up"), &json!("stopped")),
            "{status}"
        );
        assert!(
            status["last_error"].as_str().is_some_and(|text| text.contains(&pid)),
            "{status}"
        );
    }
    assert_eq!(home.good(&["status"])["schema_repair"]["state"], "at_work");
    let refused = home.run(&["start", "hot", "--wait", "1", "--json"]);
    assert!(
        refused.code == 1 && refused.stdout.contains("mprism repair --schema"),
        "{refused:?}"
    );
    for other in [&["repair", "--schema", "--json"][..], &["repair", "--json"]] {
        let refused = home.run(other);
        assert!(refused.code == 4 && refused.stdout.contains(&pid), "{refused:?}");
    }
    // Killed there, they come back by themselves, and what is not finished is told.
    assert_eq!(repair.kill(), None, "it was at work");
    are_back(&home).await;
    is_cut_short(&home);
    home.flows().await;

    // Killed together with the supervisor, they come back with the next command, whichever it is.
    let mut repair = Repairing::until(&home, PAUSED);
    signal(&repair.process, Signal::STOP);
    kill(&home.supervisor()).await;
    assert_eq!(repair.kill(), None, "it was at work");
    are_back(&home).await;
    is_cut_short(&home);

    // A signal ends it, and lets them come back.
    let mut repair = Repairing::until(&home, PAUSED);
    signal(&repair.process, Signal::INT);
    assert_eq!(repair.ended(), Some(130));
    are_back(&home).await;
    is_cut_short(&home);
    drop(turn);

    // Killed with the right table beside, or just in its place: the same command goes on.
    Repairing::until(&home, "both say the same").kill();
    are_back(&home).await;
    home.good(&["repair", "--schema"]);
    assert_eq!(home.query(kind), "Bool");
    assert_eq!(home.good(&["status"]).get("schema_repair"), None);
    // Where somebody else has mended what was left, it says so and forgets it.
    drop(Rebuilder::begin(&HomePaths::new(&home.path())).await.expect("free"));
    is_cut_short(&home);
    assert_eq!(home.good(&["repair", "--schema"])["actions"], json!([]));
    assert_eq!(home.good(&["status"]).get("schema_repair"), None);
    home.flows().await;
    let found = home.settled(|_| 0).await;
    assert_eq!((found.lost, found.duplicated), (0, 0), "{found:?}");
}

/// Waits until both writers are there again. Of tables that are still not alike the cold one copies nothing, and is not ready.
async fn are_back(home: &Home) {
    for service in ["hot", "cold"] {
        home.until(&format!("{service} is back"), || {
            let status = home.status(service);
            if status["pid"].is_number() && (service == "cold" || status["healthy"] == true) {
                Ok(())
            } else {
                Err(status.to_string())
            }
        })
        .await;
    }
}

fn is_cut_short(home: &Home) {
    let told = home.good(&["status"]);
    assert_eq!(
        (&told["schema_repair"]["state"], &told["schema_repair"]["fix"]),
        (&json!("cut_short"), &json!("mprism repair --schema")),
        "{told}"
    );
    let diagnosed = home.run(&["diagnose", "--json"]).document();
    let findings = diagnosed["findings"].as_array().expect("a list");
    let found = findings.iter().find(|finding| finding["id"] == "schema_repair");
    assert_eq!(found.expect("told")["fix"], "mprism repair --schema", "{diagnosed}");
}

/// `mprism repair --schema` on its way.
struct Repairing {
    child: Child,
    process: ProcessIdentity,
    /// Kept open: who writes to nobody is ended by that.
    said: Lines<BufReader<ChildStderr>>,
}

impl Repairing {
    /// Begins it and returns once it has said something.
    fn until(home: &Home, word: &str) -> Self {
        let mut command = home.command(&["repair", "--schema", "-v"]);
        let mut repairing = Self::of(command.stdout(Stdio::null()).spawn().expect("runs"));
        let mut told = Vec::new();
        while !told.last().is_some_and(|line: &String| line.contains(word)) {
            let line = repairing.said.next();
            let line = line.unwrap_or_else(|| panic!("it has not said {word}: {told:?}"));
            told.push(line.expect("text"));
        }
        repairing
    }

    fn of(mut child: Child) -> Self {
        Self {
            process: ProcessIdentity::of(child.id()).expect("alive"),
            said: BufReader::new(child.stderr.take().expect("piped")).lines(),
            child,
        }
    }

    /// Kills it, and returns its code if it had ended before.
    fn kill(&mut self) -> Option<i32> {
        self.child.kill().expect("ours");
        self.ended()
    }

    /// Waits for its end and returns its code.
    fn ended(&mut self) -> Option<i32> {
        self.said.by_ref().for_each(drop);
        self.child.wait().expect("ours").code()
    }
}
