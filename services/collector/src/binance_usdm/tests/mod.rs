//! What frames and answers say, in the forms that were recorded and those that are documented since.

mod answers;
mod frames;
mod properties;

use mprism_model::{Event, InstrumentId, Source, UnixNanos};

use super::BinanceUsdm;
use crate::wire::{About, ParseError, Said, Terms, Wire};

const AGGREGATE: &str = r#"{"e":"aggTrade","E":1795176000300,"s":"BTCUSDT","ps":"BTCUSDT","st":1,"a":3100000001,"p":"64000.10","q":"1.250","nq":"1.200","f":7000000010,"l":7000000015,"T":1795176000240,"m":false}"#;
const TRADE: &str = r#"{"e":"trade","E":1795176000300,"T":1795176000299,"s":"BTCUSDT","t":7000000015,"p":"64000.10","q":"0.100","X":"MARKET","m":true}"#;
const DIFF: &str = r#"{"e":"depthUpdate","E":1795176000210,"T":1795176000203,"s":"BTCUSDT","ps":"BTCUSDT","st":1,"U":9000000000501,"u":9000000000588,"pu":9000000000493,"b":[["64000.10","12.300"]],"a":[["64000.20","0.000"]]}"#;
const MARK: &str = r#"{"e":"markPriceUpdate","E":1795176001000,"s":"BTCUSDT","ps":"BTCUSDT","st":1,"p":"64001.25000000","ap":"64000.90000000","i":"64002.11000000","P":"64010.00000000","r":"-0.00010000","T":1795190400000}"#;
const LIQUIDATION: &str = r#"{"e":"forceOrder","E":1795176002014,"ps":"BTCUSDT","st":1,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.850","p":"63650.10","ap":"63710.42","X":"FILLED","l":"0.350","z":"0.850","T":1795176002009}}"#;
const PREMIUM: &str = r#"{"symbol":"BTCUSDT","markPrice":"64001.25","indexPrice":"64002.11","estimatedSettlePrice":"64010.00","lastFundingRate":"0.00010000","interestRate":"0.00010000","nextFundingTime":1795190400000,"time":1795176001000}"#;
const INTEREST: &str = r#"{"openInterest":"78123.456","symbol":"BTCUSDT","time":1795176000000}"#;
const PAST_INTEREST: &str = r#"[{"sumOpenInterest":"286060.67400000","sumOpenInterestValue":"13151177.54493120","symbol":"LTCUSDT","timestamp":1602028800000}]"#;
const RATIOS: &str = r#"[{"symbol":"BTCUSDT","longShortRatio":"1.8571","longAccount":"0.6500","shortAccount":"0.3500","timestamp":1795175700000},{"symbol":"BTCUSDT","longShortRatio":"1","longPosition":"0.5","shortPosition":"0.5","timestamp":"1795176000000"}]"#;
const SETTLED: &str =
    r#"[{"symbol":"BTCUSDT","fundingRate":"-0.00002796","fundingTime":1600156800010,"markPrice":""}]"#;
const AGGREGATES: &str =
    r#"[{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true}]"#;
const DEPTH: &str = r#"{"lastUpdateId":1570255790655,"E":1654232606707,"T":1654232606695,"bids":[["30430.80","0.482"]],"asks":[["30430.90","1.685"]]}"#;
const LIST: &str = r#"{"symbols":[{"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT","contractType":"PERPETUAL","status":"TRADING","filters":[{"filterType":"LOT_SIZE","stepSize":"0.001"}]}]}"#;
const INTERVALS: &str =
    r#"[{"symbol":"XYZUSDT","adjustedFundingRateCap":"0.02","fundingIntervalHours":4,"disclaimer":false}]"#;

/// What is known beside a text.
#[derive(Default)]
struct Beside<'a> {
    terms: Terms,
    instrument: Option<InstrumentId>,
    path: Option<&'a str>,
    is_recorded: bool,
}

impl Beside<'_> {
    fn about(&self) -> About<'_> {
        About {
            ts_recv: (!self.is_recorded).then_some(UnixNanos(1_795_176_000_500_000_001)),
            source: Source::Ws,
            terms: &self.terms,
            instrument: self.instrument.as_ref(),
            path: self.path,
        }
    }
}

fn frame(text: &str) -> (Vec<Said>, Result<(), ParseError>) {
    let mut said = Vec::new();
    let result = BinanceUsdm.frame(text, &Beside::default().about(), &mut said);
    (said, result)
}

fn one(text: &str) -> Said {
    let (mut said, result) = frame(text);
    result.expect(text);
    assert_eq!(said.len(), 1, "{text}");
    said.remove(0)
}

fn answer(text: &str, beside: &Beside<'_>) -> Vec<Said> {
    let mut said = Vec::new();
    BinanceUsdm.answer(text, &beside.about(), &mut said).expect(text);
    said
}

fn event(said: &Said) -> &Event {
    match said {
        Said::Event { event, .. } => event,
        other => panic!("{other:?}"),
    }
}

fn combined(stream: &str, data: &str) -> String {
    format!(r#"{{"stream":"{stream}","data":{data}}}"#)
}
