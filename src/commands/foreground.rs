//! `mprism start --foreground`: this process is the supervisor, for containers and systemd.
//!
//! It ends with 0 once another command has stopped everything, with 1 where something does not start, and after SIGINT or
//! SIGTERM with 130 or 143; whichever it is, nothing is left running.

use mprism_runtime::log::LogOptions;
use mprism_settings::Settings;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::commands::deployment::paths;
use crate::commands::lifecycle::{LifecycleReport, Teller, everything, make_ready, start_services, stop_services};
use crate::commands::{Context, notify};
use crate::control::supervisor::{Listening, SupervisorError};
use crate::control::{self, Event, Observer, Outcome, Start, Stop};
use crate::error::{CliError, Exit};
use crate::report::Report;

/// Supervises in this process until everything was stopped, or a signal comes.
pub(crate) fn run(start: Start, settings: &Settings, context: &Context) -> Result<Exit, CliError> {
    let home = paths(settings);
    if context.block_on_interruptible(async { Ok(control::is_supervised(&home).await) })? {
        // Before anything is fetched or made.
        return Err(already_supervised(anyhow::anyhow!("another supervisor runs")));
    }
    make_ready(&start.services, settings, start.force, context)?;
    // The threads that start services are still to be made; package clients had their own rights.
    control::harden().map_err(|e| CliError::failed("harden", e).context("cannot give up privileges"))?;
    mprism_runtime::log::init(&LogOptions {
        service: "supervisor".to_owned(),
        folder: Some(settings.home.logs()),
        level: settings.logging.level.clone(),
        file_bytes_max: settings.logging.file_bytes_max,
        files_max: settings.logging.files_max,
        total_bytes_max: settings.logging.total_bytes_max,
    })
    .map_err(|e| CliError::failed("log", e).context("cannot write logs"))?;
    let outcomes = context.block_on(supervise(start, settings, context))?;
    context.printer.report(&LifecycleReport::new(outcomes, "start"))
}

async fn supervise(start: Start, settings: &Settings, context: &Context) -> Result<Vec<Outcome>, CliError> {
    let interrupt = context.interrupt()?;
    let home = paths(settings);
    let mut listening = Listening::open(home.clone()).map_err(|error| match error {
        SupervisorError::Lock(_) => already_supervised(error.into()),
        SupervisorError::Socket { .. } => CliError::failed("supervisor_failed", error),
    })?;
    let mut events = listening.watch();
    let over = CancellationToken::new();
    let mut serving = tokio::spawn(listening.run(over.clone()));
    // The same way as from any other terminal: through the socket, and one command at a time.
    let started = interrupt.or(start_services(settings, start, context)).await;
    let is_up =
        matches!(&started, Ok(outcomes) if LifecycleReport::new(outcomes.clone(), "start").exit() == Exit::Success);
    if is_up {
        context
            .printer
            .note("everything runs; it stops with this command: Ctrl-C");
        notify::ready();
        tokio::select! {
            biased;
            () = interrupt.token().cancelled() => {}
            ended = &mut serving => {
                ended.map_err(|e| CliError::failed("supervisor_failed", e))?;
                context.printer.note("everything was stopped by another command");
                return started;
            }
            () = tell(&mut events, context) => {}
            () = notify::watchdog(&home) => {}
        }
    }
    notify::stopping();
    // Services that another supervisor left, and that our start was refused beside, are not ours to end.
    if started.is_ok() || interrupt.exit().is_some() {
        let deployment = everything(context, settings)?;
        let services = deployment.services();
        let stop = Stop {
            deployment,
            services,
            drain: None,
        };
        let stopped = stop_services(settings, stop, context).await?;
        if let Some(failure) = LifecycleReport::new(stopped, "stop").failure() {
            context.printer.warn(&failure.message);
        }
    }
    over.cancel();
    let _ended = serving.await;
    interrupt.check()?;
    started
}

/// Shows what happens to services after their start. What happened until now was shown by the start itself.
async fn tell(events: &mut mpsc::Receiver<Event>, context: &Context) {
    let mut teller = Teller::new(context);
    while events.try_recv().is_ok() {}
    while let Some(event) = events.recv().await {
        teller.event(&event);
    }
    // The supervisor has let go of us and is about to end.
    std::future::pending().await
}

fn already_supervised(source: anyhow::Error) -> CliError {
    CliError::refused("already_running", source)
        .context("cannot supervise this home in the foreground")
        .hint("stop what it runs: `mprism stop`")
        .hint("or leave it with that one: `mprism start` without --foreground")
}
