//! What there is to mend, asked of the stores and the broker: the plan.

use mprism_clickhouse::time::between;
use mprism_clickhouse::{StoreError, Tier};
use mprism_collector::refill;
use mprism_model::{DataType, Exchange, InstrumentId, UnixMillis};
use mprism_settings::Settings;
use mprism_storage::cold::{Differences, Hours, MendError, Mender, Rows};
use mprism_storage::letters;

use super::outbox::Outbox;
use super::plan::{Action, Kind, Work};
use super::trades::{Instruments, Market, Places};
use super::{books, duplicates, parts, trades, unmendable};
use crate::commands::reach::operator_bus;
use crate::commands::worker::collected_symbols;
use crate::error::CliError;

/// An hour in milliseconds: what is copied and noted as a whole.
const HOUR: i64 = 3_600_000;

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// From the first moment up to the last, which is not in it; milliseconds since the epoch.
    pub(super) window: Option<(i64, i64)>,
    /// Only these; all where there is none.
    pub(super) types: Vec<DataType>,
    pub(super) dead_letters: bool,
    pub(super) accept_broken_parts: bool,
}

impl Wanted {
    pub(super) fn has(&self, data_type: DataType) -> bool {
        self.types.is_empty() || self.types.contains(&data_type)
    }

    fn types(&self) -> impl Iterator<Item = DataType> {
        DataType::ALL.iter().copied().filter(|data_type| self.has(*data_type))
    }

    pub(super) fn window(&self) -> (i64, i64) {
        self.window.unwrap_or((0, i64::MAX))
    }

    fn condition(&self) -> String {
        self.window
            .map_or("1".to_owned(), |(from, to)| between(UnixMillis(from), UnixMillis(to)))
    }
}

fn failed(error: impl Into<anyhow::Error>) -> CliError {
    CliError::failed("repair", error)
        .context("cannot look at what is stored")
        .hint("make what is missing, start what is stopped: `mprism init`, `mprism start`")
}

/// Looks at everything and plans. Nothing is changed.
pub(super) async fn plan(
    settings: &Settings,
    mender: &Mender,
    wanted: &Wanted,
    instruments: &Instruments,
) -> Result<Vec<Action>, CliError> {
    let (hot, cold) = (mender.store(Tier::Hot), mender.store(Tier::Cold));
    let condition = wanted.condition();
    let mut plan = Vec::new();
    for data_type in wanted.types() {
        let doubled = duplicates::plan(hot, Tier::Hot, data_type, &condition);
        plan.extend(doubled.await.map_err(failed)?);
    }
    let mut found = Between::default();
    let window = wanted.window();
    let settled = (window.0, window.1.min(mender.settled_until()));
    for data_type in wanted.types() {
        let differences = mender.differences(data_type, settled).await;
        tiers(data_type, differences, settled, &mut found).map_err(failed)?;
    }
    let places = Places { hot, cold };
    let Between {
        mended,
        copies,
        restored,
    } = found;
    plan.extend(mended);
    let ledger = trades::ledger(hot).await.map_err(failed)?;
    let missing = trades::plan(places, &ledger, instruments, &condition, settled, |data_type| {
        wanted.has(data_type)
    });
    plan.extend(missing.await.map_err(failed)?);
    if wanted.has(DataType::OrderBook) {
        let broken = books::plan(hot, &ledger, (&condition, settled.1), &restored);
        plan.extend(broken.await.map_err(failed)?);
    }
    plan.extend(copies);
    for data_type in wanted.types() {
        match duplicates::plan(cold, Tier::Cold, data_type, &condition).await {
            Ok(doubled) => plan.extend(doubled),
            // Nothing was copied yet.
            Err(error) if error.is_missing_table() => {}
            Err(error) => return Err(failed(error)),
        }
    }
    // After what their rows are mended from.
    for (store, tier) in [(hot, Tier::Hot), (cold, Tier::Cold)] {
        plan.extend(parts::plan(store, tier, wanted).await.map_err(failed)?);
    }
    if wanted.dead_letters {
        plan.extend(dead_letters(settings, wanted).await?);
    }
    for data_type in wanted.types() {
        let wrong = unmendable::plan(hot, data_type, &condition);
        plan.extend(wrong.await.map_err(failed)?);
    }
    Ok(plan)
}

/// What differs between the tiers, as actions.
#[derive(Default)]
struct Between {
    mended: Vec<Action>,
    /// Done last: what was mended before is copied with it.
    copies: Vec<Action>,
    /// Where order books come back, and of which time.
    restored: Vec<(Market, (i64, i64))>,
}

