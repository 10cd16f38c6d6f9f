//! Partitions that leave: proven, moved aside, proven once more, noted, dropped.
//!
//! A row that comes while its partition leaves is either moved with it, and copied from there before anything is dropped, or
//! makes a new partition in the hot store, which leaves another time. Whatever is interrupted is taken up again from the
//! leaving tables, which have it.

use clickhouse::Row;
use mprism_clickhouse::{StoreError, Tier};
use mprism_model::DataType;
use mprism_runtime::clock;
use serde::Deserialize;

use super::copier::{Copier, CoverError};
use super::ledger::{Ledger, date, note_departure};
use super::step::Step;
use super::windows::{Counts, DAY, HOUR, Scope};
use crate::tables;

/// A partition: a day, as a number since the epoch, and an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Row, Deserialize)]
pub(crate) struct Partition {
    pub(crate) day: u16,
    pub(crate) exchange: String,
    pub(crate) rows: u64,
}

impl Partition {
    /// Returns it as ClickHouse names it.
    fn text(&self) -> String {
        let exchange = tables::quoted(&self.exchange);
        format!("PARTITION ('{}', {exchange})", date(i64::from(self.day)))
    }
}

/// Returns whether all that the hot store has of a day was proven, and has been as it is since `since`.
pub(crate) fn may_leave(day: i64, counts: &Counts, ledger: &Ledger, since: i64) -> bool {
    let mut hours = counts.range(day * DAY..(day + 1) * DAY);
    hours.all(|(start, rows)| {
        let known = ledger.get(*start);
        known.is_some_and(|known| known.fingerprint.rows == *rows && known.proven_at <= since)
    })
}

/// Returns the partitions of a tier up to a day, the oldest first.
pub(crate) async fn partitions(copier: &Copier, tier: Tier, last_day: i64) -> Result<Vec<Partition>, StoreError> {
    // Beyond ClickHouse's last day there is none, and before the first there is none either.
    let Ok(last_day) = u16::try_from(last_day) else {
        return Ok(Vec::new());
    };
    copier
        .ask(tier, async |side| {
            let query = format!(
                "SELECT toUInt16(day) AS day, exchange, count() AS rows FROM (SELECT day, exchange FROM {} \
                 WHERE day <= toDate({last_day})) GROUP BY day, exchange ORDER BY day, exchange",
                side.table
            );
            side.store.fetch_all(&query).await
        })
        .await
}

/// Moves a partition out of the hot store.
pub(crate) async fn move_out(copier: &Copier, data_type: DataType, partition: &Partition) -> Result<(), StoreError> {
    let statement = format!(
        "ALTER TABLE {} MOVE {} TO TABLE {}",
        tables::name_in(Tier::Hot, data_type),
        partition.text(),
        tables::name_in(Tier::Leaving, data_type)
    );
    copier.stores().hot.execute(&statement).await?;
    copier.done(Step::Moved);
    Ok(())
}

/// Finishes whatever is on its way out. Returns how many rows have left.
pub(crate) async fn finish(copier: &Copier, data_type: DataType) -> Result<u64, CoverError> {
    let mut left = 0;
    for partition in partitions(copier, Tier::Leaving, i64::from(u16::MAX)).await? {
        let Partition { day, exchange, rows } = &partition;
        let day = i64::from(*day);
        let scope = Scope::partition(day, exchange);
        let covered = copier.prove(Tier::Leaving, &scope, *rows, HOUR).await?;
        copier.done(Step::LeavingProven);
        let table = data_type.table();
        note_departure(
            &copier.stores().cold,
            table,
            (day, exchange),
            covered.fingerprint(),
            clock::now_ms(),
        )
        .await?;
        copier.done(Step::DepartureNoted);
        let leaving = tables::name_in(Tier::Leaving, data_type);
        let statement = format!("ALTER TABLE {leaving} DROP {}", partition.text());
        copier.stores().hot.execute(&statement).await?;
        copier.done(Step::Dropped);
        tracing::info!(
            table,
            day = date(day),
            exchange,
            rows,
            "a partition left the hot store; the cold store has it"
        );
        left += rows;
    }
    Ok(left)
}

#[derive(Row, Deserialize)]
struct PartitionText {
    partition: String,
}

/// Drops months from the cold store that ended before a day. Returns how many partitions those were.
///
/// A month of which the hot store still has rows stays: they would be copied again.
pub(crate) async fn expire(copier: &Copier, data_type: DataType, before_day: i64) -> Result<usize, StoreError> {
    let first_hot = partitions(copier, Tier::Hot, before_day).await?;
    let first_hot = first_hot.first().map_or(i64::MAX, |partition| i64::from(partition.day));
    let limit = before_day.min(first_hot);
    let query = format!(
        "SELECT DISTINCT partition FROM system.parts WHERE active AND database = '{}' AND table = '{}'",
        Tier::Cold.database(),
        data_type.table()
    );
    let found = copier.stores().cold.fetch_all::<PartitionText>(&query).await?;
    let expired: Vec<String> = found
        .into_iter()
        .map(|row| row.partition)
        .filter(|partition| first_day_after(partition).is_some_and(|day| day <= limit))
        .collect();
    for partition in &expired {
        let cold = tables::name_in(Tier::Cold, data_type);
        let statement = format!("ALTER TABLE {cold} DROP PARTITION {partition}");
        copier.stores().cold.execute(&statement).await?;
        tracing::info!(
            table = data_type.table(),
            partition,
            "a month left the cold store: it is older than it is kept"
        );
    }
    Ok(expired.len())
}

/// Reads the month of a partition like `(202510,'okx_spot')` and returns the day after its last one, as a number since the epoch.
fn first_day_after(partition: &str) -> Option<i64> {
    let month: i64 = partition.strip_prefix('(')?.split(',').next()?.parse().ok()?;
    let (year, month) = (month / 100, month % 100);
    let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let text = format!("{year:04}-{month:02}-01T00:00:00Z");
    let first: mprism_model::UnixMillis = text.parse().ok()?;
    Some(first.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_where_the_next_begins() {
        assert_eq!(
            first_day_after("(202510,'okx_spot')").map(date),
            Some("2025-11-01".into())
        );
        assert_eq!(
            first_day_after("(202512,'okx_spot')").map(date),
            Some("2026-01-01".into())
        );
        assert_eq!(first_day_after("all"), None);
    }
}
