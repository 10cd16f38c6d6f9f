//! What the cold store has of what the hot one has: fingerprints of every window that is over, and row by row where they differ.

use std::collections::{BTreeMap, BTreeSet};

use mprism_clickhouse::Tier;
use mprism_clickhouse::time::between;
use mprism_model::{DataType, UnixMillis};
use mprism_settings::Settings;
use mprism_storage::cold::{DAY, HOUR, copied_at_once, hash_of};
use serde::Deserialize;

use super::super::shape::Shape;
use super::stores::{QUERY_WITHIN, name, quoted};
use super::{Look, StoredRow};
use crate::commands::store::Reader;
use crate::error::CliError;

/// Width of the windows of the hour that is not over, and of hours that differ. Milliseconds.
const MINUTE: i64 = 60_000;
/// Windows that are read row by row; of more, only how many there are is told.
const WINDOWS_READ_MAX: usize = 400;
/// Rows of one store that are read one by one.
const ROWS_READ_MAX: u64 = 2_000_000;

/// A window of a market: exchange, market type, symbol, start in milliseconds since the epoch.
pub(crate) type CellKey = (String, String, String, i64);

/// What one store has of it: count, sum and exclusive or of the rows' hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) rows: u64,
    pub(crate) sum: u64,
    pub(crate) xor: u64,
}

/// Partitions (a day, as a number since the epoch, of an exchange) that left, and how many rows they had then.
pub(crate) type Departed = BTreeMap<(i64, String), u64>;

/// How one table compares.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replication {
    /// Up to where it was compared, in milliseconds since the epoch.
    pub(crate) to: i64,
    /// Windows with rows in either store.
    pub(crate) windows: u64,
    /// Windows that are the same.
    pub(crate) equal: u64,
    /// Windows of which the cold store has nothing, and how many rows they have: the oldest one's start.
    pub(crate) untouched: BTreeMap<CellKey, u64>,
    /// Windows that differ and were not read row by row: there are too many.
    pub(crate) unread: BTreeMap<CellKey, (u64, u64)>,
    /// The rows of windows that differ.
    pub(crate) hot: Vec<StoredRow>,
    pub(crate) cold: Vec<StoredRow>,
    /// What of the windows that differ was copied to its end, by exchange and start: when the newest row of it was stored first.
    ///
    /// Of one exchange, because what is stored at once of it is there at once; and of all its markets, because one of them may
    /// have lost all that it had.
    pub(crate) copied: BTreeMap<(String, i64), i64>,
    /// Windows that differ.
    pub(crate) different: BTreeSet<CellKey>,
    pub(crate) departed: Departed,
    /// Partitions that are on their way out: they are proven by whoever lets them leave.
    pub(crate) leaving: BTreeSet<(i64, String)>,
    /// Rows of the cold store by partition.
    pub(crate) cold_days: Departed,
    /// Hours that were proven once, by their start, and how many rows they had.
    pub(crate) proven_hours: BTreeMap<i64, u64>,
}

#[derive(Deserialize)]
struct CellRow {
    exchange: String,
    market_type: String,
    symbol: String,
    start: i64,
    rows: u64,
    sum: u64,
    xor: u64,
}

#[derive(Deserialize)]
struct DayRow {
    #[serde(rename = "day_number")]
    day: i64,
    exchange: String,
    rows: u64,
}

#[derive(Deserialize)]
struct FirstDay {
    first: i64,
    rows: u64,
}

#[derive(Deserialize)]
struct HourRow {
    start: i64,
    rows: u64,
}

#[derive(Deserialize)]
struct NewestRow {
    exchange: String,
    start: i64,
    inserted: i64,
}

#[derive(Deserialize)]
struct LastRow {
    last: i64,
}

