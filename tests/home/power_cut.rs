//! The power is cut: what had reached the disk is there, what was 100 ms old had reached it, and nothing is there twice.
//!
//! `MPRISM_POWER_CUTS` says how often (`scripts/power-cut.sh`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mprism_model::DataType;
use mprism_runtime::process::{ProcessIdentity, Signal};
use mprism_testkit::Image;

use crate::cold::TABLES;
use crate::support::{Home, signal};

/// Events a second, from every exchange and of every type.
const RATE: &str = "2000";
/// Cuts where nobody says how many.
const CUTS: u64 = 3;
/// Most time between two cuts.
const BETWEEN_MAX: Duration = Duration::from_secs(2);
/// Cuts of one home: the longer it lives the longer its disk takes to copy.
const CUTS_OF_A_HOME: u64 = 5;
/// The home's disk. It is sparse.
const BYTES: u64 = 6 << 30;
/// What is older when the power is cut has reached the disk, on a disk that takes no longer.
const KEPT_AFTER: Duration = Duration::from_millis(100);
/// What clocks in milliseconds hide.
const MOMENT: Duration = Duration::from_millis(2);
/// Nobody is called from here: what the collector has in its spool is all there is.
const NO_EXCHANGE: &str = "collector: {exchanges: {\
    binance_spot: {websocket_url: 'ws://127.0.0.1:9', rest_url: 'http://127.0.0.1:9'}, \
    binance_derivatives: {websocket_url: 'ws://127.0.0.1:9', rest_url: 'http://127.0.0.1:9'}, \
    okx_spot: {websocket_url: 'ws://127.0.0.1:9', rest_url: 'http://127.0.0.1:9'}, \
    okx_derivatives: {websocket_url: 'ws://127.0.0.1:9', rest_url: 'http://127.0.0.1:9'}, \
    deribit_derivatives: {websocket_url: 'ws://127.0.0.1:9', rest_url: 'http://127.0.0.1:9'}}}\n";

/// The longest time that an event took from its socket to the disk, by data type. An order book is told every 100 ms, and says when
/// the last of its changes was received.
type Slowest = BTreeMap<DataType, Duration>;

