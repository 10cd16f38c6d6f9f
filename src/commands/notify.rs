//! Telling systemd how the supervisor is: ready, alive, stopping. Without systemd nobody is told and nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::control::{self, HomePaths};

/// How long the supervisor may take to answer before it counts as stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Says that everything runs.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("everything runs")]);
}

/// Says that services are being stopped.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says that the supervisor lives, as often as systemd wants to hear it, for as long as it answers. Never ends.
pub(crate) async fn watchdog(paths: &HomePaths) {
    let Some(within) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    // Twice in the time that systemd allows.
    let mut every = tokio::time::interval(within / 2);
    loop {
        every.tick().await;
        let answers = tokio::time::timeout(ANSWER_WITHIN, control::is_answering(paths)).await;
        if answers == Ok(true) {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
