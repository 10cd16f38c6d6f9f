//! The steps of copying: what a crash may come between.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A step that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Step {
    /// Rows were copied, and nothing is proven yet.
    Copied,
    /// A window is proven, and nobody knows yet.
    Proven,
    /// The ledger knows.
    Noted,
    /// A partition was moved out of the hot store.
    Moved,
    /// What was moved is proven once more.
    LeavingProven,
    /// Its departure is noted.
    DepartureNoted,
    /// It is dropped.
    Dropped,
}

type Told = dyn Fn(Step, &str) + Send + Sync;

/// Told of each step of a table before the next one begins: for who watches copying, or ends it there.
#[derive(Clone, Default)]
pub struct StepObserver(Option<Arc<Told>>);

impl StepObserver {
    /// Makes one of a function that is told the step and the table.
    pub fn new(told: impl Fn(Step, &str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(crate) fn done(&self, step: Step, table: &str) {
        if let Some(told) = &self.0 {
            told(step, table);
        }
    }
}

impl fmt::Debug for StepObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StepObserver").field(&self.0.is_some()).finish()
    }
}
