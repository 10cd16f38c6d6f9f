//! The queries that MarketPrism documents, the views over both stores, and every query of docs/queries.md: each against another
//! way to say the same that reads everything.

use std::fs;
use std::path::Path;

use crate::support::{Home, get};

const TABLES: [&str; 8] = [
    "orderbooks",
    "trades",
    "funding_rates",
    "open_interests",
    "liquidations",
    "lsr_top_positions",
    "lsr_all_accounts",
    "volatility_indices",
];

/// Fills a home from the simulator, copies it, and lets each store have rows that the other has not, and rows of an hour ago.
async fn filled() -> Home {
    let home = Home::whole();
    home.configure("cold: {interval: 200ms, window: 1s, safety_lag: 0s}\n");
    home.good(&["start", "--sim", "--sim-rate", "500"]);
    for table in TABLES {
        home.until(table, || {
            match number(&home, &format!("SELECT count() FROM marketprism_hot.{table}")) {
                // Two will be taken away.
                few @ 0..3 => Err(format!("{few} rows")),
                _ => Ok(()),
            }
        })
        .await;
    }
    // What is asked of one market has to be there of each.
    home.until("every market has books and trades", || {
        let of = |table: &str| {
            home.query(&format!(
                "SELECT count(), min(n) FROM (SELECT count() AS n FROM marketprism_hot.{table} GROUP BY exchange, symbol)"
            ))
        };
        let (books, trades) = (of("orderbooks"), of("trades"));
        let parts = |told: &str| -> Option<(u64, u64)> {
            let (markets, least) = told.split_once('\t')?;
            Some((markets.parse().ok()?, least.parse().ok()?))
        };
        match (parts(&books), parts(&trades)) {
            (Some((of_books, 3..)), Some((of_trades, 3..))) if of_books == of_trades => Ok(()),
            _ => Err(format!("markets and least rows: {books}, {trades}")),
        }
    })
    .await;
    home.settled_quietly().await;
    for table in TABLES {
        home.until(&format!("{table} are copied"), || {
            let counts = home.query(&format!(
                "SELECT (SELECT count() FROM marketprism_hot.{table}), (SELECT count() FROM marketprism_cold.{table})"
            ));
            match counts.split_once('\t') {
                Some((hot, cold)) if hot == cold => Ok(()),
                _ => Err(counts),
            }
        })
        .await;
    }
    // Nobody writes beside a writer, not even an operator.
    home.good(&["stop", "hot", "cold", "collector"]);
    for table in TABLES {
        // In both stores; then two are in the cold one only, and those of an hour ago in the hot one only.
        let count = || number(&home, &format!("SELECT count() FROM marketprism_hot.{table}"));
        let before = count();
        // By name: a mutation asks a subquery again for each part.
        let two = home.query(&format!(
            "SELECT arrayStringConcat(groupArray(toString((producer_epoch, producer_seq))), ', ') FROM \
             (SELECT producer_epoch, producer_seq FROM marketprism_hot.{table} ORDER BY timestamp, producer_seq LIMIT 2)"
        ));
        home.write(&format!(
            "ALTER TABLE marketprism_hot.{table} DELETE WHERE (producer_epoch, producer_seq) IN ({two}) SETTINGS mutations_sync = 2"
        ));
        assert_eq!(count() + 2, before, "{table}");
        home.write(&format!(
            "INSERT INTO marketprism_hot.{table} SELECT * REPLACE (timestamp - INTERVAL 1 HOUR AS timestamp, \
             producer_epoch + 1 AS producer_epoch) FROM marketprism_hot.{table}"
        ));
    }
    home
}

fn number(home: &Home, sql: &str) -> u64 {
    home.query(sql).parse().unwrap_or_else(|e| panic!("{sql}: {e}"))
}

/// Asks over HTTP with the statement in the URL, as the original's documents do, and through the command; both say the same.
async fn asked(home: &Home, sql: &str) -> String {
    let said = home.query(sql);
    let url = reqwest::Url::parse_with_params(&format!("http://{}/", home.address(8123)), [("query", sql)]);
    let over_http = get(url.expect("a URL").as_str()).await;
    assert_eq!(over_http.trim_end(), said, "{sql}");
    said
}

