//! Where an instrument was left off: the highest of what the spool, the stream and the store know.

use std::collections::BTreeMap;

use mprism_bus::{Bus, MARKET_DATA, ORDERBOOK_SNAP};
use mprism_model::{DataType, Epoch, Event, FundingKind, Subject, UnixMillis};
use mprism_runtime::endpoint::Endpoint;

use crate::ledger::ask;
use crate::market::{SeriesMark, natural_time};
use crate::sequencer::Seen;
use crate::spool::Record;

/// Finds the last accepted trade, or the last published book, of a subject.
pub(crate) async fn last_seen(
    subject: &Subject,
    spool: &BTreeMap<String, Record>,
    bus: Option<&Bus>,
    store: Option<&Endpoint>,
) -> Option<Seen> {
    let name = subject.to_string();
    let from_spool = spool.get(&name).and_then(|record| seen(&name, &record.payload));
    let from_stream = match bus {
        Some(bus) => last_event(subject.data_type, &name, bus).await.and_then(seen_in),
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

/// Finds the newest observation of a subject that is not numbered.
pub(crate) async fn series_mark(
    subject: &Subject,
    spool: &BTreeMap<String, Record>,
    bus: Option<&Bus>,
    store: Option<&Endpoint>,
) -> SeriesMark {
    let name = subject.to_string();
    let from_spool = spool
        .get(&name)
        .and_then(|record| Event::parse(&name, &record.payload).ok());
    let from_stream = match bus {
        Some(bus) => last_event(subject.data_type, &name, bus).await,
        None => None,
    };
    let mut mark = match store {
        Some(store) => series_from_store(subject, store).await.unwrap_or_default(),
        None => SeriesMark::default(),
    };
    for event in [from_spool, from_stream].into_iter().flatten() {
        let at = Some(natural_time(&event));
        match event {
            Event::FundingRate(rate) if rate.kind == FundingKind::Settled => mark.settled = mark.settled.max(at),
            _ => mark.newest = mark.newest.max(at),
        }
    }
    mark
}

/// Returns where something was left off of which no earlier life is known to have heard anything, and nobody can be asked for
/// it: what the last one heard and did not store came after it began.
pub(crate) fn beginning_of(life: Epoch) -> UnixMillis {
    UnixMillis(i64::try_from(life.unix_ms()).unwrap_or(i64::MAX))
}

async fn series_from_store(subject: &Subject, store: &Endpoint) -> Option<SeriesMark> {
    let (newest, settled) = match subject.data_type {
        DataType::FundingRate => (
            "maxIf(timestamp, kind != 'settled')",
            "maxIf(funding_time, kind = 'settled')",
        ),
        DataType::LsrTopPosition | DataType::LsrAllAccount => ("max(period_ts)", "toDateTime64(0, 3)"),
        _ => ("max(timestamp)", "toDateTime64(0, 3)"),
    };
    let query = format!(
        "SELECT toUnixTimestamp64Milli({newest}), toUnixTimestamp64Milli({settled}) FROM marketprism_hot.{} \
         WHERE exchange = '{}' AND market_type = '{}' AND symbol = '{}' FORMAT TSV",
        subject.data_type.table(),
        subject.exchange,
        subject.market_type,
        subject.symbol
    );
    let body = ask(store, &query).await?;
    let (newest, settled) = body.trim().split_once('\t')?;
    // Of nothing, the newest is of 1970.
    let time = |text: &str| text.parse().ok().filter(|ms| *ms > 0).map(UnixMillis);
    Some(SeriesMark {
        newest: time(newest),
        settled: time(settled),
    })
}

async fn last_event(data_type: DataType, subject: &str, bus: &Bus) -> Option<Event> {
    let stream = match data_type {
        DataType::OrderBook => ORDERBOOK_SNAP,
        _ => MARKET_DATA,
    };
    let stream = bus.context().get_stream(stream).await.ok()?;
    let last = stream.get_last_raw_message_by_subject(subject).await.ok()?;
    Event::parse(subject, &last.payload).ok()
}

fn seen(subject: &str, payload: &[u8]) -> Option<Seen> {
    seen_in(Event::parse(subject, payload).ok()?)
}

fn seen_in(event: Event) -> Option<Seen> {
    match event {
        Event::Trade(trade) => Some(Seen {
            id: trade.sequence.or_else(|| trade.trade_id.parse().ok())?,
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

async fn from_store(subject: &Subject, store: &Endpoint) -> Option<Seen> {
    let id = match subject.data_type {
        DataType::OrderBook => "last_update_id",
        DataType::Trade => "if(trade_seq > 0, trade_seq, toUInt64OrZero(trade_id))",
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
