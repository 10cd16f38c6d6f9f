//! What the last proof of everything said, for the hot worker's `/metrics`.

use mprism_settings::Settings;
use serde_json::json;

use super::IntegrityReport;
use crate::commands::Context;

/// Notes it. A home that cannot be written can still be proven: that it was not noted is said.
pub(super) fn note(settings: &Settings, report: &IntegrityReport, context: &Context) {
    let run = settings.home.run();
    // A home that was never made is not made by looking at it.
    if !run.is_dir() {
        return;
    }
    let path = run.join(mprism_storage::INTEGRITY_FILE);
    let text = json!({
        "score_percent": report.score_percent,
        "verdict": report.verdict,
        "at_ms": mprism_runtime::clock::now_ms(),
    });
    if let Err(error) = mprism_runtime::files::write_atomic(&path, text.to_string().as_bytes(), 0o644) {
        let path = path.display();
        context
            .printer
            .warn(&format!("the result is not in /metrics: cannot write {path}: {error}"));
    }
}
