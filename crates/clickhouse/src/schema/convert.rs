//! Rows of one table as another one has them: what each column becomes, piece by piece, and whether both say the same.

use clickhouse::Row;
use mprism_model::UnixMillis;
use serde::Deserialize;

use super::observe::{Found, FoundColumn};
use super::original::{self, NOT_CONTENT};
use super::tier::Tier;
use super::wanted::{Column, columns_of};
use crate::{Copy, InsertError, Pace, Store, StoreError, time};

/// Rows that are copied by one statement, about.
const ROWS_MAX: u64 = 1_000_000;
const HOUR_MS: i64 = 3_600_000;

/// A part of the old table.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    partition: String,
    /// Times of its rows, the end excluded; nothing where rows have none.
    span: Option<(i64, i64)>,
    pub(super) rows: u64,
    row_bytes: usize,
}

/// What rows say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// All rows.
    pub(super) all: u64,
    /// Different rows.
    pub(super) rows: u64,
    sum: u64,
    xor: u64,
}

impl Fingerprint {
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        (self.rows, self.sum, self.xor) == (other.all, other.sum, other.xor) && other.all == other.rows
    }
}

#[derive(Row, Deserialize)]
struct PartitionRow {
    partition_id: String,
    rows: u64,
    bytes: u64,
}

#[derive(Row, Deserialize)]
struct SpanRow {
    start: i64,
    end: i64,
    rows: u64,
}

#[derive(Row, Deserialize)]
struct FingerprintRow {
    all: u64,
    rows: u64,
    sum: u64,
    xor: u64,
}

/// How rows of a table become rows of the schema's.
#[derive(Debug)]
pub(super) struct Conversion {
    /// Columns that are filled, in order.
    columns: Vec<String>,
    /// What fills them, of the inner values.
    values: Vec<String>,
    /// The inner values: of the old table's own columns.
    inner: String,
    /// What a row says, of the inner values.
    content: String,
    /// The same, of the right table's columns.
    content_there: String,
    /// Whether rows have an identity of their own.
    has_identity: bool,
    /// The old table's time in milliseconds.
    time: Option<String>,
    lossy: Vec<(String, String, String)>,
}

impl Conversion {
    pub(super) fn new(tier: Tier, table: &str, old: &Found) -> Self {
        let is_original = original::is_original(old);
        let wanted: Vec<Column> = columns_of(tier, table).into_iter().filter(Column::is_given).collect();
        let mut inner = Vec::new();
        let mut content = Vec::new();
        let mut lossy = Vec::new();
        let inner_name = |name: &str| format!("_{name}");
        for column in &wanted {
            let value = match old.column(&column.name) {
                Some(have) => {
                    let value = converted(have, column);
                    if let Some(condition) = does_not_fit(have, column, &value) {
                        lossy.push((column.name.clone(), column.kind.clone(), condition));
                    }
                    Some(value)
                }
                None => original::derived(&column.name, old),
            };
            let Some(value) = value else { continue };
            inner.push((column.name.clone(), format!("{value} AS {}", inner_name(&column.name))));
            if !(is_original && NOT_CONTENT.contains(&column.name.as_str())) {
                content.push(column.name.clone());
            }
        }
        let tuple = |name: &dyn Fn(&str) -> String| {
            let names: Vec<String> = content.iter().map(|column| name(column)).collect();
            format!("tuple({})", names.join(", "))
        };
        let (content_here, content_there) = (tuple(&inner_name), tuple(&|name| name.to_owned()));
        let hash = format!("cityHash64({content_here})");
        let mut columns = Vec::new();
        let mut values = Vec::new();
        for column in &wanted {
            let value = if inner.iter().any(|(name, _)| *name == column.name) {
                Some(inner_name(&column.name))
            } else if is_original {
                original::value(table, &column.name, &hash, inner_name)
            } else {
                None
            };
            if let Some(value) = value {
                columns.push(column.name.clone());
                values.push(value);
            }
        }
        let inner: Vec<String> = inner.into_iter().map(|(_, value)| value).collect();
        let has = |name: &str| columns.iter().any(|column| column == name);
        Self {
            has_identity: has("producer_epoch") && has("producer_seq"),
            time: old
                .column("timestamp")
                .map(|_| "toUnixTimestamp64Milli(CAST(timestamp AS DateTime64(3, 'UTC')))".to_owned()),
            columns,
            values,
            inner: inner.join(", "),
            content: content_here,
            content_there,
            lossy,
        }
    }

