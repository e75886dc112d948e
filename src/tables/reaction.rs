//! One person's emoji under one message, in all its spellings: see [`crate::reactions`].

use crate::change::{self, Dated};
use crate::reactions::{Ends, Facts};
use std::collections::BTreeMap;

/// By spelling: all that was told, and since when the reaction is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reaction {
    pub spellings: BTreeMap<String, (Facts, Option<Dated>)>,
}

impl Reaction {
    /// Since when the emoji is there, in whatever spelling.
    pub fn since(&self) -> Option<Dated> {
        self.spellings.values().filter_map(|(_, since)| *since).min()
    }

    /// A removal counts for all spellings.
    pub fn apply(&mut self, told: &change::Reaction) {
        self.spellings.entry(told.reaction.clone()).or_default().0.add(told);
        let ends: Ends<'_> = self.spellings.values().map(|(facts, _)| facts).collect();
        let since: Vec<Option<Dated>> = self.spellings.values().map(|(facts, _)| facts.present_since(&ends)).collect();
        for ((_, known), since) in self.spellings.values_mut().zip(since) {
            *known = since;
        }
    }
}
