//! What there is to take over, ending it in order, and going on with what it has.

use std::fmt;
use std::path::{Path, PathBuf};

use mprism_containers::Foreign;
use mprism_runtime::files::write_atomic;
use mprism_settings::{Backend, Settings};
use serde::Serialize;

use super::containers::{ItsContainer, in_containers};
use super::messages::{Adoption, Store};
use super::tables::{self, Tables};
use crate::commands::deployment::paths;
use crate::commands::lifecycle::Teller;
use crate::commands::planned::PlannedStep;
use crate::commands::{Context, infra, repair_schema};
use crate::control::{self, MarketPrism, Part, Service, Start, Step, TakenPort};
use crate::error::CliError;

/// What runs of a MarketPrism, and what becomes of it.
pub(crate) struct TakeOver {
    processes: Vec<MarketPrism>,
    /// Those that are to be stopped.
    containers: Vec<ItsContainer>,
    adoption: Option<Adoption>,
    shared: Option<SharedVolume>,
    tables: Vec<Tables>,
    /// Whether this home's store is started.
    stores: bool,
}

/// What is around its containers.
#[derive(Default)]
pub(super) struct Around {
    /// Whether their engine is on this machine.
    pub(super) is_here: bool,
    /// Services of this home that have data in a volume of its own.
    pub(super) owned: Vec<Service>,
}

impl Around {
    async fn look(settings: &Settings, context: &Context) -> Result<Self, CliError> {
        let engine = infra::connect(context).await?;
        let mut around = Self {
            is_here: engine.is_here().await,
            owned: Vec::new(),
        };
        for service in infra::in_containers(&[Service::Nats, Service::Clickhouse], settings) {
            let found = engine.volume(&infra::own_volume(settings, service)).await?;
            if found.is_some_and(|found| found.owner == Some(infra::owner(&settings.home))) {
                around.owned.push(service);
            }
        }
        Ok(around)
    }
}

/// The volume of its ClickHouse server that the container of this home's uses, too: each in a folder of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename = "use-volume", rename_all = "kebab-case")]
pub(crate) struct SharedVolume {
    volume: String,
    /// The file that says so from now on.
    file: PathBuf,
}

impl fmt::Display for SharedVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "keep this home's tables in volume {}, named in {}",
            self.volume,
            self.file.display()
        )
    }
}

impl SharedVolume {
    fn of(found: &[ItsContainer], around: &Around, settings: &Settings) -> Option<Self> {
        let is_wanted =
            settings.infra.clickhouse_backend == Backend::Docker && settings.infra.clickhouse_volume.is_none();
        if !is_wanted || around.owned.contains(&Service::Clickhouse) {
            return None;
        }
        let its = found.iter().find(|its| its.part == Part::Store)?;
        let (mounted, rest) = its.other.kept(Path::new(tables::DATA))?;
        let volume = mounted.volume.clone().filter(|_| rest.as_os_str().is_empty())?;
        Some(Self {
            volume,
            file: settings.home.config().join("marketprism-clickhouse.yaml"),
        })
    }

    fn write(&self) -> Result<(), CliError> {
        let text = format!(
            "# Written by `mprism start --take-over`: the volume of the MarketPrism that ran here.\n\
             infra:\n  clickhouse:\n    volume: {}\n",
            serde_json::Value::from(self.volume.as_str())
        );
        write_atomic(&self.file, text.as_bytes(), 0o644).map_err(|e| {
            CliError::failed("home_not_writable", e).context(format!("cannot write {}", self.file.display()))
        })
    }
}

/// What was taken over.
#[derive(Serialize)]
pub(crate) struct TakenOver {
    /// Processes that were ended, in this order.
    processes: Vec<MarketPrism>,
    /// Containers that were stopped, in this order, each part after the processes of that part.
    containers: Vec<ItsContainer>,
    messages: Option<Adoption>,
    /// Tables that were rebuilt around their rows.
    tables: Vec<String>,
}

impl TakeOver {
    /// Looks what there is to take over. Changes nothing.
    pub(crate) fn look(settings: &Settings, start: &Start, context: &Context) -> Result<Self, CliError> {
        let (mut found, around) = context.block_on_interruptible(async {
            match in_containers(context).await {
                Ok(found) if found.is_empty() => Ok((found, Around::default())),
                Ok(found) => Ok((found, Around::look(settings, context).await?)),
                Err(error) => {
                    let text = format!(
                        "containers of a MarketPrism were not looked for: {}",
                        mprism_runtime::log::chain(&error)
                    );
                    context.printer.warn(&text);
                    Ok((Vec::new(), Around::default()))
                }
            }
        })?;
        let mut processes = control::marketprism(&start.deployment);
        // Who ends what runs in a container has it started again.
        processes.retain(|process| !found.iter().any(|its| its.has(process.process.pid)));
        let store = Store::of(&processes, &found, context);
        let adoption = store.and_then(|store| store.adoption(&around, settings, context));
        // Who starts the broker alone has the tables later.
        let stores = start.services.contains(&Service::Clickhouse);
        let tables = match stores {
            true => tables::found(&found, around.is_here, settings, context),
            false => Vec::new(),
        };
        let shared = SharedVolume::of(&found, &around, settings);
        for its in &mut found {
            let service = its.part.service();
            let is_needed = !infra::in_containers(&[service], settings).is_empty()
                && infra::container_name(settings, service) == its.container;
            its.renamed = is_needed.then(|| format!("{}-taken-over", its.container));
        }
        Ok(Self {
            processes,
            adoption,
            tables,
            stores,
            shared,
            containers: found.into_iter().filter(ItsContainer::has_to_stop).collect(),
        })
    }

