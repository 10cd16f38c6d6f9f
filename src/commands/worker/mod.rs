//! `mprism worker NAME`: one worker in the foreground, for the supervisor, containers and systemd.

mod container;
mod options;
mod self_heal;

use std::path::PathBuf;

use mprism_runtime::lock::{LockError, LockFile};
use mprism_runtime::log::LogOptions;
use mprism_settings::{Backend, Settings};
use tokio_util::sync::CancellationToken;

pub(crate) use options::{
    broker, broker_passwords, bus_layout, cadence, cold, collected_symbols, container_broker, copier_lock,
    exchange_options, store, stores_for_long, tiers_here,
};

use crate::cli::{WorkerArgs, WorkerName};
use crate::commands::Context;
use crate::control::{self, HomePaths, Service, supervisor};
use crate::error::{CliError, Exit};

/// How long a worker may take to answer the health check of its container.
const PROBE_WITHIN: std::time::Duration = std::time::Duration::from_secs(4);

/// Runs a worker until it is told to stop.
pub(crate) fn run(args: &WorkerArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings_with(super::sim_overrides(&args.sim))?;
    if args.probe {
        return probe(args.name, &settings, context);
    }
    // Before the first thread, and before anything is opened. A supervisor's workers inherit it.
    control::harden().map_err(|e| CliError::failed("harden", e).context("cannot give up privileges"))?;
    mprism_runtime::log::init(&LogOptions {
        service: args.name.as_str().to_owned(),
        // What a container writes is kept by its engine.
        folder: (!args.container).then(|| settings.home.logs()),
        level: settings.logging.level.clone(),
        file_bytes_max: settings.logging.file_bytes_max,
        files_max: settings.logging.files_max,
        total_bytes_max: settings.logging.total_bytes_max,
    })
    .map_err(|e| CliError::failed("log", e).context("cannot write logs"))?;
    let ended = context.block_on(async {
        let shutdown = mprism_runtime::shutdown::on_signals()
            .map_err(|e| CliError::failed("signals", e).context("cannot watch signals"))?;
        work(args, &settings, context, shutdown).await
    });
    if let Err(error) = &ended {
        // The reader of the log has no terminal.
        tracing::error!(error = format!("{:#}", error.source), "worker ended");
    }
    match ended? {
        Next::End => Ok(Exit::Success),
        // Locks and ports are free again, and the runtime is gone.
        Next::Again => Err(self_heal::begin_again()),
    }
}

/// What becomes of a process whose worker has ended well.
enum Next {
    End,
    Again,
}

async fn work(
    args: &WorkerArgs,
    settings: &Settings,
    context: &Context,
    shutdown: CancellationToken,
) -> Result<Next, CliError> {
    let failed = |e: anyhow::Error| CliError::failed("worker_failed", e);
    let name = args.name;
    let ended = match name {
        WorkerName::Nats if settings.infra.nats_backend == Backend::Docker => {
            let _lock = lock(settings, name)?;
            container::keep(Service::Nats, settings, context, shutdown).await
        }
        // Within a container the engine is what it is about.
        WorkerName::Clickhouse if settings.infra.clickhouse_backend == Backend::Docker => {
            let _lock = lock(settings, name)?;
            container::keep(Service::Clickhouse, settings, context, shutdown).await
        }
        WorkerName::Nats => {
            let lock = lock(settings, name)?;
            let options = options::broker(settings, Some(lock))?;
            mprism_broker::run(options, shutdown)
                .await
                .map_err(|e| failed(e.into()))
        }
        WorkerName::Clickhouse => {
            let _lock = lock(settings, name)?;
            let options = options::engine(settings, args.container)?;
            mprism_engine::run(options, shutdown)
                .await
                .map_err(|e| failed(e.into()))
        }
        WorkerName::Hot => {
            let _lock = lock(settings, name)?;
            prepare_schema(settings, &shutdown).await?;
            let options = options::storage(settings)?;
            mprism_storage::run(options, shutdown)
                .await
                .map_err(|e| failed(e.into()))
        }
        WorkerName::Cold => {
            let _lock = lock(settings, name)?;
            let options = options::cold(settings)?;
            mprism_storage::cold::run(options, shutdown)
                .await
                .map_err(|e| failed(e.into()))
        }
        WorkerName::Collector => {
            let _lock = lock(settings, name)?;
            let options = options::collector(settings, &args.sim)?;
            // A life ends with the process, or before it where the collector uses too much.
            let life = shutdown.child_token();
            let watch = self_heal::watch(settings.collector.self_heal.clone(), life.clone());
            let (ended, cause) = tokio::join!(
                async {
                    let ended = mprism_collector::run(options, life.clone()).await;
                    life.cancel();
                    ended
                },
                watch
            );
            ended.map_err(|e| failed(e.into()))?;
            if cause.is_none() {
                return Ok(Next::End);
            }
            drop(_lock);
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(Next::End),
                () = tokio::time::sleep(settings.collector.self_heal.cooldown) => return Ok(Next::Again),
            }
        }
        WorkerName::Supervisor => {
            let paths = HomePaths::new(settings.home.root());
            supervisor::run(paths, shutdown).await.map_err(|error| match error {
                supervisor::SupervisorError::Lock(_) => CliError::refused("already_running", error),
                _ => failed(error.into()),
            })
        }
        WorkerName::Sim => {
            let _lock = lock(settings, name)?;
            let options = options::simulator(settings, &args.sim)?;
            mprism_simulator::run(options, shutdown)
                .await
                .map_err(|e| failed(e.into()))
        }
    };
    ended.map(|()| Next::End)
}

