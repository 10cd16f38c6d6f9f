//! From what the layers said to decided values, and what must hold between them.

mod remote;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Origin, Problem, SettingsError};
use crate::home::HomeFolders;
use crate::layers::{Gathered, Ignored};
use crate::remote::{TlsSettings, reached_at};
use crate::schema;
use crate::settings::{
    Backend, BatchSettings, ClickhouseServer, ClickhouseSettings, ClickhouseTimeouts, ColdSettings, CollectorSettings,
    ContainerSettings, Durability, EXCHANGES, ExchangeSettings, HotSettings, InfraSettings, LatencySettings,
    LeaveSettings, LivenessSettings, LoggingSettings, MirrorSettings, Mode, NatsSettings, OrderBookSettings,
    PublishSettings, SelfHealSettings, Settings, SimRate, SimSettings, SpoolSettings, StopTimeouts, SupervisorSettings,
    SyncInterval, VolumeSettings,
};
use crate::url::ServerUrl;
use crate::values::Values;

/// Decides every value, or tells everything that is wrong.
pub(crate) fn decide(home: HomeFolders, gathered: Gathered) -> Result<Settings, SettingsError> {
    let mut decider = Decider {
        values: gathered.values,
        problems: gathered.problems,
        port_offset: gathered.port_offset,
        ports: Vec::new(),
        ignored: gathered.ignored,
    };
    let settings = decider.settings(home);
    decider.offset_fits(gathered.port_offset_origin);
    if decider.problems.is_empty() {
        Ok(settings)
    } else {
        Err(SettingsError::Invalid {
            problems: decider.problems,
        })
    }
}

struct Decider {
    values: Values,
    problems: Vec<Problem>,
    port_offset: u16,
    ports: Vec<(u16, &'static str)>,
    ignored: Vec<Ignored>,
}

impl Decider {
    fn settings(&mut self, home: HomeFolders) -> Settings {
        let tls = self.tls(&home);
        Settings {
            port_offset: self.port_offset,
            nats: self.nats(&home, &tls),
            clickhouse: self.clickhouse(&tls),
            collector: self.collector(&home),
            hot: self.hot(&home),
            cold: self.cold(&home),
            sim: self.sim(),
            services: self.services(),
            tls: tls.clone(),
            infra: self.infra(),
            supervisor: self.supervisor(),
            logging: LoggingSettings {
                level: self.values.text("logging.level").to_owned(),
                file_bytes_max: self.values.integer("logging.file_bytes_max"),
                files_max: self.values.small("logging.files_max"),
                total_bytes_max: self.values.integer("logging.total_bytes_max"),
            },
            ignored: std::mem::take(&mut self.ignored),
            home,
        }
    }

    /// Notes what is wrong between settings, at the one that was said in the highest layer.
    fn problem(&mut self, paths: &[&str], message: String) {
        let origins = paths.iter().map(|path| self.values.origin(path));
        let Some(origin) = origins.max_by_key(Origin::layer) else {
            return;
        };
        let key = paths.first().map(|path| (*path).to_owned());
        self.problems.push(Problem { origin, key, message });
    }

    /// Moves a port by the offset; every port of a home is another one.
    fn port(&mut self, path: &'static str) -> u16 {
        let base: u16 = self.values.small(path);
        let offset = self.port_offset;
        // Ports that are moved too far are told once, all together.
        let port = base.saturating_add(offset);
        let taken = self
            .ports
            .iter()
            .find(|(other, _)| *other == base)
            .map(|(_, path)| *path);
        if let Some(other) = taken {
            self.problem(
                &[path, other],
                format!("{path}: port {base} is already that of {other}"),
            );
        }
        self.ports.push((base, path));
        port
    }

    /// An offset that moves any port too far is one problem, not one for each port.
    fn offset_fits(&mut self, origin: Origin) {
        let Some((base, path)) = self.ports.iter().max().copied() else {
            return;
        };
        let highest = u16::MAX - base;
        if self.port_offset > highest {
            let message = format!(
                "{path}: port {base} with the offset {} is beyond 65535; the offset can be up to {}",
                self.port_offset,
                highest - highest % 100
            );
            let key = Some(path.to_owned());
            self.problems.push(Problem { origin, key, message });
        }
    }

