//! Sessions: what a client set, and its temporary tables, from one request to the next.
//!
//! A session is mostly a list of settings that is applied anew for each request, so that a reader's connection can be
//! made read-only each time. Only temporary tables, which need the writer's credential, live in a connection of the
//! library that stays open.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::access::Role;
use crate::chdb::Connection;
use crate::exception::Exception;
use crate::request::SessionRequest;

/// Sessions a role may have.
const SESSIONS_MAX: usize = 256;
/// Longest text of all settings of a session, in bytes.
const SETTINGS_BYTES_MAX: usize = 16 << 10;

/// All open sessions. A reader never enters a writer's: the role is part of the key.
#[derive(Default)]
pub(crate) struct Sessions {
    known: Mutex<HashMap<Key, Slot>>,
}

type Key = (Role, String);

enum Slot {
    /// A statement of it runs.
    Locked,
    Idle {
        session: Session,
        since: Instant,
        until: Instant,
    },
}

/// What lasts from one request to the next.
#[derive(Default)]
pub(crate) struct Session {
    /// Names and values as they stood in `SET`.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) database: Option<String>,
    /// Holds the temporary tables, where there are any.
    pub(crate) connection: Option<Connection>,
}

/// A session that a request is in: locked until this is dropped.
pub(crate) struct Entered {
    sessions: Arc<Sessions>,
    key: Key,
    timeout: Duration,
    pub(crate) session: Session,
}

impl Sessions {
    /// Enters the session asked for, or opens it.
    ///
    /// # Errors
    /// Where a statement of it runs, where it has to exist and does not, and where there are too many.
    pub(crate) fn enter(self: &Arc<Self>, role: Role, asked: &SessionRequest) -> Result<Entered, Exception> {
        let now = Instant::now();
        let key = (role, asked.id.clone());
        let mut known = self.lock();
        let found = match known.entry(key.clone()) {
            Entry::Occupied(mut occupied) => match occupied.insert(Slot::Locked) {
                Slot::Locked => {
                    let message = format!("Session {} is locked by a concurrent client", asked.id);
                    return Err(Exception::new(373, &message, "SESSION_IS_LOCKED"));
                }
                Slot::Idle { session, until, .. } => Some(session).filter(|_| until > now),
            },
            Entry::Vacant(_) => None,
        };
        let session = match found {
            Some(session) => session,
            None if asked.check => {
                known.remove(&key);
                return Err(Exception::new(
                    372,
                    &format!("Session {} not found", asked.id),
                    "SESSION_NOT_FOUND",
                ));
            }
            None => {
                known.remove(&key);
                make_room(&mut known, role)?;
                known.insert(key.clone(), Slot::Locked);
                Session::default()
            }
        };
        Ok(Entered {
            sessions: Arc::clone(self),
            key,
            timeout: asked.timeout,
            session,
        })
    }

