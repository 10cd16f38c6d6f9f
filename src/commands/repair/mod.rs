//! `mprism repair`: mends what is stored, and proves it again.
//!
//! It plans first, from the stores themselves; `--dry-run` prints that plan, and otherwise exactly that is done. Nothing of it is
//! written down in between: every action is one that a kill cannot leave half done for good, and doing it again finishes it, so
//! that a repair that was interrupted is taken up by the next one, which plans anew.
//!
//! Whatever comes in goes over the bus to the hot worker, as a collector's messages do; only rows that the cold store has are put
//! back directly, under a fence. What leaves are copies of rows that stay.

mod books;
mod columns;
mod duplicates;
mod execute;
mod observe;
mod outbox;
mod parts;
mod plan;
mod report;
mod trades;
mod unmendable;

use std::time::{Duration, Instant};

use mprism_clickhouse::Tier;
use mprism_model::{DataType, UnixMillis};
use mprism_runtime::lock::{LockError, LockFile};
use mprism_settings::Settings;
use mprism_storage::cold::{CopierLock, Mender};

use crate::cli::RepairArgs;
use crate::commands::deployment::{check_supported, deployment_with};
use crate::commands::lifecycle::with_services;
use crate::commands::{Context, integrity, worker};
use crate::control::{Service, Start};
use crate::error::{CliError, Exit};
use execute::Hands;
use observe::{Wanted, instruments, plan};
use plan::{Action, Outcome};
use report::{RepairReport, line};
use trades::Instruments;

/// An hour in milliseconds: what is copied and noted as a whole.
const HOUR: i64 = 3_600_000;
/// How long one question to a store may take: it reads whole tables.
const QUERY_WITHIN: Duration = Duration::from_secs(600);
/// How long a running copier may take to finish its round.
const TURN_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// `mprism repair`.
pub(crate) fn run(args: &RepairArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    check_supported(&settings)?;
    let wanted = wanted(args)?;
    // The engine first, and alone: a hot worker that starts adds columns by itself, and nobody would know.
    let (engine, is_sim) = needed(context, &settings, &[Service::Clickhouse])?;
    let mut services = vec![Service::Clickhouse];
    if wanted.dead_letters || !context.globals.dry_run {
        services.push(Service::Nats);
    }
    if !context.globals.dry_run {
        services.push(Service::Hot);
    }
    services.sort();
    let (everything, _) = needed(context, &settings, &services)?;
    let repaired = context.block_on(async {
        let lock = only_one(&settings).await?;
        let mender = mender(&settings)?;
        let columns = with_services(&settings, engine, context, add_columns(&settings, &mender, context)).await?;
        let work = repair(&settings, &wanted, (&mender, columns), is_sim, context);
        let repaired = with_services(&settings, everything, context, work).await;
        drop(lock);
        repaired
    })?;
    context.printer.report(&repaired)
}

/// Adds the columns that tables lack, or says which those are.
async fn add_columns(settings: &Settings, mender: &Mender, context: &Context) -> Result<Vec<Action>, CliError> {
    let instruments = Instruments::new();
    let mut hands = Hands::new(settings, mender, &instruments, false);
    let mut actions = Vec::new();
    for tier in [Tier::Hot, Tier::Cold] {
        let found = columns::plan(mender.store(tier), tier).await;
        actions.extend(found.map_err(|e| CliError::failed("repair", e).context("cannot look at the tables"))?);
    }
    if !context.globals.dry_run {
        for action in &mut actions {
            hands.act(action).await;
            context.printer.note(&line(action));
        }
    }
    Ok(actions)
}

async fn repair(
    settings: &Settings,
    wanted: &Wanted,
    (mender, columns): (&Mender, Vec<Action>),
    is_sim: bool,
    context: &Context,
) -> Result<RepairReport, CliError> {
    let instruments = instruments(settings, is_sim);
    let mut actions = columns;
    actions.extend(plan(settings, mender, wanted, &instruments).await?);
    if context.globals.dry_run {
        return Ok(RepairReport {
            dry_run: true,
            actions,
            integrity: None,
        });
    }
    context.planned(&actions);
    let progress = context.printer.progress();
    if !actions.is_empty() {
        let turn = turn(settings, context).await?;
        let mut hands = Hands::new(settings, mender, &instruments, is_sim);
        let count = actions.len();
        for at in 0..count {
            let (before, rest) = actions.split_at_mut(at);
            let Some(action) = rest.first_mut().filter(|action| action.outcome == Outcome::Planned) else {
                continue;
            };
            match action.is_held_up_by(before) {
                true => action.leave("kept until all of its table is mended"),
                false => hands.act(action).await,
            }
            progress.done(&format!("{}/{count} {}", at + 1, line(action)));
        }
        for failed in hands.copy_touched().await {
            // The worker does it in its own time.
            context
                .printer
                .warn(&format!("not copied to the cold store yet: {failed}"));
        }
        drop(turn);
    }
    let integrity = integrity::examine(settings, wanted.window).await?;
    Ok(RepairReport {
        dry_run: false,
        actions,
        integrity: Some(integrity),
    })
}

