//! Terms that several tasks read and whoever learns something writes.

use std::sync::{Arc, PoisonError, RwLock};

use mprism_model::InstrumentId;

use super::{Term, Terms};

/// What is known of a venue's instruments, now.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedTerms(Arc<RwLock<Arc<Terms>>>);

impl SharedTerms {
    /// Returns what is known now.
    pub(crate) fn now(&self) -> Arc<Terms> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what somebody learnt.
    pub(crate) fn learn(&self, learnt: Vec<(InstrumentId, Term)>) {
        let mut terms = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Terms::clone(&terms);
        learnt
            .into_iter()
            .for_each(|(instrument, term)| changed.set(instrument, term));
        *terms = Arc::new(changed);
    }
}
