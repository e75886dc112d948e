//! One person's emoji under one message, in all its spellings: whether the reaction is present, from all facts about it in
//! any order (contract 4.4).

use crate::change::{self, Dated};
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

/// The removals of a person's emoji, in any spelling.
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
    pub fn add(&mut self, reaction: &change::Reaction) {
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

/// The spelling under which an emoji is shown: the one told first. If two spellings have the same time, or neither has a
/// time, the lesser text is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstSpelling {
    pub spelling: String,
    first_at: Option<i64>,
}

impl FirstSpelling {
    pub fn new(spelling: &str, first_at: Option<i64>) -> Self {
        Self { spelling: spelling.to_owned(), first_at }
    }

    /// Takes another spelling, and the earliest time told of it.
    pub fn take(&mut self, spelling: &str, first_at: Option<i64>) {
        let order = |at: Option<i64>| (at.is_none(), at);
        if (order(first_at), spelling) < (order(self.first_at), &self.spelling) {
            *self = Self::new(spelling, first_at);
        }
    }
}

/// The people whose reaction to one message is one emoji, counted: a person counts once, in whatever spelling.
#[derive(Debug)]
pub struct Reactors {
    shown: FirstSpelling,
    count: i64,
    /// The last person, and whether that person counts.
    uid: String,
    counts: bool,
}

impl Reactors {
    pub fn new(spelling: &str, first_at: Option<i64>) -> Self {
        Self { shown: FirstSpelling::new(spelling, first_at), count: 0, uid: String::new(), counts: false }
    }

    /// Takes one spelling of one person, and the earliest time told of it. The spellings of a person come one after
    /// another, so that only one person is held in memory.
    pub fn add(&mut self, uid: &str, spelling: &str, present: bool, first_at: Option<i64>) {
        if self.uid != uid {
            self.uid.clear();
            self.uid.push_str(uid);
            self.counts = false;
        }
        if present && !self.counts {
            self.counts = true;
            self.count += 1;
        }
        self.shown.take(spelling, first_at);
    }

    /// The spelling under which the emoji is shown, and how many people it is from. `None`: all took it back.
    pub fn shown(self) -> Option<(String, i64)> {
        (self.count > 0).then_some((self.shown.spelling, self.count))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Time;

    fn told(reaction: &str, id: Option<&str>, at: i64, added: bool) -> change::Reaction {
        change::Reaction {
            message_id: "7".into(),
            uid: "ann".into(),
            reaction: reaction.into(),
            id: id.map(str::to_owned),
            at: Dated::told(Time(at)),
            added,
        }
    }

    fn since(facts: &[change::Reaction]) -> Option<i64> {
        let fold = |facts: &mut dyn Iterator<Item = &change::Reaction>| {
            let mut reaction = Reaction::default();
            facts.for_each(|fact| reaction.apply(fact));
            reaction.since().map(|since| since.at.0)
        };
        let (there, back) = (fold(&mut facts.iter()), fold(&mut facts.iter().rev()));
        assert_eq!(there, back, "the order of arrival decides nothing");
        there
    }

    #[test]
    fn a_removal_ends_the_reaction_of_its_id_and_no_other() {
        let added = told("❤️", Some("1"), 10, true);
        assert_eq!(since(&[added.clone(), told("❤️", Some("1"), 20, false)]), None);
        assert_eq!(since(&[added, told("❤️", Some("2"), 20, false)]), Some(10));
    }

    #[test]
    fn a_removal_without_an_id_ends_all_that_were_added_before_it() {
        let facts = [told("❤️", Some("1"), 10, true), told("❤️", None, 20, true), told("❤️", None, 20, false)];
        assert_eq!(since(&facts), None);
        assert_eq!(since(&[facts[2].clone(), told("❤️", Some("3"), 21, true)]), Some(21));
    }

    #[test]
    fn a_removal_in_one_spelling_ends_the_emoji_in_every_spelling() {
        assert_eq!(emoji("❤️"), emoji("❤"));
        assert_eq!(since(&[told("❤️", Some("1"), 10, true), told("❤", None, 20, false)]), None);
    }

    #[test]
    fn an_emoji_is_shown_as_first_told() {
        let mut shown = FirstSpelling::new("❤️", None);
        shown.take("❤", Some(20));
        assert_eq!(shown.spelling, "❤");
        shown.take("❤️", Some(20));
        assert_eq!(shown.spelling, "❤", "of one time the lesser text");
        shown.take("❤️", Some(10));
        assert_eq!(shown.spelling, "❤️");
    }

    fn shown(spellings: &[(&str, &str, bool, i64)]) -> Option<(String, i64)> {
        let (_, first, _, at) = spellings[0];
        let mut reactors = Reactors::new(first, Some(at));
        for (uid, spelling, present, at) in spellings {
            reactors.add(uid, spelling, *present, Some(*at));
        }
        reactors.shown()
    }

    #[test]
    fn a_person_counts_once_in_whatever_spelling() {
        let one = |spelling: &str, count| Some((spelling.to_owned(), count));
        assert_eq!(shown(&[("ann", "❤", true, 10), ("ann", "❤️", true, 20)]), one("❤", 1));
        assert_eq!(shown(&[("ann", "❤", true, 10), ("ann", "❤️", false, 20)]), one("❤", 1), "one is there");
        assert_eq!(shown(&[("ann", "❤", false, 10), ("ann", "❤️", true, 20)]), one("❤", 1), "the other is there");
        assert_eq!(shown(&[("ann", "❤", true, 10), ("bob", "❤", true, 20)]), one("❤", 2), "two people");
        assert_eq!(shown(&[("ann", "❤", false, 10), ("bob", "❤", true, 20)]), one("❤", 1), "ann took it back");
    }

    #[test]
    fn an_emoji_that_all_took_back_is_not_shown() {
        assert_eq!(shown(&[("ann", "❤", false, 10), ("bob", "❤️", false, 20)]), None);
    }

    #[test]
    fn a_spelling_that_was_taken_back_still_names_the_emoji() {
        assert_eq!(shown(&[("ann", "❤", true, 20), ("bob", "❤️", false, 10)]), Some(("❤️".to_owned(), 1)));
    }
}
