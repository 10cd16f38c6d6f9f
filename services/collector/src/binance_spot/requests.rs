//! Subscriptions: what is asked for, and what is not answered yet.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::socket::Ended;

/// From a request to the venue's answer.
const ACK_WITHIN: Duration = Duration::from_secs(10);
/// Streams named in one request; the venue counts requests, not names.
const STREAMS_PER_REQUEST: usize = 100;
/// Between requests: the venue takes five incoming messages a second, pongs included.
const REQUEST_EVERY: Duration = Duration::from_millis(300);

/// The subscriptions still to be made, and the answers still awaited.
pub(super) struct Requests {
    texts: std::vec::IntoIter<String>,
    next_id: u64,
    due: Option<Instant>,
    awaited: HashMap<u64, Instant>,
}

impl Requests {
    pub(super) fn new<'a>(streams: impl Iterator<Item = &'a String>) -> Self {
        let streams: Vec<&String> = streams.collect();
        let texts: Vec<String> = streams
            .chunks(STREAMS_PER_REQUEST)
            .enumerate()
            .map(|(index, names)| {
                serde_json::json!({"method": "SUBSCRIBE", "params": names, "id": index as u64 + 1}).to_string()
            })
            .collect();
        Self {
            texts: texts.into_iter(),
            next_id: 1,
            due: Some(Instant::now()),
            awaited: HashMap::new(),
        }
    }

    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn next(&mut self) -> Option<String> {
        let text = self.texts.next();
        self.due = text.as_ref().map(|_| Instant::now() + REQUEST_EVERY);
        if text.is_some() {
            self.awaited.insert(self.next_id, Instant::now());
            self.next_id += 1;
        }
        text
    }

    pub(super) fn accepted(&mut self, id: u64) {
        self.awaited.remove(&id);
    }

    pub(super) fn overdue(&self) -> Option<Ended> {
        let is_overdue = self.awaited.values().any(|sent| sent.elapsed() >= ACK_WITHIN);
        is_overdue.then_some(Ended::NoAnswer {
            what: "subscription",
            within: ACK_WITHIN,
        })
    }
}
