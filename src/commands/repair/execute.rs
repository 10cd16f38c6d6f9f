//! Doing what was planned, one action after the other. Each is whole or can be done again: it looks at what is there first.

use std::collections::BTreeMap;

use mprism_clickhouse::{Tier, drop_broken_part, ensure_schema};
use mprism_collector::refill::{Hole, Refill, Venue};
use mprism_model::{DataType, Event, Exchange, Gap, InstrumentId, ProducerId};
use mprism_runtime::clock;
use mprism_runtime::log::chain;
use mprism_settings::Settings;
use mprism_storage::cold::{Hours, MendError, Mender};
use mprism_storage::letters::{self, Letter};

use super::duplicates;
use super::outbox::{Outbox, events, is_stored};
use super::plan::{Action, Outcome, Work};
use super::trades::{Instruments, Market, Places, ledger};
use crate::cli::SimArgs;
use crate::commands::reach::operator_bus;
use crate::commands::worker::exchange_options;

/// Who does it.
pub(super) struct Hands<'a> {
    settings: &'a Settings,
    mender: &'a Mender,
    instruments: &'a Instruments,
    is_sim: bool,
    outbox: Option<Outbox>,
    venues: BTreeMap<Exchange, Venue>,
    /// What came into the hot store: types, and from when to when.
    touched: BTreeMap<DataType, (i64, i64)>,
}

/// The hot worker did not store what the broker has.
const NOT_STORED: &str = "the broker has it and the hot worker does not store it: `mprism logs hot`";

impl<'a> Hands<'a> {
    pub(super) fn new(settings: &'a Settings, mender: &'a Mender, instruments: &'a Instruments, is_sim: bool) -> Self {
        Self {
            settings,
            mender,
            instruments,
            is_sim,
            outbox: None,
            venues: BTreeMap::new(),
            touched: BTreeMap::new(),
        }
    }

    /// Does one action and notes what came of it.
    pub(super) async fn act(&mut self, action: &mut Action) {
        let done = match action.work.clone() {
            Work::Nothing => return,
            Work::DropParts { tier, table, parts } => self.drop_parts(tier, &table, &parts).await.map(|()| None),
            Work::Deduplicate {
                tier,
                data_type,
                hashes,
            } => {
                let removed = duplicates::remove(self.mender.store(tier), tier, data_type, &hashes).await;
                removed
                    .map(|rows| Some(format!("{rows} rows removed")))
                    .map_err(|e| chain(&e))
            }
            Work::Restore { data_type, rows } => {
                let restored = self.mender.restore(data_type, &rows).await;
                restored
                    .map(|rows| Some(format!("{rows} rows came back")))
                    .map_err(|e| chain(&e))
            }
            Work::AddColumns { tier } => {
                let added = ensure_schema(self.mender.store(tier), &[tier]).await;
                added.map(|_| None).map_err(|e| chain(&e))
            }
            Work::Replace { data_type, tier, rows } => {
                let replaced = self.mender.replace(data_type, tier, &rows).await;
                replaced
                    .map(|rows| Some(format!("{rows} rows replaced")))
                    .map_err(|e| chain(&e))
            }
            Work::Copy { data_type, hours } => self.copy(data_type, hours).await,
            Work::Refill { exchange, hole } => self.refill(exchange, &hole).await.map(Some),
            Work::WriteGap(gap) => self.write_gaps(&[*gap]).await.map(|()| None),
            Work::Retry(letter) => self.retry(&letter).await.map(Some),
        };
        let said = match done {
            Ok(said) => {
                action.outcome = Outcome::Done;
                said
            }
            Err(why) => {
                action.outcome = Outcome::Left;
                Some(why)
            }
        };
        if let Some(said) = said {
            action.detail = format!("{}: {said}", action.detail);
        }
    }

    /// A kill between two of them leaves the later ones, which are told and dropped again.
    async fn drop_parts(&self, tier: Tier, table: &str, parts: &[String]) -> Result<(), String> {
        for part in parts {
            let dropped = drop_broken_part(self.mender.store(tier), tier, table, part).await;
            dropped.map_err(|e| chain(&e))?;
        }
        Ok(())
    }

    /// Copies what came into the hot store to the cold one, too: it is stored, so it need not settle as what others send.
    pub(super) async fn copy_touched(&mut self) -> Vec<String> {
        let until = clock::now_ms();
        let mut failed = Vec::new();
        for (data_type, (from, to)) in std::mem::take(&mut self.touched) {
            let hour = super::HOUR;
            let span = (
                from - from.rem_euclid(hour),
                (to - to.rem_euclid(hour) + hour).min(until),
            );
            let hours = match self.mender.hours(data_type, span).await {
                Ok(hours) => hours,
                Err(error) => {
                    failed.push(format!("{data_type}: {}", chain(&error)));
                    continue;
                }
            };
            for hours in hours {
                if let Err(error) = self.copy(data_type, hours).await {
                    failed.push(format!("{data_type}: {error}"));
                }
            }
        }
        failed
    }

    async fn copy(&self, data_type: DataType, hours: Hours) -> Result<Option<String>, String> {
        match self.mender.copy(data_type, hours).await {
            Ok(rows) => Ok(Some(format!("{rows} rows copied, all of the hours proven"))),
            // What could be copied is; what contradicts is told by itself.
            Err(MendError::Contradiction(why)) => {
                let left = self.mender.differences(data_type, (hours.from, hours.to)).await;
                match left {
                    Ok(left) if left.cold_lacks.is_empty() => Ok(Some(format!("copied; {why}"))),
                    _ => Err(why),
                }
            }
            Err(error) => Err(chain(&error)),
        }
    }

