//! What is asked for again and again, and what was missed of it.

use std::time::Duration;

use mprism_model::{DataType, Event, InstrumentId, Source, UnixMillis};
use mprism_runtime::clock;

use super::events::{time_of, worth};
use super::limits::{INTEREST_WEIGHT, PREMIUM_WEIGHT};
use super::rest::{Rest, ms};
use crate::rest::{Poll, RestError};
use crate::wire::{Said, Terms};

const MINUTE: Duration = Duration::from_secs(60);
/// The venue's shortest period of ratios and of past open interest.
const PERIOD: Duration = Duration::from_secs(300);
const PERIOD_NAME: &str = "5m";
/// How far back the venue answers: 30 days, less what the question takes.
const KEPT: Duration = Duration::from_secs(30 * 86_400 - 60);
/// Most rows in an answer.
const ROWS_MAX: usize = 500;
/// Periods that are asked for again: their values may come late, or be changed.
const REPEATED: i32 = 2;
/// A value may come after the one behind it; so many periods later it does not come any more.
const LATE: i32 = 3;
/// Rates in an answer: more than two weeks of the shortest interval.
const RATES_MAX: usize = 1_000;

const POSITIONS: &str = "/futures/data/topLongShortPositionRatio";
const PAST_INTERESTS: &str = "/futures/data/openInterestHist";
const ACCOUNTS: &str = "/futures/data/globalLongShortAccountRatio";

/// Returns everything that is polled.
pub(super) fn all() -> Vec<Poll> {
    let ratio = |data_type, series| Poll {
        data_type,
        series,
        every: Duration::from_secs(30),
        period: Some(PERIOD),
    };
    vec![
        // The running estimate comes over the socket. A rate that was paid is there some seconds to a minute later.
        Poll {
            data_type: DataType::FundingRate,
            series: "settled",
            every: MINUTE,
            period: None,
        },
        Poll {
            data_type: DataType::OpenInterest,
            series: "openInterest",
            every: Duration::from_secs(10),
            period: None,
        },
        ratio(DataType::LsrTopPosition, "topLongShortPositionRatio"),
        ratio(DataType::LsrAllAccount, "globalLongShortAccountRatio"),
    ]
}

/// Asks for rates that were paid.
pub(super) async fn settled(
    rest: &Rest,
    instrument: &InstrumentId,
    after: Option<UnixMillis>,
) -> Result<Vec<Said>, RestError> {
    let path = "/fapi/v1/fundingRate";
    let start = after.map(|after| (after.0 + 1).to_string());
    // The one before the newest tells how long the newest one's period was.
    let limit = if start.is_some() { RATES_MAX } else { 2 }.to_string();
    let mut query = vec![("symbol", instrument.as_str()), ("limit", &limit)];
    query.extend(start.as_deref().map(|start| ("startTime", start)));
    let body = rest.funding(path, &query).await?;
    let mut rates = rest.read(&body, Source::Rest, (&Terms::default(), Some(instrument)), path)?;
    rates.sort_by_key(time_of);
    with_intervals(&mut rates, after);
    let known = if after.is_none() {
        rates.len().saturating_sub(1)
    } else {
        0
    };
    rates.drain(..known);
    Ok(rates)
}

/// Says of each rate how long its period was: since the payment before. Today's interval may be another one.
fn with_intervals(rates: &mut [Said], after: Option<UnixMillis>) {
    let mut before = after;
    for said in rates {
        let at = time_of(said);
        if let (Some(at), Some(before), Said::Event { event, .. }) = (at, before, said)
            && let Event::FundingRate(rate) = &mut **event
        {
            // Payments are some milliseconds late.
            let hours = (at.0 - before.0 + ms(MINUTE)).div_euclid(ms(MINUTE) * 60);
            rate.funding_interval = (1..=24).contains(&hours).then(|| format!("{hours}h").into());
        }
        before = at.or(before);
    }
}

