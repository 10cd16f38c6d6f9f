//! `start`, `stop`, `restart`, `down`: asking the control plane and showing what it did.

use std::time::Duration;

use mprism_settings::{Settings, loopback};
use serde::Serialize;

use crate::cli::{RestartArgs, SimArgs, StartArgs, StopArgs};
use crate::commands::Context;
use crate::commands::deployment::{
    check_limits, check_listeners, check_supported, dependencies_of, deployment, paths, selected,
};
use crate::commands::health::HealthReport;
use crate::commands::prepare;
use crate::control::{
    self, Action, ControlError, Deployment, Event, HomePaths, Observer, Outcome, Plan, Service, Start, Step, Stop,
};
use crate::error::{CliError, Exit, Failure};
use crate::report::{Cell, Page, Report, Tone, duration_text};
use crate::ui::Printer;

impl From<ControlError> for CliError {
    fn from(error: ControlError) -> Self {
        let (code, hints) = (error.code(), error.hints());
        let mut cli = if error.is_refusal() {
            Self::refused(code, error)
        } else {
            Self::failed(code, error)
        };
        cli.hints = hints;
        cli
    }
}

/// Tells on the terminal what happens.
pub(crate) struct Teller<'a> {
    printer: Printer,
    context: &'a Context,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(context: &'a Context) -> Self {
        Self {
            printer: context.printer.clone(),
            context,
        }
    }
}

impl Observer for Teller<'_> {
    fn planned(&mut self, plan: &Plan) {
        self.context.planned(&plan.steps);
    }

    fn event(&mut self, event: &Event) {
        let after = |ms: u64| duration_text(Duration::from_millis(ms));
        match event {
            Event::WaitingForOperation { pid } => {
                let who = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
                self.printer.note(&format!("waiting for another mprism command{who}"));
            }
            Event::SupervisorDied { alive } => {
                let names: Vec<&str> = alive.iter().map(|service| service.name()).collect();
                let names = names.join(", ");
                self.printer
                    .warn(&format!("the supervisor had died; {names} live on and are adopted"));
            }
            Event::LeftoverEnded { service, pid, exe } => {
                let exe = exe.display();
                self.printer
                    .note(&format!("{service}: ended our own leftover pid {pid} {exe}"));
            }
            Event::HolderFound { description } => self.printer.warn(&format!("{description}; it is ended now")),
            Event::HolderEnded { ports, pid, exe } => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                self.printer.warn(&format!(
                    "port {}: ended pid {pid} {}, as --force asked",
                    ports.join(", "),
                    exe.display()
                ));
            }
            Event::Starting { service, pid } => self.printer.detail(&format!("{service}: started, pid {pid}")),
            Event::Ready { service, ms } => self.printer.note(&format!("{service}: ready after {}", after(*ms))),
            Event::Ended {
                service,
                how,
                log,
                restart_ms,
            } => {
                let next = restart_ms.map_or("given up".to_owned(), |ms| format!("starting again in {}", after(ms)));
                self.printer.warn(&format!("{service}: {how}; {next}"));
                for line in log {
                    self.printer.detail(line);
                }
            }
            Event::Stopping { service } => self.printer.detail(&format!("{service}: asked to stop")),
            Event::Killed { service, .. } => self
                .printer
                .warn(&format!("{service}: did not stop in time and was killed")),
            Event::Stopped { service, ms } => self.printer.note(&format!("{service}: stopped after {}", after(*ms))),
            Event::SupervisorStarted { .. } | Event::Adopted { .. } | Event::Waiting { .. } => {}
        }
    }
}

/// `mprism start`.
pub(crate) fn start(args: &StartArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings_with(super::sim_overrides(&args.sim))?;
    check_supported(&settings)?;
    check_limits()?;
    let deployment = deployment(context, &settings, &args.sim)?;
    let services = selected(&args.services, &deployment.services());
    check_listeners(&settings, &services)?;
    let wait = args.wait.map_or(settings.supervisor.ready_timeout, Duration::from_secs);
    let start = Start {
        deployment,
        services,
        wait,
        force: args.force,
    };
    if context.globals.dry_run {
        let paths = paths(&settings);
        let plan = context.block_on_interruptible(async { Ok(control::observe_plan(&paths, &start).await?) })?;
        if !plan.refused.is_empty() {
            return Err(ControlError::Ports { ports: plan.refused }.into());
        }
        return context.printer.report(&PlannedStart::new(&plan));
    }
    if start.services.contains(&Service::Collector) {
        super::sim::warn_of_mixture(&settings.home, args.sim.sim, &context.printer);
    }
    if args.foreground {
        return super::foreground::run(start, &settings, context);
    }
    make_ready(&start.services, &settings, args.force, context)?;
    // What was asked to start goes on without us.
    let outcomes = context.block_on_interruptible(start_services(&settings, start, context))?;
    let report = LifecycleReport::new(outcomes, "start");
    if args.verify && report.exit() == Exit::Success {
        let health = context.block_on_interruptible(super::health::examine(&settings, &[], context))?;
        return context.printer.report(&VerifiedStart { start: report, health });
    }
    context.printer.report(&report)
}

