//! From settings to each worker's options: the only place that knows both.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use mprism_broker::{BrokerOptions, Passwords, SyncPolicy, USER_COLLECTOR, USER_HOT};
use mprism_bus::{BusLayout, DeliverFrom, LayoutOptions, layout};
use mprism_clickhouse::{Store, StoreOptions, Tier};
use mprism_collector::{
    Cadence, CollectorOptions, ExchangeOptions, LatencyOptions, LivenessOptions, OrderBookOptions, PublishOptions,
    SpoolOptions,
};
use mprism_engine::{EngineOptions, RemoteOptions};
use mprism_model::{DataType, Exchange};
use mprism_runtime::lock::LockFile;
use mprism_runtime::tls::ClientTls;
use mprism_settings::{Backend, ExchangeSettings, Settings, SimRate, SyncInterval, WRITER_USER, loopback, reached_at};
use mprism_simulator::{Fault, Instruments, Rate, SimulatorOptions, Tuning};
use mprism_storage::cold::{ColdOptions, LeaveOptions, StepObserver};
use mprism_storage::{BatchOptions, StorageOptions};

use crate::cli::SimArgs;
use crate::commands::native;
use crate::commands::reach::{self, READER_SECRET, WRITER_SECRET, client_tls, read_secret, store_options};
use crate::control::Service;
use crate::error::CliError;

/// Returns what exists on the bus.
pub(crate) fn bus_layout(settings: &Settings) -> BusLayout {
    layout(&LayoutOptions {
        data_types: DataType::ALL
            .iter()
            .map(|data_type| data_type.as_str().to_owned())
            .collect(),
        market_data_bytes_max: settings.nats.market_data_bytes_max,
        orderbook_bytes_max: settings.nats.orderbook_bytes_max,
        dead_letter_bytes_max: settings.nats.dead_letter_bytes_max,
        ack_wait: Duration::from_secs(60).max(settings.hot.clickhouse.insert * 2),
        batch_rows_max: u32::try_from(settings.hot.batch.rows_max).unwrap_or(u32::MAX),
        lsr_deliver_from: DeliverFrom::All,
        replicas: 1,
    })
}

/// Returns the broker as it runs in a container: alone there, or on the machine's own network.
pub(crate) fn container_broker(
    settings: &Settings,
    on_host: bool,
    passwords: Passwords,
) -> Result<BrokerOptions, CliError> {
    let listen = |port: u16| match on_host {
        true => loopback(port),
        false => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
    };
    Ok(BrokerOptions {
        listen: listen(settings.nats.port),
        monitor: listen(settings.nats.monitor_port),
        store: match settings
            .infra
            .nats_volume
            .as_ref()
            .and_then(|volume| volume.folder.as_deref())
        {
            None => "/data/nats".into(),
            Some(".") => "/data".into(),
            Some(folder) => Path::new("/data").join(folder),
        },
        ..broker_with(settings, None, passwords)?
    })
}

/// Returns the passwords of the broker's users, each as `read` gives the credential of its name.
pub(crate) fn broker_passwords(read: impl Fn(&str) -> Result<String, CliError>) -> Result<Passwords, CliError> {
    Ok(Passwords {
        collector: read("nats-collector")?,
        hot: read("nats-hot")?,
        operator: read("nats-operator")?,
    })
}

pub(crate) fn broker(settings: &Settings, lock: Option<LockFile>) -> Result<BrokerOptions, CliError> {
    broker_with(settings, lock, broker_passwords(|name| read_secret(settings, name))?)
}

fn broker_with(settings: &Settings, lock: Option<LockFile>, passwords: Passwords) -> Result<BrokerOptions, CliError> {
    Ok(BrokerOptions {
        program: match settings.infra.nats_backend {
            Backend::Native => native::nats_server()?,
            _ => settings.home.nats_server(),
        },
        listen: SocketAddr::new(settings.nats.listen, settings.nats.port),
        identity: reach::identity(settings, settings.nats.listen),
        trust: settings.nats.url.is_secured().then(|| client_tls(&settings.nats.trust)),
        monitor: loopback(settings.nats.monitor_port),
        store: settings.nats.data_folder.clone(),
        config_file: settings.home.run().join("nats.conf"),
        log_file: settings.home.logs().join("nats-server.log"),
        log_bytes_max: settings.logging.file_bytes_max,
        log_files_max: settings.logging.files_max,
        passwords,
        sync: match settings.nats.sync_interval {
            SyncInterval::Always => SyncPolicy::Always,
            SyncInterval::Every(interval) => SyncPolicy::Every(interval),
        },
        layout: bus_layout(settings),
        lock,
    })
}

