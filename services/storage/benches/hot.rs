//! How fast the hot worker works off a backlog of trades, what memory it takes, and where the CPU time goes: the worker, the
//! engine and the broker are processes of their own, as in a home.
//!
//! `cargo bench -p mprism-storage --bench hot [-- rounds]`. The same figures, for the whole binary: `mprism bench storage`.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/worker.rs"]
mod worker;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Engine, store_options};
use mprism_bus::{Bus, LayoutOptions, Publisher, layout, reconcile};
use mprism_clickhouse::Store;
use mprism_model::{
    DataType, DecimalText, Epoch, Event, Exchange, InstrumentId, MarketType, ProducerId, Side, Source, Symbol, Trade,
    TsSource, UnixNanos,
};
use mprism_storage::BatchOptions;
use mprism_testkit::{NatsServer, PATIENCE, free_address};
use tokio_util::sync::CancellationToken;
use worker::{connect, worker_options};

/// As the binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BACKLOG: u64 = 600_000;
const IN_FLIGHT: u64 = 4_000;
/// The settings' own.
const BATCH: BatchOptions = BatchOptions {
    rows_max: 20_000,
    bytes_max: 16 << 20,
    age_max: Duration::from_millis(100),
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|text| text != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["engine"] => runtime.block_on(engine()),
        ["worker", bus, store, locks] => runtime.block_on(work(bus, store, Path::new(locks))),
        [rounds] => runtime.block_on(measure(rounds.parse().expect("a number of rounds"))),
        _ => runtime.block_on(measure(3)),
    }
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("somebody reads");
}

/// Waits until whoever started this process closes its standard input.
async fn until_closed() {
    let read = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    read.await.expect("no panic").expect("readable");
}

async fn engine() {
    let engine = Engine::start().await;
    say(&engine.options.url);
    until_closed().await;
    engine.stop().await;
}

async fn work(bus: &str, store: &str, locks: &Path) {
    let mut options = worker_options(bus, store_options(store), DataType::ALL, locks);
    options.batch = BATCH;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(mprism_storage::run(options, shutdown.clone()));
    say("running");
    until_closed().await;
    shutdown.cancel();
    running.await.expect("no panic").expect("ends well");
}

/// A process of this program; it ends when its standard input is closed.
struct Part {
    child: Child,
    said: String,
}

impl Part {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut said = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut said).expect("says where it is");
        Self {
            child,
            said: said.trim().to_owned(),
        }
    }

    fn stop(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("ends");
    }
}

/// What a process has taken so far: CPU time in seconds, most memory in MiB.
fn taken(pid: u32) -> (f64, f64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("runs");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = |field: usize| -> f64 {
        let text = fields.split_whitespace().nth(field - 3).expect("a field");
        text.parse().expect("a number")
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("told");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    ((ticks(14) + ticks(15)) / 100.0, kib / 1024.0)
}

/// The broker is a child of this process, and the only one that is not this program.
fn broker_pid() -> u32 {
    let me = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/{me}/task/{me}/children")).unwrap_or_default();
    let named = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let pids = children.split_whitespace().filter_map(|text| text.parse().ok());
    let mut brokers = pids.filter(|pid| named(pid).starts_with("nats-server"));
    brokers.next().expect("it runs")
}

async fn measure(rounds: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Part::start(&["engine"]);
    let store = Store::new(store_options(&engine.said)).expect("a client");
    let address: SocketAddr = free_address();
    let server = NatsServer::start(folder.path(), address);
    let broker = broker_pid();
    let bus = connect(&server).await;
    let names: Vec<&str> = DataType::ALL.iter().map(|data_type| data_type.as_str()).collect();
    let layout = layout(&LayoutOptions::standard(&names, 20_000));
    reconcile(&bus, &layout).await.expect("made");
    let locks = folder.path().display().to_string();
    for round in 0..rounds {
        publish(&bus, round).await;
        let before = [engine.child.id(), broker].map(|pid| taken(pid).0);
        let began = Instant::now();
        let worker = Part::start(&["worker", &server.url(), &engine.said, &locks]);
        let wanted = (round + 1) * BACKLOG;
        stored(&store, wanted).await;
        let took = began.elapsed().as_secs_f64();
        let (cpu, memory) = taken(worker.child.id());
        let after = [engine.child.id(), broker].map(|pid| taken(pid).0);
        let each = |seconds: f64| seconds * 1e6 / BACKLOG as f64;
        say(&format!(
            "{}/{rounds}: {:.0} rows/s, {memory:.1} MiB at most; CPU a row: worker {:.2} us, engine {:.2} us, broker {:.2} us",
            round + 1,
            BACKLOG as f64 / took,
            each(cpu),
            each(after[0] - before[0]),
            each(after[1] - before[1]),
        ));
        worker.stop();
    }
    let query = "SELECT count(), uniqExact(producer_seq), uniqExact(trade_id) FROM marketprism_hot.trades";
    let counts: (u64, u64, u64) = store.fetch_one(query).await.expect("counts");
    let all = rounds * BACKLOG;
    assert_eq!(counts, (all, all, all), "each once");
    engine.stop();
}

/// Waits until so many rows are stored. It looks seldom: each look takes CPU time of the engine.
async fn stored(store: &Store, wanted: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let rows: u64 = store
            .fetch_one("SELECT count() FROM marketprism_hot.trades")
            .await
            .expect("a count");
        if rows == wanted {
            return;
        }
        assert!(rows < wanted && Instant::now() < deadline, "{rows} of {wanted}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Publishes the backlog of a round as a collector does.
async fn publish(bus: &Bus, round: u64) {
    let (publisher, mut answers) = Publisher::new(bus).await.expect("connected");
    let (mut sent, mut stored) = (0_u64, 0_u64);
    let mut trade = template();
    let subject = trade.subject().to_string().into();
    while stored < BACKLOG {
        while sent < BACKLOG && sent - stored < IN_FLIGHT {
            let seq = round * BACKLOG + sent;
            trade.trade_id = (5_000_000_000 + seq).to_string().into();
            let message_id = trade.message_id().0;
            let identity = ProducerId { epoch: Epoch(7), seq };
            let payload = Event::Trade(trade.clone()).to_json();
            let published = publisher.publish(sent, &subject, &message_id, identity, payload.into());
            published.await.expect("sent");
            sent += 1;
        }
        let answer = answers.next().await.expect("connected");
        answer.outcome.expect("stored");
        stored += 1;
    }
}

fn template() -> Trade {
    let now = UnixNanos(mprism_runtime::clock::now_ns());
    let text = |text: &str| DecimalText::new(text).expect("a decimal");
    Trade {
        exchange: Exchange::BinanceSpot,
        market_type: MarketType::Spot,
        symbol: Symbol::new("BTC-USDT").expect("a symbol"),
        instrument_id: InstrumentId::new("BTCUSDT").expect("an instrument"),
        trade_id: "0".into(),
        price: text("60123.45000000"),
        quantity: text("0.01337000"),
        contracts: None,
        sequence: None,
        side: Side::Buy,
        is_maker: false,
        trade_ts: now.to_millis(),
        ts: now.to_millis(),
        ts_source: TsSource::Event,
        ts_recv: Some(now),
        source: Source::Ws,
    }
}
