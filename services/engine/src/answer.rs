//! Answers: bodies, and what the server says beside them.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::chdb::Summary;
use crate::encoding::Encoding;
use crate::exception::Exception;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type Answer = Response<Body>;

const FORMAT: HeaderName = HeaderName::from_static("x-clickhouse-format");
const SUMMARY: HeaderName = HeaderName::from_static("x-clickhouse-summary");
const PROGRESS: HeaderName = HeaderName::from_static("x-clickhouse-progress");
const QUERY_ID: HeaderName = HeaderName::from_static("x-clickhouse-query-id");
const TIMEZONE: HeaderName = HeaderName::from_static("x-clickhouse-timezone");
const DISPLAY_NAME: HeaderName = HeaderName::from_static("x-clickhouse-server-display-name");
const EXCEPTION_CODE: HeaderName = HeaderName::from_static("x-clickhouse-exception-code");
const EXCEPTION_TAG: HeaderName = HeaderName::from_static("x-clickhouse-exception-tag");

/// Makes a body of what is there whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// Makes an answer of plain text.
pub(crate) fn plain(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(whole(text.to_owned()));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=UTF-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// Makes the answer to a statement that failed before anything was sent.
pub(crate) fn refusal(exception: &Exception) -> Answer {
    let mut answer = plain(exception.status(), &exception.body());
    answer
        .headers_mut()
        .insert(EXCEPTION_CODE, HeaderValue::from(exception.code));
    answer
}

/// Adds what the server says beside every answer to a statement.
pub(crate) fn identify(answer: &mut Answer, query_id: &str) {
    let headers = answer.headers_mut();
    if let Ok(value) = HeaderValue::from_str(query_id) {
        headers.insert(QUERY_ID, value);
    }
    headers.insert(TIMEZONE, HeaderValue::from_static("UTC"));
    headers.insert(DISPLAY_NAME, HeaderValue::from_static("mprism"));
}

/// Adds what the server says beside the output of a statement.
pub(crate) fn decorate(answer: &mut Answer, format: Option<&str>, summary: &Summary) {
    let headers = answer.headers_mut();
    if let Some(value) = format.and_then(|f| HeaderValue::from_str(f).ok()) {
        headers.insert(FORMAT, value);
    }
    headers.insert(SUMMARY, numbers(summary, true));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(format)));
}

/// Adds what was seen of a statement's progress before its answer began.
pub(crate) fn tell_progress(answer: &mut Answer, seen: &[Summary]) {
    for progress in seen {
        answer.headers_mut().append(PROGRESS, numbers(progress, false));
    }
}

/// Says how the body is packed.
pub(crate) fn tell_encoding(answer: &mut Answer, encoding: Encoding) {
    let value = HeaderValue::from_static(encoding.name());
    answer.headers_mut().insert(CONTENT_ENCODING, value);
}

/// Says what frames an exception within the body.
pub(crate) fn tell_tag(answer: &mut Answer, tag: &str) {
    if let Ok(value) = HeaderValue::from_str(tag) {
        answer.headers_mut().insert(EXCEPTION_TAG, value);
    }
}

/// Numbers are texts here, as the server writes them.
fn numbers(summary: &Summary, with_result: bool) -> HeaderValue {
    let mut fields = vec![
        ("read_rows", summary.read_rows),
        ("read_bytes", summary.read_bytes),
        ("written_rows", summary.written_rows),
        ("written_bytes", summary.written_bytes),
        ("total_rows_to_read", summary.total_rows_to_read),
    ];
    if with_result {
        fields.push(("result_rows", summary.result_rows));
        fields.push(("result_bytes", summary.result_bytes));
    }
    fields.push(("elapsed_ns", summary.elapsed_ns));
    fields.push(("memory_usage", summary.memory_usage));
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!(r#""{name}":"{value}""#))
        .collect();
    let text = format!("{{{}}}", fields.join(","));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("{}"))
}

fn content_type(format: Option<&str>) -> &'static str {
    match format.unwrap_or("") {
        "JSONEachRow" | "JSONCompactEachRow" | "JSONStringsEachRow" | "JSONLines" | "NDJSON" => {
            "application/x-ndjson; charset=UTF-8"
        }
        f if f.starts_with("JSON") => "application/json; charset=UTF-8",
        f if f.starts_with("TabSeparated") || f.starts_with("TSV") => "text/tab-separated-values; charset=UTF-8",
        f if f.starts_with("CSV") => "text/csv; charset=UTF-8; header=absent",
        f if f.starts_with("RowBinary") || f.starts_with("Native") || f == "Parquet" => "application/octet-stream",
        f if f.starts_with("Arrow") || f == "ORC" || f == "RawBLOB" => "application/octet-stream",
        _ => "text/plain; charset=UTF-8",
    }
}
