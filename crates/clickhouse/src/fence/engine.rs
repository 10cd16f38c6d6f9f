//! Fences of mprism's engine: `/mprism/fence`, which `services/engine` describes.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use crate::store::code_of;
use crate::{Store, StoreError};

/// How long giving a table up may take: nobody depends on it.
const RELEASE_WITHIN: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Answer {
    generation: u64,
}

impl Store {
    /// Has the engine raise a fence; `None` where the server is no engine of ours.
    pub(super) async fn raise_in_engine(&self, table: &str) -> Result<Option<u64>, StoreError> {
        let url = format!("{}/mprism/fence?table={table}", self.options.url);
        let asked = self.signed(self.http.post(url)).timeout(self.options.fence_timeout);
        let answer = asked.send().await.map_err(|e| self.unreachable(e))?;
        let status = answer.status();
        let body = answer.text().await.map_err(|e| self.unreachable(e))?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(StoreError::Exception {
                code: code_of(&body),
                message: body.trim().to_owned(),
            });
        }
        let answer: Result<Answer, _> = serde_json::from_str(&body);
        answer
            .map(|answer| Some(answer.generation))
            .map_err(|e| StoreError::Unexpected { source: e.into() })
    }

    /// Asks whether the server is an engine of ours; raises nothing.
    pub(super) async fn has_fences(&self) -> Result<bool, StoreError> {
        // Names no table: the engine says that something is missing, any other server that there is no such place.
        let asked = self.http.post(format!("{}/mprism/fence", self.options.url));
        let answer = self.signed(asked).timeout(self.options.query_timeout).send().await;
        let answer = answer.map_err(|e| self.unreachable(e))?;
        Ok(answer.status() != StatusCode::NOT_FOUND)
    }

    pub(super) async fn release_in_engine(&self, table: &str, generation: u64) {
        let url = format!(
            "{}/mprism/fence?table={table}&generation={generation}",
            self.options.url
        );
        let _harmless = self.signed(self.http.delete(url)).timeout(RELEASE_WITHIN).send().await;
    }
}
