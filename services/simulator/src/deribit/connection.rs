//! One WebSocket connection: calls in, notifications out, heartbeats, credits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt;
use mprism_runtime::clock;
use serde_json::Value;

use super::channels::{Meaning, channel_of, meaning, wants};
use super::frames::{book, notification, ticker};
use super::market::EXCHANGE;
use super::methods::{Failure, call, envelope};
use crate::fault::FaultKind;
use crate::hub::{Form, Hub, State, Wants};
use crate::socket::{self, Beginning, End, Outlet, Source, Talk};
use crate::symbol::{Source as Market, Stream};

/// Channels in one message.
const CHANNELS_MAX: usize = 500;
/// Shortest time between heartbeats.
const HEARTBEAT_MIN_S: u64 = 10;
/// What calls and subscriptions cost, of how much, and what comes back in a second.
const CALL_CREDITS: f64 = 500.0;
const CALL_POOL: f64 = 50_000.0;
const SUBSCRIBE_CREDITS: f64 = 3_000.0;
const SUBSCRIBE_POOL: f64 = 30_000.0;
const REFILL: f64 = 10_000.0;
const POLICY: u16 = 1_008;

/// Serves one connection to its end.
pub(super) async fn serve(hub: Arc<Hub>, socket: WebSocket) {
    let beginning = Beginning {
        exchange: EXCHANGE,
        wants: Wants::new(),
        form: Form::default(),
        ages: false,
    };
    let begin = |id, outlet| Connection {
        hub: hub.clone(),
        id,
        outlet,
        channels: BTreeSet::new(),
        unserved: BTreeSet::new(),
        calls: Credits::full(CALL_POOL),
        subscriptions: Credits::full(SUBSCRIBE_POOL),
        heartbeat: None,
    };
    socket::serve(hub.clone(), socket, beginning, begin).await;
}

struct Connection {
    hub: Arc<Hub>,
    id: u64,
    outlet: Outlet,
    channels: BTreeSet<String>,
    unserved: BTreeSet<String>,
    calls: Credits,
    subscriptions: Credits,
    heartbeat: Option<Heartbeat>,
}

/// A pool of credits.
struct Credits {
    left: f64,
    pool: f64,
    at: Instant,
}

impl Credits {
    fn full(pool: f64) -> Self {
        let at = Instant::now();
        Self { left: pool, pool, at }
    }

    fn pay(&mut self, credits: f64) -> bool {
        let now = Instant::now();
        self.left = (self.left + REFILL * (now - self.at).as_secs_f64()).min(self.pool);
        self.at = now;
        self.left -= credits;
        self.left >= 0.0
    }
}

struct Heartbeat {
    interval: Duration,
    next: Instant,
    /// The next one wants an answer.
    asks: bool,
    unanswered: bool,
}

impl Talk for Connection {
    async fn listen(&mut self, source: &mut Source) -> End {
        loop {
            let next = self.heartbeat.as_ref().map(|heartbeat| heartbeat.next);
            let beat = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            let end = tokio::select! {
                message = source.next() => match message {
                    Some(Ok(Message::Text(text))) => self.hear(&text).await,
                    Some(Ok(Message::Binary(_))) => self.hear("").await,
                    Some(Ok(_)) => None,
                    Some(Err(_)) | None => Some(End::Cut),
                },
                () = beat => self.beat().await,
            };
            if let Some(end) = end {
                return end;
            }
        }
    }
}

