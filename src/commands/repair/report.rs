//! What a repair is going to do, or did, and what `integrity` says then.

use serde::Serialize;

use super::plan::{Action, Outcome};
use crate::commands::integrity::IntegrityReport;
use crate::error::{Exit, Failure};
use crate::report::{Cell, Page, Report, Tone};

/// The result of `mprism repair`.
#[derive(Debug, Serialize)]
pub(crate) struct RepairReport {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) dry_run: bool,
    pub(super) actions: Vec<Action>,
    pub(super) integrity: Option<IntegrityReport>,
}

impl RepairReport {
    fn left(&self) -> Vec<&Action> {
        let is_left = |action: &&Action| action.outcome == Outcome::Left;
        self.actions.iter().filter(is_left).collect()
    }
}

/// Returns an action in one line, for people.
pub(super) fn line(action: &Action) -> String {
    let parts = [&action.r#type, &action.exchange, &action.symbol];
    let about: Vec<&str> = parts.iter().filter_map(|part| part.as_deref()).collect();
    format!("{} {}: {}", action.kind.as_str(), about.join(" "), action.detail)
}

impl Report for RepairReport {
    fn exit(&self) -> Exit {
        if self.dry_run {
            return Exit::Success;
        }
        match &self.integrity {
            Some(integrity) if self.left().is_empty() => integrity.exit(),
            _ => Exit::Failed,
        }
    }

    fn failure(&self) -> Option<Failure> {
        if self.exit() == Exit::Success {
            return None;
        }
        let left = self.left();
        let integrity = self.integrity.as_ref().and_then(Report::failure);
        let mut causes: Vec<String> = left.iter().map(|action| line(action)).collect();
        let mut hints = Vec::new();
        let mut message = format!("{} of {} actions are left undone", left.len(), self.actions.len());
        if let Some(failure) = integrity {
            message = format!("{message}; {}", failure.message);
            causes.extend(failure.causes);
            hints.extend(failure.hints);
        }
        Some(Failure {
            code: "repair_incomplete",
            message,
            causes,
            hints,
        })
    }

    fn page(&self) -> Page {
        let mut page = Page::new();
        page = match self.actions.len() {
            0 => page.line("nothing to mend"),
            count if self.dry_run => page.line(format!("{count} actions would be done")),
            _ => page,
        };
        if !self.actions.is_empty() {
            let rows = self.actions.iter().map(|action| {
                let (word, tone) = match action.outcome {
                    Outcome::Planned => ("planned", Tone::Plain),
                    Outcome::Done => ("done", Tone::Good),
                    Outcome::Left => ("left", Tone::Warn),
                };
                let text = |text: &Option<String>| Cell::plain(text.clone().unwrap_or_default());
                vec![
                    Cell::plain(action.kind.as_str()),
                    Cell::toned(word, tone),
                    text(&action.r#type),
                    text(&action.exchange),
                    text(&action.symbol),
                    Cell::number(action.rows),
                    Cell::plain(action.detail.clone()),
                ]
            });
            let header = vec!["action", "", "type", "exchange", "symbol", "rows", "detail"];
            page = page.table(header, rows.collect());
        }
        if let Some(integrity) = &self.integrity {
            page.blocks.extend(integrity.page().blocks);
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::repair::plan::{Kind, Work};

    fn report(outcome: Outcome, verdict_is_good: bool) -> RepairReport {
        let mut action = Action::new(Kind::RemoveDuplicates, 2, "twice", Work::Nothing);
        action.outcome = outcome;
        RepairReport {
            dry_run: false,
            actions: vec![action],
            integrity: verdict_is_good
                .then(|| IntegrityReport::new(Vec::new(), Vec::new(), Vec::new(), Default::default())),
        }
    }

    #[test]
    fn only_what_is_all_done_and_proven_is_success() {
        assert_eq!(report(Outcome::Done, true).exit(), Exit::Success);
        assert_eq!(report(Outcome::Left, true).exit(), Exit::Failed);
        assert_eq!(report(Outcome::Done, false).exit(), Exit::Failed);
        let failure = report(Outcome::Left, true).failure().expect("told");
        assert_eq!(failure.message, "1 of 1 actions are left undone");
        assert_eq!(failure.causes, ["remove_duplicates : twice"]);
    }
}