    /// Decides who runs a server: `infra.<name>.mode: external` says the same as `<name>.mode: external`.
    fn server(&mut self, [mode, url, infra]: [&'static str; 3], ours: ServerUrl) -> (Mode, ServerUrl) {
        let is_elsewhere = self.values.text(infra) == "external";
        let said = if is_elsewhere { infra } else { mode };
        let is_external = is_elsewhere || self.values.text(mode) == "external";
        match (is_external, self.values.url(url).cloned()) {
            (true, Some(url)) => (Mode::External, url),
            (true, None) => {
                self.problem(&[said], format!("{said}: external needs {url}"));
                (Mode::External, ours)
            }
            (false, Some(_)) => {
                self.problem(&[mode, url], format!("{url}: has a meaning only with {mode}: external"));
                (Mode::Managed, ours)
            }
            (false, None) => (Mode::Managed, ours),
        }
    }

    /// Decides where a server runs.
    fn backend(&mut self, infra: &'static str, mode: &'static str) -> Backend {
        let is_external = self.values.text(mode) == "external";
        let backend = match self.values.text(infra) {
            "native" => Backend::Native,
            "docker" => Backend::Docker,
            "external" => Backend::External,
            // The default: whoever names a server has said where it runs.
            _ if is_external => Backend::External,
            _ => Backend::Embedded,
        };
        if is_external && matches!(backend, Backend::Native | Backend::Docker) {
            let said = self.values.text(infra).to_owned();
            self.problem(&[infra, mode], format!("{infra}: {said} contradicts {mode}: external"));
        }
        backend
    }

    fn infra(&mut self) -> InfraSettings {
        let clickhouse_backend = self.backend("infra.clickhouse.mode", "clickhouse.mode");
        let native = "infra.clickhouse.native_port";
        InfraSettings {
            network: self.values.text("infra.network").to_owned(),
            nats_backend: self.backend("infra.nats.mode", "nats.mode"),
            nats: self.container("infra.nats"),
            nats_volume: self.volume("infra.nats.volume"),
            clickhouse_backend,
            clickhouse: self.container("infra.clickhouse"),
            clickhouse_volume: self.whole_volume("infra.clickhouse.volume"),
            clickhouse_server: match self.values.text("infra.clickhouse.server") {
                "mprism" => ClickhouseServer::Mprism,
                _ => ClickhouseServer::Clickhouse,
            },
            // Only ClickHouse's own server has it: without one it is in nobody's way.
            clickhouse_native_port: match clickhouse_backend {
                Backend::Native | Backend::Docker => self.port(native),
                Backend::Embedded | Backend::External => {
                    self.values.small::<u16>(native).saturating_add(self.port_offset)
                }
            },
            workers: self.container("infra.workers"),
        }
    }

    fn container(&self, section: &str) -> ContainerSettings {
        ContainerSettings {
            image: self.values.text(&format!("{section}.image")).to_owned(),
            memory_bytes_max: self.values.integer(&format!("{section}.memory_bytes_max")),
            cpu_percent_max: self.values.integer(&format!("{section}.cpu_percent_max")),
        }
    }

    /// Decides which volume a container uses; `None` is the home's own.
    fn volume(&self, path: &str) -> Option<VolumeSettings> {
        let text = self.values.text(path);
        let (name, folder) = match text.split_once('/') {
            Some((name, folder)) => (name, Some(folder.to_owned())),
            None => (text, None),
        };
        (text != "auto").then(|| VolumeSettings {
            name: name.to_owned(),
            folder,
        })
    }

    /// As [`Self::volume`], where the folder in it is fixed.
    fn whole_volume(&mut self, path: &'static str) -> Option<VolumeSettings> {
        let volume = self.volume(path);
        if volume.as_ref().is_some_and(|volume| volume.folder.is_some()) {
            self.problem(&[path], format!("{path}: a volume's name without a folder"));
        }
        volume
    }

    fn nats(&mut self, home: &HomeFolders, tls: &TlsSettings) -> NatsSettings {
        let port = self.port("nats.port");
        let monitor_port = self.port("nats.monitor_port");
        let listen = self.listen("nats.listen");
        let scheme = if tls.guards(listen) { "tls" } else { "nats" };
        let ours = ServerUrl::ours(scheme, (reached_at(listen), port).into());
        let (mode, url) = self.server(["nats.mode", "nats.url", "infra.nats.mode"], ours);
        let (login, trust) = self.nats_login(mode, &url, home);
        let durability = match self.values.text("nats.durability") {
            "strict" => Durability::Strict,
            "fast" => Durability::Fast,
            _ => Durability::Balanced,
        };
        NatsSettings {
            mode,
            url,
            login,
            trust: if mode == Mode::Managed { tls.trust() } else { trust },
            listen,
            data_folder: self
                .values
                .folder("nats.data_folder")
                .unwrap_or_else(|| home.nats_data()),
            port,
            monitor_port,
            durability,
            sync_interval: self.sync_interval(durability),
            market_data_bytes_max: self.values.integer("nats.market_data_bytes_max"),
            orderbook_bytes_max: self.values.integer("nats.orderbook_bytes_max"),
            dead_letter_bytes_max: self.values.integer("nats.dead_letter_bytes_max"),
        }
    }

    fn sync_interval(&mut self, durability: Durability) -> SyncInterval {
        let path = "nats.sync_interval";
        let said = self.values.span_or_word(path);
        match (durability, said) {
            (Durability::Balanced, None) => SyncInterval::Every(Duration::from_secs(1)),
            (Durability::Fast, None) => SyncInterval::Every(Duration::from_secs(120)),
            (Durability::Strict, None) => SyncInterval::Always,
            (Durability::Strict, Some(_)) => {
                self.problem(
                    &[path, "nats.durability"],
                    format!("{path}: expected auto, because durability strict writes every message for good"),
                );
                SyncInterval::Always
            }
            (Durability::Balanced, Some(span)) if span > Duration::from_secs(1) => {
                self.problem(
                    &[path, "nats.durability"],
                    format!("{path}: expected at most 1s with durability balanced; fast allows more"),
                );
                SyncInterval::Every(span)
            }
            (_, Some(span)) => SyncInterval::Every(span),
        }
    }

    fn clickhouse(&mut self, tls: &TlsSettings) -> ClickhouseSettings {
        let port = self.port("clickhouse.port");
        let listen = self.listen("clickhouse.listen");
        let scheme = if tls.guards(listen) { "https" } else { "http" };
        let ours = ServerUrl::ours(scheme, (reached_at(listen), port).into());
        let (mode, url) = self.server(["clickhouse.mode", "clickhouse.url", "infra.clickhouse.mode"], ours);
        let (user, password_file, trust) = self.clickhouse_login(mode, &url);
        ClickhouseSettings {
            mode,
            url,
            user,
            password_file,
            trust: if mode == Mode::Managed { tls.trust() } else { trust },
            listen,
            port,
            readers_max: self.values.small("clickhouse.readers_max"),
            reader_wait: self.values.span("clickhouse.reader_wait"),
            reader_memory_max: self.values.integer("clickhouse.reader_memory_max"),
            writers_max: self.values.small("clickhouse.writers_max"),
            body_bytes_max: self.values.integer("clickhouse.body_bytes_max"),
        }
    }

    fn exchange(&mut self, id: &str) -> ExchangeSettings {
        let path = |name: &str| {
            let path = format!("collector.exchanges.{id}.{name}");
            schema::find(&path).map_or("", |field| field.path)
        };
        ExchangeSettings {
            enabled: self.values.flag(path("enabled")),
            symbols: self.values.list(path("symbols")).to_vec(),
            websocket_url: self.endpoint(path("websocket_url"), "wss"),
            rest_url: self.endpoint(path("rest_url"), "https"),
            data_types: self.values.list(path("data_types")).to_vec(),
        }
    }

    fn polling(&self) -> BTreeMap<&'static str, Duration> {
        let paths = schema::FIELDS.iter().map(|field| field.path);
        let named = paths.filter_map(|path| Some((path.strip_prefix("collector.polling.")?, path)));
        named
            .filter_map(|(name, path)| Some((name, self.values.span_or_word(path)?)))
            .collect()
    }

