//! What `kill -9` at any moment does to the data: nothing.

use mprism_runtime::process::Signal;

use crate::support::{Home, kill, signal};

const RATE: &str = "5000";

async fn started() -> Home {
    let home = Home::new();
    home.good(&["start", "--sim", "--sim-rate", RATE]);
    home.flows().await;
    home
}

#[tokio::test]
async fn killed_workers_come_back_and_nothing_is_lost_or_doubled() {
    let home = started().await;
    for service in ["hot", "clickhouse", "nats"] {
        let process = home.process(service);
        kill(&process).await;
        home.back(service, &process).await;
        home.flows().await;
    }
    let found = home.settled(|_| 0).await;
    assert_eq!((found.lost, found.duplicated), (0, 0), "{found:?}");
    assert!(found.rows["trade"] > 10_000, "{found:?}");
    let integrity = home.good(&["integrity"]);
    assert_eq!(integrity["verdict"], "pass", "{integrity}");
}

#[tokio::test]
async fn services_outlive_their_supervisor_and_the_next_one_takes_them_over() {
    let home = started().await;
    let services = ["sim", "nats", "clickhouse", "hot", "collector"];
    let before: Vec<_> = services.map(|service| home.process(service)).into();
    let supervisor = home.supervisor();
    kill(&supervisor).await;
    home.flows().await;
    // Any command finds what should be up without a supervisor, and starts one.
    let after: Vec<_> = services.map(|service| home.process(service)).into();
    assert_eq!(before, after, "adopted, not started again");
    assert_ne!(home.supervisor(), supervisor);
    // The next one restarts what dies, as the first would have.
    let hot = home.process("hot");
    kill(&hot).await;
    home.back("hot", &hot).await;
    let found = home.settled(|_| 0).await;
    assert_eq!((found.lost, found.duplicated), (0, 0), "{found:?}");
}

#[tokio::test]
async fn what_a_killed_collector_missed_is_in_the_ledger_to_the_trade() {
    let home = started().await;
    for _ in 0..2 {
        let collector = home.process("collector");
        kill(&collector).await;
        home.back("collector", &collector).await;
        home.flows_past_gaps().await;
    }
    let found = home.settled(Home::in_gaps).await;
    assert_eq!((found.lost, found.duplicated), (home.in_gaps(), 0), "{found:?}");
    assert!(found.lost > 0, "two symbols without a collector at 5,000 trades/s");
    let stored_within_gaps = home.query(
        "SELECT count() FROM marketprism_hot.trades AS t INNER JOIN marketprism_hot.gaps_current AS g \
         ON t.exchange = g.exchange AND t.symbol = g.symbol \
         WHERE toUInt64(t.trade_id) BETWEEN toUInt64(g.from_id) AND toUInt64(g.to_id)",
    );
    assert_eq!(stored_within_gaps, "0", "no gap names a trade that is stored");
    let causes = home.query("SELECT DISTINCT cause FROM marketprism_hot.gaps_current");
    assert_eq!(causes, "collector_down");
    let integrity = home.run(&["integrity", "--json"]);
    assert_eq!(integrity.code, 1, "open gaps are errors");
    let checks = integrity.document()["checks"].clone();
    let unledgered = checks.to_string().contains("not in the ledger");
    assert!(!unledgered, "{checks}");
}

#[tokio::test]
async fn an_insert_that_a_stopped_engine_still_holds_is_not_doubled_by_the_next_writer() {
    let home = started().await;
    let engine = home.process("clickhouse");
    let hot = home.process("hot");
    signal(&engine, Signal::STOP);
    // The writer's next batch goes into the socket of an engine that does not read it.
    let sent = home.sent().await;
    home.until_sent(sent + 5_000).await;
    kill(&hot).await;
    home.until("a new writer runs", || {
        let status = home.status("hot");
        let is_new = status["pid"].as_u64().is_some_and(|pid| pid != u64::from(hot.pid));
        if is_new { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    signal(&engine, Signal::CONT);
    home.flows().await;
    let found = home.settled(|_| 0).await;
    assert_eq!((found.lost, found.duplicated), (0, 0), "{found:?}");
    assert_eq!(
        home.process("clickhouse"),
        engine,
        "the engine was stopped and not restarted"
    );
}

impl Home {
    /// Returns how many trades the ledger says are missing.
    fn in_gaps(&self) -> u64 {
        let sum = "SELECT sum(toUInt64(to_id) - toUInt64(from_id) + 1) FROM marketprism_hot.gaps_current WHERE state = 'open'";
        self.query(sum).parse().expect("a number")
    }

    /// Waits until rows grow again, gaps or not.
    async fn flows_past_gaps(&self) {
        let sent = self.sent().await;
        self.until("everything after the gap is stored", || {
            let (rows, missing) = (self.rows(), self.in_gaps());
            if rows + missing > sent {
                Ok(())
            } else {
                Err(format!("{rows} rows and {missing} missing of {sent}"))
            }
        })
        .await;
    }

    async fn until_sent(&self, count: u64) {
        mprism_testkit::until("the simulator sends", async || {
            let sent = self.sent().await;
            if sent >= count {
                Ok(())
            } else {
                Err(format!("{sent} of {count}"))
            }
        })
        .await;
    }
}
