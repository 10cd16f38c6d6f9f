//! Statements that run, under the query ids that their clients know.
//!
//! The library's interface has no query id: a statement wears a mark of ours, a comment before its text, by which the
//! library finds it again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::directive::Which;
use crate::exception::Exception;

/// All running statements.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    running: Mutex<HashMap<String, Query>>,
}

/// A running statement, as others see it.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) id: String,
    pub(crate) user: String,
    /// What its client calls it: the setting `log_comment`.
    comment: String,
    pub(crate) text: String,
    /// The comment that stands before its text. Nobody can wear another's: a client's own comments are gone by then.
    pub(crate) mark: String,
    ended: watch::Receiver<()>,
}

/// Held by a running statement; dropping it says that it ended, and frees its id.
#[derive(Debug)]
pub(crate) struct Running {
    queries: Arc<Queries>,
    id: String,
    _ended: watch::Sender<()>,
}

/// Makes an id for a statement whose client gave none: a UUID of version 4.
pub(crate) fn new_id() -> String {
    let random = rand::random::<u128>();
    // RFC 9562: four bits say the version, two the variant.
    let bits = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

impl Queries {
    /// Registers a statement that is about to run.
    ///
    /// # Errors
    /// Where one of this id runs.
    pub(crate) fn begin(
        self: &Arc<Self>,
        id: &str,
        (user, comment): (&str, &str),
        text: &str,
    ) -> Result<(Running, Query), Exception> {
        let (sender, ended) = watch::channel(());
        let query = Query {
            id: id.to_owned(),
            user: user.to_owned(),
            comment: comment.to_owned(),
            text: text.to_owned(),
            mark: format!("/* mprism {:032x} */", rand::random::<u128>()),
            ended,
        };
        match self.lock().entry(id.to_owned()) {
            Entry::Occupied(_) => {
                let message = format!("Query with id = {id} is already running");
                return Err(Exception::new(216, &message, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING"));
            }
            Entry::Vacant(free) => free.insert(query.clone()),
        };
        let running = Running {
            queries: Arc::clone(self),
            id: id.to_owned(),
            _ended: sender,
        };
        Ok((running, query))
    }

    /// Returns the running statements that are meant.
    pub(crate) fn find(&self, which: &Which) -> Vec<Query> {
        let running = self.lock();
        match which {
            Which::Ids(ids) => ids.iter().filter_map(|id| running.get(id).cloned()).collect(),
            Which::Comment(begin) => {
                let of_these = running
                    .values()
                    .filter(|query| query.comment.starts_with(begin.as_str()));
                of_these.cloned().collect()
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Query>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Query {
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    /// Returns when the statement has ended. Cancel safe.
    pub(crate) async fn ended(&mut self) {
        // Nothing is ever sent: an answer is the sender's end.
        while self.ended.changed().await.is_ok() {}
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.queries.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_while_its_statement_runs() {
        let queries = Arc::new(Queries::default());
        let (running, query) = queries.begin("a", ("default", "of a"), "SELECT 1").expect("free");
        assert_eq!(
            queries
                .begin("a", ("default", "of a"), "SELECT 2")
                .expect_err("taken")
                .code,
            216
        );
        let (_other, other) = queries.begin("b", ("default", "of b"), "SELECT 2").expect("free");
        assert_ne!(query.mark, other.mark);
        assert!(!query.has_ended());
        let found = |which: Which| queries.find(&which).len();
        assert_eq!(found(Which::Ids(vec!["a".into(), "none".into()])), 1);
        assert_eq!(
            (
                found(Which::Comment("of ".into())),
                found(Which::Comment("of b".into()))
            ),
            (2, 1)
        );
        drop(running);
        assert!(query.has_ended() && found(Which::Ids(vec!["a".into()])) == 0);
        queries.begin("a", ("default", "of a"), "SELECT 3").expect("free again");
    }
}
