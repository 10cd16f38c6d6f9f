//! Asking the store: as an anonymous reader on this machine, where what every screen shows anybody may read, and with a credential
//! where other hosts can ask, too.

use std::time::Duration;

use mprism_clickhouse::{Store, StoreOptions};
use mprism_runtime::tls::ClientTls;
use mprism_settings::Settings;
use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;

use crate::commands::reach::{self, StoreReach};
use crate::commands::trouble;
use crate::control::Service;
use crate::error::CliError;

/// How long a server may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// A client of the store.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    http: reqwest::Client,
    url: String,
    /// User and password, where the store wants them.
    credential: Option<(String, String)>,
    tls: Option<ClientTls>,
}

impl Reader {
    /// Prepares reading; nothing is sent yet.
    pub(crate) fn new(settings: &Settings) -> Result<Self, CliError> {
        Self::reaching(reach::reader(settings)?)
    }

    /// As [`Reader::new`], with the credential of the store's writer.
    pub(crate) fn as_writer(settings: &Settings) -> Result<Self, CliError> {
        Self::reaching(reach::writer(settings)?)
    }

    /// As [`Reader::new`], for a store on this machine that asks nobody who he is.
    pub(crate) fn at(url: &str) -> Result<Self, CliError> {
        Self::reaching(StoreReach {
            url: url.to_owned(),
            login: None,
            tls: None,
        })
    }

    /// As [`Reader::new`], for the store that these options name.
    pub(crate) fn of(options: &StoreOptions) -> Result<Self, CliError> {
        Self::reaching(StoreReach {
            url: options.url.clone(),
            login: Some((options.user.clone(), options.password.clone())),
            tls: options.tls.clone(),
        })
    }

    fn reaching(reach: StoreReach) -> Result<Self, CliError> {
        // Clients are also made before anything asynchronous has run.
        crate::commands::install_crypto_provider();
        let mut http = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_WITHIN);
        if let Some(tls) = &reach.tls {
            let config = tls.config().map_err(|e| {
                CliError::failed("no_tls", e)
                    .context(format!("no TLS with clickhouse at {}", reach.url))
                    .hint("look at clickhouse.tls.ca_file in the settings")
            })?;
            http = http.tls_backend_preconfigured(config);
        }
        let http = http
            .build()
            .map_err(|e| CliError::failed("store", e).context("cannot make HTTP connections"))?;
        Ok(Self {
            http,
            url: reach.url,
            credential: reach.login,
            tls: reach.tls,
        })
    }

    /// Returns the store's address, without a credential.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Begins a request to the store, which knows who asks.
    pub(crate) fn post(&self) -> reqwest::RequestBuilder {
        let request = self.http.post(&self.url);
        match &self.credential {
            Some((user, password)) => {
                let mut key = HeaderValue::from_str(password).unwrap_or(HeaderValue::from_static(""));
                key.set_sensitive(true);
                request
                    .header("X-ClickHouse-User", user)
                    .header("X-ClickHouse-Key", key)
            }
            None => request,
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
            tls: self.tls.clone(),
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
            let why = mprism_runtime::log::chain(&e);
            CliError::failed("store_unreachable", e)
                .context(format!("cannot read from clickhouse at {}", self.url))
                .hint(
                    trouble::advice(&why, Service::Clickhouse)
                        .unwrap_or("start it, if it is stopped: `mprism start`".into()),
                )
        };
        let mut answer = self
            .post()
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
