//! `--take-over`: a MarketPrism that runs is ended in order, and gone on with. Its processes are stand-ins that lock, listen, log and
//! are started as the original's are; its broker is a real nats-server with its streams and a pushed durable.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy};
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use futures_util::StreamExt;
use mprism_deps::Dependency;
use serde_json::{Value, json};

use crate::support::Home;

/// What both Python services do as far as others can see: hold a lock, listen, and end well on TERM.
const STAND_IN: &str = "\
import fcntl, os, signal, socket, sys
held = None
if os.environ.get('LOCK'):
    held = open(os.environ['LOCK'], 'a+')
    fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    held.truncate(0)
    held.write(str(os.getpid()))
    held.flush()
listening = []
for port in os.environ['PORTS'].split():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(('127.0.0.1', int(port)))
    listener.listen()
    listening.append(listener)
def end(*_):
    with open(os.environ['JOURNAL'], 'a') as journal:
        journal.write(' '.join(sys.argv[1:]) + '\\n')
    if held:
        os.unlink(os.environ['LOCK'])
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print('ready', flush=True)
while True:
    signal.pause()
";

/// Ends with the test, if not before.
struct Running(Child);

impl Running {
    fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("ours").is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _may_have_ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A checkout of MarketPrism.
struct Checkout {
    root: PathBuf,
}

impl Checkout {
    fn new(root: PathBuf) -> Self {
        for module in ["message-broker", "data-storage-service", "data-collector"] {
            fs::create_dir_all(root.join("services").join(module).join("logs")).expect("made");
        }
        for script in [
            "data-storage-service/main.py",
            "data-collector/unified_collector_main.py",
        ] {
            fs::write(root.join("services").join(script), STAND_IN).expect("written");
        }
        Self { root }
    }

    fn module(&self, name: &str) -> PathBuf {
        self.root.join("services").join(name)
    }

    /// Starts a script as its module does: in its folder, by its name.
    async fn python(&self, module: &str, line: &[&str], lock: Option<&Path>, ports: &[u16]) -> Running {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let said = self.root.join(format!("{}.said", line.join("")));
        let mut command = Command::new("python3");
        command
            .args(line)
            .current_dir(self.module(module))
            .env("PORTS", ports.join(" "))
            .env("JOURNAL", self.root.join("journal"))
            .env("LOCK", lock.unwrap_or(Path::new("")))
            .stdout(File::create(&said).expect("made"));
        let running = Running(command.spawn().expect("python3 runs"));
        mprism_testkit::until("the stand-in is ready", async || {
            let text = fs::read_to_string(&said).map_err(|e| e.to_string())?;
            if text.is_empty() {
                Err("silent".to_owned())
            } else {
                Ok(())
            }
        })
        .await;
        running
    }

