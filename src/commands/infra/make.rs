//! Having containers: looked at, decided, refused where somebody else is in the way, and then done.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use mprism_containers::{ContainerError, Engine, Foreign, FoundContainer, Observed, Plan, Pulling, Step, plan_up};
use mprism_runtime::files::{ensure_folder, write_atomic};
use mprism_settings::{Settings, loopback};

use super::wanted::{Wanted, wanted};
use super::{connect, in_containers, refuse_foreign};
use crate::commands::Context;
use crate::control::{self, ControlError, Service, TakenPort};
use crate::error::CliError;
use crate::ui::Printer;

/// Has the containers of services that are about to start: images here, nobody else in the way, everything made and started.
/// Nothing where none of them runs in a container.
pub(crate) fn ready(services: &[Service], settings: &Settings, force: bool, context: &Context) -> Result<(), CliError> {
    let services = in_containers(services, settings);
    if services.is_empty() {
        return Ok(());
    }
    context.block_on_interruptible(async {
        let engine = connect(context).await?;
        let wanted = wanted(settings, &services)?;
        let shown = Shown::new(&context.printer);
        ensure(&engine, &wanted, force, &|now| shown.pulling(&now)).await?;
        Ok(())
    })
}

/// Has the images of services that are about to start in containers, and looks whether anything is in their way but what is about to
/// go: `goes` knows names, `is_freed` ports. Changes nothing else.
///
/// # Errors
/// Where an image cannot be had, or somebody else has a name or a port.
pub(crate) async fn fetch(
    services: &[Service],
    settings: &Settings,
    goes: impl Fn(&Foreign) -> bool,
    is_freed: impl Fn(&TakenPort) -> bool,
    context: &Context,
) -> Result<(), CliError> {
    let services = in_containers(services, settings);
    if services.is_empty() {
        return Ok(());
    }
    let engine = connect(context).await?;
    let wanted = wanted(settings, &services)?;
    let observed = engine.observe(&wanted.infrastructure).await?;
    let mut foreign = plan_up(&wanted.infrastructure, &observed, false).foreign;
    foreign.retain(|foreign| !goes(foreign));
    refuse_foreign(&foreign, &engine).await?;
    refuse_taken_ports(&engine, &wanted, &observed, is_freed).await?;
    let shown = Shown::new(&context.printer);
    for step in plan_up(&wanted.infrastructure, &observed, true).steps {
        if matches!(step, Step::Pull { .. }) {
            engine
                .execute(&wanted.infrastructure, &step, &|now| shown.pulling(&now))
                .await?;
        }
    }
    Ok(())
}

/// Makes and starts what is wanted and is not there. Returns what was done.
///
/// # Errors
/// Where somebody else has a name or a port (nothing is done then), or the engine refuses.
pub(crate) async fn ensure(
    engine: &Engine,
    wanted: &Wanted,
    force: bool,
    progress: &dyn Fn(Pulling),
) -> Result<Vec<Step>, CliError> {
    let plan = plan(engine, wanted, force).await?;
    let before = write_files(wanted)?;
    for step in &plan.steps {
        let done = engine.execute(&wanted.infrastructure, step, progress).await;
        if let Err(ContainerError::NotReplaced { container, source }) = done {
            return Err(start_put_back(engine, container, source, &before).await);
        }
        done?;
    }
    Ok(plan.steps)
}

/// Starts a container again that was put back, with what it read before. Returns why it was put back, and what became of it.
async fn start_put_back(engine: &Engine, container: String, source: Box<ContainerError>, before: &[File]) -> CliError {
    let started = async {
        for (path, text, mode) in before {
            if let Some(text) = text {
                write(path, text, *mode)?;
            }
        }
        Ok::<_, CliError>(engine.start(&container).await?)
    };
    let told = match started.await {
        Ok(()) => format!("container {container} is the one of before again, which runs with its data"),
        Err(error) => format!(
            "container {container} is the one of before again, and does not start: {:#}",
            error.source
        ),
    };
    CliError::from(ContainerError::NotReplaced { container, source }).context(told)
}

