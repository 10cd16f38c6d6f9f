//! Tables of a MarketPrism's ClickHouse server in a volume: copied into this home's engine, where they are rebuilt around their rows.
//!
//! The volume is only read: a newer engine that opened it would change it for good. Each table is made under another name, its parts
//! are attached, its rows counted, and only then it takes the place of a table of ours that has none. Killed at any point, the same
//! command goes on: what is half copied is dropped and copied again, and what is in its place wears a comment that says so.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clickhouse::Row;
use mprism_clickhouse::{Store, StoreError, Tier};
use mprism_runtime::files::{ensure_folder, sync_folder, write_atomic};
use mprism_runtime::log::chain;
use mprism_settings::{Mode, Settings};
use serde::{Deserialize, Serialize};

use super::containers::ItsContainer;
use super::volume::{Original, create, files, originals};
use crate::commands::{Context, infra, repair_schema, worker};
use crate::control::{Part, Service};
use crate::error::CliError;
use crate::report::bytes;

/// Where ClickHouse's own server keeps its data: <https://hub.docker.com/r/clickhouse/clickhouse-server>.
pub(super) const DATA: &str = "/var/lib/clickhouse";
/// The database of tables that are being filled.
const BESIDE: &str = "marketprism_taken_over";
/// What wears it was MarketPrism's: the UUID follows.
const MARK: &str = "MarketPrism ";
/// The file beside the engine's data that names what was taken over. With the data it goes, and then all can be had again.
const DONE: &str = "marketprism-taken-over.json";

/// Tables of a server that has stopped, or is about to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename = "adopt-tables", rename_all = "kebab-case")]
pub(crate) struct Tables {
    /// Where they are on this machine.
    store: PathBuf,
    /// The volume of which that is the folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    volume: Option<String>,
    /// Where they stay whatever happens, in words.
    #[serde(skip)]
    place: String,
    /// How they are read without this home.
    #[serde(skip)]
    read: String,
    /// Their names.
    tables: Vec<String>,
    /// How much they hold.
    bytes: u64,
}

impl fmt::Display for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (names, place) = (self.tables.join(", "), &self.place);
        write!(
            f,
            "copy {} of tables from {place}, which stay there: {names}",
            bytes(self.bytes)
        )
    }
}

#[derive(Row, Deserialize)]
struct Known {
    database: String,
    name: String,
    comment: String,
    rows: u64,
}

impl Tables {
    /// Finds the tables of a server's container that this home can have, running or not. Of the others it is told where they stay.
    pub(super) fn of(its: &ItsContainer, is_here: bool, settings: &Settings, context: &Context) -> Option<Self> {
        let read = format!(
            "to read them there: `docker run -d -p 127.0.0.1:18123:8123 --volumes-from {} {}`",
            its.container, its.image
        );
        let stays = |place: &str, why: &str| {
            context
                .printer
                .warn(&format!("MarketPrism's tables stay in {place}: {why}; {read}"));
            None
        };
        let Some((mounted, rest)) = its.other.kept(Path::new(DATA)) else {
            return stays(
                &format!("container {}", its.container),
                "they are in no volume, and the container is kept",
            );
        };
        let store = match rest.as_os_str().is_empty() {
            true => mounted.source.clone(),
            false => mounted.source.join(rest),
        };
        if done(settings).contains(&store) {
            return None;
        }
        let place = mounted
            .volume
            .as_ref()
            .map_or_else(|| store.display().to_string(), |name| format!("volume {name}"));
        if settings.clickhouse.mode != Mode::Managed {
            return stays(&place, "this home stores in somebody else's engine");
        }
        if !is_here {
            return stays(&place, "its engine is on another machine");
        }
        let found = match originals(&store, &wanted(settings)) {
            Ok(found) => found,
            Err(error) => return stays(&place, &format!("they cannot be read: {error}")),
        };
        // A server that never had any has nothing to leave behind.
        let found: Vec<Original> = found.into_iter().filter(|original| original.rows > 0).collect();
        (!found.is_empty()).then(|| Self {
            volume: mounted.volume.clone(),
            bytes: found.iter().map(|original| original.bytes).sum(),
            tables: found.into_iter().map(|original| original.name).collect(),
            store,
            place,
            read,
        })
    }

