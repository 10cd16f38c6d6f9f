//! Messages of one pull, in order, each as the row that it becomes: encoded when it is pulled, so that a batch is its bytes and
//! little more.

use bytes::Bytes;
use mprism_bus::SubjectText;
use mprism_model::{DataType, Exchange, ProducerId, UnixMillis};

use crate::room::Held;
use crate::row::{Market, Row};
use crate::tables;

/// A batch.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) rows: Vec<Row>,
    pub(crate) unstorable: Vec<Unstorable>,
    pub(crate) backing: Backing,
}

/// A message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) subject: SubjectText,
    pub(crate) message_id: String,
    pub(crate) payload: Bytes,
    /// Where the ack goes; a message without one was not delivered by a durable.
    pub(crate) reply: Option<SubjectText>,
}

/// Why a message can never be stored.
#[derive(Debug)]
pub(crate) struct Unstorable {
    pub(crate) identity: ProducerId,
    pub(crate) reason: String,
    pub(crate) delivery: Delivery,
}

/// What rows of a batch have in common, or refer to.
#[derive(Debug)]
pub(crate) struct Backing {
    pub(crate) data_type: DataType,
    pub(crate) markets: Vec<Market>,
    pub(crate) parts: Vec<Part>,
    /// The ack subjects, one behind the other.
    pub(crate) replies: Bytes,
    /// What the batch takes of the memory that all lanes share.
    pub(crate) _held: Held,
}

/// The rows of a batch that belong into one partition.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) day: i64,
    pub(crate) exchange: Exchange,
    /// The rows in the RowBinary format, in the order in which they came.
    pub(crate) bytes: Vec<u8>,
}

impl Batch {
    /// Returns where the acks of all messages go.
    pub(crate) fn replies(&self) -> impl Iterator<Item = SubjectText> {
        let of_rows = self.rows.iter().filter_map(|row| self.backing.reply(row));
        of_rows.chain(self.unstorable.iter().filter_map(|bad| bad.delivery.reply.clone()))
    }
}

impl Backing {
    pub(crate) fn market(&self, row: &Row) -> &Market {
        &self.markets[row.market as usize]
    }

    /// Returns where the ack of a row's message goes.
    pub(crate) fn reply(&self, row: &Row) -> Option<SubjectText> {
        let start = row.reply.start as usize;
        let text = self.replies.slice(start..start + usize::from(row.reply.length));
        // A subject that is no text was none when it came.
        SubjectText::from_utf8(text).ok().filter(|text| !text.is_empty())
    }

    /// Returns a row as it is inserted.
    pub(crate) fn bytes(&self, row: &Row) -> &[u8] {
        &self.parts[row.part as usize].bytes[row.bytes()]
    }

    /// Returns the bytes of rows of one partition, with their identities and when they are stored. The bytes of a whole partition
    /// are moved and not copied: where they are not stored then, they have to be [put back](Self::put_back).
    pub(crate) fn body(&mut self, rows: &[Row], ts_insert: UnixMillis) -> Bytes {
        let Some(first) = rows.first() else {
            return Bytes::new();
        };
        let data_type = self.data_type;
        let part = &mut self.parts[first.part as usize].bytes;
        let wanted: usize = rows.iter().map(|row| row.length as usize).sum();
        let mut body;
        if wanted == part.len() {
            body = std::mem::take(part);
            for row in rows {
                tables::stamp(data_type, &mut body[row.bytes()], row.identity, ts_insert);
            }
        } else {
            body = Vec::with_capacity(wanted);
            for row in rows {
                let start = body.len();
                body.extend_from_slice(&part[row.bytes()]);
                tables::stamp(data_type, &mut body[start..], row.identity, ts_insert);
            }
        }
        body.into()
    }

    /// Takes back what [`Self::body`] gave for these rows.
    pub(crate) fn put_back(&mut self, rows: &[Row], body: Bytes) {
        let Some(first) = rows.first() else { return };
        let part = &mut self.parts[first.part as usize].bytes;
        if part.is_empty() {
            *part = body.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::tests::trades;

    const NOW: UnixMillis = UnixMillis(1_760_054_500_000);

    /// What stands at the beginning of a row: epoch, sequence, insert time, creation time.
    fn head(row: &[u8]) -> [i64; 4] {
        std::array::from_fn(|n| i64::from_le_bytes(row[n * 8..][..8].try_into().expect("8 bytes")))
    }

    #[test]
    fn a_partition_is_moved_stamped_and_taken_back() {
        let Batch { rows, mut backing, .. } = trades(&[(7, 1, 100, "1.5"), (7, 2, 101, "1.25")]);
        let place = backing.parts[0].bytes.as_ptr();
        let body = backing.body(&rows, NOW);
        assert_eq!((body.as_ptr(), body.len()), (place, rows[1].bytes().end));
        assert_eq!(head(&body[rows[1].bytes()]), [7, 2, NOW.0, NOW.0]);
        assert!(backing.parts[0].bytes.is_empty(), "nothing is held twice");
        backing.put_back(&rows, body);
        assert_eq!(backing.parts[0].bytes.as_ptr(), place);
        let later = UnixMillis(NOW.0 + 1);
        let again = backing.body(&rows, later);
        assert_eq!(head(&again), [7, 1, later.0, later.0]);
    }

    #[test]
    fn some_rows_of_a_partition_are_copied_and_stamped() {
        let Batch {
            mut rows, mut backing, ..
        } = trades(&[(7, 1, 100, "1.5"), (7, 2, 101, "1.5"), (7, 3, 102, "1.5")]);
        rows.remove(1);
        rows[1].identity.seq = 9;
        let body = backing.body(&rows, NOW);
        let length = rows[0].length as usize;
        assert_eq!(body.len(), 2 * length);
        assert_eq!(
            [head(&body), head(&body[length..])],
            [[7, 1, NOW.0, NOW.0], [7, 9, NOW.0, NOW.0]]
        );
        assert_eq!(body[length + 32..], backing.bytes(&rows[1])[32..]);
        backing.put_back(&rows, body);
        assert_eq!(backing.parts[0].bytes.len(), 3 * length, "all are there still");
    }
}
