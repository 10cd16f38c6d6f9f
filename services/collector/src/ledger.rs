//! What the store's ledger says is still missing: holes that an earlier life noticed and did not close.

use std::time::Duration;

use mprism_model::{Exchange, GapCause, UnixMillis};
use mprism_runtime::endpoint::Endpoint;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// How long the store may take to answer; without it we go on without.
const STORE_WITHIN: Duration = Duration::from_secs(3);
/// Holes younger than this may still be on their way, with later versions behind them.
const SETTLED_S: u32 = 10;
/// Holes taken up at once.
const HOLES_MAX: u32 = 1_000;

/// An open hole in a symbol's trades.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenGap {
    pub(crate) symbol: String,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) from_ts: UnixMillis,
    pub(crate) to_ts: UnixMillis,
    pub(crate) cause: GapCause,
    pub(crate) version: u32,
}

/// Asks the store; `None` where it does not answer well.
pub(crate) async fn ask(store: &Endpoint, query: &str) -> Option<String> {
    let path = format!("/?query={}", utf8_percent_encode(query, NON_ALPHANUMERIC));
    let (status, body) = mprism_runtime::probe::get(store, &path, STORE_WITHIN).await.ok()?;
    (status == 200).then_some(body)
}

/// Returns the open holes in an exchange's trades, the newest first: what was lost last is easiest to have.
pub(crate) async fn open_trade_gaps(store: &Endpoint, exchange: Exchange) -> Vec<OpenGap> {
    let query = format!(
        "SELECT symbol, from_id, to_id, toUnixTimestamp64Milli(from_ts), toUnixTimestamp64Milli(to_ts), cause, version \
         FROM marketprism_hot.gaps_current WHERE exchange = '{exchange}' AND type = 'trade' AND state = 'open' \
         AND timestamp < now64(3) - toIntervalSecond({SETTLED_S}) ORDER BY timestamp DESC LIMIT {HOLES_MAX} FORMAT TSV"
    );
    let body = ask(store, &query).await.unwrap_or_default();
    body.lines().filter_map(read).collect()
}

fn read(line: &str) -> Option<OpenGap> {
    let mut fields = line.split('\t');
    Some(OpenGap {
        symbol: fields.next()?.to_owned(),
        from: fields.next()?.parse().ok()?,
        to: fields.next()?.parse().ok()?,
        from_ts: UnixMillis(fields.next()?.parse().ok()?),
        to_ts: UnixMillis(fields.next()?.parse().ok()?),
        cause: fields.next()?.parse().ok()?,
        version: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_ledger_is_read_or_left_alone() {
        let gap = read("BTC-USDT\t11\t20\t1\t2\tcollector_down\t3").expect("valid");
        assert_eq!(
            (gap.from, gap.to, gap.version, gap.cause),
            (11, 20, 3, GapCause::CollectorDown)
        );
        assert_eq!(read("BTC-USDT\tx\t20\t1\t2\tsequence\t3"), None);
        assert_eq!(read(""), None);
    }
}
