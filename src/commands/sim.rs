//! Telling the simulator something.

use std::net::SocketAddr;
use std::time::Duration;

use crate::error::CliError;

/// How long it may take to answer.
const WITHIN: Duration = Duration::from_secs(2);

/// Stops the simulated markets; nothing more is sent until they are told to go on.
pub(crate) async fn pause(sim: SocketAddr) -> Result<(), CliError> {
    let failed = |e: reqwest::Error| CliError::failed("sim", e).context("cannot pause the simulator");
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(WITHIN)
        .build()
        .map_err(failed)?;
    let url = format!("http://{sim}/control/pause");
    let answer = http.post(url).send().await.map_err(failed)?;
    answer.error_for_status().map(drop).map_err(failed)
}
