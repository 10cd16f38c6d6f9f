//! Telling a fetch from outside that nobody wants it any more.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

/// Ends a fetch: what runs is ended, and what it has written is removed. Copies are the same one.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<OwnedFd>);

impl Cancel {
    /// Makes one that nobody has asked for yet.
    ///
    /// # Errors
    /// Where the process may open no more files.
    pub fn new() -> io::Result<Self> {
        let flag = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(flag)))
    }

    /// Asks for the end. Asking again changes nothing.
    pub fn cancel(&self) {
        // It only fails where the counter is full, which says the same.
        let _asked_often = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Returns whether the end was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.within(&Timespec::default()).unwrap_or(false)
    }

    /// Waits until the end is asked for, and returns whether it was `within` the time.
    pub(crate) fn within(&self, within: &Timespec) -> io::Result<bool> {
        let mut events = [self.readable()];
        match poll(&mut events, Some(within)) {
            Ok(_) | Err(Errno::INTR) => Ok(!events[0].revents().is_empty()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns what is readable from the moment the end is asked for: it is never read.
    pub(crate) fn readable(&self) -> PollFd<'_> {
        PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_the_same_and_it_stays_asked() {
        let cancel = Cancel::new().expect("a flag");
        let copy = cancel.clone();
        assert!(!copy.is_cancelled());
        cancel.cancel();
        cancel.cancel();
        assert!(copy.is_cancelled() && copy.is_cancelled());
    }
}
