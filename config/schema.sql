-- The tables of the hot store: the only source, embedded in the binary. Statements end with a semicolon at the end of a line.
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
    day Date MATERIALIZED toDate(timestamp),
    INDEX ps producer_seq TYPE minmax GRANULARITY 1,
    INDEX natural toUInt64OrZero(trade_id) TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY (day, exchange)
ORDER BY (exchange, market_type, symbol, toUnixTimestamp64Milli(timestamp), trade_id)
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
