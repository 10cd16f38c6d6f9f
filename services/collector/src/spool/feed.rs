//! Reading the spool in order, from any position: old segments, then the current one, then what is just being written.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use mprism_model::ProducerId;

use super::record::{Found, Record};
use super::tail::{InTail, Tail};
use super::{Segment, SpoolError, recover, segments};

/// How much is read from a segment at once, in bytes.
const PORTION: usize = 1 << 20;

/// A reader of the spool.
#[derive(Debug)]
pub(crate) struct Feed {
    folder: PathBuf,
    tail: Arc<Tail>,
    /// The next record is the first at or after this.
    next: ProducerId,
    reading: Option<Reading>,
}

/// An open segment.
#[derive(Debug)]
struct Reading {
    segment: Segment,
    file: File,
    buffer: Vec<u8>,
    position: usize,
    ended: bool,
}

impl Feed {
    pub(crate) fn new(folder: PathBuf, tail: Arc<Tail>, from: Option<ProducerId>) -> Self {
        Self {
            folder,
            tail,
            next: from.unwrap_or_else(recover::beginning),
            reading: None,
        }
    }

    /// Returns where it stands: everything before was given out.
    pub(crate) fn position(&self) -> ProducerId {
        self.next
    }

    /// Goes back (or on) to a position.
    pub(crate) fn seek(&mut self, to: ProducerId) {
        self.next = to;
        self.reading = None;
    }