fn wanted(args: &RepairArgs) -> Result<Wanted, CliError> {
    let types = args.types.iter().map(|name| name.parse::<DataType>());
    let types: Result<Vec<DataType>, _> = types.collect();
    Ok(Wanted {
        window: span(args.from.as_deref(), args.to.as_deref())?,
        types: types.map_err(|e| CliError::usage("unknown_type", e))?,
        dead_letters: args.dead_letters,
        accept_broken_parts: args.accept_broken_parts,
    })
}

/// Reads a span of time; no time at all is all of it.
pub(super) fn span(from: Option<&str>, to: Option<&str>) -> Result<Option<(i64, i64)>, CliError> {
    let time = |text: &str| {
        let time: Result<UnixMillis, _> = text.parse();
        time.map(|time| time.0)
            .map_err(|e| CliError::usage("bad_time", anyhow::Error::new(e)))
    };
    let (Some(from), Some(to)) = (from, to) else {
        return Ok(None);
    };
    let (from, to) = (time(from)?, time(to)?);
    if from >= to {
        let text = "--from is not before --to";
        return Err(CliError::usage("bad_time", anyhow::anyhow!(text)));
    }
    Ok(Some((from, to)))
}

/// Returns what has to run, and whether the venue is the simulator.
pub(super) fn needed(context: &Context, settings: &Settings, services: &[Service]) -> Result<(Start, bool), CliError> {
    // Where simulated trades are, the simulator has their past: the real venue has other trades under these numbers.
    let is_sim = settings.home.sim_places().exists();
    if !settings.home.run().is_dir() {
        let text = format!("{} is not a home yet", settings.home.root().display());
        return Err(CliError::failed("no_home", anyhow::Error::msg(text)).hint("make it: `mprism init`"));
    }
    let start = Start {
        deployment: deployment_with(context, settings, services)?,
        services: services.to_vec(),
        wait: settings.supervisor.ready_timeout,
        force: false,
    };
    Ok((start, is_sim))
}

/// Prepares to hold both stores against each other.
pub(super) fn mender(settings: &Settings) -> Result<Mender, CliError> {
    let mut options = worker::cold(settings)?;
    options.hot.query_timeout = QUERY_WITHIN;
    options.hot.insert_timeout = QUERY_WITHIN;
    if let Some(cold) = &mut options.cold {
        cold.query_timeout = QUERY_WITHIN;
        cold.insert_timeout = QUERY_WITHIN;
    }
    Mender::new(options).map_err(|e| CliError::failed("store", e))
}

/// Takes the lock of which a home has one: two repairs would do everything twice.
pub(super) async fn only_one(settings: &Settings) -> Result<LockFile, CliError> {
    LockFile::acquire_from_named(&settings.home.run().join("repair.lock"))
        .await
        .map_err(|error| CliError::refused("already_running", error).context("another repair of this home is at work"))
}

/// Waits for the right to copy: the cold worker gives it back between two rounds, another command when it is done.
pub(super) async fn turn(settings: &Settings, context: &Context) -> Result<CopierLock, CliError> {
    let path = worker::copier_lock(settings);
    let began = Instant::now();
    let mut is_told = false;
    loop {
        let holder = match CopierLock::acquire_named(&path) {
            Ok(turn) => return Ok(turn),
            Err(LockError::Held { holder, .. }) if began.elapsed() < TURN_WITHIN => holder,
            Err(error) => {
                return Err(CliError::refused("copier", error).context("somebody else copies to the cold store"));
            }
        };
        if !is_told && began.elapsed() > Duration::from_secs(1) {
            is_told = true;
            context.printer.note(&match holder {
                Some(holder) => format!(
                    "waiting for another mprism command (pid {}) to finish copying",
                    holder.pid
                ),
                None => "waiting for the cold worker to finish its round".to_owned(),
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
