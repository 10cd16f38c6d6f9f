//! What exists on the bus, as plain data: streams, their subjects and limits, and the durables that read them.

use std::time::Duration;

/// The stream of everything but order books.
pub const MARKET_DATA: &str = "MARKET_DATA";
/// The stream of order books.
pub const ORDERBOOK_SNAP: &str = "ORDERBOOK_SNAP";
/// The stream of what can never be stored.
pub const DEAD_LETTER: &str = "DEAD_LETTER";

/// Every subject that carries market data: what the collector publishes and anyone on this machine may read.
pub const DATA_SUBJECTS: [&str; 9] = [
    "trade.>",
    "funding_rate.>",
    "open_interest.>",
    "liquidation.>",
    "volatility_index.>",
    "lsr_top_position.>",
    "lsr_all_account.>",
    "gap.>",
    "orderbook.>",
];

/// What stands before the subject of a copy on core NATS, which no stream keeps.
pub const MIRROR_PREFIX: &str = "core.";
/// Every subject of such copies.
pub const MIRROR_SUBJECTS: &str = "core.>";

/// A stream as mprism wants it. All keep by limits on disk, refuse what is new when full, and know no age: what leaves is
/// purged below what any durable has yet to ack, never by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSpec {
    /// The stream's name.
    pub name: String,
    /// What it collects.
    pub subjects: Vec<String>,
    /// Its size limit in bytes.
    pub bytes_max: u64,
    /// How long the server remembers message ids, at most: where many come it is less ([`crate::WindowKeeper`]).
    pub duplicate_window: Duration,
    /// How many consumers it may have; `None` is any number.
    pub consumers_max: Option<u32>,
    /// Copies in a cluster.
    pub replicas: usize,
}

/// Where a durable that is created on an empty stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliverFrom {
    /// The first message.
    All,
    /// The last message.
    Last,
    /// What comes from now on.
    New,
}

/// A durable as mprism wants it: pulled, acked message by message, delivered until it is acked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurableSpec {
    /// The stream it reads.
    pub stream: String,
    /// Its name.
    pub name: String,
    /// Its subjects.
    pub filter: String,
    /// When an unacked message is delivered again.
    pub ack_wait: Duration,
    /// How many messages may be delivered and not yet acked.
    pub ack_pending_max: u32,
    /// Where it begins when it is first created on an empty stream; on any other it begins at the first message.
    pub deliver_from: DeliverFrom,
}

/// Everything that exists on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusLayout {
    /// The streams.
    pub streams: Vec<StreamSpec>,
    /// The durables.
    pub durables: Vec<DurableSpec>,
}

/// What may differ from home to home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutOptions {
    /// The data types that are stored, by their names in subjects; each gets a durable.
    pub data_types: Vec<String>,
    /// Size limit of `MARKET_DATA` in bytes.
    pub market_data_bytes_max: u64,
    /// Size limit of `ORDERBOOK_SNAP` in bytes.
    pub orderbook_bytes_max: u64,
    /// Size limit of `DEAD_LETTER` in bytes.
    pub dead_letter_bytes_max: u64,
    /// When an unacked message is delivered again; at least 60 s, or a slow insert is mistaken for a lost one.
    pub ack_wait: Duration,
    /// How many messages of a batch size may wait for their ack; raised to four batches where that is more.
    pub batch_rows_max: u32,
    /// Where the durables of the two long/short ratios begin on an empty stream.
    pub lsr_deliver_from: DeliverFrom,
    /// Copies in a cluster.
    pub replicas: usize,
}

impl LayoutOptions {
    /// Returns the limits that existing installations have, for the given types.
    pub fn standard(data_types: &[&str], batch_rows_max: u32) -> Self {
        Self {
            data_types: data_types.iter().map(|name| (*name).to_owned()).collect(),
            market_data_bytes_max: 2 << 30,
            orderbook_bytes_max: 5 << 30,
            dead_letter_bytes_max: 256 << 20,
            ack_wait: Duration::from_secs(60),
            batch_rows_max,
            lsr_deliver_from: DeliverFrom::All,
            replicas: 1,
        }
    }
}

