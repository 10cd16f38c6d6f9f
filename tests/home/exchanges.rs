//! Each exchange with each thing that can go wrong on its side: what the collector has to do about it, and that in the end nothing
//! is lost without a word, doubled, or wrong.

use crate::support::{Home, kill};

/// What has to happen after a fault.
enum Reaction {
    /// One of the exchange's counters goes on by so many.
    Counts(&'static str, u64),
    /// Nothing that shows: data flows on.
    Nothing,
}
use Reaction::{Counts, Nothing};

/// Starts an exchange, lets faults happen, one a line, waits for the reaction, and holds everything against the truth.
async fn survives(exchange: &'static str, fault: &str, reaction: Reaction) -> Home {
    let home = Home::of(exchange);
    // Silence has to be noticed within a test's patience.
    home.configure("collector: {liveness: {first_message: 2s, silence: 3s}}\n");
    home.good(&["start", "--sim", "--sim-rate", "600"]);
    home.rows_grow().await;
    home.books_are_live().await;
    // The first books are told whole, and of changes there may be none yet that could come twice or not at all.
    home.counts_on("diffs", 0).await;
    let counter = match reaction {
        Counts(name, by) => Some((name, home.counter(name).await + by - 1)),
        Nothing => None,
    };
    for fault in fault.lines() {
        home.fault(fault).await;
    }
    if let Some((name, before)) = counter {
        home.counts_on(name, before).await;
    }
    if fault.contains("connection_life") {
        // What is sent last of all has to find a connection: nothing that follows would show that it is missing.
        home.fault(r#"{"fault":"connection_life","duration":"24h"}"#).await;
    }
    home.rows_grow().await;
    home.books_are_live().await;
    let found = home.settled_quietly().await;
    let differences = (found.lost, found.duplicated, found.wrong_books);
    assert_eq!(differences, (0, 0, 0), "{exchange} {fault}: {found:?}");
    let integrity = home.good(&["integrity"]);
    assert_ne!(integrity["verdict"], "fail", "{exchange} {fault}: {integrity}");
    home
}

impl Home {
    /// Waits until trades are stored that were not yet.
    async fn rows_grow(&self) {
        let before = self.rows();
        self.until("trades are stored", || {
            let rows = self.rows();
            if rows > before + 20 {
                Ok(())
            } else {
                Err(format!("{rows} rows after {before}"))
            }
        })
        .await;
    }

    /// Returns how many gaps of a type the ledger has that nobody can fill.
    fn unfillable(&self, data_type: &str) -> u64 {
        let query = format!(
            "SELECT count() FROM marketprism_hot.gaps_current WHERE type = '{data_type}' AND state = 'unfillable'"
        );
        self.query(&query).parse().expect("a number")
    }
}

macro_rules! faults {
    ($($name:ident: $exchange:literal, $fault:expr, $reaction:expr;)+) => {
        $(#[tokio::test]
        async fn $name() {
            survives($exchange, $fault, $reaction).await;
        })+
    };
}

faults! {
    usdm_hole_in_a_book: "binance_derivatives", r#"{"fault":"gap","stream":"depth","count":2}"#, Counts("resyncs", 1);
    usdm_hole_in_trades: "binance_derivatives", r#"{"fault":"gap","count":8}"#, Counts("backfilled", 8);
    usdm_twice: "binance_derivatives", r#"{"fault":"duplicate","stream":"depth","count":3}"#, Counts("replays", 1);
    usdm_swapped: "binance_derivatives", r#"{"fault":"reorder","stream":"depth"}"#, Counts("resyncs", 1);
    usdm_cut: "binance_derivatives", r#"{"fault":"disconnect"}"#, Counts("connects", 2);
    usdm_engine_starts_anew: "binance_derivatives", r#"{"fault":"engine_restart"}"#, Counts("resyncs", 1);
    usdm_silent_stream: "binance_derivatives", r#"{"fault":"silent_stream","stream":"trade","duration":"6s"}"#, Counts("renewals", 1);
    usdm_malformed: "binance_derivatives", r#"{"fault":"malformed","kind":"truncated"}"#, Counts("malformed", 1);
    usdm_banned: "binance_derivatives", r#"{"fault":"http_418","duration":"15s"}"#, Counts("rest_errors", 1);
    usdm_stale_snapshots: "binance_derivatives", concat!(r#"{"fault":"stale_snapshot","count":2}"#, "\n", r#"{"fault":"gap","stream":"depth","count":1}"#), Counts("resyncs", 1);
    usdm_snapshots_refused: "binance_derivatives", concat!(r#"{"fault":"snapshot_error","status":503,"count":2}"#, "\n", r#"{"fault":"gap","stream":"depth","count":1}"#), Counts("rest_errors", 1);
    usdm_too_many_requests: "binance_derivatives", concat!(r#"{"fault":"http_429","retry_after":"1s","count":1}"#, "\n", r#"{"fault":"gap","stream":"depth","count":1}"#), Counts("rest_errors", 1);
    usdm_halted: "binance_derivatives", r#"{"fault":"symbol_halt","symbol":"ETHUSDT","duration":"2s"}"#, Nothing;
    usdm_pays_more_often: "binance_derivatives", r#"{"fault":"interval_change","hours":4}"#, Nothing;
    usdm_snapshots_come_late: "binance_derivatives", concat!(r#"{"fault":"snapshot_delay","duration":"1s","count":2}"#, "\n", r#"{"fault":"gap","stream":"depth","count":1}"#), Counts("resyncs", 1);
    usdm_without_pings: "binance_derivatives", r#"{"fault":"no_ping","duration":"5s"}"#, Nothing;
    usdm_lives_are_short: "binance_derivatives", r#"{"fault":"connection_life","duration":"12s"}"#, Counts("connects", 2);
    okx_lives_are_short: "okx_spot", r#"{"fault":"connection_life","duration":"12s"}"#, Counts("connects", 2);
    okx_without_pongs: "okx_derivatives", r#"{"fault":"no_ping","duration":"5s"}"#, Nothing;
    okx_mute: "okx_spot", r#"{"fault":"mute","duration":"4s"}"#, Counts("backfilled", 1);
    deribit_lives_are_short: "deribit_derivatives", r#"{"fault":"connection_life","duration":"12s"}"#, Counts("connects", 1);
    deribit_without_heartbeats: "deribit_derivatives", r#"{"fault":"no_ping","duration":"5s"}"#, Nothing;
    deribit_mute: "deribit_derivatives", r#"{"fault":"mute","duration":"4s"}"#, Counts("backfilled", 1);
    okx_swapped: "okx_spot", r#"{"fault":"reorder","stream":"depth"}"#, Counts("resyncs", 1);
    okx_silent_stream: "okx_spot", r#"{"fault":"silent_stream","stream":"trade","duration":"6s"}"#, Counts("renewals", 1);
    okx_silent_after_ack: "okx_derivatives", concat!(r#"{"fault":"silent_after_ack","count":1}"#, "\n", r#"{"fault":"disconnect"}"#), Counts("renewals", 1);
    okx_slow_to_connect: "okx_spot", concat!(r#"{"fault":"handshake_slow","duration":"1s","count":2}"#, "\n", r#"{"fault":"disconnect"}"#), Counts("connects", 2);
    okx_burst: "okx_derivatives", r#"{"fault":"burst","factor":20,"duration":"2s"}"#, Nothing;
    deribit_twice: "deribit_derivatives", r#"{"fault":"duplicate","stream":"depth","count":3}"#, Counts("replays", 1);
    deribit_swapped: "deribit_derivatives", r#"{"fault":"reorder","stream":"depth"}"#, Counts("resyncs", 1);
    okx_hole_in_a_book: "okx_derivatives", r#"{"fault":"gap","stream":"depth","count":2}"#, Counts("resyncs", 1);
    okx_hole_in_trades: "okx_spot", r#"{"fault":"gap","count":8}"#, Counts("backfilled", 8);
    okx_twice: "okx_spot", r#"{"fault":"duplicate","stream":"depth","count":3}"#, Counts("replays", 1);
    okx_cut: "okx_derivatives", r#"{"fault":"disconnect"}"#, Counts("connects", 2);
    okx_numbers_begin_anew: "okx_derivatives", r#"{"fault":"seq_reset"}"#, Nothing;
    okx_leaves_for_an_upgrade: "okx_spot", r#"{"fault":"maintenance","duration":"1s"}"#, Counts("connects", 2);
    okx_refuses_connections: "okx_spot", r#"{"fault":"handshake_error","status":503,"count":2}"#, Nothing;
    okx_huge_frame: "okx_derivatives", r#"{"fault":"huge_frame"}"#, Counts("connects", 1);
    deribit_hole_in_a_book: "deribit_derivatives", r#"{"fault":"gap","stream":"depth","count":2}"#, Counts("resyncs", 1);
    deribit_hole_in_trades: "deribit_derivatives", r#"{"fault":"gap","count":8}"#, Counts("backfilled", 8);
    deribit_cut: "deribit_derivatives", r#"{"fault":"disconnect"}"#, Counts("connects", 1);
    deribit_maintenance: "deribit_derivatives", r#"{"fault":"maintenance","duration":"1s"}"#, Counts("connects", 1);
    deribit_half_open: "deribit_derivatives", r#"{"fault":"half_open"}"#, Counts("connects", 1);
    deribit_unknown_event: "deribit_derivatives", r#"{"fault":"unknown_event"}"#, Counts("skipped", 1);
    deribit_clock_is_off: "deribit_derivatives", r#"{"fault":"clock_skew","ms":-3600000}"#, Nothing;
}

#[tokio::test]
async fn a_notice_costs_nothing_because_the_next_connection_is_there_before() {
    let fault = r#"{"fault":"server_shutdown","after":"5s"}"#;
    let home = survives("okx_derivatives", fault, Counts("renewals", 2)).await;
    assert_eq!(home.unfillable("orderbook"), 0, "each book goes on");
    assert_eq!(home.unfillable("liquidation"), 0, "nothing was missed");
}

#[tokio::test]
async fn liquidations_that_could_not_be_heard_are_in_the_ledger() {
    let home = survives("okx_derivatives", r#"{"fault":"disconnect"}"#, Counts("connects", 2)).await;
    assert_eq!(home.unfillable("liquidation"), 2, "one for each swap");
    let told = home.query("SELECT DISTINCT cause FROM marketprism_hot.gaps_current WHERE type = 'liquidation'");
    assert_eq!(told, "disconnect");
}

/// What a life heard and did not store before it was killed is not known to anybody: that it ever heard one of a market is neither.
#[tokio::test]
async fn a_life_that_stored_no_liquidation_may_have_heard_one() {
    let home = Home::of("okx_derivatives");
    home.good(&["start", "sim", "--sim"]);
    home.tell_sim("/control/pause", "").await;
    home.good(&["start", "--sim"]);
    let began = home.query("SELECT toUnixTimestamp64Milli(now64(3))");
    let first = home.process("collector");
    kill(&first).await;
    home.until("each swap's row is there", || match home.unfillable("liquidation") {
        2 => Ok(()),
        rows => Err(rows.to_string()),
    })
    .await;
    let query = format!(
        "SELECT DISTINCT cause, toUnixTimestamp64Milli(from_ts) <= {began} FROM marketprism_hot.gaps_current WHERE type = 'liquidation'"
    );
    assert_eq!(home.query(&query), "collector_down\t1");
}

/// Nothing shows in a snapshot that a level is missing: only another one tells which of two is wrong.
#[tokio::test]
async fn audits_confirm_books_and_one_that_is_wrong_is_outvoted() {
    let home = Home::of("binance_derivatives");
    home.configure("collector: {orderbook: {audit_every: 1s}}\n");
    home.good(&["start", "--sim", "--sim-rate", "600"]);
    home.rows_grow().await;
    home.books_are_live().await;
    let confirmed = home.counter("confirmed").await;
    home.counts_on("confirmed", confirmed).await;
    let corrected = home.counter("corrected").await;
    assert_eq!(corrected, 0, "true snapshots contradict no book");
    // One bad audit is outvoted by the next.
    let doubted = home.counter("doubted").await;
    home.fault(r#"{"fault":"bad_snapshot","count":1}"#).await;
    home.counts_on("doubted", doubted).await;
    let confirmed = home.counter("confirmed").await;
    home.counts_on("confirmed", confirmed + 3).await;
    assert_eq!(home.counter("corrected").await, 0, "the book was right");
    home.books_are_live().await;
    let found = home.settled_quietly().await;
    let differences = (found.lost, found.duplicated, found.wrong_books);
    assert_eq!(differences, (0, 0, 0), "{found:?}");
}

#[tokio::test]
async fn every_exchange_tells_every_type() {
    let home = Home::whole();
    home.good(&["start", "--sim", "--sim-rate", "2000"]);
    home.until("every type of every exchange flows", || {
        let health = home.run(&["health", "--json"]).document();
        let flow = health["flow"].as_array().cloned().unwrap_or_default();
        let waiting: Vec<_> = flow.iter().filter(|flow| flow["state"] != "flowing").collect();
        if flow.len() == 24 && waiting.is_empty() {
            Ok(())
        } else {
            Err(format!("{} of 24, {waiting:?}", flow.len()))
        }
    })
    .await;
    let found = home.settled_quietly().await;
    assert_eq!(
        (found.lost, found.duplicated, found.wrong_books),
        (0, 0, 0),
        "{found:?}"
    );
    assert_eq!(found.rows.len(), 8);
}
