//! Complete member lists: what each of them says of one person.

use super::MembershipFact;
use crate::ids::{State, Time};

/// A complete member list. Who is listed has a fact at the log position of the list, or was listed by its `base`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roster {
    pub at: Time,
    /// The list is the group's creation: only the creator is in it, whoever was a member before.
    pub created: bool,
    pub seq: i64,
    /// Time of the earlier list that this one is told against. `None`: the list names everybody.
    pub base: Option<Time>,
}

/// What a complete list says of one person.
#[derive(Debug, Clone, Copy)]
pub(super) enum Listed<'a> {
    /// In the group, as this fact says. The fact is of the list itself, or of a list that it is told against.
    In(&'a MembershipFact),
    Out,
    /// The list is told against one that is not known.
    Unknown,
}

/// Whether the fact is what the list says of the person.
pub(super) fn is_of(roster: &Roster, row: &MembershipFact) -> bool {
    !roster.created && row.seq == roster.seq && row.at == roster.at
}

/// What each list says of the person, in the order of `rosters`, which is that of time.
pub(super) fn listings<'a>(rows: &[&'a MembershipFact], rosters: &[Roster]) -> Vec<Listed<'a>> {
    let mut listings: Vec<Listed<'a>> = Vec::with_capacity(rosters.len());
    for roster in rosters {
        let own = rows.iter().find(|row| is_of(roster, row));
        listings.push(match (own, roster.base) {
            (Some(row), _) if row.state == Some(State::Joined) => Listed::In(row),
            (Some(_), _) | (None, None) => Listed::Out,
            (None, Some(base)) => {
                let from = rosters.partition_point(|earlier| earlier.at < base);
                let same = |place: &usize| rosters[*place].at == base && !rosters[*place].created;
                (from..listings.len())
                    .take_while(|place| rosters[*place].at == base)
                    .find(same)
                    .map_or(Listed::Unknown, |place| listings[place])
            }
        });
    }
    listings
}
