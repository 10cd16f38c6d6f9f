//! One recorded frame, cut up so that only its times can change.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::symbol::Stream;

/// A recorded frame; the text is the payload without the combined stream's wrapper, or the whole line where it is damaged.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) text: String,
    pub(crate) stream: Stream,
    pub(crate) kind: Kind,
    /// Where `E` and `T` stand, in the order of the text, and their milliseconds.
    times: Vec<(Range<usize>, i64)>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Trade(TradeParts),
    Depth {
        first: u64,
        last: u64,
    },
    /// Any other sound frame with what identifies it.
    Other(u64),
    /// Damaged: sent as it is, and nothing has happened.
    Malformed,
}

/// What the truth needs of a recorded trade.
#[derive(Debug)]
pub(crate) struct TradeParts {
    pub(crate) id: u64,
    price: Range<usize>,
    quantity: Range<usize>,
    pub(crate) trade_ms: i64,
    pub(crate) buyer_is_maker: bool,
}

impl Frame {
    pub(crate) fn malformed(line: String, stream: Stream) -> Self {
        Self {
            text: line,
            stream,
            kind: Kind::Malformed,
            times: Vec::new(),
        }
    }

    pub(crate) fn is_malformed(&self) -> bool {
        matches!(self.kind, Kind::Malformed)
    }

    /// Returns its first and last identifier.
    pub(crate) fn ids(&self) -> Option<(u64, u64)> {
        match &self.kind {
            Kind::Trade(trade) => Some((trade.id, trade.id)),
            Kind::Depth { first, last } => Some((*first, *last)),
            Kind::Other(id) => Some((*id, *id)),
            Kind::Malformed => None,
        }
    }

    /// Returns its recorded event time in milliseconds, where it has one.
    pub(crate) fn event_ms(&self) -> Option<i64> {
        self.times.iter().map(|time| time.1).max()
    }

    pub(crate) fn price(&self, trade: &TradeParts) -> &str {
        &self.text[trade.price.clone()]
    }

    pub(crate) fn quantity(&self, trade: &TradeParts) -> &str {
        &self.text[trade.quantity.clone()]
    }

    /// Appends the frame with its times moved by `shift_ms`, every other byte as recorded.
    pub(crate) fn write(&self, out: &mut Vec<u8>, shift_ms: i64, micros: bool) {
        let mut from = 0;
        for (range, ms) in &self.times {
            out.extend_from_slice(&self.text.as_bytes()[from..range.start]);
            let scale = if micros { 1_000 } else { 1 };
            out.extend_from_slice(((ms + shift_ms) * scale).to_string().as_bytes());
            from = range.end;
        }
        out.extend_from_slice(&self.text.as_bytes()[from..]);
    }
}

/// What a recorded line is.
#[derive(Debug)]
pub(crate) enum Line {
    /// A stream's frame, with the venue's symbol.
    Frame(String, Box<Frame>),
    /// Damaged; the symbol if it says one.
    Malformed(Option<String>),
    /// A REST answer with a book, and its last update identifier.
    Snapshot(u64),
    /// Sound, but of a stream that is not served, or another REST answer.
    Other,
}

#[derive(Deserialize)]
struct Wrapper<'a> {
    #[serde(borrow)]
    stream: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Head<'a> {
    e: Option<&'a str>,
    s: Option<&'a str>,
    #[serde(rename = "lastUpdateId")]
    last_update_id: Option<u64>,
}

#[derive(Deserialize)]
struct Times<'a> {
    #[serde(rename = "E", borrow)]
    event: Option<&'a RawValue>,
    #[serde(rename = "T", borrow)]
    trade: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    s: &'a str,
    t: u64,
    p: &'a str,
    q: &'a str,
    #[serde(rename = "E")]
    _event_ms: i64,
    #[serde(rename = "T")]
    trade_ms: i64,
    m: bool,
}

#[derive(Deserialize)]
struct Depth<'a> {
    s: &'a str,
    #[serde(rename = "E")]
    _event_ms: i64,
    #[serde(rename = "U")]
    first: u64,
    u: u64,
    #[serde(borrow)]
    b: Vec<[&'a str; 2]>,
    #[serde(borrow)]
    a: Vec<[&'a str; 2]>,
}

#[derive(Deserialize)]
struct AggTrade<'a> {
    s: &'a str,
    a: u64,
}