/// As [`asked`], for a number that falls while time goes on and nothing is added: it lies between what a full scan says before
/// and after.
async fn asked_of_now(home: &Home, sql: &str, scan: &str) -> u64 {
    let before = number(home, scan);
    let through_the_command: u64 = number(home, sql);
    let url = reqwest::Url::parse_with_params(&format!("http://{}/", home.address(8123)), [("query", sql)]);
    let over_http = get(url.expect("a URL").as_str()).await;
    let over_http: u64 = over_http.trim_end().parse().expect("a number");
    let after = number(home, scan);
    assert!(
        before >= through_the_command && through_the_command >= over_http && over_http >= after,
        "{sql}: {before} {through_the_command} {over_http} {after}"
    );
    through_the_command
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_queries_and_views_say_what_full_scans_say() {
    let home = filled().await;
    the_documented_queries(&home).await;
    the_views(&home);
    bars_and_books(&home);
    the_documents_own_queries(&home);
}

async fn the_documented_queries(home: &Home) {
    let mut recent = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT count() FROM marketprism_hot.{table} WHERE timestamp > now() - INTERVAL 5 MINUTE");
        // Arithmetic on the column keeps every index out of it.
        let scan = format!(
            "SELECT countIf(ms > (toUnixTimestamp(now()) - 300) * 1000) FROM \
             (SELECT materialize(toUnixTimestamp64Milli(timestamp)) + 0 AS ms FROM marketprism_hot.{table})"
        );
        let rows = asked_of_now(home, &sql, &scan).await;
        let all = number(home, &format!("SELECT count() FROM marketprism_hot.{table}"));
        assert!(rows < all, "{table}: rows of an hour ago are among {rows} of {all}");
        recent.push(format!("SELECT '{table}' AS name, count() AS rows FROM marketprism_hot.{table} WHERE timestamp > now() - INTERVAL 5 MINUTE"));
    }
    let all = home.query(&recent.join(" UNION ALL "));
    assert_eq!(all.lines().count(), TABLES.len(), "{all}");
    for table in ["marketprism_hot.orderbooks", "marketprism_cold.orderbooks"] {
        let total: u64 = asked(home, &format!("SELECT count() FROM {table}"))
            .await
            .parse()
            .expect("a number");
        let scan = number(home, &format!("SELECT sum(1) FROM (SELECT timestamp FROM {table})"));
        assert!(total > 0 && total == scan, "{table}: {total} {scan}");
    }
    // The rows of an hour ago are copies with the same trade ids: of what came from the exchange each is there once.
    let sql = "SELECT count(), count(DISTINCT trade_id, exchange, symbol) FROM marketprism_cold.trades";
    let counts = asked(home, sql).await;
    let scan = home.query(
        "SELECT sum(n), count() FROM (SELECT count() AS n FROM marketprism_cold.trades GROUP BY trade_id, exchange, symbol)",
    );
    let (rows, ids) = counts.split_once('\t').expect("two numbers");
    assert!(rows == ids && counts == scan, "{counts} {scan}");
    let twice = asked(
        home,
        "SELECT count(), count(DISTINCT trade_id, exchange, symbol) FROM marketprism_hot.trades",
    )
    .await;
    let (rows, ids) = twice.split_once('\t').expect("two numbers");
    let (rows, ids): (u64, u64) = (rows.parse().expect("a number"), ids.parse().expect("a number"));
    assert_eq!(rows, 2 * ids, "what is there twice shows");
    let sql = "SELECT timestamp, exchange, symbol FROM marketprism_hot.orderbooks ORDER BY timestamp DESC LIMIT 3";
    // Which of several books of one moment it tells is left to it.
    let newest = home.query(sql);
    let scan = home.query(
        "SELECT arrayJoin(arraySlice(arrayReverseSort(groupArray(toString(timestamp))), 1, 3)) FROM marketprism_hot.orderbooks",
    );
    let times_of = |text: &'_ str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.split('\t').next());
        lines.map(str::to_owned).collect()
    };
    let url = reqwest::Url::parse_with_params(&format!("http://{}/", home.address(8123)), [("query", sql)]);
    let over_http = get(url.expect("a URL").as_str()).await;
    let times = times_of(&newest);
    assert_eq!(times, times_of(&scan));
    assert_eq!(times, times_of(&over_http));
    for time in times {
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00 00:00:00.000");
    }
    assert_eq!(asked(home, "SELECT 1").await, "1");
    assert!(asked(home, "SELECT version()").await.starts_with("26."));
    let url = format!(
        "http://{}/?query=SELECT%20count()%20FROM%20marketprism_hot.trades",
        home.address(8123)
    );
    assert_eq!(
        get(&url).await.trim_end(),
        home.query("SELECT count() FROM marketprism_hot.trades")
    );
}

