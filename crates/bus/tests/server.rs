//! The bus against a real nats-server.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::connect;
use futures_util::StreamExt;
use mprism_bus::{
    Answers, Bus, DurableSpec, LayoutOptions, Publisher, Pull, PurgePolicy, SubjectText, Trouble, layout, open_durable,
    purge, reconcile,
};
use mprism_model::{Epoch, ProducerId};
use mprism_testkit::{NatsServer, PATIENCE, free_address};

fn standard() -> LayoutOptions {
    LayoutOptions::standard(&["trade", "gap"], 100)
}

fn identity(seq: u64) -> ProducerId {
    ProducerId { epoch: Epoch(1), seq }
}

#[tokio::test]
async fn the_layout_is_made_once_and_then_left_alone() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    let first = reconcile(&bus, &layout(&standard())).await.expect("made");
    assert_eq!(
        first.created,
        [
            "MARKET_DATA",
            "ORDERBOOK_SNAP",
            "DEAD_LETTER",
            "simple_hot_storage_realtime_trade",
            "simple_hot_storage_realtime_gap"
        ]
    );
    let second = reconcile(&bus, &layout(&standard())).await.expect("looked at");
    assert_eq!(second, mprism_bus::Report::default());
    let larger = LayoutOptions {
        market_data_bytes_max: 3 << 30,
        batch_rows_max: 10_000,
        ..standard()
    };
    let third = reconcile(&bus, &layout(&larger)).await.expect("edited");
    assert_eq!(third.updated.len(), 3, "{third:?}");
    assert_eq!(
        reconcile(&bus, &layout(&larger))
            .await
            .expect("looked at")
            .updated
            .len(),
        0
    );
}

#[tokio::test]
async fn answers_carry_their_token_and_a_repeat_is_recognised_across_a_restart() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    let (publisher, mut answers) = Publisher::new(&bus).await.expect("open");
    let subject = SubjectText::from("trade.binance_spot.spot.BTC-USDT");
    let payload = Bytes::from_static(b"{}");
    let send = async |token: u64, id: &str| {
        let sent = publisher
            .publish(token, &subject, id, identity(token), payload.clone())
            .await;
        sent.expect("sent");
    };
    send(7, "a").await;
    let early = answers.next().await.expect("an answer");
    assert_eq!((early.token, early.outcome), (7, Err(Trouble::NoStream)));

    reconcile(&bus, &layout(&standard())).await.expect("made");
    for (token, id) in [(8, "a"), (9, "b"), (10, "a")] {
        send(token, id).await;
    }
    let mut stored = Vec::new();
    for _ in 0..3 {
        let answer = answers.next().await.expect("an answer");
        stored.push((answer.token, answer.outcome.expect("stored").duplicate));
    }
    assert_eq!(stored, [(8, false), (9, false), (10, true)]);

    let mut connection = bus.connection();
    let before = connection.borrow_and_update().server_id.clone();
    server.kill();
    server.start_again();
    let changed = connection.wait_for(|now| now.is_connected && now.server_id != before);
    tokio::time::timeout(PATIENCE, changed)
        .await
        .expect("in time")
        .expect("watched");
    // The subscription of the answers outlives the server, and so does the memory of message ids.
    send(11, "b").await;
    let answer = answers.next().await.expect("an answer");
    assert!(answer.outcome.expect("stored").duplicate);
}

const POLICY: PurgePolicy = PurgePolicy {
    age_max: Some(Duration::from_secs(3600)),
    fill_percent_max: 70,
    fill_percent_target: 50,
    fill_percent_urgent: 85,
};

/// Publishes trades until the server refuses one. Returns how many it took.
async fn publish_until_full(publisher: &Publisher, answers: &mut Answers) -> usize {
    let subject = SubjectText::from("trade.binance_spot.spot.BTC-USDT");
    let payload = Bytes::from(vec![b'x'; 900]);
    for token in 0.. {
        let sent = publisher
            .publish(token, &subject, &token.to_string(), identity(token), payload.clone())
            .await;
        sent.expect("sent");
        if let Err(trouble) = answers.next().await.expect("an answer").outcome {
            assert_eq!(trouble, Trouble::Full);
            return usize::try_from(token).expect("few");
        }
    }
    unreachable!("a stream has a limit")
}

