//! Whom to ask about rows.

use std::time::Duration;

use mprism_clickhouse::Tier;
use mprism_settings::Settings;

use super::super::Ask;
use crate::commands::store::Reader;
use crate::commands::worker;
use crate::error::CliError;

/// How long one query may take.
pub(crate) const QUERY_WITHIN: Duration = Duration::from_secs(600);

/// The two stores, which may be one server.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) hot: Reader,
    pub(crate) cold: Reader,
    pub(crate) are_one: bool,
}

impl Stores {
    /// Prepares reading; nothing is sent yet.
    pub(crate) fn new(settings: &Settings, ask: &Ask) -> Result<Self, CliError> {
        let hot = Reader::new(settings)?;
        let cold = match (&settings.cold.url, ask.looks_at_cold()) {
            (Some(_), true) => worker::cold(settings)?.cold,
            _ => None,
        };
        let are_one = cold.is_none();
        let cold = match cold {
            Some(cold) => Reader::of(&cold)?,
            None => hot.clone(),
        };
        Ok(Self { hot, cold, are_one })
    }

    /// Returns the server that has a tier.
    pub(crate) fn of(&self, tier: Tier) -> &Reader {
        match tier {
            Tier::Hot | Tier::Leaving => &self.hot,
            Tier::Cold => &self.cold,
        }
    }
}

/// Returns `database.table`.
pub(super) fn name(tier: Tier, table: &str) -> String {
    format!("{}.{table}", tier.database())
}

/// Writes a text as an SQL literal.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Returns the predicate for rows of these markets.
pub(super) fn of_markets(markets: &[super::Market]) -> String {
    let list: Vec<String> = markets
        .iter()
        .map(|(exchange, symbol)| format!("({}, {})", quoted(exchange), quoted(symbol)))
        .collect();
    format!("(exchange, symbol) IN ({})", list.join(", "))
}
