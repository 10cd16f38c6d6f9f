//! `--take-over`: a MarketPrism that runs is ended in order, and its messages, consumers and tables are gone on with.
//!
//! Everything that this home needs is made before anything of the other is touched, and where its broker keeps its messages is
//! written down first: killed at any point, the same command goes on where it was. Nothing of its data is removed or moved.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mprism_runtime::files::write_atomic;
use mprism_settings::{Mode, Settings};
use serde::Serialize;

use crate::commands::deployment::paths;
use crate::commands::lifecycle::Teller;
use crate::commands::{Context, repair_schema};
use crate::control::{self, Deployment, MarketPrism, Step};
use crate::error::CliError;

/// The settings file that names what was taken over; what an operator writes into `mprism.yaml` wins over it.
const FILE: &str = "marketprism.yaml";

/// Messages of another broker that this home's broker goes on with, where they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename = "adopt-messages", rename_all = "kebab-case")]
pub(crate) struct Adoption {
    /// Where they are.
    store: PathBuf,
    /// The file that says so from now on.
    file: PathBuf,
}

impl fmt::Display for Adoption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (store, file) = (self.store.display(), self.file.display());
        write!(f, "go on with the messages in {store}, named in {file}")
    }
}

/// What runs of a MarketPrism, and what becomes of it.
pub(crate) struct TakeOver {
    pub(crate) found: Vec<MarketPrism>,
    pub(crate) adoption: Option<Adoption>,
}

/// What was taken over.
#[derive(Serialize)]
pub(crate) struct TakenOver {
    /// Processes that were ended, in this order.
    processes: Vec<MarketPrism>,
    messages: Option<Adoption>,
    /// Tables that were rebuilt around their rows.
    tables: Vec<String>,
}

impl TakeOver {
    /// Looks what there is to take over. Changes nothing.
    pub(crate) fn look(settings: &Settings, deployment: &Deployment, context: &Context) -> Self {
        let found = control::marketprism(deployment);
        let store = found.iter().find_map(|found| found.store.clone());
        let adoption = store.and_then(|store| adoption(store, settings, context));
        Self { found, adoption }
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = Step> {
        self.found.iter().cloned().map(Step::TakeOver)
    }

    /// Writes down where its messages are, and ends it. The settings have to be read again afterwards.
    pub(crate) fn end(&self, settings: &Settings, context: &Context) -> Result<(), CliError> {
        if let Some(adoption) = &self.adoption {
            let text = format!(
                "# Written by `mprism start --take-over`: the messages of the MarketPrism that ran here.\n\
                 nats:\n  data_folder: {}\n",
                serde_json::Value::from(adoption.store.display().to_string())
            );
            write_atomic(&adoption.file, text.as_bytes(), 0o644).map_err(|e| {
                CliError::failed("home_not_writable", e).context(format!("cannot write {}", adoption.file.display()))
            })?;
        }
        let ended = async {
            control::end_marketprism(&paths(settings), &self.found, &mut Teller::new(context)).await?;
            Ok(())
        };
        context.block_on_interruptible(ended)
    }

    /// Rebuilds tables of MarketPrism's around their rows, where the store has any.
    pub(crate) fn migrate(self, settings: &Settings, context: &Context) -> Result<TakenOver, CliError> {
        let tables = match settings.home.clickhouse_data().is_dir() {
            true => context.block_on(repair_schema::migrate_originals(settings, context))?,
            false => Vec::new(),
        };
        Ok(TakenOver {
            processes: self.found,
            messages: self.adoption,
            tables,
        })
    }
}

/// Decides whether our broker goes on with another one's messages: where it has none of its own and nobody said otherwise.
fn adoption(store: PathBuf, settings: &Settings, context: &Context) -> Option<Adoption> {
    let nats = &settings.nats;
    if nats.mode != Mode::Managed || nats.data_folder == store {
        return None;
    }
    let kept = |why: &str| {
        context
            .printer
            .warn(&format!("MarketPrism's messages stay in {}: {why}", store.display()));
        None
    };
    if !nats.data_folder.starts_with(settings.home.root()) {
        return kept("nats.data_folder names another folder");
    }
    if nats.data_folder.join("jetstream").exists() {
        return kept("this home has messages of its own");
    }
    if !is_usable(&store) {
        return kept(&format!("they do not belong to {}", control::our_user()));
    }
    if store.starts_with("/tmp") {
        context.printer.warn(&format!(
            "{} may be emptied when the machine starts again: once everything is stored, move it and say where in nats.data_folder",
            store.display()
        ));
    }
    Some(Adoption {
        file: settings.home.config().join(FILE),
        store,
    })
}

/// Returns whether a folder is ours: root writes into nobody else's, where a link may wait for it.
fn is_usable(store: &Path) -> bool {
    let us = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(store).is_ok_and(|found| found.is_dir() && found.uid() == us)
}
