//! What there is: asked of the store and the broker, changed nowhere.

use std::time::{Duration, Instant};

use mprism_bus::{Bus, BusLayout, BusOptions, Credentials, DEAD_LETTER, Plan};
use mprism_clickhouse::time::between;
use mprism_model::{DataType, UnixMillis};
use mprism_settings::{Mode, Settings, SyncInterval, loopback};
use serde::Deserialize;
use serde_json::Value;

use super::natural::Natural;
use crate::commands::store::Reader;
use crate::commands::worker::{bus_layout, read_secret};
use crate::error::CliError;

/// How long one query may take.
pub(super) const QUERY_WITHIN: Duration = Duration::from_secs(120);
/// How long the broker may take to answer.
const BUS_WITHIN: Duration = Duration::from_secs(5);

/// A difference that is gone after this long was a worker's, not an operator's.
const DIFFERS_FOR: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Everything the proofs need.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Differences between the tables and the schema, in words.
    pub(crate) schema: Vec<String>,
    pub(crate) tables: Vec<TableObserved>,
    pub(crate) gap_rows: u64,
    pub(crate) gap_identities: u64,
    /// Rows of the dead-letter stream.
    pub(crate) dead_letters: u64,
    pub(crate) transport: Transport,
}

/// One table of market data.
#[derive(Debug)]
pub(crate) struct TableObserved {
    pub(crate) data_type: DataType,
    pub(crate) markets: Vec<MarketCount>,
    /// Where its sequence is broken.
    pub(crate) holes: Vec<Range>,
    /// What the ledger says about it.
    pub(crate) gaps: Vec<LedgerRow>,
    /// Milliseconds since the newest row was stored.
    pub(crate) newest_age_ms: Option<i64>,
}

/// Rows of one market.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct MarketCount {
    pub(crate) exchange: String,
    pub(crate) symbol: String,
    pub(crate) rows: u64,
    /// Distinct producer identities.
    pub(crate) identities: u64,
    /// Distinct natural ids.
    pub(crate) ids: u64,
    /// Distinct contents of natural ids.
    pub(crate) contents: u64,
}

/// Ids that are missing in the table.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) exchange: String,
    pub(crate) symbol: String,
    pub(crate) from_id: u64,
    pub(crate) to_id: u64,
}

/// The last word of the ledger about a gap.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct LedgerRow {
    pub(crate) exchange: String,
    pub(crate) symbol: String,
    pub(crate) from_id: u64,
    pub(crate) to_id: u64,
    pub(crate) cause: String,
    pub(crate) state: String,
}

/// What the broker has.
#[derive(Debug, Default)]
pub(crate) struct Transport {
    /// Why the broker could not be asked.
    pub(crate) unreachable: Option<String>,
    /// Where streams and durables differ from the layout, in words.
    pub(crate) differs: Vec<String>,
    /// The fsync policy asked for and found.
    pub(crate) sync: Option<(String, String)>,
    pub(crate) durables: Vec<DurableState>,
}

/// One durable and its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DurableState {
    pub(crate) stream: String,
    pub(crate) name: String,
    pub(crate) ack_floor: u64,
    pub(crate) pending: u64,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
}

impl Observed {
    /// Returns whether messages are delivered and not stored yet.
    pub(crate) fn has_unacked(&self) -> bool {
        self.transport.durables.iter().any(|durable| durable.pending > 0)
    }
}

#[derive(Deserialize)]
struct GapCounts {
    rows: u64,
    identities: u64,
}

#[derive(Deserialize)]
struct Newest {
    rows: u64,
    ts_insert: i64,
}

/// Looks at everything; no window is all of time.
pub(crate) async fn observe(settings: &Settings, window: Option<(i64, i64)>) -> Result<Observed, CliError> {
    let reader = Reader::new(settings)?;
    let within = match window {
        Some((from, to)) => between(UnixMillis(from), UnixMillis(to)),
        None => "1".to_owned(),
    };
    let mut observed = Observed {
        schema: super::schema::differences(&reader).await?,
        ..Observed::default()
    };
    if !observed.schema.iter().any(|text| text.contains("is missing")) {
        for &data_type in DataType::ALL {
            if let Some(natural) = Natural::of(data_type) {
                let table = table(&reader, data_type, natural, &within).await?;
                observed.tables.push(table);
            }
        }
        let counts =
            "SELECT count() AS rows, uniqExact(producer_epoch, producer_seq) AS identities FROM marketprism_hot.gaps";
        let counts: GapCounts = reader.row(counts, QUERY_WITHIN).await?;
        (observed.gap_rows, observed.gap_identities) = (counts.rows, counts.identities);
    }
    observed.transport = transport(settings, &mut observed.dead_letters).await;
    Ok(observed)
}