/// Compares one table.
pub(super) async fn look(
    look: &Look<'_>,
    data_type: DataType,
    columns: &[String],
    settings: &Settings,
) -> Result<Replication, CliError> {
    // Of order books the levels are nearly all there is to read, and the cold worker proves them when it copies: they are read
    // again where somebody asks about a part of the cold store by its time.
    let is_read = |name: &&String| {
        let is_asked = look.ask.is_of_cold() && look.ask.window.is_some();
        is_asked || !["bid_levels", "ask_levels"].contains(&name.as_str())
    };
    let columns: Vec<&str> = columns.iter().filter(is_read).map(String::as_str).collect();
    let ms = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let settled = look.now.saturating_sub(ms(settings.cold.safety_lag));
    // The head is copied window by window, so that one may be there and the next one not yet.
    let copied = MINUTE.min(ms(settings.cold.window)).max(1);
    let table = Comparing {
        look,
        data_type,
        columns: columns.join(", "),
        head: settled - settled.rem_euclid(HOUR),
        copied,
        copied_at_once: copied_at_once(data_type, (settings.cold.copy_rows_max, settings.cold.copy_bytes_max)),
        to: settled - settled.rem_euclid(copied),
    };
    table.compare().await
}

/// A table that is compared.
struct Comparing<'a> {
    look: &'a Look<'a>,
    data_type: DataType,
    /// The columns that both stores have.
    columns: String,
    /// Where the hour begins that is not over.
    head: i64,
    /// What of the head is copied at once, in milliseconds.
    copied: i64,
    /// How many rows of the head are copied at once at most.
    copied_at_once: u64,
    to: i64,
}