    /// Takes out the sessions that nobody used for as long as they asked. Dropping them closes connections: it blocks.
    pub(crate) fn take_idle(&self, now: Instant) -> Vec<Session> {
        let mut known = self.lock();
        let over: Vec<Key> = known
            .iter()
            .filter(|(_, slot)| matches!(slot, Slot::Idle { until, .. } if *until <= now))
            .map(|(key, _)| key.clone())
            .collect();
        let taken = over.iter().filter_map(|key| match known.remove(key) {
            Some(Slot::Idle { session, .. }) => Some(session),
            _ => None,
        });
        taken.collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the session that has been idle longest of those in which nothing was set: many clients open one and never use
/// it.
fn make_room(known: &mut HashMap<Key, Slot>, role: Role) -> Result<(), Exception> {
    if known.keys().filter(|(of, _)| *of == role).count() < SESSIONS_MAX {
        return Ok(());
    }
    let unused = known.iter().filter_map(|(key, slot)| match slot {
        Slot::Idle { session, since, .. } if key.0 == role && session.is_empty() => Some((*since, key.clone())),
        _ => None,
    });
    let Some((_, key)) = unused.min_by_key(|(since, _)| *since) else {
        let message = format!("There are {SESSIONS_MAX} sessions already");
        return Err(Exception::new(700, &message, "USER_SESSION_LIMIT_EXCEEDED"));
    };
    known.remove(&key);
    Ok(())
}

impl Session {
    /// Takes over what a `SET` said.
    ///
    /// # Errors
    /// Where a session would hold too much.
    pub(crate) fn set(&mut self, assignments: &[(String, String)]) -> Result<(), Exception> {
        let mut settings = self.settings.clone();
        for (name, value) in assignments {
            settings.retain(|(known, _)| known != name);
            if value != "DEFAULT" {
                settings.push((name.clone(), value.clone()));
            }
        }
        if settings.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>() > SETTINGS_BYTES_MAX {
            return Err(Exception::new(
                36,
                "The session holds too many settings",
                "BAD_ARGUMENTS",
            ));
        }
        self.settings = settings;
        Ok(())
    }

    /// Returns the settings that are parameters of statements.
    pub(crate) fn parameters(&self) -> Vec<(String, String)> {
        let parameters = self.settings.iter().filter(|(name, _)| name.starts_with("param_"));
        parameters.cloned().collect()
    }

    fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.database.is_none() && self.connection.is_none()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let now = Instant::now();
        let slot = Slot::Idle {
            session: std::mem::take(&mut self.session),
            since: now,
            until: now + self.timeout,
        };
        self.sessions.lock().insert(self.key.clone(), slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(id: &str, check: bool) -> SessionRequest {
        SessionRequest {
            id: id.to_owned(),
            timeout: Duration::from_secs(60),
            check,
        }
    }

    #[test]
    fn a_session_lasts_is_locked_and_ends() {
        let sessions = Arc::new(Sessions::default());
        let refused = |role, check| {
            sessions
                .enter(role, &asked("s", check))
                .map(|_| ())
                .expect_err("refused")
                .code
        };
        assert_eq!(refused(Role::Reader, true), 372);
        let mut entered = sessions
            .enter(Role::Reader, &asked("s", false))
            .map_err(|e| e.body())
            .expect("opened");
        assert_eq!(refused(Role::Reader, false), 373);
        assert_eq!(refused(Role::Writer, true), 372, "a reader's session is not a writer's");
        entered
            .session
            .set(&[("a".into(), "1".into()), ("b".into(), "2".into())])
            .expect("little");
        entered.session.set(&[("a".into(), "DEFAULT".into())]).expect("less");
        entered
            .session
            .set(&[("c".into(), "x".repeat(SETTINGS_BYTES_MAX))])
            .expect_err("too much");
        drop(entered);
        let entered = sessions
            .enter(Role::Reader, &asked("s", true))
            .map_err(|e| e.body())
            .expect("known");
        assert_eq!(entered.session.settings, [("b".to_owned(), "2".to_owned())]);
        assert!(
            sessions.take_idle(Instant::now() + Duration::from_secs(61)).is_empty(),
            "it is in use"
        );
        drop(entered);
        assert!(sessions.take_idle(Instant::now()).is_empty());
        assert_eq!(sessions.take_idle(Instant::now() + Duration::from_secs(61)).len(), 1);
        assert_eq!(refused(Role::Reader, true), 372);
    }

    #[test]
    fn sessions_are_bounded_and_unused_ones_make_room() {
        let sessions = Arc::new(Sessions::default());
        let enter = |n: usize| sessions.enter(Role::Reader, &asked(&n.to_string(), false));
        for n in 0..SESSIONS_MAX + 10 {
            drop(enter(n).map_err(|e| e.body()).expect("unused ones make room"));
        }
        assert_eq!(sessions.lock().len(), SESSIONS_MAX);
        let held: Vec<_> = (1_000..1_000 + SESSIONS_MAX)
            .map(|n| enter(n).map_err(|e| e.body()).expect("room"))
            .collect();
        assert_eq!(enter(5_000).map(|_| ()).expect_err("full").code, 700);
        sessions
            .enter(Role::Writer, &asked("w", false))
            .map_err(|e| e.body())
            .expect("writers have their own");
        drop(held);
    }
}
