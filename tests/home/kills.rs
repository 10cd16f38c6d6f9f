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
async fn what_a_killed_collector_missed_is_ledgered_to_the_trade_and_had_from_history() {
    let home = started().await;
    for _ in 0..2 {
        let collector = home.process("collector");
        kill(&collector).await;
        home.back("collector", &collector).await;
        home.flows().await;
    }
    let found = home.settled(|_| 0).await;
    assert_eq!(
        (found.lost, found.duplicated, found.wrong_books),
        (0, 0, 0),
        "{found:?}"
    );
    home.until_gaps_are_closed().await;
    let trades = "FROM marketprism_hot.gaps_current WHERE type = 'trade'";
    let causes = home.query(&format!("SELECT DISTINCT cause, state, source {trades}"));
    assert_eq!(causes, "collector_down\tfilled\tbackfill");
    let in_gaps = home.query(&format!("SELECT sum(toUInt64(to_id) - toUInt64(from_id) + 1) {trades}"));
    let from_history = home.query("SELECT count() FROM marketprism_hot.trades WHERE source = 'backfill'");
    assert_eq!(from_history, in_gaps, "just what was missing was asked for");
    assert!(
        in_gaps.parse::<u64>().expect("a number") > 0,
        "two symbols without a collector at 5,000 trades/s"
    );
    let books = home.query("SELECT DISTINCT cause, state FROM marketprism_hot.gaps_current WHERE type = 'orderbook'");
    assert_eq!(
        books, "collector_down\tunfillable",
        "a book that was not seen cannot be had afterwards"
    );
    let integrity = home.good(&["integrity"]);
    assert_eq!(integrity["verdict"], "warn", "{integrity}");
}

/// Every process that data goes through, three times each, with books and trades of one exchange at its fullest. `kill_loop` has
/// all exchanges, and as many rounds as asked for.
#[tokio::test]
async fn a_dozen_kills_lose_and_double_nothing_and_no_stored_book_is_wrong() {
    let home = started().await;
    for round in 0..12 {
        let service = ["hot", "collector", "clickhouse", "nats"][round % 4];
        home.until_stable(service).await;
        let process = home.process(service);
        kill(&process).await;
        home.back(service, &process).await;
    }
    home.flows().await;
    let found = home.settled(|_| 0).await;
    assert_eq!(
        (found.lost, found.duplicated, found.wrong_books),
        (0, 0, 0),
        "{found:?}"
    );
    assert!(
        found.rows["trade"] > 10_000 && found.rows["orderbook"] > 100,
        "{found:?}"
    );
    home.until_gaps_are_closed().await;
    // Where a chain of books is broken, the ledger says why.
    let integrity = home.good(&["integrity"]);
    assert_ne!(integrity["verdict"], "fail", "{integrity}");
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
    /// Waits until a service has run for so long that its next restart does not have to wait.
    async fn until_stable(&self, service: &str) {
        self.until(&format!("{service} has run for a while"), || {
            let status = self.status(service);
            match status["uptime_s"].as_f64() {
                Some(uptime_s) if uptime_s > 6.0 => Ok(()),
                _ => Err(status.to_string()),
            }
        })
        .await;
    }

    /// Waits until the ledger's last word on every gap in the trades is here.
    async fn until_gaps_are_closed(&self) {
        self.until("every gap in the trades is closed", || {
            let open = "SELECT count() FROM marketprism_hot.gaps_current WHERE type = 'trade' AND state = 'open'";
            match self.query(open).as_str() {
                "0" => Ok(()),
                open => Err(format!("{open} are open")),
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
