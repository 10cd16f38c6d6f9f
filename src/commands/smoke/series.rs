//! Stored observations against what the simulator says there was: whatever is neither a trade nor an order book.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mprism_model::{DataType, Decimal};
use serde::Deserialize;
use serde_json::Value;

use super::reconcile::{Counts, Reconciled, WITHIN, ask_with};
use crate::commands::store::Reader;
use crate::error::CliError;

/// How a type's rows and the simulator's lines are held against each other.
struct Compared {
    data_type: DataType,
    /// The row's moment in milliseconds, and its value, in SQL.
    at: &'static str,
    value: &'static str,
    /// Rows that the simulator tells of, in SQL.
    only: &'static str,
    /// The line's value.
    truth: &'static str,
    /// What has to be there of it.
    whole: Whole,
}

/// What has to be there of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    /// What is stored has to be true; how often the venue is looked at is no fact of the market.
    Sampled,
    /// Everything from the first stored one to the last.
    Between,
    /// Everything from the first stored one on, except while the ledger says that nothing could be heard.
    Ledgered,
}

const COMPARED: [Compared; 6] = [
    Compared {
        data_type: DataType::FundingRate,
        at: "toUnixTimestamp64Milli(timestamp)",
        value: "toString(funding_rate)",
        only: "kind != 'settled'",
        truth: "funding_rate",
        whole: Whole::Sampled,
    },
    Compared {
        data_type: DataType::OpenInterest,
        at: "toUnixTimestamp64Milli(timestamp)",
        value: "toString(if(contracts > 0, contracts, open_interest))",
        only: "1",
        truth: "open_interest",
        whole: Whole::Sampled,
    },
    Compared {
        data_type: DataType::Liquidation,
        at: "toUnixTimestamp64Milli(liquidation_time)",
        value: "toString(if(contracts > 0, contracts, quantity))",
        only: "1",
        truth: "quantity",
        whole: Whole::Ledgered,
    },
    Compared {
        data_type: DataType::LsrTopPosition,
        at: "toUnixTimestamp64Milli(period_ts)",
        value: "toString(long_short_ratio)",
        only: "1",
        truth: "ratio",
        whole: Whole::Between,
    },
    Compared {
        data_type: DataType::LsrAllAccount,
        at: "toUnixTimestamp64Milli(period_ts)",
        value: "toString(long_short_ratio)",
        only: "1",
        truth: "ratio",
        whole: Whole::Between,
    },
    Compared {
        data_type: DataType::VolatilityIndex,
        at: "toUnixTimestamp64Milli(timestamp)",
        value: "toString(index_value)",
        // A candle of the past is no point of the stream.
        only: "source != 'backfill'",
        truth: "volatility",
        whole: Whole::Sampled,
    },
];

#[derive(Deserialize)]
struct Stored {
    at: i64,
    value: String,
}

#[derive(Deserialize)]
struct RowCount {
    rows: u64,
}

#[derive(Deserialize)]
struct Deaf {
    from_ms: i64,
    to_ms: i64,
}

/// Compares every stored observation with the truth.
pub(super) async fn reconcile_series(
    truth: SocketAddr,
    reader: &Reader,
    sent: &mut Counts,
    found: &mut Reconciled,
) -> Result<(), CliError> {
    for compared in &COMPARED {
        let table = compared.data_type.table();
        let count = format!("SELECT count() AS rows FROM marketprism_hot.{table}");
        let all: RowCount = reader.row(&count, WITHIN).await?;
        found.rows.insert(compared.data_type.to_string(), all.rows);
        for (exchange, symbols) in sent.remove(compared.data_type.as_str()).unwrap_or_default() {
            for symbol in symbols.into_keys() {
                one(truth, reader, compared, (&exchange, &symbol), found).await?;
            }
        }
    }
    Ok(())
}

/// Compares one market's.
async fn one(
    truth: SocketAddr,
    reader: &Reader,
    compared: &Compared,
    (exchange, symbol): (&str, &str),
    found: &mut Reconciled,
) -> Result<(), CliError> {
    let data_type = compared.data_type;
    let place = format!("exchange = '{exchange}' AND symbol = '{symbol}'");
    let query = format!(
        "SELECT {} AS at, {} AS value FROM marketprism_hot.{} WHERE {place} AND {} ORDER BY at",
        compared.at,
        compared.value,
        data_type.table(),
        compared.only
    );
    let stored: Vec<Stored> = reader.rows(&query, WITHIN).await?;
    let path = format!("/truth/events?type={data_type}&exchange={exchange}&symbol={symbol}");
    let body = ask_with(truth, &path, None).await?;
    let told = told(&body, compared.truth)?;
    let deaf = format!(
        "SELECT toUnixTimestamp64Milli(from_ts) AS from_ms, toUnixTimestamp64Milli(to_ts) AS to_ms FROM \
         marketprism_hot.gaps_current WHERE {place} AND type = '{data_type}'"
    );
    let deaf: Vec<Deaf> = reader.rows(&deaf, WITHIN).await?;
    // What a ticker repeats carries the ticker's time, not that of the value.
    let is_repeated =
        exchange == "deribit_derivatives" && matches!(data_type, DataType::FundingRate | DataType::OpenInterest);
    let series = Series {
        name: format!("{data_type} of {symbol} on {exchange}"),
        whole: compared.whole,
        is_repeated,
    };
    series.compare(&stored, told, &deaf, found)
}

