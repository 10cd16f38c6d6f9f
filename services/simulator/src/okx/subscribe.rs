//! The venue's control messages: what each is answered with.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::market::{CHANNELS, Endpoint};
use crate::Exchange;
use crate::hub::{State, Wants};
use crate::symbol::Stream;

/// Bytes that all arguments of a connection may have together.
const ARGS_BYTES_MAX: usize = 64 * 1024;
/// Channels that are acknowledged and have nothing to tell here.
const QUIET: [&str; 3] = ["instruments", "status", "index-tickers"];

/// Something a connection is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subscription {
    pub(super) channel: String,
    /// The instrument, or the type of instruments.
    pub(super) of: String,
}

impl Subscription {
    fn read(arg: &Value) -> Option<Self> {
        let text = |key: &str| arg.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            channel: text("channel")?,
            of: text("instId").or_else(|| text("instType")).unwrap_or_default(),
        })
    }

    /// Returns the exchange of the instrument.
    pub(super) fn exchange(&self) -> Exchange {
        match self.of.ends_with("SWAP") {
            true => Exchange::OkxDerivatives,
            false => Exchange::OkxSpot,
        }
    }

    pub(super) fn stream(&self) -> Option<Stream> {
        CHANNELS
            .into_iter()
            .find(|(name, ..)| *name == self.channel)
            .map(|(_, stream, _)| stream)
    }
}

/// What a control message did.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) answers: Vec<String>,
    pub(super) added: BTreeSet<Subscription>,
    pub(super) removed: BTreeSet<Subscription>,
    /// A subscription was asked for or given back: such requests are counted.
    pub(super) counts: bool,
    /// All arguments are longer than they may be.
    pub(super) too_long: bool,
}

/// Decides about one text frame.
pub(super) fn decide(text: &str, endpoint: Endpoint, connection: &str, state: &State, args_bytes: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let error = |code: &str, message: String, id: &Value| {
        let mut line = json!({"event": "error", "code": code, "msg": message, "connId": connection});
        if !id.is_null() {
            line["id"] = id.clone();
        }
        line.to_string()
    };
    let invalid = || format!("Invalid request: {text}");
    let Ok(request) = serde_json::from_str::<Value>(text) else {
        outcome.answers.push(error("60012", invalid(), &Value::Null));
        return outcome;
    };
    let id = request.get("id").cloned().unwrap_or(Value::Null);
    let op = match request.get("op").and_then(Value::as_str) {
        Some(op @ ("subscribe" | "unsubscribe")) => op,
        Some(_) | None => {
            outcome.answers.push(error("60012", invalid(), &id));
            return outcome;
        }
    };
    outcome.counts = true;
    let Some(args) = request.get("args").and_then(Value::as_array) else {
        outcome.answers.push(error("60013", "Invalid args".into(), &id));
        return outcome;
    };
    if args_bytes + text.len() > ARGS_BYTES_MAX {
        outcome.too_long = true;
        return outcome;
    }
    // Acknowledgements come in any order: here not in that of the arguments.
    for arg in args.iter().rev() {
        let wanted = Subscription::read(arg).ok_or_else(|| ("60013", "Invalid args".to_owned()));
        match wanted.and_then(|wanted| admit(wanted, endpoint, state, arg)) {
            Ok(wanted) => {
                let mut line = json!({"event": op, "arg": arg, "connId": connection});
                if !id.is_null() {
                    line["id"] = id.clone();
                }
                outcome.answers.push(line.to_string());
                match op {
                    "subscribe" => outcome.added.insert(wanted),
                    _ => outcome.removed.insert(wanted),
                };
            }
            Err((code, message)) => outcome.answers.push(error(code, message, &id)),
        }
    }
    outcome
}

fn admit(
    wanted: Subscription,
    endpoint: Endpoint,
    state: &State,
    arg: &Value,
) -> Result<Subscription, (&'static str, String)> {
    let unknown = || {
        let named = arg
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}:{}", value.as_str().unwrap_or_default()));
        let named = named.collect::<Vec<_>>().join(",");
        let text = format!(
            "Wrong URL or {named} doesn't exist. Please use the correct URL, channel and parameters referring to API document."
        );
        ("60018", text)
    };
    if QUIET.contains(&wanted.channel.as_str()) {
        return Ok(wanted);
    }
    let place = CHANNELS.into_iter().find(|(name, ..)| *name == wanted.channel);
    match place {
        Some((_, _, Endpoint::Business)) if endpoint == Endpoint::Public => {
            return Err(("64001", "This channel has been migrated to the '/business' URL.".into()));
        }
        Some((_, _, place)) if place == endpoint => {}
        _ => return Err(unknown()),
    }
    let is_all = wanted.channel == "liquidation-orders";
    let exists = match is_all {
        true => wanted.of == "SWAP",
        false => state.symbol(wanted.exchange(), &wanted.of).is_some(),
    };
    let fits = match wanted.stream() {
        Some(Stream::Funding | Stream::OpenInterest | Stream::Mark) => wanted.exchange() == Exchange::OkxDerivatives,
        _ => true,
    };
    if exists && fits { Ok(wanted) } else { Err(unknown()) }
}

/// Returns what subscriptions mean.
pub(super) fn wants<'a>(subscriptions: impl Iterator<Item = &'a Subscription>, state: &State) -> Wants {
    let mut wants = Wants::new();
    for subscription in subscriptions {
        let Some(stream) = subscription.stream() else {
            continue;
        };
        let exchange = subscription.exchange();
        match stream {
            Stream::LiquidationAll => {
                for name in state
                    .symbols
                    .get(&exchange)
                    .into_iter()
                    .flat_map(|symbols| symbols.keys())
                {
                    *wants.entry((exchange, name.clone())).or_default() |= stream.bit();
                }
            }
            _ => *wants.entry((exchange, subscription.of.clone())).or_default() |= stream.bit(),
        }
    }
    wants
}
