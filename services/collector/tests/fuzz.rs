//! Whatever a venue sends, and whatever becomes of it on the way: no panic, and never more out than came in.
//!
//! Each venue's recorded frames are damaged for `MPRISM_FUZZ_SECONDS` (10 unless said): torn, spliced, numbers made huge, keys
//! doubled, bytes changed.

use std::time::Duration;

use mprism_collector::registry;
use mprism_collector::wire::{About, Said, Terms};
use mprism_model::{Exchange, InstrumentId, Source, UnixNanos};

/// Lines of each recording that are damaged.
const LINES: usize = 40;

/// Texts that are put in the place of something.
const ODD: [&str; 18] = [
    "-1",
    "1e400",
    "1e-400",
    "99999999999999999999999999",
    "0.0000000000000000000000001",
    "\"\"",
    "\"NaN\"",
    "null",
    "{}",
    "[]",
    "[[[[[[[[[[[[[[[[",
    "\"\\ud800\"",
    "true",
    "18446744073709551616",
    "-0",
    "\"1.2.3\"",
    "0x10",
    "\u{0}",
];

/// One way to damage a text: where, how, and with what.
type Damage = (u16, u8, u8);

/// Returns a venue's frames as somebody recorded them.
fn recorded(folder: &str) -> Vec<String> {
    let Some(corpus) = mprism_testkit::corpus() else {
        return Vec::new();
    };
    let mut folders = vec![corpus.join(folder)];
    let mut frames = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".jsonl") && !name.contains("expected") && !name.contains("checks") {
                let text = std::fs::read_to_string(path).expect("text");
                frames.extend(text.lines().take(LINES).map(str::to_owned));
            }
        }
    }
    frames.sort();
    frames
}

fn damaged(frame: &str, other: &str, damages: &[Damage]) -> String {
    let mut bytes = frame.as_bytes().to_vec();
    for (place, how, what) in damages {
        if bytes.is_empty() {
            break;
        }
        let at = usize::from(*place) % bytes.len();
        match how % 6 {
            0 => bytes.truncate(at),
            1 => bytes[at] = *what,
            2 => bytes.insert(at, *what),
            3 => {
                let from = usize::from(*what) % other.len().max(1);
                bytes.splice(at.., other.as_bytes()[from..].iter().copied());
            }
            4 => {
                // The value there becomes an odd one.
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']');
                let end = bytes[at..]
                    .iter()
                    .position(is_end)
                    .map_or(bytes.len(), |length| at + length);
                let odd = ODD[usize::from(*what) % ODD.len()];
                bytes.splice(at..end, odd.bytes());
            }
            _ => {
                let end = (at + usize::from(*what)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
        bytes.truncate(1 << 20);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns how much was made of a text.
fn size_of(said: &Said) -> usize {
    match said {
        Said::Diff(_, diff) => 1 + diff.bids.len() + diff.asks.len(),
        Said::Book(_, book) | Said::Depth(_, book) => 1 + book.bids.len() + book.asks.len(),
        Said::Terms(terms) => 1 + terms.len(),
        _ => 1,
    }
}

fn fuzz(exchange: Exchange, folder: &str, plain: &str) {
    let mut frames = recorded(folder);
    frames.push(plain.to_owned());
    let seconds = std::env::var("MPRISM_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(10));
    let instrument = InstrumentId::new("BTCUSDT").expect("valid");
    let terms = Terms::default();
    bolero::check!()
        .with_test_time(time)
        .with_type::<(u16, u16, Vec<Damage>)>()
        .for_each(|(first, second, damages)| {
            let wire = registry::wire(exchange);
            let pick = |index: &u16| &frames[usize::from(*index) % frames.len()];
            let text = damaged(pick(first), pick(second), damages);
            for instrument in [None, Some(&instrument)] {
                let about = About {
                    ts_recv: Some(UnixNanos(1)),
                    source: Source::Ws,
                    terms: &terms,
                    instrument,
                    path: None,
                };
                let mut said = Vec::new();
                // Whether it is understood is not the question here.
                let _ = wire.frame(&text, &about, &mut said);
                let _ = wire.answer(&text, &about, &mut said);
                let size: usize = said.iter().map(size_of).sum();
                assert!(size <= 2 * text.len() + 8, "{size} of {}: {text}", text.len());
                let named = wire.instrument_named(&text);
                assert!(named.is_none_or(|name| name.len() <= text.len() * 4));
            }
        });
}

#[test]
fn binance_spot() {
    let plain = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1795176000123,"s":"BTCUSDT","t":5601234567,"p":"64000.1","q":"0.015","T":1795176000121,"m":true}}"#;
    fuzz(Exchange::BinanceSpot, "binance/spot", plain);
}

#[test]
fn binance_derivatives() {
    let plain = r#"{"e":"depthUpdate","E":1795176000210,"T":1795176000203,"s":"BTCUSDT","st":1,"U":501,"u":588,"pu":493,"b":[["64000.10","12.300"]],"a":[["64000.20","0.000"]]}"#;
    fuzz(Exchange::BinanceDerivatives, "binance/usdm", plain);
}

#[test]
fn okx() {
    let plain = r#"{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"snapshot","data":[{"asks":[["64000.2","310.5","0","14"]],"bids":[["64000.1","120","0","9"]],"ts":"1795176000200","checksum":0,"seqId":5000000010,"prevSeqId":-1}]}"#;
    fuzz(Exchange::OkxDerivatives, "okx", plain);
}

#[test]
fn deribit() {
    let plain = r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.100ms","data":[{"trade_seq":150000123,"trade_id":"340000456","timestamp":1795176000155,"price":64000.5,"instrument_name":"BTC-PERPETUAL","direction":"buy","amount":5000.0,"liquidation":"T"}]}}"#;
    fuzz(Exchange::DeribitDerivatives, "deribit", plain);
}
