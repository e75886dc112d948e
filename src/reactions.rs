//! Whether a reaction is present, from all that was told of it (contract 4.4): a pure function, whatever the order.

use crate::change::Reaction;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// All that was told about one person's one reaction to one message. Sets only: no order of arrival matters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// When each id was added.
    added: BTreeMap<String, i64>,
    ended: BTreeSet<String>,
    /// Added without an id.
    nameless: BTreeSet<i64>,
    /// Everything not later was taken back by a removal without an id.
    ended_until: Option<i64>,
}

impl Facts {
    /// When the earliest of those present was added.
    pub fn present_since(&self) -> Option<i64> {
        let lives = |at: &&i64| self.ended_until.is_none_or(|until| **at > until);
        let named = self.added.iter().filter(|(id, _)| !self.ended.contains(*id)).map(|(_, at)| at);
        named.chain(&self.nameless).filter(lives).min().copied()
    }

    /// Takes one more fact.
    pub fn add(&mut self, reaction: &Reaction) {
        let at = reaction.at.0;
        match (&reaction.id, reaction.added) {
            (Some(id), true) => {
                self.added.entry(id.clone()).and_modify(|known| *known = at.min(*known)).or_insert(at);
            }
            (Some(id), false) => {
                self.ended.insert(id.clone());
            }
            (None, true) => {
                self.nameless.insert(at);
            }
            (None, false) => self.ended_until = self.ended_until.max(Some(at)),
        }
    }
}
