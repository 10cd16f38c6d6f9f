//! How each server and worker is reached from here: address, credential, and whom to believe. The only place that knows.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use mprism_bus::BusOptions;
use mprism_clickhouse::StoreOptions;
use mprism_engine::READER_USER;
use mprism_runtime::endpoint::{Endpoint, FileLogin};
use mprism_runtime::files;
use mprism_runtime::guard::{ENDPOINT_USER, Guard};
use mprism_runtime::tls::{ClientTls, TlsIdentity};
use mprism_settings::{
    ClickhouseSettings, Mode, NatsLogin, RemoteSettings, ServerUrl, Settings, TrustSettings, WRITER_USER, loopback,
    reached_at,
};

use crate::control::{BrokerLogin, BrokerReach, Service};
use crate::error::CliError;

/// The home's credential that workers' endpoints ask for where other hosts can reach them.
pub(crate) const ENDPOINTS_SECRET: &str = "endpoints";
/// The home's credential of readers of the engine, where other hosts can reach it.
pub(crate) const READER_SECRET: &str = "clickhouse-reader";
/// The home's credential of the engine's writer.
pub(crate) const WRITER_SECRET: &str = "clickhouse-writer";

/// Reads a credential that has to be ours and nobody else's to read.
pub(crate) fn read_file(path: &Path, hint: &str) -> Result<String, CliError> {
    let secret = files::read_secret(path).map_err(|e| {
        CliError::failed("no_credential", e)
            .context(format!("cannot read the credential {}", path.display()))
            .hint(hint)
    })?;
    Ok(secret.trim().to_owned())
}

/// Reads one of the home's credentials.
pub(crate) fn read_secret(settings: &Settings, name: &str) -> Result<String, CliError> {
    read_file(&settings.home.secret(name), "make it: `mprism init`")
}

/// Returns whom to believe, in the words of those who connect.
pub(crate) fn client_tls(trust: &TrustSettings) -> ClientTls {
    ClientTls {
        ca_file: trust.ca_file.clone(),
        identity: trust
            .identity
            .clone()
            .map(|(cert_file, key_file)| TlsIdentity { cert_file, key_file }),
    }
}

/// Returns what this home's own listeners show, where they show something.
pub(crate) fn identity(settings: &Settings, listen: IpAddr) -> Option<TlsIdentity> {
    let tls = &settings.tls;
    tls.guards(listen).then(|| TlsIdentity {
        cert_file: tls.cert_file.clone(),
        key_file: tls.key_file.clone(),
    })
}

/// Returns what stands before a worker's endpoints, where other hosts can reach them.
pub(crate) fn guard(settings: &Settings, listen: IpAddr) -> Option<Guard> {
    identity(settings, listen).map(|identity| Guard {
        identity,
        password_file: settings.home.secret(ENDPOINTS_SECRET),
    })
}

/// Returns how the broker is reached as one of its users, where it knows ours.
fn broker_as(settings: &Settings, user: &str) -> BrokerReach {
    let nats = &settings.nats;
    let login = match nats.login.clone() {
        NatsLogin::Members(folder) => BrokerLogin::Member {
            user: user.to_owned(),
            password_file: folder.join(format!("nats-{user}")),
        },
        NatsLogin::AsAddressed => BrokerLogin::AsAddressed,
        NatsLogin::User { user, password_file } => BrokerLogin::User { user, password_file },
        NatsLogin::Token(path) => BrokerLogin::Token(path),
        NatsLogin::Nkey(path) => BrokerLogin::Nkey(path),
        NatsLogin::Credentials(path) => BrokerLogin::Credentials(path),
    };
    let tls = broker_tls(settings);
    BrokerReach::new(nats.url.expose(), nats.url.without_credential(), login, tls)
}

/// Returns how the broker is asked how it is: as whomever this host has the credential of.
pub(crate) fn broker(settings: &Settings) -> BrokerReach {
    let user = match &settings.nats.login {
        NatsLogin::Members(folder) => ["operator", "hot", "collector"]
            .into_iter()
            .find(|user| folder.join(format!("nats-{user}")).exists()),
        _ => None,
    };
    broker_as(settings, user.unwrap_or("operator"))
}