    /// Returns conditions under which a row of the old table cannot say the same in the right one: column, type, condition.
    pub(super) fn lossy(&self) -> Vec<(String, String, String)> {
        self.lossy.clone()
    }

    /// Cuts a table into pieces of about a million rows, partition by partition.
    pub(super) async fn pieces(&self, store: &Store, table: &str) -> Result<Vec<Piece>, StoreError> {
        let (database, name) = table.split_once('.').unwrap_or(("", table));
        let query = format!(
            "SELECT partition_id, sum(rows) AS rows, sum(data_uncompressed_bytes) AS bytes FROM system.parts \
             WHERE active AND database = '{database}' AND table = '{name}' GROUP BY partition_id HAVING rows > 0 \
             ORDER BY partition_id"
        );
        let mut pieces = Vec::new();
        for PartitionRow {
            partition_id,
            rows,
            bytes,
        } in store.fetch_all(&query).await?
        {
            let row_bytes = usize::try_from(bytes / rows.max(1)).unwrap_or(usize::MAX).max(1);
            let piece = |span, rows| Piece {
                partition: partition_id.clone(),
                span,
                rows,
                row_bytes,
            };
            let Some(time) = &self.time else {
                pieces.push(piece(None, rows));
                continue;
            };
            let hours = format!(
                "SELECT min({time}) AS start, max({time}) + 1 AS end, count() AS rows FROM {table} \
                 WHERE _partition_id = '{partition_id}' GROUP BY intDiv({time}, {HOUR_MS}) ORDER BY start"
            );
            let mut run: Option<SpanRow> = None;
            for hour in store.fetch_all::<SpanRow>(&hours).await? {
                run = Some(match run {
                    Some(run) if run.rows + hour.rows <= ROWS_MAX => SpanRow {
                        start: run.start,
                        end: hour.end,
                        rows: run.rows + hour.rows,
                    },
                    Some(run) => {
                        pieces.push(piece(Some((run.start, run.end)), run.rows));
                        hour
                    }
                    None => hour,
                });
            }
            pieces.extend(run.map(|run| piece(Some((run.start, run.end)), run.rows)));
        }
        Ok(pieces)
    }

    fn inner_of(&self, piece: &Piece, table: &str) -> String {
        let time = match (&self.time, piece.span) {
            (Some(time), Some((from, to))) => format!(" AND {time} >= {from} AND {time} < {to}"),
            _ => String::new(),
        };
        format!(
            "SELECT {} FROM {table} WHERE _partition_id = '{}'{time}",
            self.inner, piece.partition
        )
    }

    /// The identity that rows are told apart by: their own and what they say, or twice what they say.
    fn key(&self) -> String {
        let (content, of) = (&self.content, |name: &str| {
            let at = self.columns.iter().position(|column| column == name);
            at.map_or_else(String::new, |at| self.values[at].clone())
        });
        if self.has_identity {
            format!(
                "({}, {}, sipHash64({content}))",
                of("producer_epoch"),
                of("producer_seq")
            )
        } else {
            format!("(cityHash64({content}), sipHash64({content}))")
        }
    }

    fn keys_there(&self, piece: &Piece, table: &str) -> String {
        let content = &self.content_there;
        let key = if self.has_identity {
            format!("producer_epoch, producer_seq, sipHash64({content})")
        } else {
            format!("cityHash64({content}), sipHash64({content})")
        };
        let condition = piece.span.map_or_else(
            || "1".to_owned(),
            |(from, to)| time::between(UnixMillis(from), UnixMillis(to)),
        );
        format!("SELECT {key} FROM {table} WHERE {condition}")
    }