/// Makes what services need before they can start: folders, credentials, dependencies. Nothing where all is there.
pub(crate) fn make_ready(
    services: &[Service],
    settings: &Settings,
    force: bool,
    context: &Context,
) -> Result<(), CliError> {
    let options = super::fetch_options(context, mprism_deps::Provider::Auto, false)?;
    let needed = dependencies_of(services, settings);
    let certificate = prepare::wanted_certificate(settings);
    let progress = context.printer.progress();
    context.interrupt()?.during(|| {
        prepare::prepare(&settings.home, &needed, certificate.as_ref(), &options, &|now| {
            super::show_progress(&progress, now)
        })
    })?;
    super::infra::ready(services, settings, force, context)
}

pub(crate) async fn start_services(
    settings: &Settings,
    start: Start,
    context: &Context,
) -> Result<Vec<Outcome>, CliError> {
    Ok(control::start(&paths(settings), start, &mut Teller::new(context)).await?)
}

/// Does work while services are up, and stops those again that were started for it. A signal drops the work.
pub(crate) async fn with_services<T>(
    settings: &Settings,
    start: Start,
    context: &Context,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let interrupt = context.interrupt()?;
    let (paths, mut teller) = (paths(settings), Teller::new(context));
    let done = control::during(&paths, start, interrupt.token(), &mut teller, interrupt.or(work)).await;
    interrupt.check()?;
    done?.unwrap_or(Err(CliError::interrupted(Exit::Interrupted)))
}

/// `mprism stop`, and `mprism down`, which stops the simulator too.
pub(crate) fn stop(args: &StopArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    // The simulator may be running: everything that may run is stopped.
    let deployment = everything(context, &settings)?;
    let services = selected(&args.services, &deployment.services());
    let stop = Stop {
        deployment,
        services,
        drain: args.timeout.map(Duration::from_secs),
    };
    if context.globals.dry_run {
        return context.printer.report(&PlannedStop {
            dry_run: true,
            stop: stop.services,
        });
    }
    context.planned(&stop.services);
    let outcomes = context.block_on_interruptible(stop_services(&settings, stop, context))?;
    context.printer.report(&LifecycleReport::new(outcomes, "stop"))
}

pub(crate) async fn stop_services(
    settings: &Settings,
    stop: Stop,
    context: &Context,
) -> Result<Vec<Outcome>, CliError> {
    let paths = paths(settings);
    if [Service::Sim, Service::Collector]
        .iter()
        .all(|service| stop.services.contains(service))
    {
        rest_simulated_markets(&paths, settings, &stop.deployment, context).await?;
    }
    let services = stop.services.clone();
    let mut outcomes = control::stop(&paths, stop, &mut Teller::new(context)).await?;
    for service in super::infra::stop_remaining(&services, settings, context).await? {
        let outcome = outcomes.iter_mut().find(|outcome| outcome.name == service);
        if let Some(outcome) = outcome.filter(|outcome| outcome.action == Action::AlreadyStopped) {
            outcome.action = Action::Stopped;
        }
    }
    Ok(outcomes)
}

/// A simulated market rests while nobody of this home can hear it: unlike a venue's, it loses nothing by that.
async fn rest_simulated_markets(
    paths: &HomePaths,
    settings: &Settings,
    deployment: &Deployment,
    context: &Context,
) -> Result<(), CliError> {
    if !paths.run().is_dir() {
        return Ok(());
    }
    let statuses = control::status(paths, deployment).await?;
    let is_running = |service: Service| statuses.iter().any(|unit| unit.name == service && unit.pid.is_some());
    if is_running(Service::Sim)
        && is_running(Service::Collector)
        && let Err(error) = super::sim::pause(loopback(settings.sim.port)).await
    {
        // It is about to be stopped anyway.
        context.printer.detail(&format!("{:#}", error.source));
    }
    Ok(())
}

/// Returns the deployment with every service that may run.
pub(crate) fn everything(context: &Context, settings: &Settings) -> Result<Deployment, CliError> {
    let sim = SimArgs {
        sim: true,
        ..SimArgs::default()
    };
    deployment(context, settings, &sim)
}