    /// Returns whether what holds a port is ended with it.
    pub(crate) fn frees(&self, taken: &TakenPort) -> bool {
        self.processes.iter().any(|found| found.holds(taken)) || self.containers.iter().any(|its| its.holds(taken))
    }

    /// Returns whether it gives this home the name of something.
    pub(crate) fn gives(&self, foreign: &Foreign) -> bool {
        match foreign.kind {
            "container" => self
                .containers
                .iter()
                .any(|its| its.container == foreign.name && its.renamed.is_some()),
            _ => self.shared.as_ref().is_some_and(|shared| shared.volume == foreign.name),
        }
    }

    /// Returns what is done, in order.
    pub(crate) fn steps(&self) -> Vec<PlannedStep> {
        let mut steps: Vec<PlannedStep> = self.adoption.iter().cloned().map(PlannedStep::Adopt).collect();
        steps.extend(self.shared.iter().cloned().map(PlannedStep::Share));
        for part in Part::ALL {
            let processes = self.processes.iter().filter(|found| found.part == part).cloned();
            steps.extend(processes.map(|found| PlannedStep::Process(Box::new(Step::TakeOver(found)))));
            let containers = self.containers.iter().filter(|its| its.part == part).cloned();
            steps.extend(containers.map(|its| PlannedStep::Container(Box::new(its))));
        }
        steps.extend(self.tables.iter().cloned().map(PlannedStep::Tables));
        steps
    }

    /// Writes down where its messages are, and ends it. The settings have to be read again afterwards.
    pub(crate) fn end(&self, settings: &Settings, context: &Context) -> Result<(), CliError> {
        if let Some(adoption) = &self.adoption {
            adoption.write()?;
        }
        if let Some(shared) = &self.shared {
            shared.write()?;
        }
        let home = paths(settings);
        let ended = async {
            for part in Part::ALL {
                let processes: Vec<MarketPrism> = self
                    .processes
                    .iter()
                    .filter(|found| found.part == part)
                    .cloned()
                    .collect();
                if !processes.is_empty() {
                    control::end_marketprism(&home, &processes, &mut Teller::new(context)).await?;
                }
                for its in self.containers.iter().filter(|its| its.part == part) {
                    its.stop(context).await?;
                }
            }
            Ok(())
        };
        context.block_on_interruptible(ended)
    }

    /// Copies tables of MarketPrism's into the store, and rebuilds those that the store has around their rows.
    pub(crate) fn migrate(self, settings: &Settings, context: &Context) -> Result<TakenOver, CliError> {
        for tables in &self.tables {
            context.block_on(tables.adopt(settings, context))?;
        }
        let tables = match self.stores && settings.home.clickhouse_data().is_dir() {
            true => context.block_on(repair_schema::migrate_originals(settings, context))?,
            false => Vec::new(),
        };
        Ok(TakenOver {
            processes: self.processes,
            containers: self.containers,
            messages: self.adoption,
            tables,
        })
    }
}

impl ItsContainer {
    fn has_to_stop(&self) -> bool {
        self.other.is_up || self.other.comes_back || self.renamed.is_some()
    }

    /// Stops it in its own time, for good: the engine does not start it again, not even when the engine itself starts. It stays, and so
    /// do its volumes.
    async fn stop(&self, context: &Context) -> Result<(), CliError> {
        let engine = infra::connect(context).await?;
        // By its id: its name may be another's by now.
        let id = &self.other.id;
        engine.never_restart(id).await?;
        engine.stop_in_its_time(id).await?;
        let (what, name) = (self.part.text(), &self.container);
        let mut stays = "it stays, with its volumes".to_owned();
        if let Some(renamed) = &self.renamed {
            engine.rename(id, renamed).await?;
            stays = format!("{stays}, as {renamed}");
        }
        context.printer.warn(&format!(
            "MarketPrism's {what}, container {name}, has stopped, as --take-over asked; {stays}"
        ));
        Ok(())
    }
}