    /// Copies what is missing of a piece, each row once.
    pub(super) async fn copy(
        &self,
        store: &Store,
        piece: &Piece,
        (old, new): (&str, &str),
        generation: u64,
    ) -> Result<(), InsertError> {
        let key = self.key();
        let select = format!(
            "SELECT {} FROM ({}) WHERE {key} NOT IN ({}) LIMIT 1 BY {key}",
            self.values.join(", "),
            self.inner_of(piece, old),
            self.keys_there(piece, new)
        );
        let columns = self.columns.join(", ");
        let copy = Copy {
            table: new,
            columns: &columns,
            generation,
            select: &select,
            row_bytes: piece.row_bytes,
            pace: Pace::Steady,
        };
        store.copy(&copy).await.map(|_| ())
    }

    /// Counts rows of a piece that the right table does not have.
    pub(super) async fn missing(
        &self,
        store: &Store,
        piece: &Piece,
        (old, new): (&str, &str),
    ) -> Result<u64, StoreError> {
        let query = format!(
            "SELECT count() FROM ({}) WHERE {} NOT IN ({})",
            self.inner_of(piece, old),
            self.key(),
            self.keys_there(piece, new)
        );
        store.fetch_one(&query).await
    }

    /// Returns what all rows of the old table say, each once.
    pub(super) async fn fingerprint_of_old(
        &self,
        store: &Store,
        pieces: &[Piece],
        table: &str,
    ) -> Result<Fingerprint, StoreError> {
        let mut fingerprint = Fingerprint::default();
        for piece in pieces {
            let query = format!(
                "SELECT sum(times) AS all, count() AS rows, sum(hash) AS sum, groupBitXor(hash) AS xor FROM \
                 (SELECT {} AS key, any(cityHash64({})) AS hash, count() AS times FROM ({}) GROUP BY key)",
                self.key(),
                self.content,
                self.inner_of(piece, table)
            );
            let of_piece: FingerprintRow = store.fetch_one(&query).await?;
            fingerprint.all += of_piece.all;
            fingerprint.rows += of_piece.rows;
            fingerprint.sum = fingerprint.sum.wrapping_add(of_piece.sum);
            fingerprint.xor ^= of_piece.xor;
        }
        Ok(fingerprint)
    }

    /// Returns what all rows of the right table say.
    pub(super) async fn fingerprint_of_new(&self, store: &Store, table: &str) -> Result<Fingerprint, StoreError> {
        let query = format!(
            "SELECT count() AS all, count() AS rows, sum(hash) AS sum, groupBitXor(hash) AS xor FROM \
             (SELECT cityHash64({}) AS hash FROM {table})",
            self.content_there
        );
        let FingerprintRow { all, rows, sum, xor } = store.fetch_one(&query).await?;
        Ok(Fingerprint { all, rows, sum, xor })
    }
}

/// Returns a column's value as the right type has it.
fn converted(have: &FoundColumn, column: &Column) -> String {
    let (name, kind) = (&have.name, &column.kind);
    if have.kind == *kind {
        return name.clone();
    }
    // A float's shortest text is what was meant: its binary value has digits that nobody wrote.
    if have.kind.contains("Float") && kind.contains("Decimal") {
        return format!("CAST(toString({name}) AS {kind})");
    }
    format!("CAST({name} AS {kind})")
}

/// Returns the condition under which a value does not survive its conversion; nothing where it always does, or fails.
fn does_not_fit(have: &FoundColumn, column: &Column, value: &str) -> Option<String> {
    let name = &have.name;
    let is_number = |kind: &str| ["Float", "Decimal", "Int"].iter().any(|number| kind.contains(number));
    if have.kind == column.kind || have.kind.contains("Array") {
        return None;
    }
    if have.kind.contains("Float") {
        return Some(format!("NOT (abs(toFloat64({value}) - {name}) <= abs({name}) * 1e-14)"));
    }
    let is_time = |kind: &str| kind.contains("Date");
    let is_comparable =
        (is_number(&have.kind) && is_number(&column.kind)) || (is_time(&have.kind) && is_time(&column.kind));
    is_comparable.then(|| format!("CAST({value} AS {}) != {name}", have.kind))
}
