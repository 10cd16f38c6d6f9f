//! Frames and answers of every kind, and what must not become anything.

mod answers;
mod damage;
mod frames;
mod notices;

use mprism_model::{Source, UnixNanos};

use super::Deribit;
use crate::wire::{About, ParseError, Said, Terms, Wire};

const TRADE: &str = r#"{"trade_seq":150000123,"trade_id":"340000456","timestamp":1795176000155,"tick_direction":0,"price":64000.0,"mark_price":64000.21,"instrument_name":"BTC-PERPETUAL","index_price":63998.77,"direction":"buy","amount":5000.0,"contracts":500.0}"#;
const TICKER: &str = r#"{"timestamp":1795176000155,"state":"open","open_interest":559791310,"mark_price":29932.79,"instrument_name":"BTC-PERPETUAL","index_price":29930.44,"funding_8h":0.00000255,"current_funding":-1e-5}"#;
const CHANGE: &str = r#"{"type":"change","timestamp":1622627435737,"prev_change_id":31479598064,"instrument_name":"BTC-PERPETUAL","change_id":31479598217,"bids":[["delete",36779.0,0.0],["new",36809.5,254870.0]],"asks":[["delete",37462.5,0.0],["change",37394.0,42670.0]]}"#;
const CANDLES: &str = r#"{"jsonrpc":"2.0","id":833,"result":{"data":[[1795175880000,45.2,45.4,45.1,45.25],[1795175940000,45.20,45.36,45.18,45.31],[1795176000000,45.3,45.3,45.3,45.3]],"continuation":null},"usIn":1795176001000000,"usOut":1795176001000900,"usDiff":900,"testnet":false}"#;

fn notification(channel: &str, data: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}"#)
}

fn about<'a>(terms: &'a Terms, source: Source) -> About<'a> {
    About {
        ts_recv: Some(UnixNanos(1_795_176_000_200_000_000)),
        source,
        terms,
        instrument: None,
        path: None,
    }
}

fn frame(text: &str) -> (Vec<Said>, Result<(), ParseError>) {
    let (mut said, terms) = (Vec::new(), Terms::default());
    let result = Deribit.frame(text, &about(&terms, Source::Ws), &mut said);
    (said, result)
}

fn answer(text: &str, about: &About<'_>) -> Vec<Said> {
    let mut said = Vec::new();
    Deribit.answer(text, about, &mut said).expect("valid");
    said
}

fn one(text: &str) -> Said {
    let (mut said, result) = frame(text);
    result.expect("valid");
    assert_eq!(said.len(), 1, "{text}");
    said.remove(0)
}