fn the_views(home: &Home) {
    let content = "count(), uniqExact(producer_epoch, producer_seq), sum(sipHash64(tuple(* EXCEPT day)))";
    for table in TABLES.into_iter().chain(["gaps"]) {
        let of_view = content.replace(
            "* EXCEPT day",
            if table == "orderbooks" {
                "* EXCEPT (day, bids, asks)"
            } else {
                "* EXCEPT day"
            },
        );
        let of_scan = content.replace("* EXCEPT day", "*");
        let view = home.query(&format!("SELECT {of_view} FROM marketprism.{table}"));
        let scan = home.query(&format!(
            "SELECT {of_scan} FROM (SELECT * FROM (SELECT * FROM marketprism_hot.{table} UNION ALL \
             SELECT * FROM marketprism_cold.{table}) LIMIT 1 BY producer_epoch, producer_seq)"
        ));
        assert_eq!(view, scan, "{table}");
        let hot = number(home, &format!("SELECT count() FROM marketprism_hot.{table}"));
        let rows: u64 = view
            .split('\t')
            .next()
            .and_then(|rows| rows.parse().ok())
            .expect("a number");
        assert!(
            table == "gaps" || rows == hot + 2,
            "{table}: {rows} rows, {hot} of them hot"
        );
        let predicate = "WHERE exchange LIKE '%d%' AND timestamp > now() - INTERVAL 30 MINUTE";
        let view = home.query(&format!(
            "SELECT count(), min(timestamp) FROM marketprism.{table} {predicate}"
        ));
        let scan = home.query(&format!(
            "SELECT count(), min(timestamp) FROM (SELECT exchange, timestamp FROM (SELECT * FROM marketprism_hot.{table} \
             UNION ALL SELECT * FROM marketprism_cold.{table}) LIMIT 1 BY producer_epoch, producer_seq) {predicate}"
        ));
        assert_eq!(view, scan, "{table} with predicates");
    }
    // A predicate on time reaches what is read, on all sides.
    let plan = home.query(
        "EXPLAIN indexes = 1 SELECT count() FROM marketprism.trades WHERE symbol = 'BTC-USDT' AND timestamp > now() - INTERVAL 5 MINUTE",
    );
    let reads = plan.matches("ReadFromMergeTree").count();
    let by_time = plan.matches("(toUnixTimestamp64Milli(timestamp) in [").count();
    assert!(reads == 4 && by_time >= 4, "{plan}");
}

