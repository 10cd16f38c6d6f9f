//! What to type about what was found.

use super::report::Check;

/// Returns the commands for these findings, each once.
pub(super) fn of(findings: &[&Check]) -> Vec<String> {
    let mut fixes: Vec<String> = Vec::new();
    for check in findings {
        if let Some(fix) = fix(check).map(str::to_owned)
            && !fixes.contains(&fix)
        {
            fixes.push(fix);
        }
    }
    fixes
}

fn fix(check: &Check) -> Option<&'static str> {
    Some(match (check.id, check.cause.as_str()) {
        ("schema", "table_missing" | "column_missing" | "index_missing" | "definition" | "view") => {
            "make what is missing: `mprism init`"
        }
        ("schema", _) => "rebuild what differs, and keep the old one: `mprism repair --schema`",
        ("presence", "broken_part") => "mend its rows and drop it: `mprism repair --accept-broken-parts`",
        ("presence", _) => "look at the flow: `mprism health`",
        ("duplicates", "doubled") => "keep each row once: `mprism repair`",
        ("continuity", "open" | "not_in_ledger") => "ask the venues for what is missing: `mprism repair`",
        ("continuity", _) => "look at the gaps: `mprism query \"SELECT * FROM marketprism_hot.gaps_current\"`",
        ("transport", "dead_letters") => "store what is understood now: `mprism repair --dead-letters`",
        ("transport", "unreachable") => "start it: `mprism start nats`",
        ("transport", "differs") => "make streams and durables as configured: `mprism init nats`",
        ("transport", "backlog") => "see whether the hot worker stores: `mprism health hot`",
        ("replication", "unreachable") => "look at cold.clickhouse in the settings: `mprism config show cold`",
        ("replication", "behind") => "copy what is missing: `mprism start cold`",
        ("replication", "missing_in_hot" | "missing_in_cold") => "copy what one store lacks: `mprism repair`",
        ("replication", "differs" | "lost") => "see which windows: `mprism verify`",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    #[test]
    fn the_same_command_is_said_once() {
        let gap = Check::new("continuity", Level::Error, "open", "x");
        let lag = Check::new("replication", Level::Warn, "behind", "x");
        let other = Check::new("time", Level::Warn, "backwards", "x");
        assert_eq!(of(&[&gap, &lag, &gap, &other]).len(), 2);
    }
}
