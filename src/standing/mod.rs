//! A membership from its rows (contract 4.3): one pure function for the present, for `asOf` and for explanations.
//!
//! Members added carry no time, group rows are dated to the second, and joins come half a minute late. Comparing times
//! alone leaves every fifteenth membership wrong in bursts of acts; what can have happened in the state reached
//! decides between facts of one second.

use crate::ids::{Scope, State, Time, TimeSource};
use crate::merge::{Fact, When};

/// A told leave, kick or scope change waits this long for the join that must lie before it: joins arrive up to 30 s late.
const JOIN_DELAY: i64 = 30_000;

/// One fact about one person's place in one group. Neither state nor scope: the person became the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Order time; 0 where nothing dates the fact.
    pub at: Time,
    pub at_from: TimeSource,
    pub seq: i64,
    pub occurred_at: Time,
    pub received_at: Time,
    pub by: Option<String>,
    pub state: Option<State>,
    pub scope: Option<Scope>,
    pub old_scope: Option<Scope>,
    /// Where the fact itself tells it: the group's creation, or the vendor's API.
    pub joined_at: Option<Time>,
}

/// A complete member list: who has no row at its time was not in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roster {
    pub at: Time,
    /// The group's creation: its creator alone, whatever was before.
    pub created: bool,
}

/// What the rows say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub state: State,
    /// `None` unless joined.
    pub scope: Option<Scope>,
    pub joined_at: Option<Time>,
    /// With `joined_at`.
    pub joined_at_from: Option<TimeSource>,
    pub changed_at: Time,
    pub changed_at_from: TimeSource,
    pub changed_by: Option<String>,
}

/// The order time of a new fact about a membership, given the newest of its rows and the newest complete list. A fact
/// dated by its arrival is not older than the list read before it; a replayed one is ordered against what is known.
pub fn order_at(fact: &Fact, known: Option<i64>, roster: Option<i64>) -> i64 {
    match (fact.occurred_from, fact.when()) {
        (TimeSource::Arrival, When::At(time)) => time.0.max(roster.unwrap_or(0)),
        (_, when) => when.resolve(known.max(roster)),
    }
}

/// Folds the rows of one person in one group; any order will do. `None` without rows.
pub fn standing(rows: &[Change], rosters: &[Roster]) -> Option<Standing> {
    standing_telling(rows, rosters, |_| {})
}

/// Why a row or list was taken when it was (contract 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Rule 1: by its time.
    Order,
    /// Rule 2: one of several told rows of that time, as they are possible.
    Tied,
    /// Rule 3: a join taken before its turn, for the told row of this log position needs it.
    Early(i64),
    /// A complete list.
    Roster,
}

/// One row or list taken, and the state it met and left.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// `None`: a list.
    pub row: Option<&'a Change>,
    pub roster: Option<Roster>,
    pub turn: Turn,
    pub before: (Option<State>, Option<Scope>),
    pub after: (Option<State>, Option<Scope>),
}

/// The same, and tells each step, for explanations.
pub fn standing_telling(rows: &[Change], rosters: &[Roster], tell: impl FnMut(Step<'_>)) -> Option<Standing> {
    let mut rows: Vec<&Change> = rows.iter().collect();
    rows.sort_by_key(|row| (row.at.second(), row.at_from == TimeSource::Arrival, row.at, row.seq));
    let mut rosters: Vec<Roster> = rosters.to_vec();
    rosters.sort_by_key(|roster| roster.at);
    Fold { rows, rosters, used: Vec::new(), now: Person::default(), tell }.run()
}

struct Fold<'a, T> {
    rows: Vec<&'a Change>,
    rosters: Vec<Roster>,
    /// Joins taken before their turn.
    used: Vec<usize>,
    now: Person,
    tell: T,
}

/// The state reached.
#[derive(Debug, Default)]
struct Person {
    state: Option<State>,
    scope: Option<Scope>,
    joined: Option<(Time, TimeSource)>,
    joined_told: bool,
    changed: Option<(Time, TimeSource, Option<String>)>,
}

