//! Tables that are not as this version makes them: what only adds is done, everything else is told and rebuilt on request,
//! and no row is lost on the way, wherever it is killed.

mod common;
#[path = "common/cold.rs"]
mod support;

use std::pin::pin;

use common::Engine;
use mprism_clickhouse::{
    ASIDE, DifferenceKind, Rebuild, RebuildError, RebuildStep, Rebuilt, SchemaReport, Store, Tier, differences,
    ensure_schema, plan_rebuilds, rebuild,
};
use support::{DAY, MINUTE, Rows, fill, now};
use tokio::sync::mpsc;

const TIERS: [Tier; 3] = [Tier::Hot, Tier::Leaving, Tier::Cold];
const ORIGINAL: &str = include_str!("fixtures/marketprism-1.3.2.sql");
/// Tables of the original.
const ORIGINAL_TABLES: [&str; 8] = [
    "orderbooks",
    "trades",
    "funding_rates",
    "open_interests",
    "liquidations",
    "lsr_top_positions",
    "lsr_all_accounts",
    "volatility_indices",
];

async fn execute(store: &Store, statement: &str) {
    let done = store.execute(statement).await;
    done.unwrap_or_else(|e| panic!("{statement}: {e:?}"));
}

async fn count(store: &Store, table: &str) -> u64 {
    let query = format!("SELECT count() FROM {table}");
    store.fetch_one(&query).await.expect("a count")
}

/// Returns what all rows of a table say in some columns, as a text.
async fn said(store: &Store, table: &str, columns: &str) -> Vec<String> {
    let query = format!("SELECT toString(({columns})) AS said FROM {table} ORDER BY said");
    store.fetch_all(&query).await.expect("rows")
}

/// Makes what is missing, and returns what was done and differs of tables: a view over tables that differ is told of, too.
async fn ensured(store: &Store) -> SchemaReport {
    let mut report = ensure_schema(store, &TIERS).await.expect("looked at");
    report
        .differs
        .retain(|difference| difference.kind != DifferenceKind::View);
    report
}

async fn nothing_differs(store: &Store) {
    for tier in TIERS {
        assert_eq!(differences(store, tier).await.expect("asked"), [], "{tier:?}");
    }
}

async fn plan_of(store: &Store, tier: Tier, table: &str) -> Rebuild {
    let plans = plan_rebuilds(store, tier).await.expect("planned");
    let found = plans.iter().find(|plan| plan.table == table);
    found.unwrap_or_else(|| panic!("{table}: {plans:?}")).clone()
}

/// Rebuilds, and drops the work where it says `at`, as a kill would. Returns whether it got there.
async fn killed_at(store: &Store, plan: &Rebuild, at: RebuildStep) -> bool {
    let (sender, mut reached) = mpsc::channel(1);
    let work = rebuild(store, plan, "stamp", async |step| {
        let is_there = match (step, at) {
            (RebuildStep::Copied { .. }, RebuildStep::Copied { .. }) => true,
            (step, at) => step == at,
        };
        if is_there {
            sender.send(()).await.expect("awaited");
            std::future::pending::<()>().await;
        }
    });
    tokio::select! {
        _ = reached.recv() => true,
        done = pin!(work) => panic!("{at:?} was not reached: {done:?}"),
    }
}

async fn whole(store: &Store, plan: &Rebuild) -> Result<Rebuilt, RebuildError> {
    rebuild(store, plan, "20261126T100000", async |_| ()).await
}

fn rows_of(count: u64) -> Rows {
    Rows {
        epoch: 7,
        first: 1,
        count,
        from: now() - 2 * DAY,
        step: MINUTE,
    }
}

