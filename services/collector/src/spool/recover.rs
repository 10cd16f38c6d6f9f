//! What an earlier life left in the spool.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mprism_model::{Epoch, ProducerId};
use mprism_runtime::files;

use super::record::{Found, Record};
use super::{Segment, SpoolError, segments};

/// The file that says up to where everything is acked and safe.
const HINT: &str = "acked";

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Where publishing goes on.
    pub(crate) from: Option<ProducerId>,
    /// The newest of the earlier lives; it began its first segment before it heard anything.
    pub(crate) life: Option<Epoch>,
    /// The last record of each subject.
    pub(crate) last: BTreeMap<String, Record>,
    /// Bytes in all segments.
    pub(crate) bytes: u64,
    /// Damaged places inside segments; what stood there is lost.
    pub(crate) damaged: u64,
    /// Bytes cut off the end of a segment: a record that was never whole.
    pub(crate) torn_bytes: u64,
}

/// Looks through the spool: cuts off a torn end, sets damaged segments aside as copies, and finds where to go on.
pub(crate) fn recover(folder: &Path) -> Result<Recovered, SpoolError> {
    let mut recovered = Recovered::default();
    for segment in segments(folder)? {
        recovered.life = recovered.life.max(Some(segment.first.epoch));
        let bytes = fs::read(&segment.path).map_err(SpoolError::io("read", &segment.path))?;
        let mut position = 0;
        let mut damaged = 0;
        while position < bytes.len() {
            match Record::decode(&bytes[position..]) {
                Found::Record(record, length) => {
                    position += length;
                    recovered.last.insert(record.subject.to_string(), record);
                }
                Found::Damaged(Some(length)) => {
                    damaged += 1;
                    position += length;
                }
                Found::Damaged(None) | Found::Incomplete => break,
            }
        }
        if position < bytes.len() {
            recovered.torn_bytes += (bytes.len() - position) as u64;
        }
        if damaged > 0 || position < bytes.len() {
            repair(&segment, &bytes, position)?;
        }
        recovered.damaged += damaged;
        recovered.bytes += position as u64;
    }
    recovered.from = read_hint(folder);
    Ok(recovered)
}

/// Keeps a copy of what was found and leaves what can be read.
fn repair(segment: &Segment, bytes: &[u8], good: usize) -> Result<(), SpoolError> {
    let aside = segment.path.with_extension("damaged");
    fs::write(&aside, bytes).map_err(SpoolError::io("write", &aside))?;
    let file = fs::OpenOptions::new().write(true).open(&segment.path);
    let file = file.map_err(SpoolError::io("open", &segment.path))?;
    file.set_len(good as u64)
        .map_err(SpoolError::io("cut", &segment.path))?;
    file.sync_all().map_err(SpoolError::io("sync", &segment.path))
}

/// Notes that everything before `from` is acked and safe.
pub(super) fn write_hint(folder: &Path, from: ProducerId) -> Result<(), SpoolError> {
    let path = folder.join(HINT);
    files::write_atomic(&path, from.to_string().as_bytes(), 0o600).map_err(SpoolError::io("write", &path))
}

/// A hint that cannot be read is none: everything is published again, and recognised.
fn read_hint(folder: &Path) -> Option<ProducerId> {
    fs::read_to_string(folder.join(HINT)).ok()?.trim().parse().ok()
}

/// Returns the position before everything.
pub(super) fn beginning() -> ProducerId {
    ProducerId {
        epoch: Epoch(0),
        seq: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    fn write(folder: &Path, records: &[Record]) -> Segment {
        let segment = Segment::new(folder, records[0].id);
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.encode(&mut bytes));
        fs::write(&segment.path, bytes).expect("written");
        segment
    }

    #[test]
    fn a_torn_end_is_cut_off_and_the_rest_is_kept() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let segment = write(folder.path(), &[record(1, 1), record(1, 2), record(1, 3)]);
        let whole = fs::metadata(&segment.path).expect("there").len();
        let file = fs::OpenOptions::new().write(true).open(&segment.path).expect("opened");
        file.set_len(whole - 3).expect("torn");
        let recovered = recover(folder.path()).expect("recovered");
        assert_eq!(recovered.last["trade.binance_spot.spot.BTC-USDT"].id.seq, 2);
        assert_eq!(recovered.life, Some(Epoch(1)), "even where nothing of it is left");
        assert!(recovered.torn_bytes > 0);
        assert_eq!(recover(folder.path()).expect("again").torn_bytes, 0);
    }

    #[test]
    fn damage_inside_is_counted_and_what_follows_is_kept() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let segment = write(folder.path(), &[record(1, 1), record(1, 2), record(1, 3)]);
        let mut bytes = fs::read(&segment.path).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&segment.path, &bytes).expect("damaged");
        let recovered = recover(folder.path()).expect("recovered");
        assert_eq!(recovered.damaged, 1);
        assert_eq!(recovered.last["trade.binance_spot.spot.BTC-USDT"].id.seq, 3);
        assert_eq!(fs::read(segment.path.with_extension("damaged")).expect("kept"), bytes);
    }
}