/// What one tier has and the other lacks.
fn tiers(
    data_type: DataType,
    differences: Result<Differences, MendError>,
    settled: (i64, i64),
    found: &mut Between,
) -> Result<(), StoreError> {
    let differences = match differences {
        Ok(differences) => differences,
        Err(MendError::Read(error)) => return Err(error),
        Err(other) => {
            let why = mprism_runtime::log::chain(&other);
            let mut left = Action::new(Kind::CopyToCold, 0, why, Work::Nothing);
            left.r#type = Some(data_type.to_string());
            found.mended.push(left);
            return Ok(());
        }
    };
    let about = |kind, rows: &Rows, detail: &str, work| {
        Action::new(kind, rows.identities.len() as u64, detail, work)
            .about(data_type, &rows.exchange, &rows.symbol)
            .within(rows.span)
    };
    for rows in differences.hot_lacks {
        let market = Market {
            exchange: rows.exchange.clone(),
            market_type: String::new(),
            symbol: rows.symbol.clone(),
        };
        if data_type == DataType::OrderBook {
            found.restored.push((market, rows.span));
        }
        let work = Work::Restore {
            data_type,
            rows: rows.clone(),
        };
        found.mended.push(about(
            Kind::RestoreHot,
            &rows,
            "the cold store has them, and they have not left the hot one",
            work,
        ));
    }
    for rows in differences.cold_lacks {
        let (from, to) = rows.span;
        let hours = Hours {
            from: (from - from.rem_euclid(HOUR)).max(settled.0),
            to: (to - to.rem_euclid(HOUR) + HOUR).min(settled.1),
            rows: rows.identities.len() as u64,
        };
        let work = Work::Copy { data_type, hours };
        found
            .copies
            .push(about(Kind::CopyToCold, &rows, "the hot store has them", work));
    }
    for (tier, blank) in [(Tier::Hot, differences.hot_blank), (Tier::Cold, differences.cold_blank)] {
        for rows in blank {
            let (wrong, right) = match tier {
                Tier::Cold => ("cold", "hot"),
                Tier::Hot | Tier::Leaving => ("hot", "cold"),
            };
            let detail = format!("values are blank in the {wrong} store that the {right} one has");
            let work = Work::Replace {
                data_type,
                tier,
                rows: rows.clone(),
            };
            found.mended.push(about(Kind::ReplaceBlank, &rows, &detail, work));
        }
    }
    for rows in differences.conflicts {
        let why = "the same rows say other things in the hot and in the cold store: neither is overwritten";
        found.mended.push(about(Kind::NotMendable, &rows, why, Work::Nothing));
    }
    Ok(())
}

async fn dead_letters(settings: &Settings, wanted: &Wanted) -> Result<Vec<Action>, CliError> {
    let outbox = Outbox::open(operator_bus(settings)?).await.map_err(failed)?;
    let found = letters::all(outbox.bus()).await.map_err(failed)?;
    let actions = found.into_iter().filter_map(|letter| {
        let subject: Option<mprism_model::Subject> = letter.subject.parse().ok();
        if !subject.as_ref().is_none_or(|subject| wanted.has(subject.data_type)) {
            return None;
        }
        let place = format!("{} (letter {})", letter.subject, letter.stream_seq);
        let action = match letter.read() {
            Ok(_) => Action::new(Kind::RetryDeadLetter, 1, place, Work::Retry(letter)),
            Err(why) => Action::new(Kind::RetryDeadLetter, 1, format!("{place}: {why}"), Work::Nothing),
        };
        Some(match subject {
            Some(subject) => action.about(subject.data_type, subject.exchange.as_str(), subject.symbol.as_str()),
            None => action,
        })
    });
    Ok(actions.collect())
}

/// Returns which instruments can be asked for.
pub(super) fn instruments(settings: &Settings, is_sim: bool) -> Instruments {
    let mut instruments = Instruments::new();
    for &exchange in Exchange::ALL {
        let Some(found) = settings.collector.exchanges.get(exchange.as_str()) else {
            continue;
        };
        for name in collected_symbols(exchange, found, is_sim) {
            let Ok(instrument) = InstrumentId::new(&name) else {
                continue;
            };
            if let Ok((symbol, _)) = refill::symbol_of(exchange, &instrument) {
                instruments.insert((exchange, symbol.as_str().to_owned()), instrument);
            }
        }
    }
    instruments
}
