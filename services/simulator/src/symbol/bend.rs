//! The faults that are on for one stream, and how they bend what goes out.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Body, Item};
use crate::fault::{Malformed, RECENT_MAX};

/// One stream's faults.
#[derive(Debug, Default)]
pub(crate) struct Bend {
    /// Frames still to swallow.
    pub(crate) gap_left: u64,
    /// The next two frames change places.
    pub(crate) reorder: bool,
    pub(crate) mute_until: Option<Instant>,
    /// How the next frames are broken.
    pub(crate) replace: VecDeque<Malformed>,
    /// The fault record that is told about swallowed, swapped and replaced frames.
    pub(crate) record: Option<u64>,
    held: Option<Item>,
    recent: VecDeque<Item>,
    /// Sent before the next frame.
    pub(crate) extra: Vec<Item>,
}

/// What became of a frame.
pub(crate) struct Fate {
    /// It was swallowed, swapped or replaced: the record to tell.
    pub(crate) told: Option<u64>,
}

impl Bend {
    pub(crate) fn is_muted(&self, now: Instant) -> bool {
        self.mute_until.is_some_and(|until| now < until)
    }

    /// Lets one frame through, or not.
    pub(crate) fn pass(&mut self, item: Item, id: u64, event_ms: i64, now: Instant, out: &mut Vec<Item>) -> Fate {
        if self.gap_left > 0 {
            self.gap_left -= 1;
            return Fate { told: self.record };
        }
        if self.is_muted(now) {
            return Fate { told: self.record };
        }
        self.recent.push_back(item.clone());
        if self.recent.len() as u64 > RECENT_MAX {
            self.recent.pop_front();
        }
        let mut told = None;
        let item = match self.replace.pop_front() {
            Some(kind) => {
                told = self.record;
                let stream = item.stream;
                let body = Body::Broken { kind, id, event_ms };
                Item { stream, body }
            }
            None => item,
        };
        if self.reorder {
            self.reorder = false;
            self.held = Some(item);
            told = self.record;
        } else {
            out.push(item);
            out.extend(self.held.take());
        }
        Fate { told }
    }

    /// Lets go of a frame that waits for another one.
    pub(crate) fn release(&mut self, out: &mut Vec<Item>) {
        out.extend(self.held.take());
    }

    /// Queues the last `count` frames once more and returns them.
    pub(crate) fn duplicate(&mut self, count: u64) -> &[Item] {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let skip = self.recent.len().saturating_sub(count);
        let from = self.extra.len();
        self.extra.extend(self.recent.iter().skip(skip).cloned());
        &self.extra[from..]
    }
}
