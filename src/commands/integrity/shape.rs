//! What is known of each type before anything is looked at, in SQL: what its rows are told apart by, how often they come, and what
//! each venue always says.

use mprism_model::DataType;

/// What a type's rows are told apart by, and how.
#[derive(Debug)]
pub(super) struct Shape {
    /// Columns that name an event.
    pub(super) id: &'static str,
    /// What rows of one id have in common if they are the same.
    pub(super) content: &'static str,
    /// How many different ids there are. Bitmaps are exact, and small where times and numbers stand close together: years of them
    /// fit into what a reader may take of the engine's memory.
    pub(super) distinct: &'static str,
    /// The number of an event within its market, 0 where one has none. Of types that are numbered.
    pub(super) number: Option<&'static str>,
    /// How long a market may be silent, in minutes; `None` of what need not happen. An hour is a multiple of it.
    pub(super) bucket_minutes: Option<i64>,
    /// Whether the event time is the venue's, so that it grows.
    pub(super) has_venue_time: bool,
    /// What is wrong with a row if it holds.
    rules: &'static [Rule],
}

/// What a venue always says, and what is wrong where a row does not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The column that is wrong then.
    pub(crate) column: &'static str,
    /// Holds where it is wrong.
    pub(crate) wrong: &'static str,
    /// In words.
    pub(crate) says: &'static str,
}

const fn rule(column: &'static str, wrong: &'static str, says: &'static str) -> Rule {
    Rule { column, wrong, says }
}

/// Before the first venue of ours existed there was no event: 2010, in milliseconds since the epoch.
const COMMON: &[Rule] = &[
    rule("exchange", "exchange = ''", "no exchange"),
    rule("symbol", "symbol = ''", "no symbol"),
    rule(
        "timestamp",
        "toUnixTimestamp64Milli(timestamp) < 1262304000000",
        "an event time before 2010",
    ),
];

const SIDE: Rule = rule(
    "side",
    "side NOT IN ('buy', 'sell')",
    "a side that is neither buy nor sell",
);
const PRICE: Rule = rule("price", "price <= 0", "no price");
const QUANTITY: Rule = rule("quantity", "quantity <= 0", "no quantity");

const BY_TIME: &str = "groupBitmap(toUInt64(toUnixTimestamp64Milli(timestamp)))";

/// Trades are numbered without holes: by their ids, or by a number of their own where the venue has one.
const TRADES: Shape = Shape {
    id: "trade_id",
    content: "trade_id, price, quantity, side, trade_time",
    distinct: "groupBitmapIf(if(trade_seq > 0, trade_seq, toUInt64OrZero(trade_id)), trade_seq > 0 OR toUInt64OrZero(trade_id) > 0) \
               + uniqExactIf(cityHash64(trade_id), trade_seq = 0 AND toUInt64OrZero(trade_id) = 0)",
    number: Some("if(trade_seq > 0, trade_seq, toUInt64OrZero(trade_id))"),
    bucket_minutes: Some(60),
    has_venue_time: true,
    rules: &[PRICE, QUANTITY, SIDE, rule("trade_id", "trade_id = ''", "no id")],
};

/// Every book continues the one published before, or begins a chain: what lies between is known to be missing.
const BOOKS: Shape = Shape {
    id: "last_update_id",
    // The touch instead of all levels: reading these would take as long as reading the whole table.
    content: "last_update_id, bids_count, asks_count, best_bid_price, best_bid_quantity, best_ask_price, best_ask_quantity",
    distinct: "groupBitmap(last_update_id)",
    number: Some("last_update_id"),
    bucket_minutes: Some(5),
    has_venue_time: true,
    rules: &[
        rule("best_bid_price", "best_bid_price <= 0", "no best bid"),
        rule("best_ask_price", "best_ask_price <= 0", "no best ask"),
        rule(
            "best_bid_quantity",
            "best_bid_quantity <= 0",
            "no quantity at the best bid",
        ),
        rule(
            "best_ask_quantity",
            "best_ask_quantity <= 0",
            "no quantity at the best ask",
        ),
        rule(
            "crossed",
            "best_bid_price >= best_ask_price AND best_ask_price > 0",
            "a best bid that is not below the best ask",
        ),
        rule("last_update_id", "last_update_id = 0", "no update id"),
    ],
};

