//! Stopping as part of the normal path: a first signal drains, a second ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that the first SIGTERM or SIGINT cancels ("take nothing new, finish what you hold"). A second one ends
/// the process at once with 143 or 130.
///
/// # Errors
/// Where the signals cannot be watched.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        next(&mut terminate, &mut interrupt).await;
        cancelled.cancel();
        let code = next(&mut terminate, &mut interrupt).await;
        std::process::exit(code);
    });
    Ok(token)
}

/// Waits for either signal and returns the exit code that stands for it.
async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> i32 {
    tokio::select! {
        _ = terminate.recv() => 143,
        _ = interrupt.recv() => 130,
    }
}
