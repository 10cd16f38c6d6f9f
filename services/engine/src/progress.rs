//! How far a statement has come while its client waits for the answer to begin.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::chdb::Summary;
use crate::execute::Executor;
use crate::request::Request;

/// Header lines at most: clients bound the size of an answer's head.
const SEEN_MAX: usize = 32;
/// The shortest pause between two looks; each costs the engine about a millisecond.
const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// The server's default of `http_headers_progress_interval_ms`.
const INTERVAL: Duration = Duration::from_millis(100);

/// Looks at a running statement.
pub(crate) struct Watch {
    executor: Arc<Executor>,
    mark: String,
    /// Between two looks; `None` where the client does not want to know.
    ticks: Option<tokio::time::Interval>,
    seen: VecDeque<Summary>,
}

impl Watch {
    /// Watches as the request asks for.
    pub(crate) fn new(executor: Arc<Executor>, mark: String, asked: &Request) -> Self {
        let wanted = matches!(asked.setting("send_progress_in_http_headers"), Some("1" | "true"));
        let interval = asked
            .setting("http_headers_progress_interval_ms")
            .and_then(|v| v.parse().ok());
        let interval = interval.map_or(INTERVAL, Duration::from_millis).max(INTERVAL_MIN);
        let ticks = wanted.then(|| {
            // A start out of reach is never reached.
            let start = Instant::now().checked_add(interval).unwrap_or_else(Instant::now);
            let mut ticks = tokio::time::interval_at(start, interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Self {
            executor,
            mark,
            ticks,
            seen: VecDeque::new(),
        }
    }

    /// Awaits `work`, looking now and then.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            let tick = async {
                match &mut self.ticks {
                    Some(ticks) => ticks.tick().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = tick => {}
            }
            // The work goes on meanwhile: it is never dropped half done.
            let now = tokio::select! {
                biased;
                done = &mut work => return done,
                now = self.look() => now,
            };
            if self.seen.len() == SEEN_MAX {
                self.seen.pop_front();
            }
            self.seen.push_back(now);
        }
    }

    /// Returns how far the statement is; nothing where that cannot be told.
    pub(crate) async fn look(&self) -> Summary {
        let (executor, mark) = (Arc::clone(&self.executor), self.mark.clone());
        let looked = tokio::task::spawn_blocking(move || executor.progress(&mark)).await;
        match looked {
            Ok(Ok(Some(summary))) => summary,
            Ok(Ok(None)) | Err(_) => Summary::default(),
            Ok(Err(exception)) => {
                tracing::debug!(error = %exception.body().trim_end(), "progress not seen");
                Summary::default()
            }
        }
    }

    /// Returns what was seen, oldest first.
    pub(crate) fn seen(&mut self) -> &[Summary] {
        self.seen.make_contiguous()
    }
}
