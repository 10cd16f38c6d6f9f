//! Trades that are missing, and what the ledger says of them.

use std::collections::BTreeMap;

use clickhouse::Row;
use mprism_clickhouse::{Store, StoreError, Tier};
use mprism_collector::refill::{self, Hole};
use mprism_model::{DataType, Exchange, Gap, GapCause, GapState, InstrumentId, MarketType, Source, Symbol, UnixMillis};
use mprism_runtime::clock;
use serde::Deserialize;

use super::plan::{Action, Kind, Work, ranges, uncovered};

/// Trades are numbered without holes: by their ids, or by a number of their own where the venue has one.
const NUMBER: &str = "if(trade_seq > 0, trade_seq, toUInt64OrZero(trade_id))";
/// Ids of one question.
const IDS_MAX: u64 = 1_000_000;

/// Whom something is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Market {
    pub(super) exchange: String,
    pub(super) market_type: String,
    pub(super) symbol: String,
}

#[derive(Clone, Debug, Row, Deserialize)]
struct HoleRow {
    exchange: String,
    market_type: String,
    symbol: String,
    from_id: u64,
    to_id: u64,
    from_ts: i64,
    to_ts: i64,
}

/// The last word of the ledger about a gap.
#[derive(Clone, Debug, Row, Deserialize)]
pub(super) struct LedgerRow {
    exchange: String,
    market_type: String,
    symbol: String,
    data_type: String,
    from_id: String,
    to_id: String,
    from_ts: i64,
    to_ts: i64,
    cause: String,
    state: String,
    version: u32,
}

impl LedgerRow {
    fn market(&self) -> Market {
        Market {
            exchange: self.exchange.clone(),
            market_type: self.market_type.clone(),
            symbol: self.symbol.clone(),
        }
    }

    fn range(&self) -> Option<(u64, u64)> {
        Some((self.from_id.parse().ok()?, self.to_id.parse().ok()?))
    }

    pub(super) fn gap_id(&self) -> String {
        let (what, exchange, market) = (&self.data_type, &self.exchange, &self.market_type);
        format!("{what}:{exchange}:{market}:{}:{}", self.symbol, self.from_id)
    }

    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// Returns whether it is about some of these numbers of a market.
    pub(super) fn tells_of(&self, data_type: DataType, market: &Market, (from, to): (u64, u64)) -> bool {
        let overlaps = |(first, last): (u64, u64)| first <= to && last >= from;
        self.data_type == data_type.as_str() && self.market() == *market && self.range().is_some_and(overlaps)
    }

    /// Returns the next version, in another state.
    fn next(&self, state: GapState) -> Option<Gap> {
        Some(Gap {
            ts: UnixMillis(clock::now_ms()),
            exchange: self.exchange.parse().ok()?,
            market_type: self.market_type.parse().ok()?,
            symbol: Symbol::new(&self.symbol).ok()?,
            data_type: self.data_type.parse().ok()?,
            from_id: self.from_id.clone().into(),
            to_id: self.to_id.clone().into(),
            from_ts: UnixMillis(self.from_ts),
            to_ts: UnixMillis(self.to_ts),
            cause: self.cause.parse().ok()?,
            state,
            source: Source::Backfill,
            version: self.version + 1,
        })
    }
}

/// The stores that trades may be in.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    pub(super) hot: &'a Store,
    pub(super) cold: &'a Store,
}

/// The instruments that can be asked for, by what they are called here.
pub(super) type Instruments = BTreeMap<(Exchange, String), InstrumentId>;

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

