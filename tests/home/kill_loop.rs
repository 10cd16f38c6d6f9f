//! Every process that data goes through, killed at random moments while everything is sent from everywhere; at the end what was
//! sent is in the hot store and in the cold one, each once.
//!
//! `MPRISM_KILL_ROUNDS` says how often and `MPRISM_KILL_RATE` how much is sent (`scripts/kill-loop.sh`), `MPRISM_KILL_SEED` repeats a
//! run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::cold::is_copied;
use crate::support::{Home, kill};

/// Events a second, from every exchange and of every type, where nobody says how many.
const RATE: u64 = 1_000;
/// Rounds where nobody says how many.
const ROUNDS: usize = 10;
/// Longest time that a service is left alone after the last one came back.
const LEFT_ALONE_MAX: Duration = Duration::from_secs(2);
/// What a collector missed is asked for as fast as the exchanges allow: OKX tells of 1,000 trades a second, of all its markets.
const MISSED_WITHIN: Duration = Duration::from_secs(900);
const SERVICES: [&str; 5] = ["hot", "collector", "clickhouse", "nats", "cold"];
/// Cadences of seconds instead of minutes.
const FAST: &str = "cold: {interval: 500ms, window: 5s, safety_lag: 2s}\n";

fn said<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: {text} is no number")))
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_and_double_nothing_in_either_store() {
    let rounds = said("MPRISM_KILL_ROUNDS").unwrap_or(ROUNDS);
    let seed = said("MPRISM_KILL_SEED").unwrap_or_else(rand::random);
    let rate = said("MPRISM_KILL_RATE").unwrap_or(RATE).to_string();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let home = Home::whole();
    home.configure(FAST);
    home.good(&["start", "--sim", "--sim-rate", &rate]);
    home.flows().await;
    let mut back_ms: BTreeMap<&str, Vec<u128>> = BTreeMap::new();
    for round in 0..rounds {
        // Each as often as the others, and none at a moment that a condition chose.
        let service = SERVICES[round % SERVICES.len()];
        let alone = random.random_range(Duration::ZERO..LEFT_ALONE_MAX);
        tokio::time::sleep(alone).await;
        let process = home.process(service);
        kill(&process).await;
        let (began, killed_ms) = (Instant::now(), mprism_runtime::clock::now_ms());
        home.back(service, &process).await;
        println!(
            "{service} killed at {killed_ms}, back at {}",
            mprism_runtime::clock::now_ms()
        );
        back_ms.entry(service).or_default().push(began.elapsed().as_millis());
    }
    every_market_is_heard(&home).await;
    let found = home.settled_quietly_within(MISSED_WITHIN).await;
    let told = format!("seed {seed}: {found:?}");
    if (found.lost, found.duplicated, found.wrong_books) != (0, 0, 0) {
        // What the ledger says of what has no numbers, to be held against the kills above.
        println!("{}", home.query("SELECT type, exchange, symbol, from_id, to_id, cause, state FROM marketprism_hot.gaps WHERE type NOT IN ('trade', 'orderbook') ORDER BY from_id"));
        println!("{}", home.run(&["logs", "collector", "-n", "4000"]).stdout);
    }
    assert_eq!((found.lost, found.duplicated, found.wrong_books), (0, 0, 0), "{told}");
    assert_eq!(found.rows.len(), 8, "{told}");
    is_copied(&home).await;
    // Where a chain of books is broken, the ledger says why.
    let integrity = home.run(&["integrity", "--json"]).document();
    assert_ne!(integrity["verdict"], "fail", "seed {seed}: {integrity}");
    println!("{rounds} kills, {told}");
    for (service, mut times) in back_ms {
        times.sort_unstable();
        let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
        println!(
            "{service}: killed {} times, back after {median} ms (median), {longest} ms (longest)",
            times.len()
        );
    }
}

/// Waits until something is stored of every market that was received after this moment: what a market said before shows as missing
/// only when it says something again.
async fn every_market_is_heard(home: &Home) {
    let counts: Value = serde_json::from_str(&home.sim("/truth/counts").await).expect("a document");
    let exchanges = counts["trade"].as_object().expect("exchanges").values();
    let markets: usize = exchanges.filter_map(Value::as_object).map(serde_json::Map::len).sum();
    let now = mprism_runtime::clock::now_ns();
    home.until_within(MISSED_WITHIN, "every market is heard", || {
        let heard = home.query(&format!(
            "SELECT uniqExact(exchange, symbol) FROM marketprism_hot.trades WHERE toUnixTimestamp64Nano(ts_recv) > {now} AND source = 'ws'"
        ));
        if heard == markets.to_string() { Ok(()) } else { Err(format!("{heard} of {markets}")) }
    })
    .await;
}
