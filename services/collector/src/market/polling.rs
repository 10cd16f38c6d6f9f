//! What is asked for again and again: each series of each instrument by its own clock, within the venue's budget.

use std::sync::Arc;
use std::time::Duration;

use mprism_model::{DataType, GapCause, InstrumentId, UnixMillis};
use mprism_runtime::backoff::Backoff;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Heard;
use super::series::natural_time;
use crate::rest::{History, Poll, RestError};
use crate::wire::Said;

/// Longest wait after an answer that could not be used.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// One series of one instrument.
#[derive(Clone, Debug)]
pub(super) struct Polling {
    pub(super) poll: Poll,
    pub(super) instrument: InstrumentId,
    /// The newest value that is known.
    pub(super) after: Option<UnixMillis>,
}

/// What a question brought.
#[derive(Debug)]
pub(crate) struct Polled {
    pub(super) instrument: InstrumentId,
    pub(super) data_type: DataType,
    pub(super) answer: Result<Vec<Said>, RestError>,
    /// The first and the last period of each hole that the answer shows.
    pub(super) missing: Vec<(UnixMillis, UnixMillis)>,
    pub(super) cause: GapCause,
}

/// Asks for every series until `shutdown` is cancelled or nobody listens any more.
pub(super) async fn run<H: History>(
    history: Arc<H>,
    series: Vec<Polling>,
    heard: mpsc::Sender<Vec<Heard>>,
    shutdown: CancellationToken,
) {
    let mut tasks = JoinSet::new();
    for polling in series {
        let task = polling.run(Arc::clone(&history), heard.clone(), shutdown.clone());
        tasks.spawn(task);
    }
    drop(heard);
    while let Some(ended) = tasks.join_next().await {
        if let Err(panic) = ended {
            tracing::error!(%panic, "a series is not asked for any more: its task panicked");
        }
    }
}

impl Polling {
    async fn run<H: History>(mut self, history: Arc<H>, heard: mpsc::Sender<Vec<Heard>>, shutdown: CancellationToken) {
        let mut backoff = Backoff::new(self.poll.every.min(BACKOFF_MAX), BACKOFF_MAX);
        let mut cause = GapCause::CollectorDown;
        loop {
            let answer = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                answer = history.poll(self.poll, &self.instrument, self.after) => answer,
            };
            let wait = match &answer {
                Ok(_) => {
                    backoff.reset();
                    self.poll.every.mul_f64(1.0 + rand::random::<f64>() / 10.0)
                }
                Err(_) => backoff.next_wait(),
            };
            let missing = self.advance(answer.as_deref().unwrap_or_default());
            let polled = Polled {
                instrument: self.instrument.clone(),
                data_type: self.poll.data_type,
                answer,
                missing,
                cause,
            };
            if polled.answer.is_ok() {
                cause = GapCause::Sequence;
            }
            if heard.send(vec![Heard::Polled(Box::new(polled))]).await.is_err() {
                return;
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Goes on behind what an answer tells; returns the holes between its periods.
    fn advance(&mut self, said: &[Said]) -> Vec<(UnixMillis, UnixMillis)> {
        let mut missing = Vec::new();
        for said in said {
            let Said::Event { event, .. } = said else {
                continue;
            };
            let at = natural_time(event);
            let period = self
                .poll
                .period
                .and_then(|period| i64::try_from(period.as_millis()).ok());
            if let (Some(before), Some(period)) = (self.after, period)
                && at.0 - before.0 >= period * 3 / 2
            {
                missing.push((UnixMillis(before.0 + period), UnixMillis(at.0 - period)));
            }
            self.after = self.after.max(Some(at));
        }
        missing
    }
}