/// Asks for the open interest, with what it is worth; one that was told already is no new observation. What was missed for
/// longer than the venue's shortest period is had from the past ones.
pub(super) async fn open_interest(
    rest: &Rest,
    instrument: &InstrumentId,
    after: Option<UnixMillis>,
) -> Result<Vec<Said>, RestError> {
    let path = "/fapi/v1/openInterest";
    let query = [("symbol", instrument.as_str())];
    let body = rest.weighed(path, &query, INTEREST_WEIGHT).await?;
    let mut now = rest.read(&body, Source::Rest, (&Terms::default(), Some(instrument)), path)?;
    let is_new = |said: &Said| time_of(said).is_some_and(|at| after.is_none_or(|after| at > after));
    now.retain(is_new);
    let Some(at) = now.first().and_then(time_of) else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    if let Some(after) = after.filter(|after| at.0 - after.0 > 2 * ms(PERIOD)) {
        let span = (after.0 + 1, at.0 - 1);
        all = pages(rest, PAST_INTERESTS, Source::Backfill, instrument, span).await?;
        all.retain(is_new);
        // Whoever takes these goes on behind the newest: where more of the past is to come, that of now waits.
        let newest = all.last().and_then(time_of);
        if newest.is_some_and(|newest| at.0 - newest.0 > 2 * ms(PERIOD)) {
            return Ok(all);
        }
    }
    if let Some(Said::Event { event, .. }) = now.first_mut()
        && let Event::OpenInterest(interest) = &mut **event
    {
        let body = rest.weighed("/fapi/v1/premiumIndex", &query, PREMIUM_WEIGHT).await?;
        worth(interest, &body)?;
    }
    all.append(&mut now);
    Ok(all)
}

/// Asks for ratios: the newest, or all that are behind `after`.
pub(super) async fn ratios(
    rest: &Rest,
    poll: Poll,
    instrument: &InstrumentId,
    after: Option<UnixMillis>,
) -> Result<Vec<Said>, RestError> {
    let path = if poll.data_type == DataType::LsrTopPosition {
        POSITIONS
    } else {
        ACCOUNTS
    };
    let now = clock::now_ms();
    let Some(after) = after else {
        return page(rest, path, Source::Rest, instrument, None, 1).await;
    };
    let start = after.0 - i64::from(REPEATED) * ms(PERIOD);
    let rows = pages(rest, path, Source::Rest, instrument, (start, now)).await?;
    Ok(without_late(rows, after, now))
}

/// Leaves off what is behind a value that is missing and may still come: whoever takes these goes on behind the newest.
fn without_late(rows: Vec<Said>, after: UnixMillis, now_ms: i64) -> Vec<Said> {
    let mut newest = after.0;
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(at) = time_of(&row) else { continue };
        let is_hole = at.0 - newest >= ms(PERIOD) * 3 / 2;
        if is_hole && now_ms - at.0 < i64::from(LATE) * ms(PERIOD) {
            break;
        }
        newest = newest.max(at.0);
        kept.push(row);
    }
    kept
}

/// Asks for the periods from `start_ms` on, as far back as the venue knows them: the first portion that has any.
async fn pages(
    rest: &Rest,
    path: &str,
    source: Source,
    instrument: &InstrumentId,
    (start_ms, until_ms): (i64, i64),
) -> Result<Vec<Said>, RestError> {
    let length = ms(PERIOD) * (ROWS_MAX as i64 - 1);
    let mut start = start_ms.max(clock::now_ms() - ms(KEPT));
    while start <= until_ms {
        let end = (start + length).min(until_ms);
        let rows = page(rest, path, source, instrument, Some((start, end)), ROWS_MAX).await?;
        if !rows.is_empty() {
            return Ok(rows);
        }
        start = end + 1;
    }
    Ok(Vec::new())
}