    async fn outbox(&mut self) -> Result<&mut Outbox, String> {
        if self.outbox.is_none() {
            let options = operator_bus(self.settings).map_err(|e| format!("{:#}", e.source))?;
            self.outbox = Some(Outbox::open(options).await.map_err(|e| chain(&e))?);
        }
        Ok(self.outbox.as_mut().expect("opened above"))
    }

    async fn reach(&mut self, exchange: Exchange) -> Result<(), String> {
        if self.venues.contains_key(&exchange) {
            return Ok(());
        }
        let settings = self.settings.collector.exchanges.get(exchange.as_str());
        let settings = settings.ok_or("the exchange is not in the settings")?;
        let sim = SimArgs {
            sim: self.is_sim,
            ..SimArgs::default()
        };
        let options = exchange_options(exchange, settings, self.settings, &sim);
        let names = self.instruments.iter().filter(|((of, _), _)| *of == exchange);
        let names: Vec<InstrumentId> = names.map(|(_, instrument)| instrument.clone()).collect();
        let venue = Venue::reach(exchange, &options, &names).await.map_err(|e| chain(&e))?;
        self.venues.insert(exchange, venue);
        Ok(())
    }

    /// Asks the venue for a hole, portion by portion: trades first, and once they are stored what has become of the hole.
    ///
    /// A kill in between leaves trades without the last word about their gap, which the next repair writes.
    async fn refill(&mut self, exchange: Exchange, hole: &Hole) -> Result<String, String> {
        self.reach(exchange).await?;
        let market = Market {
            exchange: exchange.to_string(),
            market_type: hole.market_type.to_string(),
            symbol: hole.symbol.as_str().to_owned(),
        };
        let mut refill = Refill::begin(exchange, hole);
        let mut stored = 0;
        loop {
            let venue = &self.venues[&exchange];
            let portion = refill.next(venue).await;
            let Some(portion) = portion.map_err(|e| format!("{stored} trades stored; {}", chain(&e)))? else {
                break;
            };
            self.outbox()
                .await?
                .send(&portion.events)
                .await
                .map_err(|e| chain(&e))?;
            let (hot, cold) = (self.mender.store(Tier::Hot), self.mender.store(Tier::Cold));
            let places = Places { hot, cold };
            let bounds = portion.numbers.iter().min().zip(portion.numbers.iter().max());
            if let Some((first, last)) = bounds {
                let are_there = is_stored(async || {
                    let there = places.numbers(&market, (*first, *last)).await?;
                    let missing = portion
                        .numbers
                        .iter()
                        .any(|number| there.binary_search(number).is_err());
                    Ok::<_, mprism_clickhouse::StoreError>(!missing)
                });
                if !are_there.await.map_err(|e| chain(&e))? {
                    return Err(NOT_STORED.to_owned());
                }
            }
            for event in &portion.events {
                if let Event::Trade(trade) = event {
                    self.touch(DataType::Trade, trade.ts.0);
                }
            }
            stored += portion.numbers.len();
            self.write_gaps(&portion.gaps).await?;
        }
        let asked = hole.to - hole.from + 1;
        let absent = asked.saturating_sub(stored as u64);
        Ok(match absent {
            0 => format!("{stored} trades stored"),
            _ => format!("{stored} trades stored, {absent} the venue does not have: unfillable"),
        })
    }

    fn touch(&mut self, data_type: DataType, ts: i64) {
        let span = self.touched.entry(data_type).or_insert((ts, ts));
        *span = (span.0.min(ts), span.1.max(ts));
    }

    async fn write_gaps(&mut self, gaps: &[Gap]) -> Result<(), String> {
        if gaps.is_empty() {
            return Ok(());
        }
        self.outbox().await?.send(&events(gaps)).await.map_err(|e| chain(&e))?;
        let hot = self.mender.store(Tier::Hot);
        let are_there = is_stored(async || {
            let known = ledger(hot).await?;
            let mut missing = gaps.iter().filter(|gap| {
                let id = gap.gap_id();
                !known
                    .iter()
                    .any(|row| row.gap_id() == id && row.version() >= gap.version)
            });
            Ok::<_, mprism_clickhouse::StoreError>(missing.next().is_none())
        });
        if !are_there.await.map_err(|e| chain(&e))? {
            return Err(NOT_STORED.to_owned());
        }
        for gap in gaps {
            self.touch(DataType::Gap, gap.ts.0);
        }
        Ok(())
    }

    /// Sends a dead letter again under its own identity, and removes it once its row is there.
    async fn retry(&mut self, letter: &Letter) -> Result<String, String> {
        let event = letter.read()?;
        let identity = letter
            .identity
            .unwrap_or_else(|| ProducerId::of_foreign(None, &letter.subject, &letter.payload));
        let mender = self.mender;
        let stores = (mender.store(Tier::Hot), mender.store(Tier::Cold));
        let is_there = async || letters::is_stored(stores, &event, identity).await;
        let was_there = is_there().await.map_err(|e| chain(&e))?;
        let outbox = self.outbox().await?;
        if !was_there {
            let again = outbox.send_again(&letter.subject, identity, letter.payload.clone());
            again.await.map_err(|e| chain(&e))?;
            if !is_stored(is_there).await.map_err(|e| chain(&e))? {
                return Err("it is understood now, but still not stored: `mprism logs hot` says why".to_owned());
            }
        }
        letter.remove(outbox.bus(), stores.0).await.map_err(|e| chain(&e))?;
        Ok(if was_there { "stored before, removed" } else { "stored" }.to_owned())
    }
}
