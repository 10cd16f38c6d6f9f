//! The whole worker between a real nats-server and a real engine: each message once, whoever says it how often.

mod common;
#[path = "common/cold.rs"]
mod support;
#[path = "common/worker.rs"]
mod worker;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Engine, Sample, samples};
use mprism_bus::{Bus, LayoutOptions, layout, reconcile};
use mprism_model::{DataType, Event, SEQUENCE_HEADER};
use mprism_storage::StorageOptions;
use mprism_storage::cold::ColdOptions;
use mprism_testkit::{NatsServer, free_address, until};
use serde_json::{Value, json};
use support::AT_ONCE;
use tokio_util::sync::CancellationToken;
use worker::{connect, worker_options};

/// Publishes and waits until the stream has it. Without an identity it comes from another publisher, without headers.
async fn publish(bus: &Bus, sample: &Sample, message: &Value, identity: Option<&str>) {
    let payload = serde_json::to_vec(message).expect("JSON");
    let mut headers = async_nats::HeaderMap::new();
    if let Some(identity) = identity {
        let event = Event::parse(sample.subject, &payload).expect("valid");
        headers.insert("Nats-Msg-Id", format!("{}/{identity}", event.message_id()));
        headers.insert(SEQUENCE_HEADER, identity);
    }
    let sent = bus
        .context()
        .publish_with_headers(sample.subject, headers, payload.into())
        .await;
    let answered = sent.expect("sent").await.expect("stored");
    assert!(!answered.duplicate, "the worker has to tell, not the server");
}

/// Publishes again what has an identity already, in other words.
async fn redeliver(bus: &Bus, sample: &Sample, identity: &str, publisher: &str) {
    let mut message = sample.first.clone();
    message["publisher"] = publisher.into();
    let payload = serde_json::to_vec(&message).expect("JSON");
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(SEQUENCE_HEADER, identity);
    let sent = bus
        .context()
        .publish_with_headers(sample.subject, headers, payload.into());
    sent.await.expect("sent").await.expect("stored");
}

async fn rows(engine: &Engine, table: &str) -> u64 {
    rows_in(engine, "marketprism_hot", table).await
}

async fn rows_in(engine: &Engine, database: &str, table: &str) -> u64 {
    let query = format!("SELECT count() FROM {database}.{table}");
    engine.store.fetch_one(&query).await.expect("a count")
}

/// Waits until so many messages are decided, and returns what the worker says of them.
async fn decided(listen: SocketAddr, messages: u64) -> Value {
    until("everything is decided", async || {
        let answer = mprism_runtime::probe::get(listen, "/stats", Duration::from_secs(5)).await;
        let (_, body) = answer.map_err(|e| e.to_string())?;
        let stats: Value = serde_json::from_str(&body).map_err(|e| e.to_string())?;
        match stats["message_stats"]["messages_processed"].as_u64() {
            Some(processed) if processed == messages => Ok(stats),
            _ => Err(body),
        }
    })
    .await
}

/// Rows that have left for the cold store are known to a worker that never saw them.
async fn what_has_left_does_not_come_back(engine: &Engine, bus: &Bus, options: StorageOptions, samples: &[Sample]) {
    let shutdown = CancellationToken::new();
    let cold = ColdOptions {
        leave: AT_ONCE,
        ..support::options(&engine.options, free_address())
    };
    let copying = tokio::spawn(mprism_storage::cold::run(cold, shutdown.clone()));
    let all_left = async |table: &str| {
        until(table, async || {
            let counts = (
                rows(engine, table).await,
                rows_in(engine, "marketprism_cold", table).await,
            );
            if counts == (0, 3) {
                Ok(())
            } else {
                Err(format!("{counts:?}"))
            }
        })
        .await;
    };
    for sample in samples {
        all_left(sample.table).await;
    }
    let listen = options.listen;
    let storing = tokio::spawn(mprism_storage::run(options, shutdown.clone()));
    for sample in samples {
        let mut stranger = sample.again.clone();
        stranger["publisher"] = "another stranger".into();
        redeliver(bus, sample, "5-1", "again, later").await;
        publish(bus, sample, &stranger, None).await;
        publish(bus, sample, &sample.again, Some("7-1")).await;
        publish(bus, sample, &sample.revised, Some("7-2")).await;
    }
    let types = samples.len() as u64;
    let stats = decided(listen, 4 * types).await;
    assert_eq!(stats["message_stats"]["redelivered"], types, "{stats}");
    assert_eq!(stats["message_stats"]["natural_duplicates"], 3 * types, "{stats}");
    for sample in samples {
        all_left(sample.table).await;
    }
    shutdown.cancel();
    storing.await.expect("no panic").expect("ends well");
    copying.await.expect("no panic").expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_stored_once_and_its_revisions_beside_it() {
    let engine = Engine::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    let names: Vec<&str> = DataType::ALL.iter().map(|data_type| data_type.as_str()).collect();
    let layout = layout(&LayoutOptions::standard(&names, 1_000));
    reconcile(&bus, &layout).await.expect("made");
    let options = worker_options(&server.url(), engine.options.clone(), DataType::ALL, folder.path());
    assert_eq!(options.durables.len(), 9);
    let listen = options.listen;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(mprism_storage::run(options.clone(), shutdown.clone()));

    let samples = samples();
    let broken = json!({"data_type": "nothing"});
    for sample in &samples {
        publish(&bus, sample, &sample.first, Some("5-1")).await;
        publish(&bus, sample, &sample.next, Some("5-2")).await;
        publish(&bus, sample, &broken, None).await;
    }
    for sample in &samples {
        until(sample.table, async || match rows(&engine, sample.table).await {
            2 => Ok(()),
            count => Err(format!("{count} rows")),
        })
        .await;
    }
    for sample in &samples {
        // Redelivered, from a second collector, from a publisher that knows no identities, and revised.
        let mut stranger = sample.again.clone();
        stranger["publisher"] = "stranger".into();
        publish(&bus, sample, &stranger, None).await;
        publish(&bus, sample, &sample.again, Some("6-1")).await;
        publish(&bus, sample, &sample.revised, Some("6-2")).await;
        redeliver(&bus, sample, "5-1", "again").await;
    }
    let types = samples.len() as u64;
    let stats = decided(listen, 6 * types).await;
    for (counter, each) in [
        ("validation_errors", 1),
        ("redelivered", 1),
        ("natural_duplicates", 2),
        ("conflicts", 1),
        ("identity_clashes", 0),
    ] {
        assert_eq!(stats["message_stats"][counter], each * types, "{counter}: {stats}");
    }
    for sample in &samples {
        assert_eq!(
            rows(&engine, sample.table).await,
            3,
            "{}: two and a revision",
            sample.table
        );
    }
    until("the dead letters are copied", async || {
        match rows(&engine, "dead_letters").await {
            count if count == types => Ok(()),
            count => Err(format!("{count} rows")),
        }
    })
    .await;
    let said = "SELECT DISTINCT reason FROM marketprism_hot.dead_letters ORDER BY reason";
    let said: Vec<String> = engine.store.fetch_all(said).await.expect("reasons");
    assert!(said.iter().all(|reason| reason.contains("not a valid")), "{said:?}");
    shutdown.cancel();
    running.await.expect("no panic").expect("ends well");
    what_has_left_does_not_come_back(&engine, &bus, options, &samples).await;
    engine.stop().await;
}
