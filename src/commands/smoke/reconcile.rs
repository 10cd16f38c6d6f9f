//! What the simulator sent against what can be read.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use mprism_model::Decimal;
use serde::{Deserialize, Serialize};

use super::books::reconcile_books;
use super::series::reconcile_series;
use crate::commands::store::Reader;
use crate::error::CliError;

/// How long one answer may take.
pub(super) const WITHIN: Duration = Duration::from_secs(120);

/// What truth and store say about each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Rows of each data type in the store.
    pub rows: BTreeMap<String, u64>,
    /// Events that were sent and have no row equal to them.
    pub lost: u64,
    /// Rows beyond one for each event that was sent, and rows of what was never sent.
    pub duplicated: u64,
    /// Stored order books that are not the simulator's at the same update.
    pub wrong_books: u64,
    /// The first differences, in words.
    pub findings: Vec<String>,
}

/// Differences that are told; the counts hold all of them.
const FINDINGS_MAX: usize = 10;

/// What the simulator sent: type, exchange, symbol, count.
pub(super) type Counts = BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>>;

#[derive(Deserialize)]
struct Sent {
    id: String,
    price: String,
    quantity: String,
    side: String,
}

#[derive(Deserialize)]
struct Stored {
    trade_id: String,
    price: String,
    quantity: String,
    side: String,
}

/// One trade as both sides say it: decimals by value.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    price: Decimal,
    quantity: Decimal,
    side: String,
}

impl Said {
    fn new(price: &str, quantity: &str, side: String) -> Result<Self, CliError> {
        let decimal = |text: &str| {
            text.parse()
                .map_err(|e| CliError::failed("reconcile", anyhow::Error::new(e)))
        };
        Ok(Self {
            price: decimal(price)?,
            quantity: decimal(quantity)?,
            side,
        })
    }
}

/// Compares every event that the simulator at `truth` sent with the rows of the ClickHouse at `store`.
///
/// # Errors
/// Where one of them does not answer.
pub async fn reconcile(truth: SocketAddr, store: &str) -> Result<Reconciled, CliError> {
    let reader = Reader::at(store)?;
    let mut found = Reconciled::default();
    let mut stored_rows = 0;
    let mut told = counts(truth).await?;
    for (exchange, symbols) in told.remove("trade").unwrap_or_default() {
        for symbol in symbols.into_keys() {
            let mut sent = sent(truth, &exchange, &symbol).await?;
            // The number and the size are the venue's, as the simulator tells them.
            let query = format!(
                "SELECT if(trade_seq > 0, toString(trade_seq), trade_id) AS trade_id, toString(price) AS price, \
                 toString(if(contracts > 0, contracts, quantity)) AS quantity, side FROM marketprism_hot.trades \
                 WHERE exchange = '{exchange}' AND symbol = '{symbol}'"
            );
            let stored: Vec<Stored> = reader.rows(&query, WITHIN).await?;
            stored_rows += stored.len() as u64;
            forget_unheard(&exchange, &mut sent, &stored);
            compare(&symbol, &mut sent, stored, &mut found)?;
        }
    }
    let query = "SELECT count() AS rows FROM marketprism_hot.trades";
    let all: RowCount = reader.row(query, WITHIN).await?;
    let foreign = all.rows.saturating_sub(stored_rows);
    found.duplicated += foreign;
    if foreign > 0 {
        found.tell(|| format!("{foreign} rows of symbols that were never sent"));
    }
    found.rows.insert("trade".into(), all.rows);
    reconcile_books(truth, &reader, &mut found).await?;
    reconcile_series(truth, &reader, &mut told, &mut found).await?;
    Ok(found)
}

#[derive(Deserialize)]
struct RowCount {
    rows: u64,
}

impl Reconciled {
    pub(super) fn tell(&mut self, finding: impl FnOnce() -> String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding());
        }
    }
}

