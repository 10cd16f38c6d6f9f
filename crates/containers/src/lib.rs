//! Containers of a home through the Docker Engine's API: what is wanted (plain data), what is there, what has to be done
//! about it (pure), and doing exactly that.
//!
//! Nothing here knows what runs in a container. Whatever does not wear the home's label is somebody else's: it is told, and
//! never touched unless that was asked for. Every call has an end in time.

mod compose;
mod engine;
mod error;
mod execute;
mod here;
mod labelled;
mod observe;
mod others;
mod plan;
mod replace;
mod spec;

pub use compose::compose;
pub use engine::{DEFAULT_HOST, Engine, LogLine};
pub use error::ContainerError;
pub use execute::Pulling;
pub use labelled::{Kind, Labelled};
pub use observe::{FoundContainer, Observed, Owned};
pub use others::{Mounted, Other};
pub use plan::{Foreign, Plan, Step, plan_down, plan_stop, plan_up};
pub use spec::{
    Bind, CONFIGURATION_LABEL, Container, HOME_LABEL, Infrastructure, Logging, Network, OWNER_LABEL, Volume,
};
