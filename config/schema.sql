-- The tables: the only source, embedded in the binary. Statements end with a semicolon at the end of a line.
--
-- What is written for `marketprism_hot` is the source of two more databases (crates/clickhouse, `Tier`), so that they cannot
-- drift apart: `marketprism_cold` has the tables of market data partitioned by month, and `marketprism_leaving` has them as
-- they are: a partition that leaves the hot store is moved there to be proven once more, and dropped there.
--
-- No key, partition expression, index or statistic touches `timestamp` itself: on ClickHouse 26 each of those makes
-- `timestamp > now() - INTERVAL …` return wrong rows. `day` partitions, and a function of `timestamp` orders.

CREATE DATABASE IF NOT EXISTS marketprism_hot;

CREATE TABLE IF NOT EXISTS marketprism_hot.orderbooks (
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    exchange LowCardinality(String) CODEC(ZSTD),
    market_type LowCardinality(String) CODEC(ZSTD),
    symbol LowCardinality(String) CODEC(ZSTD),
    last_update_id UInt64 CODEC(Delta, ZSTD),
    bids_count UInt32 CODEC(Delta, ZSTD),
    asks_count UInt32 CODEC(Delta, ZSTD),
    best_bid_price Decimal(38, 18) CODEC(ZSTD),
    best_ask_price Decimal(38, 18) CODEC(ZSTD),
    best_bid_quantity Decimal(38, 18) CODEC(ZSTD),
    best_ask_quantity Decimal(38, 18) CODEC(ZSTD),
    bids String ALIAS concat('[', arrayStringConcat(arrayMap(l -> concat('{"price":"', toString(l.price), '","quantity":"', toString(l.quantity), '"}'), bid_levels), ','), ']'),
    asks String ALIAS concat('[', arrayStringConcat(arrayMap(l -> concat('{"price":"', toString(l.price), '","quantity":"', toString(l.quantity), '"}'), ask_levels), ','), ']'),
    data_source LowCardinality(String) DEFAULT 'marketprism' CODEC(ZSTD),
    created_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD),
    ts_recv DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    ts_insert DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    producer_epoch UInt64 CODEC(ZSTD),
    producer_seq UInt64 CODEC(Delta, ZSTD),
    source LowCardinality(String) CODEC(ZSTD),
    first_update_id UInt64 CODEC(Delta, ZSTD),
    prev_update_id UInt64 CODEC(Delta, ZSTD),
    update_type LowCardinality(String) CODEC(ZSTD),
    bid_levels Array(Tuple(price Decimal(38, 18), quantity Decimal(38, 18))) CODEC(ZSTD),
    ask_levels Array(Tuple(price Decimal(38, 18), quantity Decimal(38, 18))) CODEC(ZSTD),
    day Date MATERIALIZED toDate(timestamp),
    INDEX ps producer_seq TYPE minmax GRANULARITY 1,
    INDEX natural last_update_id TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY (day, exchange)
ORDER BY (exchange, market_type, symbol, toUnixTimestamp64Milli(timestamp), last_update_id)
SETTINGS index_granularity = 8192, auto_statistics_types = '', fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480,
    non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS marketprism_hot.trades (
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    exchange LowCardinality(String) CODEC(ZSTD),
    market_type LowCardinality(String) CODEC(ZSTD),
    symbol LowCardinality(String) CODEC(ZSTD),
    trade_id String CODEC(ZSTD),
    price Decimal(38, 18) CODEC(ZSTD),
    quantity Decimal(38, 18) CODEC(ZSTD),
    side LowCardinality(String) CODEC(ZSTD),
    is_maker Bool DEFAULT false CODEC(ZSTD),
    trade_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    data_source LowCardinality(String) DEFAULT 'marketprism' CODEC(ZSTD),
    created_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD),
    ts_recv DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    ts_insert DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    producer_epoch UInt64 CODEC(ZSTD),
    producer_seq UInt64 CODEC(Delta, ZSTD),
    source LowCardinality(String) CODEC(ZSTD),
    trade_seq UInt64 CODEC(Delta, ZSTD),
    contracts Decimal(38, 18) CODEC(ZSTD),
    day Date MATERIALIZED toDate(timestamp),
    INDEX ps producer_seq TYPE minmax GRANULARITY 1,
    INDEX natural toUInt64OrZero(trade_id) TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY (day, exchange)
ORDER BY (exchange, market_type, symbol, toUnixTimestamp64Milli(timestamp), trade_id)
SETTINGS index_granularity = 8192, auto_statistics_types = '', fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480,
    non_replicated_deduplication_window = 0;

