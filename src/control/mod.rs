//! Observing and changing what runs in a home. It never prints and never reads settings.

mod audit;
mod broker_reach;
mod cgroup;
mod cleaning;
mod client;
mod consent;
mod deployment;
mod ending;
mod error;
mod events;
mod harden;
mod log_tail;
mod marketprism;
mod offsets;
mod paths;
mod plan;
mod policy;
mod port_plan;
mod ports;
mod probe;
mod processes;
mod protocol;
mod rebuilding;
mod service;
mod state;
pub mod supervisor;
mod survey;

pub use audit::{AuditEntry, append as append_audit, read as read_audit};
pub use broker_reach::{BrokerLogin, BrokerReach, Unreadable};
pub use cgroup::ControlGroup;
pub use cleaning::{CleanStep, Leftover, clean, plan_clean, plan_data};
pub use client::{
    Held, Replaced, Start, Stop, clear_ports, during, end_marketprism, hold, is_answering, is_changing, is_supervised,
    last_deployment, observe_plan, observe_plan_after, observe_restart, observe_stop, pause, plan_ports_of,
    replace_supervisor, start, status, stop,
};
pub use consent::Consent;
pub use deployment::{Deployment, UnitSpec};
pub use error::{ControlError, TAKE_OVER};
pub use events::{Event, Observer, Silent};
pub use harden::harden;
pub use log_tail::{file_tail, last_errors, last_lines};
pub use marketprism::{MarketPrism, Part, marketprism, option};
pub use offsets::{ClaimedOffset, OFFSET_STEP, OffsetError, claim_free_offset};
pub use paths::HomePaths;
pub use plan::{Observed, ObservedUnit, Plan, Step, plan_clear, plan_restart, plan_start, plan_stop};
pub use policy::RestartPolicy;
pub use port_plan::{Ending, PortPlan, plan_ports};
pub use ports::{PortHolder, TakenPort, our_group, our_user, taken as taken_ports};
pub use probe::{Answer, ProbeSpec, ask};
pub use processes::{GroupUsage, machine_memory, own_usage};
pub use protocol::{Action, Desired, Outcome, UnitState, UnitStatus};
pub use rebuilding::{Rebuilder, Rebuilding};
pub use service::{Service, UnknownService};
pub use survey::{Survey, SurveyedLock, SurveyedPort, survey};
