//! What is known to be proven, so that it is not proven again. Only a cache: rows are the truth, and whoever loses the ledger
//! loses time.

use std::collections::BTreeMap;

use clickhouse::Row;
use mprism_clickhouse::{DEPARTURES, Store, StoreError, Tier, WINDOW_LEDGER};
use mprism_model::UnixMillis;
use serde::Deserialize;

use super::fingerprint::Fingerprint;
use super::windows::{DAY, Span};

/// An hour that was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) fingerprint: Fingerprint,
    /// When this content was first proven, in milliseconds since the epoch.
    pub(crate) proven_at: i64,
    /// When it was last.
    pub(crate) checked_at: i64,
}

/// The proven hours of one table, by their start in milliseconds since the epoch.
#[derive(Debug)]
pub(crate) struct Ledger {
    table: &'static str,
    hours: BTreeMap<i64, Known>,
}

#[derive(Row, Deserialize)]
struct KnownRow {
    start: i64,
    rows: u64,
    sum: u64,
    xor: u64,
    proven: i64,
    checked: i64,
}

impl Ledger {
    /// Reads the hours from a moment on.
    pub(crate) async fn load(store: &Store, table: &'static str, from: i64) -> Result<Self, StoreError> {
        // Versions of an hour that are not merged yet: the one that was checked last counts.
        let query = format!(
            "SELECT toUnixTimestamp64Milli(window_start) AS start, row_count AS rows, hash_sum AS sum, hash_xor AS xor, \
             toUnixTimestamp64Milli(proven_at) AS proven, toUnixTimestamp64Milli(checked_at) AS checked \
             FROM {} WHERE table = '{table}' AND toUnixTimestamp64Milli(window_start) >= {from} \
             ORDER BY start, checked DESC LIMIT 1 BY start",
            name(WINDOW_LEDGER)
        );
        let rows = store.fetch_all::<KnownRow>(&query).await?;
        let known = |row: KnownRow| {
            let known = Known {
                fingerprint: Fingerprint {
                    rows: row.rows,
                    sum: row.sum,
                    xor: row.xor,
                },
                proven_at: row.proven,
                checked_at: row.checked,
            };
            (row.start, known)
        };
        Ok(Self {
            table,
            hours: rows.into_iter().map(known).collect(),
        })
    }

    /// Returns what is known of an hour.
    pub(crate) fn get(&self, start: i64) -> Option<&Known> {
        self.hours.get(&start)
    }

    /// Notes proven hours.
    pub(crate) async fn note(
        &mut self,
        store: &Store,
        proven: &BTreeMap<i64, Fingerprint>,
        now: i64,
    ) -> Result<(), StoreError> {
        let noted: Vec<(i64, Known)> = proven
            .iter()
            .map(|(start, fingerprint)| (*start, self.now_known(*start, *fingerprint, now)))
            .collect();
        if noted.is_empty() {
            return Ok(());
        }
        let table = self.table;
        let rows = noted.iter().map(|(start, known)| {
            let Fingerprint { rows, sum, xor } = known.fingerprint;
            let [start, proven, checked] = [*start, known.proven_at, known.checked_at].map(time);
            format!("('{table}','{start}',{rows},{sum},{xor},'{proven}','{checked}')")
        });
        let statement = format!(
            "INSERT INTO {} (table, window_start, row_count, hash_sum, hash_xor, proven_at, checked_at) VALUES {}",
            name(WINDOW_LEDGER),
            rows.collect::<Vec<_>>().join(",")
        );
        store.execute(&statement).await?;
        self.hours.extend(noted);
        Ok(())
    }

    fn now_known(&self, start: i64, fingerprint: Fingerprint, now: i64) -> Known {
        let before = self.hours.get(&start).filter(|known| known.fingerprint == fingerprint);
        Known {
            fingerprint,
            proven_at: before.map_or(now, |known| known.proven_at),
            checked_at: now,
        }
    }

    /// Forgets the hours of a span that are not proven any more.
    pub(crate) fn forget(&mut self, span: Span, proven: &BTreeMap<i64, Fingerprint>) {
        self.hours
            .retain(|start, _| *start < span.from || span.to <= *start || proven.contains_key(start));
    }

    /// Forgets hours before a moment: they have left.
    pub(crate) fn forget_before(&mut self, from: i64) {
        self.hours = self.hours.split_off(&from);
    }
}

/// Notes that a partition leaves the hot store with this content. Noted twice it is there once.
pub(crate) async fn note_departure(
    store: &Store,
    table: &str,
    (day, exchange): (i64, &str),
    fingerprint: Fingerprint,
    now: i64,
) -> Result<(), StoreError> {
    let Fingerprint { rows, sum, xor } = fingerprint;
    let statement = format!(
        "INSERT INTO {} (table, day, exchange, row_count, hash_sum, hash_xor, left_at) \
         VALUES ('{table}','{}',{},{rows},{sum},{xor},'{}')",
        name(DEPARTURES),
        date(day),
        crate::tables::quoted(exchange),
        time(now)
    );
    store.execute(&statement).await
}

/// Returns a day, given as a number since the epoch, as ClickHouse reads it.
pub(crate) fn date(day: i64) -> String {
    let text = UnixMillis(day * DAY).to_rfc3339();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// Returns a moment as ClickHouse reads it.
fn time(ms: i64) -> String {
    UnixMillis(ms).to_rfc3339().replace('T', " ").replace('Z', "")
}

fn name(table: &str) -> String {
    format!("{}.{table}", Tier::Cold.database())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_are_read() {
        assert_eq!(date(20_371), "2025-10-10");
        assert_eq!(time(1_760_054_400_123), "2025-10-10 00:00:00.123");
    }

    #[test]
    fn what_is_not_proven_any_more_is_forgotten() {
        let known = Known {
            fingerprint: Fingerprint::default(),
            proven_at: 1,
            checked_at: 1,
        };
        let mut ledger = Ledger {
            table: "trades",
            hours: [0, 10, 20, 30].map(|start| (start, known)).into(),
        };
        let proven = BTreeMap::from([(20, Fingerprint::default())]);
        ledger.forget(Span { from: 10, to: 30 }, &proven);
        assert_eq!(ledger.hours.keys().copied().collect::<Vec<_>>(), [0, 20, 30]);
        ledger.forget_before(20);
        assert!(ledger.get(0).is_none() && ledger.get(20).is_some());
    }

    #[test]
    fn a_content_keeps_the_moment_when_it_was_first_proven() {
        let fingerprint = |sum| Fingerprint { rows: 1, sum, xor: sum };
        let known = Known {
            fingerprint: fingerprint(7),
            proven_at: 100,
            checked_at: 200,
        };
        let ledger = Ledger {
            table: "trades",
            hours: BTreeMap::from([(0, known)]),
        };
        let again = ledger.now_known(0, fingerprint(7), 300);
        assert_eq!((again.proven_at, again.checked_at), (100, 300));
        let other = ledger.now_known(0, fingerprint(8), 300);
        assert_eq!((other.proven_at, other.checked_at), (300, 300));
    }
}