async fn ack_all(bus: &Bus, durable: &DurableSpec, count: usize) {
    let durable = open_durable(bus, durable).await.expect("there");
    assert_eq!(durable.was_ahead, None);
    let batch = durable.consumer.batch().max_messages(count).expires(PATIENCE);
    let mut messages = batch.messages().await.expect("pulled");
    let mut acked = 0;
    while let Some(message) = messages.next().await {
        message.expect("a message").double_ack().await.expect("acked");
        acked += 1;
    }
    assert_eq!(acked, count);
}

#[tokio::test]
async fn a_durable_that_stands_still_does_not_fill_the_stream_for_the_others() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    let small = LayoutOptions {
        market_data_bytes_max: 100_000,
        ..standard()
    };
    let layout = layout(&small);
    reconcile(&bus, &layout).await.expect("made");
    let (publisher, mut answers) = Publisher::new(&bus).await.expect("open");
    let gap = SubjectText::from("gap.binance_spot.spot.BTC-USDT");
    let sent = publisher
        .publish(0, &gap, "gap", identity(0), Bytes::from_static(b"{}"))
        .await;
    sent.expect("sent");
    answers.next().await.expect("an answer").outcome.expect("stored");
    let kept = publish_until_full(&publisher, &mut answers).await;
    let trades = &layout.durables[0];
    ack_all(&bus, trades, kept).await;
    let both: Vec<_> = layout.durables.iter().collect();
    let now = mprism_runtime::clock::now_ms();
    let purged = purge(&bus, "MARKET_DATA", &both, &POLICY, now).await.expect("asked");
    assert!(purged > 0 && purged < kept as u64, "{purged} of {kept}");
    let first = bus
        .context()
        .get_stream("MARKET_DATA")
        .await
        .expect("there")
        .cached_info()
        .state
        .first_sequence;
    assert_eq!(first, 1, "nobody has read the gap yet");
    // The first of these are known and take no room.
    let again = publish_until_full(&publisher, &mut answers).await;
    assert!(again > kept, "{again}: there is no room");
}

#[tokio::test]
async fn a_full_stream_refuses_and_a_purge_below_the_floor_makes_room() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    let small = LayoutOptions {
        market_data_bytes_max: 100_000,
        ..standard()
    };
    let layout = layout(&small);
    reconcile(&bus, &layout).await.expect("made");
    let (publisher, mut answers) = Publisher::new(&bus).await.expect("open");
    let subject = SubjectText::from("trade.binance_spot.spot.BTC-USDT");
    let payload = Bytes::from(vec![b'x'; 900]);
    let kept = publish_until_full(&publisher, &mut answers).await;
    let policy = POLICY;
    let trades = &layout.durables[0];
    // The other has acked all it will ever get: that is no leave to purge this one's messages, and nothing that keeps them.
    let both: Vec<_> = layout
        .durables
        .iter()
        .filter(|durable| durable.stream == "MARKET_DATA")
        .collect();
    assert!(both.len() > 1);
    let now = mprism_runtime::clock::now_ms();
    let purged = async |policy: &PurgePolicy, now| purge(&bus, "MARKET_DATA", &both, policy, now).await.expect("asked");
    assert_eq!(purged(&policy, now).await, 0, "nothing is acked");

    ack_all(&bus, trades, kept).await;
    let made = purged(&policy, now).await;
    assert!(
        made > 0 && made < kept as u64,
        "{made} of {kept}: down to the target, not to nothing"
    );
    publisher
        .publish(0, &subject, "after", identity(0), payload)
        .await
        .expect("sent");
    answers
        .next()
        .await
        .expect("an answer")
        .outcome
        .expect("there is room again");
    let all_old = PurgePolicy {
        age_max: Some(Duration::ZERO),
        ..policy
    };
    purged(&all_old, now + 60_000).await;
    let left = bus
        .context()
        .get_stream("MARKET_DATA")
        .await
        .expect("there")
        .cached_info()
        .state
        .messages;
    assert_eq!(left, 1, "the unacked one stays whatever its age");
}

