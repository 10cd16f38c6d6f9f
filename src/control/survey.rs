//! A look at everything that runs in a home and stands in its way. Nothing is started and nothing is bound: a survey of a
//! broken home must not change it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use mprism_runtime::lock::{self, LockError, LockState};
use mprism_runtime::process::ProcessIdentity;

use super::client::{is_leftover, look};
use super::deployment::Deployment;
use super::error::{held, remedy};
use super::marketprism::{self, MarketPrism};
use super::paths::HomePaths;
use super::ports::{self, PortHolder, TakenPort};
use super::protocol::{Message, UnitStatus};
use super::rebuilding::Rebuilding;
use super::service::Service;
use super::state::State;

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The supervisor's process.
    pub supervisor: Option<u32>,
    /// What should be up, as the last supervisor knew it.
    pub desired: Vec<Service>,
    /// How every service is.
    pub units: Vec<UnitStatus>,
    /// Every port of ours and who listens there.
    pub ports: Vec<SurveyedPort>,
    /// Every lock of ours.
    pub locks: Vec<SurveyedLock>,
    /// How a rebuild of tables stands.
    pub rebuilding: Option<Rebuilding>,
    /// What runs of a MarketPrism.
    pub marketprism: Vec<MarketPrism>,
    /// Programs of the services that run, by service.
    pub programs: Vec<(Service, PathBuf)>,
}

/// A port of ours.
#[derive(Clone, Debug)]
pub struct SurveyedPort {
    /// Whose.
    pub service: Service,
    /// Where the service listens, or would.
    pub address: SocketAddr,
    /// Who listens there.
    pub holder: Option<PortHolder>,
    /// Whether that is the service that runs, or a leftover of it.
    pub is_ours: bool,
    /// Whether the service runs.
    pub is_running: bool,
}

/// A lock of ours.
#[derive(Clone, Debug)]
pub struct SurveyedLock {
    /// The file.
    pub path: PathBuf,
    /// Free, stale or held, or why it cannot be told.
    pub state: Result<LockState, String>,
}

impl SurveyedPort {
    /// Says who holds it, and the command that mends that.
    pub fn told(&self) -> Option<(String, Option<String>)> {
        let holder = self.holder.as_ref()?;
        let taken = TakenPort {
            address: self.address,
            holder: Some(holder.clone()),
            reason: String::new(),
        };
        Some((held(self.service, &taken), remedy(holder)))
    }
}

/// Looks at everything.
pub async fn survey(paths: &HomePaths, deployment: &Deployment) -> Survey {
    let state = State::load(&paths.state()).ok().flatten();
    let looked = look(paths, deployment).await;
    let (supervisor, units) = match super::client::ask_running(paths).await {
        Some(Message::Status { pid, units, .. }) => (Some(pid), super::client::merged(units, looked)),
        _ => (None, looked),
    };
    let mut survey = Survey {
        supervisor,
        desired: state.iter().flat_map(|state| state.desired.iter().copied()).collect(),
        rebuilding: Rebuilding::of(paths),
        marketprism: marketprism::marketprism(deployment),
        ..Survey::default()
    };
    for unit in deployment.units.iter().filter(|unit| unit.managed) {
        let pid = units
            .iter()
            .find(|found| found.name == unit.service)
            .and_then(|found| found.pid);
        survey.programs.extend(
            pid.and_then(ProcessIdentity::of)
                .map(|process| (unit.service, process.exe)),
        );
        let mut holders = ports::holders(&unit.listens);
        marketprism::mark(holders.iter_mut().flatten(), &survey.marketprism);
        for (address, holder) in unit.listens.iter().zip(holders) {
            let taken = TakenPort {
                address: *address,
                holder: holder.clone(),
                reason: String::new(),
            };
            let is_ours = is_leftover(&taken, unit, state.as_ref()) || (unit.container.is_some() && pid.is_some());
            survey.ports.push(SurveyedPort {
                service: unit.service,
                address: *address,
                holder,
                is_ours,
                is_running: pid.is_some(),
            });
        }
    }
    let locks = deployment
        .units
        .iter()
        .filter(|unit| unit.managed)
        .map(|unit| unit.lock.clone());
    let locks = locks.chain([paths.supervisor_lock(), paths.operation_lock()]);
    survey.locks = locks.map(|path| surveyed(&path)).collect();
    survey.units = units;
    survey
}

fn surveyed(path: &Path) -> SurveyedLock {
    SurveyedLock {
        path: path.to_path_buf(),
        state: lock::probe(path).map_err(|error: LockError| mprism_runtime::log::chain(&error)),
    }
}