/// Returns the engine's options; in a container of its own it is there for the container's whole network.
pub(super) fn engine(settings: &Settings, in_container: bool) -> Result<EngineOptions, CliError> {
    let port = settings.clickhouse.port;
    Ok(EngineOptions {
        listen: match in_container {
            true => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            false => SocketAddr::new(settings.clickhouse.listen, port),
        },
        library: settings.home.libchdb(),
        data: settings.home.clickhouse_data(),
        writer_user: WRITER_USER.to_owned(),
        writer_password: read_secret(settings, WRITER_SECRET)?,
        remote: match reach::identity(settings, settings.clickhouse.listen) {
            Some(identity) => Some(RemoteOptions {
                identity,
                reader_password: read_secret(settings, READER_SECRET)?,
            }),
            None => None,
        },
        allowed_hosts: match in_container {
            true => vec![crate::commands::infra::container_name(settings, Service::Clickhouse)],
            false => vec![reached_at(settings.clickhouse.listen).to_string()],
        },
        readers_from_anywhere: in_container,
        readers_max: settings.clickhouse.readers_max,
        reader_wait: settings.clickhouse.reader_wait,
        reader_memory_max: settings.clickhouse.reader_memory_max,
        writers_max: settings.clickhouse.writers_max,
        body_bytes_max: settings.clickhouse.body_bytes_max,
        fences: true,
    })
}

/// Returns the tiers that this home's own store has.
pub(crate) fn tiers_here(settings: &Settings) -> &'static [Tier] {
    match settings.cold.url {
        None => &[Tier::Hot, Tier::Leaving, Tier::Cold],
        // The cold worker makes the tables of the other one.
        Some(_) => &[Tier::Hot, Tier::Leaving],
    }
}

/// Returns how the cold store is reached, where it is another one.
fn cold_store_options(settings: &Settings) -> Result<Option<StoreOptions>, CliError> {
    let cold = &settings.cold;
    let Some(url) = &cold.url else { return Ok(None) };
    let password = match (url.password(), &cold.credential_file) {
        (Some(password), _) => password.to_owned(),
        (None, Some(path)) => reach::read_file(
            path,
            "it is `secrets/clickhouse-writer` of the home whose engine that is; only its owner may read it",
        )?,
        (None, None) => read_secret(settings, WRITER_SECRET)?,
    };
    Ok(Some(StoreOptions {
        url: url.without_credential(),
        user: url.user().unwrap_or(WRITER_USER).to_owned(),
        password,
        tls: url.is_secured().then(|| ClientTls {
            ca_file: cold.ca_file.clone(),
            identity: None,
        }),
        connect_timeout: cold.clickhouse.connect,
        query_timeout: cold.clickhouse.query,
        insert_timeout: cold.clickhouse.insert,
        fence_timeout: cold.clickhouse.insert,
    }))
}

/// Returns the lock of whoever copies to the cold store.
pub(crate) fn copier_lock(settings: &Settings) -> std::path::PathBuf {
    settings.home.run().join("copier.lock")
}

/// Returns what the cold worker needs to know.
pub(crate) fn cold(settings: &Settings) -> Result<ColdOptions, CliError> {
    let cold = &settings.cold;
    Ok(ColdOptions {
        listen: SocketAddr::new(cold.listen, cold.port),
        guard: reach::guard(settings, cold.listen),
        hot: StoreOptions {
            connect_timeout: cold.clickhouse.connect,
            query_timeout: cold.clickhouse.query,
            insert_timeout: cold.clickhouse.insert,
            fence_timeout: cold.clickhouse.insert,
            ..store_options(settings)?
        },
        cold: cold_store_options(settings)?,
        lock: Some(copier_lock(settings)),
        data_types: DataType::ALL.to_vec(),
        interval: cold.interval,
        window: cold.window,
        safety_lag: cold.safety_lag,
        look_back_interval: cold.look_back_interval,
        lag_max: cold.lag_max,
        rows_max: cold.copy_rows_max,
        bytes_max: cold.copy_bytes_max,
        leave: cold.leave.map(|leave| LeaveOptions {
            after_days: leave.after_days,
            delay: leave.delay,
        }),
        retention_days: cold.retention_days,
        observer: StepObserver::default(),
    })
}

