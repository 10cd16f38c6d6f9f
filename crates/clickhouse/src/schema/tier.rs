//! The places that have tables, and the statements that make them, all from one file.

/// The database of the hot store.
pub const DATABASE: &str = "marketprism_hot";
/// The tables of the hot store.
pub const TABLES: [&str; 10] = [
    "orderbooks",
    "trades",
    "funding_rates",
    "open_interests",
    "liquidations",
    "lsr_top_positions",
    "lsr_all_accounts",
    "volatility_indices",
    "gaps",
    "dead_letters",
];
/// The table of hours that were proven to be in the cold store.
pub const WINDOW_LEDGER: &str = "window_ledger";
/// The table of what has left the hot store.
pub const DEPARTURES: &str = "departures";

pub(crate) const SCHEMA: &str = include_str!("../../../../config/schema.sql");
pub(super) const MARKET_TABLES: usize = 9;

/// A place that has the tables of market data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Where rows are stored first.
    Hot,
    /// Where partitions of the hot store are while they leave it.
    Leaving,
    /// Where rows stay.
    Cold,
}

impl Tier {
    /// Returns its database. Users' queries and dashboards name the first and the last, so they are fixed.
    pub fn database(self) -> &'static str {
        match self {
            Self::Hot => DATABASE,
            Self::Leaving => "marketprism_leaving",
            Self::Cold => "marketprism_cold",
        }
    }

    /// Returns its tables of market data: those that move from tier to tier.
    pub fn market_tables(self) -> &'static [&'static str] {
        &TABLES[..MARKET_TABLES]
    }

    /// Returns a word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Leaving => "leaving",
            Self::Cold => "cold",
        }
    }

    /// Returns all its tables.
    pub fn tables(self) -> Vec<&'static str> {
        match self {
            Self::Hot => TABLES.to_vec(),
            Self::Leaving => self.market_tables().to_vec(),
            Self::Cold => [self.market_tables(), &[WINDOW_LEDGER, DEPARTURES]].concat(),
        }
    }

    /// Returns a statement of the hot store as it reads for this tier.
    fn of_hot(self, statement: &str) -> String {
        let statement = statement.replace(DATABASE, self.database());
        match self {
            Self::Hot | Self::Leaving => statement,
            // Years of days would be more partitions than a server likes.
            Self::Cold => statement.replace("PARTITION BY (day, exchange)", "PARTITION BY (toYYYYMM(day), exchange)"),
        }
    }

    /// Returns the statements that make it, in order.
    pub(super) fn statements(self) -> Vec<String> {
        let own = format!("{}.", self.database());
        let is_market = |statement: &String| {
            let is_of = |table: &&str| statement.starts_with(&create(DATABASE, table));
            self.market_tables().iter().any(is_of)
        };
        let is_own = |statement: &String| statement.contains(&own);
        let statements = statements().into_iter();
        match self {
            Self::Hot => statements.filter(|statement| statement.contains(DATABASE)).collect(),
            Self::Leaving | Self::Cold => {
                let database = format!("CREATE DATABASE IF NOT EXISTS {}", self.database());
                let made = statements.filter(|statement| is_market(statement) || is_own(statement));
                std::iter::once(database)
                    .chain(made.map(|statement| self.of_hot(&statement)))
                    .collect()
            }
        }
    }
}

pub(super) fn create(database: &str, table: &str) -> String {
    format!("CREATE TABLE IF NOT EXISTS {database}.{table} (")
}

/// Returns the schema's statements.
fn statements() -> Vec<String> {
    let tables = SCHEMA.split(crate::views::MARK).next().unwrap_or_default();
    let code: Vec<&str> = tables
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .collect();
    let whole = code.join("\n");
    let parts = whole.split(";\n").map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.trim_end_matches(';').to_owned()).collect()
}
