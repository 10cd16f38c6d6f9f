//! Where an instrument was left off: the highest of what the spool, the stream and the store know.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mprism_bus::{Bus, MARKET_DATA, ORDERBOOK_SNAP};
use mprism_model::{DataType, Event, Subject, UnixMillis};

use crate::ledger::ask;
use crate::sequencer::Seen;
use crate::spool::Record;

/// Finds the last accepted trade, or the last published book, of a subject.
pub(crate) async fn last_seen(
    subject: &Subject,
    spool: &BTreeMap<String, Record>,
    bus: Option<&Bus>,
    store: Option<SocketAddr>,
) -> Option<Seen> {
    let name = subject.to_string();
    let from_spool = spool.get(&name).and_then(|record| seen(&name, &record.payload));
    let from_stream = match bus {
        Some(bus) => from_stream(subject.data_type, &name, bus).await,
        None => None,
    };
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
        Event::OrderBook(book) => Some(Seen {
            id: book.last_update_id,
            ts: book.ts,
        }),
        // Nothing else is numbered.
        _ => None,
    }
}

async fn from_stream(data_type: DataType, subject: &str, bus: &Bus) -> Option<Seen> {
    let stream = match data_type {
        DataType::OrderBook => ORDERBOOK_SNAP,
        _ => MARKET_DATA,
    };
    let stream = bus.context().get_stream(stream).await.ok()?;
    let last = stream.get_last_raw_message_by_subject(subject).await.ok()?;
    seen(subject, &last.payload)
}

async fn from_store(subject: &Subject, store: SocketAddr) -> Option<Seen> {
    let id = match subject.data_type {
        DataType::OrderBook => "last_update_id",
        DataType::Trade => "toUInt64OrZero(trade_id)",
        _ => return None,
    };
    let query = format!(
        "SELECT max({id}), toUnixTimestamp64Milli(max(timestamp)) FROM marketprism_hot.{} \
         WHERE exchange = '{}' AND market_type = '{}' AND symbol = '{}' HAVING count() > 0 FORMAT TSV",
        subject.data_type.table(),
        subject.exchange,
        subject.market_type,
        subject.symbol
    );
    let body = ask(store, &query).await?;
    let (id, ts) = body.trim().split_once('\t')?;
    Some(Seen {
        id: id.parse().ok()?,
        ts: UnixMillis(ts.parse().ok()?),
    })
}
