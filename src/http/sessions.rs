//! Who has signed in to the console.
//!
//! A browser sends a cookie to every port of a host, so the cookie never holds the token: it holds the random name of a
//! session, which opens pages, and `/graphql` for those of them that ask it. Nothing else is opened by it. Sessions are kept in memory: a restart signs everybody out.

use crate::ids::Time;
use crate::token;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long a session lasts, in milliseconds: twelve hours.
const LENGTH: i64 = 12 * 60 * 60 * 1000;
/// Sessions at once, of all tokens and of one. Beyond either the oldest ends.
const MOST: usize = 10_000;
const MOST_OF_TOKEN: usize = 100;

/// One browser that is signed in.
pub(super) struct Session {
    /// Id of the token that began it.
    pub token: i64,
    until: Time,
    ended: AtomicBool,
}

impl Session {
    /// Whether it goes on. Its token is another matter.
    pub fn is_open(&self, now: Time) -> bool {
        now < self.until && !self.ended.load(Ordering::Acquire)
    }
}

/// All sessions, by the hash of their names.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Arc<Session>>>);

impl Sessions {
    /// Begins a session; its name.
    pub fn begin(&self, token: i64, now: Time) -> anyhow::Result<String> {
        let name = token::random()?;
        let mut all = self.all();
        all.retain(|_, session| session.is_open(now));
        let is_of_token = |session: &Session| session.token == token;
        if all.values().filter(|session| is_of_token(session)).count() >= MOST_OF_TOKEN {
            end_oldest(&mut all, is_of_token);
        } else if all.len() >= MOST {
            end_oldest(&mut all, |_| true);
        }
        let session = Session { token, until: Time(now.0.saturating_add(LENGTH)), ended: AtomicBool::new(false) };
        all.insert(token::hash(&name), Arc::new(session));
        Ok(name)
    }

    /// The session of that name, while it goes on.
    pub fn find(&self, name: &str, now: Time) -> Option<Arc<Session>> {
        self.all().get(&token::hash(name)).filter(|session| session.is_open(now)).cloned()
    }

    /// Ends the session of that name, for pages that are open too.
    pub fn end(&self, name: &str) {
        if let Some(session) = self.all().remove(&token::hash(name)) {
            session.ended.store(true, Ordering::Release);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end_oldest(all: &mut HashMap<[u8; 32], Arc<Session>>, among: impl Fn(&Session) -> bool) {
    let candidates = all.iter().filter(|(_, session)| among(session));
    let Some(oldest) = candidates.min_by_key(|(_, session)| session.until).map(|(hash, _)| *hash) else { return };
    if let Some(session) = all.remove(&oldest) {
        session.ended.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_twelve_hours() {
        let (sessions, hour) = (Sessions::default(), 3_600_000);
        let name = sessions.begin(7, Time(0)).unwrap();
        assert_eq!(sessions.find(&name, Time(12 * hour - 1)).map(|session| session.token), Some(7));
        assert!(sessions.find(&name, Time(12 * hour)).is_none());
        assert!(sessions.find("", Time(0)).is_none() && sessions.find(&name[1..], Time(0)).is_none());
        let held = sessions.find(&name, Time(0)).unwrap();
        sessions.end(&name);
        assert!(!held.is_open(Time(0)) && sessions.find(&name, Time(0)).is_none());
    }

    #[test]
    fn one_token_does_not_end_the_sessions_of_another() {
        let sessions = Sessions::default();
        let other = sessions.begin(1, Time(0)).unwrap();
        let oldest = sessions.begin(2, Time(1)).unwrap();
        let rest: Vec<String> = (0..100).map(|n| sessions.begin(2, Time(2 + n)).unwrap()).collect();
        let now = Time(1_000);
        assert!(sessions.find(&oldest, now).is_none(), "the oldest of the same token makes room");
        assert!(rest.iter().chain([&other]).all(|name| sessions.find(name, now).is_some()));
    }

    #[test]
    fn the_number_of_sessions_is_bounded_and_those_that_are_over_do_not_count() {
        let sessions = Sessions::default();
        let first = sessions.begin(0, Time(0)).unwrap();
        for n in 1..=MOST as i64 {
            sessions.begin(n, Time(n)).unwrap();
        }
        assert_eq!(sessions.all().len(), MOST);
        assert!(sessions.find(&first, Time(1)).is_none());
        sessions.begin(1, Time(2 * LENGTH)).unwrap();
        assert_eq!(sessions.all().len(), 1);
    }
}