/// Binance and Deribit say mark and index price with the running rate, OKX says neither (its channel has no such field).
const FUNDING_RATES: Shape = Shape {
    id: "timestamp, kind",
    content: "timestamp, kind, funding_rate",
    distinct: "groupBitmap(toUInt64(toUnixTimestamp64Milli(timestamp) * 2 + (kind = 'settled')))",
    number: None,
    bucket_minutes: Some(5),
    has_venue_time: true,
    rules: &[
        rule(
            "kind",
            "kind NOT IN ('estimated', 'settled')",
            "a kind that there is not",
        ),
        rule(
            "funding_rate",
            "abs(funding_rate) > 1",
            "a rate of more than a position",
        ),
        rule(
            "mark_price",
            "mark_price <= 0 AND kind = 'estimated' AND exchange IN ('binance_derivatives', 'deribit_derivatives')",
            "no mark price, which the venue says",
        ),
        rule(
            "index_price",
            "index_price <= 0 AND kind = 'estimated' AND exchange IN ('binance_derivatives', 'deribit_derivatives')",
            "no index price, which the venue says",
        ),
    ],
};

/// OKX says the value in dollars itself; Deribit's follows from what its ticker says beside it.
const OPEN_INTERESTS: Shape = Shape {
    id: "timestamp",
    content: "timestamp, open_interest",
    distinct: BY_TIME,
    number: None,
    bucket_minutes: Some(5),
    has_venue_time: true,
    rules: &[
        rule("open_interest", "open_interest <= 0", "no open interest"),
        rule(
            "open_interest_value",
            "open_interest_value <= 0 AND source = 'ws' AND market_type = 'perpetual' \
             AND exchange IN ('okx_derivatives', 'deribit_derivatives')",
            "no value in dollars, which the venue says",
        ),
        rule(
            "mark_price",
            "mark_price <= 0 AND source = 'ws' AND exchange = 'deribit_derivatives'",
            "no mark price, which the venue says",
        ),
    ],
};

/// The price of an OKX liquidation is that of the bankruptcy, which is stored as such, too.
const LIQUIDATIONS: Shape = Shape {
    id: "liquidation_id",
    content: "liquidation_id, timestamp, side, price, quantity",
    distinct: "uniqExact(cityHash64(liquidation_id))",
    number: None,
    bucket_minutes: None,
    has_venue_time: false,
    rules: &[
        PRICE,
        QUANTITY,
        SIDE,
        rule("liquidation_id", "liquidation_id = ''", "no id"),
        rule(
            "bankruptcy_price",
            "bankruptcy_price <= 0 AND exchange = 'okx_derivatives'",
            "no bankruptcy price, which the venue says",
        ),
    ],
};

/// The rounding of shares that the venues say with four places.
const TOP_POSITIONS: Shape = Shape {
    rules: &[
        rule("period", "period = ''", "no period"),
        rule(
            "period_ts",
            "toUnixTimestamp64Milli(period_ts) <= 0",
            "no time of its period",
        ),
        rule(
            "long_position_ratio",
            "abs(long_position_ratio + short_position_ratio - 1) > 0.001",
            "shares that do not add up to 1",
        ),
    ],
    ..ALL_ACCOUNTS
};

/// Of a period there may be a revised value: both are kept.
const ALL_ACCOUNTS: Shape = Shape {
    id: "period_ts, period",
    content: "period_ts, period, long_short_ratio",
    distinct: "uniqExact(period_ts, period)",
    number: None,
    bucket_minutes: Some(15),
    has_venue_time: false,
    rules: &[
        rule("period", "period = ''", "no period"),
        rule(
            "period_ts",
            "toUnixTimestamp64Milli(period_ts) <= 0",
            "no time of its period",
        ),
        rule(
            "long_account_ratio",
            "abs(long_account_ratio + short_account_ratio - 1) > 0.001",
            "shares that do not add up to 1",
        ),
    ],
};

