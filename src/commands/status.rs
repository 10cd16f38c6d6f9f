//! `mprism status`: how every service is.

use std::time::Duration;

use mprism_runtime::redact::without_credentials;
use mprism_settings::Settings;
use serde::Serialize;

use crate::cli::{SimArgs, StatusArgs};
use crate::commands::Context;
use crate::commands::deployment::{deployment, paths, selected};
use crate::commands::take_over::Told;
use crate::control::{self, HomePaths, Rebuilding, Service, UnitState, UnitStatus};
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report, Tone, bytes, duration_text};

/// `mprism status`.
pub(crate) fn run(args: &StatusArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    let deployment = deployment(context, &settings, &SimArgs::default())?;
    let mut services =
        context.block_on_interruptible(async { Ok(control::status(&paths(&settings), &deployment).await?) })?;
    if !args.services.is_empty() {
        let everything: Vec<Service> = services.iter().map(|unit| unit.name).collect();
        let wanted = selected(&args.services, &everything);
        services.retain(|unit| wanted.contains(&unit.name));
    }
    let logs = paths(&settings);
    for unit in &mut services {
        tell_why(unit, &logs);
    }
    let schema_repair = SchemaRepair::of(&logs);
    // Where everything runs, nothing stands in its way.
    let is_down = services
        .iter()
        .any(|unit| unit.pid.is_none() && unit.state != UnitState::External);
    let marketprism = match is_down {
        true => context.block_on(async { Ok(Told::of(&control::marketprism(&deployment), context).await) })?,
        false => None,
    };
    context.printer.report(&StatusReport {
        services,
        schema_repair,
        marketprism,
    })
}

/// Adds what a service logged last to how it ended: an exit code alone helps nobody.
fn tell_why(unit: &mut UnitStatus, logs: &HomePaths) {
    if !matches!(unit.state, UnitState::Failed | UnitState::Backoff) {
        return;
    }
    let logged = control::last_errors(&logs.log(unit.name), 1).pop();
    if let (Some(how), Some((_, why))) = (&mut unit.last_error, logged) {
        *how = format!("{how}; {}", without_credentials(&why));
    }
}

/// Looks at every service without starting a supervisor for it.
pub(crate) async fn look(settings: &Settings, context: &Context) -> Result<StatusReport, CliError> {
    let deployment = deployment(context, settings, &SimArgs::default())?;
    let survey = control::survey(&paths(settings), &deployment).await;
    Ok(StatusReport {
        services: survey.units,
        schema_repair: SchemaRepair::of(&paths(settings)),
        marketprism: Told::of(&survey.marketprism, context).await,
    })
}

/// How every service is.
#[derive(Serialize)]
pub(crate) struct StatusReport {
    pub(crate) services: Vec<UnitStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_repair: Option<SchemaRepair>,
    /// A MarketPrism that runs on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    marketprism: Option<Told>,
}

/// A rebuild of tables that is at work, or that was cut short.
#[derive(Serialize)]
struct SchemaRepair {
    state: &'static str,
    pid: Option<u32>,
    /// What to type about it.
    fix: Option<&'static str>,
}

impl SchemaRepair {
    fn of(home: &HomePaths) -> Option<Self> {
        Some(match Rebuilding::of(home)? {
            Rebuilding::AtWork { pid } => Self {
                state: "at_work",
                pid,
                fix: None,
            },
            Rebuilding::CutShort => Self {
                state: "cut_short",
                pid: None,
                fix: Some("mprism repair --schema"),
            },
        })
    }

    fn line(&self) -> String {
        match self.fix {
            Some(fix) => format!("a rebuild of tables was cut short and goes on where it was: `{fix}`"),
            None => "tables are rebuilt; hot and cold come back after it".to_owned(),
        }
    }
}

impl Report for StatusReport {
    fn exit(&self) -> Exit {
        let is_failed = self.services.iter().any(|unit| unit.state == UnitState::Failed);
        if is_failed { Exit::Failed } else { Exit::Success }
    }

    fn failure(&self) -> Option<Failure> {
        let failed: Vec<&UnitStatus> = self
            .services
            .iter()
            .filter(|unit| unit.state == UnitState::Failed)
            .collect();
        let first = failed.first()?;
        Some(Failure {
            code: "service_failed",
            message: format!("{} of {} services have failed", failed.len(), self.services.len()),
            causes: failed
                .iter()
                .filter_map(|unit| Some(format!("{}: {}", unit.name, unit.last_error.as_ref()?)))
                .collect(),
            hints: vec![
                format!("see why: `mprism logs {}`", first.name),
                format!("try again: `mprism restart {}`", first.name),
            ],
        })
    }

    fn page(&self) -> Page {
        let rows = self.services.iter().map(|unit| {
            let (state, tone) = match (unit.state, unit.healthy) {
                (UnitState::Running, Some(false)) => ("unhealthy", Tone::Warn),
                (UnitState::Running, _) => ("running", Tone::Good),
                (UnitState::Starting, _) => ("starting", Tone::Warn),
                (UnitState::Stopped, _) => ("stopped", Tone::Dim),
                (UnitState::Failed, _) => ("failed", Tone::Bad),
                (UnitState::Backoff, _) => ("waiting to restart", Tone::Warn),
                (UnitState::External, Some(false)) => ("external, unhealthy", Tone::Bad),
                (UnitState::External, _) => ("external", Tone::Plain),
            };
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".into());
            vec![
                Cell::plain(unit.name.name()),
                Cell::toned(state, tone),
                Cell::number(or_dash(unit.pid.map(|pid| pid.to_string()))),
                Cell::number(or_dash(
                    unit.uptime_s
                        .map(|s| duration_text(Duration::from_secs_f64(s.max(0.0)))),
                )),
                Cell::number(unit.restarts),
                Cell::number(or_dash(unit.cpu_percent.map(|percent| format!("{percent:.1} %")))),
                Cell::number(or_dash(unit.rss_bytes.map(bytes))),
                Cell::plain(unit.address.clone()),
                Cell::toned(
                    unit.last_error
                        .as_deref()
                        .and_then(|e| e.lines().next())
                        .unwrap_or_default(),
                    Tone::Dim,
                ),
            ]
        });
        let header = vec![
            "service",
            "state",
            "pid",
            "uptime",
            "restarts",
            "cpu",
            "memory",
            "address",
            "last error",
        ];
        let page = Page::new().table(header, rows.collect());
        let repair = self.schema_repair.as_ref().map(SchemaRepair::line);
        let marketprism = self.marketprism.as_ref().map(Told::line);
        repair.into_iter().chain(marketprism).fold(page, Page::line)
    }
}
