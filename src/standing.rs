//! A membership from its rows (contract 4.3).

use crate::ids::{Scope, State, Time, TimeSource};

/// One fact about a person's place in a group.
pub struct Change {
    pub at: Time,
    pub at_from: TimeSource,
    pub seq: i64,
    pub occurred_at: Time,
    pub received_at: Time,
    pub by: Option<String>,
    pub state: Option<State>,
    pub scope: Option<Scope>,
    pub old_scope: Option<Scope>,
    pub joined_at: Option<Time>,
}

/// A complete member list.
pub struct Roster {
    pub at: Time,
    pub created: bool,
}

/// Where the person stands.
pub struct Standing {
    pub state: State,
    pub scope: Option<Scope>,
    pub joined_at: Option<Time>,
    pub changed_at: Time,
    pub changed_at_from: TimeSource,
    pub changed_by: Option<String>,
}

/// The newest state and scope told; the rules of contract 4.3 replace it.
pub fn standing(rows: &[Change], _rosters: &[Roster]) -> Option<Standing> {
    let last = rows
        .iter()
        .rev()
        .find(|row| row.state.is_some() || row.scope.is_some())?;
    let state = rows
        .iter()
        .rev()
        .find_map(|row| row.state)
        .unwrap_or(State::Joined);
    let scope = rows
        .iter()
        .rev()
        .find_map(|row| row.scope)
        .unwrap_or(Scope::Participant);
    let joined = state == State::Joined;
    Some(Standing {
        state,
        scope: joined.then_some(scope),
        joined_at: rows
            .iter()
            .find(|row| joined && row.state == Some(State::Joined))
            .map(|row| row.joined_at.unwrap_or(row.at)),
        changed_at: last.at,
        changed_at_from: last.at_from,
        changed_by: last.by.clone(),
    })
}
