//! Whether a group is deleted, from its creations and deletions in any order (contract 4.3): a pure function.
//!
//! A deletion has no time of its own. It names which group of that guid it ended.

use crate::change::Dated;
use crate::ids::{Time, TimeSource};
use crate::merge::Fact;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The creations and deletions of one guid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lifecycle {
    /// `createdAt` of each `group_created`.
    pub created: BTreeSet<i64>,
    pub deleted: Vec<Deletion>,
}

/// One deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The `createdAt` in the deletion.
    pub of: Option<i64>,
    /// Order time.
    pub at: i64,
    pub occurred_at: i64,
    pub seq: i64,
    /// From a replay of old deliveries.
    pub feed: bool,
}

impl Lifecycle {
    /// The order time that a new fact finds.
    pub fn known_at(&self) -> Option<i64> {
        self.created.last().copied().max(self.deleted.iter().map(|deletion| deletion.at).max())
    }

    /// Takes a deletion; `created_at` tells which group of that guid it ended.
    pub fn delete(&mut self, fact: &Fact, created_at: Option<Time>) {
        self.deleted.push(Deletion {
            of: created_at.map(|time| time.0),
            at: fact.when().resolve(self.known_at()),
            occurred_at: fact.occurred_at.0,
            seq: fact.seq,
            feed: fact.occurred_from == TimeSource::Feed,
        });
        self.deleted.sort_by_key(|deletion| (deletion.at, deletion.of, deletion.seq));
    }

    /// The deletion in force.
    pub fn in_force(&self) -> Option<&Deletion> {
        let not_revived =
            |deletion: &&Deletion| self.created.last().is_none_or(|created| *created <= self.ends(deletion));
        self.deleted.iter().filter(not_revived).max_by_key(|deletion| (deletion.at, deletion.seq))
    }

    /// When the group was deleted; `None` while it lives.
    pub fn deleted_at(&self) -> Option<Dated> {
        self.in_force().map(|deletion| Dated {
            from: if deletion.feed { TimeSource::Feed } else { TimeSource::Arrival },
            at: Time(deletion.occurred_at),
        })
    }

    /// Creations later than this are another group.
    pub fn ends(&self, deletion: &Deletion) -> i64 {
        match deletion.of {
            Some(created) if !deletion.feed || self.created.contains(&created) => created,
            _ => deletion.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deletion(of: Option<i64>, at: i64, feed: bool) -> Deletion {
        Deletion { of, at, occurred_at: at, seq: 1, feed }
    }

    fn deleted(created: &[i64], deletion: Deletion) -> bool {
        Lifecycle { created: created.iter().copied().collect(), deleted: vec![deletion] }.deleted_at().is_some()
    }

    #[test]
    fn a_deletion_ends_the_group_whose_creation_it_carries() {
        assert!(deleted(&[10], deletion(Some(10), 99, false)));
        assert!(!deleted(&[10, 20], deletion(Some(10), 99, false)), "created anew, however late the deletion arrived");
        assert!(deleted(&[], deletion(Some(10), 99, false)));
    }

    #[test]
    fn a_deletion_without_a_creation_goes_by_its_time() {
        assert!(deleted(&[10, 20], deletion(None, 20, false)));
        assert!(!deleted(&[10, 21], deletion(None, 20, false)));
        assert!(deleted(&[30], deletion(Some(10), 30, true)), "a replay that carries a creation nobody told");
    }
}