    /// Copies them into this home's engine. What cannot be had stays where it is, and is told: nothing else waits for it.
    pub(super) async fn adopt(&self, settings: &Settings, context: &Context) -> Result<(), CliError> {
        // What was written until the server stopped.
        let found = originals(&self.store, &wanted(settings));
        let found =
            found.map_err(|e| CliError::failed("not_taken_over", e).context(format!("cannot read {}", self.place)))?;
        let copied = async {
            let store = worker::store(settings)?;
            let mut is_whole = true;
            for original in found.iter().filter(|original| original.rows > 0) {
                if let Err(why) = self.adopt_one(original, &store, settings, context).await {
                    let (name, place, read) = (&original.name, &self.place, &self.read);
                    context
                        .printer
                        .warn(&format!("MarketPrism's {name} stays in {place}: {why}; {read}"));
                    is_whole = false;
                }
            }
            if let Err(error) = drop_beside(&store).await {
                context.printer.warn(&format!("the database {BESIDE} is left: {error}"));
            }
            Ok(is_whole)
        };
        if !repair_schema::with_engine(settings, context, copied).await? {
            return Ok(());
        }
        let mut done = done(settings);
        done.push(self.store.clone());
        let text = serde_json::to_vec(&done).map_err(|e| CliError::failed("home_not_writable", e))?;
        let file = settings.home.clickhouse_data().join(DONE);
        write_atomic(&file, &text, 0o600)
            .map_err(|e| CliError::failed("home_not_writable", e).context(format!("cannot write {}", file.display())))
    }

    async fn adopt_one(
        &self,
        original: &Original,
        store: &Store,
        settings: &Settings,
        context: &Context,
    ) -> Result<(), String> {
        let told = |e: StoreError| chain(&e);
        let mark = format!("{MARK}{}", original.uuid);
        let known = format!(
            "SELECT database, name, comment, ifNull(total_rows, 0) AS rows FROM system.tables WHERE comment = '{mark}' OR \
             concat(database, '.', name) = '{}'",
            original.name
        );
        let known: Vec<Known> = store.fetch_all(&known).await.map_err(told)?;
        if known
            .iter()
            .any(|table| table.comment == mark && table.database != BESIDE)
        {
            // It was taken over before.
            return Ok(());
        }
        let ours = known
            .iter()
            .find(|table| format!("{}.{}", table.database, table.name) == original.name);
        if let Some(ours) = ours.filter(|table| table.rows > 0) {
            return Err(format!("this home has {} rows of its own there", ours.rows));
        }
        let beside = format!("{BESIDE}.{}", original.name.replace('.', "_"));
        let statement = create(original, &beside, &mark)?;
        // Whatever a try left that was killed.
        for statement in [
            format!("CREATE DATABASE IF NOT EXISTS {BESIDE} ENGINE = Atomic"),
            format!("DROP TABLE IF EXISTS {beside} SYNC"),
            statement,
        ] {
            store.execute(&statement).await.map_err(told)?;
        }
        let folder = format!("SELECT data_paths[1] FROM system.tables WHERE concat(database, '.', name) = '{beside}'");
        let folder = PathBuf::from(store.fetch_one::<String>(&folder).await.map_err(told)?).join("detached");
        let folder = here(folder, settings, context).await?;
        self.copy(original, &folder, context)
            .await
            .map_err(|e| format!("it cannot be copied: {e}"))?;
        let attach = format!("ALTER TABLE {beside} ATTACH PARTITION ALL");
        store.execute(&attach).await.map_err(told)?;
        let rows = store
            .fetch_one::<u64>(&format!("SELECT count() FROM {beside}"))
            .await
            .map_err(told)?;
        if rows != original.rows {
            return Err(format!("of its {} rows {rows} came", original.rows));
        }
        let place = match ours {
            Some(_) => format!("EXCHANGE TABLES {beside} AND {}", original.name),
            None => {
                let database = original.name.split('.').next().unwrap_or_default();
                let made = format!("CREATE DATABASE IF NOT EXISTS {database} ENGINE = Atomic");
                store.execute(&made).await.map_err(told)?;
                format!("RENAME TABLE {beside} TO {}", original.name)
            }
        };
        store.execute(&place).await.map_err(told)
    }

