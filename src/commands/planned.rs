//! What commands that start and stop services would do, in the order in which they would do it.

use serde::{Serialize, Serializer};

use crate::commands::prepare;
use crate::commands::take_over::{Adoption, ItsContainer, SharedVolume, Tables};
use crate::control::{Plan, Service, Step};
use crate::report::{Page, Report};

/// One thing that would be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum PlannedStep {
    /// To the home, before anything starts.
    Home(prepare::Step),
    /// With what a MarketPrism leaves.
    Adopt(Adoption),
    /// With the volume of one that ran in a container.
    Share(SharedVolume),
    /// With the tables of one that ran in a container.
    Tables(Tables),
    /// To processes.
    Process(Box<Step>),
    /// To a container of a MarketPrism's: it is stopped, because that was asked for.
    #[serde(serialize_with = "take_over_container")]
    Container(Box<ItsContainer>),
}

fn take_over_container<S: Serializer>(its: &ItsContainer, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Tagged<'a> {
        step: &'static str,
        #[serde(flatten)]
        its: &'a ItsContainer,
    }
    let step = "take-over-container";
    Tagged { step, its }.serialize(serializer)
}

/// A plan as `--dry-run` shows it.
#[derive(Default, Serialize)]
pub(crate) struct Planned {
    dry_run: bool,
    plan: Vec<PlannedStep>,
    /// Services that a stop is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop: Vec<Service>,
}

impl Planned {
    pub(crate) fn new() -> Self {
        Self {
            dry_run: true,
            ..Self::default()
        }
    }

    /// Adds what the home needs before its services can start.
    pub(crate) fn home(mut self, steps: Vec<prepare::Step>) -> Self {
        self.plan.extend(steps.into_iter().map(PlannedStep::Home));
        self
    }

    /// Adds what is done with a MarketPrism that runs.
    pub(crate) fn take_over(mut self, steps: Vec<PlannedStep>) -> Self {
        self.plan.extend(steps);
        self
    }

    pub(crate) fn processes(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.plan
            .extend(steps.into_iter().map(|step| PlannedStep::Process(Box::new(step))));
        self
    }

    pub(crate) fn plan(self, plan: Plan) -> Self {
        self.processes(plan.steps)
    }

    pub(crate) fn stop(mut self, services: Vec<Service>) -> Self {
        self.stop = services;
        self
    }
}

impl Report for Planned {
    fn page(&self) -> Page {
        if self.plan.is_empty() {
            return Page::new().line("nothing to do");
        }
        self.plan.iter().fold(Page::new(), |page, step| {
            page.line(match step {
                PlannedStep::Home(step) => format!("would {step}"),
                PlannedStep::Adopt(adoption) => format!("would {adoption}"),
                PlannedStep::Tables(tables) => format!("would {tables}"),
                PlannedStep::Share(shared) => format!("would {shared}"),
                PlannedStep::Process(step) => process(step),
                PlannedStep::Container(its) => format!(
                    "would stop container {} of MarketPrism, its {} ({}), for good; it stays, with its volumes",
                    its.container,
                    its.part.text(),
                    its.image
                ),
            })
        })
    }
}

fn process(step: &Step) -> String {
    match step {
        Step::Keep { service } => format!("{service} runs already"),
        Step::External { service } => format!("{service} is run by somebody else"),
        Step::Absent { service } => format!("{service} is not part of this home"),
        Step::Leave { service } => format!("{service} is stopped already"),
        Step::EndLeftover(ending) => format!(
            "would end our leftover pid {} on a port of {}",
            ending.process.pid, ending.service
        ),
        Step::EndHolder(ending) => format!(
            "would end foreign pid {} {} of user {} on a port of {}",
            ending.process.pid,
            ending.process.exe.display(),
            ending.holder.user,
            ending.service
        ),
        Step::TakeOver(found) => format!(
            "would end the {} of MarketPrism, pid {} {}, which holds {}",
            found.part.text(),
            found.process.pid,
            found.process.exe.display(),
            found.proof.display()
        ),
        Step::Spawn { service } => format!("would start {service}"),
        Step::Stop { service } => format!("would stop {service}"),
    }
}
