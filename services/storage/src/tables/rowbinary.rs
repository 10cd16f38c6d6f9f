//! ClickHouse's RowBinary format: integers little-endian, strings and arrays with a LEB128 length, DateTime64 as its ticks,
//! Decimal(38, 18) as its scaled 128-bit integer: <https://clickhouse.com/docs/interfaces/formats/RowBinary>.

use mprism_model::{Decimal, DecimalText, ProducerId, UnixMillis, UnixNanos};

use super::Shape;
use crate::row::Market;

pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

pub(super) fn put_time(out: &mut Vec<u8>, ts: UnixMillis) {
    put(out, &ts.0.to_le_bytes());
}

pub(super) fn put_decimal(out: &mut Vec<u8>, value: Decimal) {
    put(out, &value.scaled().to_le_bytes());
}

/// Appends a decimal that a message may lack: 0, where no value can be that.
pub(super) fn put_absent(out: &mut Vec<u8>, value: Option<&DecimalText>) {
    put_decimal(out, value.map_or(Decimal::ZERO, DecimalText::value));
}

/// Appends a Nullable decimal: a byte that says whether it is null, then the value if it is not.
pub(super) fn put_optional(out: &mut Vec<u8>, value: Option<Decimal>) {
    out.push(u8::from(value.is_none()));
    if let Some(value) = value {
        put_decimal(out, value);
    }
}

/// Appends a Date: days since 1970-01-01. Messages with a day beyond 2149 are refused when they are read.
pub(super) fn put_date(out: &mut Vec<u8>, ts: UnixMillis) {
    put(out, &(ts.day() as u16).to_le_bytes());
}

pub(super) fn put_market(out: &mut Vec<u8>, market: &Market) {
    put_text(out, market.exchange.as_str());
    put_text(out, market.market_type.as_str());
    put_text(out, market.symbol.as_str());
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// Appends a String.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    put(out, bytes);
}

/// Appends the length of a String or an Array.
pub(super) fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push((length & 0x7F) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// Appends when an event left the socket. A time that nobody recorded is stored as the epoch.
pub(super) fn put_receive_time(out: &mut Vec<u8>, ts_recv: Option<UnixNanos>) {
    put(out, &ts_recv.map_or(0, |UnixNanos(ns)| ns).to_le_bytes());
}

/// Leaves room for what every row begins with: `producer_epoch, producer_seq, ts_insert` and, where the table has it,
/// `created_at`. It is known last, and written by [`stamp`].
pub(super) fn put_head(out: &mut Vec<u8>, shape: &Shape) {
    out.resize(out.len() + head_bytes(shape), 0);
}

/// Writes what a row begins with.
pub(super) fn stamp(row: &mut [u8], shape: &Shape, identity: ProducerId, ts_insert: UnixMillis) {
    let ts_insert = ts_insert.0.to_le_bytes();
    let fields = [
        identity.epoch.0.to_le_bytes(),
        identity.seq.to_le_bytes(),
        ts_insert,
        ts_insert,
    ];
    let head = &mut row[..head_bytes(shape)];
    for (place, field) in head.chunks_exact_mut(FIELD_BYTES).zip(fields) {
        place.copy_from_slice(&field);
    }
}

const FIELD_BYTES: usize = 8;

fn head_bytes(shape: &Shape) -> usize {
    FIELD_BYTES * if shape.has_created_at { 4 } else { 3 }
}
