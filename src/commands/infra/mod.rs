//! `mprism infra`: nats-server and ClickHouse in containers of this home.

mod alone;
mod compose;
mod down;
mod logs;
mod make;
mod orphans;
mod status;
mod up;
mod wanted;

use mprism_containers::{ContainerError, Engine, Foreign, FoundContainer, Infrastructure};
use mprism_settings::{Backend, Settings};

use crate::cli::{InfraArgs, InfraServer, InfraVerb};
use crate::commands::{Context, take_over};
use crate::control::{Service, TAKE_OVER};
use crate::error::{CliError, Exit};

pub(crate) use alone::{alone, await_healthy};
pub(crate) use down::stop_remaining;
pub(crate) use make::{fetch, keep, ready};
pub(crate) use orphans::{Orphan, look as orphans, take_away};
use wanted::looked_for;
pub(crate) use wanted::{container_name, own_volume, owner, wanted};

/// The variable that names another engine than the usual one, as for Docker's own programs.
const DOCKER_HOST: &str = "DOCKER_HOST";

/// `mprism infra`.
pub(crate) fn run(args: &InfraArgs, context: &Context) -> Result<Exit, CliError> {
    match &args.verb {
        InfraVerb::Up(args) => up::run(args, context),
        InfraVerb::Down(args) => down::run(args, context),
        InfraVerb::Status(args) => status::run(args, context),
        InfraVerb::Logs(args) => logs::run(args, context),
        InfraVerb::Compose(args) => compose::run(args, context),
    }
}

impl From<ContainerError> for CliError {
    fn from(error: ContainerError) -> Self {
        let (code, hints) = (error.code(), error.hints());
        let details = error.log().to_vec();
        let mut cli = match error {
            ContainerError::Port { .. } => Self::refused(code, error),
            ContainerError::Scheme { .. } => Self::usage(code, error),
            _ => Self::failed(code, error),
        };
        cli.hints = hints;
        cli.details = details;
        cli
    }
}

/// Connects to the engine that the environment names.
pub(crate) async fn connect(context: &Context) -> Result<Engine, CliError> {
    Ok(try_connect(context).await?)
}

/// As [`connect`], for who decides by the error.
pub(crate) async fn try_connect(context: &Context) -> Result<Engine, ContainerError> {
    Engine::connect(context.environment.get(DOCKER_HOST).map(String::as_str)).await
}

/// Returns those of the services that run in containers.
pub(crate) fn in_containers(services: &[Service], settings: &Settings) -> Vec<Service> {
    let is_in_one = |service: &&Service| match service {
        Service::Nats => settings.infra.nats_backend == Backend::Docker,
        Service::Clickhouse => settings.infra.clickhouse_backend == Backend::Docker,
        Service::Sim | Service::Hot | Service::Collector | Service::Cold => false,
    };
    services.iter().filter(is_in_one).copied().collect()
}

/// Returns whether a service runs in a container of this home, and is healthy.
pub(crate) async fn runs(service: Service, settings: &Settings, context: &Context) -> Result<bool, CliError> {
    if in_containers(&[service], settings).is_empty() {
        return Ok(false);
    }
    let found = connect(context)
        .await?
        .container(&container_name(settings, service))
        .await?;
    let owner = owner(&settings.home);
    let is_ours = |found: &FoundContainer| found.owner.as_deref() == Some(&owner);
    Ok(found.is_some_and(|found| is_ours(&found) && found.is_running() && found.health.as_deref() == Some("healthy")))
}

/// Returns the services that a command is about: those named, else all that run in containers.
fn selected(servers: &[InfraServer], settings: &Settings) -> Result<Vec<Service>, CliError> {
    let all = [Service::Nats, Service::Clickhouse];
    let named = servers.iter().map(|server| match server {
        InfraServer::Nats => Service::Nats,
        InfraServer::Clickhouse => Service::Clickhouse,
    });
    let mut named: Vec<Service> = named.collect();
    named.sort();
    named.dedup();
    let services = in_containers(if named.is_empty() { &all } else { &named }, settings);
    let missing: Vec<&Service> = named.iter().filter(|service| !services.contains(service)).collect();
    let text = match (services.is_empty(), missing.first()) {
        (_, Some(service)) => format!("`{service}` does not run in a container of this home"),
        (true, None) => "nothing of this home runs in a container".to_owned(),
        (false, None) => return Ok(services),
    };
    let hint =
        "say so in the settings, `mprism config edit`: `infra: {nats: {mode: docker}, clickhouse: {mode: docker}}`";
    Err(CliError::usage("no_containers", anyhow::Error::msg(text)).hint(hint))
}

/// Refuses to go on where somebody else has a name of ours. What is a MarketPrism's is told as such.
async fn refuse_foreign(foreign: &[Foreign], engine: &Engine) -> Result<(), CliError> {
    let Some(first) = foreign.first() else { return Ok(()) };
    let of_marketprism = take_over::its(engine).await?;
    let part = |foreign: &Foreign| {
        let its = of_marketprism
            .iter()
            .find(|its| foreign.kind == "container" && its.container == foreign.name);
        its.map(|its| its.part.text())
    };
    let whose = |foreign: &Foreign| match (&foreign.owner, part(foreign)) {
        (Some(owner), _) => format!("{} {} belongs to another home ({owner})", foreign.kind, foreign.name),
        (None, Some(what)) => format!("container {} is the {what} of a MarketPrism", foreign.name),
        (None, None) => format!("{} {} was not made by mprism", foreign.kind, foreign.name),
    };
    let takes_over = foreign.iter().any(|foreign| part(foreign).is_some());
    let mut error = CliError::refused("foreign_container", anyhow::Error::msg(whose(first)));
    error.details = foreign.iter().skip(1).map(whose).collect();
    let look = match first.kind {
        "volume" => format!("look at it: `docker volume inspect {}`", first.name),
        _ => format!("look at it: `docker inspect {}`", first.name),
    };
    if takes_over {
        error = error.hint(format!("take it over: `{TAKE_OVER}`"));
    }
    Err(error
        .hint(look)
        .hint("take its place: `mprism infra up --force` removes such a container, and uses such a volume as it is"))
}

/// Returns the containers of services, by the names that people type.
fn services_of(infrastructure: &Infrastructure) -> impl Iterator<Item = (&str, &str)> {
    infrastructure
        .containers
        .iter()
        .map(|container| (container.service.as_str(), container.name.as_str()))
}
