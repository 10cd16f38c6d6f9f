//! Streams and durables of others, on a real nats-server: taken over without losing a message.

mod common;

use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use common::connect;
use futures_util::StreamExt;
use mprism_bus::{Bus, BusLayout, LayoutOptions, Report, layout, move_streams, open_durable, reconcile};
use mprism_testkit::{NatsServer, free_address};

const SUBJECTS: [&str; 7] = [
    "trade.>",
    "funding_rate.>",
    "open_interest.>",
    "liquidation.>",
    "volatility_index.>",
    "lsr_top_position.>",
    "lsr_all_account.>",
];

fn wanted() -> BusLayout {
    layout(&LayoutOptions::standard(&["trade"], 100))
}

type Change = fn(&mut Config);

/// The stream as MarketPrism's broker makes it.
fn originals() -> Config {
    Config {
        name: "MARKET_DATA".into(),
        subjects: SUBJECTS.map(str::to_owned).to_vec(),
        max_bytes: 2 << 30,
        max_age: Duration::from_secs(172_800),
        max_messages: 5_000_000,
        max_consumers: 50,
        duplicate_window: Duration::from_secs(300),
        discard: DiscardPolicy::Old,
        ..Config::default()
    }
}

async fn publish(bus: &Bus, from: u64, to: u64) {
    for n in from..to {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("m{n}"));
        let sent = bus.context().publish_with_headers(
            "trade.binance_spot.spot.BTC-USDT",
            headers,
            format!("{n}").into_bytes().into(),
        );
        sent.await.expect("sent").await.expect("stored");
    }
}

/// The durable as MarketPrism's hot storage makes it: pushed, three deliveries. Acks some of what it is sent.
async fn originals_durable(bus: &Bus, acked: usize) {
    let stream = bus.context().get_stream("MARKET_DATA").await.expect("there");
    let config = consumer::push::Config {
        durable_name: Some("simple_hot_storage_realtime_trade".into()),
        deliver_subject: "_deliver.simple_hot_storage_realtime_trade.1760054400".into(),
        filter_subject: "trade.>".into(),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(60),
        max_deliver: 3,
        max_ack_pending: 2000,
        ..consumer::push::Config::default()
    };
    let made = stream.create_consumer(config).await.expect("made");
    let mut messages = made.messages().await.expect("delivered");
    for _ in 0..acked {
        let message = messages.next().await.expect("a message").expect("a message");
        message.double_ack().await.expect("acked");
    }
}

/// Pulls what is left and returns it as numbers, in order.
async fn rest(bus: &Bus, layout: &BusLayout, count: usize) -> Vec<u64> {
    let durable = open_durable(bus, &layout.durables[0]).await.expect("there");
    let mut messages = durable
        .consumer
        .fetch()
        .max_messages(count)
        .messages()
        .await
        .expect("pulled");
    let mut rest = Vec::new();
    while let Some(message) = messages.next().await {
        let message = message.expect("a message");
        rest.push(
            std::str::from_utf8(&message.payload)
                .expect("text")
                .parse()
                .expect("a number"),
        );
        message.double_ack().await.expect("acked");
    }
    rest
}

#[tokio::test]
async fn the_originals_stream_and_durable_are_adopted_where_they_are() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    bus.context().create_stream(originals()).await.expect("made");
    publish(&bus, 0, 20).await;
    originals_durable(&bus, 7).await;
    let layout = wanted();
    assert_eq!(move_streams(&bus, &layout).await.expect("looked at"), []);
    let report = reconcile(&bus, &layout).await.expect("adopted");
    assert_eq!(report.created, ["ORDERBOOK_SNAP", "DEAD_LETTER"]);
    assert_eq!(
        report.updated,
        [
            "MARKET_DATA: subjects, max_msgs, max_age, discard, duplicate_window",
            "simple_hot_storage_realtime_trade: was pushed",
        ]
    );
    assert!(report.drifts.is_empty(), "{report:?}");
    assert_eq!(reconcile(&bus, &layout).await.expect("looked at"), Report::default());
    let stream = bus.context().get_stream("MARKET_DATA").await.expect("there");
    let info = stream
        .consumer_info("simple_hot_storage_realtime_trade")
        .await
        .expect("told");
    assert_eq!(
        mprism_bus::skipped_from(layout.durables[0].deliver_from, &info),
        None,
        "{info:?}"
    );
    assert_eq!(
        rest(&bus, &layout, 13).await,
        (7..20).collect::<Vec<_>>(),
        "from where it was"
    );
}

#[tokio::test]
async fn a_stream_that_cannot_be_edited_is_moved_with_every_message() {
    let changes: [(&str, Change); 3] = [
        ("max_consumers", |config| config.max_consumers = 5),
        ("storage", |config| config.storage = StorageType::Memory),
        ("retention", |config| config.retention = RetentionPolicy::WorkQueue),
    ];
    for (name, change) in changes {
        let folder = tempfile::tempdir().expect("temporary folder");
        let server = NatsServer::start(folder.path(), free_address());
        let bus = connect(&server).await;
        let mut config = originals();
        change(&mut config);
        bus.context().create_stream(config.clone()).await.expect("made");
        publish(&bus, 0, 3_000).await;
        let stream = bus.context().get_stream("MARKET_DATA").await.expect("there");
        let had = stream.cached_info().state.clone();
        let layout = wanted();
        let told = reconcile(&bus, &layout).await.expect("looked at");
        assert!(
            told.drifts.iter().any(|drift| drift.contains(name)),
            "{config:?}: {told:?}"
        );
        assert_eq!(rest(&bus, &layout, 1_000).await.len(), 1_000);
        // Killed again and again, at other places each time, it goes on.
        let mut within = Duration::from_millis(1);
        loop {
            match tokio::time::timeout(within, move_streams(&bus, &layout)).await {
                Ok(moved) => break drop(moved.unwrap_or_else(|e| panic!("{config:?}: {e:?}"))),
                Err(_killed) => within = within * 3 / 2,
            }
        }
        let report = reconcile(&bus, &layout).await.expect("agrees");
        assert!(report.drifts.is_empty(), "{report:?}");
        let stream = bus.context().get_stream("MARKET_DATA").await.expect("there");
        let has = stream.cached_info().state.clone();
        if config.retention == RetentionPolicy::Limits {
            assert_eq!((has.messages, has.last_sequence), (had.messages, had.last_sequence));
        }
        publish(&bus, 3_000, 3_010).await;
        let left = rest(&bus, &layout, 3_010).await;
        assert_eq!(
            left,
            (1_000..3_010).collect::<Vec<_>>(),
            "{name}: each that was not acked, in order"
        );
        assert_eq!(move_streams(&bus, &layout).await.expect("looked at"), [], "once");
    }
}

#[tokio::test]
async fn a_stream_that_keeps_by_interest_loses_nothing_when_its_durable_is_replaced() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    let config = Config {
        retention: RetentionPolicy::Interest,
        ..originals()
    };
    bus.context().create_stream(config).await.expect("made");
    originals_durable(&bus, 0).await;
    publish(&bus, 0, 100).await;
    let layout = wanted();
    assert_eq!(
        move_streams(&bus, &layout).await.expect("looked at"),
        [],
        "it can be edited"
    );
    let report = reconcile(&bus, &layout).await.expect("edited");
    assert!(report.updated[0].ends_with("duplicate_window, retention"), "{report:?}");
    assert_eq!(rest(&bus, &layout, 100).await, (0..100).collect::<Vec<_>>());
}