const VOLATILITY_INDICES: Shape = Shape {
    id: "timestamp",
    content: "timestamp, index_value",
    distinct: BY_TIME,
    number: None,
    bucket_minutes: Some(5),
    has_venue_time: true,
    rules: &[
        rule("index_value", "index_value <= 0", "no value"),
        rule("underlying_asset", "underlying_asset = ''", "no underlying asset"),
    ],
};

/// The ledger's rows are versions of gaps.
const GAPS: Shape = Shape {
    id: "gap_id, version",
    content: "gap_id, version, state",
    distinct: "uniqExact(cityHash64(gap_id, version))",
    number: None,
    bucket_minutes: None,
    has_venue_time: false,
    rules: &[],
};

/// Columns that every look at a table needs.
const NEEDED: &[&str] = &[
    "timestamp",
    "exchange",
    "market_type",
    "symbol",
    "ts_insert",
    "source",
    "producer_epoch",
    "producer_seq",
    "day",
];

impl Shape {
    /// Returns what is known of a type.
    pub(super) fn of(data_type: DataType) -> &'static Self {
        match data_type {
            DataType::Trade => &TRADES,
            DataType::OrderBook => &BOOKS,
            DataType::FundingRate => &FUNDING_RATES,
            DataType::OpenInterest => &OPEN_INTERESTS,
            DataType::Liquidation => &LIQUIDATIONS,
            DataType::LsrTopPosition => &TOP_POSITIONS,
            DataType::LsrAllAccount => &ALL_ACCOUNTS,
            DataType::VolatilityIndex => &VOLATILITY_INDICES,
            DataType::Gap => &GAPS,
        }
    }

    /// Returns the rules that a table with these columns can be held against.
    pub(super) fn rules(&self, columns: &[String]) -> Vec<Rule> {
        let is_there =
            |rule: &&Rule| words(rule.wrong).all(|word| !is_column(word) || columns.iter().any(|c| c == word));
        let rules = COMMON.iter().chain(self.rules);
        rules.filter(is_there).copied().collect()
    }

    /// Returns whether a table with these columns can be looked at.
    pub(super) fn can_be_read(&self, columns: &[String]) -> bool {
        let texts = [self.id, self.content, self.number.unwrap_or_default()];
        let named = texts.into_iter().flat_map(words).filter(|word| is_column(word));
        let mut needed = NEEDED.iter().copied().chain(named);
        needed.all(|name| columns.iter().any(|column| column == name))
    }
}

fn words(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
}

/// Columns of ours are lower case with nothing else; functions that are too are few.
fn is_column(word: &str) -> bool {
    let values = [
        "buy",
        "sell",
        "estimated",
        "settled",
        "perpetual",
        "ws",
        "abs",
        "if",
        "binance_derivatives",
        "okx_derivatives",
        "deribit_derivatives",
    ];
    let is_plain = word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    is_plain && !values.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mprism_clickhouse::{Tier, columns_of};

    fn columns(data_type: DataType) -> Vec<String> {
        let columns = columns_of(Tier::Hot, data_type.table()).into_iter();
        columns.map(|column| column.name).collect()
    }

    #[test]
    fn every_type_can_be_read_by_what_the_schema_makes_and_held_against_all_rules() {
        for &data_type in DataType::ALL {
            let shape = Shape::of(data_type);
            let columns = columns(data_type);
            assert!(shape.can_be_read(&columns), "{data_type}");
            assert_eq!(
                shape.rules(&columns).len(),
                COMMON.len() + shape.rules.len(),
                "{data_type}"
            );
        }
    }

    #[test]
    fn a_column_that_is_gone_takes_its_rules_along_and_nothing_else() {
        let mut without = columns(DataType::Liquidation);
        without.retain(|name| name != "bankruptcy_price");
        let shape = Shape::of(DataType::Liquidation);
        assert_eq!(shape.rules(&without).len(), COMMON.len() + shape.rules.len() - 1);
        assert!(shape.can_be_read(&without));
        without.retain(|name| name != "liquidation_id");
        assert!(!shape.can_be_read(&without), "it tells rows apart");
    }
}
