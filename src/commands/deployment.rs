//! From settings to what the control plane runs.

use std::net::SocketAddr;
use std::time::Duration;

use mprism_deps::Dependency;
use mprism_runtime::endpoint::Endpoint;
use mprism_settings::{Backend, ClickhouseServer, Mode, Settings, loopback};

use crate::cli::{ServiceName, SimArgs, WorkerName};
use crate::commands::Context;
use crate::commands::native;
use crate::commands::reach::{self, elsewhere, listens};
use crate::commands::worker::lock_path;
use crate::control::{Deployment, HomePaths, ProbeSpec, RestartPolicy, Service, UnitSpec, last_deployment};
use crate::error::CliError;

/// Returns the paths that the control plane uses.
pub(crate) fn paths(settings: &Settings) -> HomePaths {
    HomePaths::new(settings.home.root())
}

/// Decides what a home runs.
///
/// # Errors
/// Where our own program cannot be found.
pub(crate) fn deployment(context: &Context, settings: &Settings, sim: &SimArgs) -> Result<Deployment, CliError> {
    let program = std::env::current_exe()
        .map_err(|e| CliError::failed("no_program", e).context("cannot find the running program"))?;
    let mut units = Vec::new();
    if sim.sim {
        units.push(unit(settings, Service::Sim, sim_flags(sim)?));
    }
    units.push(unit(settings, Service::Nats, Vec::new()));
    units.push(unit(settings, Service::Clickhouse, Vec::new()));
    units.push(unit(settings, Service::Hot, Vec::new()));
    units.push(unit(settings, Service::Collector, sim_flags(sim)?));
    units.push(unit(settings, Service::Cold, Vec::new()));
    let supervisor = &settings.supervisor;
    Ok(Deployment {
        program,
        global_flags: global_flags(context, settings)?,
        restart: RestartPolicy {
            stable_after: supervisor.stable_after,
            backoff_min: supervisor.backoff_min,
            backoff_max: supervisor.backoff_max,
            failures_max: supervisor.failures_max,
        },
        probe_interval: supervisor.probe_interval,
        units,
    })
}

/// Refuses what the settings allow and this version cannot run.
///
/// # Errors
/// For servers that would run where this version cannot run them.
pub(crate) fn check_supported(settings: &Settings) -> Result<(), CliError> {
    let infra = &settings.infra;
    match infra.nats_backend {
        Backend::Embedded | Backend::External => {}
        Backend::Native => drop(native::check_nats_server()?),
        Backend::Docker if settings.nats.listen.is_loopback() => {}
        Backend::Docker => return Err(beyond_the_loopback("nats")),
    }
    match infra.clickhouse_backend {
        Backend::Embedded | Backend::External => Ok(()),
        Backend::Native => {
            let text =
                "infra.clickhouse.mode `native` is not supported: mprism runs no clickhouse-server of this machine";
            Err(CliError::usage("not_supported", anyhow::anyhow!(text))
                .hint("let its own service run it, and store there: `clickhouse: {mode: external, url: …, user: …}`")
                .hint("or use what mprism brings along: `infra.clickhouse.mode: embedded`"))
        }
        Backend::Docker if settings.clickhouse.listen.is_loopback() => Ok(()),
        Backend::Docker => Err(beyond_the_loopback("clickhouse")),
    }
}

/// A container publishes its ports on the loopback and nowhere else.
fn beyond_the_loopback(server: &str) -> CliError {
    let text = format!("{server}.listen beyond the loopback is not supported in a container");
    CliError::usage("not_supported", anyhow::Error::msg(text)).hint(format!("leave `{server}.listen` out"))
}

/// Refuses to listen where other hosts can reach a service with a certificate that cannot be shown to them. One that is made is made
/// before anything starts.
///
/// # Errors
/// Where what the settings name is missing or unusable; nothing was changed.
pub(crate) fn check_listeners(settings: &Settings, services: &[Service]) -> Result<(), CliError> {
    if settings.tls.is_generated {
        return Ok(());
    }
    for service in services.iter().filter(|service| runs_here(settings, **service)) {
        let Some(listen) = listens(settings, *service).first().map(SocketAddr::ip) else {
            continue;
        };
        let Some(identity) = reach::identity(settings, listen).filter(|_| *service != Service::Sim) else {
            continue;
        };
        if let Err(error) = identity.server_config() {
            let hint =
                "look at tls.cert_file and tls.key_file in the settings, or leave them out: `mprism init` makes both";
            return Err(CliError::usage("no_certificate", error)
                .context(format!("{service} listens on {listen}, where it needs TLS"))
                .hint(hint));
        }
    }
    Ok(())
}

