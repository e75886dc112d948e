//! The standing of a person in a group, computed from the facts about the membership (contract 4.3): one pure function
//! for the present, for `asOf` and for explanations.
//!
//! Facts are hard to order: added members carry no time, group rows have a time in whole seconds, and joins arrive half
//! a minute late. If only times are compared, every fifteenth membership is wrong after a burst of acts. So between
//! facts of one second, the function asks which of them are possible in the state reached.

mod lists;
mod periods;
mod person;
mod turns;

pub use lists::Roster;
pub use periods::{Period, periods};

use crate::ids::{Scope, State, Time, TimeSource};
use crate::merge::{Fact, When};
use lists::{Listed, is_of, listings};
use person::{Person, Place};
use std::collections::VecDeque;
use std::iter::Peekable;
use std::slice::Iter;

/// A join without a time may have happened before a fact with a time if the join arrived at most this long after it:
/// joins arrive up to 30 s late.
const JOIN_DELAY: i64 = 30_000;
/// Most joins that may be taken before one fact with a time.
const JOINS: usize = 3;

/// One fact about one person's place in one group. A fact with neither state nor scope says that the person became the
/// owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipFact {
    /// Order time; 0 if the time is not known.
    pub at: Time,
    pub at_from: TimeSource,
    pub seq: i64,
    pub occurred_at: Time,
    /// For `arrival` facts: when the fact arrived, by the vendor's clock.
    pub arrived_at: Option<Time>,
    /// When the group that the fact names was created, if the fact says so.
    pub group_created_at: Option<Time>,
    pub by: Option<String>,
    pub state: Option<State>,
    pub scope: Option<Scope>,
    pub old_scope: Option<Scope>,
    /// The time of the join, if the fact itself has it: the group's creation, or the vendor's API.
    pub joined_at: Option<Time>,
}

/// What all facts about a membership come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub state: State,
    /// `None` unless the person is a member.
    pub scope: Option<Scope>,
    pub joined_at: Option<Time>,
    /// How `joined_at` is known.
    pub joined_at_from: Option<TimeSource>,
    pub changed_at: Time,
    pub changed_at_from: TimeSource,
    pub changed_by: Option<String>,
}

impl Standing {
    /// Whether the person is in the group.
    pub fn is_current(&self) -> bool {
        self.state == State::Joined
    }

    /// The standing of everybody who was in the group, or had left it, when the group was created again.
    pub fn ended_by_creation(at: Time) -> Self {
        Self {
            state: State::Absent,
            scope: None,
            joined_at: None,
            joined_at_from: None,
            changed_at: at,
            changed_at_from: TimeSource::Told,
            changed_by: None,
        }
    }
}

/// A list at `list` cannot change the order of facts before this time, because the list comes after all of them.
pub fn touched_since(list: Time) -> Time {
    // A told row is taken together with joins of the next 30 s, which go by their second.
    Time(list.0.saturating_sub(JOIN_DELAY + 1_000))
}

/// The order time of a new fact about a membership, given its newest fact and the newest list read from the vendor's
/// API (a group's creation is not such a list). A fact dated by its arrival is not older than the list read before it.
/// A fact of a replay is ordered after what is known.
pub fn order_at(fact: &Fact, known: Option<i64>, roster: Option<i64>) -> i64 {
    match (fact.occurred_from, fact.when()) {
        (TimeSource::Arrival, When::At(time)) => time.0.max(roster.unwrap_or(0)),
        (_, when) => when.resolve(known.max(roster)),
    }
}

/// Folds the facts of one person in one group, in any order. `None` without facts.
pub fn standing<'a>(rows: impl IntoIterator<Item = &'a MembershipFact>, rosters: &[Roster]) -> Option<Standing> {
    standing_telling(rows, rosters, |_| {})
}

