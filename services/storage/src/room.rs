//! How much all lanes together hold of what is not stored yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory that the lanes share for batches, in bytes. Nobody waits for it: a lane that finds it used up hands over what it
/// has, however little that is. So every lane goes on, and exceeds it by what one request brings at most.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    used: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// What one batch takes of it, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    room: Room,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            used: Arc::default(),
            bytes_max,
        }
    }

    /// Returns whether it is used up.
    pub(crate) fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.bytes_max
    }

    /// Takes nothing yet.
    pub(crate) fn hold(&self) -> Held {
        Held {
            room: self.clone(),
            bytes: 0,
        }
    }
}

impl Held {
    /// Takes so many bytes in all; never fewer than before.
    pub(crate) fn grow_to(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes);
        self.bytes += more;
        self.room.used.fetch_add(more, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_batches_take_is_given_back_with_them() {
        let room = Room::new(100);
        let (mut one, mut other) = (room.hold(), room.hold());
        one.grow_to(60);
        assert!(!room.is_full());
        other.grow_to(30);
        other.grow_to(40);
        assert!(room.is_full());
        drop(one);
        assert!(!room.is_full());
        drop(other);
        assert_eq!(room.used.load(Ordering::Relaxed), 0);
    }
}
