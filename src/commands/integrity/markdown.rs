//! The report as a document for people who were not there.

use super::report::{Check, CoverageState, IntegrityReport, Level};

/// Writes it.
pub(super) fn of(report: &IntegrityReport) -> String {
    let mut text = format!(
        "# Integrity: {}\n\n{:.3} % of expected rows proven, {} by mprism {}.\n",
        report.verdict,
        report.score_percent,
        mprism_model::UnixMillis(mprism_runtime::clock::now_ms()).to_rfc3339(),
        env!("CARGO_PKG_VERSION")
    );
    for (level, title) in [(Level::Error, "Errors"), (Level::Warn, "Warnings")] {
        let found: Vec<&Check> = report.checks.iter().filter(|check| check.level == level).collect();
        if found.is_empty() {
            continue;
        }
        text.push_str(&format!(
            "\n## {title}\n\n| proof | type | exchange | symbol | rows | finding |\n|---|---|---|---|---:|---|\n"
        ));
        for check in found {
            let or_dash = |text: &Option<String>| text.as_deref().map_or("–".to_owned(), cell);
            text.push_str(&format!(
                "| {} | {} | {} | {} | {} | {} |\n",
                check.id,
                or_dash(&check.r#type),
                or_dash(&check.exchange),
                or_dash(&check.symbol),
                check.rows,
                cell(&check.message)
            ));
        }
    }
    text.push_str("\n## Tables\n\n| type | hot | cold | doubled | open gaps | missing | coverage |\n|---|---:|---:|---:|---:|---:|---:|\n");
    for table in &report.tables {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {:.2} % |\n",
            table.r#type,
            table.hot_rows,
            table.cold_rows.map_or("–".to_owned(), |rows| rows.to_string()),
            table.duplicates,
            table.gaps,
            table.missing,
            table.coverage_percent
        ));
    }
    let uncovered = report
        .coverage
        .iter()
        .filter(|day| day.state != CoverageState::Available);
    let uncovered: Vec<String> = uncovered
        .map(|day| {
            let state = serde_json::to_value(day.state).unwrap_or_default();
            format!(
                "| {} | {} | {} | {} | {} | {:.0} % |\n",
                day.day,
                day.r#type,
                cell(&day.exchange),
                cell(&day.symbol),
                state.as_str().unwrap_or_default(),
                day.percent
            )
        })
        .collect();
    if !uncovered.is_empty() {
        text.push_str(
            "\n## Not covered\n\n| day | type | exchange | symbol | state | of the day |\n|---|---|---|---|---|---:|\n",
        );
        text.push_str(&uncovered.concat());
    }
    text.push_str("\n## Passed\n\n");
    for (proof, message) in report.passed() {
        text.push_str(&format!("- {proof}: {message}\n"));
    }
    text
}

/// Returns a text that stays in its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::super::report::Score;
    use super::*;

    #[test]
    fn verdict_errors_and_warnings_come_before_what_passed_and_cells_stay_cells() {
        let checks = vec![
            Check::new("time", Level::Warn, "backwards", "slow"),
            Check::new("values", Level::Error, "price", "a | b\nc")
                .at("okx_spot", "BTC-USDT")
                .rows(3),
            Check::ok("schema", "all there"),
        ];
        let report = IntegrityReport::new(checks, Vec::new(), Vec::new(), Score::default());
        let text = of(&report);
        assert!(text.starts_with("# Integrity: fail\n"), "{text}");
        assert!(
            text.contains("| values | – | okx_spot | BTC-USDT | 3 | a \\| b c |"),
            "{text}"
        );
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
        assert!(at("## Errors") < at("## Warnings") && at("## Warnings") < at("## Passed"));
        assert!(at("- schema: all there") > 0);
    }
}