impl Places<'_> {
    /// Returns which numbers of a market are there.
    pub(super) async fn numbers(&self, market: &Market, (from, to): (u64, u64)) -> Result<Vec<u64>, StoreError> {
        let mut found = Vec::new();
        for (store, tier) in [(self.hot, Tier::Hot), (self.cold, Tier::Cold)] {
            match numbers(store, tier, market, (from, to)).await {
                Ok(numbers) => found.extend(numbers),
                // Without the table nothing was copied yet.
                Err(error) if tier == Tier::Cold && error.is_missing_table() => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

async fn numbers(store: &Store, tier: Tier, market: &Market, (from, to): (u64, u64)) -> Result<Vec<u64>, StoreError> {
    let query = format!(
        "SELECT DISTINCT {NUMBER} AS number FROM {}.trades WHERE exchange = {} AND market_type = {} AND symbol = {} \
         AND number BETWEEN {from} AND {to} LIMIT {IDS_MAX}",
        tier.database(),
        quoted(&market.exchange),
        quoted(&market.market_type),
        quoted(&market.symbol)
    );
    store.fetch_all(&query).await
}

async fn holes(store: &Store, condition: &str) -> Result<Vec<HoleRow>, StoreError> {
    let window =
        "(PARTITION BY exchange, market_type, symbol ORDER BY number ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)";
    let query = format!(
        "SELECT exchange, market_type, symbol, previous + 1 AS from_id, toUInt64(number - 1) AS to_id, previous_time AS from_ts, \
         time AS to_ts FROM (SELECT exchange, market_type, symbol, number, time, lagInFrame(number) OVER {window} AS previous, \
         lagInFrame(time) OVER {window} AS previous_time FROM (SELECT exchange, market_type, symbol, {NUMBER} AS number, \
         max(toUnixTimestamp64Milli(timestamp)) AS time FROM marketprism_hot.trades WHERE {condition} \
         GROUP BY exchange, market_type, symbol, number)) WHERE previous > 0 AND number > previous + 1 \
         ORDER BY exchange, market_type, symbol, from_id"
    );
    store.fetch_all(&query).await
}

/// Reads the ledger's last words.
pub(super) async fn ledger(store: &Store) -> Result<Vec<LedgerRow>, StoreError> {
    let query = "SELECT exchange, market_type, symbol, type AS data_type, from_id, to_id, toUnixTimestamp64Milli(from_ts) AS from_ts, \
                 toUnixTimestamp64Milli(to_ts) AS to_ts, cause, state, version FROM marketprism_hot.gaps_current \
                 ORDER BY exchange, market_type, symbol, from_ts";
    store.fetch_all(query).await
}

/// Plans what is done about missing trades and open gaps.
pub(super) async fn plan(
    places: Places<'_>,
    ledger: &[LedgerRow],
    instruments: &Instruments,
    condition: &str,
    window: (i64, i64),
    is_wanted: impl Fn(DataType) -> bool,
) -> Result<Vec<Action>, StoreError> {
    let mut actions = Vec::new();
    let is_within = |row: &&LedgerRow| row.to_ts < window.1 && row.to_ts >= window.0;
    let is_type = |row: &&LedgerRow| row.data_type.parse().is_ok_and(&is_wanted);
    let open = ledger.iter().filter(|row| row.state == "open").filter(is_type);
    for gap in open.clone().filter(is_within) {
        actions.push(plan_open(places, gap, instruments).await?);
    }
    if !is_wanted(DataType::Trade) {
        return Ok(actions);
    }
    let trades = || ledger.iter().filter(|row| row.data_type == DataType::Trade.as_str());
    let holes = holes(places.hot, condition).await?;
    for hole in holes.into_iter().filter(|hole| hole.to_ts < window.1) {
        let market = Market {
            exchange: hole.exchange.clone(),
            market_type: hole.market_type.clone(),
            symbol: hole.symbol.clone(),
        };
        let known = trades().filter(|row| row.state != "filled" && row.market() == market);
        let mut covered: Vec<(u64, u64)> = known.filter_map(LedgerRow::range).collect();
        // What the cold store has comes from there.
        let bounds = (hole.from_id, hole.to_id);
        covered.extend(ranges(places.numbers(&market, bounds).await?));
        for (from, to) in uncovered(bounds, &covered) {
            let same = trades().find(|row| row.market() == market && row.from_id == from.to_string());
            let row = LedgerRow {
                data_type: DataType::Trade.to_string(),
                from_id: from.to_string(),
                to_id: to.to_string(),
                from_ts: hole.from_ts,
                to_ts: hole.to_ts,
                cause: GapCause::StoreLoss.to_string(),
                state: "open".into(),
                version: same.map_or(0, |row| row.version),
                exchange: market.exchange.clone(),
                market_type: market.market_type.clone(),
                symbol: market.symbol.clone(),
            };
            actions.push(ask(&row, (from, to), to - from + 1, instruments));
        }
    }
    Ok(actions)
}

async fn plan_open(places: Places<'_>, gap: &LedgerRow, instruments: &Instruments) -> Result<Action, StoreError> {
    let trades = gap.range().filter(|_| gap.data_type == DataType::Trade.as_str());
    let Some((from, to)) = trades.filter(|(from, to)| from <= to) else {
        let why = format!("{}: no venue tells its past ones", gap.data_type);
        return Ok(write(gap, Kind::MarkUnfillable, GapState::Unfillable, why));
    };
    let present = places.numbers(&gap.market(), (from, to)).await?.len() as u64;
    let missing = (to - from + 1).saturating_sub(present);
    Ok(if missing == 0 {
        write(
            gap,
            Kind::CloseGap,
            GapState::Filled,
            format!("trades {from} to {to} are there"),
        )
    } else {
        ask(gap, (from, to), missing, instruments)
    })
}

/// Plans to ask the venue, where it can be asked.
fn ask(gap: &LedgerRow, (from, to): (u64, u64), missing: u64, instruments: &Instruments) -> Action {
    let detail = format!("trades {from} to {to} ({})", gap.cause);
    let left = |why: &str| {
        about(
            gap,
            Action::new(Kind::RefillGap, missing, format!("{detail}: {why}"), Work::Nothing),
        )
    };
    let Ok(exchange) = gap.exchange.parse::<Exchange>() else {
        return left("the exchange is not known");
    };
    let kept = refill::kept_for(exchange);
    let age = clock::now_ms() - gap.to_ts;
    if kept.is_some_and(|kept| age > i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)) {
        return write(
            gap,
            Kind::MarkUnfillable,
            GapState::Unfillable,
            format!("{detail}: older than what the venue keeps"),
        );
    }
    let Some(instrument) = instruments.get(&(exchange, gap.symbol.clone())) else {
        return left("no instrument of the settings is called so");
    };
    let (Ok(market_type), Ok(symbol), Ok(cause)) = (
        gap.market_type.parse::<MarketType>(),
        Symbol::new(&gap.symbol),
        gap.cause.parse::<GapCause>(),
    ) else {
        return left("a newer version wrote it");
    };
    let hole = Hole {
        instrument: instrument.clone(),
        symbol,
        market_type,
        from,
        to,
        from_ts: UnixMillis(gap.from_ts),
        to_ts: UnixMillis(gap.to_ts),
        cause,
        version: gap.version,
    };
    about(
        gap,
        Action::new(Kind::RefillGap, missing, detail, Work::Refill { exchange, hole }),
    )
}

fn write(gap: &LedgerRow, kind: Kind, state: GapState, why: String) -> Action {
    let work = gap
        .next(state)
        .map_or(Work::Nothing, |gap| Work::WriteGap(Box::new(gap)));
    about(gap, Action::new(kind, 0, why, work))
}

fn about(gap: &LedgerRow, action: Action) -> Action {
    let action = action.within((gap.from_ts, gap.to_ts));
    match gap.data_type.parse() {
        Ok(data_type) => action.about(data_type, &gap.exchange, &gap.symbol),
        Err(_) => action,
    }
}
