//! What an exchange does to its readers, and that nothing of it makes a row wrong, lost without a word, or doubled.

use serde_json::Value;

use crate::support::Home;

impl Home {
    pub(crate) async fn fault(&self, fault: &str) {
        self.tell_sim("/control/fault", fault).await;
    }

    /// Returns one of the counters of the exchange, as the collector tells them; of those by cause their sum.
    pub(crate) async fn counter(&self, name: &str) -> u64 {
        let answer = mprism_runtime::probe::get(self.address(8087), "/status", mprism_testkit::PATIENCE).await;
        let (_, body) = answer.expect("answered");
        let status: Value = serde_json::from_str(&body).expect("JSON");
        let value = &status["exchanges"][self.exchange][name];
        let counted = || Some(value.as_object()?.values().filter_map(Value::as_u64).sum());
        value
            .as_u64()
            .or_else(counted)
            .unwrap_or_else(|| panic!("{name}: {status}"))
    }

    /// Waits until the collector has counted more than before.
    pub(crate) async fn counts_on(&self, name: &str, before: u64) {
        mprism_testkit::until(name, async || {
            let now = self.counter(name).await;
            if now > before {
                Ok(())
            } else {
                Err(format!("{now} after {before}"))
            }
        })
        .await;
    }

    /// Waits until every book is what the venue has, and is published.
    pub(crate) async fn books_are_live(&self) {
        let before = self.counter("books").await;
        mprism_testkit::until("books are live", async || {
            let answer = mprism_runtime::probe::get(self.address(9093), "/metrics", mprism_testkit::PATIENCE).await;
            let (_, metrics) = answer.map_err(|e| e.to_string())?;
            let status = metrics
                .lines()
                .filter(|line| line.starts_with("marketprism_orderbook_sync_status{"));
            let live = status.filter(|line| line.ends_with(" 1")).count();
            if live == 2 { Ok(()) } else { Err(format!("{live} of 2")) }
        })
        .await;
        self.counts_on("books", before).await;
    }
}

#[tokio::test]
async fn every_fault_of_books_and_trades_is_noticed_mended_and_ledgered() {
    let home = Home::new();
    home.good(&["start", "--sim", "--sim-rate", "2000"]);
    home.flows().await;
    home.books_are_live().await;

    // A hole in the diffs of one symbol: only its book is joined again.
    let (resyncs, connects) = (home.counter("resyncs").await, home.counter("connects").await);
    home.fault(r#"{"fault":"gap","stream":"depth","count":2,"symbol":"BTC-USDT"}"#)
        .await;
    home.counts_on("resyncs", resyncs).await;
    home.books_are_live().await;
    assert_eq!(home.counter("resyncs").await, resyncs + 1, "the other book goes on");
    assert_eq!(home.counter("connects").await, connects, "and so does the connection");

    // What is sent twice is known; what is swapped shows a hole.
    let replays = home.counter("replays").await;
    home.fault(r#"{"fault":"duplicate","stream":"depth","count":3}"#).await;
    home.counts_on("replays", replays).await;
    let resyncs = home.counter("resyncs").await;
    home.fault(r#"{"fault":"reorder","stream":"depth"}"#).await;
    home.counts_on("resyncs", resyncs).await;
    home.books_are_live().await;

    // Snapshots that come too old, late, or not at all are asked for again; the socket stays.
    for trouble in [
        r#"{"fault":"stale_snapshot","count":2}"#,
        r#"{"fault":"snapshot_delay","duration":"1s","count":1}"#,
        r#"{"fault":"snapshot_error","status":503,"count":2}"#,
        r#"{"fault":"http_429","retry_after":"1s","count":1}"#,
    ] {
        home.fault(trouble).await;
        let resyncs = home.counter("resyncs").await;
        home.fault(r#"{"fault":"gap","stream":"depth","count":1}"#).await;
        home.counts_on("resyncs", resyncs).await;
        home.books_are_live().await;
    }
    assert_eq!(
        home.counter("connects").await,
        connects,
        "one bad book costs no connection"
    );

    // Trades that were not sent are had from history.
    let backfilled = home.counter("backfilled").await;
    home.fault(r#"{"fault":"gap","count":25}"#).await;
    home.counts_on("backfilled", backfilled + 49).await;

    // Ends of connections, announced and not.
    for end in [
        r#"{"fault":"disconnect"}"#,
        r#"{"fault":"server_shutdown","after":"200ms"}"#,
        r#"{"fault":"huge_frame"}"#,
    ] {
        let connects = home.counter("connects").await;
        home.fault(end).await;
        home.counts_on("connects", connects).await;
        home.books_are_live().await;
    }

    home.flows().await;
    let found = home.settled(|_| 0).await;
    assert_eq!(
        (found.lost, found.duplicated, found.wrong_books),
        (0, 0, 0),
        "{found:?}"
    );
    let open = home.query("SELECT count() FROM marketprism_hot.gaps_current WHERE state = 'open'");
    assert_eq!(open, "0");
    let integrity = home.good(&["integrity"]);
    assert_eq!(integrity["verdict"], "warn", "books that were not seen: {integrity}");
}
