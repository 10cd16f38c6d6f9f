//! What there is: asked of the stores and the broker, changed nowhere.

mod canary;
mod parts;
mod presence;
mod replication;
mod rows;
mod scan;
mod schema;
mod sequence;
mod stores;
mod time;
mod transport;

use std::collections::BTreeMap;

use mprism_clickhouse::time::between;
use mprism_clickhouse::{BrokenPart, Tier};
use mprism_model::{DataType, UnixMillis};
use mprism_settings::Settings;

use super::Ask;
use super::shape::Rule;
use crate::error::CliError;

pub(crate) use canary::Canary;
pub(crate) use presence::{DayBuckets, Wanted};
pub(crate) use replication::{CellKey, Replication};
pub(crate) use rows::{Doubled, StoredRow};
pub(crate) use scan::MarketScan;
pub(crate) use schema::Found;
pub(crate) use sequence::{LedgerRow, Spans};
pub(crate) use stores::Stores;
pub(crate) use time::Backwards;
#[cfg(test)]
pub(crate) use transport::DurableState;
pub(crate) use transport::{StreamState, Transport};

/// A market: exchange and symbol.
pub(crate) type Market = (String, String);

/// Everything the proofs need.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// When it was looked at, in milliseconds since the epoch.
    pub(crate) now: i64,
    /// Differences between the tables and the schema.
    pub(crate) schema: Vec<mprism_clickhouse::Difference>,
    /// Parts of which the rows are missing, because a server cannot read them.
    pub(crate) broken_parts: Vec<(Tier, BrokenPart)>,
    pub(crate) tables: Vec<TableObserved>,
    /// What should be collected.
    pub(crate) wanted: Vec<Wanted>,
    /// Whether the whole of time was looked at.
    pub(crate) window: Option<(i64, i64)>,
    /// `None` where it was not asked.
    pub(crate) transport: Option<Transport>,
    /// Why the cold store could not be asked.
    pub(crate) cold_unreachable: Option<String>,
    pub(crate) canary: Option<Canary>,
    /// Days that the hot store keeps a day that is over; `None` where it keeps all.
    pub(crate) hot_days: Option<i64>,
    /// Days that the cold store keeps; `None` is for ever.
    pub(crate) cold_days: Option<i64>,
    /// Being behind for longer is worth a look, in milliseconds.
    pub(crate) lag_max_ms: i64,
}

/// One table, as both stores have it.
#[derive(Debug)]
pub(crate) struct TableObserved {
    pub(crate) data_type: DataType,
    /// `None` where it was not looked at, or cannot be.
    pub(crate) hot: Option<TierObserved>,
    pub(crate) cold: Option<TierObserved>,
    /// What the ledger says about it.
    pub(crate) gaps: Vec<LedgerRow>,
    /// Days and markets with rows, of the hot store and what left it.
    pub(crate) days: Vec<DayBuckets>,
    pub(crate) backwards: Vec<Backwards>,
    pub(crate) replication: Option<Replication>,
}

/// One table in one store.
#[derive(Debug, Default)]
pub(crate) struct TierObserved {
    pub(crate) markets: Vec<MarketScan>,
    /// The rules that the rows were held against, in the order of what was counted.
    pub(crate) rules: Vec<Rule>,
    /// Markets of which fewer identities than rows were seen, counted exactly.
    pub(crate) doubled: Vec<Doubled>,
    /// Which numbers are there.
    pub(crate) numbers: BTreeMap<Market, Spans>,
}

impl TierObserved {
    pub(crate) fn rows(&self) -> u64 {
        self.markets.iter().map(|market| market.rows).sum()
    }
}

impl Observed {
    /// Returns whether messages are delivered and not stored yet.
    pub(crate) fn has_unacked(&self) -> bool {
        let durables = self.transport.iter().flat_map(|transport| &transport.durables);
        durables.into_iter().any(|durable| durable.pending > 0)
    }

    /// Returns when the first row was stored, in milliseconds since the epoch.
    pub(crate) fn first_insert(&self) -> Option<i64> {
        let tiers = self.tables.iter().flat_map(|table| [&table.hot, &table.cold]);
        let markets = tiers.flatten().flat_map(|tier| &tier.markets);
        markets.map(|market| market.first_insert).min()
    }
}

