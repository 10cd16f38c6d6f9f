//! Asking the store as an anonymous reader: what every screen shows, anybody may read.

use std::time::Duration;

use mprism_clickhouse::{Store, StoreOptions};
use mprism_settings::Settings;
use serde::de::DeserializeOwned;

use crate::error::CliError;

/// How long a server may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// A reader of the store.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    http: reqwest::Client,
    url: String,
    /// User and password, where somebody else's server wants them.
    credential: Option<(String, String)>,
}

impl Reader {
    /// Prepares reading; nothing is sent yet.
    pub(crate) fn new(settings: &Settings) -> Result<Self, CliError> {
        Self::at(settings.clickhouse.url.expose())
    }

    /// As [`Reader::new`], for the store at a URL.
    pub(crate) fn at(url: &str) -> Result<Self, CliError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_WITHIN)
            .build()
            .map_err(|e| CliError::failed("store", e).context("cannot make HTTP connections"))?;
        Ok(Self {
            http,
            url: url.to_owned(),
            credential: None,
        })
    }

    /// Returns the same with a credential.
    #[must_use]
    pub(crate) fn with(self, user: &str, password: &str) -> Self {
        Self {
            credential: Some((user.to_owned(), password.to_owned())),
            ..self
        }
    }

    /// Returns a client of the store's own library for the same server, which reads and nothing else.
    pub(crate) fn store(&self, within: Duration) -> Result<Store, CliError> {
        let anonymous = || ("default".to_owned(), String::new());
        let (user, password) = self.credential.clone().unwrap_or_else(anonymous);
        let options = StoreOptions {
            url: self.url.clone(),
            user,
            password,
            connect_timeout: CONNECT_WITHIN,
            query_timeout: within,
            insert_timeout: within,
            fence_timeout: within,
        };
        Store::new(options).map_err(|e| CliError::failed("store", e))
    }

    /// Returns a query's rows.
    pub(crate) async fn rows<T: DeserializeOwned>(&self, query: &str, within: Duration) -> Result<Vec<T>, CliError> {
        let failed = |e: reqwest::Error| {
            CliError::failed("store_unreachable", e)
                .context(format!("cannot read from clickhouse at {}", self.url))
                .hint("start it, if it is stopped: `mprism start`")
        };
        let mut request = self.http.post(&self.url);
        if let Some((user, password)) = &self.credential {
            request = request
                .header("X-ClickHouse-User", user)
                .header("X-ClickHouse-Key", password);
        }
        let mut answer = request
            .query(&[
                ("default_format", "JSONEachRow"),
                ("output_format_json_quote_64bit_integers", "0"),
            ])
            .timeout(within)
            .body(query.to_owned())
            .send()
            .await
            .map_err(failed)?;
        let status = answer.status();
        let mut body = Vec::new();
        let outcome = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let body = String::from_utf8_lossy(&body);
        if !status.is_success() {
            return Err(CliError::failed("store_refused", anyhow::anyhow!("{}", body.trim()))
                .context("clickhouse refused a query"));
        }
        if let Err(error) = outcome {
            return Err(match exception(&body) {
                Some(said) => {
                    CliError::failed("store_refused", anyhow::anyhow!("{said}")).context("clickhouse broke a query off")
                }
                None => failed(error),
            });
        }
        let rows: Result<Vec<T>, _> = body.lines().map(serde_json::from_str).collect();
        rows.map_err(|e| CliError::failed("store_answer", e).context("clickhouse answered something unexpected"))
    }

    /// Returns the one row of a query.
    pub(crate) async fn row<T: DeserializeOwned>(&self, query: &str, within: Duration) -> Result<T, CliError> {
        let mut rows = self.rows(query, within).await?;
        match rows.len() {
            1 => Ok(rows.remove(0)),
            count => Err(CliError::failed(
                "store_answer",
                anyhow::anyhow!("clickhouse answered {count} rows where one was expected"),
            )),
        }
    }
}

/// Returns what the server said when it broke an answer off: it stands at the end of what came until then.
fn exception(body: &str) -> Option<&str> {
    let at = body
        .rfind("\nCode: ")
        .map(|at| at + 1)
        .or_else(|| body.rfind("Code: "))?;
    body[at..].lines().next()
}
