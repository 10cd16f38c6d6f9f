//! One WebSocket connection: control messages in, keep-alive by text, limits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt;
use mprism_runtime::clock;

use super::frames::{book, funding, liquidations, open_interest};
use super::market::Endpoint;
use super::subscribe::{Outcome, Subscription, decide, wants};
use crate::Exchange;
use crate::fault::FaultKind;
use crate::hub::{Form, Hub, State, Wants};
use crate::socket::{self, Beginning, End, Outlet, Source, Talk};
use crate::symbol::{Interval, Source as Market, Stream};

/// Subscriptions that may be asked for or given back in an hour.
const REQUESTS_MAX: usize = 480;
/// Old liquidations in the first frame.
const REPLAYED: usize = 20;
const IDLE: u16 = 4_004;
const TOO_LONG: u16 = 1_009;
const TOO_OFTEN: u16 = 4_002;

/// Serves one connection to its end.
pub(super) async fn serve(hub: Arc<Hub>, endpoint: Endpoint, socket: WebSocket) {
    let beginning = Beginning {
        exchange: Exchange::OkxDerivatives,
        wants: Wants::new(),
        form: Form::default(),
        ages: false,
    };
    let begin = |id, outlet| Connection {
        hub: hub.clone(),
        endpoint,
        id,
        name: format!("{:08x}", clock::now_ns() as u32),
        outlet,
        subscriptions: BTreeSet::new(),
        unserved: BTreeSet::new(),
        requests: Vec::new(),
        args_bytes: 0,
    };
    socket::serve(hub.clone(), socket, beginning, begin).await;
}

struct Connection {
    hub: Arc<Hub>,
    endpoint: Endpoint,
    id: u64,
    /// What the venue calls it.
    name: String,
    outlet: Outlet,
    subscriptions: BTreeSet<Subscription>,
    unserved: BTreeSet<Subscription>,
    requests: Vec<std::time::Instant>,
    args_bytes: usize,
}

impl Talk for Connection {
    async fn listen(&mut self, source: &mut Source) -> End {
        // 30 s, where Binance pings every 20.
        let idle = self.hub.pings.interval * 3 / 2;
        loop {
            let idle_ms = i64::try_from(idle.as_millis()).unwrap_or(i64::MAX);
            let left_ms = (self.outlet.last_ms() + idle_ms - clock::now_ms()).max(1);
            let left = Duration::from_millis(left_ms.unsigned_abs());
            tokio::select! {
                message = source.next() => {
                    let end = match message {
                        Some(Ok(Message::Text(text))) => self.hear(&text).await,
                        Some(Ok(Message::Binary(_))) => self.hear("").await,
                        // Pings are answered below us, and do not count.
                        Some(Ok(_)) => None,
                        Some(Err(_)) | None => Some(End::Cut),
                    };
                    if let Some(end) = end {
                        return end;
                    }
                }
                () = tokio::time::sleep(left) => {
                    if clock::now_ms() - self.outlet.last_ms() >= idle_ms {
                        return End::Close(IDLE, "No data received in 30s.");
                    }
                }
            }
        }
    }
}

impl Connection {
    async fn hear(&mut self, text: &str) -> Option<End> {
        if text == "ping" {
            let no_pong = |kind: &FaultKind| matches!(kind, FaultKind::NoPing { .. }).then_some(());
            let silent = self.hub.lock().troubles.take(Exchange::OkxDerivatives, None, no_pong);
            return match silent {
                Some(_) => None,
                None => self.outlet.text("pong").await,
            };
        }
        let outcome = decide(text, self.endpoint, &self.name, &self.hub.lock(), self.args_bytes);
        if outcome.too_long {
            return Some(End::Close(TOO_LONG, "Max frame length has been exceeded"));
        }
        if outcome.counts {
            let now = std::time::Instant::now();
            self.requests
                .retain(|at| now.duration_since(*at) < Duration::from_secs(3_600));
            self.requests.push(now);
            if self.requests.len() > REQUESTS_MAX {
                let name = &self.name;
                let line =
                    format!(r#"{{"event":"error","code":"60014","msg":"Requests too frequent","connId":"{name}"}}"#);
                self.outlet.text(line).await;
                return Some(End::Close(TOO_OFTEN, "Requests too frequent"));
            }
            self.args_bytes += text.len();
        }
        for answer in &outcome.answers {
            if let Some(end) = self.outlet.text(answer.clone()).await {
                return Some(end);
            }
        }
        self.follow(outcome);
        None
    }

    /// Passes on what this connection wants by now; books begin with a snapshot.
    fn follow(&mut self, outcome: Outcome) {
        if outcome.added.is_empty() && outcome.removed.is_empty() {
            return;
        }
        for gone in &outcome.removed {
            self.subscriptions.remove(gone);
            self.unserved.remove(gone);
        }
        let silent = |kind: &FaultKind| matches!(kind, FaultKind::SilentAfterAck { .. }).then_some(());
        let wanted = {
            let mut state = self.hub.lock();
            if !outcome.added.is_empty() && state.troubles.take(Exchange::OkxDerivatives, None, silent).is_some() {
                self.unserved.extend(outcome.added.iter().cloned());
            }
            self.subscriptions.extend(outcome.added.iter().cloned());
            wants(self.subscriptions.difference(&self.unserved), &state)
        };
        let greeted = outcome.added.difference(&self.unserved).cloned().collect::<Vec<_>>();
        let shows = |subscription: &&Subscription| {
            self.hub.tuning.okx_initial_snapshot || subscription.stream() != Some(Stream::DEPTH)
        };
        self.hub.change_and_greet(self.id, wanted, Form::default(), |state| {
            greeted
                .iter()
                .filter(shows)
                .filter_map(|subscription| greet(subscription, state))
                .collect()
        });
    }
}

/// Returns what is sent once after a subscription.
fn greet(subscription: &Subscription, state: &mut State) -> Option<Message> {
    let exchange = subscription.exchange();
    let now_ms = clock::now_ms() + state.skew_ms.get(&exchange).copied().unwrap_or(0);
    if subscription.stream() == Some(Stream::LiquidationAll) {
        let symbols = state.symbols.get(&exchange)?;
        let (name, market, all) = symbols.iter().find_map(|(name, symbol)| match &symbol.source {
            Market::Synthetic(market) => {
                let all = &market.derivative.as_ref()?.liquidations;
                (!all.is_empty()).then_some((name, market, all))
            }
            Market::Recorded(_) => None,
        })?;
        // Old rows, and not in the order of their times.
        let old = all.iter().rev().take(REPLAYED).copied().collect::<Vec<_>>();
        return Some(Message::Text(liquidations(name, &market.scale, &old).into()));
    }
    let name = &subscription.of;
    let symbol = state.symbol(exchange, name)?;
    let Market::Synthetic(market) = &symbol.source else {
        return None;
    };
    let derivative = market.derivative.as_ref();
    let data = match subscription.stream()? {
        Stream::DEPTH => {
            let whole = market.view(Interval::Ms100)?.whole(now_ms);
            return Some(Message::Text(book(name, market, &whole, "snapshot").into()));
        }
        Stream::Funding => funding(name, &derivative?.mark(now_ms, market.prices()?)),
        Stream::OpenInterest => {
            let last = derivative?.interests.last()?;
            open_interest(name, market, last.lots, last.ts_ms)
        }
        _ => return None,
    };
    let frame = serde_json::json!({"arg": {"channel": subscription.channel, "instId": name}, "data": [data]});
    Some(Message::Text(frame.to_string().into()))
}
