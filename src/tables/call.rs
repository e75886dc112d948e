//! One session id: its facts, and the calls and meetings that these facts give (see [`crate::sessions`]).
//!
//! A session id may be used thousands of times. Memory holds only the facts near a new fact, and only the instances
//! near it are decided again.

use crate::ids::{CallKind, Time};
use crate::sessions::{Around, CallFact, Facts, Found, History, Instance, Kind, sessions_of_slice};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// Facts that are loaded at first. Each further load takes twice as many.
const PAGE: usize = 64;
/// Memory may hold this many facts more than a slice needs.
const KEPT: usize = 256;

/// The place of a fact among those of its session id: its first time, and its log position.
pub type Place = (i64, i64);

/// Facts to be loaded: the nearest before a place, or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    Before(Place, usize),
    After(Place, usize),
}

/// A call or meeting as the file has it, and as it is now. `None`: there is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decided {
    pub stored: Option<Arc<Instance>>,
    pub now: Option<Arc<Instance>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Session {
    pub history: History,
    /// Facts in memory, in the order of their places. None between the first and the last is missing.
    facts: Vec<Arc<CallFact>>,
    /// Facts before this place may be missing. `None`: no fact is missing.
    first: Option<Place>,
    /// Facts after this place may be missing. `None`: no fact is missing.
    last: Option<Place>,
    /// Facts to be saved.
    pub added: Vec<Arc<CallFact>>,
    /// Instances to be saved.
    pub decided: BTreeMap<(CallKind, Time), Decided>,
    /// More facts are in memory than the last slice needed.
    is_wide: bool,
}

pub fn place(fact: &CallFact) -> Place {
    (fact.reach().0, fact.seq)
}

impl Session {
    /// A session id that the file knows. None of its facts is in memory yet.
    pub fn stored(history: History) -> Self {
        let mut session = Self { history, ..Self::default() };
        session.forget();
        session
    }

    fn forget(&mut self) {
        self.facts.clear();
        (self.first, self.last) = (Some((i64::MAX, i64::MAX)), Some((i64::MIN, i64::MIN)));
        self.is_wide = false;
    }

    /// About how many bytes the facts and the instances to be saved take.
    pub fn bytes(&self) -> usize {
        let facts: usize = self.facts.iter().map(|fact| fact.bytes()).sum();
        facts + self.decided.len() * 1024
    }

    /// Begins a new batch, when everything is saved.
    pub fn begin(&mut self) {
        self.added.clear();
        self.decided.clear();
        if self.is_wide {
            self.forget();
        }
    }

    /// Takes a fact, and decides the instances near it again. `load` reads facts from the file. One event tells one
    /// fact.
    pub fn apply<E>(&mut self, fact: &CallFact, load: impl FnMut(Page) -> Result<Vec<CallFact>, E>) -> Result<(), E> {
        self.apply_by_pages(fact, PAGE, load)
    }

    fn apply_by_pages<E>(
        &mut self,
        fact: &CallFact,
        page: usize,
        mut load: impl FnMut(Page) -> Result<Vec<CallFact>, E>,
    ) -> Result<(), E> {
        let own = place(fact);
        if self.first > self.last && self.first.is_some() && self.last.is_some() {
            (self.first, self.last) = (Some(own), Some(own));
        }
        let mut most = page;
        while let Some(missing) = self.missing_near(own, most) {
            self.extend(missing, load(missing)?);
            most *= 2;
        }
        let new = self.facts.partition_point(|known| place(known) < own);
        if self.facts.get(new).is_some_and(|known| known.seq == fact.seq) {
            return Ok(());
        }
        let fact = Arc::new(fact.clone());
        let was = self.history.clone();
        self.history.take(&fact);
        self.facts.insert(new, Arc::clone(&fact));
        self.added.push(fact);
        let mut new = new;
        let (mut before, mut after) = (most, most);
        let (slice, next) = loop {
            let found = Facts {
                facts: &self.facts,
                new,
                missing_until: self.first.map(|(at, _)| at),
                missing_from: self.last.map(|(at, _)| at),
                histories: [&was, &self.history],
            }
            .slice();
            let missing = match (found, self.first, self.last) {
                (Found::Slice { facts, next }, ..) => break (facts, next),
                (Found::Earlier, Some(first), _) => Page::Before(first, before),
                (Found::Later, _, Some(last)) => Page::After(last, after),
                // Nothing is missing on that side.
                (Found::Earlier | Found::Later, ..) => break (0..self.facts.len(), None),
            };
            new += self.extend(missing, load(missing)?);
            match missing {
                Page::Before(..) => before *= 2,
                Page::After(..) => after *= 2,
            }
        };
        self.is_wide = self.facts.len() > 2 * slice.len() + KEPT;
        self.decide(slice, new, was.is_call(), next);
        Ok(())
    }

    /// What has to be loaded so that all facts near a place are in memory.
    fn missing_near(&self, own: Place, most: usize) -> Option<Page> {
        match (self.first, self.last) {
            (Some(first), _) if own < first => Some(Page::Before(first, most)),
            (_, Some(last)) if own > last => Some(Page::After(last, most)),
            _ => None,
        }
    }

    /// Adds a page of facts to those in memory. Gives how many came before the others.
    fn extend(&mut self, page: Page, loaded: Vec<CallFact>) -> usize {
        let count = loaded.len();
        let mut loaded: Vec<Arc<CallFact>> = loaded.into_iter().map(Arc::new).collect();
        match page {
            Page::Before(_, most) => {
                loaded.reverse();
                self.first = loaded.first().filter(|_| count == most).map(|fact| place(fact));
                self.facts.splice(0..0, loaded);
                count
            }
            Page::After(_, most) => {
                self.last = loaded.last().filter(|_| count == most).map(|fact| place(fact));
                self.facts.extend(loaded);
                0
            }
        }
    }

    /// Decides the instances of a slice with the new fact and without it. Instances that differ are to be saved.
    fn decide(&mut self, slice: Range<usize>, new: usize, was_call: bool, next: Option<(Kind, i64)>) {
        let slice_start = slice.start;
        let facts = || self.facts[slice.clone()].iter().map(|fact| &**fact);
        let others = facts().enumerate().filter(|(at, _)| slice_start + at != new).map(|(_, fact)| fact);
        let before = sessions_of_slice(others, Around { is_call: was_call, next });
        let after = sessions_of_slice(facts(), Around { is_call: self.history.is_call(), next });
        let by_key = |all: Vec<Instance>| -> BTreeMap<(CallKind, Time), Instance> {
            all.into_iter().map(|instance| ((instance.kind, instance.anchor), instance)).collect()
        };
        let (mut before, mut after) = (by_key(before), by_key(after));
        let keys: BTreeSet<(CallKind, Time)> = before.keys().chain(after.keys()).copied().collect();
        for key in keys.into_iter().filter(|key| before.get(key) != after.get(key)).collect::<Vec<_>>() {
            let stored = before.remove(&key).map(Arc::new);
            let decided = self.decided.entry(key).or_insert(Decided { stored, now: None });
            decided.now = after.remove(&key).map(Arc::new);
        }
    }
}

#[cfg(test)]
mod tests;
