//! The whole worker between a real nats-server and a real engine: each message once, whoever says it how often.

mod common;

use std::time::Duration;

use common::{Engine, Sample, samples};
use mprism_bus::{Bus, BusOptions, LayoutOptions, layout, reconcile};
use mprism_model::{DataType, Event, SEQUENCE_HEADER};
use mprism_storage::{BatchOptions, StorageOptions};
use mprism_testkit::{NatsServer, PATIENCE, free_address, until};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

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

async fn rows(engine: &Engine, table: &str) -> u64 {
    let query = format!("SELECT count() FROM marketprism_hot.{table}");
    engine.store.fetch_one(&query).await.expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_stored_once_and_its_revisions_beside_it() {
    let engine = Engine::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = NatsServer::start(folder.path(), free_address());
    let bus_options = BusOptions {
        url: server.url(),
        credentials: None,
        client_name: "test".into(),
    };
    let bus = Bus::connect(bus_options.clone()).await.expect("an address");
    bus.ready(PATIENCE).await.expect("connected");
    let names: Vec<&str> = DataType::ALL.iter().map(|data_type| data_type.as_str()).collect();
    let layout = layout(&LayoutOptions::standard(&names, 1_000));
    reconcile(&bus, &layout).await.expect("made");
    let durables: Vec<_> = DataType::ALL.iter().copied().zip(layout.durables).collect();
    assert_eq!(durables.len(), 9);
    let listen = free_address();
    let options = StorageOptions {
        listen,
        bus: bus_options,
        store: engine.options.clone(),
        cold: None,
        durables,
        batch: BatchOptions {
            rows_max: 1_000,
            bytes_max: 16 << 20,
            age_max: Duration::from_millis(50),
        },
        locks: folder.path().to_owned(),
    };
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(mprism_storage::run(options, shutdown.clone()));

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
        let (mut redelivered, mut stranger) = (sample.first.clone(), sample.again.clone());
        redelivered["publisher"] = "again".into();
        stranger["publisher"] = "stranger".into();
        publish(&bus, sample, &stranger, None).await;
        publish(&bus, sample, &sample.again, Some("6-1")).await;
        publish(&bus, sample, &sample.revised, Some("6-2")).await;
        let payload = serde_json::to_vec(&redelivered).expect("JSON");
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(SEQUENCE_HEADER, "5-1");
        let sent = bus
            .context()
            .publish_with_headers(sample.subject, headers, payload.into());
        sent.await.expect("sent").await.expect("stored");
    }
    let types = samples.len() as u64;
    let stats = until("everything is decided", async || {
        let answer = mprism_runtime::probe::get(listen, "/stats", Duration::from_secs(5)).await;
        let (_, body) = answer.map_err(|e| e.to_string())?;
        let stats: Value = serde_json::from_str(&body).map_err(|e| e.to_string())?;
        let processed = stats["message_stats"]["messages_processed"].as_u64();
        if processed == Some(6 * types) {
            Ok(stats)
        } else {
            Err(body)
        }
    })
    .await;
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
    engine.stop().await;
}
