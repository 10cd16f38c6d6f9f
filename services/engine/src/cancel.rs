//! Statements whose answer nobody wants any more.

use std::sync::Arc;
use std::time::Duration;

use crate::execute::Executor;
use crate::queries::Query;

/// How long a cancelled statement gets before it is told again: it may not have begun when it was told first.
const AGAIN: Duration = Duration::from_millis(200);

/// Held while a statement's answer is wanted. Dropped before the statement ended, it cancels it.
///
/// The library ends a statement by itself only when it writes into the closed pipe: an aggregation would run on.
pub(crate) struct Wanted {
    executor: Arc<Executor>,
    query: Query,
}

impl Wanted {
    pub(crate) fn new(executor: Arc<Executor>, query: Query) -> Self {
        Self { executor, query }
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if !self.query.has_ended() {
            tokio::spawn(cancel(Arc::clone(&self.executor), self.query.clone()));
        }
    }
}

/// Tells a statement to end until it has. Cancel safe: it stays told.
pub(crate) async fn cancel(executor: Arc<Executor>, mut query: Query) {
    loop {
        let (executor, mark) = (Arc::clone(&executor), query.mark.clone());
        let told = tokio::task::spawn_blocking(move || executor.kill(&mark)).await;
        if let Ok(Err(exception)) = told {
            tracing::warn!(query_id = query.id, error = %exception.body().trim_end(), "statement not cancelled");
        }
        if tokio::time::timeout(AGAIN, query.ended()).await.is_ok() {
            return;
        }
    }
}
