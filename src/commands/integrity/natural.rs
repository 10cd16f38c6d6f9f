//! What the rows of each type are told apart by, in SQL.

use mprism_model::DataType;

/// What a type's rows are told apart by.
pub(super) struct Natural {
    /// Columns that name an event.
    pub(super) id: &'static str,
    /// What rows of one id have in common if they are the same.
    pub(super) content: &'static str,
    /// A subquery of `exchange, symbol, from_id, to_id`: where the sequence is broken; `{}` is the table and its condition. `None`
    /// of what has no sequence.
    pub(super) holes: Option<&'static str>,
}

/// Trades are numbered without holes: by their ids, or by a number of their own where the venue has one.
const TRADES: Natural = Natural {
    id: "trade_id",
    content: "trade_id, price, quantity, side, trade_time",
    holes: Some(
        "SELECT exchange, symbol, prev + 1 AS from_id, id - 1 AS to_id FROM (SELECT exchange, symbol, id, \
         lagInFrame(id) OVER (PARTITION BY exchange, market_type, symbol ORDER BY id ROWS BETWEEN 1 PRECEDING AND \
         CURRENT ROW) AS prev FROM (SELECT DISTINCT exchange, market_type, symbol, \
         if(trade_seq > 0, trade_seq, toUInt64OrZero(trade_id)) AS id FROM {})) WHERE prev > 0 AND id > prev + 1",
    ),
};

/// Every book continues the one published before, or begins a chain: what lies between is known to be missing. In the order of
/// publishing, because a venue may begin its numbers anew.
const BOOKS: Natural = Natural {
    id: "last_update_id",
    // The touch instead of all levels: reading these would take as long as reading the whole table.
    content: "last_update_id, bids_count, asks_count, best_bid_price, best_bid_quantity, best_ask_price, best_ask_quantity",
    holes: Some(
        "SELECT exchange, symbol, prev + 1 AS from_id, if(update_type = 'snapshot', last_update_id, prev_update_id) AS \
         to_id FROM (SELECT exchange, symbol, last_update_id, prev_update_id, update_type, lagInFrame(last_update_id) \
         OVER (PARTITION BY exchange, market_type, symbol ORDER BY producer_epoch, producer_seq ROWS BETWEEN 1 PRECEDING \
         AND CURRENT ROW) AS prev FROM {}) WHERE prev > 0 AND to_id > prev",
    ),
};

const FUNDING_RATES: Natural = Natural {
    id: "timestamp, kind",
    content: "timestamp, kind, funding_rate",
    holes: None,
};

const OPEN_INTERESTS: Natural = Natural {
    id: "timestamp",
    content: "timestamp, open_interest",
    holes: None,
};

const LIQUIDATIONS: Natural = Natural {
    id: "liquidation_id",
    content: "liquidation_id, timestamp, side, price, quantity",
    holes: None,
};

/// Of a period there may be a revised value: both are kept.
const RATIOS: Natural = Natural {
    id: "period_ts, period",
    content: "period_ts, period, long_short_ratio",
    holes: None,
};

const VOLATILITY_INDICES: Natural = Natural {
    id: "timestamp",
    content: "timestamp, index_value",
    holes: None,
};

impl Natural {
    /// Returns what tells a type's rows apart; `None` of the ledger, whose rows are versions.
    pub(super) fn of(data_type: DataType) -> Option<&'static Self> {
        Some(match data_type {
            DataType::Trade => &TRADES,
            DataType::OrderBook => &BOOKS,
            DataType::FundingRate => &FUNDING_RATES,
            DataType::OpenInterest => &OPEN_INTERESTS,
            DataType::Liquidation => &LIQUIDATIONS,
            DataType::LsrTopPosition | DataType::LsrAllAccount => &RATIOS,
            DataType::VolatilityIndex => &VOLATILITY_INDICES,
            DataType::Gap => return None,
        })
    }
}
