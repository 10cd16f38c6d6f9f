//! Leases on a real nats-server, and a server that lost the end of a stream.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use mprism_bus::{Bus, LayoutOptions, Lease, LeaseOptions, layout, open_durable, reconcile};
use mprism_testkit::{NatsServer, PATIENCE, free_address, until};

async fn connect(server: &NatsServer) -> Arc<Bus> {
    Arc::new(common::connect(server).await)
}

fn lease(owner: &str) -> LeaseOptions {
    LeaseOptions {
        name: "trades".into(),
        owner: owner.into(),
        holder: format!("host of {owner}"),
        ttl: Duration::from_secs(1),
    }
}

#[tokio::test]
async fn one_holds_it_and_the_next_one_waits_until_it_ends() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut server = NatsServer::start(folder.path(), free_address());
    let (one, other) = (connect(&server).await, connect(&server).await);
    reconcile(&one, &layout(&LayoutOptions::standard(&["trade"], 100)))
        .await
        .expect("made");
    let first = Lease::acquire(&one, &lease("a"), |holder| panic!("{holder}"))
        .await
        .expect("free");
    assert!(first.is_held());

    // Renewed, it outlives its time; who waits is told by whom it is held.
    let mut told = Vec::new();
    let (other_options, began) = (lease("b"), Instant::now());
    let waiting = Lease::acquire(&other, &other_options, |holder| told.push(holder.to_string()));
    let waited = tokio::time::timeout(Duration::from_secs(3), waiting).await;
    waited.expect_err("it is held");
    assert_eq!(told, ["host of a"]);
    assert!(first.is_held());

    // Another life of the same owner has it at once, given up everybody does.
    let again = Lease::acquire(&other, &lease("a"), |holder| panic!("{holder}"))
        .await
        .expect("its own");
    again.release().await;
    let second = Lease::acquire(&other, &other_options, |_| ()).await.expect("free");
    until("the first one knows that it has been taken", async || {
        if first.is_held() {
            Err("held".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
    assert!(second.is_held());

    // Without the server it cannot be renewed, and ends; it is not taken before that.
    server.kill();
    let gone = Instant::now();
    until("it has ended", async || {
        if second.is_held() {
            Err("held".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
    assert!(gone.elapsed() <= Duration::from_millis(1_500), "{:?}", gone.elapsed());
    server.start_again();
    // Nobody else took it: renewing goes on.
    until("it is held again", async || {
        if second.is_held() {
            Ok(())
        } else {
            Err("not held".to_owned())
        }
    })
    .await;
    drop(second);
    let dropped = Instant::now();
    let third = Lease::acquire(&one, &lease("c"), |_| ()).await.expect("ended");
    assert!(
        third.is_held() && dropped.elapsed() >= Duration::from_millis(600),
        "{:?}",
        dropped.elapsed()
    );
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test]
async fn of_many_that_want_it_at_once_one_has_it() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    reconcile(&bus, &layout(&LayoutOptions::standard(&["trade"], 100)))
        .await
        .expect("made");
    let all: Vec<_> = (0..8)
        .map(|n| {
            let (bus, options) = (Arc::clone(&bus), lease(&n.to_string()));
            tokio::spawn(async move {
                let asked = Lease::acquire(&bus, &options, |_| ());
                tokio::time::timeout(Duration::from_millis(700), asked).await
            })
        })
        .collect();
    let mut held = Vec::new();
    for asked in all {
        held.extend(asked.await.expect("no panic"));
    }
    assert_eq!(held.len(), 1);
    assert!(held[0].as_ref().expect("had").is_held());
}

/// Copies a folder over another one.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Returns up to which sequence of its stream a durable's file says that all is acknowledged: behind a mark and a version, the
/// second of its numbers. Below 128 each is a byte.
///
/// Source: nats-server, `encodeConsumerState` (server/store.go).
fn acked_on_disk(state: &[u8]) -> Option<u64> {
    match state {
        [22, 2, _, acked, ..] if *acked < 128 => Some((*acked).into()),
        _ => None,
    }
}

#[tokio::test]
async fn a_durable_ahead_of_a_stream_that_lost_its_end_skips_nothing_new() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut server = NatsServer::start(folder.path(), free_address());
    let bus = connect(&server).await;
    let layout = layout(&LayoutOptions::standard(&["trade"], 100));
    reconcile(&bus, &layout).await.expect("made");
    let publish = async |from: u64, to: u64| {
        for n in from..to {
            let sent = bus
                .context()
                .publish("trade.binance_spot.spot.BTC-USDT", n.to_string().into())
                .await;
            sent.expect("sent").await.expect("stored");
        }
    };
    let pull = async || {
        let durable = open_durable(&bus, &layout.durables[0]).await.expect("there");
        let mut messages = durable
            .consumer
            .fetch()
            .max_messages(100)
            .messages()
            .await
            .expect("pulled");
        let mut pulled = Vec::new();
        while let Some(message) = messages.next().await {
            let message = message.expect("a message");
            pulled.push(String::from_utf8(message.payload.to_vec()).expect("text"));
            message.double_ack().await.expect("acked");
        }
        pulled
    };
    // A question that does not wait may come before a durable knows what there is.
    let pull_five = async || {
        let mut pulled = Vec::new();
        until("five are delivered", async || {
            pulled.extend(pull().await);
            match pulled.len() {
                0..5 => Err(format!("{pulled:?}")),
                count => Ok(count),
            }
        })
        .await
    };
    // What is acknowledged reaches the disk a little later: a killed server delivers the rest again.
    let durable = folder
        .path()
        .join("jetstream/$G/streams/MARKET_DATA/obs")
        .join(&layout.durables[0].name)
        .join("o.dat");
    let is_on_disk = async |acked: u64| {
        until("the durable's place is on the disk", async || {
            let state = std::fs::read(&durable).map_err(|e| e.to_string())?;
            match acked_on_disk(&state) {
                Some(found) if found == acked => Ok(()),
                other => Err(format!("{other:?} of {acked}")),
            }
        })
        .await;
    };
    let mut connection = bus.connection();
    let mut again = async |lives: u64| {
        let back = connection.wait_for(|now| now.is_connected && now.connects > lives);
        let back = tokio::time::timeout(PATIENCE, back).await;
        back.expect("in time").expect("watched");
    };
    publish(0, 5).await;
    assert_eq!(pull_five().await, 5);
    is_on_disk(5).await;
    server.kill();
    let messages = folder.path().join("jetstream/$G/streams/MARKET_DATA/msgs");
    let saved = folder.path().join("saved");
    copy(&messages, &saved);
    server.start_again();
    again(1).await;
    publish(5, 10).await;
    assert_eq!(pull_five().await, 5);
    is_on_disk(10).await;
    server.kill();
    // As after a power cut: the messages' last writes are gone, the durable's are not.
    std::fs::remove_dir_all(&messages).expect("removed");
    copy(&saved, &messages);
    server.start_again();
    again(2).await;
    let last = async || {
        let stream = bus
            .context()
            .get_stream("MARKET_DATA")
            .await
            .map_err(|e| e.to_string())?;
        match stream.cached_info().state.last_sequence {
            5 => Ok(()),
            other => Err(other.to_string()),
        }
    };
    until("the stream has lost its end", last).await;
    publish(20, 23).await;
    let mut all = Vec::new();
    until("what is new is delivered", async || {
        all.extend(pull().await);
        let new = ["20", "21", "22"]
            .iter()
            .filter(|new| all.iter().any(|had| had == *new))
            .count();
        if new == 3 { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
}
