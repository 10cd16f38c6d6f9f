//! MarketPrism's own tables, as v1.3.2 left them: how they are known, and what their rows say in columns that they lack.
//!
//! Rows of it have no identity: theirs becomes epoch 0 and a hash of what they say, as that of a message without one. So the
//! same row in hot and cold store stays one row, and rows that the original copied twice become one.

use super::observe::Found;

/// Columns that say when and by whom a row was written, which the original's copies disagree about.
pub(super) const NOT_CONTENT: [&str; 2] = ["created_at", "data_source"];

/// Returns whether a table is one of the original's: its common columns, and none that it never had.
pub(super) fn is_original(found: &Found) -> bool {
    let has = |name: &str| found.column(name).is_some();
    [
        "timestamp",
        "exchange",
        "market_type",
        "symbol",
        "data_source",
        "created_at",
    ]
    .into_iter()
    .all(has)
        && !["producer_epoch", "producer_seq", "ts_recv", "ts_insert", "day"]
            .into_iter()
            .any(has)
}

/// Returns what a column is made of that a table lacks, from the columns it has.
///
/// The original keeps a book's levels as JSON text, of objects or of pairs.
pub(super) fn derived(column: &str, found: &Found) -> Option<String> {
    let text = match column {
        "bid_levels" => "bids",
        "ask_levels" => "asks",
        _ => return None,
    };
    let has_text = found
        .column(text)
        .is_some_and(|have| have.kind == "String" && have.default_kind != "ALIAS");
    has_text.then(|| {
        let part = |key: &str, at: u8| {
            format!(
                "toDecimal128(trim(BOTH '\"' FROM if(JSONType(l) = 'Array', JSONExtractRaw(l, {at}), JSONExtractRaw(l, '{key}'))), 18)"
            )
        };
        format!(
            "CAST(arrayMap(l -> ({}, {}), JSONExtractArrayRaw({text})) AS \
             Array(Tuple(price Decimal(38, 18), quantity Decimal(38, 18))))",
            part("price", 1),
            part("quantity", 2)
        )
    })
}

/// Returns what rows of the original say in a column that they lack, where it is not the type's own nothing.
///
/// `value` gives a column's value, `hash` is the row's hash.
pub(super) fn value(table: &str, column: &str, hash: &str, value: impl Fn(&str) -> String) -> Option<String> {
    let text = match (table, column) {
        (_, "producer_epoch") => "toUInt64(0)".to_owned(),
        (_, "producer_seq") => hash.to_owned(),
        // When it was received is not known; the event's time is the best that is.
        (_, "ts_recv") => format!("toDateTime64({}, 9, 'UTC')", value("timestamp")),
        (_, "ts_insert") => value("created_at"),
        (_, "source") => "'import'".to_owned(),
        ("orderbooks", "first_update_id") => value("last_update_id"),
        // Each stands for itself: the original does not say which one it follows.
        ("orderbooks", "update_type") => "'snapshot'".to_owned(),
        ("funding_rates", "kind") => "'estimated'".to_owned(),
        ("liquidations", "liquidation_id") => format!("concat('import-', lower(hex({hash})))"),
        // Its time is the venue's label of the period.
        ("lsr_top_positions" | "lsr_all_accounts", "period_ts") => value("timestamp"),
        _ => return None,
    };
    Some(text)
}