/// What only adds is done, and rows stay.
async fn what_only_adds_is_done(store: &Store) {
    fill(store, &["marketprism_hot"], "trades", rows_of(100)).await;
    for drift in [
        "ALTER TABLE marketprism_hot.trades DROP COLUMN contracts",
        "ALTER TABLE marketprism_hot.trades DROP INDEX natural",
        "ALTER TABLE marketprism_hot.trades RESET SETTING old_parts_lifetime",
        "ALTER TABLE marketprism_cold.trades MODIFY SETTING fsync_after_insert = 0",
        "ALTER TABLE marketprism_leaving.trades MODIFY COLUMN data_source LowCardinality(String) DEFAULT 'x' CODEC(ZSTD)",
        "ALTER TABLE marketprism_hot.liquidations ADD COLUMN later UInt8",
        "DROP TABLE marketprism_hot.gaps",
        "DROP TABLE marketprism_cold.window_ledger",
    ] {
        execute(store, drift).await;
    }
    let kinds: Vec<DifferenceKind> = differences(store, Tier::Hot)
        .await
        .expect("asked")
        .iter()
        .map(|difference| difference.kind)
        .collect();
    use DifferenceKind::{Extra, MissingColumn, MissingIndex, MissingTable, Setting};
    assert_eq!(kinds, [MissingColumn, Setting, MissingIndex, Extra, MissingTable]);
    let report = ensured(store).await;
    assert_eq!(report.created, ["gaps", "marketprism_cold.window_ledger"]);
    assert_eq!(
        report.added,
        [
            "trades.contracts",
            "trades.old_parts_lifetime",
            "trades.natural",
            "marketprism_leaving.trades.data_source",
            "marketprism_cold.trades.fsync_after_insert",
        ]
    );
    let [extra] = report.differs.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!((extra.kind, extra.column.as_deref()), (Extra, Some("later")));
    assert!(!extra.kind.is_fault() && extra.statement.is_none());
    execute(store, "ALTER TABLE marketprism_hot.liquidations DROP COLUMN later").await;
    nothing_differs(store).await;
    assert_eq!(count(store, "marketprism_hot.trades").await, 100);
    let again = ensured(store).await;
    assert_eq!(again, SchemaReport::default());
    execute(store, "TRUNCATE TABLE marketprism_hot.trades").await;
}

/// Makes the table of open interest anew, with a statement changed.
async fn with_other_statement(store: &Store, change: &[(&str, &str)]) {
    let query =
        "SELECT create_table_query FROM system.tables WHERE database = 'marketprism_hot' AND name = 'open_interests'";
    let mut statement: String = store.fetch_one(query).await.expect("there");
    for (from, to) in change {
        assert!(statement.contains(from), "{from}: {statement}");
        statement = statement.replace(from, to);
    }
    execute(store, "DROP TABLE marketprism_hot.open_interests").await;
    execute(store, &statement).await;
}

/// Another type, key, engine or TTL is told, with what mends it, and not touched.
async fn what_touches_rows_is_told_and_left_alone(store: &Store) {
    let order = "toUnixTimestamp64Milli(timestamp))";
    for (change, kind, statement) in [
        (
            ("`open_interest` Decimal(38, 18)", "`open_interest` Float64"),
            DifferenceKind::Type,
            "mprism repair --schema",
        ),
        (
            ("PARTITION BY (day, exchange)", "PARTITION BY day"),
            DifferenceKind::Key,
            "mprism repair --schema",
        ),
        ((order, "timestamp)"), DifferenceKind::Key, "mprism repair --schema"),
        (
            ("ENGINE = MergeTree", "ENGINE = ReplacingMergeTree"),
            DifferenceKind::Engine,
            "mprism repair --schema",
        ),
        (
            (" SETTINGS ", " TTL day + toIntervalDay(4000) SETTINGS "),
            DifferenceKind::Ttl,
            "ALTER TABLE marketprism_hot.open_interests REMOVE TTL",
        ),
    ] {
        with_other_statement(store, &[change]).await;
        fill_interests(store, rows_of(10)).await;
        let report = ensured(store).await;
        assert!(report.created.is_empty() && report.added.is_empty(), "{report:?}");
        let [difference] = report.differs.as_slice() else {
            panic!("{kind:?}: {report:?}")
        };
        assert_eq!((difference.kind, difference.table.as_str()), (kind, "open_interests"));
        assert_eq!(difference.statement.as_deref(), Some(statement));
        assert_eq!(count(store, "marketprism_hot.open_interests").await, 10);
        let mend = if kind == DifferenceKind::Ttl {
            execute(store, statement).await;
            Ok(())
        } else {
            let plan = plan_of(store, Tier::Hot, "open_interests").await;
            whole(store, &plan).await.map(|rebuilt| {
                assert_eq!((rebuilt.rows_before, rebuilt.rows_after, rebuilt.repeats), (10, 10, 0));
            })
        };
        mend.expect("mended");
        nothing_differs(store).await;
        assert_eq!(count(store, "marketprism_hot.open_interests").await, 10);
        // The same time is another name only once a second.
        execute(store, &format!("DROP DATABASE IF EXISTS {ASIDE}")).await;
    }
}

