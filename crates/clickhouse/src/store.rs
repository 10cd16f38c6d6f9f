//! A connection to one ClickHouse.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clickhouse::{Client, RowOwned, RowRead};
use hyper_util::rt::TokioExecutor;
use mprism_runtime::tls::ClientTls;

use crate::StoreError;
use crate::fence::Known;

/// How long a connection is kept that nothing is sent on: a server keeps it for 3 s or more (`keep_alive_timeout`).
const IDLE_MAX: Duration = Duration::from_secs(2);

/// How to reach ClickHouse.
#[derive(Clone)]
pub struct StoreOptions {
    /// Its HTTP interface, for example `http://127.0.0.1:8123`.
    pub url: String,
    /// Who we are there.
    pub user: String,
    /// Our password.
    pub password: String,
    /// Whom to believe there, and what to show, where it speaks https.
    pub tls: Option<ClientTls>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a statement may take that reads, or that makes a table.
    pub query_timeout: Duration,
    /// How long an insert may take until it is in doubt.
    pub insert_timeout: Duration,
    /// How long a fence may take: it waits for running inserts.
    pub fence_timeout: Duration,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("url", &self.url)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A connection to one ClickHouse.
#[derive(Clone)]
pub struct Store {
    pub(crate) client: Client,
    pub(crate) http: reqwest::Client,
    pub(crate) options: StoreOptions,
    pub(crate) known: Arc<Known>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

impl Store {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    /// Where the process cannot make HTTP connections.
    pub fn new(options: StoreOptions) -> Result<Self, StoreError> {
        let unreachable = |source| StoreError::Unreachable {
            url: options.url.clone(),
            source,
        };
        let tls = options.tls.as_ref().map(ClientTls::config).transpose();
        let tls = tls.map_err(|e| StoreError::Tls {
            url: options.url.clone(),
            source: e,
        })?;
        let mut http = reqwest::Client::builder()
            .connect_timeout(options.connect_timeout)
            .tcp_nodelay(true)
            .no_proxy()
            .pool_idle_timeout(IDLE_MAX);
        if let Some(config) = tls.clone() {
            http = http.tls_backend_preconfigured(config);
        }
        let http = http.build().map_err(|e| unreachable(e.into()))?;
        let client = tls
            .map_or_else(Client::default, secured)
            .with_url(&options.url)
            .with_user(&options.user)
            .with_password(&options.password);
        Ok(Self {
            client,
            http,
            options,
            known: Arc::default(),
        })
    }

    /// Returns its address.
    pub fn url(&self) -> &str {
        &self.options.url
    }

    /// Reads all rows of a query.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn fetch_all<T: RowOwned + RowRead>(&self, query: &str) -> Result<Vec<T>, StoreError> {
        self.within(self.client.query_raw(query).fetch_all::<T>()).await
    }

    /// Reads the one row of a query.
    ///
    /// # Errors
    /// See [`StoreError`]; no row at all is unexpected.
    pub async fn fetch_one<T: RowOwned + RowRead>(&self, query: &str) -> Result<T, StoreError> {
        self.within(self.client.query_raw(query).fetch_one::<T>()).await
    }

    /// Asks `/ping`.
    ///
    /// # Errors
    /// Where there is no good answer `within` the time.
    pub async fn ping(&self, within: Duration) -> Result<(), StoreError> {
        let url = format!("{}/ping", self.options.url);
        let answer = self.http.get(url).timeout(within).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        answer.map(|_| ()).map_err(|e| self.unreachable(e))
    }

    /// Runs a statement that answers nothing.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn execute(&self, statement: &str) -> Result<(), StoreError> {
        self.within(self.client.query_raw(statement).execute()).await
    }

    /// Says to the server who asks.
    pub(crate) fn signed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request
            .header("X-ClickHouse-User", &self.options.user)
            .header("X-ClickHouse-Key", &self.options.password)
    }

    /// Waits for the typed client, which waits for ever, as long as a query may take.
    async fn within<T>(&self, asked: impl Future<Output = clickhouse::error::Result<T>>) -> Result<T, StoreError> {
        let answered = tokio::time::timeout(self.options.query_timeout, asked).await;
        let answer = answered.unwrap_or(Err(clickhouse::error::Error::TimedOut));
        answer.map_err(|e| self.failed(e))
    }

    /// Sorts an error of the typed client.
    fn failed(&self, error: clickhouse::error::Error) -> StoreError {
        use clickhouse::error::Error;
        match error {
            Error::BadResponse(message) => StoreError::Exception {
                code: code_of(&message),
                message: message.trim().to_owned(),
            },
            Error::Network(source) => StoreError::Unreachable {
                url: self.options.url.clone(),
                source,
            },
            Error::TimedOut => StoreError::Unreachable {
                url: self.options.url.clone(),
                source: "timed out".into(),
            },
            other => StoreError::Unexpected { source: other.into() },
        }
    }

    pub(crate) fn unreachable(&self, error: reqwest::Error) -> StoreError {
        StoreError::Unreachable {
            url: self.options.url.clone(),
            source: error.into(),
        }
    }
}

/// Returns the typed client where it has to speak TLS.
fn secured(config: rustls::ClientConfig) -> Client {
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .build();
    let connections = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE_MAX)
        .build(connector);
    Client::with_http_client(connections)
}

/// Reads the code of `Code: 60. DB::Exception: …`.
pub(crate) fn code_of(message: &str) -> i32 {
    let after = message.split_once("Code: ").map(|(_, rest)| rest);
    let digits = after.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or(""));
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> StoreOptions {
        StoreOptions {
            url: "http://127.0.0.1:1".into(),
            user: "writer".into(),
            password: "s3cret".into(),
            tls: None,
            connect_timeout: Duration::from_secs(1),
            query_timeout: Duration::from_secs(7),
            insert_timeout: Duration::from_secs(1),
            fence_timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn codes_are_read_from_texts() {
        assert_eq!(code_of("Code: 60. DB::Exception: Unknown table. (UNKNOWN_TABLE)"), 60);
        assert_eq!(code_of("bad gateway"), 0);
    }

    #[test]
    fn passwords_stay_out_of_debug_output() {
        let options = StoreOptions {
            password: "s3cret".into(),
            ..options()
        };
        assert!(!format!("{options:?}").contains("s3cret"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_takes_a_question_and_never_answers_is_unreachable_in_time() {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = silent.local_addr().expect("bound");
        let store = Store::new(StoreOptions {
            url: format!("http://{address}"),
            ..options()
        });
        let store = store.expect("prepared");
        let began = tokio::time::Instant::now();
        for asked in [
            store.execute("SELECT 1").await,
            store.fetch_all::<u8>("SELECT 1").await.map(|_| ()),
        ] {
            let error = asked.expect_err("no answer");
            assert!(
                matches!(&error, StoreError::Unreachable { .. }) && error.is_retryable(),
                "{error:?}"
            );
        }
        assert_eq!(began.elapsed().as_secs(), 2 * options().query_timeout.as_secs());
    }
}