/// Asks a worker whether it can serve, for the health check of its container.
fn probe(name: WorkerName, settings: &Settings, context: &Context) -> Result<Exit, CliError> {
    let deployment = super::lifecycle::everything(context, settings)?;
    let unit = deployment
        .units
        .iter()
        .find(|unit| unit.service.name() == name.as_str());
    let unit =
        unit.ok_or_else(|| CliError::usage("no_probe", anyhow::anyhow!("`{}` cannot be asked", name.as_str())))?;
    let answer = context.block_on(async { Ok(control::ask(&unit.probe, PROBE_WITHIN).await) })?;
    if answer.ready {
        Ok(Exit::Success)
    } else {
        Err(CliError::failed("not_ready", anyhow::Error::msg(answer.detail)))
    }
}

/// Makes the tables before anything is stored; a store that is away is waited for.
async fn prepare_schema(settings: &Settings, shutdown: &CancellationToken) -> Result<(), CliError> {
    let store = options::store(settings)?;
    let mut backoff =
        mprism_runtime::backoff::Backoff::new(std::time::Duration::from_millis(50), std::time::Duration::from_secs(2));
    let mut logged = false;
    loop {
        match mprism_clickhouse::ensure_schema(&store, tiers_here(settings)).await {
            Ok(report) => {
                if !report.created.is_empty() || !report.added.is_empty() {
                    tracing::info!(created = ?report.created, added = ?report.added, "tables made");
                }
                for difference in report.differs {
                    tracing::warn!(%difference, "a table is not as this version makes it");
                }
                return Ok(());
            }
            Err(error) if error.is_retryable() => {
                if !logged {
                    logged = true;
                    let error = mprism_runtime::log::chain(&error);
                    tracing::warn!(error, "tables cannot be made yet");
                }
            }
            Err(error) => return Err(CliError::failed("schema", error).context("tables cannot be made")),
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(backoff.next_wait()) => {}
        }
    }
}

/// Returns the lock that a worker holds for life.
pub(crate) fn lock_path(settings: &Settings, name: WorkerName) -> PathBuf {
    let file = match name {
        WorkerName::Supervisor => "supervisor.lock",
        WorkerName::Nats => "nats.lock",
        WorkerName::Clickhouse => "clickhouse.lock",
        WorkerName::Hot => return settings.hot.lock.clone(),
        WorkerName::Collector => return settings.collector.lock.clone(),
        WorkerName::Cold => return settings.cold.lock.clone(),
        WorkerName::Sim => "sim.lock",
    };
    settings.home.run().join(file)
}

fn lock(settings: &Settings, name: WorkerName) -> Result<LockFile, CliError> {
    LockFile::acquire(&lock_path(settings, name)).map_err(|error| match &error {
        LockError::Held { .. } => CliError::refused("already_running", error)
            .context(format!("`{}` runs already", name.as_str()))
            .hint("see what runs: `mprism status`"),
        _ => CliError::failed("lock", error).hint("make the home's folders: `mprism init`"),
    })
}
