//! One insert: one block into one partition, with a known outcome or a known doubt.

use bytes::Bytes;
use reqwest::Body;

use crate::error::is_about_content;
use crate::fence::{REFUSED, Source};
use crate::store::code_of;
use crate::{InsertError, Store};

/// Settings of every insert: acknowledged means written and fsynced, as one block, without any deduplication by the server.
const SETTINGS: [(&str, &str); 7] = [
    ("async_insert", "0"),
    ("insert_deduplicate", "0"),
    ("wait_end_of_query", "1"),
    ("max_insert_threads", "1"),
    ("input_format_parallel_parsing", "0"),
    ("max_insert_block_size", "1048576"),
    ("min_insert_block_size_bytes", "1073741824"),
];

/// Rows for one partition of one table.
#[derive(Clone, Debug)]
pub struct Insert<'a> {
    /// `database.table`.
    pub table: &'a str,
    /// The columns, in the order of the rows' fields.
    pub columns: &'a str,
    /// The fence's generation.
    pub generation: u64,
    /// The rows in the RowBinary format.
    pub rows: Bytes,
    /// How many rows there are. At most 500,000: more may become two parts, which are not stored as one.
    pub row_count: u64,
}

/// An INSERT on its way.
pub(crate) struct Writing<'a> {
    /// `database.table`.
    pub(crate) table: &'a str,
    /// The fence's generation.
    pub(crate) generation: u64,
    /// Where its rows come from.
    pub(crate) source: Source<'a>,
    /// Settings beside those of every insert, which they overrule.
    pub(crate) settings: &'a [(&'static str, String)],
}

impl Store {
    /// Inserts rows.
    ///
    /// # Errors
    /// See [`InsertError`]; after [`InsertError::InDoubt`] nothing is known, and a fence has to be raised before anything is
    /// read back.
    pub async fn insert(&self, insert: Insert<'_>) -> Result<(), InsertError> {
        let source = Source::Data {
            columns: insert.columns,
            format: "RowBinary",
        };
        let writing = Writing {
            table: insert.table,
            generation: insert.generation,
            source,
            settings: &[],
        };
        // A server that does not say how much it wrote has nothing to compare.
        let written = self
            .write(writing, Some(insert.rows.into()))
            .await?
            .unwrap_or(insert.row_count);
        if written == insert.row_count {
            return Ok(());
        }
        Err(InsertError::Partial {
            table: insert.table.to_owned(),
            written,
            sent: insert.row_count,
        })
    }

    /// Sends an INSERT, with its rows where they come along, and returns how many rows the server says it wrote, where it says that.
    pub(crate) async fn write(&self, writing: Writing<'_>, rows: Option<Body>) -> Result<Option<u64>, InsertError> {
        let table = writing.table;
        let statement = self
            .fenced_statement(table, &writing.source, writing.generation)
            .await?;
        let in_doubt = |e: reqwest::Error| InsertError::InDoubt {
            table: table.to_owned(),
            source: e.into(),
        };
        let unique: u128 = rand::random();
        let comment = format!("mp-{table}-{}-{unique:032x}", writing.generation);
        let is_overruled = |name: &str| writing.settings.iter().any(|(own, _)| *own == name);
        let usual: Vec<_> = SETTINGS.iter().filter(|(name, _)| !is_overruled(name)).collect();
        let request = self
            .signed(self.http.post(&self.options.url))
            .query(&usual)
            .query(writing.settings)
            .query(&[("log_comment", comment.as_str())])
            .timeout(self.options.insert_timeout);
        let request = match rows {
            Some(rows) => request.query(&[("query", &statement)]).body(rows),
            None => request.body(statement),
        };
        let answer = request.send().await.map_err(in_doubt)?;
        let status = answer.status();
        let summary = answer
            .headers()
            .get("x-clickhouse-summary")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = answer.text().await.map_err(in_doubt)?;
        let table = table.to_owned();
        if status == reqwest::StatusCode::CONFLICT {
            return Err(InsertError::Fenced { table });
        }
        if !status.is_success() {
            let (code, message) = (code_of(&body), body.trim().to_owned());
            if is_by_a_fence(code, &message) {
                return Err(InsertError::Fenced { table });
            }
            return Err(if is_about_content(code) {
                InsertError::Rejected { table, code, message }
            } else {
                InsertError::Failed { table, code, message }
            });
        }
        Ok(summary.and_then(|summary| written_rows(&summary)))
    }
}

/// Returns whether a server failed an insert because of a later fence: it looked and found one, or was killed by it.
///
/// FUNCTION_THROW_IF_VALUE_IS_NON_ZERO and QUERY_WAS_CANCELLED of ClickHouse `src/Common/ErrorCodes.cpp`.
fn is_by_a_fence(code: i32, message: &str) -> bool {
    match code {
        395 => message.contains(REFUSED),
        // Whoever else killed it, a new fence is right, too.
        394 => true,
        _ => false,
    }
}

/// Reads `written_rows` of the summary header.
fn written_rows(summary: &str) -> Option<u64> {
    let summary: serde_json::Value = serde_json::from_str(summary).ok()?;
    let written = summary.get("written_rows")?;
    written.as_u64().or_else(|| written.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_told_from_other_failures() {
        let said = format!(
            "Code: 395. DB::Exception: {REFUSED}: while executing 'FUNCTION throwIf(…)'. (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO)"
        );
        assert!(is_by_a_fence(395, &said));
        assert!(is_by_a_fence(
            394,
            "Code: 394. DB::Exception: Query was cancelled. (QUERY_WAS_CANCELLED)"
        ));
        assert!(!is_by_a_fence(
            395,
            "Code: 395. DB::Exception: Value passed to 'throwIf' function is non-zero"
        ));
        assert!(!is_by_a_fence(252, &said));
    }

    #[test]
    fn the_summary_tells_what_was_written() {
        assert_eq!(written_rows(r#"{"read_rows":"0","written_rows":"17"}"#), Some(17));
        assert_eq!(written_rows("{}"), None);
    }
}
