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
use crate::commands::planned::Planned;
use crate::commands::prepare;
use crate::commands::take_over::{self, TakeOver, TakenOver};
use crate::control::{
    self, Action, ControlError, Deployment, Desired, Event, HomePaths, Observer, Outcome, Plan, Service, Start, Stop,
    TakenPort,
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
            Event::TakenOver { part, pid } => {
                let what = part.text();
                self.printer.warn(&format!(
                    "MarketPrism's {what}, pid {pid}, has ended, as --take-over asked"
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
    let take_over = args
        .take_over
        .then(|| TakeOver::look(&settings, &start, context))
        .transpose()?;
    if context.globals.dry_run {
        let steps = home_steps(&start.services, &settings, context)?;
        let planned = plan_with(&settings, &start, take_over, steps, context)?;
        return context.printer.report(&planned);
    }
    if start.services.contains(&Service::Collector) {
        super::sim::warn_of_mixture(&settings.home, args.sim.sim, &context.printer);
    }
    let mut settings = settings;
    let mut taken = None;
    let mut steps = Vec::new();
    if let Some(take_over) = take_over {
        let renewed = || context.settings_with(super::sim_overrides(&args.sim));
        (steps, taken) = taken_over(take_over, &start, &settings, renewed, context)?;
        settings = renewed()?;
    }
    if args.foreground {
        return super::foreground::run(start, &settings, context);
    }
    steps.extend(make_ready(&start.services, &settings, args.force, context)?);
    // What was asked to start goes on without us.
    let outcomes = context.block_on_interruptible(start_services(&settings, start, context))?;
    let report = LifecycleReport::new(outcomes, "start").steps(steps).taken_over(taken);
    if args.verify && report.exit() == Exit::Success {
        let health = context.block_on_interruptible(super::health::examine(&settings, &[], context))?;
        return context.printer.report(&VerifiedStart { start: report, health });
    }
    context.printer.report(&report)
}

/// Takes a MarketPrism over before a start: what this home needs is made first, and nothing is touched where the start would be
/// refused all the same. Returns what was made, and what was taken over; `renewed` are the settings as they are after that.
pub(crate) fn taken_over(
    take_over: TakeOver,
    start: &Start,
    settings: &Settings,
    renewed: impl FnOnce() -> Result<Settings, CliError>,
    context: &Context,
) -> Result<(Vec<prepare::Step>, Option<TakenOver>), CliError> {
    let steps = make_home(&start.services, settings, context)?;
    let home = paths(settings);
    context.block_on_interruptible(async {
        let plan = control::observe_plan_after(&home, start, |taken| take_over.frees(taken)).await?;
        granted(plan, context).await?;
        let fetch = super::infra::fetch(
            &start.services,
            settings,
            |foreign| take_over.gives(foreign),
            |taken| take_over.frees(taken),
            context,
        );
        fetch.await
    })?;
    take_over.end(settings, context)?;
    let settings = renewed()?;
    super::infra::ready(&start.services, &settings, start.force, context)?;
    Ok((steps, Some(take_over.migrate(&settings, context)?)))
}

/// Returns everything that a start would do.
pub(crate) fn plan_with(
    settings: &Settings,
    start: &Start,
    take_over: Option<TakeOver>,
    steps: Vec<prepare::Step>,
    context: &Context,
) -> Result<Planned, CliError> {
    let home = paths(settings);
    let is_freed = |taken: &TakenPort| take_over.as_ref().is_some_and(|take_over| take_over.frees(taken));
    let plan = context.block_on_interruptible(async {
        let plan = control::observe_plan_after(&home, start, is_freed).await?;
        granted(plan, context).await
    })?;
    let mut planned = Planned::new().home(steps);
    if let Some(take_over) = &take_over {
        planned = planned.take_over(take_over.steps());
    }
    Ok(planned.plan(plan))
}

/// Returns a plan that nothing stands in the way of; says who does otherwise.
async fn granted(plan: Plan, context: &Context) -> Result<Plan, CliError> {
    if plan.refused.is_empty() {
        return Ok(plan);
    }
    Err(take_over::explain(ControlError::Ports { ports: plan.refused }, context).await)
}

/// Returns what services need before they can start, and is missing.
pub(crate) fn home_steps(
    services: &[Service],
    settings: &Settings,
    context: &Context,
) -> Result<Vec<prepare::Step>, CliError> {
    let options = super::fetch_options(context, mprism_deps::Provider::Auto, false)?;
    let (needed, certificate) = (
        dependencies_of(services, settings),
        prepare::wanted_certificate(settings),
    );
    let steps = prepare::plan(&settings.home, &needed, certificate.as_ref(), &options.cache);
    prepare::check_providers(&steps, &options)?;
    Ok(steps)
}

/// Makes what services need before they can start: folders, credentials, dependencies. Nothing where all is there.
pub(crate) fn make_ready(
    services: &[Service],
    settings: &Settings,
    force: bool,
    context: &Context,
) -> Result<Vec<prepare::Step>, CliError> {
    let steps = make_home(services, settings, context)?;
    super::infra::ready(services, settings, force, context)?;
    Ok(steps)
}

/// Makes what services need of the home itself.
fn make_home(services: &[Service], settings: &Settings, context: &Context) -> Result<Vec<prepare::Step>, CliError> {
    let options = super::fetch_options(context, mprism_deps::Provider::Auto, false)?;
    let needed = dependencies_of(services, settings);
    let certificate = prepare::wanted_certificate(settings);
    let progress = context.printer.progress();
    context.interrupt()?.during(|| {
        prepare::prepare(&settings.home, &needed, certificate.as_ref(), &options, &|now| {
            super::show_progress(&progress, now)
        })
    })
}

pub(crate) async fn start_services(
    settings: &Settings,
    start: Start,
    context: &Context,
) -> Result<Vec<Outcome>, CliError> {
    match control::start(&paths(settings), start, &mut Teller::new(context)).await {
        Ok(outcomes) => Ok(outcomes),
        Err(error) => Err(take_over::explain(error, context).await),
    }
}

/// Does work while services are up, and stops those again that were started for it. A signal drops the work.
pub(crate) async fn with_services<T>(
    settings: &Settings,
    start: Start,
    context: &Context,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let alone = super::infra::alone(&start.services, settings, context).await?;
    with_services_beside(&alone, settings, start, context, work).await
}

/// As [`with_services`], beside services whose containers run `alone`: those are used as they are, and go on as they are.
pub(crate) async fn with_services_beside<T>(
    alone: &[Service],
    settings: &Settings,
    mut start: Start,
    context: &Context,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let interrupt = context.interrupt()?;
    start.services.retain(|service| !alone.contains(service));
    let healthy = super::infra::await_healthy(alone, start.wait, settings, context);
    interrupt.or(healthy).await?;
    if start.services.is_empty() && !alone.is_empty() {
        return interrupt.or(work).await;
    }
    let (services, deployment) = (start.services.clone(), start.deployment.clone());
    let (paths, mut teller) = (paths(settings), Teller::new(context));
    let done = control::during(&paths, start, interrupt.token(), &mut teller, interrupt.or(work)).await;
    let stopped = stop_left(services, &deployment, settings, context).await;
    interrupt.check()?;
    let done = done?.unwrap_or(Err(CliError::interrupted(Exit::Interrupted)));
    // What went wrong first is told first.
    done.and_then(|done| stopped.map(|()| done))
}

/// Stops containers that whoever kept them for a moment left running, because it was ended before it could: a container that runs
/// answers before its keeper does. What should be up is about to be kept again.
async fn stop_left(
    services: Vec<Service>,
    deployment: &Deployment,
    settings: &Settings,
    context: &Context,
) -> Result<(), CliError> {
    let mut left = super::infra::alone(&services, settings, context).await?;
    if left.is_empty() {
        return Ok(());
    }
    let statuses = control::status(&paths(settings), deployment).await?;
    let is_wanted = |service: &Service| {
        let found = statuses.iter().find(|status| status.name == *service);
        found.is_some_and(|status| status.desired == Desired::Up)
    };
    left.retain(|service| !is_wanted(service));
    super::infra::stop_remaining(&left, settings, context).await?;
    Ok(())
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
        let home = paths(&settings);
        let plan = context.block_on_interruptible(async { Ok(control::observe_stop(&home, &stop).await?) })?;
        return context.printer.report(&Planned::new().plan(plan).stop(stop.services));
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
    if stop.services.contains(&Service::Sim) {
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

/// A simulated market rests before it is stopped: unlike a venue, the next life of it has no history of what nobody heard.
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

/// `mprism restart`: with the options of the last start, and the program and versions of now.
pub(crate) fn restart(args: &RestartArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    let now = deployment(context, &settings, &SimArgs::default())?;
    let deployment = match control::last_deployment(&paths(&settings)) {
        Some(last) => last.renewed(&now),
        None => now,
    };
    let services = selected(&args.services, &deployment.services());
    if args.one_by_one {
        return super::rolling::restart(&settings, &deployment, &services, context);
    }
    let start = Start {
        deployment: deployment.clone(),
        services: services.clone(),
        wait: settings.supervisor.ready_timeout,
        force: args.force,
    };
    let home = paths(&settings);
    let plan = context.block_on_interruptible(async { Ok(control::observe_restart(&home, &start).await?) })?;
    if !plan.refused.is_empty() {
        // Nothing is stopped that could not be started again.
        return Err(ControlError::Ports { ports: plan.refused }.into());
    }
    if context.globals.dry_run {
        let steps = home_steps(&services, &settings, context)?;
        return context
            .printer
            .report(&Planned::new().home(steps).plan(plan).stop(services));
    }
    let steps = make_ready(&services, &settings, args.force, context)?;
    let stop = Stop {
        deployment,
        services,
        drain: None,
    };
    let (stopped, started) = context.block_on_interruptible(async {
        let stopped = stop_services(&settings, stop, context).await?;
        if stopped.iter().any(|outcome| outcome.action == Action::Failed) {
            return Ok((Vec::new(), stopped));
        }
        let started = start_services(&settings, start, context).await?;
        Ok((stopped, started))
    })?;
    let report = LifecycleReport::new(started, "restart").steps(steps).stopped(stopped);
    context.printer.report(&report)
}

/// What became of each service.
#[derive(Serialize)]
pub(crate) struct LifecycleReport {
    services: Vec<Outcome>,
    /// What was made before they could start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<prepare::Step>,
    /// What was stopped before it was started again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stopped: Vec<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_over: Option<TakenOver>,
    #[serde(skip)]
    verb: &'static str,
}

impl LifecycleReport {
    pub(crate) fn new(services: Vec<Outcome>, verb: &'static str) -> Self {
        Self {
            services,
            verb,
            steps: Vec::new(),
            stopped: Vec::new(),
            taken_over: None,
        }
    }

    pub(crate) fn steps(mut self, steps: Vec<prepare::Step>) -> Self {
        self.steps = steps;
        self
    }

    pub(crate) fn stopped(mut self, stopped: Vec<Outcome>) -> Self {
        self.stopped = stopped;
        self
    }

    fn taken_over(mut self, taken_over: Option<TakenOver>) -> Self {
        self.taken_over = taken_over;
        self
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