    fn collector(&mut self, home: &HomeFolders) -> CollectorSettings {
        let spool = SpoolSettings {
            bytes_max: self.values.integer("collector.spool.bytes_max"),
            free_bytes_min: self.values.integer("collector.spool.free_bytes_min"),
            fsync_interval: self.values.span("collector.spool.fsync_interval"),
            segment_bytes: self.values.integer("collector.spool.segment_bytes"),
        };
        if spool.bytes_max < 2 * spool.segment_bytes {
            let path = "collector.spool.bytes_max";
            let segment = "collector.spool.segment_bytes";
            self.problem(
                &[path, segment],
                format!("{path}: expected at least two segments (collector.spool.segment_bytes)"),
            );
        }
        let exchanges = EXCHANGES.map(|id| (id, self.exchange(id))).into();
        CollectorSettings {
            listen: self.listen("collector.listen"),
            port: self.port("collector.port"),
            metrics_port: self.port("collector.metrics_port"),
            exchanges,
            order_book: OrderBookSettings {
                cadence: self.values.span_or_word("collector.orderbook.cadence"),
                snapshot_limit: self.values.small("collector.orderbook.snapshot_limit"),
                audit_every: self.values.span_or_word("collector.orderbook.audit_every"),
            },
            spool,
            publish: PublishSettings {
                in_flight_max: self.values.small("collector.publish.in_flight_max"),
                bytes_in_flight_max: self.values.integer("collector.publish.bytes_in_flight_max"),
                timeout: self.values.span("collector.publish.timeout"),
            },
            mirror: MirrorSettings {
                enabled: self.values.flag("collector.mirror.enabled"),
                subjects: self.values.list("collector.mirror.subjects").to_vec(),
            },
            liveness: LivenessSettings {
                first_message: self.values.span("collector.liveness.first_message"),
                silence: self.values.span("collector.liveness.silence"),
            },
            latency: LatencySettings {
                warn_above: self.values.span("collector.latency.warn_above"),
                samples: self.values.small("collector.latency.samples"),
            },
            polling: self.polling(),
            self_heal: self.self_heal(),
            lock: self.lock("collector.lock", home, "marketprism_collector.lock"),
        }
    }

