//! One person in one group: the facts, and the standing that they give (see [`crate::standing`]).

use crate::change::MembershipChange;
use crate::ids::{Time, TimeSource};
use crate::merge::{Fact, When};
use crate::standing::{self, MembershipFact, Roster, Standing};
use std::sync::Arc;

/// A fact as the table of changes keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactRow {
    pub change: MembershipFact,
    pub trigger: String,
    pub fingerprint: [u8; 32],
}

/// The facts told about the person, in the order of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(pub Vec<Arc<FactRow>>);

/// The standing that the facts give, with the complete lists of the group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    pub standing: Option<Standing>,
}

impl Membership {
    /// Whether the person is in the group.
    pub fn is_current(&self) -> bool {
        self.standing.as_ref().is_some_and(Standing::is_current)
    }
}

/// Whether a person may be in a group. `current` is what the membership tells, if there is one. A person without one
/// may be in the group as long as not all of the members are known.
pub fn may_be_in(current: Option<bool>, members_known: bool) -> bool {
    current.unwrap_or(!members_known)
}

impl Facts {
    /// Takes a fact, and gives its order time. `newest_read` is the time of the newest list that was read.
    pub fn apply(&mut self, told: &MembershipChange, fact: &Fact, newest_read: Option<i64>) -> i64 {
        let at = self.order_at(fact, newest_read);
        if self.0.iter().any(|known| known.change.seq == fact.seq && known.change.at.0 == at) {
            return at;
        }
        self.0.push(Arc::new(FactRow {
            change: MembershipFact {
                at: Time(at),
                at_from: fact.occurred_from,
                seq: fact.seq,
                occurred_at: fact.occurred_at,
                arrived_at: fact.arrived_at,
                group_created_at: told.group_created_at,
                by: told.by.clone(),
                state: told.state,
                scope: told.scope,
                old_scope: told.old_scope,
                joined_at: told.joined_at,
            },
            trigger: fact.trigger.clone(),
            fingerprint: fact.fingerprint,
        }));
        at
    }

    fn order_at(&self, fact: &Fact, newest_read: Option<i64>) -> i64 {
        if fact.occurred_from == TimeSource::Told {
            return fact.occurred_at.0;
        }
        let known = match fact.when() {
            When::At(_) => None,
            When::Feed { .. } => {
                let decides = |told: &&Arc<FactRow>| told.change.state.is_some() || told.change.scope.is_some();
                self.0.iter().filter(decides).map(|told| told.change.at.0).max()
            }
        };
        standing::order_at(fact, known, newest_read)
    }

    /// The standing that the facts give, with the complete lists of the group.
    pub fn stands(&self, rosters: &[Roster]) -> Option<Standing> {
        standing::standing(self.0.iter().map(|told| &told.change), rosters)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fact;
    use super::*;
    use crate::ids::State;

    fn told(state: State) -> MembershipChange {
        MembershipChange { state: Some(state), ..MembershipChange::default() }
    }

    #[test]
    fn a_fact_that_is_taken_again_is_kept_once() {
        let mut facts = Facts::default();
        let joined = fact(1, 10_000, TimeSource::Told);
        assert_eq!(facts.apply(&told(State::Joined), &joined, None), 10_000);
        assert_eq!(facts.apply(&told(State::Joined), &joined, None), 10_000);
        assert_eq!(facts.0.len(), 1);
    }

    #[test]
    fn a_person_kicked_after_the_join_is_out_in_either_order_of_arrival() {
        let (joined, kicked) = (fact(1, 10_000, TimeSource::Told), fact(2, 20_000, TimeSource::Told));
        for order in
            [[(State::Joined, &joined), (State::Kicked, &kicked)], [(State::Kicked, &kicked), (State::Joined, &joined)]]
        {
            let mut facts = Facts::default();
            for (state, fact) in order {
                facts.apply(&told(state), fact, None);
            }
            let membership = Membership { standing: facts.stands(&[]) };
            assert!(!membership.is_current());
            assert_eq!(membership.standing.map(|it| it.state), Some(State::Kicked));
        }
    }

    #[test]
    fn a_fact_dated_by_its_arrival_is_not_older_than_the_list_read_before_it() {
        let mut facts = Facts::default();
        assert_eq!(facts.apply(&told(State::Joined), &fact(1, 10_000, TimeSource::Arrival), Some(15_000)), 15_000);
        assert_eq!(facts.apply(&told(State::Left), &fact(2, 10_000, TimeSource::Told), Some(15_000)), 10_000);
    }

    #[test]
    fn a_person_without_a_membership_may_be_in_a_group_whose_members_are_not_all_known() {
        assert!(may_be_in(None, false));
        assert!(!may_be_in(None, true));
        assert!(may_be_in(Some(true), true), "joined after the list was read");
        assert!(!may_be_in(Some(false), false), "left a group whose members are not all known");
    }

    #[test]
    fn without_facts_nobody_stands() {
        assert_eq!(Facts::default().stands(&[]), None);
        assert!(!Membership::default().is_current());
    }
}