/// Returns the stream that keeps the messages of a data type.
pub fn stream_of(data_type: &str) -> &'static str {
    if data_type == "orderbook" {
        ORDERBOOK_SNAP
    } else {
        MARKET_DATA
    }
}

/// Returns the name of the durable that feeds the hot store with one data type.
pub fn durable_name(data_type: &str) -> String {
    format!("simple_hot_storage_realtime_{data_type}")
}

/// Decides what exists on the bus. Streams always all exist: subjects belong to them whatever is stored.
pub fn layout(options: &LayoutOptions) -> BusLayout {
    let stream = |name: &str, subjects: Vec<&str>, bytes_max, window_s, consumers_max| StreamSpec {
        name: name.into(),
        subjects: subjects.into_iter().map(str::to_owned).collect(),
        bytes_max,
        duplicate_window: Duration::from_secs(window_s),
        consumers_max,
        replicas: options.replicas,
    };
    let is_book = |subject: &&str| subject.starts_with("orderbook.");
    let data = DATA_SUBJECTS.into_iter().filter(|s| !is_book(s)).collect();
    let books = DATA_SUBJECTS.into_iter().filter(is_book).collect();
    BusLayout {
        streams: vec![
            stream(MARKET_DATA, data, options.market_data_bytes_max, 120, Some(50)),
            stream(ORDERBOOK_SNAP, books, options.orderbook_bytes_max, 60, Some(20)),
            stream(DEAD_LETTER, vec!["dead.>"], options.dead_letter_bytes_max, 120, None),
        ],
        durables: options.data_types.iter().map(|name| durable(name, options)).collect(),
    }
}

fn durable(data_type: &str, options: &LayoutOptions) -> DurableSpec {
    let is_book = data_type == "orderbook";
    DurableSpec {
        stream: stream_of(data_type).into(),
        name: durable_name(data_type),
        filter: format!("{data_type}.>"),
        ack_wait: options.ack_wait,
        ack_pending_max: options
            .batch_rows_max
            .saturating_mul(4)
            .max(if is_book { 5000 } else { 2000 }),
        deliver_from: if data_type.starts_with("lsr_") {
            options.lsr_deliver_from
        } else {
            DeliverFrom::All
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_keeps_the_names_and_limits_others_rely_on() {
        let layout = layout(&LayoutOptions::standard(&["trade", "gap", "orderbook"], 100));
        let streams: Vec<_> = layout
            .streams
            .iter()
            .map(|s| {
                (
                    s.name.as_str(),
                    s.bytes_max,
                    s.duplicate_window.as_secs(),
                    s.subjects.len(),
                )
            })
            .collect();
        assert_eq!(
            streams,
            [
                ("MARKET_DATA", 2_147_483_648, 120, 8),
                ("ORDERBOOK_SNAP", 5_368_709_120, 60, 1),
                ("DEAD_LETTER", 268_435_456, 120, 1)
            ]
        );
        let durables: Vec<_> = layout
            .durables
            .iter()
            .map(|d| (d.stream.as_str(), d.name.as_str(), d.filter.as_str(), d.ack_pending_max))
            .collect();
        assert_eq!(
            durables,
            [
                ("MARKET_DATA", "simple_hot_storage_realtime_trade", "trade.>", 2000),
                ("MARKET_DATA", "simple_hot_storage_realtime_gap", "gap.>", 2000),
                (
                    "ORDERBOOK_SNAP",
                    "simple_hot_storage_realtime_orderbook",
                    "orderbook.>",
                    5000
                ),
            ]
        );
    }

    #[test]
    fn pending_acks_grow_with_the_batch() {
        let layout = layout(&LayoutOptions::standard(&["trade"], 20_000));
        assert_eq!(layout.durables[0].ack_pending_max, 80_000);
    }
}