impl Connection {
    async fn beat(&mut self) -> Option<End> {
        let no_ping = |kind: &FaultKind| matches!(kind, FaultKind::NoPing { .. }).then_some(());
        let silent = self.hub.lock().troubles.take(EXCHANGE, None, no_ping).is_some();
        let heartbeat = self.heartbeat.as_mut()?;
        heartbeat.next = Instant::now() + heartbeat.interval;
        if silent {
            return None;
        }
        if heartbeat.unanswered {
            return Some(End::Close(POLICY, "test_request was not answered"));
        }
        let kind = if heartbeat.asks { "test_request" } else { "heartbeat" };
        heartbeat.unanswered = heartbeat.asks;
        heartbeat.asks = !heartbeat.asks;
        let text = format!(r#"{{"jsonrpc":"2.0","method":"heartbeat","params":{{"type":"{kind}"}}}}"#);
        self.outlet.text(text).await
    }

    async fn hear(&mut self, text: &str) -> Option<End> {
        let in_us = clock::now_ns() / 1_000;
        let Ok(request) = serde_json::from_str::<Value>(text) else {
            let failure = Failure::new(-32_700, "Parse error");
            return self.outlet.text(envelope(&Value::Null, Err(failure), in_us)).await;
        };
        let id = request.get("id").cloned().unwrap_or(Value::Null);
        let Some(method) = request.get("method").and_then(Value::as_str) else {
            let failure = Failure::new(-32_600, "request entity is invalid");
            return self.outlet.text(envelope(&id, Err(failure), in_us)).await;
        };
        let forced = |kind: &FaultKind| matches!(kind, FaultKind::Http429 { .. }).then_some(());
        let forced = self.hub.lock().troubles.take(EXCHANGE, None, forced).is_some();
        let subscribes = method == "public/subscribe";
        let paid = self.calls.pay(CALL_CREDITS) && (!subscribes || self.subscriptions.pay(SUBSCRIBE_CREDITS));
        if forced || !paid {
            let failure = Failure::new(10_028, "too_many_requests");
            self.outlet.text(envelope(&id, Err(failure), in_us)).await;
            return Some(End::Close(POLICY, "too_many_requests"));
        }
        let params = request.get("params").cloned().unwrap_or(Value::Null);
        let before = self.channels.clone();
        let result = match method {
            "public/set_heartbeat" => self.set_heartbeat(&params),
            "public/disable_heartbeat" => {
                self.heartbeat = None;
                Ok(r#""ok""#.to_owned())
            }
            "public/subscribe" => self.subscribe(&params),
            "public/unsubscribe" => self.unsubscribe(&params),
            "public/unsubscribe_all" => {
                self.channels.clear();
                Ok(r#""ok""#.to_owned())
            }
            method => {
                if method == "public/test"
                    && let Some(heartbeat) = &mut self.heartbeat
                {
                    heartbeat.unanswered = false;
                }
                call(&self.hub, method, &params).await
            }
        };
        let end = self.outlet.text(envelope(&id, result, in_us)).await;
        if end.is_none() && self.channels != before {
            self.follow(&before);
        }
        end
    }

    fn set_heartbeat(&mut self, params: &Value) -> Result<String, Failure> {
        let seconds = params["interval"]
            .as_u64()
            .filter(|seconds| *seconds >= HEARTBEAT_MIN_S);
        let seconds = seconds.ok_or_else(|| Failure::new(-32_602, "Invalid params"))?;
        let interval = Duration::from_secs(seconds);
        self.heartbeat = Some(Heartbeat {
            interval,
            next: Instant::now() + interval,
            asks: false,
            unanswered: false,
        });
        Ok(r#""ok""#.to_owned())
    }

    /// Adds channels; the result names those that are accepted.
    fn subscribe(&mut self, params: &Value) -> Result<String, Failure> {
        let names = channels(params)?;
        let mut accepted = Vec::new();
        let state = self.hub.lock();
        for name in names {
            match meaning(&name, &state) {
                Meaning::Raw => {
                    return Err(Failure::new(13_778, "raw_subscriptions_not_available_for_unauthorized"));
                }
                Meaning::Streams(_) | Meaning::Quiet => accepted.push(name),
                // A wrong channel is just missing in the answer.
                Meaning::Unknown => {}
            }
        }
        drop(state);
        self.channels.extend(accepted.iter().cloned());
        Ok(Value::from(accepted).to_string())
    }

    fn unsubscribe(&mut self, params: &Value) -> Result<String, Failure> {
        let names = channels(params)?;
        let removed = names
            .into_iter()
            .filter(|name| self.channels.remove(name))
            .collect::<Vec<_>>();
        Ok(Value::from(removed).to_string())
    }

    /// Passes on what this connection wants by now; books and tickers begin with their state.
    fn follow(&mut self, before: &BTreeSet<String>) {
        let added = self.channels.difference(before).cloned().collect::<BTreeSet<_>>();
        let silent = |kind: &FaultKind| matches!(kind, FaultKind::SilentAfterAck { .. }).then_some(());
        self.unserved.retain(|name| self.channels.contains(name));
        let wanted = {
            let mut state = self.hub.lock();
            if !added.is_empty() && state.troubles.take(EXCHANGE, None, silent).is_some() {
                self.unserved.extend(added.iter().cloned());
            }
            wants(self.channels.difference(&self.unserved), &state)
        };
        let greeted = added.difference(&self.unserved).cloned().collect::<Vec<_>>();
        self.hub.change_and_greet(self.id, wanted, Form::default(), |state| {
            greeted.iter().flat_map(|channel| greet(channel, state)).collect()
        });
    }
}

fn channels(params: &Value) -> Result<Vec<String>, Failure> {
    let invalid = || Failure::new(-32_602, "Invalid params");
    let names = params["channels"].as_array().ok_or_else(invalid)?;
    if names.len() > CHANNELS_MAX {
        return Err(invalid());
    }
    names
        .iter()
        .map(|name| name.as_str().map(str::to_owned).ok_or_else(invalid))
        .collect()
}

/// Returns what is sent once after a subscription.
fn greet(channel: &str, state: &State) -> Vec<Message> {
    let Meaning::Streams(streams) = meaning(channel, state) else {
        return Vec::new();
    };
    let now_ms = clock::now_ms() + state.skew_ms.get(&EXCHANGE).copied().unwrap_or(0);
    let first = streams.into_iter().filter_map(|(name, stream)| {
        let Market::Synthetic(market) = &state.symbol(EXCHANGE, &name)?.source else {
            return None;
        };
        let data = match stream {
            Stream::Depth(interval) => {
                let whole = market.view(interval)?.whole(now_ms);
                book(&name, &market.scale, &whole, "snapshot")
            }
            Stream::Quote(_) => ticker(&name, &market.scale, &market.quote(now_ms)?),
            _ => return None,
        };
        Some(Message::Text(notification(&channel_of(&name, stream), &data).into()))
    });
    first.collect()
}