-- The six types below have no index of their natural identity: rows of a market are few, and stand together in the key.
-- A price, quantity or count that a message does not have is 0; where 0 would mean something the column is Nullable.

CREATE TABLE IF NOT EXISTS marketprism_hot.funding_rates (
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    exchange LowCardinality(String) CODEC(ZSTD),
    market_type LowCardinality(String) CODEC(ZSTD),
    symbol LowCardinality(String) CODEC(ZSTD),
    funding_rate Decimal(38, 18) CODEC(ZSTD),
    funding_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    next_funding_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    mark_price Decimal(38, 18) CODEC(ZSTD),
    index_price Decimal(38, 18) CODEC(ZSTD),
    data_source LowCardinality(String) DEFAULT 'marketprism' CODEC(ZSTD),
    created_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD),
    ts_recv DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    ts_insert DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    producer_epoch UInt64 CODEC(ZSTD),
    producer_seq UInt64 CODEC(Delta, ZSTD),
    source LowCardinality(String) CODEC(ZSTD),
    kind LowCardinality(String) CODEC(ZSTD),
    estimated_funding_rate Nullable(Decimal(38, 18)) CODEC(ZSTD),
    premium_index Nullable(Decimal(38, 18)) CODEC(ZSTD),
    funding_interval LowCardinality(String) CODEC(ZSTD),
    day Date MATERIALIZED toDate(timestamp),
    INDEX ps producer_seq TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY (day, exchange)
ORDER BY (exchange, market_type, symbol, toUnixTimestamp64Milli(timestamp), kind)
SETTINGS index_granularity = 8192, auto_statistics_types = '', fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480,
    non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS marketprism_hot.open_interests (
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    exchange LowCardinality(String) CODEC(ZSTD),
    market_type LowCardinality(String) CODEC(ZSTD),
    symbol LowCardinality(String) CODEC(ZSTD),
    open_interest Decimal(38, 18) CODEC(ZSTD),
    open_interest_value Decimal(38, 18) CODEC(ZSTD),
    count UInt64 CODEC(Delta, ZSTD),
    data_source LowCardinality(String) DEFAULT 'marketprism' CODEC(ZSTD),
    created_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD),
    ts_recv DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    ts_insert DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    producer_epoch UInt64 CODEC(ZSTD),
    producer_seq UInt64 CODEC(Delta, ZSTD),
    source LowCardinality(String) CODEC(ZSTD),
    open_interest_unit LowCardinality(String) CODEC(ZSTD),
    contracts Decimal(38, 18) CODEC(ZSTD),
    mark_price Decimal(38, 18) CODEC(ZSTD),
    index_price Decimal(38, 18) CODEC(ZSTD),
    day Date MATERIALIZED toDate(timestamp),
    INDEX ps producer_seq TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY (day, exchange)
ORDER BY (exchange, market_type, symbol, toUnixTimestamp64Milli(timestamp))
SETTINGS index_granularity = 8192, auto_statistics_types = '', fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480,
    non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS marketprism_hot.liquidations (
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    exchange LowCardinality(String) CODEC(ZSTD),
    market_type LowCardinality(String) CODEC(ZSTD),
    symbol LowCardinality(String) CODEC(ZSTD),
    side LowCardinality(String) CODEC(ZSTD),
    price Decimal(38, 18) CODEC(ZSTD),
    quantity Decimal(38, 18) CODEC(ZSTD),
    liquidation_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    data_source LowCardinality(String) DEFAULT 'marketprism' CODEC(ZSTD),
    created_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD),
    ts_recv DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    ts_insert DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    producer_epoch UInt64 CODEC(ZSTD),
    producer_seq UInt64 CODEC(Delta, ZSTD),
    source LowCardinality(String) CODEC(ZSTD),
    liquidation_id String CODEC(ZSTD),
    status LowCardinality(String) CODEC(ZSTD),
    filled_quantity Decimal(38, 18) CODEC(ZSTD),
    average_price Decimal(38, 18) CODEC(ZSTD),
    bankruptcy_price Decimal(38, 18) CODEC(ZSTD),
    contracts Decimal(38, 18) CODEC(ZSTD),
    day Date MATERIALIZED toDate(timestamp),
    INDEX ps producer_seq TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY (day, exchange)