#[derive(Deserialize)]
struct BookTicker<'a> {
    u: u64,
    s: &'a str,
    b: &'a str,
    #[serde(rename = "B")]
    _bid_quantity: &'a str,
    a: &'a str,
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !text.is_empty()
}

/// Classifies one recorded line.
pub(crate) fn classify(line: &str) -> Line {
    if line.trim().is_empty() || line.starts_with('[') {
        return Line::Other;
    }
    let wrapper = serde_json::from_str::<Wrapper<'_>>(line).ok();
    let payload = wrapper.as_ref().map_or(line, |wrapper| wrapper.data.get());
    let Ok(head) = serde_json::from_str::<Head<'_>>(payload) else {
        return Line::Malformed(None);
    };
    let damaged = || Line::Malformed(head.s.map(str::to_owned));
    if let (Some(id), None) = (head.last_update_id, &wrapper) {
        return Line::Snapshot(id);
    }
    let read = match head.e {
        Some("trade") => read_trade(payload),
        Some("depthUpdate") => read_depth(payload),
        Some("aggTrade") => serde_json::from_str::<AggTrade<'_>>(payload)
            .ok()
            .map(|frame| (frame.s.to_owned(), Stream::Aggregate, Kind::Other(frame.a))),
        Some(_) => return Line::Other,
        None => match (&wrapper, head.last_update_id) {
            (Some(wrapper), Some(id)) => match top_stream(&wrapper.stream) {
                Some((symbol, stream)) => Some((symbol, stream, Kind::Other(id))),
                None => return Line::Other,
            },
            _ => read_ticker(payload),
        },
    };
    match (read, times(payload)) {
        (Some((symbol, stream, kind)), Some(times)) => {
            let text = payload.to_owned();
            let frame = Frame {
                text,
                stream,
                kind,
                times,
            };
            Line::Frame(symbol, Box::new(frame))
        }
        _ => damaged(),
    }
}

fn read_trade(payload: &str) -> Option<(String, Stream, Kind)> {
    let trade = serde_json::from_str::<Trade<'_>>(payload).ok()?;
    (is_number(trade.p) && is_number(trade.q)).then_some(())?;
    let within = |part: &str| {
        let start = part.as_ptr() as usize - payload.as_ptr() as usize;
        start..start + part.len()
    };
    let parts = TradeParts {
        id: trade.t,
        price: within(trade.p),
        quantity: within(trade.q),
        trade_ms: trade.trade_ms,
        buyer_is_maker: trade.m,
    };
    Some((trade.s.to_owned(), Stream::Trade, Kind::Trade(parts)))
}

fn read_depth(payload: &str) -> Option<(String, Stream, Kind)> {
    let depth = serde_json::from_str::<Depth<'_>>(payload).ok()?;
    let mut numbers = depth.b.iter().chain(&depth.a).flatten();
    numbers.all(|number| is_number(number)).then_some(())?;
    let (first, last) = (depth.first, depth.u);
    Some((depth.s.to_owned(), Stream::DEPTH, Kind::Depth { first, last }))
}

fn read_ticker(payload: &str) -> Option<(String, Stream, Kind)> {
    let ticker = serde_json::from_str::<BookTicker<'_>>(payload).ok()?;
    (is_number(ticker.b) && is_number(ticker.a)).then_some(())?;
    Some((ticker.s.to_owned(), Stream::Ticker, Kind::Other(ticker.u)))
}

/// Reads `btcusdt@depth20@100ms`: the payload itself has no symbol.
fn top_stream(name: &str) -> Option<(String, Stream)> {
    let (symbol, kind) = name.split_once('@')?;
    let stream = crate::binance_spot::stream_of(kind)?;
    matches!(stream, Stream::Top(..)).then(|| (symbol.to_uppercase(), stream))
}

/// Finds the times of a frame; `None` where one is no number.
fn times(payload: &str) -> Option<Vec<(Range<usize>, i64)>> {
    let times = serde_json::from_str::<Times<'_>>(payload).ok()?;
    let mut all = Vec::new();
    for raw in [times.event, times.trade].into_iter().flatten() {
        let start = raw.get().as_ptr() as usize - payload.as_ptr() as usize;
        all.push((start..start + raw.get().len(), raw.get().parse::<i64>().ok()?));
    }
    all.sort_by_key(|time| time.0.start);
    Some(all)
}