/// Forgets what was sent before the first stored trade, where a venue's market begins with whoever subscribes to anything of it
/// and trades have a connection of their own: a first life has missed nothing before it listens.
fn forget_unheard(exchange: &str, sent: &mut HashMap<String, (Said, bool)>, stored: &[Stored]) {
    if exchange == "binance_spot" {
        return;
    }
    let number = |id: &str| id.parse::<u64>().unwrap_or(u64::MAX);
    if let Some(first) = stored.iter().map(|row| number(&row.trade_id)).min() {
        sent.retain(|id, _| number(id) >= first);
    }
}

/// Takes each stored row's event out of what was sent; what is left was lost.
fn compare(
    symbol: &str,
    sent: &mut HashMap<String, (Said, bool)>,
    stored: Vec<Stored>,
    found: &mut Reconciled,
) -> Result<(), CliError> {
    for row in stored {
        let said = Said::new(&row.price, &row.quantity, row.side)?;
        match sent.get_mut(&row.trade_id) {
            Some((truth, is_stored)) if *truth == said && !*is_stored => *is_stored = true,
            Some((truth, _)) => {
                found.duplicated += 1;
                let same = if *truth == said {
                    "doubled"
                } else {
                    "not as it was sent"
                };
                found.tell(|| format!("trade {} of {symbol} is {same}", row.trade_id));
            }
            None => {
                found.duplicated += 1;
                found.tell(|| format!("trade {} of {symbol} was never sent", row.trade_id));
            }
        }
    }
    for (id, _) in sent.iter().filter(|(_, (_, is_stored))| !is_stored) {
        found.lost += 1;
        found.tell(|| format!("trade {id} of {symbol} is lost"));
    }
    Ok(())
}

/// Returns how much the simulator has sent.
pub(super) async fn counts(truth: SocketAddr) -> Result<Counts, CliError> {
    let body = ask(truth, "/truth/counts").await?;
    serde_json::from_str(&body).map_err(|e| CliError::failed("truth", e).context("the simulator's counts"))
}

async fn sent(truth: SocketAddr, exchange: &str, symbol: &str) -> Result<HashMap<String, (Said, bool)>, CliError> {
    let path = format!("/truth/events?type=trade&exchange={exchange}&symbol={symbol}");
    let body = ask(truth, &path).await?;
    let mut sent = HashMap::new();
    for line in body.lines() {
        let event: Sent = serde_json::from_str(line).map_err(|e| CliError::failed("truth", e))?;
        let said = Said::new(&event.price, &event.quantity, event.side)?;
        sent.insert(event.id, (said, false));
    }
    Ok(sent)
}

async fn ask(truth: SocketAddr, path: &str) -> Result<String, CliError> {
    ask_with(truth, path, None).await
}

/// Asks the simulator, with a body where one is given.
pub(super) async fn ask_with(truth: SocketAddr, path: &str, body: Option<String>) -> Result<String, CliError> {
    let failed = |e: reqwest::Error| {
        CliError::failed("truth_unreachable", e).context(format!("cannot ask the simulator at {truth}"))
    };
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(WITHIN)
        .build()
        .map_err(failed)?;
    let url = format!("http://{truth}{path}");
    let request = match body {
        Some(body) => http.post(url).body(body),
        None => http.get(url),
    };
    let answer = request.send().await.map_err(failed)?;
    answer.error_for_status().map_err(failed)?.text().await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said {
        Said::new("1.50", "2", "buy".into()).expect("valid")
    }

    fn row(id: &str, price: &str) -> Stored {
        Stored {
            trade_id: id.into(),
            price: price.into(),
            quantity: "2.000".into(),
            side: "buy".into(),
        }
    }

    #[test]
    fn every_difference_is_counted_on_its_side() {
        let mut sent = HashMap::from(["1", "2", "3"].map(|id| (id.to_owned(), (said(), false))));
        let rows = vec![row("1", "1.5"), row("1", "1.5"), row("2", "1.6"), row("9", "1.5")];
        let mut found = Reconciled::default();
        compare("X", &mut sent, rows, &mut found).expect("comparable");
        // 2 is wrong, so it is lost and its row is one too many; 3 is lost; 1 is doubled; 9 was never sent.
        assert_eq!((found.lost, found.duplicated), (2, 3));
        assert_eq!(found.findings.len(), 5);
    }
}