/// Looks at everything that is asked for.
pub(crate) async fn observe(settings: &Settings, ask: &Ask) -> Result<Observed, CliError> {
    let stores = Stores::new(settings, ask)?;
    let now = mprism_runtime::clock::now_ms();
    let within = match ask.window {
        Some((from, to)) => between(UnixMillis(from), UnixMillis(to)),
        None => "1".to_owned(),
    };
    let mut observed = Observed {
        now,
        window: ask.window,
        hot_days: settings.cold.leave.map(|leave| i64::from(leave.after_days)),
        cold_days: settings.cold.retention_days.map(i64::from),
        lag_max_ms: i64::try_from(settings.cold.lag_max.as_millis()).unwrap_or(i64::MAX),
        wanted: presence::wanted(settings),
        ..Observed::default()
    };
    let hot = schema::found(&stores.hot, Tier::Hot).await?;
    let cold = match ask.looks_at_cold() {
        false => None,
        true => match schema::found(&stores.cold, Tier::Cold).await {
            // Nothing was ever cold here, and nobody said that it should be.
            Ok(found) if !found.has_tables() && stores.are_one => None,
            Ok(found) => Some(found),
            Err(error) => {
                observed.cold_unreachable = Some(in_words(&error));
                None
            }
        },
    };
    if ask.looks_at_hot() {
        observed
            .schema
            .extend(schema::differences(&stores.hot, Tier::Hot).await?);
        observed
            .broken_parts
            .extend(parts::broken(&stores.hot, Tier::Hot).await?);
    }
    if cold.is_some() {
        observed
            .schema
            .extend(schema::differences(&stores.cold, Tier::Cold).await?);
        observed
            .broken_parts
            .extend(parts::broken(&stores.cold, Tier::Cold).await?);
    }
    let look = Look {
        stores: &stores,
        ask,
        within: &within,
        now,
    };
    for &data_type in DataType::ALL {
        observed
            .tables
            .push(look.table(data_type, &hot, cold.as_ref(), settings).await?);
    }
    if ask.looks_at_hot() {
        observed.canary = canary::look(&stores.hot, &hot, now).await?;
        observed.transport = Some(transport::look(settings).await);
    }
    Ok(observed)
}

/// Returns the first day that a store has rows of; after every day where it has none.
fn first_day(tier: &Option<TierObserved>) -> i64 {
    let markets = tier.iter().flat_map(|tier| &tier.markets);
    let first = markets.map(|market| market.first_event.div_euclid(mprism_storage::cold::DAY));
    first.min().unwrap_or(i64::MAX)
}

/// Returns an error and its causes in one line.
pub(crate) fn in_words(error: &CliError) -> String {
    let chain: Vec<String> = error.source.chain().map(ToString::to_string).collect();
    chain.join(": ")
}

/// What every look at a table needs.
struct Look<'a> {
    stores: &'a Stores,
    ask: &'a Ask,
    /// The predicate of the window.
    within: &'a str,
    now: i64,
}

impl Look<'_> {
    async fn table(
        &self,
        data_type: DataType,
        hot: &Found,
        cold: Option<&Found>,
        settings: &Settings,
    ) -> Result<TableObserved, CliError> {
        let hot_columns = hot.columns(data_type.table());
        let cold_columns = cold.map(|found| found.columns(data_type.table())).unwrap_or_default();
        let mut table = TableObserved {
            data_type,
            hot: self.ask.looks_at_hot().then_some(()).map(|()| TierObserved::default()),
            cold: cold.map(|_| TierObserved::default()),
            gaps: Vec::new(),
            days: Vec::new(),
            backwards: Vec::new(),
            replication: None,
        };
        if self.ask.looks_at_hot() {
            table.hot = self.tier(data_type, Tier::Hot, &hot_columns).await?;
        }
        if cold.is_some() {
            table.cold = self.tier(data_type, Tier::Cold, &cold_columns).await?;
        }
        if hot.columns("gaps").contains(&"gap_id".to_owned()) && data_type != DataType::Gap {
            table.gaps = sequence::ledger(&self.stores.hot, data_type).await?;
        }
        if table.hot.is_some() {
            table.days = presence::days(&self.stores.hot, Tier::Hot, data_type, self.within).await?;
            table.backwards = time::backwards(&self.stores.hot, data_type, self.within).await?;
        }
        // What both stores have of a day is the same; what left only the cold one has.
        if first_day(&table.cold) < first_day(&table.hot) {
            let days = presence::days(&self.stores.cold, Tier::Cold, data_type, self.within).await?;
            table.days = presence::joined(std::mem::take(&mut table.days), days);
        }
        let can_compare = table.cold.is_some() && super::shape::Shape::of(data_type).can_be_read(&hot_columns);
        if can_compare {
            let columns: Vec<String> = hot.stored_columns(data_type.table());
            let columns: Vec<String> = columns.into_iter().filter(|name| cold_columns.contains(name)).collect();
            table.replication = Some(replication::look(self, data_type, &columns, settings).await?);
        }
        Ok(table)
    }

    /// Looks at one table in one store; `None` where it cannot be looked at, which the schema's proof tells.
    async fn tier(
        &self,
        data_type: DataType,
        tier: Tier,
        columns: &[String],
    ) -> Result<Option<TierObserved>, CliError> {
        let shape = super::shape::Shape::of(data_type);
        if !shape.can_be_read(columns) {
            return Ok(None);
        }
        let reader = self.stores.of(tier);
        let rules = shape.rules(columns);
        let markets = scan::markets(reader, tier, data_type, &rules, self.within).await?;
        let suspects: Vec<Market> = markets
            .iter()
            .filter(|market| market.is_doubtful())
            .map(MarketScan::market)
            .collect();
        let doubled = rows::doubled(reader, tier, data_type, &suspects, self.within).await?;
        let numbers = match shape.number {
            Some(_) => sequence::numbers(reader, tier, data_type, &markets, self.within).await?,
            None => BTreeMap::new(),
        };
        Ok(Some(TierObserved {
            markets,
            rules,
            doubled,
            numbers,
        }))
    }
}
