//! A group: its profile, its creations and deletions, and what is known of its members as a whole.

use crate::change::{self, MemberList};
use crate::drift::{Drift, NEAR, Report, Tally};
use crate::ids::{Time, TimeSource};
use crate::lifecycle::Lifecycle;
use crate::merge::{Fact, Row, Telling};
use crate::standing;

const REPORTED: usize = change::Group::place("reported_members_count");
/// The owner as facts about the owner tell.
pub const OWNER: usize = change::Group::place("owner");
/// The owner as copies of the group in other events say.
pub const OWNER_COPY: usize = change::Group::place("owner_copy");

/// The field of a profile that tells the owner. Copies count until the owner is told (contract 4.3).
pub fn owner_field(profile: &Row) -> usize {
    if profile.keys[OWNER].is_some() { OWNER } else { OWNER_COPY }
}

/// A group as merged so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub row: Row,
    pub lifecycle: Lifecycle,
    /// Number of present members.
    pub members_count: i64,
    /// Time of its creation or of its first complete list. `None`: only members in events are known.
    pub members_known_since: Option<i64>,
    /// Time of the earliest fact or list about its members.
    pub history_since: Option<i64>,
    /// Whether the number of members differs from what CometChat says.
    pub tally: Tally,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            row: Row::new(change::Group::COLUMNS.len()),
            lifecycle: Lifecycle::default(),
            members_count: 0,
            members_known_since: None,
            history_since: None,
            tally: Tally::default(),
        }
    }
}

impl Group {
    /// Merges what a fact tells of the profile.
    pub fn apply(&mut self, telling: Telling) {
        self.row.merge(change::Group::RULES, telling);
    }

    /// The group was created: the list with only its creator is complete, and a deleted group exists again.
    pub fn create(&mut self, at: Time) {
        self.lifecycle.created.insert(at.0);
        self.hear_list(at);
    }

    /// The group, made at this time, exists: one that was deleted before exists again.
    pub fn exist(&mut self, created_at: Time) {
        self.lifecycle.created.insert(created_at.0);
    }

    /// A complete list of members was read.
    pub fn hear_list(&mut self, at: Time) {
        self.members_known_since = self.members_known_since.into_iter().chain([at.0]).min();
        self.hear_of_members(at.0);
    }

    /// The group was deleted. `created_at` tells which group of that guid.
    pub fn delete(&mut self, fact: &Fact, created_at: Option<Time>) {
        self.lifecycle.delete(fact, created_at);
    }

    /// The newest number of members that CometChat told, unless nobody knows when it was right: CometChat does not change
    /// `updatedAt` with every member, so a copy that is older than the fact around it may show the members of any time
    /// between the two.
    pub fn report(&self) -> Option<Report> {
        let key = self.row.keys[REPORTED].filter(|key| key.fact_at - key.at <= NEAR)?;
        Some(Report { count: self.row.values[REPORTED].int()?, at: key.at, seq: key.seq })
    }

    /// How the number of members differs from what CometChat says. A deleted group has no drift.
    pub fn drift(&self) -> Option<Drift> {
        if self.lifecycle.in_force().is_some() { None } else { self.tally.drift(self.report(), self.members_count) }
    }

    /// A fact about a member has this order time.
    pub fn hear_of_members(&mut self, at: i64) {
        self.history_since = self.history_since.into_iter().chain([at]).min();
    }
}

/// A complete list of members, as the log told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roster {
    pub roster: standing::Roster,
    /// How many people it names: who is listed, or who is not any more, otherwise than in its base.
    pub entries: i64,
    /// It stands for the lists that were read since this time, which only confirmed.
    pub replaces: Option<Time>,
}

impl Roster {
    /// The list that a creation of the group is.
    fn creation(at: Time, seq: i64) -> Self {
        Self { roster: standing::Roster { at, created: true, seq, base: None }, entries: 0, replaces: None }
    }