#[tokio::test]
async fn a_durable_that_the_server_lost_begins_at_the_first_message() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    let layout = layout(&standard());
    reconcile(&bus, &layout).await.expect("made");
    let (publisher, mut answers) = Publisher::new(&bus).await.expect("open");
    let subject = SubjectText::from("gap.binance_spot.spot.BTC-USDT");
    for token in 0..3 {
        let id = format!("m{token}");
        publisher
            .publish(token, &subject, &id, identity(token), Bytes::new())
            .await
            .expect("sent");
        answers.next().await.expect("an answer").outcome.expect("stored");
    }
    let spec = &layout.durables[1];
    let pull = async || {
        let durable = open_durable(&bus, spec).await.expect("there");
        let mut messages = durable
            .consumer
            .fetch()
            .max_messages(3)
            .messages()
            .await
            .expect("pulled");
        let mut pulled = 0;
        while let Some(message) = messages.next().await {
            message.expect("a message").double_ack().await.expect("acked");
            pulled += 1;
        }
        pulled
    };
    // A question that does not wait may come before a new durable knows what there is.
    let all = async || {
        let mut pulled = 0;
        mprism_testkit::until("all are delivered", async || {
            pulled += pull().await;
            if pulled >= 3 {
                Ok(pulled)
            } else {
                Err(pulled.to_string())
            }
        })
        .await
    };
    assert_eq!((all().await, pull().await), (3, 0));
    let stream = bus.context().get_stream("MARKET_DATA").await.expect("there");
    stream.delete_consumer(&spec.name).await.expect("deleted");
    assert_eq!(all().await, 3, "a replay is harmless, a skip is not");
}

#[tokio::test]
async fn no_more_is_on_its_way_than_was_asked_for_and_a_new_server_is_asked_again() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    let layout = layout(&standard());
    reconcile(&bus, &layout).await.expect("made");
    let (publisher, mut answers) = Publisher::new(&bus).await.expect("open");
    let subject = SubjectText::from("trade.binance_spot.spot.BTC-USDT");
    let mut publish = async |token: u64| {
        let payload = Bytes::from(vec![b'x'; 1_000]);
        let id = token.to_string();
        let sent = publisher.publish(token, &subject, &id, identity(token), payload).await;
        sent.expect("sent");
        answers.next().await.expect("an answer").outcome
    };
    for token in 0..100 {
        publish(token).await.expect("stored");
    }
    let trades = &layout.durables[0];
    open_durable(&bus, trades).await.expect("there");
    let mut pull = Pull::new(&bus, trades).await.expect("open");
    let on_their_way = async || {
        let stream = bus.context().get_stream("MARKET_DATA").await.expect("there");
        stream.consumer_info(&trades.name).await.expect("told").num_ack_pending
    };
    pull.ask(10, 1 << 20).await.expect("asked");
    let first = pull.next().await.expect("well").expect("a message");
    assert_eq!(first.payload.len(), 1_000);
    // A reader that takes its time, and asks in vain as long as some are to come.
    pull.ask(10, 1 << 20).await.expect("not asked");
    mprism_testkit::until("all that was asked for is on its way", async || {
        match on_their_way().await {
            10 => Ok(()),
            count => Err(count.to_string()),
        }
    })
    .await;
    let mut taken = 1;
    while pull.next().await.expect("well").is_some() {
        taken += 1;
    }
    assert_eq!((taken, on_their_way().await), (10, 10));
    // By size.
    pull.ask(50, 5_500).await.expect("asked");
    let mut sized = 0;
    while pull.next().await.expect("well").is_some() {
        sized += 1;
    }
    assert!((1..=5).contains(&sized), "{sized} messages of 1,000 bytes in 5,500");
    // The request dies with its server; what it asked for is asked for again.
    let before = on_their_way().await;
    for token in 100..110 {
        publish(token).await.expect("stored");
    }
    pull.ask(1_000, 1 << 20).await.expect("asked");
    for _ in before..110 {
        pull.next().await.expect("well").expect("a message");
    }
    server.kill();
    server.start_again();
    assert!(pull.next().await.expect("well").is_none(), "this request is gone");
    pull.ask(1_000, 1 << 20).await.expect("asked");
    // A server takes connections before its streams are there.
    while publish(110).await.is_err() {}
    pull.next().await.expect("well").expect("the new one");
}