    /// Returns the next record; `None` where nothing more was written yet.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, SpoolError> {
        let record = if self.next.epoch == self.tail.epoch() {
            match self.tail.get(self.next.seq.max(1)) {
                InTail::Here(record) => {
                    self.reading = None;
                    Some(record)
                }
                InTail::NotYet => None,
                InTail::Older => self.next_in_segments()?,
            }
        } else {
            match self.next_in_segments()? {
                Some(record) => Some(record),
                None => {
                    // Everything of earlier lives is given out.
                    self.seek(ProducerId {
                        epoch: self.tail.epoch(),
                        seq: 1,
                    });
                    return match self.tail.get(1) {
                        InTail::NotYet => Ok(None),
                        _ => self.next(),
                    };
                }
            }
        };
        if let Some(record) = &record {
            self.next = ProducerId {
                seq: record.id.seq + 1,
                ..record.id
            };
        }
        Ok(record)
    }

    fn next_in_segments(&mut self) -> Result<Option<Record>, SpoolError> {
        loop {
            if self.reading.is_none() && !self.open()? {
                return Ok(None);
            }
            let Some(reading) = &mut self.reading else {
                return Ok(None);
            };
            match reading.next()? {
                Some(record) if record.id >= self.next => return Ok(Some(record)),
                Some(_) => {}
                None => {
                    // The segment ends here: what follows stands in a later one.
                    let ended = reading.segment.first;
                    self.reading = None;
                    if !self.open_after(ended)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Opens the segment that holds the next record.
    fn open(&mut self) -> Result<bool, SpoolError> {
        let all = segments(&self.folder)?;
        let holds = all.iter().rposition(|segment| segment.first <= self.next);
        match all.into_iter().nth(holds.unwrap_or(0)) {
            Some(segment) => self.begin(segment),
            None => Ok(false),
        }
    }

    fn open_after(&mut self, ended: ProducerId) -> Result<bool, SpoolError> {
        let following = segments(&self.folder)?
            .into_iter()
            .find(|segment| segment.first > ended);
        match following {
            // The current life's segments come after all others'.
            Some(segment) if segment.first.epoch == self.tail.epoch() && self.next.epoch != self.tail.epoch() => {
                Ok(false)
            }
            Some(segment) => self.begin(segment),
            None => Ok(false),
        }
    }

    fn begin(&mut self, segment: Segment) -> Result<bool, SpoolError> {
        if segment.first.epoch == self.tail.epoch() && self.next.epoch != self.tail.epoch() {
            return Ok(false);
        }
        match File::open(&segment.path) {
            Ok(file) => {
                self.reading = Some(Reading {
                    segment,
                    file,
                    buffer: Vec::new(),
                    position: 0,
                    ended: false,
                });
                Ok(true)
            }
            Err(error) => Err(SpoolError::io("open", &segment.path)(error)),
        }
    }

    /// Notes that everything before `from` is acked and safe, and removes the segments that hold nothing else.
    pub(crate) fn release(&mut self, from: ProducerId) -> Result<u64, SpoolError> {
        recover::write_hint(&self.folder, from)?;
        let all = segments(&self.folder)?;
        let mut freed = 0;
        for pair in all.windows(2) {
            let [old, following] = pair else { continue };
            let is_read = self.reading.as_ref().is_some_and(|reading| reading.segment == *old);
            if following.first <= from && !is_read {
                let bytes = fs::metadata(&old.path).map(|found| found.len()).unwrap_or(0);
                fs::remove_file(&old.path).map_err(SpoolError::io("remove", &old.path))?;
                freed += bytes;
            }
        }
        Ok(freed)
    }
}

impl Reading {
    fn next(&mut self) -> Result<Option<Record>, SpoolError> {
        loop {
            match Record::decode(&self.buffer[self.position..]) {
                Found::Record(record, length) => {
                    self.position += length;
                    return Ok(Some(record));
                }
                // Counted at recovery; what is written now is not damaged.
                Found::Damaged(Some(length)) if self.position + length <= self.buffer.len() => self.position += length,
                Found::Damaged(_) => return Ok(None),
                Found::Incomplete if self.ended => return Ok(None),
                Found::Incomplete => self.fill()?,
            }
        }
    }

    fn fill(&mut self) -> Result<(), SpoolError> {
        self.buffer.drain(..self.position);
        self.position = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + PORTION, 0);
        let read = self.file.read(&mut self.buffer[held..]);
        let read = read.map_err(SpoolError::io("read", &self.segment.path))?;
        self.buffer.truncate(held + read);
        self.ended = read == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mprism_model::{DataType, Epoch, UnixNanos};

    use super::super::{Outgoing, Writer, WriterOptions};
    use super::*;

    #[tokio::test]
    async fn what_the_tail_let_go_of_is_read_from_its_segment() {
        let folder = tempfile::tempdir().expect("a folder");
        let epoch = Epoch(7);
        let tail = Arc::new(Tail::new(epoch));
        let options = WriterOptions {
            folder: folder.path().to_path_buf(),
            epoch,
            // A segment takes a few of them.
            segment_bytes: 200,
            fsync_interval: Duration::from_millis(1),
        };
        let writer = Writer::start(options, Arc::clone(&tail)).expect("started");
        let record = |n: u64| Outgoing {
            data_type: DataType::Trade,
            received: UnixNanos(mprism_runtime::clock::now_ns()),
            subject: "trade.binance_spot.spot.BTC-USDT".to_owned().into(),
            message_id: format!("id {n}").into(),
            payload: format!("payload {n}").into(),
        };
        writer
            .batches()
            .send((1..=20).map(record).collect())
            .await
            .expect("it runs");
        writer.finish().await;
        let at = |seq| ProducerId { epoch, seq };
        let mut feed = Feed::new(folder.path().to_path_buf(), Arc::clone(&tail), None);
        for (forgotten, from) in [(1, 1), (8, 3), (21, 1), (21, 20)] {
            tail.forget_before(at(forgotten));
            tail.forget_before(ProducerId {
                epoch: Epoch(8),
                seq: 100,
            });
            let is_kept = matches!(tail.get(20), InTail::Here(_));
            assert_eq!(is_kept, forgotten <= 20, "{forgotten}");
            feed.seek(at(from));
            let mut read = Vec::new();
            while let Some(record) = feed.next().expect("readable") {
                read.push((record.id.seq, record.payload));
            }
            let whole: Vec<_> = (from..=20).map(|n| (n, record(n).payload)).collect();
            assert_eq!(read, whole, "from {from}, {forgotten} forgotten");
        }
    }
}
