//! The broker with a real nats-server.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use mprism_broker::{BrokerError, BrokerOptions, Passwords, SyncPolicy};
use mprism_bus::{Bus, BusOptions, Credentials, LayoutOptions, layout};
use mprism_deps::Dependency;
use mprism_runtime::lock::{self, LockFile, LockState};
use mprism_runtime::process::{PidFd, ProcessIdentity, Signal};
use mprism_testkit::{PATIENCE, dependency, free_address, until};
use tokio_util::sync::CancellationToken;

/// A server that is started while another test's lock is inheritable inherits that, too, and holds it: these tests take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn options(home: &Path) -> BrokerOptions {
    BrokerOptions {
        program: dependency(Dependency::NatsServer),
        listen: free_address(),
        identity: None,
        trust: None,
        monitor: free_address(),
        store: home.join("store"),
        config_file: home.join("nats.conf"),
        log_file: home.join("nats-server.log"),
        log_bytes_max: 1 << 20,
        log_files_max: 2,
        passwords: Passwords {
            collector: "c-secret".into(),
            hot: "h-secret".into(),
            operator: "o-\"secret\\".into(),
        },
        sync: SyncPolicy::Every(Duration::from_secs(1)),
        layout: layout(&LayoutOptions::standard(&["trade", "gap"], 100)),
        lock: Some(LockFile::acquire(&home.join("nats.lock")).expect("free")),
    }
}

async fn client(url: &str, user: Option<(&str, &str)>) -> Bus {
    let credentials = user.map(|(user, password)| Credentials::Member {
        user: user.into(),
        password: password.into(),
    });
    let bus = Bus::connect(BusOptions {
        url: url.into(),
        credentials,
        client_name: "test".into(),
        ..BusOptions::default()
    });
    bus.await.expect("an address")
}

#[tokio::test]
async fn each_user_may_do_its_own_work_and_no_more() {
    let _turn = TURN.lock().await;
    let home = tempfile::tempdir().expect("temporary folder");
    let options = options(home.path());
    let url = format!("nats://{}", options.listen);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(mprism_broker::run(options, shutdown.clone()));

    let operator = client(&url, Some(("operator", "o-\"secret\\"))).await;
    operator.ready(PATIENCE).await.expect("connected");
    until("the streams", async || {
        let found = operator.context().get_stream("DEAD_LETTER").await;
        found.map(|_| ()).map_err(|e| e.to_string())
    })
    .await;

    let stored = async |bus: &Bus, subject: &'static str| {
        bus.ready(PATIENCE).await.expect("connected");
        let within = Duration::from_secs(1);
        mprism_bus::publish_confirmed(bus, subject, &[], Bytes::from_static(b"x"), within).await
    };
    let collector = client(&url, Some(("collector", "c-secret"))).await;
    stored(&collector, "trade.binance_spot.spot.BTC-USDT")
        .await
        .expect("its work");
    stored(&collector, "dead.x").await.expect_err("not its work");
    let hot = client(&url, Some(("hot", "h-secret"))).await;
    stored(&hot, "dead.trade").await.expect("its work");
    stored(&hot, "trade.binance_spot.spot.BTC-USDT")
        .await
        .expect_err("not its work");
    let anonymous = client(&url, None).await;
    stored(&anonymous, "trade.binance_spot.spot.BTC-USDT")
        .await
        .expect_err("may only listen");
    anonymous
        .context()
        .get_stream("MARKET_DATA")
        .await
        .expect_err("may only listen");
    let mut listening = anonymous.client().subscribe("trade.>").await.expect("subscribed");
    // The server may take the subscription after the first message: whoever publishes until it is heard does not race.
    let heard = until("a message", async || {
        stored(&collector, "trade.binance_spot.spot.ETH-USDT")
            .await
            .expect("its work");
        let heard = tokio::time::timeout(Duration::from_millis(100), listening.next()).await;
        heard.map_err(|_| "nothing heard".to_owned())
    });
    assert_eq!(
        heard.await.expect("open").subject.as_str(),
        "trade.binance_spot.spot.ETH-USDT"
    );
    // Copies on core NATS are the collector's to make and everybody's to hear; no stream has them.
    let subject = "trade.binance_spot.spot.ETH-USDT";
    let mirror = mprism_bus::Mirror::new(&collector, &[subject.to_owned()]);
    let mut copies = mprism_bus::Listening::new(&anonymous, &format!("core.{subject}"))
        .await
        .expect("listening");
    let identity = mprism_model::ProducerId {
        epoch: mprism_model::Epoch(3),
        seq: 7,
    };
    let payload = Bytes::from_static(b"copied");
    assert!(
        !mirror.copy(&"trade.x".into(), identity, &payload).await,
        "not on the list"
    );
    let copy = until("a copy", async || {
        assert!(mirror.copy(&subject.into(), identity, &payload).await);
        let copy = tokio::time::timeout(Duration::from_millis(100), copies.next()).await;
        copy.map_err(|_| "nothing heard".to_owned())
    });
    let copy = copy.await.expect("open");
    assert_eq!((copy.identity, copy.payload), (Some(identity), payload));
    operator
        .context()
        .stream_by_subject(format!("core.{subject}"))
        .await
        .expect_err("no stream collects it");

    let wrong = client(&url, Some(("operator", "guess"))).await;
    wrong.ready(Duration::from_secs(1)).await.expect_err("wrong password");

    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(home.path().join("nats.conf"))
            .expect("written")
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "it holds passwords");
    shutdown.cancel();
    running.await.expect("no panic").expect("ended in order");
    let lock = lock::probe(&home.path().join("nats.lock")).expect("readable");
    assert!(!matches!(lock, LockState::Held(_)), "nats-server is gone: {lock:?}");
}

