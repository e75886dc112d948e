//! One person in one group: the facts, and the standing that they give (see [`crate::standing`]).

use crate::change::MembershipChange;
use crate::ids::{Time, TimeSource};
use crate::merge::{Fact, When};
use crate::standing::{self, MembershipFact, Roster, Standing};
use std::sync::Arc;

/// A fact as the table of changes keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub change: MembershipFact,
    pub trigger: String,
    pub fingerprint: [u8; 32],
}

/// The facts told about the person, in the order of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(pub Vec<Arc<Told>>);

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

impl Facts {
    /// Takes a fact, and gives its order time. `newest_read` is the time of the newest list that was read.
    pub fn apply(&mut self, told: &MembershipChange, fact: &Fact, newest_read: Option<i64>) -> i64 {
        let at = self.order_at(fact, newest_read);
        if self.0.iter().any(|known| known.change.seq == fact.seq && known.change.at.0 == at) {
            return at;
        }
        self.0.push(Arc::new(Told {
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
                let decides = |told: &&Arc<Told>| told.change.state.is_some() || told.change.scope.is_some();
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