/// Why a fact or list has its place in the order (contract 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Rule 1: it is taken by its time.
    Order,
    /// Rule 1: it names the earlier group, so it is taken before the group was created again.
    Earlier,
    /// Rule 2: several facts have this time. They are taken in the order in which most of them are possible.
    Tied,
    /// Rule 2: a join taken before the fact at this log position, because more facts are possible in this order.
    Early(i64),
    /// A complete list.
    Roster,
}

/// One fact or list taken, with the state before it and after it.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// `None` for a list.
    pub row: Option<&'a MembershipFact>,
    pub roster: Option<Roster>,
    pub turn: Turn,
    pub before: (Option<State>, Option<Scope>),
    pub after: (Option<State>, Option<Scope>),
}

/// Does the same as [`standing`], and passes each step to `tell`, for explanations.
pub fn standing_telling<'a>(
    rows: impl IntoIterator<Item = &'a MembershipFact>,
    rosters: &[Roster],
    tell: impl FnMut(Step<'_>),
) -> Option<Standing> {
    let items = lay(rows, rosters);
    Fold { taken: vec![false; items.len()], items, now: Person::default(), tell }.run()
}

/// A fact or list at the place that rule 1 gives it.
#[derive(Clone, Copy)]
enum Item<'a> {
    /// `earlier`: the fact belongs before the group's new creation, although its time is later.
    Row {
        row: &'a MembershipFact,
        earlier: bool,
    },
    Roster(Roster, Listed<'a>),
}

/// Rule 1: facts by time. Within one second, facts without a time come after facts with a time. Lists come before the
/// facts of their time. A fact without a time that names the group created earlier comes before the next creation.
fn lay<'a>(rows: impl IntoIterator<Item = &'a MembershipFact>, rosters: &[Roster]) -> Vec<Item<'a>> {
    let mut rosters = rosters.to_vec();
    rosters.sort_by_key(|roster| roster.at);
    let rows: Vec<&MembershipFact> = rows.into_iter().collect();
    let listings = listings(&rows, &rosters);
    let rows = rows.into_iter().filter(|row| !rosters.iter().any(|roster| is_of(roster, row)));
    let creations: Vec<usize> = (0..rosters.len()).filter(|at| rosters[*at].created).collect();
    let ended_by = |row: &MembershipFact| {
        let made = row.group_created_at.filter(|_| !told(row))?;
        let next = creations.get(creations.partition_point(|at| rosters[*at].at <= made))?;
        Some(*next).filter(|next| rosters[*next].at.second() <= row.at.second())
    };
    let mut sorted: Vec<(Option<usize>, &MembershipFact)> = rows.map(|row| (ended_by(row), row)).collect();
    sorted.sort_by_key(|(ended_by, row)| (*ended_by, row.at.second(), !told(row), row.at, row.seq));
    let (dated, earlier) = sorted.split_at(sorted.partition_point(|(ended_by, _)| ended_by.is_none()));
    let mut earlier = earlier.iter().peekable();
    let mut due = rosters.iter().enumerate().peekable();
    let mut items = Vec::with_capacity(sorted.len() + rosters.len());
    for &(_, row) in dated {
        while let Some((index, roster)) = due.next_if(|(_, roster)| roster.at <= row.at) {
            end_of(index, &mut earlier, &mut items);
            items.push(Item::Roster(*roster, listings[index]));
        }
        items.push(Item::Row { row, earlier: false });
    }
    for (index, roster) in due {
        end_of(index, &mut earlier, &mut items);
        items.push(Item::Roster(*roster, listings[index]));
    }
    items
}

/// The facts that the list at `index` ends.
fn end_of<'a>(
    index: usize,
    earlier: &mut Peekable<Iter<'_, (Option<usize>, &'a MembershipFact)>>,
    items: &mut Vec<Item<'a>>,
) {
    while let Some(&(_, row)) = earlier.next_if(|(ended_by, _)| *ended_by == Some(index)) {
        items.push(Item::Row { row, earlier: true });
    }
}

struct Fold<'a, T> {
    items: Vec<Item<'a>>,
    /// Which facts are taken already, by index.
    taken: Vec<bool>,
    now: Person,
    tell: T,
}

