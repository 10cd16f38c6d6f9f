//! How fast the hot storage worker works off a backlog, and what memory it takes for that.

use std::fs;
use std::time::{Duration, Instant};

use mprism_bus::{Bus, Publisher};
use mprism_clickhouse::Store;
use mprism_model::{
    DecimalText, Epoch, Event, Exchange, InstrumentId, MarketType, ProducerId, Side, Source, Symbol, Trade, TsSource,
    UnixNanos,
};

use super::{Better, Measured};
use crate::commands::Context;
use crate::commands::isolated::IsolatedHome;
use crate::commands::reach;
use crate::error::CliError;

/// Trades that wait in the stream when the worker starts.
const BACKLOG: u64 = 600_000;
const SAMPLES: u64 = 5;
const BUDGET_ROWS_PER_S: f64 = 110_000.0;
const BUDGET_MEMORY_BYTES: f64 = (64 << 20) as f64;
/// Messages that wait for the broker's answer while the backlog is made.
const IN_FLIGHT: u64 = 4_000;
/// Something is wrong where it takes longer.
const WITHIN: Duration = Duration::from_secs(300);
/// Between looks at how far it is: each takes CPU time of the engine, and one too late is a hundredth of the time at most.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Measures the worker, a process as always, from the command that starts it to the last row; the engine runs already.
pub(super) async fn measure(home: &IsolatedHome, store: &Store, context: &Context) -> Result<Vec<Measured>, CliError> {
    home.mprism(&["init"]).await?;
    home.mprism(&["start", "nats"]).await?;
    let settings = home.settings()?;
    let failed = |e: mprism_bus::BusError| CliError::failed("bench", e).context("the broker does not take the backlog");
    let bus = Bus::connect(reach::bus(&settings, "collector")?)
        .await
        .map_err(failed)?;
    bus.ready(WITHIN).await.map_err(failed)?;
    super::storage::execute(store, "CREATE TABLE bare.hot_trades AS marketprism_hot.trades").await?;
    let columns = super::storage::insert_columns(store).await?;
    let (mut rates, mut memory, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..SAMPLES {
        publish(&bus, round).await.map_err(failed)?;
        super::settled().await;
        let began = Instant::now();
        home.mprism(&["start", "hot"]).await?;
        stored(store).await?;
        rates.push(BACKLOG as f64 / began.elapsed().as_secs_f64());
        memory.push(greatest_memory(home).await?);
        home.mprism(&["stop", "hot"]).await?;
        // What the engine takes of the same rows where nobody has to bring, compare and acknowledge them.
        let began = Instant::now();
        let copy = format!("INSERT INTO bare.hot_trades ({columns}) SELECT {columns} FROM marketprism_hot.trades");
        super::storage::execute(store, &copy).await?;
        bare.push(BACKLOG as f64 / began.elapsed().as_secs_f64());
        for table in ["bare.hot_trades", "marketprism_hot.trades"] {
            super::storage::execute(store, &format!("TRUNCATE TABLE {table}")).await?;
        }
        let (rate, memory) = (rates.last().copied(), memory.last().copied());
        context.printer.note(&format!(
            "{}/{SAMPLES}: hot {:.0} rows/s, {:.1} MiB at most",
            round + 1,
            rate.unwrap_or_default(),
            memory.unwrap_or_default() / f64::from(1 << 20)
        ));
    }
    Ok(vec![
        Measured::of(
            "hot_backlog",
            "rows/s",
            Better::Higher,
            &rates,
            Some(BUDGET_ROWS_PER_S),
            Some(super::median_of(&bare)),
        ),
        Measured::of(
            "hot_memory",
            "bytes",
            Better::Lower,
            &memory,
            Some(BUDGET_MEMORY_BYTES),
            None,
        ),
    ])
}

/// Publishes the backlog of a round as a collector does.
async fn publish(bus: &Bus, round: u64) -> Result<(), mprism_bus::BusError> {
    let (publisher, mut answers) = Publisher::new(bus).await?;
    let (mut sent, mut stored) = (0_u64, 0_u64);
    let mut trade = template();
    let subject = trade.subject().to_string().into();
    while stored < BACKLOG {
        while sent < BACKLOG && sent - stored < IN_FLIGHT {
            let seq = round * BACKLOG + sent;
            trade.trade_id = (5_000_000_000 + seq).to_string().into();
            let message_id = trade.message_id().0;
            let identity = ProducerId { epoch: Epoch(7), seq };
            let payload = Event::Trade(trade.clone()).to_json();
            publisher
                .publish(sent, &subject, &message_id, identity, payload.into())
                .await?;
            sent += 1;
        }
        match answers.next().await {
            Some(answer) if answer.outcome.is_ok() => stored += 1,
            Some(mprism_bus::Answer {
                outcome: Err(trouble), ..
            }) => {
                return Err(mprism_bus::BusError::NotStored {
                    subject: subject.to_string(),
                    trouble,
                });
            }
            _ => return Err(mprism_bus::BusError::Closed),
        }
    }
    Ok(())
}

/// Waits until the backlog is in the store.
async fn stored(store: &Store) -> Result<(), CliError> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let rows = super::storage::count(store, "SELECT count() FROM marketprism_hot.trades").await?;
        if rows == BACKLOG {
            return Ok(());
        }
        if rows > BACKLOG || Instant::now() > deadline {
            let text = format!("{rows} rows are stored of {BACKLOG}");
            return Err(CliError::failed("bench", anyhow::Error::msg(text)));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Returns the most memory that the worker ever had, in bytes, as the kernel counts it (`VmHWM`).
async fn greatest_memory(home: &IsolatedHome) -> Result<f64, CliError> {
    let status = home.mprism(&["status", "hot"]).await?.document;
    let pid = status["services"][0]["pid"].as_u64().unwrap_or_default();
    let said = fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(|e| CliError::failed("bench", e).context("cannot ask how much memory the worker took"))?;
    let line = said.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kib.map_or(f64::NAN, |kib| (kib * 1024) as f64))
}

pub(super) fn template() -> Trade {
    let now = UnixNanos(mprism_runtime::clock::now_ns());
    let text = |text: &str| DecimalText::new(text).expect("a decimal");
    Trade {
        exchange: Exchange::BinanceSpot,
        market_type: MarketType::Spot,
        symbol: Symbol::new("BTC-USDT").expect("a symbol"),
        instrument_id: InstrumentId::new("BTCUSDT").expect("an instrument"),
        trade_id: "0".into(),
        price: text("60123.45000000"),
        quantity: text("0.01337000"),
        contracts: None,
        sequence: None,
        side: Side::Buy,
        is_maker: false,
        trade_ts: now.to_millis(),
        ts: now.to_millis(),
        ts_source: TsSource::Event,
        ts_recv: Some(now),
        source: Source::Ws,
    }
}
