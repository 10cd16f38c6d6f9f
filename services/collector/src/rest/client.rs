//! One request: bounded in time and size, and obedient to what the venue says about its limits.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::{Budget, RestError};

/// A request from its first byte to its answer's last.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Pauses that a venue can ask for.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What is special about a venue's limits.
pub(crate) trait Throttle: Send + Sync + 'static {
    /// Returns the weight that the venue counted, where an answer's head says it.
    fn counted(headers: &HeaderMap) -> Option<u32>;
    /// Returns the pause that a refusal asks for in words, where it does.
    fn pause_in(text: &str, now_ms: i64) -> Option<Duration>;
}

/// Asks one venue.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// Prepares asking a venue at its base URL, without a slash at the end.
    pub(crate) fn new(base: String) -> Result<Self, RestError> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_WITHIN)
            .user_agent(concat!("mprism/", env!("CARGO_PKG_VERSION")))
            // What another host says is not what the venue says.
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .build()
            .map_err(RestError::Request)?;
        Ok(Self { http, base })
    }

    /// Asks for `path` with these parameters, once the budget has room for its weight, and returns the body.
    pub(crate) async fn get<T: Throttle>(
        &self,
        budget: &Budget,
        path: &str,
        query: &[(&str, &str)],
        weight: u32,
    ) -> Result<Vec<u8>, RestError> {
        budget.take(weight).await;
        let request = self.http.get(format!("{}{path}", self.base)).query(query);
        let answer = request.send().await.map_err(RestError::Request)?;
        if let Some(used) = T::counted(answer.headers()) {
            budget.counted(used);
        }
        let status = answer.status().as_u16();
        let retry_after = retry_after(answer.headers());
        let body = body(answer).await?;
        if status == 200 {
            return Ok(body);
        }
        let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
        if matches!(status, 429 | 418) {
            let said = retry_after.or_else(|| T::pause_in(&text, mprism_runtime::clock::now_ms()));
            let unsaid = Duration::from_secs(if status == 418 { 120 } else { 60 });
            let pause = said.unwrap_or(unsaid).clamp(PAUSE_MIN, PAUSE_MAX);
            budget.pause(pause);
            return Err(RestError::Limited { status, pause });
        }
        let text = text.chars().filter(|c| !c.is_control()).collect();
        Err(RestError::Status { status, text })
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

async fn body(answer: reqwest::Response) -> Result<Vec<u8>, RestError> {
    let mut whole = Vec::new();
    let mut portions = answer.bytes_stream();
    while let Some(portion) = portions.next().await {
        whole.extend_from_slice(&portion.map_err(RestError::Request)?);
        if whole.len() > ANSWER_BYTES_MAX {
            return Err(RestError::TooLarge { max: ANSWER_BYTES_MAX });
        }
    }
    Ok(whole)
}
