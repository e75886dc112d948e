//! One person's emoji under one message, in all its spellings: see [`crate::reactions`].

use crate::change::{self, Dated};
use crate::reactions::{Ends, Facts};
use std::collections::BTreeMap;

/// The facts of one spelling, and since when the reaction is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spelling {
    pub facts: Facts,
    pub since: Option<Dated>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reaction {
    pub spellings: BTreeMap<String, Spelling>,
}

impl Reaction {
    /// Since when the emoji is there, in any spelling.
    pub fn since(&self) -> Option<Dated> {
        self.spellings.values().filter_map(|it| it.since).min()
    }

    /// Takes a fact. A removal counts for all spellings.
    pub fn apply(&mut self, told: &change::Reaction) {
        self.spellings.entry(told.reaction.clone()).or_default().facts.add(told);
        let ends: Ends<'_> = self.spellings.values().map(|it| &it.facts).collect();
        let since: Vec<Option<Dated>> = self.spellings.values().map(|it| it.facts.present_since(&ends)).collect();
        for (spelling, since) in self.spellings.values_mut().zip(since) {
            spelling.since = since;
        }
    }
}