/// Has the containers of services for whoever keeps them: one that is there runs, as it was made; one that is not is made. Nobody is
/// there to see what becomes of a container that is made anew, so that is left to commands. Returns what was done.
///
/// # Errors
/// Where somebody else has a name or a port, or the engine refuses.
pub(crate) async fn keep(engine: &Engine, wanted: &Wanted, progress: &dyn Fn(Pulling)) -> Result<Vec<Step>, CliError> {
    let infrastructure = &wanted.infrastructure;
    let mut steps = Vec::new();
    for container in &infrastructure.containers {
        let found = engine.container(&container.name).await?;
        let Some(found) = found.filter(|found| found.owner.as_deref() == Some(&infrastructure.owner)) else {
            return ensure(engine, wanted, false, progress).await;
        };
        if found.configuration.as_deref() != Some(&container.configuration()) {
            tracing::warn!(
                container = container.name,
                "the settings have changed since it was made: `mprism infra up` makes it anew"
            );
        }
        let name = container.name.clone();
        if found.is_running() {
            steps.push(Step::Keep { container: name });
        } else {
            engine.start(&name).await?;
            steps.push(Step::Start { container: name });
        }
    }
    Ok(steps)
}

/// Decides what to do. Changes nothing.
///
/// # Errors
/// Where somebody else has a name or a port.
pub(super) async fn plan(engine: &Engine, wanted: &Wanted, force: bool) -> Result<Plan, CliError> {
    let observed = engine.observe(&wanted.infrastructure).await?;
    let plan = plan_up(&wanted.infrastructure, &observed, force);
    refuse_foreign(&plan.foreign, engine).await?;
    refuse_taken_ports(engine, wanted, &observed, |_| false).await?;
    Ok(plan)
}

/// A container that runs has its ports; for any other they have to be free.
async fn refuse_taken_ports(
    engine: &Engine,
    wanted: &Wanted,
    observed: &Observed,
    is_freed: impl Fn(&TakenPort) -> bool,
) -> Result<(), CliError> {
    let mut taken = Vec::new();
    let mut hints = Vec::new();
    for container in &wanted.infrastructure.containers {
        let found = observed.containers.get(&container.name);
        if found.is_some_and(|found| FoundContainer::is_running(found) || found.state == "restarting") {
            continue;
        }
        let addresses: Vec<_> = container.ports.iter().map(|port| loopback(*port)).collect();
        let Ok(service) = container.service.parse() else {
            continue;
        };
        for port in control::taken_ports(&addresses)
            .into_iter()
            .filter(|port| !is_freed(port))
        {
            if let Some(name) = engine.publisher(port.address.port()).await? {
                hints.push(format!("container {name} publishes it: `docker stop {name}`"));
            }
            taken.push((service, port));
        }
    }
    if taken.is_empty() {
        return Ok(());
    }
    let mut error: CliError = ControlError::Ports { ports: taken }.into();
    if !hints.is_empty() {
        hints.dedup();
        // Whoever publishes it would start again what listens there.
        error.hints = hints;
    }
    Err(error)
}

/// A file that containers read, as it would be written: path, text where there is one, mode.
type File = (PathBuf, Option<String>, u32);

/// Writes what the containers read. Whoever runs meanwhile keeps the file that it opened. Returns what stood there before.
fn write_files(wanted: &Wanted) -> Result<Vec<File>, CliError> {
    let mut before = Vec::new();
    for (path, text, mode) in &wanted.files {
        let there = std::fs::read_to_string(path).ok();
        // A container that runs holds this very file.
        if there.as_ref() != Some(text) {
            write(path, text, *mode)?;
        }
        before.push((path.clone(), there, *mode));
    }
    Ok(before)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), CliError> {
    let folder = path.parent().unwrap_or(path);
    let written = ensure_folder(folder, 0o700).and_then(|()| write_atomic(path, text.as_bytes(), mode));
    written.map_err(|e| CliError::failed("home_not_writable", e).context(format!("cannot write {}", path.display())))
}

/// A pull on the terminal.
pub(super) struct Shown<'a> {
    printer: &'a Printer,
    progress: crate::ui::Progress,
    image: RefCell<Option<(String, u64)>>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(printer: &'a Printer) -> Self {
        Self {
            printer,
            progress: printer.progress(),
            image: RefCell::default(),
        }
    }

    pub(super) fn pulling(&self, now: &Pulling) {
        let mut image = self.image.borrow_mut();
        let known = image.as_ref().map(|(image, total)| (image == &now.image, *total));
        match known {
            Some((true, total)) if total == now.total => {}
            Some((true, _)) if !self.printer.answers_a_terminal() => {}
            // Layers become known one after another.
            _ => {
                self.progress.step(&format!("pulling {}", now.image), now.total);
                *image = Some((now.image.clone(), now.total));
            }
        }
        self.progress.reached(now.done);
    }
}
