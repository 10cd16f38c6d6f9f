//! Statements whose answer nobody wants any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::execute::Executor;

/// How long a cancelled statement gets before it is told again: it may not have begun when it was told first.
const AGAIN: Duration = Duration::from_millis(200);

/// Held while a statement's answer is wanted. Dropped before the statement ended, it cancels it.
///
/// The library ends a statement by itself only when it writes into the closed pipe: an aggregation would run on.
pub(crate) struct Wanted {
    executor: Arc<Executor>,
    mark: String,
    ended: watch::Receiver<()>,
}

/// Held by the running statement; dropping it says that it ended.
pub(crate) struct Ending {
    _ended: watch::Sender<()>,
}

/// Marks a statement that is about to run.
pub(crate) fn wanted(executor: &Arc<Executor>) -> (Wanted, Ending, String) {
    let mark = format!("mprism-answer-{:032x}", rand::random::<u128>());
    let (sender, receiver) = watch::channel(());
    let wanted = Wanted {
        executor: Arc::clone(executor),
        mark: mark.clone(),
        ended: receiver,
    };
    (wanted, Ending { _ended: sender }, mark)
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if self.ended.has_changed().is_err() {
            return; // it ended
        }
        let (executor, mark, mut ended) = (Arc::clone(&self.executor), self.mark.clone(), self.ended.clone());
        tokio::spawn(async move {
            loop {
                let (executor, mark) = (Arc::clone(&executor), mark.clone());
                let told = tokio::task::spawn_blocking(move || executor.kill(&mark)).await;
                if let Ok(Err(exception)) = told {
                    tracing::warn!(error = %exception.body().trim_end(), "statement not cancelled");
                }
                // Nothing is ever sent: an answer in time is the sender's end.
                if tokio::time::timeout(AGAIN, ended.changed()).await.is_ok() {
                    return;
                }
            }
        });
    }
}
