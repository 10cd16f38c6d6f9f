//! Attempts to connect, not faster than the venue allows, whoever makes them.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Spaces what several tasks do.
#[derive(Debug)]
pub(super) struct Pace {
    every: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(every: Duration) -> Self {
        Self {
            every,
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits for one's turn.
    pub(super) async fn turn(&self) {
        let mut next = self.next.lock().await;
        tokio::time::sleep_until(*next).await;
        *next = Instant::now() + self.every;
    }
}
