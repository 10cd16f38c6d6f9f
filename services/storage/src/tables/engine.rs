//! Every table of figures against the real engine: what is written is what is read back.

#[path = "../../tests/common/mod.rs"]
mod common;

use mprism_clickhouse::{Insert, Store};
use serde_json::Value;

use super::*;
use crate::batch::{Backing, Batch};
use crate::gather::{Gathering, Sizes};
use crate::room::Room;
use crate::row::Row;
use crate::settle::{OwnIdentities, settle};
use common::{Engine, Sample, samples};

const INSERTED_AT: UnixMillis = UnixMillis(1_760_054_500_000);

/// Makes a batch of messages, each with its epoch and sequence.
fn batch(sample: &Sample, messages: &[(&Value, u64, u64)]) -> Batch {
    let parse = |message: &Value| {
        let payload = serde_json::to_vec(message).expect("JSON");
        Event::parse(sample.subject, &payload).expect("valid")
    };
    let data_type = parse(messages[0].0).data_type();
    let mut gathering = Gathering::new(data_type, &Room::new(usize::MAX), Sizes::default());
    for (message, epoch, seq) in messages {
        gathering.push(&parse(message), identity(*epoch, *seq), None);
    }
    gathering.close()
}

/// Inserts rows of a batch, as many at a time as belong into one partition.
async fn insert(store: &Store, generation: u64, rows: &[Row], backing: &mut Backing) {
    let data_type = backing.data_type;
    let table = full_name(data_type);
    for rows in rows.chunk_by(|one, next| one.part == next.part) {
        let insert = Insert {
            table: &table,
            columns: columns(data_type),
            generation,
            rows: backing.body(rows, INSERTED_AT),
            row_count: rows.len() as u64,
        };
        store.insert(insert).await.expect("inserted");
    }
}

async fn found(place: Place<'_>, data_type: DataType, suspects: &Suspects) -> Present {
    let mut present = Present::default();
    let read = read_back(place, data_type, suspects, &mut present).await;
    read.expect("rows");
    present
}

fn keys(rows: &[Row], backing: &Backing) -> (Vec<ProducerId>, Vec<(Market, Natural)>) {
    let natural = |row: &Row| (backing.market(row).clone(), row.natural.clone());
    (
        rows.iter().map(|row| row.identity).collect(),
        rows.iter().map(natural).collect(),
    )
}

/// Writes, reads back, and decides about redelivered, repeated and revised messages as a lane does.
async fn check(store: &Store, sample: &Sample) {
    let stored = batch(sample, &[(&sample.first, 1, 1), (&sample.next, 1, 2)]);
    let (stored, mut backing) = (stored.rows, stored.backing);
    let data_type = backing.data_type;
    assert_eq!(data_type.table(), sample.table);
    let generation = store.fence(&full_name(data_type)).await.expect("a fence");
    let marks = read_marks(store, data_type).await.expect("marks");
    assert!(!marks.may_have_identity(stored[0].identity), "the table is empty");
    insert(store, generation, &stored, &mut backing).await;

    let columns = sample.columns;
    let query = format!(
        "SELECT toString(({columns})) FROM marketprism_hot.{} WHERE producer_seq = 1",
        sample.table
    );
    let said: Vec<String> = store.fetch_all(&query).await.expect("a row");
    assert_eq!(said, [sample.stored]);
    let query = format!(
        "SELECT toString(({}, producer_epoch)) FROM marketprism_hot.{} ORDER BY producer_seq",
        "toUnixTimestamp64Milli(ts_insert), toUnixTimestamp64Milli(created_at)", sample.table
    );
    let said: Vec<String> = store.fetch_all(&query).await.expect("rows");
    let stamped = format!("({0},{0},1)", INSERTED_AT.0);
    assert_eq!(said, [stamped.clone(), stamped], "{}", sample.table);

    let (identities, naturals) = keys(&stored, &backing);
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
        let key = (backing.market(row).clone(), row.natural.clone());
        assert_eq!(
            present.by_natural.get(&key),
            Some(&HashSet::from([row.content])),
            "{row:?}"
        );
    }
    let marks = read_marks(store, data_type).await.expect("marks");
    assert!(marks.may_have_identity(identity(1, 2)) && !marks.may_have_identity(identity(1, 3)));
    let known = Suspects::among(&stored, &backing.markets, &marks, false, i64::MIN);
    assert_eq!(
        (known.identities.len(), known.naturals.len()),
        (2, 2),
        "{}",
        sample.table
    );

    let come = batch(
        sample,
        &[(&sample.first, 1, 1), (&sample.again, 2, 7), (&sample.revised, 2, 8)],
    );
    let (come, mut backing) = (come.rows, come.backing);
    let (identities, naturals) = keys(&come, &backing);
    let suspects = Suspects { identities, naturals };
    let present = found(place, data_type, &suspects).await;
    let settled = settle(come, &backing.markets, &present, &mut OwnIdentities::new(Epoch(9)));
    let counts = (settled.redelivered, settled.natural_duplicates, settled.conflicts);
    assert_eq!((counts, settled.identity_clashes), ((1, 1, 1), 0), "{}", sample.table);
    insert(store, generation, &settled.new, &mut backing).await;
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