/// Whom to believe where the broker speaks TLS, which one that somebody else runs may do without saying so in its address.
fn broker_tls(settings: &Settings) -> Option<ClientTls> {
    let nats = &settings.nats;
    let is_named = nats.trust != TrustSettings::default();
    let is_ours = nats.mode == Mode::Managed;
    (nats.url.is_secured() || (is_named && !is_ours)).then(|| client_tls(&nats.trust))
}

/// Returns the bus as one of its users reaches it.
pub(crate) fn bus(settings: &Settings, user: &str) -> Result<BusOptions, CliError> {
    let options = broker_as(settings, user).options(&format!("mprism-{user}"));
    options.map_err(|error| {
        let is_copied = matches!(settings.nats.login, NatsLogin::Members(_));
        let hint = match (settings.nats.mode, is_copied) {
            (Mode::Managed, _) => "make it: `mprism init`".to_owned(),
            (Mode::External, true) => {
                "copy it from the home that runs the broker; there, `mprism env` says where it is".to_owned()
            }
            (Mode::External, false) => format!("only its owner may read it: `chmod 600 {}`", error.path.display()),
        };
        CliError::failed("no_credential", error).hint(hint)
    })
}

/// Returns the bus as the operator reaches it.
pub(crate) fn operator_bus(settings: &Settings) -> Result<BusOptions, CliError> {
    bus(settings, "operator")
}

/// How the store is reached: without a login by whoever reads on this machine.
pub(crate) struct StoreReach {
    pub(crate) url: String,
    pub(crate) login: Option<(String, String)>,
    pub(crate) tls: Option<ClientTls>,
}

/// Whom to believe where the store speaks https.
fn store_tls(clickhouse: &ClickhouseSettings) -> Option<ClientTls> {
    clickhouse.url.is_secured().then(|| client_tls(&clickhouse.trust))
}

/// Returns the store as whoever reads reaches it.
pub(crate) fn reader(settings: &Settings) -> Result<StoreReach, CliError> {
    let clickhouse = &settings.clickhouse;
    let login = match clickhouse.mode {
        Mode::External => external_login(clickhouse)?,
        Mode::Managed if settings.tls.guards(clickhouse.listen) => {
            Some((READER_USER.to_owned(), read_secret(settings, READER_SECRET)?))
        }
        Mode::Managed => None,
    };
    Ok(StoreReach {
        url: clickhouse.url.without_credential(),
        login,
        tls: store_tls(clickhouse),
    })
}

/// Returns the store as its writer reaches it.
pub(crate) fn writer(settings: &Settings) -> Result<StoreReach, CliError> {
    let clickhouse = &settings.clickhouse;
    let login = match clickhouse.mode {
        Mode::Managed => Some((WRITER_USER.to_owned(), read_secret(settings, WRITER_SECRET)?)),
        Mode::External => external_login(clickhouse)?,
    };
    Ok(StoreReach {
        url: clickhouse.url.without_credential(),
        login,
        tls: store_tls(clickhouse),
    })
}

fn external_login(clickhouse: &ClickhouseSettings) -> Result<Option<(String, String)>, CliError> {
    if let Some(user) = clickhouse.url.user() {
        let password = clickhouse.url.password().unwrap_or_default();
        return Ok(Some((user.to_owned(), password.to_owned())));
    }
    let password = match &clickhouse.password_file {
        Some(path) => {
            let hint = "copy `secrets/clickhouse-writer` of the home whose engine that is; only its owner may read it";
            read_file(path, hint)?
        }
        None if clickhouse.user.is_none() => return Ok(None),
        None => String::new(),
    };
    let user = clickhouse.user.clone().unwrap_or_else(|| WRITER_USER.to_owned());
    Ok(Some((user, password)))
}

/// Returns the store's options for its writer.
pub(crate) fn store_options(settings: &Settings) -> Result<StoreOptions, CliError> {
    let reach = writer(settings)?;
    let (user, password) = reach.login.unwrap_or_else(|| ("default".to_owned(), String::new()));
    Ok(StoreOptions {
        url: reach.url,
        user,
        password,
        tls: reach.tls,
        connect_timeout: settings.hot.clickhouse.connect,
        query_timeout: settings.hot.clickhouse.query,
        insert_timeout: settings.hot.clickhouse.insert,
        fence_timeout: settings.hot.clickhouse.insert,
    })
}