/// How much longer than its process a container may take to be gone.
const CONTAINER_STOPS_WITHIN: Duration = Duration::from_secs(10);

/// Fewer open files than this are too few for a collector, a broker and an engine.
pub(crate) const OPEN_FILES_MIN: u64 = 1_024;

/// Returns how many files our processes may have open; `None` is without a limit.
pub(crate) fn open_files_max() -> Option<u64> {
    // Workers take what they may have.
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum
}

/// Refuses to run services with too few open files: they would fail in the middle of their work.
///
/// # Errors
/// Where the limit is too low; nothing was changed.
pub(crate) fn check_limits() -> Result<(), CliError> {
    match open_files_max() {
        Some(limit) if limit < OPEN_FILES_MIN => {
            let text = format!("open-file limit {limit} < {OPEN_FILES_MIN}");
            Err(CliError::usage("open_files", anyhow::Error::msg(text)).hint("raise it: `ulimit -n 65536`"))
        }
        _ => Ok(()),
    }
}

/// Returns the deployment of the last start, with what runs on other hosts as the settings say it now: nobody started that.
///
/// # Errors
/// Where our own program cannot be found.
pub(crate) fn observed(context: &Context, settings: &Settings) -> Result<Deployment, CliError> {
    let now = deployment(context, settings, &SimArgs::default())?;
    let Some(mut last) = last_deployment(&paths(settings)) else {
        return Ok(now);
    };
    for unit in now.units.into_iter().filter(|unit| !unit.managed) {
        last.units.retain(|known| known.service != unit.service);
        last.units.push(unit);
    }
    last.units.sort_by_key(|unit| unit.service);
    Ok(last)
}

/// Returns the deployment of the last start with these services as the settings are now: what is started for a moment changes
/// nothing about the others.
pub(crate) fn deployment_with(
    context: &Context,
    settings: &Settings,
    services: &[Service],
) -> Result<Deployment, CliError> {
    let mut now = deployment(context, settings, &SimArgs::default())?;
    if let Some(last) = last_deployment(&paths(settings)) {
        let is_now = |unit: &UnitSpec| services.contains(&unit.service);
        let others = last.units.into_iter().filter(|unit| !is_now(unit));
        now.units.retain(is_now);
        now.units.extend(others);
        now.units.sort_by_key(|unit| unit.service);
    }
    Ok(now)
}

fn global_flags(context: &Context, settings: &Settings) -> Result<Vec<String>, CliError> {
    let mut flags = vec!["--home".to_owned(), settings.home.root().display().to_string()];
    if let Some(config) = &context.globals.config {
        let path = std::path::absolute(config)
            .map_err(|e| CliError::usage("no_config", e).context("the configuration file is not a path"))?;
        flags.extend(["--config".to_owned(), path.display().to_string()]);
    }
    flags.extend(["--port-offset".to_owned(), settings.port_offset.to_string()]);
    Ok(flags)
}

/// Returns the simulator's flags again, for the workers that need them.
fn sim_flags(sim: &SimArgs) -> Result<Vec<String>, CliError> {
    if !sim.sim {
        return Ok(Vec::new());
    }
    let absolute = |path: &std::path::Path| {
        let path = std::path::absolute(path).map_err(|e| CliError::usage("no_path", e))?;
        Ok::<_, CliError>(path.display().to_string())
    };
    let mut flags = vec!["--sim".to_owned()];
    if let Some(corpus) = &sim.sim_corpus {
        flags.extend(["--sim-corpus".to_owned(), absolute(corpus)?]);
    }
    if let Some(rate) = &sim.sim_rate {
        flags.extend(["--sim-rate".to_owned(), rate.clone()]);
    }
    if let Some(seed) = sim.sim_seed {
        flags.extend(["--sim-seed".to_owned(), seed.to_string()]);
    }
    if let Some(faults) = &sim.sim_faults {
        flags.extend(["--sim-faults".to_owned(), absolute(faults)?]);
    }
    if sim.sim_keep_time {
        flags.push("--sim-keep-time".to_owned());
    }
    Ok(flags)
}

