//! Every table of figures against the real engine: what is written is what is read back.

#[path = "../../tests/common/mod.rs"]
mod common;

use bytes::Bytes;
use mprism_clickhouse::{Insert, Store};
use serde_json::Value;

use super::*;
use crate::row::Delivery;
use crate::settle::{OwnIdentities, settle};
use common::{Engine, Sample, samples};

const INSERTED_AT: UnixMillis = UnixMillis(1_760_054_500_000);

fn row(sample: &Sample, message: &Value, epoch: u64, seq: u64) -> Row {
    let payload = serde_json::to_vec(message).expect("JSON");
    let event = Event::parse(sample.subject, &payload).expect("valid");
    let delivery = Delivery {
        subject: sample.subject.into(),
        message_id: event.message_id().0,
        payload: payload.into(),
        reply: None,
    };
    Row::of(event, identity(epoch, seq), delivery)
}

async fn insert(store: &Store, data_type: DataType, generation: u64, rows: &[Row]) {
    let mut encoded = Vec::new();
    for row in rows {
        encode(row, INSERTED_AT, &mut encoded);
    }
    let table = full_name(data_type);
    let insert = Insert {
        table: &table,
        columns: columns(data_type),
        generation,
        rows: Bytes::from(encoded),
        row_count: rows.len() as u64,
    };
    store.insert(insert).await.expect("inserted");
}

async fn found(place: Place<'_>, data_type: DataType, suspects: &Suspects) -> Present {
    let mut present = Present::default();
    let read = read_back(place, data_type, suspects, &mut present).await;
    read.expect("rows");
    present
}

fn keys(rows: &[Row]) -> (Vec<ProducerId>, Vec<(Market, Natural)>) {
    let natural = |row: &Row| (row.market.clone(), row.natural.clone());
    (
        rows.iter().map(|row| row.identity).collect(),
        rows.iter().map(natural).collect(),
    )
}

/// Writes, reads back, and decides about redelivered, repeated and revised messages as a lane does.
async fn check(store: &Store, sample: &Sample) {
    let stored = [row(sample, &sample.first, 1, 1), row(sample, &sample.next, 1, 2)];
    let data_type = stored[0].event.subject().data_type;
    assert_eq!(data_type.table(), sample.table);
    let generation = store.fence(&full_name(data_type)).await.expect("a fence");
    let marks = read_marks(store, data_type).await.expect("marks");
    assert!(!marks.may_have_identity(stored[0].identity), "the table is empty");
    insert(store, data_type, generation, &stored).await;

    let columns = sample.columns;
    let query = format!(
        "SELECT toString(({columns})) FROM marketprism_hot.{} WHERE producer_seq = 1",
        sample.table
    );
    let said: Vec<String> = store.fetch_all(&query).await.expect("a row");
    assert_eq!(said, [sample.stored]);

    let (identities, naturals) = keys(&stored);
    let place = Place { store, tier: Tier::Hot };
    let suspects = Suspects {
        identities,
        naturals: Vec::new(),
    };
    let present = found(place, data_type, &suspects).await;
    for row in &stored {
        assert_eq!(present.by_identity.get(&row.identity), Some(&row.content), "{row:?}");
    }
    let suspects = Suspects {
        identities: Vec::new(),
        naturals,
    };
    let present = found(place, data_type, &suspects).await;
    assert_eq!(present.by_natural.len(), 2);
    for row in &stored {
        let key = (row.market.clone(), row.natural.clone());
        assert_eq!(
            present.by_natural.get(&key),
            Some(&HashSet::from([row.content])),
            "{row:?}"
        );
    }
    let marks = read_marks(store, data_type).await.expect("marks");
    assert!(marks.may_have_identity(identity(1, 2)) && !marks.may_have_identity(identity(1, 3)));
    for (market, natural) in &suspects.naturals {
        assert!(marks.may_have_natural(market, natural), "{natural:?}");
    }

    let come = vec![
        row(sample, &sample.first, 1, 1),
        row(sample, &sample.again, 2, 7),
        row(sample, &sample.revised, 2, 8),
    ];
    let (identities, naturals) = keys(&come);
    let suspects = Suspects { identities, naturals };
    let present = found(place, data_type, &suspects).await;
    let settled = settle(come, present, &mut OwnIdentities::new(Epoch(9)));
    let counts = (settled.redelivered, settled.natural_duplicates, settled.conflicts);
    assert_eq!((counts, settled.identity_clashes), ((1, 1, 1), 0), "{}", sample.table);
    insert(store, data_type, generation, &settled.new).await;
    let present = found(place, data_type, &suspects).await;
    let contents = present.by_natural.values().next().map(HashSet::len);
    assert_eq!((present.by_natural.len(), contents), (1, Some(2)), "both are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_what_is_read_back() {
    let engine = Engine::start().await;
    for sample in samples() {
        check(&engine.store, &sample).await;
    }
    engine.stop().await;
}
