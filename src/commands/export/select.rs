//! What is asked of the store: how many rows there are when, and the rows of a window, each once.

use mprism_clickhouse::{Tier, time};
use mprism_model::{DataType, UnixMillis};

use super::windows::Span;
use crate::cli::ExportFormat;

/// What an export is about.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) data_type: DataType,
    pub(super) span: Span,
    pub(super) exchanges: Vec<String>,
    pub(super) symbols: Vec<String>,
}

impl Wanted {
    /// Returns the predicate for its rows within a span.
    fn condition(&self, span: Span) -> String {
        let mut condition = time::between(UnixMillis(span.from), UnixMillis(span.to));
        for (column, names) in [("exchange", &self.exchanges), ("symbol", &self.symbols)] {
            if !names.is_empty() {
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                condition.push_str(&format!(" AND {column} IN ({})", names.join(", ")));
            }
        }
        condition
    }

    /// Returns the query for the starts of slices that have rows, and how many each has.
    ///
    /// What is on its way out of the hot store belongs to it. The cold store usually has a part of what the hot one has, or all
    /// of it and more: the larger count is the number of rows, or not far below.
    pub(super) fn counts(&self, tiers: &[Tier], span: Span, width: i64) -> String {
        let sides: Vec<String> = tiers
            .iter()
            .map(|tier| {
                format!(
                    "SELECT intDiv(toUnixTimestamp64Milli(timestamp), {width}) * {width} AS start, {} AS is_cold FROM {} WHERE {}",
                    u8::from(*tier == Tier::Cold),
                    self.table(*tier),
                    self.condition(span)
                )
            })
            .collect();
        format!(
            "SELECT start, greatest(countIf(is_cold = 0), countIf(is_cold = 1)) AS rows FROM ({}) GROUP BY start ORDER BY start",
            sides.join(" UNION ALL ")
        )
    }

    /// Returns the query for the rows of a window in order of time, each identity once.
    ///
    /// The hot store is read first and the cold one last. So whatever moves meanwhile is met at least once, and what is met
    /// twice is dropped by its identity.
    pub(super) fn rows(&self, tiers: &[Tier], span: Span, format: ExportFormat) -> String {
        let columns = self.columns(format);
        let sides: Vec<String> = tiers
            .iter()
            .map(|tier| {
                format!(
                    "SELECT {columns} FROM {} WHERE {}",
                    self.table(*tier),
                    self.condition(span)
                )
            })
            .collect();
        format!(
            "SELECT * FROM ({}) ORDER BY timestamp, exchange, market_type, symbol, {}producer_epoch, producer_seq \
             LIMIT 1 BY producer_epoch, producer_seq",
            sides.join(" UNION ALL "),
            self.natural()
        )
    }

    /// Returns the query for the first and the last moment of which there are rows, whatever the span.
    pub(super) fn extent(&self, tiers: &[Tier]) -> String {
        let all = Span {
            from: i64::MIN,
            to: i64::MAX,
        };
        let sides: Vec<String> = tiers
            .iter()
            .map(|tier| {
                format!(
                    "SELECT timestamp FROM {} WHERE {}",
                    self.table(*tier),
                    self.condition(all)
                )
            })
            .collect();
        format!(
            "SELECT count() AS rows, toUnixTimestamp64Milli(min(timestamp)) AS first, \
             toUnixTimestamp64Milli(max(timestamp)) AS last FROM ({})",
            sides.join(" UNION ALL ")
        )
    }

    fn table(&self, tier: Tier) -> String {
        format!("{}.{}", tier.database(), self.data_type.table())
    }

    /// A comma-separated file has no place for lists: levels stand there as the JSON text that the original had.
    fn columns(&self, format: ExportFormat) -> &'static str {
        match (self.data_type, format) {
            (DataType::OrderBook, ExportFormat::Csv) => "* EXCEPT (bid_levels, ask_levels), bids, asks",
            _ => "*",
        }
    }

    /// What orders rows of a market and a moment: the venue's own number, where it is one.
    fn natural(&self) -> &'static str {
        match self.data_type {
            DataType::OrderBook => "last_update_id, ",
            DataType::Trade => "trade_seq, toUInt64OrZero(trade_id), ",
            _ => "",
        }
    }

    /// Returns about how many bytes a row takes in the store's memory.
    pub(super) fn row_bytes(&self) -> u64 {
        match self.data_type {
            DataType::OrderBook => 26_000,
            _ => 280,
        }
    }
}

/// Writes a text as an SQL literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(data_type: DataType) -> Wanted {
        Wanted {
            data_type,
            span: Span { from: 0, to: 10 },
            exchanges: vec!["okx_spot".into(), "it's".into()],
            symbols: Vec::new(),
        }
    }

    #[test]
    fn a_filter_is_quoted_and_absent_where_nothing_is_named() {
        let text = wanted(DataType::Trade).rows(&[Tier::Hot], Span { from: 0, to: 10 }, ExportFormat::Csv);
        assert!(text.contains("exchange IN ('okx_spot', 'it\\'s')"), "{text}");
        assert!(!text.contains("symbol IN"), "{text}");
        assert!(
            text.contains("SELECT * FROM marketprism_hot.trades WHERE day"),
            "{text}"
        );
    }

    #[test]
    fn levels_are_lists_where_the_form_has_them() {
        let span = Span { from: 0, to: 10 };
        let csv = wanted(DataType::OrderBook).rows(&[Tier::Hot, Tier::Cold], span, ExportFormat::Csv);
        assert!(csv.contains("EXCEPT (bid_levels, ask_levels), bids, asks FROM marketprism_cold.orderbooks"));
        let parquet = wanted(DataType::OrderBook).rows(&[Tier::Hot], span, ExportFormat::Parquet);
        assert!(!parquet.contains("EXCEPT"), "{parquet}");
    }
}
