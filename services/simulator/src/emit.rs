//! One symbol's market and what of it goes out: trades in order, bent by the faults that are on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;

use crate::corpus::{Recorded, RecordedTrade};
use crate::fault::{Malformed, RECENT_MAX};
use crate::market::{Market, Place, Trade, push_decimal, push_integer};
use crate::places::Places;
use crate::truth::Truth;
use crate::{Rate, SimulatorOptions};

/// One of the venue's symbols.
pub(crate) struct Symbol {
    pub(crate) name: String,
    pub(crate) started: bool,
    pub(crate) truth: Truth,
    source: Source,
    limit: u64,
    unknown_fields: bool,
    last_ms: i64,
    recent: VecDeque<Item>,
    held: Option<Item>,
    pub(crate) gap_left: u64,
    pub(crate) reorder: bool,
    pub(crate) mute_until: Option<Instant>,
    pub(crate) replace: VecDeque<Malformed>,
    /// Sent before the next trade.
    pub(crate) extra: Vec<Item>,
}

enum Source {
    Synthetic(Market),
    Recorded {
        frames: Arc<Vec<Recorded>>,
        next: usize,
        shift_ms: i64,
        keep_time: bool,
    },
}

/// One frame to send.
#[derive(Clone)]
pub(crate) enum Item {
    Trade {
        trade: Trade,
        event_ms: i64,
        trade_ms: i64,
        unknown_field: bool,
    },
    /// Position in the recording.
    Recorded(usize),
    Broken {
        kind: Malformed,
        id: u64,
        event_ms: i64,
    },
}

impl Symbol {
    pub(crate) fn synthetic(options: &SimulatorOptions, limit: u64, places: &Places) -> BTreeMap<String, Self> {
        let symbols = options.symbols.iter().map(|name| {
            let market = match places.get(name) {
                Some(place) => Market::resume(options.seed, name, *place),
                None => Market::new(options.seed, name),
            };
            let truth = Truth::Synthetic {
                first_id: market.first_id(),
                blocks: Vec::new(),
                count: 0,
            };
            (
                name.clone(),
                Self::new(name, truth, Source::Synthetic(market), limit, options.unknown_fields),
            )
        });
        symbols.collect()
    }

    pub(crate) fn recorded(
        recorded: BTreeMap<String, Vec<Recorded>>,
        options: &SimulatorOptions,
        limit: u64,
    ) -> BTreeMap<String, Self> {
        let symbols = recorded.into_iter().map(|(name, frames)| {
            let frames = Arc::new(frames);
            let truth = Truth::Recorded {
                frames: frames.clone(),
                played: Vec::new(),
                shift_ms: 0,
            };
            let source = Source::Recorded {
                frames,
                next: 0,
                shift_ms: 0,
                keep_time: options.keep_time,
            };
            let symbol = Self::new(&name, truth, source, limit, false);
            (name, symbol)
        });
        symbols.collect()
    }

    fn new(name: &str, truth: Truth, source: Source, limit: u64, unknown_fields: bool) -> Self {
        Self {
            name: name.into(),
            started: false,
            truth,
            source,
            limit,
            unknown_fields,
            last_ms: 0,
            recent: VecDeque::new(),
            held: None,
            gap_left: 0,
            reorder: false,
            mute_until: None,
            replace: VecDeque::new(),
            extra: Vec::new(),
        }
    }

    /// Returns where a synthetic market stands.
    pub(crate) fn place(&self) -> Option<Place> {
        match &self.source {
            Source::Synthetic(market) => Some(market.place()),
            Source::Recorded { .. } => None,
        }
    }

    /// Returns the first and the last recorded event time.
    pub(crate) fn recorded_span(&self) -> Option<(i64, i64)> {
        let Source::Recorded {
            frames,
            keep_time: false,
            ..
        } = &self.source
        else {
            return None;
        };
        let times = || {
            frames.iter().filter_map(|frame| match frame {
                Recorded::Trade(trade) => Some(trade.event_ms),
                Recorded::Malformed(_) => None,
            })
        };
        times().min().zip(times().max())
    }

    /// Sets by how much recorded times move.
    pub(crate) fn shift(&mut self, ms: i64) {
        if let Source::Recorded {
            shift_ms,
            keep_time: false,
            ..
        } = &mut self.source
        {
            *shift_ms = ms;
        }
    }

    /// Whether no trade is left.
    pub(crate) fn ended(&self) -> bool {
        let played = match &self.source {
            Source::Synthetic(_) => false,
            Source::Recorded { frames, next, .. } => *next == frames.len(),
        };
        played || self.truth.count() >= self.limit
    }

