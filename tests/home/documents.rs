//! The documents of commands that need a whole home to work.

use crate::schemas::check;
use crate::support::Home;

#[tokio::test]
async fn what_works_prints_what_its_schema_promises() {
    let home = Home::new();
    let worked = |line: &[&str], command: &str| {
        let done = home.run(&[line, &["--json"]].concat());
        assert_eq!(done.code, 0, "{line:?}: {done:?}");
        check(command, done.code, &done.stdout)
    };
    worked(&["init"], "init");
    worked(&["deps", "install"], "deps install");
    worked(&["deps", "verify"], "deps verify");
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
    worked(&["bench", "status"], "bench");
}