impl<T: FnMut(Step<'_>)> Fold<'_, T> {
    fn run(mut self) -> Option<Standing> {
        let mut at = 0;
        while at < self.rows.len() {
            self.take_rosters(Some(at));
            let row = self.rows[at];
            let tied =
                self.rows[at..].iter().take_while(|other| other.at == row.at && told(other) && told(row)).count();
            if tied > 1 {
                self.take_tied(at, at + tied);
                at += tied;
            } else {
                self.take(at);
                at += 1;
            }
        }
        self.take_rosters(None);
        let (changed_at, changed_at_from, changed_by) = self.now.changed?;
        let state = self.now.state?;
        let joined = state == State::Joined;
        Some(Standing {
            state,
            scope: self.now.scope.filter(|_| joined),
            joined_at: self.now.joined.filter(|_| joined).map(|(at, _)| at),
            joined_at_from: self.now.joined.filter(|_| joined).map(|(_, from)| from),
            changed_at,
            changed_at_from,
            changed_by,
        })
    }

    /// Rosters not later than the row at `next` (all, without one): the facts of its second follow it.
    fn take_rosters(&mut self, next: Option<usize>) {
        let due = match next {
            Some(at) => self.rosters.iter().take_while(|roster| roster.at <= self.rows[at].at).count(),
            None => self.rosters.len(),
        };
        for roster in self.rosters.drain(..due).collect::<Vec<_>>() {
            let listed = |row: &&Change| row.at == roster.at && told(row) && row.state == Some(State::Joined);
            // The creator too begins anew: the row of that second says so.
            if roster.created || !self.rows.iter().any(listed) {
                let before = self.now.place();
                self.now.miss(roster);
                let after = self.now.place();
                (self.tell)(Step { row: None, roster: Some(roster), turn: Turn::Roster, before, after });
            }
        }
    }

    /// Told rows of one time, taken as they are possible (rule 2).
    fn take_tied(&mut self, from: usize, to: usize) {
        let mut left: Vec<usize> = (from..to).collect();
        left.sort_by_key(|&index| self.rows[index].seq);
        let join = left.iter().any(|&index| self.rows[index].state == Some(State::Joined));
        let join = join || self.waiting(from, to).is_some();
        while !left.is_empty() {
            let scopes_first = !join && left.iter().any(|&index| self.rows[index].state.is_none());
            let candidate = |index: &&usize| !scopes_first || self.rows[**index].state.is_none();
            let next = left
                .iter()
                .filter(candidate)
                .find(|&&index| self.now.can(self.rows[index]))
                .or_else(|| left.iter().find(candidate))
                .copied()
                .unwrap_or(left[0]);
            left.retain(|&index| index != next);
            self.take_from(next, to, Turn::Tied);
        }
    }

    fn take(&mut self, index: usize) {
        self.take_from(index, index + 1, Turn::Order);
    }

    /// Takes the row at `index`, whose later rows begin at `later`; the join it waits for first (rule 3).
    fn take_from(&mut self, index: usize, later: usize, turn: Turn) {
        if self.used.contains(&index) {
            return;
        }
        let row = self.rows[index];
        let needs_join = told(row)
            && match row.state {
                None => row.scope.is_some(),
                Some(state) => matches!(state, State::Left | State::Kicked),
            };
        if needs_join
            && self.now.state.is_some_and(|state| state != State::Joined)
            && let Some(join) = self.waiting(index, later)
        {
            self.used.push(join);
            self.apply(join, Turn::Early(row.seq));
        }
        self.apply(index, turn);
    }

    fn apply(&mut self, index: usize, turn: Turn) {
        let (row, before) = (self.rows[index], self.now.place());
        self.now.apply(row);
        let after = self.now.place();
        (self.tell)(Step { row: Some(row), roster: None, turn, before, after });
    }

    /// The next join dated by its arrival, at most 30 s after the row at `index`.
    fn waiting(&self, index: usize, later: usize) -> Option<usize> {
        let at = self.rows[index].at;
        (later..self.rows.len())
            .find(|&next| {
                let join = self.rows[next];
                join.state == Some(State::Joined) && join.at_from == TimeSource::Arrival && !self.used.contains(&next)
            })
            .filter(|&next| self.rows[next].received_at.0 - at.0 <= JOIN_DELAY)
    }
}

fn told(row: &Change) -> bool {
    row.at_from == TimeSource::Told
}

impl Person {
    fn place(&self) -> (Option<State>, Option<Scope>) {
        (self.state, self.scope)
    }

    /// Whether the fact can happen now. While nothing is known, everything can.
    fn can(&self, row: &Change) -> bool {
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

    fn apply(&mut self, row: &Change) {
        let before = (self.state, self.scope);
        match row.state {
            Some(State::Joined) => self.join(row),
            Some(end) => self.end(end),
            None => {
                self.scope = row.scope.or(self.scope);
                // A scope change or ownership proves a member nobody told of.
                if matches!(self.state, None | Some(State::Absent)) {
                    self.state = Some(State::Joined);
                    self.joined = None;
                }
            }
        }
        let joined = self.state == Some(State::Joined);
        if before.0 != self.state || (joined && before.1 != self.scope) {
            let shown = if row.at.0 == 0 { row.occurred_at } else { row.at };
            self.changed = Some((shown, row.at_from, row.by.clone()));
        }
    }

    fn join(&mut self, row: &Change) {
        self.state = Some(State::Joined);
        self.scope = row.scope.or(self.scope).or(Some(Scope::Participant));
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

    fn end(&mut self, state: State) {
        self.state = Some(state);
        self.scope = None;
        self.joined = None;
        self.joined_told = false;
    }

    /// A complete list did not name the person.
    fn miss(&mut self, roster: Roster) {
        let ends = match self.state {
            Some(State::Joined) => true,
            Some(State::Absent) | None => false,
            Some(_) => roster.created,
        };
        if ends {
            self.changed = Some((roster.at, TimeSource::Told, None));
        }
        if ends || self.state.is_none() {
            self.end(State::Absent);
        }
    }
}

#[cfg(test)]
mod tests;