/// `mprism restart`: with the options of the last start.
pub(crate) fn restart(args: &RestartArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    let last = control::last_deployment(&paths(&settings));
    let deployment = match last {
        Some(last) => last,
        None => deployment(context, &settings, &SimArgs::default())?,
    };
    let services = selected(&args.services, &deployment.services());
    if context.globals.dry_run {
        return context.printer.report(&PlannedStop {
            dry_run: true,
            stop: services,
        });
    }
    make_ready(&services, &settings, false, context)?;
    let outcomes = context.block_on_interruptible(async {
        let stop = Stop {
            deployment: deployment.clone(),
            services: services.clone(),
            drain: None,
        };
        let stopped = stop_services(&settings, stop, context).await?;
        if stopped.iter().any(|outcome| outcome.action == Action::Failed) {
            return Ok(stopped);
        }
        let start = Start {
            deployment,
            services,
            wait: settings.supervisor.ready_timeout,
            force: false,
        };
        start_services(&settings, start, context).await
    })?;
    context.printer.report(&LifecycleReport::new(outcomes, "restart"))
}

/// What became of each service.
#[derive(Serialize)]
pub(crate) struct LifecycleReport {
    services: Vec<Outcome>,
    #[serde(skip)]
    verb: &'static str,
}

impl LifecycleReport {
    pub(crate) fn new(services: Vec<Outcome>, verb: &'static str) -> Self {
        Self { services, verb }
    }
}

impl Report for LifecycleReport {
    fn exit(&self) -> Exit {
        let is_failed = self.services.iter().any(|outcome| outcome.action == Action::Failed);
        if is_failed { Exit::Failed } else { Exit::Success }
    }

    fn failure(&self) -> Option<Failure> {
        let failed: Vec<&Outcome> = self
            .services
            .iter()
            .filter(|outcome| outcome.action == Action::Failed)
            .collect();
        let first = failed.first()?;
        let names: Vec<String> = failed.iter().map(|outcome| format!("`{}`", outcome.name)).collect();
        Some(Failure {
            code: "service_failed",
            message: format!("cannot {} {}", self.verb, names.join(", ")),
            causes: failed
                .iter()
                .filter_map(|outcome| Some(format!("{}: {}", outcome.name, outcome.detail.as_ref()?)))
                .collect(),
            hints: vec![format!("see more of what it wrote: `mprism logs {}`", first.name)],
        })
    }

    fn page(&self) -> Page {
        let rows = self.services.iter().map(|outcome| {
            let (text, tone) = words(outcome.action);
            let detail = outcome
                .detail
                .as_deref()
                .and_then(|detail| detail.lines().next())
                .unwrap_or_default();
            vec![
                Cell::plain(outcome.name.name()),
                Cell::toned(text, tone),
                Cell::number(duration_text(Duration::from_millis(outcome.ms))),
                Cell::toned(detail, Tone::Dim),
            ]
        });
        Page::new().table(vec!["service", "action", "time", ""], rows.collect())
    }
}

/// A start that was verified: its code is that of the health check.
#[derive(Serialize)]
struct VerifiedStart {
    #[serde(flatten)]
    start: LifecycleReport,
    health: HealthReport,
}

impl Report for VerifiedStart {
    fn exit(&self) -> Exit {
        self.health.exit()
    }

    fn failure(&self) -> Option<Failure> {
        self.health.failure()
    }

    fn page(&self) -> Page {
        let mut page = self.start.page();
        page.blocks.extend(self.health.page().blocks);
        page
    }
}

fn words(action: Action) -> (&'static str, Tone) {
    match action {
        Action::Started => ("started", Tone::Good),
        Action::AlreadyRunning => ("already running", Tone::Good),
        Action::Stopped => ("stopped", Tone::Plain),
        Action::AlreadyStopped => ("already stopped", Tone::Plain),
        Action::Failed => ("failed", Tone::Bad),
        Action::Skipped => ("skipped", Tone::Dim),
    }
}

#[derive(Serialize)]
struct PlannedStart {
    dry_run: bool,
    plan: Vec<Step>,
}

impl PlannedStart {
    fn new(plan: &Plan) -> Self {
        Self {
            dry_run: true,
            plan: plan.steps.clone(),
        }
    }
}

impl Report for PlannedStart {
    fn page(&self) -> Page {
        self.plan.iter().fold(Page::new(), |page, step| {
            page.line(match step {
                Step::Keep { service } => format!("{service} runs already"),
                Step::External { service } => format!("{service} is run by somebody else"),
                Step::EndLeftover(ending) => format!(
                    "would end our leftover pid {} on a port of {}",
                    ending.process.pid, ending.service
                ),
                Step::EndHolder(ending) => format!(
                    "would end foreign pid {} {} of user {} on a port of {}",
                    ending.process.pid,
                    ending.process.exe.display(),
                    ending.holder.user,
                    ending.service
                ),
                Step::Spawn { service } => format!("would start {service}"),
            })
        })
    }
}

#[derive(Serialize)]
struct PlannedStop {
    dry_run: bool,
    stop: Vec<Service>,
}

impl Report for PlannedStop {
    fn page(&self) -> Page {
        let reversed = self.stop.iter().rev();
        reversed.fold(Page::new(), |page, service| page.line(format!("would stop {service}")))
    }
}