ORDER BY (exchange, market_type, symbol, toUnixTimestamp64Milli(timestamp), liquidation_id)
SETTINGS index_granularity = 8192, auto_statistics_types = '', fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480,
    non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS marketprism_hot.lsr_top_positions (
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    exchange LowCardinality(String) CODEC(ZSTD),
    market_type LowCardinality(String) CODEC(ZSTD),
    symbol LowCardinality(String) CODEC(ZSTD),
    long_position_ratio Decimal(38, 18) CODEC(ZSTD),
    short_position_ratio Decimal(38, 18) CODEC(ZSTD),
    period LowCardinality(String) DEFAULT '5m' CODEC(ZSTD),
    data_source LowCardinality(String) DEFAULT 'marketprism' CODEC(ZSTD),
    created_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD),
    ts_recv DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    ts_insert DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    producer_epoch UInt64 CODEC(ZSTD),
    producer_seq UInt64 CODEC(Delta, ZSTD),
    source LowCardinality(String) CODEC(ZSTD),
    period_ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    long_short_ratio Decimal(38, 18) CODEC(ZSTD),
    day Date MATERIALIZED toDate(timestamp),
    INDEX ps producer_seq TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY (day, exchange)
ORDER BY (exchange, market_type, symbol, toUnixTimestamp64Milli(timestamp), period)
SETTINGS index_granularity = 8192, auto_statistics_types = '', fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480,
    non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS marketprism_hot.lsr_all_accounts (
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    exchange LowCardinality(String) CODEC(ZSTD),
    market_type LowCardinality(String) CODEC(ZSTD),
    symbol LowCardinality(String) CODEC(ZSTD),
    long_account_ratio Decimal(38, 18) CODEC(ZSTD),
    short_account_ratio Decimal(38, 18) CODEC(ZSTD),
    period LowCardinality(String) DEFAULT '5m' CODEC(ZSTD),
    data_source LowCardinality(String) DEFAULT 'marketprism' CODEC(ZSTD),
    created_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD),
    ts_recv DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    ts_insert DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    producer_epoch UInt64 CODEC(ZSTD),
    producer_seq UInt64 CODEC(Delta, ZSTD),
    source LowCardinality(String) CODEC(ZSTD),
    period_ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    long_short_ratio Decimal(38, 18) CODEC(ZSTD),
    day Date MATERIALIZED toDate(timestamp),
    INDEX ps producer_seq TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY (day, exchange)
ORDER BY (exchange, market_type, symbol, toUnixTimestamp64Milli(timestamp), period)
SETTINGS index_granularity = 8192, auto_statistics_types = '', fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480,
    non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS marketprism_hot.volatility_indices (
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    exchange LowCardinality(String) CODEC(ZSTD),
    market_type LowCardinality(String) CODEC(ZSTD),
    symbol LowCardinality(String) CODEC(ZSTD),
    index_value Decimal(38, 18) CODEC(ZSTD),
    underlying_asset LowCardinality(String) CODEC(ZSTD),
    maturity_date Date CODEC(Delta, ZSTD),
    data_source LowCardinality(String) DEFAULT 'marketprism' CODEC(ZSTD),
    created_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD),
    ts_recv DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    ts_insert DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    producer_epoch UInt64 CODEC(ZSTD),
    producer_seq UInt64 CODEC(Delta, ZSTD),
    source LowCardinality(String) CODEC(ZSTD),
    day Date MATERIALIZED toDate(timestamp),
    INDEX ps producer_seq TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY (day, exchange)
