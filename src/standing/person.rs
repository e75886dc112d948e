//! The state of a person after each fact.

use super::{MembershipFact, Roster};
use crate::ids::{Scope, State, Time, TimeSource};

/// State and scope. They decide whether a fact is possible.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// `None` if nothing is known of the person.
    pub state: Option<State>,
    pub scope: Option<Scope>,
}

/// The state reached so far.
#[derive(Debug, Default)]
pub(super) struct Person {
    pub place: Place,
    pub joined: Option<(Time, TimeSource)>,
    joined_told: bool,
    pub changed: Option<(Time, TimeSource, Option<String>)>,
}

impl Place {
    /// Whether the fact is possible now. If nothing is known yet, every fact is possible.
    pub fn can(self, row: &MembershipFact) -> bool {
        let Some(now) = self.state else { return true };
        match row.state {
            Some(State::Joined) => !matches!(now, State::Joined | State::Banned),
            Some(State::Left | State::Kicked) => now == State::Joined,
            Some(State::Banned) => now != State::Banned,
            Some(State::Unbanned) => now == State::Banned,
            Some(State::Absent) => true,
            None => {
                now == State::Joined && (row.old_scope.is_none() || self.scope.is_none() || row.old_scope == self.scope)
            }
        }
    }

    /// The state after the fact, possible or not.
    pub fn after(self, row: &MembershipFact) -> Self {
        match (row.state, self.state) {
            (Some(State::Joined), _) => {
                Self { state: row.state, scope: row.scope.or(self.scope).or(Some(Scope::Participant)) }
            }
            (Some(_), _) => Self { state: row.state, scope: None },
            // A scope change or ownership proves a member nobody told of.
            (None, None | Some(State::Joined | State::Absent)) => {
                Self { state: Some(State::Joined), scope: row.scope.or(self.scope) }
            }
            // Who is known to be out stays out, and brings no scope back.
            (None, Some(_)) => self,
        }
    }
}

impl Person {
    pub fn apply(&mut self, row: &MembershipFact) {
        let before = self.place;
        self.place = before.after(row);
        match row.state {
            Some(State::Joined) => self.join(row),
            None if before.state == self.place.state => {}
            _ => self.forget_join(),
        }
        let joined = self.place.state == Some(State::Joined);
        if before.state != self.place.state || (joined && before.scope != self.place.scope) {
            let shown = if row.at.0 == 0 { row.occurred_at } else { row.at };
            self.changed = Some((shown, row.at_from, row.by.clone()));
        }
    }

    fn join(&mut self, row: &MembershipFact) {
        let dated = Some((row.at, row.at_from)).filter(|(at, _)| at.0 != 0);
        if let Some(at) = row.joined_at {
            self.joined = Some((at, TimeSource::Told));
            self.joined_told = true;
        } else if !self.joined_told {
            self.joined = match (self.joined, dated) {
                (Some(known), Some(new)) if new.0 < known.0 => Some(new),
                (known, new) => known.or(new),
            };
        }
    }

    fn forget_join(&mut self) {
        self.joined = None;
        self.joined_told = false;
    }

    /// A complete list did not name the person.
    pub fn miss(&mut self, roster: Roster) {
        let ends = match self.place.state {
            Some(State::Joined) => true,
            Some(State::Absent) | None => false,
            Some(_) => roster.created,
        };
        if ends {
            self.changed = Some((roster.at, TimeSource::Told, None));
        }
        if ends || self.place.state.is_none() {
            self.place = Place { state: Some(State::Absent), scope: None };
            self.forget_join();
        }
    }
}