    fn self_heal(&self) -> SelfHealSettings {
        SelfHealSettings {
            enabled: self.values.flag("collector.self_heal.enabled"),
            interval: self.values.span("collector.self_heal.interval"),
            memory_bytes_max: self.values.integer("collector.self_heal.memory_bytes_max"),
            memory_percent_max: self.values.integer("collector.self_heal.memory_percent_max"),
            cpu_percent_max: self.values.integer("collector.self_heal.cpu_percent_max"),
            uptime_max: self.values.span("collector.self_heal.uptime_max"),
            cooldown: self.values.span("collector.self_heal.cooldown"),
            restarts_max: self.values.small("collector.self_heal.restarts_max"),
        }
    }

    /// A worker's lock: where it was said to be, else MarketPrism's name in the home.
    fn lock(&self, path: &str, home: &HomeFolders, name: &str) -> PathBuf {
        self.values.folder(path).unwrap_or_else(|| home.run().join(name))
    }

    /// An exchange's base address; the slash at its end is ours to write.
    fn endpoint(&mut self, path: &'static str, scheme: &str) -> ServerUrl {
        match self.values.url(path) {
            Some(url) => url.without_slash(),
            None => {
                self.problem(&[path], format!("{path}: expected a URL, not nothing"));
                ServerUrl::ours(scheme, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))
            }
        }
    }

    fn hot(&mut self, home: &HomeFolders) -> HotSettings {
        HotSettings {
            listen: self.listen("hot.listen"),
            port: self.port("hot.port"),
            lock: self.lock("hot.lock", home, "marketprism_hot_storage.lock"),
            batch: BatchSettings {
                rows_max: self.values.small("hot.batch.rows_max"),
                bytes_max: self.values.integer("hot.batch.bytes_max"),
                age_max: self.values.span("hot.batch.age_max"),
            },
            clickhouse: ClickhouseTimeouts {
                connect: self.values.span("hot.clickhouse.connect_timeout"),
                insert: self.values.span("hot.clickhouse.insert_timeout"),
                query: self.values.span("hot.clickhouse.query_timeout"),
            },
        }
    }

