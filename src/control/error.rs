//! Why something was not started, stopped or seen.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use mprism_runtime::lock::LockError;

use super::ports::TakenPort;
use super::service::Service;

/// Why the control plane did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A folder or file of the home cannot be used.
    #[error("cannot {action} {}", path.display())]
    Home {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A lock cannot be taken.
    #[error("a lock of the home cannot be taken")]
    Lock(#[from] LockError),
    /// Another command changes this home for longer than we wait.
    #[error("another mprism command has changed this home for {waited:?}{}", of(*pid))]
    Busy {
        /// How long was waited.
        waited: Duration,
        /// The other command's process, where known.
        pid: Option<u32>,
    },
    /// Somebody else has our ports.
    #[error("{}", taken(ports))]
    Ports {
        /// Which, and who.
        ports: Vec<(Service, TakenPort)>,
    },
    /// A service that is needed for a moment does not come up.
    #[error("cannot start `{service}`: {reason}")]
    NotStarted {
        /// The service.
        service: Service,
        /// What it said.
        reason: String,
    },
    /// The supervisor does not come up.
    #[error("the supervisor does not come up: {reason}")]
    Supervisor {
        /// What it said.
        reason: String,
    },
    /// The supervisor went away in the middle.
    #[error("the connection to the supervisor broke")]
    Connection(#[source] io::Error),
    /// The supervisor does not do it.
    #[error("the supervisor refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
}

fn of(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

fn taken(ports: &[(Service, TakenPort)]) -> String {
    let one = |(service, taken): &(Service, TakenPort)| {
        let port = taken.address.port();
        match &taken.holder {
            Some(holder) => match &holder.process {
                Some(process) => format!(
                    "port {port} of `{service}` is held by pid {} {} (user {}), not started by mprism",
                    process.pid,
                    process.exe.display(),
                    holder.user
                ),
                None => format!(
                    "port {port} of `{service}` is held by a process of user {}",
                    holder.user
                ),
            },
            None => format!("port {port} of `{service}` cannot be had: {}", taken.reason),
        }
    };
    ports.iter().map(one).collect::<Vec<_>>().join("; ")
}

impl ControlError {
    /// Returns a stable slug.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Home { .. } => "home",
            Self::Lock(LockError::Held { .. }) => "lock_held",
            Self::Lock(_) => "lock",
            Self::Busy { .. } => "busy",
            Self::Ports { .. } => "port_taken",
            Self::NotStarted { .. } => "start_failed",
            Self::Supervisor { .. } => "supervisor_failed",
            Self::Connection(_) => "supervisor_lost",
            Self::Refused { .. } => "supervisor_refused",
        }
    }

    /// Returns whether it was refused because something that is not ours is in the way.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Ports { .. } | Self::Busy { .. } => true,
            Self::Lock(error) => matches!(error, LockError::Held { .. } | LockError::Unsafe { .. }),
            Self::Home { .. }
            | Self::NotStarted { .. }
            | Self::Supervisor { .. }
            | Self::Connection(_)
            | Self::Refused { .. } => false,
        }
    }

    /// Returns what to type next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Ports { ports } => {
                let holders = ports
                    .iter()
                    .filter_map(|(_, taken)| taken.holder.as_ref()?.process.as_ref());
                let mut hints: Vec<String> = holders
                    .map(|process| format!("end it: `kill {}`", process.pid))
                    .collect();
                hints.dedup();
                hints.push("or let mprism end it: `mprism start --force`".into());
                hints.push("or use other ports for this home: `--port-offset 100`".into());
                hints
            }
            Self::Home { path, .. } => vec![format!("look at its owner and mode: `ls -ld {}`", path.display())],
            Self::Busy { .. } => vec!["try again when it has finished".into()],
            Self::NotStarted { service, .. } => vec![format!("see what it wrote: `mprism logs {service}`")],
            Self::Supervisor { .. } | Self::Connection(_) | Self::Refused { .. } | Self::Lock(_) => {
                vec!["see what it wrote: `mprism logs supervisor`".into()]
            }
        }
    }
}