/// Returns the store as a small question reaches it, credentials by their files.
pub(crate) fn store_endpoint(settings: &Settings) -> Endpoint {
    let clickhouse = &settings.clickhouse;
    let file = |user: &str, password_file: &Path| {
        Some(FileLogin {
            user: user.to_owned(),
            password_file: password_file.to_path_buf(),
        })
    };
    let login = match (clickhouse.mode, &clickhouse.password_file) {
        (Mode::External, Some(path)) => file(clickhouse.user.as_deref().unwrap_or(WRITER_USER), path),
        (Mode::External, None) => None,
        (Mode::Managed, _) if settings.tls.guards(clickhouse.listen) => {
            file(READER_USER, &settings.home.secret(READER_SECRET))
        }
        (Mode::Managed, _) => None,
    };
    let standard = if clickhouse.url.is_secured() { 8443 } else { 8123 };
    let shown = clickhouse.url.user().map(|user| {
        let password = clickhouse.url.password().unwrap_or_default();
        (user.to_owned(), password.to_owned())
    });
    Endpoint {
        login,
        shown,
        ..at(&clickhouse.url, standard, store_tls(clickhouse))
    }
}

fn at(url: &ServerUrl, standard: u16, tls: Option<ClientTls>) -> Endpoint {
    Endpoint {
        host: url.host().to_owned(),
        port: url.port().unwrap_or(standard),
        tls,
        login: None,
        shown: None,
    }
}

/// Returns where a service listens that runs here: the first is its address.
pub(crate) fn listens(settings: &Settings, service: Service) -> Vec<SocketAddr> {
    let (listen, ports) = match service {
        Service::Sim => return vec![loopback(settings.sim.port)],
        // Monitoring asks nobody who it is: it stays on this host.
        Service::Nats => {
            return vec![
                SocketAddr::new(settings.nats.listen, settings.nats.port),
                loopback(settings.nats.monitor_port),
            ];
        }
        Service::Clickhouse => (settings.clickhouse.listen, vec![settings.clickhouse.port]),
        Service::Hot => (settings.hot.listen, vec![settings.hot.port]),
        Service::Collector => (
            settings.collector.listen,
            vec![settings.collector.port, settings.collector.metrics_port],
        ),
        Service::Cold => (settings.cold.listen, vec![settings.cold.port]),
    };
    ports.into_iter().map(|port| SocketAddr::new(listen, port)).collect()
}

/// Returns where a worker runs, where that is another host.
pub(crate) fn elsewhere(settings: &Settings, service: Service) -> Option<&RemoteSettings> {
    match service {
        Service::Hot => settings.services.hot.as_ref(),
        Service::Collector => settings.services.collector.as_ref(),
        Service::Cold => settings.services.cold.as_ref(),
        Service::Sim | Service::Nats | Service::Clickhouse => None,
    }
}

/// Returns a worker's first endpoint, here or on another host.
pub(crate) fn worker(settings: &Settings, service: Service) -> Endpoint {
    if let Some(remote) = elsewhere(settings, service) {
        let standard = if remote.url.is_secured() { 443 } else { 80 };
        let tls = remote.url.is_secured().then(|| ClientTls {
            ca_file: remote.ca_file.clone(),
            identity: None,
        });
        return Endpoint {
            login: remote.password_file.clone().map(endpoint_login),
            ..at(&remote.url, standard, tls)
        };
    }
    let address = listens(settings, service)[0];
    let is_guarded = settings.tls.guards(address.ip()) && service != Service::Sim;
    let here = Endpoint::from(SocketAddr::new(reached_at(address.ip()), address.port()));
    if !is_guarded {
        return here;
    }
    Endpoint {
        tls: Some(client_tls(&settings.tls.trust())),
        login: Some(endpoint_login(settings.home.secret(ENDPOINTS_SECRET))),
        ..here
    }
}

fn endpoint_login(password_file: std::path::PathBuf) -> FileLogin {
    FileLogin {
        user: ENDPOINT_USER.to_owned(),
        password_file,
    }
}