/// Looks at one table of market data.
async fn table(
    reader: &Reader,
    data_type: DataType,
    natural: &Natural,
    within: &str,
) -> Result<TableObserved, CliError> {
    let name = format!("marketprism_hot.{}", data_type.table());
    let (id, content) = (natural.id, natural.content);
    let counts = format!(
        "SELECT exchange, symbol, count() AS rows, uniqExact(producer_epoch, producer_seq) AS identities, \
         uniqExact(market_type, {id}) AS ids, uniqExact(market_type, {content}) AS contents FROM {name} \
         WHERE {within} GROUP BY exchange, symbol ORDER BY exchange, symbol"
    );
    let holes: Vec<Range> = match natural.holes {
        Some(holes) => {
            let holes = holes.replace("{}", &format!("{name} WHERE {within}"));
            let holes = format!("{holes} ORDER BY exchange, symbol, from_id LIMIT 100000");
            reader.rows(&holes, QUERY_WITHIN).await?
        }
        None => Vec::new(),
    };
    let gaps = format!(
        "SELECT exchange, symbol, toUInt64OrZero(from_id) AS from_id, toUInt64OrZero(to_id) AS to_id, cause, state \
         FROM marketprism_hot.gaps_current WHERE type = '{data_type}' ORDER BY exchange, symbol, from_id"
    );
    let newest = format!("SELECT count() AS rows, toUnixTimestamp64Milli(max(ts_insert)) AS ts_insert FROM {name}");
    let newest: Newest = reader.row(&newest, QUERY_WITHIN).await?;
    let age = mprism_runtime::clock::now_ms() - newest.ts_insert;
    Ok(TableObserved {
        data_type,
        markets: reader.rows(&counts, QUERY_WITHIN).await?,
        holes,
        gaps: reader.rows(&gaps, QUERY_WITHIN).await?,
        newest_age_ms: (newest.rows > 0).then_some(age),
    })
}

async fn transport(settings: &Settings, dead_letters: &mut u64) -> Transport {
    match ask_broker(settings, dead_letters).await {
        Ok(transport) => transport,
        Err(reason) => Transport {
            unreachable: Some(reason),
            ..Transport::default()
        },
    }
}

async fn ask_broker(settings: &Settings, dead_letters: &mut u64) -> Result<Transport, String> {
    let credentials = match settings.nats.mode {
        Mode::Managed => Some(Credentials {
            user: "operator".into(),
            password: read_secret(settings, "nats-operator").map_err(|e| format!("{:#}", e.source))?,
        }),
        Mode::External => None,
    };
    let bus = Bus::connect(BusOptions {
        url: settings.nats.url.expose().to_owned(),
        credentials,
        client_name: "mprism-integrity".into(),
    });
    let bus = bus.await.map_err(|e| e.to_string())?;
    bus.ready(BUS_WITHIN).await.map_err(|e| e.to_string())?;
    let layout = bus_layout(settings);
    let mut transport = Transport {
        differs: differences(&bus, &layout).await?,
        ..Transport::default()
    };
    for durable in &layout.durables {
        let Ok(mut stream) = bus.context().get_stream(&durable.stream).await else {
            continue;
        };
        let Ok(info) = stream.consumer_info(&durable.name).await else {
            continue;
        };
        // Asked after the durable: what arrived in between does not look like a durable ahead of its stream.
        let Ok(state) = stream.info().await.map(|info| info.state.clone()) else {
            continue;
        };
        transport.durables.push(DurableState {
            stream: durable.stream.clone(),
            name: durable.name.clone(),
            ack_floor: info.ack_floor.stream_sequence,
            pending: info.num_pending + info.num_ack_pending as u64,
            first_seq: state.first_sequence,
            last_seq: state.last_sequence,
        });
    }
    if let Ok(stream) = bus.context().get_stream(DEAD_LETTER).await {
        *dead_letters = stream.cached_info().state.messages;
    }
    if settings.nats.mode == Mode::Managed {
        transport.sync = sync_policy(settings).await;
    }
    Ok(transport)
}

/// Returns where the broker differs from the layout, and stays so: a hot worker that starts shortens its durable's ack wait
/// for a moment, to have again what its last life left unacked.
async fn differences(bus: &Bus, layout: &BusLayout) -> Result<Vec<String>, String> {
    let began = Instant::now();
    loop {
        let found = mprism_bus::observe(bus, layout).await;
        let found = found.map_err(|e| mprism_runtime::log::chain(&e))?;
        let differs = in_words(&mprism_bus::plan(layout, &found));
        if differs.is_empty() || began.elapsed() >= DIFFERS_FOR {
            return Ok(differs);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn in_words(plan: &Plan) -> Vec<String> {
    use mprism_bus::Change;
    let changes = plan.changes.iter().map(|change| match change {
        Change::CreateStream(config) => format!("stream {} is missing", config.name),
        Change::UpdateStream(config, differs) => format!("stream {}: {} differ", config.name, differs.join(", ")),
        Change::CreateDurable(_, config) => {
            format!(
                "durable {} is missing",
                config.durable_name.as_deref().unwrap_or_default()
            )
        }
        Change::UpdateDurable(_, config, differs) => {
            let name = config.durable_name.as_deref().unwrap_or_default();
            format!("durable {name}: {} differ", differs.join(", "))
        }
    });
    changes.chain(plan.drifts.iter().cloned()).collect()
}

async fn sync_policy(settings: &Settings) -> Option<(String, String)> {
    let monitor = loopback(settings.nats.monitor_port);
    let (_, body) = mprism_runtime::probe::get(monitor, "/varz", BUS_WITHIN).await.ok()?;
    let varz: Value = serde_json::from_str(&body).ok()?;
    let config = varz.get("jetstream")?.get("config")?;
    let found = if config.get("sync_always").and_then(Value::as_bool) == Some(true) {
        "always".to_owned()
    } else {
        format!(
            "{} ms",
            config.get("sync_interval").and_then(Value::as_u64).unwrap_or(0) / 1_000_000
        )
    };
    let wanted = match settings.nats.sync_interval {
        SyncInterval::Always => "always".to_owned(),
        SyncInterval::Every(interval) => format!("{} ms", interval.as_millis()),
    };
    Some((wanted, found))
}
