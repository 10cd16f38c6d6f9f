//! What happens while something starts or stops, for whoever shows it. Control itself never prints.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::marketprism::Part;
use super::plan::Plan;
use super::service::Service;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Another command changes this home; we wait for it to finish.
    WaitingForOperation {
        /// The other command's process, where known.
        pid: Option<u32>,
    },
    /// Services of this home were found without their supervisor.
    SupervisorDied {
        /// Services that live on.
        alive: Vec<Service>,
    },
    /// A supervisor runs now.
    SupervisorStarted {
        /// Its process.
        pid: u32,
    },
    /// A service that was running already is watched now.
    Adopted {
        /// The service.
        service: Service,
        /// Its process.
        pid: u32,
    },
    /// A process of ours that nothing needed any more was ended.
    LeftoverEnded {
        /// The service it belonged to.
        service: Service,
        /// Its process.
        pid: u32,
        /// What it ran.
        exe: PathBuf,
    },
    /// A process that is not ours is about to be ended, as `--force` or `--take-over` asked.
    HolderFound {
        /// Everything that is known of it, on one line.
        description: String,
    },
    /// It was ended.
    HolderEnded {
        /// The ports.
        ports: Vec<u16>,
        /// The process.
        pid: u32,
        /// What it ran.
        exe: PathBuf,
    },
    /// A process of a MarketPrism was ended, as `--take-over` asked.
    TakenOver {
        /// What it did.
        part: Part,
        /// The process.
        pid: u32,
    },
    /// A service's process was started.
    Starting {
        /// The service.
        service: Service,
        /// Its process.
        pid: u32,
    },
    /// A service does not answer yet.
    Waiting {
        /// The service.
        service: Service,
        /// What its probe says.
        detail: String,
        /// Milliseconds since its start.
        ms: u64,
    },
    /// A service answers its probe.
    Ready {
        /// The service.
        service: Service,
        /// Milliseconds since its start.
        ms: u64,
    },
    /// A service ended against our will.
    Ended {
        /// The service.
        service: Service,
        /// How it ended.
        how: String,
        /// Its last log lines.
        log: Vec<String>,
        /// Milliseconds until it is started again; `None`: it is not.
        restart_ms: Option<u64>,
    },
    /// A service was asked to stop.
    Stopping {
        /// The service.
        service: Service,
    },
    /// A service did not stop in time and was killed.
    Killed {
        /// The service.
        service: Service,
        /// Milliseconds it had to drain.
        ms: u64,
    },
    /// A service has stopped; its lock and its ports are free.
    Stopped {
        /// The service.
        service: Service,
        /// Milliseconds since it was asked.
        ms: u64,
    },
}

/// Who shows events. Called from async code: it must not block.
pub trait Observer: Send {
    /// Takes one event.
    fn event(&mut self, event: &Event);

    /// Takes what is about to be done.
    fn planned(&mut self, _plan: &Plan) {}
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _event: &Event) {}
}