/// Killed at every step and run again: every row is there once, also those that came meanwhile.
async fn a_rebuild_that_is_killed_goes_on(store: &Store) {
    let columns = "timestamp, exchange, symbol, open_interest, count, producer_epoch, producer_seq";
    with_other_statement(
        store,
        &[
            ("`open_interest` Decimal(38, 18)", "`open_interest` Float64"),
            ("PARTITION BY (day, exchange)", "PARTITION BY toYYYYMM(timestamp)"),
        ],
    )
    .await;
    fill_interests(store, rows_of(5_000)).await;
    let fractions =
        "SELECT '2026-01-02 03:04:05.678', 'okx_spot', 'X', if(number = 0, 0.1, 1e-7), 9, number + 1 FROM numbers(2)";
    let columns_of_fractions = "timestamp, exchange, symbol, open_interest, producer_epoch, producer_seq";
    write(store, columns_of_fractions, fractions).await;
    let mut wanted = 5_002;
    let steps = [
        RebuildStep::Made,
        RebuildStep::Copied { rows: 0, of: 0 },
        RebuildStep::Compared,
        RebuildStep::Swapped,
        RebuildStep::Followed,
    ];
    for step in steps {
        let plan = plan_of(store, Tier::Hot, "open_interests").await;
        assert!(killed_at(store, &plan, step).await);
        // A writer of another host goes on: before the swap into the old table, after it into the right one.
        let late = Rows {
            epoch: 8,
            first: wanted,
            count: 1,
            from: now(),
            step: 1,
        };
        fill_interests(store, late).await;
        wanted += 1;
    }
    let plan = plan_of(store, Tier::Hot, "open_interests").await;
    assert!(plan.is_begun);
    let rebuilt = whole(store, &plan).await.expect("goes on");
    assert_eq!(rebuilt.rows_after, wanted, "{rebuilt:?}");
    nothing_differs(store).await;
    assert!(plan_rebuilds(store, Tier::Hot).await.expect("planned").is_empty());
    let rows = said(store, "marketprism_hot.open_interests", columns).await;
    assert_eq!(rows.len() as u64, wanted);
    let unique = "SELECT uniqExact(producer_epoch, producer_seq) FROM marketprism_hot.open_interests";
    assert_eq!(store.fetch_one::<u64>(unique).await.expect("a count"), wanted);
    let fraction = |seq: u64| {
        rows.iter()
            .find(|row| row.ends_with(&format!(",9,{seq})")))
            .expect("there")
    };
    assert!(
        fraction(1).contains("'X',0.1,0,") && fraction(2).contains("'X',0.0000001,0,"),
        "{}",
        fraction(2)
    );
    // What was written before the swap is in the old table too, which is kept.
    assert_eq!(count(store, &rebuilt.aside).await, 5_005, "{rebuilt:?}");
}

/// Writes as the writer does: a table that was fenced once takes nothing else.
async fn write(store: &Store, columns: &str, select: &str) {
    let table = "marketprism_hot.open_interests";
    let generation = store.fence(table).await.expect("fenced");
    let copy = mprism_clickhouse::Copy {
        table,
        columns,
        generation,
        select,
        row_bytes: 100,
        pace: mprism_clickhouse::Pace::Steady,
    };
    store.copy(&copy).await.expect("written");
    store.release(table, generation).await;
}

