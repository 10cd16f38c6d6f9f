//! The simulator: telling it something, and keeping its trades apart from real ones.

use std::net::SocketAddr;
use std::time::Duration;

use mprism_settings::HomeFolders;

use crate::error::CliError;
use crate::ui::Printer;

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

/// Warns where simulated and real trades are about to share a home: they would share its tables.
pub(crate) fn warn_of_mixture(home: &HomeFolders, is_simulated: bool, printer: &Printer) {
    let had_simulated = home.sim_places().exists();
    match (is_simulated, had_simulated) {
        (false, true) => {
            printer
                .warn("this home holds simulated trades, and real ones will join them: give each a home, `--home DIR`");
        }
        (true, false) if has_spooled(home) => {
            printer
                .warn("this home holds real trades, and simulated ones will join them: give each a home, `--home DIR`");
        }
        _ => {}
    }
}

/// Returns whether a collector of this home has ever accepted an event.
fn has_spooled(home: &HomeFolders) -> bool {
    let entries = std::fs::read_dir(home.spool()).into_iter().flatten().flatten();
    let is_segment = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "seg");
    entries.into_iter().any(|entry| is_segment(&entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_accepted_events_count() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let home = HomeFolders::new(folder.path().to_path_buf());
        assert!(!has_spooled(&home));
        std::fs::create_dir_all(home.spool()).expect("made");
        std::fs::write(home.spool().join("spool.lock"), "").expect("written");
        assert!(!has_spooled(&home));
        std::fs::write(home.spool().join("1-1.seg"), "").expect("written");
        assert!(has_spooled(&home));
    }
}
