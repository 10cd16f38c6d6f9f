//! What the parts beside the pipeline could do with the same messages: nats-server's, published in a window and consumed with acks,
//! and the engine's inserts.

use std::time::{Duration, Instant};

use mprism_bus::{Bus, BusError, DurableSpec, Publisher, Pull};
use mprism_model::{Epoch, Event, ProducerId};

use crate::commands::bench::measured::{Better, Measured};
use crate::commands::bench::{hot, in_a_home_of, storage};
use crate::commands::isolated::IsolatedHome;
use crate::commands::{Context, reach, worker};
use crate::error::CliError;

const SAMPLES: u64 = 3;
/// As the collector's window is by default.
const IN_FLIGHT: u64 = 1_000;
/// Messages of one pull, and their bytes.
const PULLED_MAX: usize = 10_000;
const PULLED_BYTES_MAX: usize = 16 << 20;
const WITHIN: Duration = Duration::from_secs(60);

/// Measures with so many messages.
pub(super) fn measure(messages: u64, context: &Context) -> Result<Vec<Measured>, CliError> {
    in_a_home_of("{}\n", context, async |home| within(home, messages, context).await)
}

async fn within(home: &IsolatedHome, messages: u64, context: &Context) -> Result<Vec<Measured>, CliError> {
    home.mprism(&["init"]).await?;
    home.mprism(&["start", "nats", "clickhouse"]).await?;
    let settings = home.settings()?;
    let failed = |e: BusError| CliError::failed("bench", e).context("the broker does not do its part");
    let bus = Bus::connect(reach::operator_bus(&settings)?).await.map_err(failed)?;
    bus.ready(WITHIN).await.map_err(failed)?;
    let durables = worker::bus_layout(&settings).durables;
    let durable = durables.into_iter().find(|durable| durable.filter == "trade.>");
    let durable = durable.ok_or_else(|| CliError::failed("bench", anyhow::anyhow!("trades have no durable")))?;
    let (mut published, mut consumed) = (Vec::new(), Vec::new());
    for round in 0..SAMPLES {
        let began = Instant::now();
        publish(&bus, round * messages, messages).await.map_err(failed)?;
        published.push(messages as f64 / began.elapsed().as_secs_f64());
        let began = Instant::now();
        consume(&bus, &durable, messages).await.map_err(failed)?;
        consumed.push(messages as f64 / began.elapsed().as_secs_f64());
        context.printer.note(&format!(
            "{}/{SAMPLES}: bare publish {:.0}/s, consume {:.0}/s",
            round + 1,
            published[round as usize],
            consumed[round as usize]
        ));
    }
    let inserted = insert(home).await?;
    let of = |id, unit, samples: &[f64]| Measured::of(id, unit, Better::Higher, samples, None, None);
    Ok(vec![
        of("bare_publish", "messages/s", &published),
        of("bare_consume", "messages/s", &consumed),
        of("bare_insert", "rows/s", &inserted),
    ])
}

/// Publishes in a window, as the collector does, and nothing else.
async fn publish(bus: &Bus, from: u64, messages: u64) -> Result<(), BusError> {
    let (publisher, mut answers) = Publisher::new(bus).await?;
    let mut trade = hot::template();
    let subject = trade.subject().to_string().into();
    let (mut sent, mut stored) = (0, 0);
    while stored < messages {
        while sent < messages && sent - stored < IN_FLIGHT {
            let seq = from + sent;
            trade.trade_id = (7_000_000_000 + seq).to_string().into();
            let message_id = trade.message_id().0;
            let payload = Event::Trade(trade.clone()).to_json();
            let identity = ProducerId { epoch: Epoch(8), seq };
            publisher
                .publish(sent, &subject, &message_id, identity, payload.into())
                .await?;
            sent += 1;
        }
        let answer = answers.next().await.ok_or(BusError::Closed)?;
        answer.outcome.map_err(|trouble| BusError::NotStored {
            subject: subject.to_string(),
            trouble,
        })?;
        stored += 1;
    }
    Ok(())
}

/// Consumes with an ack for each message, and nothing else.
async fn consume(bus: &Bus, durable: &DurableSpec, messages: u64) -> Result<(), BusError> {
    let mut pull = Pull::new(bus, durable).await?;
    let mut consumed = 0;
    while consumed < messages {
        let left = usize::try_from(messages - consumed).unwrap_or(usize::MAX);
        pull.ask(PULLED_MAX.min(left), PULLED_BYTES_MAX).await?;
        while let Some(message) = pull.next().await? {
            consumed += 1;
            let Some(reply) = message.reply else { continue };
            // An empty answer acks.
            let acked = bus.client().publish(reply, bytes::Bytes::new()).await;
            acked.map_err(|_| BusError::Closed)?;
        }
    }
    bus.client().flush().await.map_err(|_| BusError::Closed)
}

/// Copies rows of trades from table to table: what inserts cost where nobody brings the rows.
async fn insert(home: &IsolatedHome) -> Result<Vec<f64>, CliError> {
    let store = worker::store(&home.settings()?)?;
    storage::fill(&store).await?;
    storage::execute(&store, "CREATE DATABASE bare").await?;
    storage::execute(&store, "CREATE TABLE bare.trades AS marketprism_hot.trades").await?;
    let columns = storage::insert_columns(&store).await?;
    let mut rates = Vec::new();
    for _ in 0..SAMPLES {
        let began = Instant::now();
        let copy = format!("INSERT INTO bare.trades ({columns}) SELECT {columns} FROM marketprism_hot.trades");
        storage::execute(&store, &copy).await?;
        rates.push(storage::ROWS as f64 / began.elapsed().as_secs_f64());
        storage::execute(&store, "TRUNCATE TABLE bare.trades").await?;
    }
    Ok(rates)
}
