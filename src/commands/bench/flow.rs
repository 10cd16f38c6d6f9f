//! What flows through a home, as it says itself.

use std::time::{Duration, Instant};

use mprism_settings::Settings;

use crate::commands::smoke::stored_trades;
use crate::error::CliError;

/// How long the first row may take.
const ROWS_WITHIN: Duration = Duration::from_secs(30);
/// Between looks at something that changes elsewhere.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until trades are stored.
pub(super) async fn until_rows(settings: &Settings) -> Result<(), CliError> {
    let began = Instant::now();
    while stored_trades(settings).await? == 0 {
        if began.elapsed() > ROWS_WITHIN {
            let text = format!("no trade is stored within {ROWS_WITHIN:?}");
            return Err(CliError::failed("silent", anyhow::Error::msg(text)));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