    /// Starts its broker as `manage.sh start` does.
    fn broker(&self, port: u16, monitor: u16, store: &Path) -> Running {
        let logs = self.module("message-broker").join("logs");
        let log = File::create(logs.join("nats-server.log")).expect("made");
        let mut command = Command::new(mprism_testkit::dependency(Dependency::NatsServer));
        command
            .args([
                "-js",
                "-a",
                "127.0.0.1",
                "-m",
                &monitor.to_string(),
                "-p",
                &port.to_string(),
            ])
            .arg("--store_dir")
            .arg(store)
            .current_dir(self.module("message-broker"))
            .stdout(Stdio::null())
            .stderr(log);
        let child = command.spawn().expect("nats-server runs");
        fs::write(logs.join("nats-server.pid"), format!("{}\n", child.id())).expect("written");
        Running(child)
    }
}

/// Makes its stream and a durable of its hot storage, publishes open interests, and has some of them acked.
pub(crate) async fn filled(port: u16, published: usize, acked: usize) {
    let url = format!("nats://127.0.0.1:{port}");
    let client = mprism_testkit::until("its broker answers", async || {
        async_nats::connect(&url).await.map_err(|e| e.to_string())
    })
    .await;
    let context = async_nats::jetstream::new(client);
    let types = [
        "trade",
        "funding_rate",
        "open_interest",
        "liquidation",
        "volatility_index",
        "lsr_top_position",
        "lsr_all_account",
    ];
    let stream = context
        .create_stream(Config {
            name: "MARKET_DATA".into(),
            subjects: types.map(|name| format!("{name}.>")).to_vec(),
            max_bytes: 2 << 30,
            max_age: Duration::from_secs(172_800),
            max_messages: 5_000_000,
            max_consumers: 50,
            duplicate_window: Duration::from_secs(300),
            discard: DiscardPolicy::Old,
            ..Config::default()
        })
        .await
        .expect("made");
    let durable = stream
        .create_consumer(consumer::push::Config {
            durable_name: Some("simple_hot_storage_realtime_open_interest".into()),
            deliver_subject: "_deliver.simple_hot_storage_realtime_open_interest.1760054400".into(),
            filter_subject: "open_interest.>".into(),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(60),
            max_deliver: 3,
            max_ack_pending: 2000,
            ..consumer::push::Config::default()
        })
        .await
        .expect("made");
    let now = mprism_runtime::clock::now_ms();
    for n in 0..published {
        let message = json!({"data_type": "open_interest", "exchange": "binance_derivatives", "market_type": "perpetual",
            "symbol": "BTC-USDT", "open_interest_value": (1_000 + n).to_string(), "open_interest_usd": "49745000.12",
            "ts_ms": now - 10_000 + n as i64, "publisher": "unified-collector"});
        let sent = context.publish(
            "open_interest.binance_derivatives.perpetual.BTC-USDT",
            message.to_string().into(),
        );
        sent.await.expect("sent").await.expect("stored");
    }
    let mut messages = durable.messages().await.expect("delivered");
    for _ in 0..acked {
        let message = messages.next().await.expect("a message").expect("a message");
        message.double_ack().await.expect("acked");
    }
}

/// Writes a table of MarketPrism's with a row into the home's engine, in place of ours.
fn with_originals_table(home: &Home) {
    home.write("DROP TABLE marketprism_hot.trades");
    home.write(
        "CREATE TABLE marketprism_hot.trades (timestamp DateTime64(3, 'UTC'), exchange LowCardinality(String), market_type \
         LowCardinality(String), symbol LowCardinality(String), trade_id String, price Decimal64(8), quantity Decimal64(8), side \
         LowCardinality(String), is_maker Bool DEFAULT false, trade_time DateTime64(3, 'UTC'), data_source \
         LowCardinality(String) DEFAULT 'marketprism', created_at DateTime DEFAULT now()) ENGINE = MergeTree PARTITION BY \
         (toYYYYMM(timestamp), exchange) ORDER BY (timestamp, exchange, symbol, trade_id)",
    );
    home.write(
        "INSERT INTO marketprism_hot.trades (timestamp, exchange, market_type, symbol, trade_id, price, quantity, side, trade_time) SELECT \
         now64(3, 'UTC'), 'okx_spot', 'spot', 'BTC-USDT', 'original-1', 61235.1, 0.5, 'buy', now64(3, 'UTC')",
    );
}

pub(crate) fn steps<'a>(document: &'a Value, name: &str) -> Vec<&'a Value> {
    let steps = document["plan"]
        .as_array()
        .unwrap_or_else(|| panic!("{document}"))
        .iter();
    steps.filter(|step| step["step"] == name).collect()
}

