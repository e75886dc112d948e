//! Whether a reaction is present, from all facts about it in any order (contract 4.4): a pure function.

use crate::change::{Dated, Reaction};
use crate::ids::TimeSource;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The emoji of a reaction, which may be told with and without the variation selector U+FE0F.
pub fn emoji(reaction: &str) -> String {
    reaction.replace('\u{fe0f}', "")
}

/// All facts about one person's reaction to one message, in one spelling. They are sets, so the order of arrival does
/// not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// When each id was added.
    added: BTreeMap<String, Dated>,
    ended: BTreeSet<String>,
    /// Added without an id.
    nameless: BTreeSet<Dated>,
    /// A removal without an id took back everything up to this time.
    ended_until: Option<i64>,
    /// The earliest time in a fact, also if the reaction was taken back.
    first: Option<i64>,
}

/// What took a person's emoji back, in any spelling.
#[derive(Debug, Default)]
pub struct Ends<'a> {
    ids: BTreeSet<&'a str>,
    until: Option<i64>,
}

impl<'a> FromIterator<&'a Facts> for Ends<'a> {
    fn from_iter<T: IntoIterator<Item = &'a Facts>>(spellings: T) -> Self {
        let mut ends = Self::default();
        for facts in spellings {
            ends.ids.extend(facts.ended.iter().map(String::as_str));
            ends.until = ends.until.max(facts.ended_until);
        }
        ends
    }
}

impl Facts {
    /// When the earliest present reaction was added. A time in an event counts first.
    pub fn present_since(&self, ends: &Ends<'_>) -> Option<Dated> {
        let lives = |added: &&Dated| ends.until.is_none_or(|until| added.at.0 > until);
        let named = self.added.iter().filter(|(id, _)| !ends.ids.contains(id.as_str())).map(|(_, at)| at);
        named.chain(&self.nameless).filter(lives).min().copied()
    }

    /// Bytes of the ids and times told.
    pub fn bytes(&self) -> usize {
        let ids: usize = self.added.keys().chain(&self.ended).map(String::len).sum();
        ids + (self.added.len() + self.ended.len() + self.nameless.len()) * 64
    }

    /// The earliest time told.
    pub fn first(&self) -> Option<i64> {
        self.first
    }

    /// Takes one more fact.
    pub fn add(&mut self, reaction: &Reaction) {
        let at = reaction.at;
        let told = (at.from == TimeSource::Told).then_some(at.at.0);
        self.first = self.first.into_iter().chain(told).min();
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
            (None, false) => self.ended_until = self.ended_until.max(Some(at.at.0)),
        }
    }
}
