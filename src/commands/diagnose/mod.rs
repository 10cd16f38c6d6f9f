//! `mprism diagnose`: what stands in the way, worst first, each with the command that mends it. Changes nothing.

mod bundle;
mod docker;
mod home;
mod machine;
mod services;

use std::net::SocketAddr;
use std::path::PathBuf;

use mprism_settings::{Settings, SettingsError, Sources};
use serde::Serialize;

use crate::cli::DiagnoseArgs;
use crate::commands::Context;
use crate::commands::deployment::paths;
use crate::commands::lifecycle::everything;
use crate::commands::take_over::{self, ItsContainer};
use crate::control::{self, Service, Survey, SurveyedLock, SurveyedPort, TakenPort};
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report, Tone};

use mprism_runtime::lock::LockState;

/// `mprism diagnose`.
pub(crate) fn run(args: &DiagnoseArgs, context: &Context) -> Result<Exit, CliError> {
    let mut findings = Findings::default();
    let settings = settings(context, &mut findings)?;
    let report = context.block_on_interruptible(examine(&settings, findings, context))?;
    if let Some(file) = &args.bundle {
        return bundle::write(file, &report, &settings, context);
    }
    context.printer.report(&report)
}

/// Reads the settings; where they are wrong that is a finding, and the rest is looked at with what the home has by default.
fn settings(context: &Context, findings: &mut Findings) -> Result<Settings, CliError> {
    let sources = context.sources(Vec::new());
    let problems = match Settings::load(&sources) {
        Ok(settings) => {
            home::settings(&sources, &settings, findings);
            return Ok(settings);
        }
        Err(SettingsError::Invalid { problems }) => problems.iter().map(ToString::to_string).collect(),
        Err(error @ SettingsError::Read { .. }) => vec![mprism_runtime::log::chain(&error)],
    };
    for problem in problems {
        findings.error("config", "settings", problem, "mprism config edit");
    }
    let bare = Sources {
        home: PathBuf::from("/nonexistent"),
        config_file: None,
        port_offset: sources.port_offset,
        ..Sources::default()
    };
    let settings = Settings::load(&bare)?;
    Ok(Settings {
        home: context.home.clone(),
        ..settings
    })
}

async fn examine(settings: &Settings, mut findings: Findings, context: &Context) -> Result<DiagnoseReport, CliError> {
    let deployment = everything(context, settings)?;
    let home = paths(settings);
    let (mut survey, docker) = tokio::join!(control::survey(&home, &deployment), docker::ask(context));
    name_containers(&mut survey, &docker.found);
    let machine = machine::examine(settings, &mut findings);
    home::examine(settings, context, &mut findings)?;
    services::examine(&survey, settings, &mut findings).await;
    docker::judge(&docker, &mut findings);
    let versions = services::versions(settings, &survey).await;
    findings.list.sort_by_key(|finding| finding.level);
    Ok(DiagnoseReport {
        findings: findings.list,
        ports: survey.ports.iter().map(Port::of).collect(),
        locks: survey.locks.iter().map(Lock::of).collect(),
        processes: processes(&survey),
        machine,
        versions,
        docker,
    })
}

/// Says of holders of ports, and of what runs of a MarketPrism, which are its containers.
fn name_containers(survey: &mut Survey, found: &[ItsContainer]) {
    survey
        .marketprism
        .retain(|process| !found.iter().any(|its| its.has(process.process.pid)));
    for port in &mut survey.ports {
        let mut taken = TakenPort {
            address: port.address,
            holder: port.holder.take(),
            reason: String::new(),
        };
        if taken.holder.is_some() {
            take_over::mark(std::iter::once(&mut taken), found);
        }
        port.holder = taken.holder;
    }
}

fn processes(survey: &Survey) -> Vec<Process> {
    let supervisor = survey.supervisor.map(|pid| Process {
        service: "supervisor",
        pid,
        uptime_s: None,
        rss_bytes: None,
    });
    let units = survey.units.iter().filter_map(|unit| {
        Some(Process {
            service: unit.name.name(),
            pid: unit.pid?,
            uptime_s: unit.uptime_s,
            rss_bytes: unit.rss_bytes,
        })
    });
    supervisor.into_iter().chain(units).collect()
}

/// How bad a finding is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// It keeps the home from working, or endangers data.
    Error,
    /// It will, or makes it hard to tell.
    Warn,
    /// Worth knowing.
    Info,
}

/// One thing that was found.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    id: &'static str,
    level: Level,
    subject: String,
    message: String,
    /// The command that mends it.
    fix: Option<String>,
}

#[derive(Default)]
struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    fn error(&mut self, id: &'static str, subject: impl ToString, message: impl Into<String>, fix: impl Into<String>) {
        self.add(id, Level::Error, subject, message, Some(fix.into()));
    }

    fn warn(&mut self, id: &'static str, subject: impl ToString, message: impl Into<String>, fix: impl Into<String>) {
        self.add(id, Level::Warn, subject, message, Some(fix.into()));
    }

    fn info(&mut self, id: &'static str, subject: impl ToString, message: impl Into<String>) {
        self.add(id, Level::Info, subject, message, None);
    }

    fn add(
        &mut self,
        id: &'static str,
        level: Level,
        subject: impl ToString,
        message: impl Into<String>,
        fix: Option<String>,
    ) {
        self.list.push(Finding {
            id,
            level,
            subject: subject.to_string(),
            message: message.into(),
            fix,
        });
    }
}