    fn cold(&mut self, home: &HomeFolders) -> ColdSettings {
        let window = self.values.span("cold.window");
        let path = "cold.window";
        let hour = Duration::from_secs(3_600).as_nanos();
        if !hour.is_multiple_of(window.as_nanos()) {
            self.problem(&[path], format!("{path}: expected a part of an hour, like 1m or 30s"));
        }
        let url = self.values.url("cold.clickhouse.url").map(ServerUrl::without_slash);
        let credential_file = self.values.folder("cold.clickhouse.credential_file");
        let path = "cold.clickhouse.credential_file";
        match &url {
            None if credential_file.is_some() => {
                self.problem(&[path], format!("{path}: has a meaning only with cold.clickhouse.url"));
            }
            Some(url) if url.password().is_some() && credential_file.is_some() => {
                self.problem(
                    &[path],
                    format!("{path}: the credential stands in cold.clickhouse.url already"),
                );
            }
            _ => {}
        }
        let leave = LeaveSettings {
            after_days: self.values.small("cold.leave.after_days"),
            delay: self.values.span("cold.leave.delay"),
        };
        let retention_days: u32 = self.values.small("cold.retention_days");
        let path = "cold.retention_days";
        if retention_days > 0 && retention_days <= leave.after_days {
            self.problem(
                &[path, "cold.leave.after_days"],
                format!("{path}: expected 0, or more than cold.leave.after_days"),
            );
        }
        ColdSettings {
            listen: self.listen("cold.listen"),
            port: self.port("cold.port"),
            lock: self.lock("cold.lock", home, "marketprism_cold_storage.lock"),
            url,
            credential_file,
            ca_file: self.values.folder("cold.clickhouse.ca_file"),
            clickhouse: ClickhouseTimeouts {
                connect: self.values.span("cold.clickhouse.connect_timeout"),
                insert: self.values.span("cold.clickhouse.copy_timeout"),
                query: self.values.span("cold.clickhouse.query_timeout"),
            },
            interval: self.values.span("cold.interval"),
            window,
            safety_lag: self.values.span("cold.safety_lag"),
            look_back_interval: self.values.span("cold.look_back_interval"),
            lag_max: self.values.span("cold.lag_max"),
            copy_rows_max: self.values.integer("cold.copy.rows_max"),
            copy_bytes_max: self.values.integer("cold.copy.bytes_max"),
            leave: self.values.flag("cold.leave.enabled").then_some(leave),
            retention_days: (retention_days > 0).then_some(retention_days),
        }
    }

    fn sim(&mut self) -> SimSettings {
        let rate = self.values.integer_or_word("sim.rate");
        SimSettings {
            port: self.port("sim.port"),
            // The schema's range is far below.
            rate: rate.map_or(SimRate::Max, |n| {
                SimRate::PerSecond(u32::try_from(n).unwrap_or(u32::MAX))
            }),
            seed: self.values.integer("sim.seed"),
        }
    }

    fn supervisor(&mut self) -> SupervisorSettings {
        let stop = |name: &str| self.values.span(&format!("supervisor.stop_timeout.{name}"));
        let settings = SupervisorSettings {
            ready_timeout: self.values.span("supervisor.ready_timeout"),
            probe_interval: self.values.span("supervisor.probe_interval"),
            stable_after: self.values.span("supervisor.stable_after"),
            backoff_min: self.values.span("supervisor.backoff_min"),
            backoff_max: self.values.span("supervisor.backoff_max"),
            failures_max: self.values.small("supervisor.failures_max"),
            stop_timeout: StopTimeouts {
                cold: stop("cold"),
                collector: stop("collector"),
                hot: stop("hot"),
                clickhouse: stop("clickhouse"),
                nats: stop("nats"),
                sim: stop("sim"),
            },
        };
        if settings.backoff_max < settings.backoff_min {
            let path = "supervisor.backoff_max";
            let least = "supervisor.backoff_min";
            self.problem(
                &[path, least],
                format!("{path}: expected at least supervisor.backoff_min"),
            );
        }
        settings
    }
}
