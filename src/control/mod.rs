//! Observing and changing what runs in a home. It never prints and never reads settings.

mod client;
mod deployment;
mod error;
mod events;
mod harden;
mod log_tail;
mod offsets;
mod paths;
mod plan;
mod policy;
mod ports;
mod probe;
mod processes;
mod protocol;
mod service;
mod state;
pub mod supervisor;

pub use client::{Start, Stop, during, is_changing, is_supervised, last_deployment, observe_plan, start, status, stop};
pub use deployment::{Deployment, UnitSpec};
pub use error::ControlError;
pub use events::{Event, Observer, Silent};
pub use harden::harden;
pub use log_tail::last_lines;
pub use offsets::{ClaimedOffset, OFFSET_STEP, OffsetError, claim_free_offset};
pub use paths::HomePaths;
pub use plan::{Observed, ObservedUnit, Plan, Step, plan_start};
pub use policy::RestartPolicy;
pub use ports::{PortHolder, TakenPort};
pub use probe::{Answer, ProbeSpec, ask};
pub use protocol::{Action, Desired, Outcome, UnitState, UnitStatus};
pub use service::{Service, UnknownService};