impl<'a, T: FnMut(Step<'_>)> Fold<'a, T> {
    fn run(mut self) -> Option<Standing> {
        for at in 0..self.items.len() {
            match self.items[at] {
                _ if self.taken[at] => {}
                Item::Roster(roster, listed) => self.take_roster(roster, listed),
                Item::Row { row, .. } if told(row) => self.take_told(at),
                Item::Row { earlier, .. } => self.take(at, if earlier { Turn::Earlier } else { Turn::Order }),
            }
        }
        let (changed_at, changed_at_from, changed_by) = self.now.changed?;
        let Place { state, scope } = self.now.place;
        let state = state?;
        let joined = self.now.joined.filter(|_| state == State::Joined);
        Some(Standing {
            state,
            scope: scope.filter(|_| state == State::Joined),
            joined_at: joined.map(|(at, _)| at),
            joined_at_from: joined.map(|(_, from)| from),
            changed_at,
            changed_at_from,
            changed_by,
        })
    }

    /// The creator of a group begins anew, too: the fact of that second says so.
    fn take_roster(&mut self, roster: Roster, listed: Listed<'_>) {
        let before = self.now.place;
        match listed {
            Listed::In(row) => {
                self.now.apply(&MembershipFact { at: roster.at, ..row.clone() });
                // A list that says once more what an earlier one said is no step.
                if before == self.now.place && row.at != roster.at {
                    return;
                }
            }
            Listed::Out => self.now.miss(roster),
            Listed::Unknown => return,
        }
        self.tell(None, Some(roster), Turn::Roster, before);
    }

    fn take(&mut self, index: usize, turn: Turn) {
        let Item::Row { row, .. } = self.items[index] else { return };
        let before = self.now.place;
        self.taken[index] = true;
        self.now.apply(row);
        self.tell(Some(row), None, turn, before);
    }

    fn tell(&mut self, row: Option<&MembershipFact>, roster: Option<Roster>, turn: Turn, before: Place) {
        let after = self.now.place;
        let (before, after) = ((before.state, before.scope), (after.state, after.scope));
        (self.tell)(Step { row, roster, turn, before, after });
    }

    fn row(&self, index: usize) -> Option<&'a MembershipFact> {
        if let Item::Row { row, .. } = self.items[index] { Some(row) } else { None }
    }

    /// Rule 2: takes the fact at `first`, the facts of the same time, and the joins that may come before the last of
    /// them.
    fn take_told(&mut self, first: usize) {
        let Some(at) = self.row(first).map(|row| row.at) else { return };
        let tied = |index: &usize| self.row(*index).is_some_and(|row| told(row) && row.at == at);
        let mut left: Vec<usize> = (first..self.items.len()).take_while(tied).collect();
        let turn = if left.len() > 1 { Turn::Tied } else { Turn::Order };
        let mut joins = self.waiting(first + left.len(), at);
        if left.len() + joins.len() > turns::MOST {
            return self.take_many(left, &joins);
        }
        while !left.is_empty() {
            let order = if self.now.place.state.is_some() {
                self.best(&left, &joins)
            } else {
                self.earliest(&left, &joins).into_iter().collect()
            };
            for (place, &index) in order.iter().enumerate() {
                let is_join = joins.contains(&index);
                let needed_by = order[place..].iter().chain(&left).find(|next| left.contains(next));
                let needed_by = needed_by.and_then(|next| self.row(*next)).map(|row| row.seq);
                self.take(index, needed_by.filter(|_| is_join).map_or(turn, Turn::Early));
                left.retain(|other| *other != index);
                joins.retain(|other| *other != index);
            }
        }
    }

    /// The facts left, and the joins they need, in the order in which most of them are possible.
    fn best(&self, left: &[usize], joins: &[usize]) -> Vec<usize> {
        if let ([only], []) = (left, joins) {
            return vec![*only];
        }
        let rows =
            |indices: &[usize]| -> Vec<&MembershipFact> { indices.iter().filter_map(|at| self.row(*at)).collect() };
        let order = turns::best(self.now.place, &rows(left), &rows(joins));
        order.into_iter().filter_map(|at| left.iter().chain(joins).nth(at).copied()).collect()
    }

    /// The first fact in the log that is possible, else the first of the facts with a time.
    fn earliest(&self, left: &[usize], joins: &[usize]) -> Option<usize> {
        let rows = |indices: &[usize]| -> Vec<(usize, &MembershipFact)> {
            indices.iter().filter_map(|at| Some((*at, self.row(*at)?))).collect()
        };
        let possible = rows(left).into_iter().chain(rows(&joins[..joins.len().min(1)]));
        let possible = possible.filter(|(_, row)| self.now.place.can(row)).min_by_key(|(_, row)| row.seq);
        possible.or_else(|| rows(left).into_iter().min_by_key(|(_, row)| row.seq)).map(|(at, _)| at)
    }

    /// For more facts than are searched for their best order: takes the first possible fact in the log, else the first
    /// fact with a time, again and again. Facts of one kind are possible in the same places, so only the first of each
    /// kind is looked at.
    fn take_many(&mut self, left: Vec<usize>, mut joins: &[usize]) {
        let mut kinds: Vec<(Kind, VecDeque<usize>)> = Vec::new();
        for index in left {
            let Some(row) = self.row(index) else { continue };
            match kinds.iter_mut().find(|(kind, _)| *kind == kind_of(row)) {
                Some((_, rows)) => rows.push_back(index),
                None => kinds.push((kind_of(row), VecDeque::from([index]))),
            }
        }
        loop {
            let firsts: Vec<usize> = kinds.iter().filter_map(|(_, rows)| rows.front().copied()).collect();
            let Some(&needed_by) = firsts.iter().min() else { return };
            let Some(index) = self.earliest(&firsts, joins) else { return };
            if let Some((_, later)) = joins.split_first().filter(|(first, _)| **first == index) {
                joins = later;
                self.take(index, self.row(needed_by).map_or(Turn::Tied, |row| Turn::Early(row.seq)));
            } else {
                self.take(index, Turn::Tied);
                for (_, rows) in &mut kinds {
                    rows.pop_front_if(|first| *first == index);
                }
            }
        }
    }

    /// The next joins without a time that arrived at most 30 s after a fact with a time, from an index on.
    fn waiting(&self, from: usize, at: Time) -> Vec<usize> {
        let mut joins = Vec::new();
        for index in from..self.items.len() {
            match self.items[index] {
                Item::Roster(roster, _) if roster.at.0 - at.0 > JOIN_DELAY => break,
                Item::Row { row, earlier: false } if row.at.second().0 - at.0 > JOIN_DELAY => break,
                Item::Row { row, .. } if !self.taken[index] && may_precede(row, at) => joins.push(index),
                _ => {}
            }
            if joins.len() == JOINS {
                break;
            }
        }
        joins
    }
}

/// What decides whether a fact is possible: see [`Place::can`].
type Kind = (Option<State>, Option<Scope>);

fn kind_of(row: &MembershipFact) -> Kind {
    (row.state, row.old_scope.filter(|_| row.state.is_none()))
}

/// Whether the join has no time, and arrived so soon after `at` that it may have happened before.
fn may_precede(row: &MembershipFact, at: Time) -> bool {
    let came = match row.at_from {
        TimeSource::Told => return false,
        TimeSource::Arrival => row.arrived_at.unwrap_or(row.occurred_at),
        TimeSource::Feed => row.occurred_at,
    };
    // It did not happen before its group was made.
    let made = row.group_created_at.is_none_or(|made| made.second() <= at.second());
    row.state == Some(State::Joined) && came.0 - at.0 <= JOIN_DELAY && made
}

fn told(row: &MembershipFact) -> bool {
    row.at_from == TimeSource::Told
}

#[cfg(test)]
mod tests;