/// Returns the store as the writer reaches it.
pub(crate) fn store(settings: &Settings) -> Result<Store, CliError> {
    Store::new(store_options(settings)?).map_err(|e| CliError::failed("store", e))
}

/// How long one statement of a rebuild may take: a piece of a million rows, or one look at a whole table.
const REBUILD_WITHIN: Duration = Duration::from_secs(3_600);

/// Returns the stores of this home with the tiers that each has, for work that takes as long as there are rows.
pub(crate) fn stores_for_long(settings: &Settings) -> Result<Vec<(Store, Vec<Tier>)>, CliError> {
    let patient = |options: StoreOptions| {
        Store::new(StoreOptions {
            query_timeout: REBUILD_WITHIN,
            insert_timeout: REBUILD_WITHIN,
            ..options
        })
        .map_err(|e| CliError::failed("store", e))
    };
    let mut stores = vec![(patient(store_options(settings)?)?, tiers_here(settings).to_vec())];
    if let Some(cold) = cold_store_options(settings)? {
        stores.push((patient(cold)?, vec![Tier::Cold]));
    }
    Ok(stores)
}

pub(super) fn storage(settings: &Settings) -> Result<StorageOptions, CliError> {
    let layout = bus_layout(settings);
    let durables = DataType::ALL.iter().filter_map(|data_type| {
        let name = mprism_bus::durable_name(data_type.as_str());
        let durable = layout.durables.iter().find(|durable| durable.name == name)?;
        Some((*data_type, durable.clone()))
    });
    Ok(StorageOptions {
        listen: SocketAddr::new(settings.hot.listen, settings.hot.port),
        guard: reach::guard(settings, settings.hot.listen),
        bus: reach::bus(settings, USER_HOT)?,
        store: store_options(settings)?,
        cold: cold_store_options(settings)?,
        durables: durables.collect(),
        batch: BatchOptions {
            rows_max: settings.hot.batch.rows_max,
            bytes_max: usize::try_from(settings.hot.batch.bytes_max).unwrap_or(usize::MAX),
            age_max: settings.hot.batch.age_max,
        },
        locks: settings.home.run(),
        lease_ttl: mprism_bus::LEASE_TTL,
        cold_worker: reach::worker(settings, Service::Cold),
    })
}

pub(super) fn collector(settings: &Settings, sim: &SimArgs) -> Result<CollectorOptions, CliError> {
    let collector = &settings.collector;
    let exchanges = collector.enabled().filter_map(|(id, exchange)| {
        let id = id.parse().ok()?;
        Some((id, exchange_options(id, exchange, settings, sim)))
    });
    let sync_interval = match settings.nats.sync_interval {
        SyncInterval::Always => Duration::ZERO,
        SyncInterval::Every(interval) => interval,
    };
    Ok(CollectorOptions {
        listen: SocketAddr::new(collector.listen, collector.port),
        metrics_listen: SocketAddr::new(collector.listen, collector.metrics_port),
        guard: reach::guard(settings, collector.listen),
        bus: reach::bus(settings, USER_COLLECTOR)?,
        store: Some(reach::store_endpoint(settings)),
        exchanges: exchanges.collect(),
        spool: SpoolOptions {
            folder: settings.home.spool(),
            bytes_max: collector.spool.bytes_max,
            free_bytes_min: collector.spool.free_bytes_min,
            segment_bytes: collector.spool.segment_bytes,
            fsync_interval: collector.spool.fsync_interval,
        },
        publish: PublishOptions {
            in_flight_max: collector.publish.in_flight_max,
            bytes_in_flight_max: collector.publish.bytes_in_flight_max,
            timeout: collector.publish.timeout,
            keep_acked: (sync_interval * 2).max(Duration::from_secs(1)),
        },
        mirror: match collector.mirror.enabled {
            true => collector.mirror.subjects.clone(),
            false => Vec::new(),
        },
        order_book: OrderBookOptions {
            cadence: cadence(collector.order_book.cadence),
            snapshot_limit: collector.order_book.snapshot_limit,
            audit_every: collector.order_book.audit_every,
        },
        latency: LatencyOptions {
            warn_above: collector.latency.warn_above,
            samples: collector.latency.samples,
        },
        polling: {
            let polling = collector.polling.iter();
            polling
                .filter_map(|(name, every)| Some((name.parse().ok()?, *every)))
                .collect()
        },
        liveness: LivenessOptions {
            first_message: collector.liveness.first_message,
            silence: collector.liveness.silence,
        },
    })
}