/// A moment at which the power was cut.
struct Cut {
    at_ms: i64,
    /// How long everything stood still for the copy of the disk.
    stood_still: Duration,
    disk: std::path::PathBuf,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_a_moment_outlives_a_power_cut_and_nothing_is_doubled() {
    let mut left = std::env::var("MPRISM_POWER_CUTS").map_or(CUTS, |text| text.parse().expect("a number"));
    while left > 0 {
        let cuts = left.min(CUTS_OF_A_HOME);
        let Some(outlived) = a_home_outlives(cuts).await else {
            return;
        };
        for (at_ms, slowest) in outlived {
            println!("cut at {at_ms}: durable after {slowest:?} at most");
        }
        left -= cuts;
    }
}

/// Cuts the power of a home so often, where that is permitted here; returns when, and how long its disk took at most.
async fn a_home_outlives(cuts: u64) -> Option<Vec<(i64, Slowest)>> {
    let mut home = Home::whole();
    fs::create_dir_all(home.path()).expect("made");
    home.disk = Image::make(&home.beside().join("disk.img"), BYTES, &home.path());
    home.disk.as_ref()?;
    let mut outlived = Vec::new();
    home.good(&["start", "--sim", "--sim-rate", RATE]);
    for number in 0..cuts {
        home.flows().await;
        let wait = rand::random_range(Duration::ZERO..BETWEEN_MAX);
        tokio::time::sleep(wait).await;
        // A busy machine's disk takes its time, and the collector says how much.
        let before = durable_after(&home).await;
        let cut = at_once(&home, number);
        // What was received until then is what the home itself stored of it, once it goes on: all of it is on the disk by then.
        home.flows().await;
        let after = durable_after(&home).await;
        // What was not on the disk yet when everything stood still got there meanwhile, and counts without that time.
        let slowest = before
            .into_iter()
            .map(|(data_type, before)| match after[&data_type] {
                after if after > before => (data_type, before.max(after.saturating_sub(cut.stood_still))),
                _ => (data_type, before),
            })
            .collect();
        comes_back(&home, &cut, &slowest).await;
        outlived.push((cut.at_ms, slowest));
        fs::remove_file(&cut.disk).expect("removed");
        // Its longest time is of its whole life.
        home.good(&["restart", "collector"]);
    }
    Some(outlived)
}

/// Stops everything at once, keeps what is on the disk, and lets everything go on.
fn at_once(home: &Home, number: u64) -> Cut {
    let disk = home.disk.as_ref().expect("mounted");
    let mut processes: Vec<ProcessIdentity> = ["collector", "hot", "clickhouse", "nats", "cold"]
        .map(|service| home.process(service))
        .into();
    processes.extend(children(&processes));
    for process in &processes {
        signal(process, Signal::STOP);
    }
    let (at_ms, since) = (mprism_runtime::clock::now_ms(), Instant::now());
    let file = home.beside().join(format!("cut-{number}.img"));
    disk.cut(&file);
    let stood_still = since.elapsed();
    for process in &processes {
        signal(process, Signal::CONT);
    }
    Cut {
        at_ms,
        stood_still,
        disk: file,
    }
}

/// Returns the processes that these started: nats-server is its worker's.
fn children(of: &[ProcessIdentity]) -> Vec<ProcessIdentity> {
    let mut found = Vec::new();
    for parent in of {
        let listed = fs::read_to_string(format!("/proc/{0}/task/{0}/children", parent.pid)).unwrap_or_default();
        let pids = listed.split_whitespace().filter_map(|pid| pid.parse().ok());
        found.extend(pids.filter_map(ProcessIdentity::of));
    }
    found
}

/// Opens what is left, and compares it with what the home that went on has of the same time; the disk took `slowest` at most.
async fn comes_back(home: &Home, cut: &Cut, slowest: &Slowest) {
    let mut survivor = Home::whole();
    fs::create_dir_all(survivor.path()).expect("made");
    survivor.disk = Some(Image::open(&cut.disk, &survivor.path()));
    // The machine was off: no process of its registry lives.
    fs::remove_dir_all(survivor.path().join("run")).expect("removed");
    survivor.configure(NO_EXCHANGE);
    survivor.good(&["start", "nats", "clickhouse", "hot", "collector"]);
    let spool = survivor.address(9093);
    mprism_testkit::until("the spool is stored", async || {
        let metrics = metrics(spool).await?;
        let backlog = metrics
            .lines()
            .find_map(|line| line.strip_prefix("marketprism_spool_backlog "));
        match (backlog, survivor.on_their_way()) {
            (Some("0"), 0) => Ok(()),
            (backlog, on_their_way) => Err(format!("{backlog:?} in the spool, {on_their_way} on their way")),
        }
    })
    .await;
    for table in TABLES {
        let of_table = slowest.iter().filter(|(data_type, _)| data_type.table() == table);
        let slowest = of_table.map(|(_, slowest)| *slowest).max().expect("told");
        let kept_after = KEPT_AFTER.max(slowest + MOMENT);
        let kept_ns = (cut.at_ms - i64::try_from(kept_after.as_millis()).expect("small")) * 1_000_000;
        let identities = |home: &Home, until_ns: i64| -> Vec<String> {
            let query = format!(
                "SELECT producer_epoch, producer_seq, toUnixTimestamp64Nano(ts_recv) FROM marketprism_hot.{table} \
                 WHERE toUnixTimestamp64Nano(ts_recv) <= {until_ns}"
            );
            home.query(&query).lines().map(str::to_owned).collect()
        };
        let there = identities(&survivor, i64::MAX);
        let each: BTreeSet<&String> = there.iter().collect();
        assert_eq!(each.len(), there.len(), "{table}: doubled");
        let wanted = identities(home, kept_ns);
        let lost: Vec<&String> = wanted.iter().filter(|row| !each.contains(row)).collect();
        let cut_ns = cut.at_ms * 1_000_000;
        assert!(
            lost.is_empty(),
            "{table}: {} of {} are lost, the power was cut at {cut_ns}, kept after {kept_after:?}; the first: {:?}",
            lost.len(),
            wanted.len(),
            &lost[..lost.len().min(10)]
        );
    }
}

/// Returns the longest time that an event took to be on the disk for good.
async fn durable_after(home: &Home) -> Slowest {
    let metrics = metrics(home.address(9093)).await.expect("the collector answers");
    let lines = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("marketprism_spool_durable_after_longest_seconds{type=\""));
    let told = lines.filter_map(|line| {
        let (data_type, seconds) = line.split_once("\"} ")?;
        Some((data_type.parse().ok()?, Duration::from_secs_f64(seconds.parse().ok()?)))
    });
    let told: Slowest = told.collect();
    assert_eq!(told.len(), DataType::ALL.len(), "{metrics}");
    told
}

async fn metrics(collector: SocketAddr) -> Result<String, String> {
    let answer = mprism_runtime::probe::get(collector, "/metrics", Duration::from_secs(5)).await;
    answer.map(|(_, text)| text).map_err(|e| e.to_string())
}