/// Returns the simulator's values by their moments, and whether each is stored.
fn told(body: &str, value: &str) -> Result<BTreeMap<(i64, Decimal), bool>, CliError> {
    let mut told = BTreeMap::new();
    for line in body.lines() {
        let line: Value = serde_json::from_str(line).map_err(|e| CliError::failed("truth", e))?;
        let text = line[value].as_str().unwrap_or_default();
        told.insert((line["ts_ms"].as_i64().unwrap_or(0), number(text)?), false);
    }
    Ok(told)
}

fn number(text: &str) -> Result<Decimal, CliError> {
    text.parse()
        .map_err(|e| CliError::failed("reconcile", anyhow::Error::new(e)).context(format!("`{text}` is no number")))
}

struct Series {
    name: String,
    whole: Whole,
    /// Whether rows have moments of their own.
    is_repeated: bool,
}

impl Series {
    fn compare(
        &self,
        stored: &[Stored],
        mut told: BTreeMap<(i64, Decimal), bool>,
        deaf: &[Deaf],
        found: &mut Reconciled,
    ) -> Result<(), CliError> {
        let name = &self.name;
        let values: std::collections::HashSet<Decimal> = told.keys().map(|(_, value)| *value).collect();
        for row in stored {
            let value = number(&row.value)?;
            if self.is_repeated {
                let is_before = told.keys().next().is_some_and(|(first, _)| row.at < *first);
                if !is_before && !values.contains(&value) {
                    found.duplicated += 1;
                    found.tell(|| format!("{name}: {value} at {} was never sent", row.at));
                }
                continue;
            }
            let said = match told.get_mut(&(row.at, value)) {
                Some(is_stored) if !*is_stored => {
                    *is_stored = true;
                    continue;
                }
                Some(_) => "is doubled",
                None => "was never sent",
            };
            found.duplicated += 1;
            found.tell(|| format!("{name}: {value} at {} {said}", row.at));
        }
        let (Some(first), Some(last)) = (stored.first(), stored.last()) else {
            return Ok(());
        };
        let is_due = |at: i64| match self.whole {
            Whole::Sampled => false,
            Whole::Between => (first.at..=last.at).contains(&at),
            Whole::Ledgered => {
                let is_deaf = deaf.iter().any(|deaf| (deaf.from_ms..=deaf.to_ms).contains(&at));
                at >= first.at && !is_deaf
            }
        };
        for ((at, value), _) in told.iter().filter(|((at, _), is_stored)| !**is_stored && is_due(*at)) {
            found.lost += 1;
            found.tell(|| format!("{name}: {value} at {at} is lost"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(whole: Whole, is_repeated: bool, stored: &[(i64, &str)], deaf: &[Deaf]) -> (u64, u64) {
        let lines = (1..=5).map(|at| format!(r#"{{"ts_ms": {at}, "v": "{at}.50"}}"#));
        let body: Vec<String> = lines.collect();
        let told = told(&body.join("\n"), "v").expect("lines");
        let stored: Vec<Stored> = stored
            .iter()
            .map(|(at, value)| Stored {
                at: *at,
                value: (*value).into(),
            })
            .collect();
        let series = Series {
            name: "x".into(),
            whole,
            is_repeated,
        };
        let mut found = Reconciled::default();
        series.compare(&stored, told, deaf, &mut found).expect("comparable");
        (found.lost, found.duplicated)
    }

    #[test]
    fn what_is_stored_is_true_and_what_has_to_be_there_is() {
        let rows = [(2, "2.5"), (4, "4.5")];
        assert_eq!(found(Whole::Sampled, false, &rows, &[]), (0, 0));
        assert_eq!(found(Whole::Between, false, &rows, &[]), (1, 0), "3 lies between");
        assert_eq!(found(Whole::Ledgered, false, &rows, &[]), (2, 0), "3 and 5");
        let deaf = [Deaf { from_ms: 5, to_ms: 9 }];
        assert_eq!(found(Whole::Ledgered, false, &rows, &deaf), (1, 0));
        let wrong = [(2, "2.5"), (2, "2.5"), (3, "2.5"), (9, "9.5")];
        assert_eq!(
            found(Whole::Sampled, false, &wrong, &[]),
            (0, 3),
            "doubled, another value, another time"
        );
        assert_eq!(
            found(Whole::Sampled, true, &wrong, &[]),
            (0, 1),
            "only a value that never was"
        );
    }
}