pub(crate) fn exchange_options(
    id: Exchange,
    exchange: &ExchangeSettings,
    settings: &Settings,
    sim: &SimArgs,
) -> ExchangeOptions {
    let (websocket_url, rest_url) = if sim.sim {
        let place = format!("{}/{}", loopback(settings.sim.port), simulated_path(id));
        (format!("ws://{place}"), format!("http://{place}"))
    } else {
        let exposed = |url: &mprism_settings::ServerUrl| url.expose().to_owned();
        (exposed(&exchange.websocket_url), exposed(&exchange.rest_url))
    };
    ExchangeOptions {
        websocket_url,
        rest_url,
        symbols: collected_symbols(id, exchange, sim.sim),
        data_types: exchange
            .data_types
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect(),
    }
}

/// Returns where the simulator speaks for an exchange.
fn simulated_path(id: Exchange) -> &'static str {
    match id {
        Exchange::BinanceSpot => "binance-spot",
        Exchange::BinanceDerivatives => "binance-usdm",
        Exchange::OkxSpot | Exchange::OkxDerivatives => "okx",
        Exchange::DeribitDerivatives => "deribit",
    }
}

/// Returns what is collected of an exchange. A simulated Deribit has perpetuals beside its volatility indices, so that every
/// type flows.
pub(crate) fn collected_symbols(id: Exchange, exchange: &ExchangeSettings, is_sim: bool) -> Vec<String> {
    let mut symbols = exchange.symbols.clone();
    let has_instruments = symbols.iter().any(|symbol| symbol.contains('-'));
    if is_sim && id == Exchange::DeribitDerivatives && !has_instruments {
        symbols.extend(["BTC-PERPETUAL".to_owned(), "ETH-PERPETUAL".to_owned()]);
    }
    symbols
}

/// Returns when order books are published.
pub(crate) fn cadence(setting: Option<Duration>) -> Cadence {
    setting.map_or(Cadence::Every, Cadence::Changed)
}

fn simulated(settings: &Settings, id: Exchange) -> Vec<String> {
    let exchange = settings.collector.exchanges.get(id.as_str());
    exchange
        .map(|exchange| collected_symbols(id, exchange, true))
        .unwrap_or_default()
}

fn instruments(settings: &Settings) -> Instruments {
    let of = |id| simulated(settings, id);
    let (deribit, indices): (Vec<_>, Vec<_>) = of(Exchange::DeribitDerivatives)
        .into_iter()
        .partition(|name| name.contains('-'));
    Instruments {
        binance_derivatives: of(Exchange::BinanceDerivatives),
        okx_spot: of(Exchange::OkxSpot),
        okx_derivatives: of(Exchange::OkxDerivatives),
        deribit_derivatives: deribit,
        deribit_indices: indices
            .iter()
            .map(|name| format!("{}_usd", name.to_lowercase()))
            .collect(),
    }
}

pub(super) fn simulator(settings: &Settings, sim: &SimArgs) -> Result<SimulatorOptions, CliError> {
    let faults = match &sim.sim_faults {
        None => Vec::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| CliError::usage("no_faults", e).context(format!("cannot read {}", path.display())))?;
            Fault::parse_yaml(&text)
                .map_err(|e| CliError::usage("bad_faults", e).context(format!("{} is not usable", path.display())))?
        }
    };
    let listen: SocketAddr = loopback(settings.sim.port);
    Ok(SimulatorOptions {
        listen,
        symbols: simulated(settings, Exchange::BinanceSpot),
        instruments: instruments(settings),
        rate: match settings.sim.rate {
            SimRate::Max => Rate::Max,
            SimRate::PerSecond(rate) => Rate::PerSecond(f64::from(rate)),
        },
        seed: settings.sim.seed,
        corpus: sim.sim_corpus.clone(),
        keep_time: sim.sim_keep_time,
        faults,
        unknown_fields: false,
        limit_trades: None,
        places: Some(settings.home.sim_places()),
        connection_life: Duration::from_secs(24 * 3600),
        tuning: Tuning::default(),
    })
}