    /// A list that was read.
    pub fn read(list: &MemberList, fact: &Fact) -> Self {
        let roster = standing::Roster { at: list.at, created: false, seq: fact.seq, base: list.base };
        Self { roster, entries: list.entries.len() as i64, replaces: list.replaces }
    }

    /// Whether an event about the group may depend on this list. If so, no newer list replaces this list. The event came
    /// after the list that this list confirms. A snapshot of the profile tells of no members, and depends on no list. An
    /// event that happened well after this list does not depend on the list. A time from a feed may be wrong, so an
    /// event with such a time may depend on the list.
    pub fn is_disturbed(&self, trigger: &str, at: Time, from: TimeSource) -> bool {
        let list = self.roster.at;
        let until = 2 * list.0 - standing::touched_since(list).0;
        trigger != "chatfold.group_snapshot" && (at.0 <= until || from == TimeSource::Feed)
    }

    /// Whether it stands for a list that only confirmed.
    fn stands_for(&self, other: &Self) -> bool {
        let at = other.roster.at;
        let is_older = self.replaces.is_some_and(|since| since <= at && at < self.roster.at);
        is_older && !other.roster.created && other.entries == 0
    }
}

/// The complete lists of one group, in the order of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rosters(pub Vec<Roster>);

/// The people whose standing a list can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// The list is known, so nobody.
    Nobody,
    /// All other lists are older. The list ends every membership that has not ended. Other standings change only for
    /// people with facts since that time.
    Present { since: Time },
    /// The list is told against this one: people whom it names, and those with facts since then.
    Since(standing::Roster),
    /// Everybody: lists after this one, or shortly before it, may count differently.
    Everybody,
}

impl Rosters {
    /// Lists this close together are decided together, because joins arrive half a minute late.
    const CLOSE: i64 = 60_000;

    /// Takes the creation of the group. One list of a time is enough, because another one says the same.
    pub fn create(&mut self, at: Time, fact: &Fact) -> Touched {
        self.apply(Roster::creation(at, fact.seq))
    }

    /// Takes a list. One that is replaced already is not kept.
    pub fn apply(&mut self, list: Roster) -> Touched {
        let at = list.roster.at;
        if self.0.iter().any(|known| known.roster.at == at || known.stands_for(&list)) {
            return Touched::Nobody;
        }
        let is_newest = self.0.iter().all(|known| at.0.saturating_sub(known.roster.at.0) > Self::CLOSE);
        let base = list.roster.base.map(|base| self.0.iter().find(|known| known.roster.at == base).map(|it| it.roster));
        // Another list since the base may have ended what the base says. One that only confirmed the base did not.
        let confirms = |known: &Roster, base| known.entries == 0 && known.roster.base == Some(base);
        let others = |base| self.0.iter().any(|known| known.roster.at > base && !confirms(known, base));
        let touched = match base {
            _ if !is_newest => Touched::Everybody,
            None => Touched::Present { since: standing::touched_since(at) },
            Some(Some(base)) if !others(base.at) => Touched::Since(base),
            Some(_) => Touched::Everybody,
        };
        self.0.push(list);
        touched
    }

    /// Takes away the lists that the newest one replaces, and gives their log positions.
    pub fn drop_replaced(&mut self) -> Vec<i64> {
        let Some(newest) = self.0.last().copied() else { return Vec::new() };
        self.0.extract_if(.., |known| newest.stands_for(known)).map(|it| it.roster.seq).collect()
    }

    pub fn lists(&self) -> Vec<standing::Roster> {
        let mut lists: Vec<_> = self.0.iter().map(|it| it.roster).collect();
        lists.sort_by_key(|roster| roster.at);
        lists
    }

    /// Time of the newest list that was read from the vendor, not made by the group's creation.
    pub fn newest_read(&self) -> Option<i64> {
        self.0.iter().filter(|it| !it.roster.created).map(|it| it.roster.at.0).max()
    }
}

#[cfg(test)]
mod tests;
