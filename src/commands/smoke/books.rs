//! Stored order books against the simulator's book at the same update.

use std::collections::HashMap;
use std::net::SocketAddr;

use mprism_collector::wire::Sizing;
use mprism_model::Decimal;
use serde::Deserialize;

use super::reconcile::{Reconciled, WITHIN, ask_with};
use crate::commands::store::Reader;
use crate::error::CliError;

/// Books that are compared at once: they have 40 KB each, on both sides.
const PORTION: usize = 200;

#[derive(Deserialize)]
struct Series {
    exchange: String,
    symbol: String,
}

#[derive(Deserialize)]
struct UpdateId {
    id: u64,
    rows: u64,
}

/// A book as either side tells it: its update id, bids and asks as price and quantity.
#[derive(Debug, Deserialize)]
struct Told {
    id: String,
    #[serde(default)]
    bids: Vec<(String, String)>,
    #[serde(default)]
    asks: Vec<(String, String)>,
    /// Why the simulator cannot tell it.
    error: Option<String>,
}

/// Returns what the simulator's sizes are worth: its OKX swaps are contracts of a hundredth of a bitcoin and a tenth of an ether, its
/// Deribit perpetuals are traded in dollars.
fn sizing(exchange: &str, symbol: &str) -> Sizing {
    let linear = |text: &str| text.parse().map_or(Sizing::Base, Sizing::Linear);
    match exchange {
        "okx_derivatives" if symbol.starts_with("BTC-") => linear("0.01"),
        "okx_derivatives" => linear("0.1"),
        "deribit_derivatives" => "1".parse().map_or(Sizing::Base, Sizing::Inverse),
        _ => Sizing::Base,
    }
}

/// Compares every stored book with the truth: each level it has, by value.
pub(super) async fn reconcile_books(
    truth: SocketAddr,
    reader: &Reader,
    found: &mut Reconciled,
) -> Result<(), CliError> {
    let series = "SELECT DISTINCT exchange, symbol FROM marketprism_hot.orderbooks ORDER BY exchange, symbol";
    let mut rows = 0;
    for Series { exchange, symbol } in reader.rows(series, WITHIN).await? {
        let place = format!("exchange = '{exchange}' AND symbol = '{symbol}'");
        let ids = format!(
            "SELECT last_update_id AS id, count() AS rows FROM marketprism_hot.orderbooks WHERE {place} GROUP BY id ORDER BY id"
        );
        let ids: Vec<UpdateId> = reader.rows(&ids, WITHIN).await?;
        rows += ids.iter().map(|id| id.rows).sum::<u64>();
        for doubled in ids.iter().filter(|id| id.rows > 1) {
            found.duplicated += doubled.rows - 1;
            found.tell(|| format!("book {} of {symbol} is doubled", doubled.id));
        }
        for portion in ids.chunks(PORTION) {
            compare_portion(truth, reader, (&exchange, &symbol), portion, found).await?;
        }
    }
    found.rows.insert("orderbook".into(), rows);
    Ok(())
}

async fn compare_portion(
    truth: SocketAddr,
    reader: &Reader,
    (exchange, symbol): (&str, &str),
    ids: &[UpdateId],
    found: &mut Reconciled,
) -> Result<(), CliError> {
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
        return Ok(());
    };
    let levels =
        |name: &str| format!("arrayMap(l -> (toString(l.price), toString(l.quantity)), {name}_levels) AS {name}s");
    let query = format!(
        "SELECT toString(last_update_id) AS id, {}, {} FROM marketprism_hot.orderbooks WHERE exchange = '{exchange}' AND \
         symbol = '{symbol}' AND last_update_id BETWEEN {} AND {} ORDER BY last_update_id LIMIT 1 BY last_update_id",
        levels("bid"),
        levels("ask"),
        first.id,
        last.id
    );
    let stored: Vec<Told> = reader.rows(&query, WITHIN).await?;
    let path = format!("/truth/books?exchange={exchange}&symbol={symbol}&levels=400");
    let wanted: Vec<u64> = ids.iter().map(|id| id.id).collect();
    let body = serde_json::to_string(&wanted).map_err(|e| CliError::failed("truth", e))?;
    let told = ask_with(truth, &path, Some(body)).await?;
    let told = told.lines().map(|line| {
        let truth: Told = serde_json::from_str(line).map_err(|e| CliError::failed("truth", e))?;
        Ok((truth.id.clone(), truth))
    });
    let mut told = told.collect::<Result<HashMap<String, Told>, CliError>>()?;
    let sizing = sizing(exchange, symbol);
    for book in stored {
        let Some(truth) = told.remove(&book.id) else {
            found.wrong_books += 1;
            found.tell(|| format!("book {} of {symbol}: the simulator does not tell of it", book.id));
            continue;
        };
        if let Some(why) = difference(&book, &truth, sizing)? {
            found.wrong_books += 1;
            found.tell(|| format!("book {} of {symbol}: {why}", book.id));
        }
    }
    Ok(())
}

/// Says in what a stored book is not the truth, if in anything.
fn difference(stored: &Told, truth: &Told, sizing: Sizing) -> Result<Option<String>, CliError> {
    if let Some(error) = &truth.error {
        return Ok(Some(error.clone()));
    }
    for (side, mine, theirs) in [("bid", &stored.bids, &truth.bids), ("ask", &stored.asks, &truth.asks)] {
        if mine.is_empty() || mine.len() > theirs.len() {
            return Ok(Some(format!("{} {side}s of {}", mine.len(), theirs.len())));
        }
        for (at, (mine, theirs)) in mine.iter().zip(theirs).enumerate() {
            let values = [&mine.0, &theirs.0, &mine.1, &theirs.1].map(|text| text.parse::<Decimal>());
            let [Ok(price), Ok(true_price), Ok(quantity), Ok(true_quantity)] = values else {
                return Err(CliError::failed(
                    "reconcile",
                    anyhow::anyhow!("a level is no number: {mine:?}"),
                ));
            };
            if price != true_price || sizing.base(true_quantity, true_price) != Some(quantity) {
                let (p, q) = theirs;
                return Ok(Some(format!("{side} {at} is {quantity} at {price}, not {q} at {p}")));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Told {
        let levels = |levels: &[(&str, &str)]| levels.iter().map(|(p, q)| (p.to_string(), q.to_string())).collect();
        Told {
            id: "7".into(),
            bids: levels(bids),
            asks: levels(asks),
            error: None,
        }
    }

    #[test]
    fn a_book_is_true_as_far_as_it_goes_or_it_is_wrong() {
        let truth = told(&[("10.00", "1.50"), ("9", "2")], &[("11", "3")]);
        let wrong = |stored: &Told| difference(stored, &truth, Sizing::Base).expect("comparable");
        assert_eq!(wrong(&told(&[("10", "1.5"), ("9", "2")], &[("11", "3")])), None);
        assert_eq!(
            wrong(&told(&[("10", "1.5")], &[("11", "3")])),
            None,
            "fewer levels, all of them true"
        );
        for stored in [
            told(&[("10", "1.6")], &[("11", "3")]),
            told(&[("9", "2")], &[("11", "3")]),
            told(&[("10", "1.5")], &[]),
            told(&[("10", "1.5"), ("9", "2"), ("8", "1")], &[("11", "3")]),
        ] {
            assert!(wrong(&stored).is_some(), "{stored:?}");
        }
    }
}