ORDER BY (exchange, market_type, symbol, toUnixTimestamp64Milli(timestamp))
SETTINGS index_granularity = 8192, auto_statistics_types = '', fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480,
    non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS marketprism_hot.gaps (
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    exchange LowCardinality(String) CODEC(ZSTD),
    market_type LowCardinality(String) CODEC(ZSTD),
    symbol LowCardinality(String) CODEC(ZSTD),
    type LowCardinality(String) CODEC(ZSTD),
    from_id String CODEC(ZSTD),
    to_id String CODEC(ZSTD),
    from_ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    to_ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    cause LowCardinality(String) CODEC(ZSTD),
    state LowCardinality(String) CODEC(ZSTD),
    source LowCardinality(String) CODEC(ZSTD),
    gap_id String CODEC(ZSTD),
    version UInt32 CODEC(ZSTD),
    ts_recv DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    ts_insert DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    producer_epoch UInt64 CODEC(ZSTD),
    producer_seq UInt64 CODEC(Delta, ZSTD),
    day Date MATERIALIZED toDate(timestamp),
    INDEX ps producer_seq TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY (day, exchange)
ORDER BY (exchange, market_type, symbol, gap_id, version)
SETTINGS index_granularity = 8192, auto_statistics_types = '', fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480,
    non_replicated_deduplication_window = 0;

CREATE VIEW IF NOT EXISTS marketprism_hot.gaps_current AS
SELECT * FROM marketprism_hot.gaps ORDER BY gap_id ASC, version DESC LIMIT 1 BY gap_id;

CREATE TABLE IF NOT EXISTS marketprism_hot.dead_letters (
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    subject String CODEC(ZSTD),
    reason String CODEC(ZSTD),
    message_id String CODEC(ZSTD),
    payload String CODEC(ZSTD),
    producer_epoch UInt64 CODEC(ZSTD),
    producer_seq UInt64 CODEC(ZSTD),
    day Date MATERIALIZED toDate(timestamp)
) ENGINE = MergeTree
PARTITION BY day
ORDER BY (producer_epoch, producer_seq)
SETTINGS index_granularity = 8192, auto_statistics_types = '', fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480,
    non_replicated_deduplication_window = 0;

-- Hours of the hot store that were proven to be in the cold one, with their content then. A cache: without it everything is
-- proven again. `proven_at` is when this content was first proven, `checked_at` when last.
CREATE TABLE IF NOT EXISTS marketprism_cold.window_ledger (
    table LowCardinality(String) CODEC(ZSTD),
    window_start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    row_count UInt64 CODEC(ZSTD),
    hash_sum UInt64 CODEC(ZSTD),
    hash_xor UInt64 CODEC(ZSTD),
    proven_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    checked_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD)
) ENGINE = ReplacingMergeTree(checked_at)
ORDER BY (table, toUnixTimestamp64Milli(window_start))
SETTINGS index_granularity = 8192, auto_statistics_types = '', fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480,
    non_replicated_deduplication_window = 0;

-- What has left the hot store, each departure of a partition once: proven to be in the cold one right before it was dropped.
-- Contents add up: all departures of a partition and what the hot store still has of it are what the cold store has.
CREATE TABLE IF NOT EXISTS marketprism_cold.departures (
    table LowCardinality(String) CODEC(ZSTD),
    day Date CODEC(Delta, ZSTD),
    exchange LowCardinality(String) CODEC(ZSTD),
    row_count UInt64 CODEC(ZSTD),
    hash_sum UInt64 CODEC(ZSTD),
    hash_xor UInt64 CODEC(ZSTD),
    left_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD)
) ENGINE = ReplacingMergeTree(left_at)
ORDER BY (table, day, exchange, row_count, hash_sum, hash_xor)
SETTINGS index_granularity = 8192, auto_statistics_types = '', fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 480,
    non_replicated_deduplication_window = 0;

-- VIEWS, in the database `marketprism`: both stores as one, each row once. What is written for `trades` is the source of the view
-- of every other type and of `gaps` (crates/clickhouse, `views`). Lines from `-- COLD` to `-- END` are left out where the cold
-- store is another server. A statement ends with something that a COMMENT can follow: a table's bare name would take it for an alias.
--
-- A row that both stores have is read from the hot one. A partition (`day`, `exchange`) that the hot store does not have is read
-- from the cold one as it is; of the others the cold rows that the hot store lacks are added, by identity. Which partitions there
-- are is known without reading rows. Predicates on time reach both sides of the join, because time is among its keys; those on
-- `exchange` and `symbol` reach all that is read but the join's hot side. What is on its way out of the hot store was proven to be
-- in the cold one, and is read there.

CREATE DATABASE IF NOT EXISTS marketprism;

CREATE OR REPLACE VIEW marketprism.trades AS
SELECT *, day FROM marketprism_hot.trades AS hot
-- COLD
UNION ALL
SELECT *, day FROM marketprism_cold.trades
WHERE (day, exchange) NOT IN (SELECT day, exchange FROM marketprism_hot.trades GROUP BY day, exchange)
UNION ALL
SELECT cold.* FROM (
    SELECT *, day FROM marketprism_cold.trades
    WHERE (day, exchange) IN (SELECT day, exchange FROM marketprism_hot.trades GROUP BY day, exchange)
) AS cold
LEFT ANTI JOIN (SELECT day, timestamp, producer_epoch, producer_seq FROM marketprism_hot.trades) AS hot
ON cold.day = hot.day AND cold.timestamp = hot.timestamp
    AND cold.producer_epoch = hot.producer_epoch AND cold.producer_seq = hot.producer_seq
-- END
;

