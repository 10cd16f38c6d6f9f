//! `mprism infra compose`: the same containers as a file for Docker Compose, the workers' too if asked for.

use mprism_containers::{Bind, Container, Network, compose};
use mprism_settings::Settings;
use serde::Serialize;

use super::in_containers;
use super::wanted::{container, home_user, moved, wanted};
use crate::cli::InfraComposeArgs;
use crate::commands::Context;
use crate::control::Service;
use crate::error::{CliError, Exit};
use crate::report::{Page, Report};

pub(super) fn run(args: &InfraComposeArgs, context: &Context) -> Result<Exit, CliError> {
    let settings = context.settings()?;
    let services = in_containers(&[Service::Nats, Service::Clickhouse], &settings);
    if services.is_empty() && !args.workers {
        super::selected(&[], &settings)?;
    }
    let mut wanted = wanted(&settings, &services)?.infrastructure;
    if args.workers {
        let workers = [Service::Hot, Service::Collector, Service::Cold];
        wanted
            .containers
            .extend(workers.map(|service| worker(&settings, service, context)));
    }
    context.printer.report(&ComposeReport {
        compose: compose(&moved("marketprism", &settings), &wanted),
    })
}

/// Decides the container of a worker. It sees this home and this machine's loopback, as a worker outside of a container
/// does: so its locks keep two workers apart wherever they run, and `health` finds it.
fn worker(settings: &Settings, service: Service, context: &Context) -> Container {
    let root = settings.home.root();
    let bound = |path: &std::path::Path, read_only: bool| Bind {
        source: path.to_path_buf(),
        target: path.display().to_string(),
        read_only,
    };
    let mut binds = vec![bound(root, false)];
    let mut environment = [
        ("MPRISM_HOME".to_owned(), root.display().to_string()),
        ("MPRISM_PORT_OFFSET".to_owned(), settings.port_offset.to_string()),
    ]
    .to_vec();
    if let Some(config) = context
        .globals
        .config
        .as_ref()
        .and_then(|file| std::path::absolute(file).ok())
    {
        environment.push(("MPRISM_CONFIG".to_owned(), config.display().to_string()));
        binds.push(bound(&config, true));
    }
    let stop = &settings.supervisor.stop_timeout;
    Container {
        command: vec!["worker".to_owned(), service.name().to_owned()],
        environment: environment.into_iter().collect(),
        user: Some(home_user()),
        binds,
        health: ["mprism", "worker", service.name(), "--probe"]
            .map(str::to_owned)
            .to_vec(),
        stop_within: match service {
            Service::Hot => stop.hot,
            Service::Collector => stop.collector,
            _ => stop.cold,
        },
        network: Network::Host,
        ..container(settings, service, &settings.infra.workers)
    }
}

#[derive(Serialize)]
struct ComposeReport {
    compose: String,
}

impl Report for ComposeReport {
    fn page(&self) -> Page {
        self.compose.lines().fold(Page::new(), |page, line| page.line(line))
    }
}
