//! Inserts whose answer does not come: they happened, or happen later, or race the next writer's first word. Every time the rows
//! are in the table once.

#[path = "common/between.rs"]
mod between;
mod common;
#[path = "common/worker.rs"]
mod worker;

use std::sync::atomic::Ordering;
use std::time::Duration;

use between::{FATES, Line};
use common::Engine;
use tokio_util::sync::CancellationToken;

const ROUNDS: u64 = 50;
/// Messages of one round, in one insert or two.
const MESSAGES: u64 = 20;
/// How long the worker waits for an answer.
const PATIENCE_OF_THE_WORKER: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_without_an_answer_is_never_doubled_and_never_lost() {
    let engine = Engine::start().await;
    let mut line = Line::start(&engine, PATIENCE_OF_THE_WORKER).await;
    let options = line.worker();
    let listen = options.listen;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(mprism_storage::run(options, shutdown.clone()));
    for fate in FATES.iter().cycle().take(ROUNDS as usize) {
        *line.between.fate.lock().await = Some(*fate);
        line.publish(MESSAGES).await;
        line.stored(listen).await;
    }
    shutdown.cancel();
    running.await.expect("no panic").expect("ends well");
    let outcomes = line.ends().await;
    let struck = line.between.struck.load(Ordering::Relaxed);
    assert_eq!(struck, ROUNDS, "each round had its insert");
    // What was read after the fence stood is refused, and nothing else is.
    assert!(
        outcomes.keys().all(|status| [200, 409].contains(status)),
        "{outcomes:?}"
    );
    assert!(
        outcomes[&409] >= ROUNDS / 3 && outcomes[&200] >= ROUNDS / 3,
        "{outcomes:?}"
    );
    engine.stop().await;
}