    /// Copies the parts of a table to where the engine attaches them from. Each is there when it is whole.
    async fn copy(&self, original: &Original, folder: &Path, context: &Context) -> io::Result<()> {
        let progress = context.printer.progress();
        progress.step(&format!("copy {}", original.name), original.bytes);
        ensure_folder(folder, 0o750)?;
        let mut done = 0;
        for part in &original.parts {
            let Some(name) = part.file_name() else { continue };
            let mut unfinished = std::ffi::OsString::from("tmp_");
            unfinished.push(name);
            let unfinished = folder.join(unfinished);
            for (file, size) in files(part)? {
                let within = file.strip_prefix(part).map_err(io::Error::other)?;
                let to = unfinished.join(within);
                if let Some(parent) = to.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::copy(&file, &to)?;
                fs::File::open(&to)?.sync_all()?;
                done += size;
                progress.reached(done);
                // A signal ends it here.
                tokio::task::yield_now().await;
            }
            sync_folder(&unfinished)?;
            fs::rename(&unfinished, folder.join(name))?;
        }
        sync_folder(folder)?;
        progress.done(&format!("{}: {} rows copied", original.name, original.rows));
        Ok(())
    }
}

/// Returns where a folder of our engine is on this machine: what its container calls it is in a volume.
async fn here(folder: PathBuf, settings: &Settings, context: &Context) -> Result<PathBuf, String> {
    if infra::in_containers(&[Service::Clickhouse], settings).is_empty() {
        return Ok(folder);
    }
    let looked = async {
        let engine = infra::try_connect(context).await?;
        engine
            .others(&[&infra::container_name(settings, Service::Clickhouse)])
            .await
    };
    let found = looked.await.map_err(|e| chain(&e))?;
    let kept = found.first().and_then(|other| other.kept(&folder));
    let (mounted, rest) = kept.ok_or_else(|| format!("{} is in no volume", folder.display()))?;
    Ok(mounted.source.join(rest))
}

/// Drops what was beside: tables of ours that were empty, and copies that did not become whole. A table of ours that somebody wrote into
/// meanwhile is left.
async fn drop_beside(store: &Store) -> Result<(), String> {
    let filled = format!(
        "SELECT count() FROM system.tables WHERE database = '{BESIDE}' AND NOT startsWith(comment, '{MARK}') AND ifNull(total_rows, 1) > 0"
    );
    let told = |e: StoreError| chain(&e);
    if store.fetch_one::<u64>(&filled).await.map_err(told)? > 0 {
        return Err("a table in it got rows meanwhile".to_owned());
    }
    store
        .execute(&format!("DROP DATABASE IF EXISTS {BESIDE}"))
        .await
        .map_err(told)
}

/// Returns from where tables were taken over before.
fn done(settings: &Settings) -> Vec<PathBuf> {
    let read = fs::read(settings.home.clickhouse_data().join(DONE)).unwrap_or_default();
    serde_json::from_slice(&read).unwrap_or_default()
}

/// Returns the servers among containers, each with tables that can be had.
pub(super) fn found(containers: &[ItsContainer], is_here: bool, settings: &Settings, context: &Context) -> Vec<Tables> {
    let servers = containers.iter().filter(|its| its.part == Part::Store);
    servers
        .filter_map(|its| Tables::of(its, is_here, settings, context))
        .collect()
}

/// Returns the tables that this home's engine keeps, by database and name.
fn wanted(settings: &Settings) -> Vec<(&'static str, &'static str)> {
    let tiers = worker::tiers_here(settings)
        .iter()
        .filter(|tier| **tier != Tier::Leaving);
    let tables = tiers.flat_map(|tier| tier.market_tables().iter().map(|table| (tier.database(), *table)));
    tables.collect()
}
