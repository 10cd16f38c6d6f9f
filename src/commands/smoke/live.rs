//! The run against the exchanges themselves: nobody tells what they sent, so it demands what can be demanded without. Every
//! exchange is reached, everything flows, nothing is doubled, no number is missing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use super::steps::Run;
use crate::commands::store::Reader;
use crate::commands::up;
use crate::error::CliError;

/// How long the first row of an exchange may take.
const REACHED_WITHIN: Duration = Duration::from_secs(30);
const QUERY_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
struct Told {
    exchange: String,
}

impl Run<'_> {
    /// Waits until every exchange has told something. Each that has not in time is a finding.
    pub(super) async fn reach(&mut self) -> Result<String, CliError> {
        let settings = self.home.settings()?;
        let reader = Reader::new(&settings)?;
        let wanted: BTreeSet<String> = settings.collector.enabled().map(|(id, _)| id.to_owned()).collect();
        let told = up::collected(&settings).into_iter().map(|data_type| {
            let table = data_type.table();
            format!("SELECT DISTINCT exchange FROM marketprism_hot.{table}")
        });
        let told = told.collect::<Vec<_>>().join(" UNION DISTINCT ");
        let began = Instant::now();
        let mut missing = wanted.clone();
        while began.elapsed() < REACHED_WITHIN {
            for row in reader.rows::<Told>(&told, QUERY_WITHIN).await? {
                missing.remove(&row.exchange);
            }
            if missing.is_empty() {
                return Ok(format!("{} exchanges tell something", wanted.len()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let why = self.why_unreachable().await;
        for exchange in &missing {
            let named = settings.collector.exchanges.get(exchange.as_str());
            let url = named
                .map(|exchange| exchange.websocket_url.to_string())
                .unwrap_or_default();
            let why = why.get(exchange).and_then(Value::as_object);
            let why = why.and_then(|check| check.get("error_message")?.as_str());
            let why = why.unwrap_or("it tells nothing");
            self.report
                .findings
                .push(format!("{exchange} is not reached at {url}: {why}"));
        }
        let text = format!("{} of {} exchanges are not reached", missing.len(), wanted.len());
        Err(CliError::failed("unreachable", anyhow::anyhow!(text)))
    }

    /// Returns what the collector says of each exchange; nothing where it does not answer.
    async fn why_unreachable(&self) -> Value {
        let Ok(settings) = self.home.settings() else {
            return Value::Null;
        };
        let address = mprism_settings::loopback(settings.collector.port);
        let answer = mprism_runtime::probe::get(address, "/health", QUERY_WITHIN).await;
        let document = answer
            .ok()
            .and_then(|(_, body)| serde_json::from_str::<Value>(&body).ok());
        document.map_or(Value::Null, |mut document| document["checks"].take())
    }

    /// Asks integrity, and takes over what it counts.
    pub(super) async fn prove(&mut self) -> Result<String, CliError> {
        self.report.rows = up::rows(&self.home.settings()?)
            .await?
            .into_iter()
            .map(|(name, rows)| (name.to_owned(), rows))
            .collect();
        let answer = self.home.mprism(&["integrity"]).await?;
        let tables = answer.document["tables"].as_array().into_iter().flatten();
        for table in tables {
            let count = |name: &str| table[name].as_u64().unwrap_or(0);
            self.report.duplicated += count("duplicates");
            self.report.lost += count("missing");
        }
        let verdict = answer.document["verdict"].as_str().unwrap_or_default();
        Ok(verdict.to_owned())
    }
}