fn bars_and_books(home: &Home) {
    let bounds = home.query("SELECT min(timestamp), max(timestamp) FROM marketprism_cold.trades");
    let (from, to) = bounds.split_once('\t').expect("two times");
    // What has no bound in time takes no part: the last moment is not in it.
    let bars = home.query(&format!(
        "SELECT exchange, market_type, symbol, bar, open, high, low, close, volume, buy_volume, trades \
         FROM marketprism.ohlcv(seconds = 5, from = '{from}', to = '{to}') ORDER BY exchange, market_type, symbol, bar"
    ));
    let scan = home.query(&format!(
        "SELECT exchange, market_type, symbol, bar, prices[1], arrayMax(prices), arrayMin(prices), prices[-1], v, b, length(prices) \
         FROM (SELECT exchange, market_type, symbol, toStartOfInterval(timestamp, INTERVAL 5 SECOND) AS bar, groupArray(price) AS prices, \
         sum(quantity) AS v, sum(quantity * (side = 'buy')) AS b FROM (SELECT * FROM (SELECT * FROM marketprism_cold.trades UNION ALL \
         SELECT * FROM marketprism_hot.trades) WHERE timestamp >= '{from}' AND timestamp < '{to}' \
         ORDER BY timestamp, trade_seq, toUInt64OrZero(trade_id), producer_seq LIMIT 1 BY producer_epoch, producer_seq) \
         GROUP BY exchange, market_type, symbol, bar) ORDER BY exchange, market_type, symbol, bar"
    ));
    let without_milliseconds = bars.replace(".000\t", "\t");
    assert!(bars.lines().count() > 5, "{bars}");
    for (bar, scan) in without_milliseconds.lines().zip(scan.lines()) {
        assert_eq!(bar, scan);
    }
    assert_eq!(bars.lines().count(), scan.lines().count());
    let turnover = home.query(&format!(
        "SELECT sum(quote_volume) = (SELECT sum(toDecimal256(price, 18) * toDecimal256(quantity, 18)) FROM marketprism_cold.trades \
         WHERE timestamp < '{to}') FROM marketprism.ohlcv(seconds = 60, from = '{from}', to = '{to}')"
    ));
    assert_eq!(turnover, "1");

    let markets = home.query("SELECT DISTINCT exchange, symbol FROM marketprism_cold.orderbooks");
    for (exchange, symbol) in markets.lines().filter_map(|line| line.split_once('\t')) {
        let of = format!("exchange = '{exchange}' AND symbol = '{symbol}'");
        let at = home.query(&format!(
            "SELECT timestamp + INTERVAL 1 MILLISECOND FROM marketprism_cold.orderbooks WHERE {of} ORDER BY timestamp LIMIT 1 OFFSET 1"
        ));
        let call = format!("(exchange = '{exchange}', symbol = '{symbol}', at = '{at}')");
        let book = home.query(&format!(
            "SELECT last_update_id, age_ms >= 0, bids, asks FROM marketprism.book_at{call}"
        ));
        let scan = home.query(&format!(
            "SELECT last_update_id, 1, bids, asks FROM (SELECT *, bids, asks FROM marketprism_cold.orderbooks UNION ALL \
             SELECT *, bids, asks FROM marketprism_hot.orderbooks) WHERE {of} AND materialize(timestamp) <= '{at}' \
             ORDER BY timestamp DESC, last_update_id DESC LIMIT 1"
        ));
        assert_eq!(book, scan, "{call}");
        let levels = home.query(&format!(
            "SELECT countIf(side = 'bid') = any(b), countIf(side = 'ask') = any(a), \
             maxIf(price, side = 'bid') = argMinIf(price, level, side = 'bid') FROM marketprism.book_levels_at{call} AS l \
             CROSS JOIN (SELECT bids_count AS b, asks_count AS a FROM marketprism.book_at{call}) AS n"
        ));
        assert_eq!(levels, "1\t1\t1", "{call}");
        let before = home.query(&format!(
            "SELECT count() FROM marketprism.book_at(exchange = '{exchange}', symbol = '{symbol}', at = '2001-01-01T00:00:00Z')"
        ));
        assert_eq!(before, "0", "no book before the first");
    }
}

/// Runs every statement that docs/queries.md shows. Its times are put where the test has data.
fn the_documents_own_queries(home: &Home) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/queries.md");
    let text = fs::read_to_string(path).expect("text");
    let bounds = home.query(
        "SELECT formatDateTime(min(timestamp), '%FT%TZ', 'UTC'), formatDateTime(max(timestamp) + INTERVAL 1 SECOND, '%FT%TZ', 'UTC') \
         FROM marketprism_cold.trades",
    );
    let (from, to) = bounds.split_once('\t').expect("two times");
    let mut count = 0;
    for block in text.split("```sql\n").skip(1) {
        let sql = block.split("```").next().expect("ends");
        for statement in sql
            .split(";\n")
            .map(str::trim)
            .filter(|statement| !statement.is_empty())
        {
            let statement = statement
                .replace("2026-11-20T12:00:00Z", from)
                .replace("2026-11-20T13:00:00Z", to);
            let done = home.run(&["query", "--format", "TabSeparated", &statement]);
            assert_eq!(done.code, 0, "{statement}: {done:?}");
            assert!(!done.stdout.trim().is_empty(), "{statement} says nothing");
            count += 1;
        }
    }
    assert!(count >= 12, "{count} statements found");
}