#[tokio::test]
async fn a_marketprism_that_runs_is_named_ended_in_order_and_gone_on_with() {
    let home = Home::new();
    let place = |name: &str| home.beside().join(name);
    let locks = [place("hot.lock"), place("cold.lock"), place("collector.lock")];
    let names = [
        "MARKETPRISM_HOT_STORAGE_LOCK",
        "MARKETPRISM_COLD_STORAGE_LOCK",
        "MARKETPRISM_COLLECTOR_LOCK",
    ];
    let (checkout, store) = (Checkout::new(place("checkout")), place("nats-jetstream"));
    let set = names
        .iter()
        .zip(&locks)
        .map(|(name, lock)| (*name, lock.display().to_string()));
    let home = set.fold(home, |home, (name, lock)| home.with(name, &lock));
    home.good(&["init", "clickhouse"]);
    with_originals_table(&home);

    let storage = "data-storage-service";
    let mut hot = checkout
        .python(
            storage,
            &["main.py", "--mode", "hot"],
            Some(&locks[0]),
            &[home.port(8085)],
        )
        .await;
    let mut cold = checkout
        .python(storage, &["main.py", "--mode", "cold"], Some(&locks[1]), &[])
        .await;
    let collector = &["unified_collector_main.py", "--mode", "launcher"];
    let ports = [home.port(8087), home.port(9093)];
    let mut collector = checkout
        .python("data-collector", collector, Some(&locks[2]), &ports)
        .await;
    // It looks like one of them and holds nothing of theirs.
    let mut stranger = checkout.python(storage, &["main.py", "--mode=hot"], None, &[]).await;
    let mut broker = checkout.broker(home.port(4222), home.port(8222), &store);
    filled(home.port(4222), 5, 2).await;

    let diagnosed = home.run(&["diagnose", "--json"]).document();
    let findings = diagnosed["findings"].as_array().expect("a list").iter();
    let told: Vec<&Value> = findings.filter(|found| found["id"] == "marketprism").collect();
    assert_eq!(told.len(), 4, "{diagnosed}");
    assert!(
        told.iter().all(|found| found["fix"] == "mprism start --take-over"),
        "{diagnosed}"
    );
    let refused = home.run(&["start", "--sim", "--json"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    let error = refused.document()["error"].to_string();
    assert!(error.contains("hot storage of a MarketPrism that runs"), "{error}");
    assert!(error.contains("take it over: `mprism start --take-over`"), "{error}");

    let plan = home.good(&["start", "--sim", "--take-over", "--dry-run"]);
    let planned = steps(&plan, "take-over");
    let parts: Vec<&Value> = planned.iter().map(|step| &step["part"]).collect();
    assert_eq!(parts, ["collector", "cold", "hot", "broker"], "{plan}");
    assert_eq!(steps(&plan, "adopt-messages")[0]["store"], json!(store), "{plan}");
    assert_eq!(steps(&plan, "spawn").len(), 6, "{plan}");
    for running in [&mut hot, &mut cold, &mut collector, &mut broker, &mut stranger] {
        assert!(!running.has_ended(), "a plan ends nothing");
    }

    let taken = home.good(&["start", "--sim", "--take-over"]);
    let ended = taken["taken_over"]["processes"].as_array().expect("a list");
    let pids = |list: &[&Value]| {
        list.iter()
            .map(|step| step["process"]["pid"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(pids(&planned), pids(&ended.iter().collect::<Vec<_>>()), "{taken}");
    assert_eq!(taken["taken_over"]["messages"]["store"], json!(store), "{taken}");
    assert_eq!(
        taken["taken_over"]["tables"],
        json!(["marketprism_hot.trades"]),
        "{taken}"
    );
    for running in [&mut hot, &mut cold, &mut collector, &mut broker] {
        assert!(running.has_ended());
    }
    assert!(
        !stranger.has_ended(),
        "what cannot be proven to be its own is left alone"
    );
    let journal = fs::read_to_string(checkout.root.join("journal")).expect("there");
    assert_eq!(
        journal, "--mode launcher\n--mode cold\n--mode hot\n",
        "who produces ends first"
    );

    // Its messages are stored from behind what it had acked, its rows are there, and new ones come.
    home.until("what its storage had not acked is stored", || {
        let rows = home.query("SELECT min(open_interest), count() FROM marketprism_hot.open_interests WHERE exchange = 'binance_derivatives'");
        if rows == "1002\t3" { Ok(()) } else { Err(rows) }
    })
    .await;
    assert_eq!(
        home.query("SELECT source FROM marketprism_hot.trades WHERE trade_id = 'original-1'"),
        "import"
    );
    home.flows().await;
    let again = home.good(&["start", "--sim", "--take-over"]);
    assert_eq!(again["taken_over"]["processes"], json!([]), "{again}");
    assert_eq!(
        home.good(&["config", "show", "nats.data_folder"])
            .to_string()
            .matches(&store.display().to_string())
            .count(),
        1
    );
}