impl Comparing<'_> {
    async fn compare(&self) -> Result<Replication, CliError> {
        let stores = self.look.stores;
        let (leaving, departed) = (self.leaving().await?, self.departed().await?);
        // What the hot store has nothing of any more is proven by what was noted when it left.
        let of_days = match self.look.ask.is_of_cold() {
            true => "1".to_owned(),
            false => self.days_of_hot().await?,
        };
        let cold = self.cells(&stores.cold, Tier::Cold, &of_days, false).await?;
        // What there is nothing of to compare with need not be read.
        let hot = self.cells(&stores.hot, Tier::Hot, "1", cold.is_empty()).await?;
        let mut replication = Replication {
            to: self.to,
            cold_days: self.cold_days(&departed, &cold).await?,
            departed,
            leaving,
            proven_hours: self.proven_hours().await?,
            ..Replication::default()
        };
        self.sort(&hot, &cold, &mut replication);
        self.read(&hot, &cold, &mut replication).await?;
        Ok(replication)
    }

    /// Sorts windows into those that are the same, that nobody copied yet, and that differ.
    fn sort(&self, hot: &BTreeMap<CellKey, Cell>, cold: &BTreeMap<CellKey, Cell>, found: &mut Replication) {
        let has_left = |key: &CellKey, found: &Replication| {
            let partition = (key.3.div_euclid(DAY), key.0.clone());
            found.departed.contains_key(&partition) || found.leaving.contains(&partition)
        };
        let keys: BTreeSet<&CellKey> = hot.keys().chain(cold.keys()).collect();
        for key in keys {
            found.windows += 1;
            match (hot.get(key), cold.get(key)) {
                (Some(here), Some(there)) if here == there => found.equal += 1,
                (Some(here), None) => {
                    found.untouched.insert(key.clone(), here.rows);
                }
                // It has left, and what came later is compared row by row.
                (None, Some(_)) if has_left(key, found) => found.equal += 1,
                _ => {
                    found.different.insert(key.clone());
                }
            }
        }
    }

    /// Reads the rows of windows that differ; of hours first which minutes do.
    async fn read(
        &self,
        hot: &BTreeMap<CellKey, Cell>,
        cold: &BTreeMap<CellKey, Cell>,
        found: &mut Replication,
    ) -> Result<(), CliError> {
        let rows_of = |cells: &BTreeMap<CellKey, Cell>, key: &CellKey| cells.get(key).map_or(0, |cell| cell.rows);
        let (mut chosen, mut rows) = (Vec::new(), 0);
        for key in &found.different {
            let (here, there) = (rows_of(hot, key), rows_of(cold, key));
            rows += here.max(there);
            if chosen.len() < WINDOWS_READ_MAX && rows <= ROWS_READ_MAX {
                chosen.push(key.clone());
            } else {
                found.unread.insert(key.clone(), (here, there));
            }
        }
        // Before any row of it: what is copied meanwhile is there when rows are read.
        if !chosen.is_empty() {
            let windows = chosen.iter().map(|key| key.3).collect();
            found.copied = self.copied(&windows, &found.proven_hours).await?;
        }
        for (market, starts) in by_market(chosen) {
            let stores = self.look.stores;
            // Hot first: what comes into the hot store meanwhile is not called missing there.
            let here = self.rows(&stores.hot, Tier::Hot, &market, &starts).await?;
            let there = self.rows(&stores.cold, Tier::Cold, &market, &starts).await?;
            found.hot.extend(here);
            found.cold.extend(there);
        }
        Ok(())
    }

    /// Returns what of some windows was copied to its end.
    async fn copied(
        &self,
        windows: &BTreeSet<i64>,
        proven_hours: &BTreeMap<i64, u64>,
    ) -> Result<BTreeMap<(String, i64), i64>, CliError> {
        let (stores, table) = (self.look.stores, self.data_type.table());
        let (cold, hot) = (name(Tier::Cold, table), name(Tier::Hot, table));
        let (start, spans) = (self.copied_with(), self.spans(windows.iter().copied()));
        let newest = format!(
            "SELECT exchange, {start} AS start, toUnixTimestamp64Milli(max(ts_insert)) AS inserted FROM {cold} \
             WHERE {spans} GROUP BY exchange, start"
        );
        let last = format!(
            "SELECT toUnixTimestamp64Milli(max(timestamp)) AS last FROM {cold} WHERE {}",
            between(UnixMillis(self.head), UnixMillis(self.to))
        );
        // More than is copied at once is copied in pieces.
        let large = format!(
            "SELECT {start} AS start, count() AS rows FROM {hot} WHERE {spans} GROUP BY start HAVING rows > {}",
            self.copied_at_once
        );
        let newest: Vec<NewestRow> = stores.cold.rows(&newest, QUERY_WITHIN).await?;
        let last: LastRow = stores.cold.row(&last, QUERY_WITHIN).await?;
        let large: Vec<HourRow> = stores.hot.rows(&large, QUERY_WITHIN).await?;
        let large: BTreeSet<i64> = large.into_iter().map(|window| window.start).collect();
        let is_whole = |start: i64| {
            let is_followed = start >= self.head && start + self.copied <= last.last;
            let is_proven = proven_hours.contains_key(&(start - start.rem_euclid(HOUR)));
            is_followed || is_proven || !large.contains(&start)
        };
        let whole = newest.into_iter().filter(|row| is_whole(row.start));
        Ok(whole.map(|row| ((row.exchange, row.start), row.inserted)).collect())
    }

    /// Returns the predicate for the rows of some windows.
    fn spans(&self, starts: impl Iterator<Item = i64>) -> String {
        let spans: Vec<String> = starts
            .map(|start| {
                let end = start + if start < self.head { HOUR } else { MINUTE };
                format!("({})", between(UnixMillis(start), UnixMillis(end.min(self.to))))
            })
            .collect();
        format!("({})", spans.join(" OR "))
    }

    /// Returns where a row's window begins: an hour, or a minute of the one that is not over.
    fn start(&self) -> String {
        let (time, head) = ("toUnixTimestamp64Milli(timestamp)", self.head);
        format!("if({time} < {head}, intDiv({time}, {HOUR}) * {HOUR}, intDiv({time}, {MINUTE}) * {MINUTE})")
    }

    /// Returns where begins what a row was copied with: what was stored before another row of it that is copied is copied, too.
    fn copied_with(&self) -> String {
        // An hour that is just over may not be copied to its end.
        let (time, over, copied) = ("toUnixTimestamp64Milli(timestamp)", self.head - HOUR, self.copied);
        format!("if({time} < {over}, intDiv({time}, {MINUTE}) * {MINUTE}, intDiv({time}, {copied}) * {copied})")
    }

    fn condition(&self) -> String {
        let over = between(UnixMillis(0), UnixMillis(self.to));
        format!("{} AND {over}", self.look.within)
    }

    /// Returns the predicate for the days of which the hot store has rows.
    async fn days_of_hot(&self) -> Result<String, CliError> {
        let query = format!(
            "SELECT toInt64(toUInt16(min(day))) AS first, count() AS rows FROM {} WHERE {}",
            name(Tier::Hot, self.data_type.table()),
            self.condition()
        );
        let found: FirstDay = self.look.stores.hot.row(&query, QUERY_WITHIN).await?;
        Ok(match found.rows {
            // All that there was may be in what the server cannot read.
            0 if self.has_broken_parts().await? => "1".to_owned(),
            // What the cold store has proves nothing of a hot one that is empty: another home may copy into it (its `cold.clickhouse.url`
            // may name this engine), rows may have come straight from a venue, and neither a row nor the ledger of windows says from
            // which hot store it was copied. That a table without rows should have some is told by presence.
            0 => "0".to_owned(),
            _ => format!("day >= toDate({})", found.first),
        })
    }

    async fn has_broken_parts(&self) -> Result<bool, CliError> {
        let parts = super::parts::broken(&self.look.stores.hot, Tier::Hot).await?;
        Ok(parts.iter().any(|(_, part)| part.table == self.data_type.table()))
    }

    async fn cells(
        &self,
        reader: &Reader,
        tier: Tier,
        of_days: &str,
        is_counted_only: bool,
    ) -> Result<BTreeMap<CellKey, Cell>, CliError> {
        let hash = match is_counted_only {
            true => "toUInt64(0)".to_owned(),
            false => hash_of(&self.columns),
        };
        let query = format!(
            "SELECT exchange, market_type, symbol, start, count() AS rows, sum(hash) AS sum, groupBitXor(hash) AS xor \
             FROM (SELECT exchange, market_type, symbol, {} AS start, {} AS hash FROM {} WHERE {} AND {of_days}) \
             GROUP BY exchange, market_type, symbol, start",
            self.start(),
            hash,
            name(tier, self.data_type.table()),
            self.condition()
        );
        let rows: Vec<CellRow> = reader.rows(&query, QUERY_WITHIN).await?;
        let cells = rows.into_iter().map(|row| {
            let key = (row.exchange, row.market_type, row.symbol, row.start);
            let cell = Cell {
                rows: row.rows,
                sum: row.sum,
                xor: row.xor,
            };
            (key, cell)
        });
        Ok(cells.collect())
    }

    async fn rows(
        &self,
        reader: &Reader,
        tier: Tier,
        (exchange, market_type, symbol): &(String, String, String),
        starts: &[i64],
    ) -> Result<Vec<StoredRow>, CliError> {
        let columns: Vec<String> = self.columns.split(", ").map(str::to_owned).collect();
        let rules = Shape::of(self.data_type).rules(&columns);
        let wrong: Vec<String> = rules.iter().map(|rule| format!("({})", rule.wrong)).collect();
        let query = format!(
            "SELECT exchange, symbol, producer_epoch, producer_seq, {} AS hash, \
             {} AS start, \
             toUnixTimestamp64Milli(ts_insert) AS inserted, {} AS is_wrong FROM {} \
             WHERE {} AND exchange = {} AND market_type = {} AND symbol = {} AND {}",
            hash_of(&self.columns),
            self.copied_with(),
            wrong.join(" OR "),
            name(tier, self.data_type.table()),
            self.condition(),
            quoted(exchange),
            quoted(market_type),
            quoted(symbol),
            self.spans(starts.iter().copied())
        );
        reader.rows(&query, QUERY_WITHIN).await
    }

    async fn leaving(&self) -> Result<BTreeSet<(i64, String)>, CliError> {
        let table = name(Tier::Leaving, self.data_type.table());
        let query = format!(
            "SELECT toInt64(toUInt16(day)) AS day_number, exchange, count() AS rows FROM {table} GROUP BY day, exchange"
        );
        let reader = &self.look.stores.hot;
        let rows = without_table(reader.rows::<DayRow>(&query, QUERY_WITHIN).await)?;
        Ok(rows.into_iter().map(|row| (row.day, row.exchange)).collect())
    }

    async fn departed(&self) -> Result<Departed, CliError> {
        let query = format!(
            "SELECT toInt64(toUInt16(day)) AS day_number, exchange, sum(row_count) AS rows FROM \
             (SELECT DISTINCT day, exchange, row_count, hash_sum, hash_xor FROM {}.{} WHERE table = '{}') GROUP BY day, exchange",
            Tier::Cold.database(),
            mprism_clickhouse::DEPARTURES,
            self.data_type.table()
        );
        let reader = &self.look.stores.cold;
        let rows = without_table(reader.rows::<DayRow>(&query, QUERY_WITHIN).await)?;
        Ok(rows
            .into_iter()
            .map(|row| ((row.day, row.exchange), row.rows))
            .collect())
    }

    /// Counts what the cold store has of partitions that left: all of it, whatever window is asked about.
    async fn cold_days(&self, departed: &Departed, cold: &BTreeMap<CellKey, Cell>) -> Result<Departed, CliError> {
        if departed.is_empty() {
            return Ok(by_day(cold));
        }
        let query = format!(
            "SELECT toInt64(toUInt16(day)) AS day_number, exchange, count() AS rows FROM {} GROUP BY day, exchange",
            name(Tier::Cold, self.data_type.table())
        );
        let rows: Vec<DayRow> = self.look.stores.cold.rows(&query, QUERY_WITHIN).await?;
        Ok(rows
            .into_iter()
            .map(|row| ((row.day, row.exchange), row.rows))
            .collect())
    }

    async fn proven_hours(&self) -> Result<BTreeMap<i64, u64>, CliError> {
        let query = format!(
            "SELECT toUnixTimestamp64Milli(window_start) AS start, argMax(row_count, checked_at) AS rows FROM {}.{} \
             WHERE table = '{}' GROUP BY start",
            Tier::Cold.database(),
            mprism_clickhouse::WINDOW_LEDGER,
            self.data_type.table()
        );
        let reader = &self.look.stores.cold;
        let rows = without_table(reader.rows::<HourRow>(&query, QUERY_WITHIN).await)?;
        Ok(rows.into_iter().map(|row| (row.start, row.rows)).collect())
    }
}

/// A ledger that is not there says nothing; that it is missing is told of the schema.
fn without_table<T>(asked: Result<Vec<T>, CliError>) -> Result<Vec<T>, CliError> {
    match asked {
        Err(error) if super::in_words(&error).contains("UNKNOWN_TABLE") => Ok(Vec::new()),
        Err(error) if super::in_words(&error).contains("UNKNOWN_DATABASE") => Ok(Vec::new()),
        outcome => outcome,
    }
}

fn by_day(cells: &BTreeMap<CellKey, Cell>) -> Departed {
    let mut days = Departed::new();
    for ((exchange, _, _, start), cell) in cells {
        *days.entry((start.div_euclid(DAY), exchange.clone())).or_default() += cell.rows;
    }
    days
}

fn by_market(keys: Vec<CellKey>) -> BTreeMap<(String, String, String), Vec<i64>> {
    let mut markets: BTreeMap<(String, String, String), Vec<i64>> = BTreeMap::new();
    for (exchange, market_type, symbol, start) in keys {
        markets.entry((exchange, market_type, symbol)).or_default().push(start);
    }
    markets
}
