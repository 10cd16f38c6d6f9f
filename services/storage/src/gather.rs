//! Making a batch of the messages of a pull.

use std::collections::HashMap;

use bytes::Bytes;
use mprism_bus::{HeaderName, Message, SubjectText};
use mprism_model::{DataType, Event, Exchange, ProducerId, SEQUENCE_HEADER};

use crate::batch::{Backing, Batch, Delivery, Part, Unstorable};
use crate::room::{Held, Room};
use crate::row::{Facts, Market, Reply, Row};
use crate::tables;

const MESSAGE_ID: HeaderName = HeaderName::from_static("Nats-Msg-Id");
const SEQUENCE: HeaderName = HeaderName::from_static(SEQUENCE_HEADER);

/// How large a batch became. The next is expected to become as large, so that its memory is not moved while it grows.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    rows: usize,
    parts: Vec<(Exchange, usize)>,
    replies: usize,
}

impl Sizes {
    fn of_part(&self, exchange: Exchange) -> usize {
        let found = self.parts.iter().find(|(known, _)| *known == exchange);
        found.map_or(0, |(_, bytes)| with_slack(*bytes))
    }
}

/// Batches differ a little.
fn with_slack(size: usize) -> usize {
    size + size / 16
}

/// A batch that grows.
#[derive(Debug)]
pub(crate) struct Gathering {
    data_type: DataType,
    rows: Vec<Row>,
    unstorable: Vec<Unstorable>,
    markets: Vec<Market>,
    /// Where each of them is.
    places: HashMap<Market, u32>,
    parts: Vec<Part>,
    replies: Vec<u8>,
    expected: Sizes,
    /// Of the messages' payloads.
    payload_bytes: usize,
    /// Of the payloads of those that cannot be stored.
    unstorable_bytes: usize,
    held: Held,
}

impl Gathering {
    pub(crate) fn new(data_type: DataType, room: &Room, expected: Sizes) -> Self {
        Self {
            data_type,
            rows: Vec::with_capacity(with_slack(expected.rows)),
            unstorable: Vec::new(),
            markets: Vec::new(),
            places: HashMap::new(),
            parts: Vec::new(),
            replies: Vec::with_capacity(with_slack(expected.replies)),
            expected,
            payload_bytes: 0,
            unstorable_bytes: 0,
            held: room.hold(),
        }
    }

