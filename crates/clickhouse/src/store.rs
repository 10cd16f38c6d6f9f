//! A connection to one ClickHouse.

use std::fmt;
use std::time::Duration;

use clickhouse::Client;
use serde::Deserialize;

use crate::StoreError;

/// How to reach ClickHouse.
#[derive(Clone)]
pub struct StoreOptions {
    /// Its HTTP interface, for example `http://127.0.0.1:8123`.
    pub url: String,
    /// Who we are there.
    pub user: String,
    /// Our password.
    pub password: String,
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
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

#[derive(Deserialize)]
struct FenceAnswer {
    generation: u64,
}

impl Store {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    /// Where the process cannot make HTTP connections.
    pub fn new(options: StoreOptions) -> Result<Self, StoreError> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(3))
            .tcp_nodelay(true)
            .no_proxy()
            .pool_idle_timeout(Duration::from_secs(10))
            .build()
            .map_err(|e| StoreError::Unreachable {
                url: options.url.clone(),
                source: e.into(),
            })?;
        let client = Client::default()
            .with_url(&options.url)
            .with_user(&options.user)
            .with_password(&options.password);
        Ok(Self { client, http, options })
    }

    /// Returns the client for typed reads.
    pub fn client(&self) -> &Client {
        &self.client
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
        self.client
            .query_raw(statement)
            .execute()
            .await
            .map_err(|e| self.failed(e))
    }

    /// Raises the fence of a table (`database.table`): returns once no insert of an earlier writer runs or can ever begin.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn fence(&self, table: &str) -> Result<u64, StoreError> {
        let url = format!("{}/mprism/fence?table={table}", self.options.url);
        let sent = self
            .http
            .post(url)
            .header("X-ClickHouse-User", &self.options.user)
            .header("X-ClickHouse-Key", &self.options.password)
            .timeout(self.options.fence_timeout)
            .send()
            .await;
        let answer = sent.map_err(|e| self.unreachable(e))?;
        let status = answer.status();
        let body = answer.text().await.map_err(|e| self.unreachable(e))?;
        if !status.is_success() {
            return Err(StoreError::Exception {
                code: 0,
                message: body.trim().to_owned(),
            });
        }
        let answer: Result<FenceAnswer, _> = serde_json::from_str(&body);
        answer
            .map(|answer| answer.generation)
            .map_err(|e| StoreError::Unexpected { source: e.into() })
    }

    /// Gives a table up, so that the operator may write to it by hand. Failing to is harmless.
    pub async fn release(&self, table: &str, generation: u64) {
        let url = format!(
            "{}/mprism/fence?table={table}&generation={generation}",
            self.options.url
        );
        let released = self
            .http
            .delete(url)
            .header("X-ClickHouse-User", &self.options.user)
            .header("X-ClickHouse-Key", &self.options.password)
            .timeout(Duration::from_secs(1))
            .send();
        let _harmless = released.await;
    }

    /// Sorts an error of the typed client.
    pub fn failed(&self, error: clickhouse::error::Error) -> StoreError {
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

    fn unreachable(&self, error: reqwest::Error) -> StoreError {
        StoreError::Unreachable {
            url: self.options.url.clone(),
            source: error.into(),
        }
    }
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

    #[test]
    fn codes_are_read_from_texts() {
        assert_eq!(code_of("Code: 60. DB::Exception: Unknown table. (UNKNOWN_TABLE)"), 60);
        assert_eq!(code_of("bad gateway"), 0);
    }

    #[test]
    fn passwords_stay_out_of_debug_output() {
        let options = StoreOptions {
            url: "http://127.0.0.1:1".into(),
            user: "writer".into(),
            password: "s3cret".into(),
            insert_timeout: Duration::from_secs(1),
            fence_timeout: Duration::from_secs(1),
        };
        assert!(!format!("{options:?}").contains("s3cret"));
    }
}
