//! Making a home: folders, credentials, the commented settings file, linked dependencies.
//!
//! What is missing is planned as plain data, and exactly the plan is done. Doing it again changes nothing; what is broken
//! is repaired.

mod certificate;
mod execute;
mod plan;
pub(crate) mod room;

use mprism_deps::{Dependency, FetchOptions, Progress};
use mprism_settings::HomeFolders;
use serde::Serialize;

use crate::error::CliError;
use crate::report::{Page, Report};

pub use certificate::{Certificate, CertificateError, wanted as wanted_certificate};
pub(crate) use execute::settings_text;
pub use execute::{check_providers, execute};
pub use plan::{Step, link_of, plan, plan_dependencies};

/// The generated credentials: the variable of `mprism env`, and the file's name in `<home>/secrets`.
pub const SECRETS: [(&str, &str); 6] = [
    ("MPRISM_NATS_COLLECTOR_CREDENTIAL", "nats-collector"),
    ("MPRISM_NATS_HOT_CREDENTIAL", "nats-hot"),
    ("MPRISM_NATS_OPERATOR_CREDENTIAL", "nats-operator"),
    ("MPRISM_CLICKHOUSE_WRITER_CREDENTIAL", "clickhouse-writer"),
    ("MPRISM_CLICKHOUSE_READER_CREDENTIAL", "clickhouse-reader"),
    ("MPRISM_ENDPOINTS_CREDENTIAL", "endpoints"),
];

/// Plans and does everything that a home needs before its services can start. Returns what was done.
///
/// # Errors
/// Home not writable, disk full, a dependency that cannot be had: what was done until then stays and is not done again.
pub fn prepare(
    home: &HomeFolders,
    dependencies: &[Dependency],
    certificate: Option<&Certificate>,
    options: &FetchOptions,
    progress: &dyn Fn(Progress),
) -> Result<Vec<Step>, CliError> {
    let steps = plan(home, dependencies, certificate, &options.cache);
    if !steps.is_empty() {
        room::require_home(home.root())?;
    }
    execute(home, &steps, options, progress)?;
    Ok(steps)
}

/// A plan as `--dry-run` shows it.
#[derive(Serialize)]
pub struct Planned<'a> {
    dry_run: bool,
    plan: &'a [Step],
}

impl<'a> Planned<'a> {
    /// Makes the report of a plan that is not done.
    pub fn new(plan: &'a [Step]) -> Self {
        Self { dry_run: true, plan }
    }
}

impl Report for Planned<'_> {
    fn page(&self) -> Page {
        if self.plan.is_empty() {
            return Page::new().line("nothing to do");
        }
        self.plan
            .iter()
            .fold(Page::new(), |page, step| page.line(format!("would {step}")))
    }
}