/// Everything that was looked at.
#[derive(Serialize)]
struct DiagnoseReport {
    findings: Vec<Finding>,
    ports: Vec<Port>,
    locks: Vec<Lock>,
    processes: Vec<Process>,
    machine: machine::Machine,
    versions: services::Versions,
    docker: docker::Docker,
}

#[derive(Serialize)]
struct Process {
    service: &'static str,
    pid: u32,
    uptime_s: Option<f64>,
    rss_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Port {
    port: u16,
    service: Service,
    holder: Option<Holder>,
}

#[derive(Serialize)]
struct Holder {
    pid: Option<u32>,
    exe: Option<PathBuf>,
    /// Where it listens.
    address: Option<SocketAddr>,
    user: String,
    command: String,
    since: Option<String>,
    container: Option<String>,
    ours: bool,
}

impl Port {
    fn of(surveyed: &SurveyedPort) -> Self {
        let holder = surveyed.holder.as_ref().map(|holder| Holder {
            pid: holder.process.as_ref().map(|process| process.pid),
            exe: holder.process.as_ref().map(|process| process.exe.clone()),
            address: holder.address,
            user: holder.user.clone(),
            command: holder.command.clone(),
            since: holder.since_ms.map(|ms| mprism_model::UnixMillis(ms).to_rfc3339()),
            container: holder.container.clone(),
            ours: surveyed.is_ours,
        });
        Self {
            port: surveyed.address.port(),
            service: surveyed.service,
            holder,
        }
    }
}

#[derive(Serialize)]
struct Lock {
    path: PathBuf,
    state: &'static str,
    pid: Option<u32>,
}

impl Lock {
    fn of(surveyed: &SurveyedLock) -> Self {
        let (state, holder) = match &surveyed.state {
            Ok(LockState::Free) => ("free", None),
            Ok(LockState::Stale(holder)) => ("stale", holder.as_ref()),
            Ok(LockState::Held(holder)) => ("held", holder.as_ref()),
            Err(_) => ("unusable", None),
        };
        Self {
            path: surveyed.path.clone(),
            state,
            pid: holder.map(|holder| holder.pid),
        }
    }
}

impl Report for DiagnoseReport {
    fn exit(&self) -> Exit {
        if self.findings.iter().any(|finding| finding.level == Level::Error) {
            Exit::Failed
        } else {
            Exit::Success
        }
    }

    fn failure(&self) -> Option<Failure> {
        let errors: Vec<&Finding> = self
            .findings
            .iter()
            .filter(|finding| finding.level == Level::Error)
            .collect();
        let first = errors.first()?;
        Some(Failure {
            code: "findings",
            message: match errors.len() {
                1 => first.message.clone(),
                count => format!("{count} things keep this home from working"),
            },
            causes: errors
                .iter()
                .skip(usize::from(errors.len() == 1))
                .map(|error| error.message.clone())
                .collect(),
            hints: errors
                .iter()
                .filter_map(|error| error.fix.as_ref())
                .map(|fix| format!("mend it: `{fix}`"))
                .collect(),
        })
    }

    fn page(&self) -> Page {
        let rows = self.findings.iter().map(|finding| {
            let (level, tone) = match finding.level {
                Level::Error => ("error", Tone::Bad),
                Level::Warn => ("warning", Tone::Warn),
                Level::Info => ("info", Tone::Dim),
            };
            vec![
                Cell::toned(level, tone),
                Cell::plain(&finding.subject),
                Cell::plain(&finding.message),
                Cell::toned(finding.fix.clone().unwrap_or_default(), Tone::Good),
            ]
        });
        let dash = || "–".to_owned();
        let ports = self.ports.iter().map(|port| {
            let holder = port.holder.as_ref();
            let pid = holder.and_then(|holder| holder.pid).map(|pid| pid.to_string());
            let whose = match holder {
                None => ("free", Tone::Dim),
                Some(holder) if holder.ours => ("ours", Tone::Good),
                Some(_) => ("foreign", Tone::Bad),
            };
            vec![
                Cell::number(port.port),
                Cell::plain(port.service.name()),
                Cell::toned(whose.0, whose.1),
                Cell::number(pid.unwrap_or_else(dash)),
                Cell::plain(holder.map_or_else(dash, |holder| holder.user.clone())),
                Cell::plain(holder.and_then(|holder| holder.since.clone()).unwrap_or_else(dash)),
                Cell::toned(holder.map_or_else(dash, |holder| holder.command.clone()), Tone::Dim),
            ]
        });
        let locks = self.locks.iter().map(|lock| {
            vec![
                Cell::plain(lock.state),
                Cell::number(lock.pid.map_or_else(dash, |pid| pid.to_string())),
                Cell::toned(lock.path.display().to_string(), Tone::Dim),
            ]
        });
        let page = if self.findings.is_empty() {
            Page::new().line("nothing stands in the way")
        } else {
            Page::new().table(vec!["", "about", "finding", "mend it with"], rows.collect())
        };
        page.table(
            vec!["port", "service", "holder", "pid", "user", "since", "command"],
            ports.collect(),
        )
        .table(vec!["lock", "pid", ""], locks.collect())
    }
}