fn unit(settings: &Settings, service: Service, flags: Vec<String>) -> UnitSpec {
    let stop = &settings.supervisor.stop_timeout;
    let (worker, drain_within): (WorkerName, Duration) = match service {
        Service::Sim => (WorkerName::Sim, stop.sim),
        Service::Nats => (WorkerName::Nats, stop.nats),
        Service::Clickhouse => (WorkerName::Clickhouse, stop.clickhouse),
        Service::Hot => (WorkerName::Hot, stop.hot),
        Service::Collector => (WorkerName::Collector, stop.collector),
        Service::Cold => (WorkerName::Cold, stop.cold),
    };
    let is_here = runs_here(settings, service);
    let probe = probe(settings, service);
    let pinned = |dependency: Dependency| dependency.pin().ok().map(|pin| pin.reports);
    UnitSpec {
        service,
        managed: is_here,
        container: (!super::infra::in_containers(&[service], settings).is_empty())
            .then(|| super::infra::container_name(settings, service)),
        flags,
        lock: lock_path(settings, worker),
        listens: if is_here {
            listens(settings, service)
        } else {
            Vec::new()
        },
        elsewhere: (!is_here).then(|| place(settings, service)),
        probe,
        version: match service {
            _ if !is_here => None,
            // The machine's own is asked where it matters.
            Service::Nats if settings.infra.nats_backend == Backend::Native => None,
            Service::Nats => pinned(Dependency::NatsServer),
            Service::Clickhouse => pinned(Dependency::Libchdb),
            Service::Sim | Service::Hot | Service::Collector | Service::Cold => {
                Some(env!("CARGO_PKG_VERSION").to_owned())
            }
        },
        // Its engine ends a container that does not stop in time; that takes a moment more.
        drain_within: if super::infra::in_containers(&[service], settings).is_empty() {
            drain_within
        } else {
            drain_within + CONTAINER_STOPS_WITHIN
        },
    }
}

/// Returns whether this home runs a service itself.
pub(crate) fn runs_here(settings: &Settings, service: Service) -> bool {
    match service {
        Service::Nats => settings.nats.mode == Mode::Managed,
        Service::Clickhouse => settings.clickhouse.mode == Mode::Managed,
        Service::Sim | Service::Hot | Service::Collector | Service::Cold => elsewhere(settings, service).is_none(),
    }
}

/// Returns how a service is asked how it is.
fn probe(settings: &Settings, service: Service) -> ProbeSpec {
    match (service, runs_here(settings, service)) {
        (Service::Nats, true) => ProbeSpec::Nats(loopback(settings.nats.monitor_port).into()),
        (Service::Nats, false) => ProbeSpec::Broker(Box::new(reach::broker(settings))),
        // Whether it serves shows without asking who we are.
        (Service::Clickhouse, true) => ProbeSpec::Clickhouse(Endpoint {
            login: None,
            ..reach::store_endpoint(settings)
        }),
        (Service::Clickhouse, false) => ProbeSpec::Store(reach::store_endpoint(settings)),
        (Service::Sim | Service::Hot | Service::Collector | Service::Cold, _) => {
            ProbeSpec::Worker(reach::worker(settings, service))
        }
    }
}

/// Returns where a service on another host is.
fn place(settings: &Settings, service: Service) -> String {
    match service {
        Service::Nats => {
            let url = &settings.nats.url;
            format!("{}:{}", url.host(), url.port().unwrap_or(4222))
        }
        Service::Clickhouse => reach::store_endpoint(settings).authority(),
        Service::Sim | Service::Hot | Service::Collector | Service::Cold => {
            reach::worker(settings, service).authority()
        }
    }
}

/// Returns the services that names stand for, each once and in start order; no name at all is all of `everything`.
pub(crate) fn selected(names: &[ServiceName], everything: &[Service]) -> Vec<Service> {
    if names.is_empty() {
        return everything.to_vec();
    }
    let mut wanted = Vec::new();
    for name in names {
        match name {
            ServiceName::All => wanted.extend(everything.iter().copied()),
            ServiceName::Nats | ServiceName::Broker => wanted.push(Service::Nats),
            ServiceName::Clickhouse => wanted.push(Service::Clickhouse),
            ServiceName::Hot => wanted.push(Service::Hot),
            ServiceName::Collector => wanted.push(Service::Collector),
            ServiceName::Cold => wanted.push(Service::Cold),
            ServiceName::Sim => wanted.push(Service::Sim),
            ServiceName::Storage => wanted.extend([Service::Clickhouse, Service::Hot, Service::Cold]),
        }
    }
    wanted.sort();
    wanted.dedup();
    wanted
}

/// Returns the dependencies that services need.
pub(crate) fn dependencies_of(services: &[Service], settings: &Settings) -> Vec<Dependency> {
    let mut needed = Vec::new();
    let infra = &settings.infra;
    if services.contains(&Service::Nats) && infra.nats_backend == Backend::Embedded {
        needed.push(Dependency::NatsServer);
    }
    // A container of ours takes the engine's library from here.
    let is_ours = match infra.clickhouse_backend {
        Backend::Embedded => true,
        Backend::Docker => infra.clickhouse_server == ClickhouseServer::Mprism,
        Backend::Native | Backend::External => false,
    };
    if services.contains(&Service::Clickhouse) && is_ours {
        needed.push(Dependency::Libchdb);
    }
    needed
}
