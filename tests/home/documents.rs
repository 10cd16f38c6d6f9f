//! The documents of every command that there is, where it works: most of them need a whole home for that.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::plans::leaves;
use crate::schemas::check;
use crate::support::Home;

/// Held against their schemas elsewhere: what answers with a document a line (`tests/cli/replay.rs`, `top.rs`), and what needs a Docker
/// Engine (`infra.rs`).
const ELSEWHERE: [&str; 7] = [
    "replay",
    "top",
    "infra up",
    "infra down",
    "infra status",
    "infra logs",
    "infra compose",
];

#[tokio::test]
async fn what_works_prints_what_its_schema_promises() {
    let home = Home::new().with("EDITOR", "true");
    let units = home.beside().join("config").display().to_string();
    let home = home.with("XDG_CONFIG_HOME", &units);
    let seen = RefCell::new(BTreeSet::new());
    let worked = |line: &[&str], command: &str| {
        let done = home.run(&[line, &["--json"]].concat());
        assert_eq!(done.code, 0, "{line:?}: {done:?}");
        seen.borrow_mut().insert(command.to_owned());
        check(command, done.code, &done.stdout)
    };
    worked(&["init"], "init");
    worked(&["deps", "install"], "deps install");
    worked(&["deps", "verify"], "deps verify");
    worked(&["deps", "list"], "deps list");
    worked(&["config", "show"], "config show");
    worked(&["config", "validate"], "config validate");
    worked(&["config", "path"], "config path");
    worked(&["config", "edit"], "config edit");
    worked(&["config", "schema"], "config schema");
    worked(&["env"], "env");
    worked(&["completions", "fish"], "completions");
    worked(&["man", "start"], "man");
    for verb in ["print", "install", "uninstall"] {
        worked(&["systemd", verb, "--user"], &format!("systemd {verb}"));
    }
    worked(&["up", "--sim", "--for", "2s"], "up");
    worked(&["start", "--sim"], "start");
    home.flows().await;
    worked(&["status"], "status");
    worked(&["health"], "health");
    worked(&["start", "--sim", "--verify"], "start");
    worked(&["integrity"], "integrity");
    worked(&["verify"], "verify");
    worked(&["repair"], "repair");
    worked(&["cold", "backfill"], "cold backfill");
    worked(&["query", "SELECT 1 AS n"], "query");
    let file = home.beside().join("trades.parquet").display().to_string();
    let when = ["--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"];
    worked(&[&["export", "trade", "-o", &file][..], &when].concat(), "export");
    worked(&["diagnose"], "diagnose");
    worked(&["logs", "-n", "3"], "logs");
    worked(&["restart", "hot"], "restart");
    worked(&["stop", "collector"], "stop");
    worked(&["clean", "--force"], "clean");
    worked(&["history"], "history");
    worked(&["down"], "down");
    worked(&["smoke", "--duration", "2s", "--sample", "1s"], "smoke");
    // How fast this machine is at the moment is no matter of this test.
    let measured = home.run(&["bench", "status", "--json"]);
    assert!(
        measured.code == 0 || measured.document()["error"]["code"] == "over_budget",
        "{measured:?}"
    );
    check("bench", measured.code, &measured.stdout);
    seen.borrow_mut().insert("bench".to_owned());
    let mut seen = seen.into_inner();
    seen.extend(ELSEWHERE.map(str::to_owned));
    assert_eq!(seen, leaves(), "every command works here once");
}