#[tokio::test]
async fn a_killed_server_ends_the_broker_with_a_reason() {
    let _turn = TURN.lock().await;
    let home = tempfile::tempdir().expect("temporary folder");
    let options = options(home.path());
    let url = format!("nats://{}", options.listen);
    let running = tokio::spawn(mprism_broker::run(options, CancellationToken::new()));
    let operator = client(&url, Some(("operator", "o-\"secret\\"))).await;
    operator.ready(PATIENCE).await.expect("connected");

    let server = nats_server_of(home.path()).expect("it runs");
    let handle = PidFd::open(&server).expect("asked").expect("alive");
    handle.signal(Signal::KILL).expect("ours");
    let error = running.await.expect("no panic").expect_err("its server is gone");
    assert!(matches!(error, BrokerError::Ended { .. }), "{error}");
    assert!(error.to_string().contains("signal 9"), "{error}");
}

/// Ids of an hour would be far too many, at any rate at which a machine can publish.
#[tokio::test]
async fn message_ids_are_remembered_for_less_time_where_many_come() {
    let _turn = TURN.lock().await;
    let home = tempfile::tempdir().expect("temporary folder");
    let hour = Duration::from_secs(3600);
    let mut options = options(home.path());
    for stream in &mut options.layout.streams {
        stream.duplicate_window = hour;
    }
    let (layout, url) = (options.layout.clone(), format!("nats://{}", options.listen));
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(mprism_broker::run(options, shutdown.clone()));
    let operator = client(&url, Some(("operator", "o-\"secret\\"))).await;
    operator.ready(PATIENCE).await.expect("connected");
    let window_of = async |stream: &str| {
        let found = operator.context().get_stream(stream).await.map_err(|e| e.to_string())?;
        Ok::<_, String>(found.cached_info().config.duplicate_window)
    };
    until("the streams", async || window_of("DEAD_LETTER").await).await;

    let collector = client(&url, Some(("collector", "c-secret"))).await;
    collector.ready(PATIENCE).await.expect("connected");
    let mut sent = 0_u32;
    let publish = async |n: u32| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("m{n}"));
        let subject = "trade.binance_spot.spot.BTC-USDT";
        let published = collector.context().publish_with_headers(subject, headers, "x".into());
        published.await.expect("sent")
    };
    let window = until("a shorter window", async || {
        for _ in 0..2000 {
            sent += 1;
            let _answer = publish(sent).await;
        }
        let last = publish(sent).await.await.map_err(|e| e.to_string())?;
        assert!(last.duplicate, "an id of a moment ago is known under any window");
        let window = window_of("MARKET_DATA").await?;
        (window < hour)
            .then_some(window)
            .ok_or_else(|| format!("after {sent} messages still {window:?}"))
    })
    .await;
    assert!(
        window >= Duration::from_secs(30) && window.as_secs().is_multiple_of(10),
        "{window:?}"
    );
    assert_eq!(window_of("ORDERBOOK_SNAP").await, Ok(hour), "nothing came there");
    let plan = mprism_bus::plan(&layout, &mprism_bus::observe(&operator, &layout).await.expect("asked"));
    assert!(plan.changes.is_empty() && plan.drifts.is_empty(), "{plan:?}");
    shutdown.cancel();
    running.await.expect("no panic").expect("ended in order");
}

/// Finds the server that runs with the home's configuration.
fn nats_server_of(home: &Path) -> Option<ProcessIdentity> {
    let config = home.join("nats.conf").display().to_string();
    let pids = std::fs::read_dir("/proc").expect("linux").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut ours = pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&config)
    });
    ours.next().and_then(ProcessIdentity::of)
}

#[tokio::test]
async fn a_taken_port_is_told_with_the_servers_own_words() {
    let _turn = TURN.lock().await;
    let home = tempfile::tempdir().expect("temporary folder");
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let options = BrokerOptions {
        listen: stranger.local_addr().expect("bound"),
        ..options(home.path())
    };
    let taken = options.listen.to_string();
    let error = mprism_broker::run(options, CancellationToken::new())
        .await
        .expect_err("taken");
    let said = error.to_string();
    assert!(
        said.contains("address already in use") && said.contains(&taken),
        "{said}"
    );
    // The next life appends to the same log, and is not blamed for what the last one met.
    drop(stranger);
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let options = BrokerOptions {
        listen: stranger.local_addr().expect("bound"),
        ..self::options(home.path())
    };
    let taken_now = options.listen.to_string();
    let error = mprism_broker::run(options, CancellationToken::new())
        .await
        .expect_err("taken, too");
    let said = error.to_string();
    assert!(said.contains(&taken_now), "{said}");
    assert!(!said.contains(&taken), "another life said that: {said}");
    let log = std::fs::read_to_string(home.path().join("nats-server.log")).expect("there");
    assert!(log.contains(&taken), "both are in the log: {log}");
}
