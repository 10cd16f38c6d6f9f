//! Tables that are not as this version makes them, in a home that goes on collecting.

use std::process::Stdio;

use crate::support::Home;

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
    let kind =
        "SELECT type FROM system.columns WHERE database = 'marketprism_hot' AND table = 'trades' AND name = 'is_maker'";
    assert_eq!(home.query(kind), "UInt8", "nothing was changed");

    let repaired = home.good(&["repair", "--schema"]);
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

    // Killed in the middle of it, the same command goes on, and the writers are there again.
    home.write(DRIFT);
    let mut killed = home
        .command(&["repair", "--schema"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    home.until("the table beside is there", || {
        let beside = home.query("SELECT count() FROM system.tables WHERE database = 'marketprism_rebuild'");
        if beside == "0" { Err(beside) } else { Ok(()) }
    })
    .await;
    killed.kill().expect("ours");
    killed.wait().expect("ours");
    home.good(&["repair", "--schema"]);
    assert_eq!(home.query(kind), "Bool");
    home.good(&["start", "--sim"]);
    home.flows().await;
    let found = home.settled(|_| 0).await;
    assert_eq!((found.lost, found.duplicated), (0, 0), "{found:?}");
}