    /// Returns the identifiers of the next and of the `count`th next trade, where there are any.
    pub(crate) fn coming(&self, count: u64) -> Option<(u64, u64)> {
        match &self.source {
            Source::Synthetic(market) => Some((market.first_id(), market.first_id() + count.saturating_sub(1))),
            Source::Recorded { frames, next, .. } => {
                let coming = frames[*next..].iter().filter_map(as_trade).map(|trade| trade.id);
                let mut coming = coming.take(usize::try_from(count).unwrap_or(usize::MAX));
                let first = coming.next()?;
                Some((first, coming.last().unwrap_or(first)))
            }
        }
    }

    /// Lets up to `count` trades happen and returns the frames to send; `due_ms` are their times, evenly spread.
    pub(crate) fn produce(&mut self, count: u64, due_ms: (i64, i64), now: Instant) -> Vec<Item> {
        let muted = self.mute_until.is_some_and(|until| now < until);
        let mut out = std::mem::take(&mut self.extra);
        for position in 0..count {
            if self.ended() {
                break;
            }
            let spread = due_ms.0 + (due_ms.1 - due_ms.0) * position as i64 / count as i64;
            let (item, id) = self.happen(spread, due_ms.1);
            let Some(id) = id else {
                out.push(item);
                continue;
            };
            if self.gap_left > 0 {
                self.gap_left -= 1;
                continue;
            }
            if muted {
                continue;
            }
            self.remember(&item);
            let item = match self.replace.pop_front() {
                Some(kind) => Item::Broken {
                    kind,
                    id,
                    event_ms: due_ms.1,
                },
                None => item,
            };
            if self.reorder {
                self.reorder = false;
                self.held = Some(item);
            } else {
                out.push(item);
                out.extend(self.held.take());
            }
        }
        if self.ended() {
            out.extend(self.held.take());
        }
        out
    }

    fn happen(&mut self, trade_ms: i64, event_ms: i64) -> (Item, Option<u64>) {
        match &mut self.source {
            Source::Synthetic(market) => {
                let trade = market.next();
                // Times never go back, and some trades share one with their predecessor.
                let trade_ms = if trade.same_time {
                    self.last_ms
                } else {
                    trade_ms.max(self.last_ms)
                };
                let trade_ms = if self.last_ms == 0 { event_ms } else { trade_ms };
                self.last_ms = trade_ms;
                self.truth.push_synthetic(&trade, trade_ms);
                let unknown_field = self.unknown_fields && trade.id.is_multiple_of(7);
                let event_ms = event_ms.max(trade_ms);
                (
                    Item::Trade {
                        trade,
                        event_ms,
                        trade_ms,
                        unknown_field,
                    },
                    Some(trade.id),
                )
            }
            Source::Recorded {
                frames, next, shift_ms, ..
            } => {
                let position = *next;
                *next += 1;
                let id = as_trade(&frames[position]).map(|trade| trade.id);
                if id.is_some() {
                    self.truth.push_recorded(position, *shift_ms);
                }
                (Item::Recorded(position), id)
            }
        }
    }