-- Bars of `seconds`, by the exchange's clock; `from` and `to` are times like 2026-11-20T12:00:00Z, and only what is between them
-- is read. Trades of one moment are in the order of the exchange's numbers. A bar without trades is no row.
CREATE OR REPLACE VIEW marketprism.ohlcv AS
SELECT
    exchange,
    market_type,
    symbol,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(timestamp), {seconds:UInt32} * 1000) * {seconds:UInt32} * 1000, 'UTC') AS bar,
    argMin(price, (timestamp, trade_seq, toUInt64OrZero(trade_id), producer_seq)) AS open,
    max(price) AS high,
    min(price) AS low,
    argMax(price, (timestamp, trade_seq, toUInt64OrZero(trade_id), producer_seq)) AS close,
    sum(quantity) AS volume,
    sumIf(quantity, side = 'buy') AS buy_volume,
    sum(toDecimal256(price, 18) * toDecimal256(quantity, 18)) AS quote_volume,
    count() AS trades
FROM (
    SELECT exchange, market_type, symbol, timestamp, trade_seq, trade_id, producer_seq, price, quantity, side
    FROM marketprism.trades
    WHERE day >= toDate(parseDateTime64BestEffort({from:String}, 3, 'UTC'))
        AND day <= toDate(parseDateTime64BestEffort({to:String}, 3, 'UTC'))
        AND toUnixTimestamp64Milli(timestamp) >= toUnixTimestamp64Milli(parseDateTime64BestEffort({from:String}, 3, 'UTC'))
        AND toUnixTimestamp64Milli(timestamp) < toUnixTimestamp64Milli(parseDateTime64BestEffort({to:String}, 3, 'UTC'))
)
GROUP BY exchange, market_type, symbol, bar;

-- The last order book at or before `at`, and how old it was then; none where there was none within a day. First the moment is
-- looked for in narrow columns, then one row is read.
CREATE OR REPLACE VIEW marketprism.book_at AS
SELECT
    timestamp,
    exchange,
    market_type,
    symbol,
    last_update_id,
    toUnixTimestamp64Milli(parseDateTime64BestEffort({at:String}, 3, 'UTC')) - toUnixTimestamp64Milli(timestamp) AS age_ms,
    bids_count,
    asks_count,
    best_bid_price,
    best_ask_price,
    best_bid_quantity,
    best_ask_quantity,
    bid_levels,
    ask_levels,
    bids,
    asks
FROM (
    SELECT *, bids, asks FROM marketprism_hot.orderbooks
    WHERE exchange = {exchange:String} AND symbol = {symbol:String} AND (day, timestamp, last_update_id) = (
        SELECT max((day, timestamp, last_update_id)) FROM marketprism_hot.orderbooks
        WHERE exchange = {exchange:String} AND symbol = {symbol:String}
            AND day >= toDate(parseDateTime64BestEffort({at:String}, 3, 'UTC')) - 1
            AND day <= toDate(parseDateTime64BestEffort({at:String}, 3, 'UTC'))
            AND toUnixTimestamp64Milli(timestamp) <= toUnixTimestamp64Milli(parseDateTime64BestEffort({at:String}, 3, 'UTC')))
-- COLD
    UNION ALL
    SELECT *, bids, asks FROM marketprism_cold.orderbooks
    WHERE exchange = {exchange:String} AND symbol = {symbol:String} AND (day, timestamp, last_update_id) = (
        SELECT max((day, timestamp, last_update_id)) FROM marketprism_cold.orderbooks
        WHERE exchange = {exchange:String} AND symbol = {symbol:String}
            AND day >= toDate(parseDateTime64BestEffort({at:String}, 3, 'UTC')) - 1
            AND day <= toDate(parseDateTime64BestEffort({at:String}, 3, 'UTC'))
            AND toUnixTimestamp64Milli(timestamp) <= toUnixTimestamp64Milli(parseDateTime64BestEffort({at:String}, 3, 'UTC')))
-- END
)
ORDER BY timestamp DESC, last_update_id DESC
LIMIT 1;

-- The same book, a row a level: the best is level 1.
CREATE OR REPLACE VIEW marketprism.book_levels_at AS
SELECT timestamp, exchange, market_type, symbol, last_update_id, age_ms, side, level, price, quantity
FROM (
    SELECT timestamp, exchange, market_type, symbol, last_update_id, age_ms,
        arrayConcat(
            arrayMap((l, n) -> ('bid', n, l.price, l.quantity), bid_levels, arrayEnumerate(bid_levels)),
            arrayMap((l, n) -> ('ask', n, l.price, l.quantity), ask_levels, arrayEnumerate(ask_levels))) AS levels
    FROM marketprism.book_at(exchange = {exchange:String}, symbol = {symbol:String}, at = {at:String})
)
ARRAY JOIN levels.1 AS side, levels.2 AS level, levels.3 AS price, levels.4 AS quantity;
