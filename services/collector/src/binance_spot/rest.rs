//! What Binance spot is asked over REST: <https://developers.binance.com/docs/binance-spot-api-docs/rest-api>.

use std::sync::Arc;

use mprism_model::{InstrumentId, Source, UnixNanos};
use mprism_runtime::clock;

use super::parse::{parse_depth, parse_rest_trades};
use crate::binance::Weighed;
use crate::orderbook::Snapshot;
use crate::rest::{Budget, Client, History, RestError};
use crate::wire::Said;

/// Request weight per minute and address.
pub(crate) const WEIGHT_PER_MINUTE: u32 = 6_000;
/// Weight of `historicalTrades`.
const TRADES_WEIGHT: u32 = 25;

/// Binance spot's history.
#[derive(Debug)]
pub(crate) struct Rest {
    client: Client,
    budget: Arc<Budget>,
    /// Levels a side of a snapshot.
    snapshot_limit: usize,
}

impl Rest {
    pub(crate) fn new(base: String, snapshot_limit: usize, budget: Arc<Budget>) -> Result<Self, RestError> {
        Ok(Self {
            client: Client::new(base)?,
            budget,
            snapshot_limit,
        })
    }
}

impl History for Rest {
    const TRADES_MAX: usize = 1_000;

    async fn snapshot(&self, instrument: &InstrumentId) -> Result<Snapshot, RestError> {
        let limit = self.snapshot_limit.to_string();
        let query = [("symbol", instrument.as_str()), ("limit", &limit)];
        let weight = depth_weight(self.snapshot_limit);
        let path = "/api/v3/depth";
        let body = self.client.get::<Weighed>(&self.budget, path, &query, weight).await?;
        Ok(parse_depth(&body, self.snapshot_limit)?)
    }

    async fn trades(&self, instrument: &InstrumentId, from: u64, _to: u64) -> Result<Vec<Said>, RestError> {
        let (from, limit) = (from.to_string(), Self::TRADES_MAX.to_string());
        let query = [("symbol", instrument.as_str()), ("fromId", &from), ("limit", &limit)];
        let path = "/api/v3/historicalTrades";
        let body = self
            .client
            .get::<Weighed>(&self.budget, path, &query, TRADES_WEIGHT)
            .await?;
        let received = Some(UnixNanos(clock::now_ns()));
        let text = std::str::from_utf8(&body).map_err(|e| RestError::Answer(e.into()))?;
        let trades = parse_rest_trades(text, instrument.as_str(), received, Source::Backfill)?;
        let numbered = trades.into_iter().map(|trade| {
            let number = trade.trade_id.parse().map_err(|e| RestError::Answer(Box::new(e)))?;
            Ok(Said::Trade {
                trade: Box::new(trade),
                number,
                is_sized: true,
            })
        });
        numbered.collect()
    }
}

/// The weight of a snapshot grows with its levels.
fn depth_weight(limit: usize) -> u32 {
    match limit {
        0..=100 => 5,
        101..=500 => 25,
        501..=1_000 => 50,
        _ => 250,
    }
}
