//! Memberships: what the rows say against what is true, now and at every instant between two acts.

use super::arena::Arena;
use super::world::{Place, World, second};
use chatfold::ids::{Scope, State, TimeSource};
use chatfold::standing::{MembershipFact, Roster, Standing, standing};
use chatfold::store::sqlite::{App, group, membership};
use std::ops::AddAssign;

/// How many memberships were looked at, and how many of them were wrong.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub now: (usize, usize),
    /// Of these, in state, and in scope alone.
    pub members: (usize, usize),
    pub scopes: (usize, usize),
    pub past: (usize, usize),
    /// Wrong now if times alone decided.
    pub by_time: (usize, usize),
    /// What was wrong.
    pub wrong_now: Vec<String>,
    pub wrong_past: Vec<String>,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.now = (self.now.0 + other.now.0, self.now.1 + other.now.1);
        self.members = (self.members.0 + other.members.0, self.members.1 + other.members.1);
        self.scopes = (self.scopes.0 + other.scopes.0, self.scopes.1 + other.scopes.1);
        self.past = (self.past.0 + other.past.0, self.past.1 + other.past.1);
        self.by_time = (self.by_time.0 + other.by_time.0, self.by_time.1 + other.by_time.1);
        self.wrong_now.extend(other.wrong_now);
        self.wrong_past.extend(other.wrong_past);
    }
}

pub fn percent((seen, wrong): (usize, usize)) -> f64 {
    if seen == 0 { 0.0 } else { wrong as f64 * 100.0 / seen as f64 }
}

/// What counts: state and scope. Nobody heard of is not in.
fn shown(standing: Option<&Standing>) -> (State, Option<Scope>) {
    standing.map_or((State::Absent, None), |standing| (standing.state, standing.scope))
}

fn truth(place: Option<&Place>) -> (State, Option<Scope>) {
    place.map_or((State::Absent, None), |place| (place.state, place.scope))
}

/// The rows of one person in one group, and the group's rosters.
struct Facts {
    rows: Vec<MembershipFact>,
    rosters: Vec<Roster>,
}

impl Facts {
    fn of(arena: &Arena, app: &str, guid: &str, uid: &str) -> Self {
        let app = App::from(app);
        let facts = membership::load_facts(arena.conn(), &(App::clone(&app), guid.to_owned(), uid.to_owned())).unwrap();
        let rows = facts.unwrap_or_default().0.iter().map(|told| told.change.clone()).collect();
        let rosters = group::load_rosters(arena.conn(), &(app, guid.to_owned())).unwrap().unwrap_or_default();
        Self { rows, rosters: rosters.lists() }
    }

    fn as_of(&self, at: i64) -> Option<Standing> {
        let rows: Vec<MembershipFact> = self.rows.iter().filter(|row| row.at.0 <= at).cloned().collect();
        let rosters: Vec<Roster> = self.rosters.iter().filter(|roster| roster.at.0 <= at).copied().collect();
        standing(&rows, &rosters)
    }
}

impl Facts {
    /// What the newest row by time, then log, says.
    fn by_time(&self) -> (State, Option<Scope>) {
        let mut rows = self.rows.clone();
        rows.sort_by_key(|row| (row.at, row.seq));
        let fold = |(state, scope): (State, Option<Scope>), row: &MembershipFact| match row.state {
            Some(State::Joined) => (State::Joined, row.scope.or(scope).or(Some(Scope::Participant))),
            Some(end) => (end, None),
            None => (state, row.scope.or(scope)),
        };
        let (state, scope) = rows.iter().fold((State::Absent, None), fold);
        (state, scope.filter(|_| state == State::Joined))
    }
}

