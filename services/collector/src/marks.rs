//! Where a symbol's trades were left off: the highest of what the spool, the stream and the store know.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use mprism_bus::{Bus, MARKET_DATA};
use mprism_model::{Event, Subject, UnixMillis};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::sequencer::Seen;
use crate::spool::Record;

/// How long the store may take to answer; without it the other two decide.
const STORE_WITHIN: Duration = Duration::from_secs(3);
/// How long a bus that is away is waited for: what it has is almost always in the spool as well.
const BUS_WITHIN: Duration = Duration::from_secs(5);

/// Finds the last accepted trade of a subject.
pub(crate) async fn last_trade(
    subject: &Subject,
    spool: &BTreeMap<String, Record>,
    bus: &Bus,
    store: Option<SocketAddr>,
) -> Option<Seen> {
    let name = subject.to_string();
    let from_spool = spool.get(&name).and_then(|record| seen(&name, &record.payload));
    let from_stream = from_stream(&name, bus).await;
    let from_store = match store {
        Some(store) => from_store(subject, store).await,
        None => None,
    };
    [from_spool, from_stream, from_store]
        .into_iter()
        .flatten()
        .max_by_key(|seen| seen.id)
}

fn seen(subject: &str, payload: &[u8]) -> Option<Seen> {
    match Event::parse(subject, payload).ok()? {
        Event::Trade(trade) => Some(Seen {
            id: trade.trade_id.parse().ok()?,
            ts: trade.ts,
        }),
        Event::Gap(_) => None,
    }
}

async fn from_stream(subject: &str, bus: &Bus) -> Option<Seen> {
    bus.ready(BUS_WITHIN).await.ok()?;
    let stream = bus.context().get_stream(MARKET_DATA).await.ok()?;
    let last = stream.get_last_raw_message_by_subject(subject).await.ok()?;
    seen(subject, &last.payload)
}

async fn from_store(subject: &Subject, store: SocketAddr) -> Option<Seen> {
    let query = format!(
        "SELECT max(toUInt64OrZero(trade_id)), toUnixTimestamp64Milli(max(timestamp)) FROM marketprism_hot.trades \
         WHERE exchange = '{}' AND market_type = '{}' AND symbol = '{}' HAVING count() > 0 FORMAT TSV",
        subject.exchange, subject.market_type, subject.symbol
    );
    let path = format!("/?query={}", utf8_percent_encode(&query, NON_ALPHANUMERIC));
    let (status, body) = mprism_runtime::probe::get(store, &path, STORE_WITHIN).await.ok()?;
    if status != 200 {
        return None;
    }
    let (id, ts) = body.trim().split_once('\t')?;
    Some(Seen {
        id: id.parse().ok()?,
        ts: UnixMillis(ts.parse().ok()?),
    })
}