    /// Returns how many messages it has.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() + self.unstorable.len()
    }

    /// Returns the bytes of their payloads.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Takes a message. Of one that can be stored the row is kept, and nothing else.
    pub(crate) fn take(&mut self, message: Message) {
        self.payload_bytes += message.payload.len();
        let header = |name: HeaderName| Some(message.headers.as_ref()?.get(name)?.as_str());
        // A header that does not read as ours is another publisher's business.
        let identity = header(SEQUENCE)
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| ProducerId::of_foreign(header(MESSAGE_ID), message.subject.as_str(), &message.payload));
        match Event::parse(message.subject.as_str(), &message.payload) {
            Ok(event) => self.push(&event, identity, message.reply.as_ref()),
            Err(error) => {
                self.unstorable_bytes += message.payload.len();
                let delivery = Delivery {
                    message_id: header(MESSAGE_ID).unwrap_or_default().to_owned(),
                    // Copied: what comes from the connection keeps a whole buffer of it.
                    payload: Bytes::copy_from_slice(&message.payload),
                    subject: message.subject,
                    reply: message.reply,
                };
                self.unstorable.push(Unstorable {
                    identity,
                    reason: mprism_runtime::log::chain(&error),
                    delivery,
                });
            }
        }
    }

    /// Takes an event, with where its ack goes.
    pub(crate) fn push(&mut self, event: &Event, identity: ProducerId, reply: Option<&SubjectText>) {
        let facts = Facts::of(event);
        let (exchange, day) = (facts.market.exchange, facts.day);
        let market = self.place_of(facts.market);
        let part = self
            .parts
            .iter()
            .position(|part| part.day == day && part.exchange == exchange);
        let part = part.unwrap_or_else(|| {
            let bytes = Vec::with_capacity(self.expected.of_part(exchange));
            self.parts.push(Part { day, exchange, bytes });
            self.parts.len() - 1
        });
        let bytes = &mut self.parts[part].bytes;
        let start = bytes.len();
        tables::encode(event, &self.markets[market as usize], bytes);
        let length = bytes.len() - start;
        let reply = self.keep_reply(reply.map_or("", SubjectText::as_str));
        self.rows.push(Row {
            identity,
            natural: facts.natural,
            content: facts.content,
            ts_recv: event.ts_recv(),
            day,
            market,
            part: u32::try_from(part).expect("not more than rows"),
            start,
            length: u32::try_from(length).expect("a row is about as large as its message"),
            reply,
        });
    }

    /// Keeps where an ack goes. One longer than any that a server makes is not kept: then there is no ack, and the message comes
    /// again and is known.
    fn keep_reply(&mut self, text: &str) -> Reply {
        match (u32::try_from(self.replies.len()), u16::try_from(text.len())) {
            (Ok(start), Ok(length)) => {
                self.replies.extend_from_slice(text.as_bytes());
                Reply { start, length }
            }
            _ => Reply { start: 0, length: 0 },
        }
    }

    fn place_of(&mut self, market: Market) -> u32 {
        // Most messages are about what the one before was about.
        if let Some(last) = self.rows.last()
            && self.markets[last.market as usize] == market
        {
            return last.market;
        }
        if let Some(place) = self.places.get(&market) {
            return *place;
        }
        let place = u32::try_from(self.markets.len()).expect("not more than rows");
        self.markets.push(market.clone());
        self.places.insert(market, place);
        place
    }

    /// Tells the other lanes what it takes of the memory by now.
    pub(crate) fn account(&mut self) {
        let encoded: usize = self.parts.iter().map(|part| part.bytes.len()).sum();
        let rows = self.rows.len() * size_of::<Row>();
        self.held
            .grow_to(encoded + rows + self.replies.len() + self.unstorable_bytes);
    }

    /// Returns how large it is by now.
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes {
            rows: self.rows.len(),
            parts: self
                .parts
                .iter()
                .map(|part| (part.exchange, part.bytes.len()))
                .collect(),
            replies: self.replies.len(),
        }
    }

    /// Ends it.
    pub(crate) fn close(mut self) -> Batch {
        self.account();
        Batch {
            rows: self.rows,
            unstorable: self.unstorable,
            backing: Backing {
                data_type: self.data_type,
                markets: self.markets,
                parts: self.parts,
                replies: self.replies.into(),
                _held: self.held,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::tests::trade;
    use mprism_model::{Epoch, Symbol};

    fn message(subject: &str, payload: Vec<u8>, reply: &str) -> Message {
        Message {
            subject: subject.into(),
            reply: Some(reply.into()),
            length: payload.len(),
            payload: payload.into(),
            headers: None,
            status: None,
            description: None,
        }
    }

    #[test]
    fn of_messages_their_rows_and_where_their_acks_go_are_kept() {
        let room = Room::new(1_000);
        let mut gathering = Gathering::new(DataType::Trade, &room, Sizes::default());
        let mut other = trade(7, "2.5");
        other.symbol = Symbol::new("ETH-USDT").expect("valid");
        let mut next_day = trade(8, "2.5");
        next_day.ts.0 += 86_400_000;
        for (trade, reply) in [(trade(7, "1.5"), "one"), (other, "two"), (next_day, "three")] {
            let subject = trade.subject().to_string();
            gathering.take(message(&subject, Event::Trade(trade).to_json(), reply));
        }
        gathering.take(message("trade.binance_spot.spot.BTC-USDT", b"{".to_vec(), "four"));
        let sizes = gathering.sizes();
        let batch = gathering.close();
        let places: Vec<_> = batch.rows.iter().map(|row| (row.market, row.part)).collect();
        assert_eq!(places, [(0, 0), (1, 0), (0, 1)]);
        assert!(
            batch.rows.iter().all(|row| row.identity.epoch == Epoch(0)),
            "nobody says who they are"
        );
        let replies: Vec<String> = batch.replies().map(|reply| reply.to_string()).collect();
        assert_eq!(replies, ["one", "two", "three", "four"]);
        let [unstorable] = &batch.unstorable[..] else {
            panic!("one of them cannot be read: {batch:?}");
        };
        assert_eq!(&unstorable.delivery.payload[..], b"{");
        assert_eq!(
            (sizes.rows, sizes.parts.len(), sizes.replies),
            (3, 2, "onetwothree".len())
        );
    }

    #[test]
    fn what_a_batch_takes_is_told_to_the_other_lanes_until_it_is_stored() {
        let room = Room::new(1);
        let mut gathering = Gathering::new(DataType::Trade, &room, Sizes::default());
        let identity = ProducerId {
            epoch: Epoch(1),
            seq: 1,
        };
        gathering.push(&Event::Trade(trade(7, "1.5")), identity, None);
        let batch = gathering.close();
        assert!(room.is_full());
        assert_eq!(batch.replies().count(), 0, "nobody delivered it");
        drop(batch);
        assert!(!room.is_full());
    }
}