    fn remember(&mut self, item: &Item) {
        self.recent.push_back(item.clone());
        if self.recent.len() as u64 > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    /// Queues the last `count` frames once more and returns the first and last identifier.
    pub(crate) fn duplicate(&mut self, count: u64) -> Option<(u64, u64)> {
        let skip = self
            .recent
            .len()
            .saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
        let again = self.recent.iter().skip(skip).cloned().collect::<Vec<_>>();
        let ids = self.id(again.first()?).zip(self.id(again.last()?));
        self.extra.extend(again);
        ids
    }

    fn id(&self, item: &Item) -> Option<u64> {
        match (item, &self.source) {
            (Item::Trade { trade, .. }, _) => Some(trade.id),
            (Item::Broken { id, .. }, _) => Some(*id),
            (Item::Recorded(position), Source::Recorded { frames, .. }) => as_trade(&frames[*position]).map(|t| t.id),
            _ => None,
        }
    }

    /// Serialises frames once for all clients that want them in this form.
    pub(crate) fn render(&self, items: &[Item], combined: bool, micros: bool) -> Vec<Message> {
        let mut text = Vec::with_capacity(items.len() * 192);
        let mut parts = Vec::with_capacity(items.len());
        for item in items {
            let start = text.len();
            let raw = matches!(item, Item::Recorded(position) if self.recorded_frame(*position).is_none());
            let wrap = combined && !raw;
            if wrap {
                text.extend_from_slice(b"{\"stream\":\"");
                text.extend_from_slice(self.name.to_lowercase().as_bytes());
                text.extend_from_slice(b"@trade\",\"data\":");
            }
            self.write(item, micros, &mut text);
            if wrap {
                text.push(b'}');
            }
            let mut binary = false;
            if let Item::Broken { kind, .. } = item {
                match kind {
                    Malformed::Truncated => text.truncate(start + (text.len() - start) / 2),
                    Malformed::EmptyObject => {
                        text.truncate(start);
                        text.extend_from_slice(b"{}");
                    }
                    Malformed::Binary => binary = true,
                    _ => {}
                }
            }
            parts.push((start..text.len(), binary));
        }
        let text = Bytes::from(text);
        let frames = parts.into_iter().map(|(range, binary)| {
            let part = text.slice(range);
            match Utf8Bytes::try_from(part.clone()) {
                Ok(text) if !binary => Message::Text(text),
                _ => Message::Binary(part),
            }
        });
        frames.collect()
    }

    fn recorded_frame(&self, position: usize) -> Option<&RecordedTrade> {
        match &self.source {
            Source::Recorded { frames, .. } => as_trade(&frames[position]),
            Source::Synthetic(_) => None,
        }
    }

    fn write(&self, item: &Item, micros: bool, out: &mut Vec<u8>) {
        match item {
            Item::Trade {
                trade,
                event_ms,
                trade_ms,
                unknown_field,
            } => {
                out.extend_from_slice(b"{\"e\":\"trade\",\"E\":");
                push_time(out, *event_ms, micros);
                out.extend_from_slice(b",\"s\":\"");
                out.extend_from_slice(self.name.as_bytes());
                out.extend_from_slice(b"\",\"t\":");
                push_integer(out, trade.id);
                out.extend_from_slice(b",\"p\":\"");
                push_decimal(out, trade.price);
                out.extend_from_slice(b"\",\"q\":\"");
                push_decimal(out, u64::from(trade.quantity));
                out.extend_from_slice(b"\",\"T\":");
                push_time(out, *trade_ms, micros);
                let maker: &[u8] = if trade.buyer_is_maker {
                    b",\"m\":true"
                } else {
                    b",\"m\":false"
                };
                out.extend_from_slice(maker);
                out.extend_from_slice(b",\"M\":true");
                out.extend_from_slice(if *unknown_field { b",\"zz_future\":1}" } else { b"}" });
            }
            Item::Recorded(position) => {
                if let Source::Recorded { frames, shift_ms, .. } = &self.source {
                    match &frames[*position] {
                        Recorded::Trade(trade) => trade.write(out, *shift_ms, micros),
                        Recorded::Malformed(line) => out.extend_from_slice(line.as_bytes()),
                    }
                }
            }
            Item::Broken { kind, id, event_ms } => {
                let (name, ms) = (&self.name, event_ms);
                let quoted = match kind {
                    Malformed::Nan => "NaN",
                    Malformed::LongNumber => "1234567890123456789012345678901234567890",
                    _ => "64000.10000000",
                };
                let text = match kind {
                    Malformed::WrongTypes => format!(
                        r#"{{"e":"trade","E":"{ms}","s":"{name}","t":"{id}","p":64000.1,"q":true,"T":null,"m":"yes","M":true}}"#
                    ),
                    Malformed::UnknownEvent => format!(r#"{{"e":"zzFuture","E":{ms},"s":"{name}","zz":{id}}}"#),
                    _ => format!(
                        r#"{{"e":"trade","E":{ms},"s":"{name}","t":{id},"p":"{quoted}","q":"0.01500000","T":{ms},"m":true,"M":true}}"#
                    ),
                };
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

fn as_trade(frame: &Recorded) -> Option<&RecordedTrade> {
    match frame {
        Recorded::Trade(trade) => Some(trade),
        Recorded::Malformed(_) => None,
    }
}

fn push_time(out: &mut Vec<u8>, ms: i64, micros: bool) {
    push_integer(out, u64::try_from(ms).unwrap_or(0) * if micros { 1_000 } else { 1 });
}

/// Returns by how much recorded times move: one constant for the whole run.
pub(crate) fn shift_ms(symbols: &BTreeMap<String, Symbol>, rate: Rate, start_ms: i64) -> i64 {
    let spans = || symbols.values().filter_map(Symbol::recorded_span);
    let anchor = match rate {
        Rate::Max => spans().map(|span| span.1).max(),
        Rate::PerSecond(_) => spans().map(|span| span.0).min(),
    };
    anchor.map_or(0, |anchor| start_ms - anchor)
}
