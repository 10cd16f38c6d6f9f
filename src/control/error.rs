//! Why something was not started, stopped or seen.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use mprism_runtime::lock::LockError;

use super::marketprism::Part;
use super::ports::{PortHolder, TakenPort};
use super::service::Service;

/// What ends a MarketPrism that runs and goes on with what it has.
pub const TAKE_OVER: &str = "mprism start --take-over";

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
    /// A process of a MarketPrism does not end.
    #[error("the {} of MarketPrism, pid {pid}, does not end", part.text())]
    NotEnded {
        /// What it does.
        part: Part,
        /// The process.
        pid: u32,
        /// Why not.
        source: io::Error,
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
    let texts: Vec<String> = ports.iter().map(|(service, taken)| held(*service, taken)).collect();
    texts.join("; ")
}

/// Says which port is held, and everything that is known about who holds it.
pub(super) fn held(service: Service, taken: &TakenPort) -> String {
    let port = format!("port {} of `{service}`", taken.address.port());
    let Some(holder) = &taken.holder else {
        return format!("{port} cannot be had: {}", taken.reason);
    };
    // What is told of an address that somebody listens on is the one that he listens on: it may cover more than ours.
    let elsewhere = holder.address.filter(|address| *address != taken.address);
    let Some(process) = &holder.process else {
        if let (Some(part), Some(container)) = (holder.marketprism, &holder.container) {
            let what = part.text();
            return format!("{port} is held by container {container}, the {what} of a MarketPrism that runs");
        }
        return match elsewhere {
            Some(address) => format!(
                "{port} is held by a process of user {}, which listens on {address}",
                holder.user
            ),
            None => format!("{port} is held by a process of user {}", holder.user),
        };
    };
    let mut about = vec![format!("user {}", holder.user)];
    about.extend(elsewhere.map(|address| format!("listens on {address}")));
    about.extend(
        holder
            .since_ms
            .map(|ms| format!("since {}", mprism_model::UnixMillis(ms).to_rfc3339())),
    );
    about.extend(holder.container.as_ref().map(|id| format!("container {id}")));
    if !holder.command.is_empty() {
        about.push(format!("command `{}`", holder.command));
    }
    let whose = match (&holder.home, holder.marketprism) {
        (Some(home), _) => format!("mprism started it for another home, {home}"),
        (None, Some(part)) => format!("the {} of a MarketPrism that runs", part.text()),
        (None, None) => "not started by mprism".to_owned(),
    };
    format!(
        "{port} is held by pid {} {} ({}), {whose}",
        process.pid,
        process.exe.display(),
        about.join(", ")
    )
}

/// Returns the command that ends a holder in the way that fits it.
pub(super) fn remedy(holder: &PortHolder) -> Option<String> {
    if holder.marketprism.is_some() {
        return Some(format!("take it over: `{TAKE_OVER}`"));
    }
    let process = holder.process.as_ref()?;
    Some(match (&holder.home, &holder.container, &holder.unit) {
        (Some(home), ..) => format!("stop that home: `mprism --home {home} stop`"),
        (None, Some(id), _) => format!("stop its container: `docker stop {id}`"),
        (None, None, Some(unit)) => format!("stop its service: `systemctl stop {unit}`"),
        (None, None, None) => format!("end it: `kill {}`", process.pid),
    })
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
            Self::NotEnded { .. } => "not_taken_over",
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
            | Self::NotEnded { .. }
            | Self::Supervisor { .. }
            | Self::Connection(_)
            | Self::Refused { .. } => false,
        }
    }

    /// Returns what to type next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Ports { ports } => {
                let holders = ports.iter().filter_map(|(_, taken)| taken.holder.as_ref());
                let mut hints: Vec<String> = holders.filter_map(remedy).collect();
                let mut told = std::collections::BTreeSet::new();
                hints.retain(|hint| told.insert(hint.clone()));
                hints.push("or let mprism end it: `mprism clean --ports --force`, or `mprism start --force`".into());
                hints.push("or use other ports for this home: `--port-offset 100`".into());
                hints
            }
            Self::Home { path, .. } => vec![format!("look at its owner and mode: `ls -ld {}`", path.display())],
            Self::Busy { .. } => vec!["try again when it has finished".into()],
            Self::NotStarted { service, .. } => vec![format!("see what it wrote: `mprism logs {service}`")],
            Self::NotEnded { pid, .. } => vec![format!("see what keeps it: `ps -o pid,user,stat,wchan,args -p {pid}`")],
            Self::Supervisor { .. } | Self::Connection(_) | Self::Refused { .. } | Self::Lock(_) => {
                vec!["see what it wrote: `mprism logs supervisor`".into()]
            }
        }
    }
}