/// Writes rows of open interest.
async fn fill_interests(store: &Store, rows: Rows) {
    execute(store, "CREATE DATABASE IF NOT EXISTS scratch").await;
    execute(
        store,
        "CREATE TABLE IF NOT EXISTS scratch.open_interests AS marketprism_cold.open_interests",
    )
    .await;
    execute(store, "TRUNCATE TABLE scratch.open_interests").await;
    fill(store, &["scratch"], "open_interests", rows).await;
    let columns = "timestamp, exchange, market_type, symbol, open_interest, count, created_at, ts_recv, ts_insert, producer_epoch, \
                   producer_seq, source";
    write(store, columns, &format!("SELECT {columns} FROM scratch.open_interests")).await;
}

/// A value that the right type cannot say stops it before anything is swapped.
async fn what_would_lose_digits_is_refused(store: &Store) {
    with_other_statement(
        store,
        &[("`open_interest` Decimal(38, 18)", "`open_interest` Decimal(76, 30)")],
    )
    .await;
    fill_interests(store, rows_of(5)).await;
    let tiny = "SELECT '2026-01-02 03:04:05.678', 'okx_spot', toDecimal256('0.000000000000000000000000000001', 30)";
    write(store, "timestamp, exchange, open_interest", tiny).await;
    let plan = plan_of(store, Tier::Hot, "open_interests").await;
    let error = whole(store, &plan).await.expect_err("digits would be lost");
    assert!(
        matches!(&error, RebuildError::Lossy { column, rows: 1, .. } if column == "open_interest"),
        "{error:?}"
    );
    assert_eq!(count(store, "marketprism_hot.open_interests").await, 6, "untouched");
    execute(store, "TRUNCATE TABLE marketprism_hot.open_interests").await;
    execute(store, &format!("DROP DATABASE {ASIDE}")).await;
    let plan = plan_of(store, Tier::Hot, "open_interests").await;
    whole(store, &plan).await.expect("nothing is in the way");
    nothing_differs(store).await;
}

/// Rows of the original: the same in both stores, some of them copied twice.
async fn fill_original(store: &Store) {
    for database in ["marketprism_hot", "marketprism_cold"] {
        let rows = "FROM (SELECT number AS n, toDateTime64('2026-09-30 23:00:00.125', 3, 'UTC') + toIntervalSecond(n) AS t FROM \
                    numbers(7200))";
        let common = "t, if(n % 2 = 0, 'binance_spot', 'okx_spot'), 'spot', 'BTC-USDT'";
        for (table, columns, values) in [
            (
                "orderbooks",
                "last_update_id, bids_count, asks_count, best_bid_price, bids, asks",
                "n, 2, 1, 61234.5, '[{\"price\":\"61234.50\",\"quantity\":\"0.5\"},{\"price\":\"61234.4\",\"quantity\":\"1e-7\"}]', \
                 '[[\"61235\",\"0.25\"]]'",
            ),
            (
                "trades",
                "trade_id, price, quantity, side, trade_time",
                "toString(n), 61234.5, 0.00000001, 'buy', t",
            ),
            (
                "funding_rates",
                "funding_rate, funding_time",
                "toDecimal64('-0.0001', 8), t",
            ),
            ("open_interests", "open_interest", "n"),
            (
                "liquidations",
                "side, price, quantity, liquidation_time",
                "'sell', n, 1, t",
            ),
            (
                "lsr_top_positions",
                "long_position_ratio, short_position_ratio",
                "0.6, 0.4",
            ),
            (
                "lsr_all_accounts",
                "long_account_ratio, short_account_ratio",
                "0.6, 0.4",
            ),
            ("volatility_indices", "index_value, underlying_asset", "41.27, 'BTC'"),
        ] {
            let statement = format!(
                "INSERT INTO {database}.{table} (timestamp, exchange, market_type, symbol, {columns}) SELECT {common}, {values} {rows}"
            );
            execute(store, &statement).await;
            if database == "marketprism_cold" {
                // Its replicator copied a window again, and another of its workers wrote its own time.
                let again = format!(
                    "INSERT INTO {database}.{table} (timestamp, exchange, market_type, symbol, {columns}, created_at) \
                     SELECT {common}, {values}, now() - 100 {rows} WHERE n < 60"
                );
                execute(store, &again).await;
            }
        }
    }
}