/// Compares all memberships of an app with the truth. An error: `members(asOf: now)` is not `members`.
pub fn memberships(arena: &Arena, app: &str, world: &World) -> Result<Tally, String> {
    const TABLE: &str = "SELECT guid, uid, state, scope, joined_at, changed_at, changed_at_from, changed_by, current
                         FROM memberships WHERE app_id = ?1";
    let mut table = arena.rows(app, TABLE);
    let mut as_of_now = Vec::new();
    let mut tally = Tally::default();
    for ((guid, uid), places) in &world.places {
        let facts = Facts::of(arena, app, guid, uid);
        let now = facts.as_of(i64::MAX);
        as_of_now.extend(now.as_ref().map(|now| line(guid, uid, now)));
        let told = |at: &str, is: Option<&Standing>, was: Option<&Place>| {
            let mut rows: Vec<String> = facts.rows.iter().map(|row| format!("  {row:?}")).collect();
            rows.extend(
                places.iter().map(|it| format!("  in truth {} {:?} {:?} told: {}", it.at, it.state, it.scope, it.told)),
            );
            format!("{app} {guid} {uid} {at}: {:?}, in truth {:?}\n{}", shown(is), truth(was), rows.join("\n"))
        };
        tally.now.0 += 1;
        let (is, was) = (shown(now.as_ref()), truth(places.last()));
        tally.members = (tally.members.0 + 1, tally.members.1 + usize::from(is.0 != was.0));
        tally.scopes = (tally.scopes.0 + 1, tally.scopes.1 + usize::from(is.0 == was.0 && is.1 != was.1));
        if is != was {
            tally.now.1 += 1;
            tally.wrong_now.push(told("now", now.as_ref(), places.last()));
        }
        tally.by_time.0 += 1;
        tally.by_time.1 += usize::from(facts.by_time() != truth(places.last()));
        for act in &world.acts {
            let at = second(*act) * 1000 - 1;
            let was = places.iter().rfind(|place| place.at <= at);
            let is = facts.as_of(at);
            if was.is_none() && is.is_none() {
                continue;
            }
            tally.past.0 += 1;
            if shown(is.as_ref()) != truth(was) {
                tally.past.1 += 1;
                tally.wrong_past.push(told(&format!("as of {at}"), is.as_ref(), was));
            }
        }
    }
    table.sort();
    as_of_now.sort();
    if table == as_of_now { Ok(tally) } else { Err(format!("members {table:#?}\nas of now {as_of_now:#?}")) }
}

fn line(guid: &str, uid: &str, it: &Standing) -> String {
    let or_null = |text: Option<String>| text.unwrap_or_else(|| "null".into());
    let current = i64::from(it.state == State::Joined);
    format!(
        "{guid}|{uid}|{}|{}|{}|{}|{}|{}|{current}",
        it.state.as_str(),
        or_null(it.scope.map(|scope| scope.as_str().to_owned())),
        or_null(it.joined_at.map(|at| at.0.to_string())),
        it.changed_at.0,
        it.changed_at_from.as_str(),
        or_null(it.changed_by.clone()),
    )
}

/// When, by whom and since when, where acts are seconds apart: told times to the second, others not later than `late`.
pub fn details(arena: &Arena, app: &str, world: &World, late: i64) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((guid, uid), places) in &world.places {
        let Some(is) = Facts::of(arena, app, guid, uid).as_of(i64::MAX) else { continue };
        let Some(place) = places.last() else { continue };
        let near = |shown: i64, at: i64, told: bool| {
            let latest = if told { at } else { at + late };
            (second(at) * 1000..=second(latest) * 1000).contains(&shown)
        };
        let from = if place.told { TimeSource::Told } else { TimeSource::Arrival };
        let joined = match (is.joined_at, place.joined) {
            (Some(shown), Some((at, told))) => near(shown.0, at, told),
            (None, None) => true,
            _ => false,
        };
        let changed = near(is.changed_at.0, place.at, place.told) && is.changed_at_from == from;
        if !joined || !changed || is.changed_by != place.by {
            wrong.push(format!("{guid} {uid}: {is:?}, in truth {place:?}"));
        }
    }
    wrong
}
