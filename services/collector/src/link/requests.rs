//! What is sent on a connection, at the venue's pace, and which answers are still awaited.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::Request;
use super::socket::Ended;
use crate::wire::Accepted;

/// From a request to the venue's answer.
const ACK_WITHIN: Duration = Duration::from_secs(10);
/// After a refusal, until what of the same request is not accepted by then counts as refused: others of it may be answered by
/// themselves.
const REFUSED_AFTER: Duration = Duration::from_secs(2);

/// The requests still to be made, and the answers still awaited.
pub(super) struct Requests {
    queue: VecDeque<Outgoing>,
    send_every: Duration,
    due: Instant,
    awaited: HashMap<u64, Awaited>,
}

enum Outgoing {
    Request(Request),
    Reply(String),
}

struct Awaited {
    streams: Vec<Box<str>>,
    sent: Instant,
    refused: Option<(Instant, i64, String)>,
}

/// Streams that the venue does not give, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) streams: Vec<Box<str>>,
    pub(super) code: i64,
    pub(super) message: String,
}

impl Requests {
    pub(super) fn new(requests: Vec<Request>, send_every: Duration) -> Self {
        Self {
            queue: requests.into_iter().map(Outgoing::Request).collect(),
            send_every,
            due: Instant::now(),
            awaited: HashMap::new(),
        }
    }

    /// Says something as soon as the pace allows, before what else is to be said.
    pub(super) fn reply(&mut self, text: String) {
        self.queue.push_front(Outgoing::Reply(text));
    }

    /// Waits until something may be sent.
    pub(super) async fn due(&self) {
        if self.queue.is_empty() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep_until(self.due).await;
    }

    pub(super) fn next(&mut self) -> Option<String> {
        let next = self.queue.pop_front()?;
        self.due = Instant::now() + self.send_every;
        Some(match next {
            Outgoing::Reply(text) => text,
            Outgoing::Request(request) => {
                let awaited = Awaited {
                    streams: request.streams,
                    sent: Instant::now(),
                    refused: None,
                };
                self.awaited.insert(request.id, awaited);
                request.text
            }
        })
    }

    /// Whether everything was asked for and answered.
    pub(super) fn is_done(&self) -> bool {
        self.awaited.is_empty() && self.queue.iter().all(|next| matches!(next, Outgoing::Reply(_)))
    }

    /// Takes the venue's yes; returns the streams of the request that it leaves out.
    pub(super) fn accepted(&mut self, accepted: &Accepted) -> Vec<Box<str>> {
        match accepted {
            Accepted::All(id) => drop(self.awaited.remove(id)),
            Accepted::Only(id, given) => {
                let asked = self.awaited.remove(id).map(|awaited| awaited.streams);
                let missing = asked.into_iter().flatten().filter(|name| !given.contains(name));
                return missing.collect();
            }
            Accepted::One(name) => self.awaited.retain(|_, awaited| {
                let is_named = awaited.streams.contains(name);
                awaited.streams.retain(|asked| asked != name);
                !(is_named && awaited.streams.is_empty())
            }),
        }
        Vec::new()
    }

    /// Takes the venue's no.
    ///
    /// # Errors
    /// Where nobody knows what it is about.
    pub(super) fn refused(&mut self, id: Option<u64>, code: i64, message: String) -> Result<(), Ended> {
        match id.and_then(|id| self.awaited.get_mut(&id)) {
            Some(awaited) => {
                awaited.refused = Some((Instant::now(), code, message));
                Ok(())
            }
            None => Err(Ended::Refused { code, message }),
        }
    }

    /// Returns what was refused for good.
    pub(super) fn given_up(&mut self) -> Vec<Refused> {
        let is_over = |awaited: &Awaited| {
            let refused = awaited.refused.as_ref();
            refused.is_some_and(|(at, ..)| at.elapsed() >= REFUSED_AFTER)
        };
        let over: Vec<u64> = self
            .awaited
            .iter()
            .filter(|(_, a)| is_over(a))
            .map(|(id, _)| *id)
            .collect();
        let over = over.into_iter().filter_map(|id| self.awaited.remove(&id));
        over.filter_map(|awaited| {
            let (_, code, message) = awaited.refused?;
            Some(Refused {
                streams: awaited.streams,
                code,
                message,
            })
        })
        .collect()
    }

    pub(super) fn overdue(&self) -> Option<Ended> {
        let mut waiting = self.awaited.values().filter(|awaited| awaited.refused.is_none());
        let is_overdue = waiting.any(|awaited| awaited.sent.elapsed() >= ACK_WITHIN);
        is_overdue.then_some(Ended::NoAnswer {
            what: "subscription",
            within: ACK_WITHIN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(names: &[&str]) -> Requests {
        let request = Request {
            id: 7,
            streams: names.iter().map(|name| (*name).into()).collect(),
            text: "subscribe".into(),
        };
        let mut requests = Requests::new(vec![request], Duration::from_millis(300));
        assert_eq!(requests.next().as_deref(), Some("subscribe"));
        requests
    }

    #[tokio::test(start_paused = true)]
    async fn answers_come_for_all_for_some_or_one_by_one() {
        let mut requests = sent(&["a", "b"]);
        assert!(!requests.is_done());
        assert!(requests.accepted(&Accepted::All(7)).is_empty() && requests.is_done());

        let mut requests = sent(&["a", "b"]);
        let missing = requests.accepted(&Accepted::Only(7, vec!["b".into()]));
        assert!(missing == ["a".into()] && requests.is_done());

        let mut requests = sent(&["a", "b"]);
        requests.accepted(&Accepted::One("b".into()));
        assert!(!requests.is_done() && requests.overdue().is_none());
        tokio::time::advance(ACK_WITHIN).await;
        assert!(matches!(requests.overdue(), Some(Ended::NoAnswer { .. })));
        requests.accepted(&Accepted::One("a".into()));
        assert!(requests.is_done() && requests.overdue().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_refused_stream_does_not_cost_the_others() {
        let mut requests = sent(&["a", "b"]);
        requests.refused(Some(7), 60_018, "wrong".into()).expect("known");
        requests.accepted(&Accepted::One("b".into()));
        assert!(requests.given_up().is_empty(), "others may still be accepted");
        tokio::time::advance(ACK_WITHIN).await;
        assert!(requests.overdue().is_none(), "it was answered");
        let refused = requests.given_up();
        assert_eq!((&*refused[0].streams[0], refused[0].code), ("a", 60_018));
        assert!(requests.is_done());
        let unknown = requests.refused(None, 3, "Invalid JSON".into());
        assert!(matches!(unknown, Err(Ended::Refused { code: 3, .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn replies_go_first_at_the_venues_pace() {
        let mut requests = sent(&["a"]);
        requests.queue.push_back(Outgoing::Reply("later".into()));
        requests.reply("pong".into());
        let began = Instant::now();
        requests.due().await;
        assert_eq!(began.elapsed(), Duration::from_millis(300));
        assert_eq!(requests.next().as_deref(), Some("pong"));
    }
}