/// The tables of MarketPrism become this version's, in hot and cold store, with an identity that both agree about.
async fn the_originals_tables_are_taken_over(store: &Store) {
    for tier in [Tier::Hot, Tier::Cold] {
        for table in ORIGINAL_TABLES {
            execute(store, &format!("DROP TABLE {}.{table}", tier.database())).await;
        }
    }
    let statements = ORIGINAL
        .split(";\n")
        .map(str::trim)
        .filter(|text| text.contains("CREATE"));
    for statement in statements {
        execute(store, statement).await;
    }
    fill_original(store).await;
    let report = ensured(store).await;
    assert!(report.created.is_empty() && report.added.is_empty(), "{report:?}");
    assert_eq!(report.differs.len(), 16, "{report:?}");
    assert!(
        report
            .differs
            .iter()
            .all(|difference| difference.kind == DifferenceKind::Original)
    );
    for tier in [Tier::Hot, Tier::Cold] {
        let plans = plan_rebuilds(store, tier).await.expect("planned");
        assert_eq!(plans.len(), 8);
        for plan in plans {
            let repeats = if tier == Tier::Cold { 60 } else { 0 };
            assert!(plan.is_original() && plan.rows == 7_200 + repeats, "{plan:?}");
            if plan.table == "orderbooks" {
                assert!(killed_at(store, &plan, RebuildStep::Copied { rows: 0, of: 0 }).await);
                assert!(killed_at(store, &plan, RebuildStep::Swapped).await);
            }
            let rebuilt = whole(store, &plan)
                .await
                .unwrap_or_else(|e| panic!("{}: {e:?}", plan.name()));
            assert_eq!(
                (rebuilt.rows_before, rebuilt.rows_after, rebuilt.repeats),
                (7_200 + repeats, 7_200, repeats),
                "{}",
                plan.name()
            );
            assert_eq!(
                count(store, &rebuilt.aside).await,
                7_200 + repeats,
                "the old one is kept"
            );
        }
    }
    nothing_differs(store).await;
    for table in ORIGINAL_TABLES {
        let identities = |database: &str| {
            let query = format!(
                "SELECT toString((count(), uniqExact(producer_seq), groupBitXor(producer_seq), max(producer_epoch))) FROM \
                 {database}.{table}"
            );
            async move { store.fetch_one::<String>(&query).await.expect("rows") }
        };
        let hot = identities("marketprism_hot").await;
        assert!(hot.starts_with("(7200,7200,") && hot.ends_with(",0)"), "{table}: {hot}");
        assert_eq!(hot, identities("marketprism_cold").await, "{table}");
    }
    let book = "SELECT toString((toString(timestamp), bids, asks, update_type, first_update_id, source, toString(ts_recv))) FROM \
                marketprism_hot.orderbooks WHERE last_update_id = 5";
    assert_eq!(
        store.fetch_one::<String>(book).await.expect("a book"),
        "('2026-09-30 23:00:05.125','[{\"price\":\"61234.5\",\"quantity\":\"0.5\"},{\"price\":\"61234.4\",\"quantity\":\"0.0000001\"}]',\
         '[{\"price\":\"61235\",\"quantity\":\"0.25\"}]','snapshot',5,'import','2026-09-30 23:00:05.125000000')"
    );
    let trade = "SELECT toString((price, quantity, side, trade_id, toString(day), contracts)) FROM marketprism_cold.trades WHERE \
                 trade_id = '3600'";
    assert_eq!(
        store.fetch_one::<String>(trade).await.expect("a trade"),
        "(61234.5,0.00000001,'buy','3600','2026-10-01',0)"
    );
    let ids = "SELECT uniqExact(liquidation_id) FROM marketprism_hot.liquidations";
    assert_eq!(store.fetch_one::<u64>(ids).await.expect("a count"), 7_200);
    execute(store, &format!("DROP DATABASE {ASIDE}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_become_what_they_should_be_and_keep_their_rows() {
    let engine = Engine::start().await;
    let store = &engine.store;
    nothing_differs(store).await;
    what_only_adds_is_done(store).await;
    the_originals_tables_are_taken_over(store).await;
    what_touches_rows_is_told_and_left_alone(store).await;
    a_rebuild_that_is_killed_goes_on(store).await;
    what_would_lose_digits_is_refused(store).await;
    engine.stop().await;
}