async fn page(
    rest: &Rest,
    path: &str,
    source: Source,
    instrument: &InstrumentId,
    span: Option<(i64, i64)>,
    limit: usize,
) -> Result<Vec<Said>, RestError> {
    let limit = limit.to_string();
    let span = span.map(|(start, end)| (start.to_string(), end.to_string()));
    let mut query = vec![
        ("symbol", instrument.as_str()),
        ("period", PERIOD_NAME),
        ("limit", &limit),
    ];
    if let Some((start, end)) = &span {
        query.extend([("startTime", start.as_str()), ("endTime", end.as_str())]);
    }
    let body = rest.data(path, &query).await?;
    let asked = format!("{path}?period={PERIOD_NAME}");
    let mut rows = rest.read(&body, source, (&Terms::default(), Some(instrument)), &asked)?;
    rows.sort_by_key(time_of);
    // A period that has not ended may have no label yet.
    let now = clock::now_ms();
    rows.retain(|row| time_of(row).is_some_and(|at| at.0 <= now));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use mprism_model::Population;

    use super::*;
    use crate::binance_usdm::events::{ratio, settled as rate};
    use crate::binance_usdm::messages::{FundingRow, RatioRow};
    use crate::wire::About;

    const NOW: i64 = 1_795_176_000_000;

    fn about(terms: &Terms) -> About<'_> {
        About {
            ts_recv: None,
            source: Source::Rest,
            terms,
            instrument: None,
            path: None,
        }
    }

    fn ratio_at(label: i64) -> Said {
        let text = format!(
            r#"{{"symbol":"BTCUSDT","longShortRatio":"1","longAccount":"0.5","shortAccount":"0.5","timestamp":{label}}}"#
        );
        let row: RatioRow<'_> = serde_json::from_str(&text).expect("valid");
        ratio(&row, Population::AllAccounts, PERIOD_NAME, &about(&Terms::default())).expect("valid")
    }

    fn kept(labels: &[i64], after: i64) -> Vec<i64> {
        let at = |minutes: &i64| NOW + minutes * ms(MINUTE);
        let rows = labels.iter().map(|label| ratio_at(at(label))).collect();
        let kept = without_late(rows, UnixMillis(at(&after)), NOW);
        let labels = kept.iter().filter_map(time_of);
        labels.map(|label| (label.0 - NOW) / ms(MINUTE)).collect()
    }

    #[test]
    fn a_value_that_may_still_come_is_waited_for_and_one_that_does_not_is_a_hole() {
        assert_eq!(kept(&[-20, -15, -10, -5], -20), [-20, -15, -10, -5]);
        assert_eq!(kept(&[-15, -5], -15), [-15], "that of ten minutes ago is late");
        assert_eq!(
            kept(&[-30, -20, -15], -30),
            [-30, -20, -15],
            "and that of 25 minutes ago does not come"
        );
        assert_eq!(kept(&[-5], -15), Vec::<i64>::new());
    }

    #[test]
    fn a_rate_says_how_long_its_period_was() {
        let rate_at = |at: i64| {
            let text = format!(r#"{{"symbol":"BTCUSDT","fundingRate":"0.0001","fundingTime":{at}}}"#);
            let row: FundingRow<'_> = serde_json::from_str(&text).expect("valid");
            rate(&row, &about(&Terms::default())).expect("valid")
        };
        let hour = ms(MINUTE) * 60;
        let mut rates = vec![rate_at(NOW + 12), rate_at(NOW + 8 * hour), rate_at(NOW + 12 * hour + 3)];
        let intervals = |rates: &[Said]| -> Vec<Option<String>> {
            let interval = |said: &Said| match said {
                Said::Event { event, .. } => match &**event {
                    Event::FundingRate(rate) => rate.funding_interval.as_deref().map(str::to_owned),
                    _ => None,
                },
                _ => None,
            };
            rates.iter().map(interval).collect()
        };
        let told = |hours: &str| Some(hours.to_owned());
        with_intervals(&mut rates, None);
        assert_eq!(intervals(&rates), [None, told("8h"), told("4h")]);
        with_intervals(&mut rates, Some(UnixMillis(NOW - hour)));
        assert_eq!(intervals(&rates), [told("1h"), told("8h"), told("4h")]);
    }
}
