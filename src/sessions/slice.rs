//! Which facts of a session id a new fact can touch.
//!
//! The facts of one id are cut into slices of time that decide nothing about each other. A fact changes the instances of
//! its own slice alone, so that an id that was used a thousand times costs what its last use costs. Where no cut is
//! certain, the slice is longer: the result never depends on where it was cut.
//!
//! ```text
//! used at 9:00          used at 10:00             used at 11:00
//! start  ann  bob  end  start  cem  end           start  ann
//!                     ^ cut                     ^ cut
//! ```
//!
//! A cut lies before a fact from which on nothing refers to what was before, and which lies 10 s after all of that:
//!
//! - before the start of a use: whoever comes later belongs to that use or to a later one;
//! - after more than a day without news, while no start was ever told;
//! - before an initiation, while nothing but signalling is known.

use super::instances::{DAY, LATE, told_start};
use super::placing::{EARLY, begin_of, placed_at};
use super::signals::RINGS;
use super::{CallFact, Kind, News};
use std::borrow::Borrow;
use std::ops::Range;

/// What a slice has to know of all facts of its session id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Milliseconds that the longest fact reaches: an end reaches back to the start that it names.
    pub longest: i64,
    pub calls: bool,
    pub meetings: bool,
    pub signals: bool,
    /// Recordings or transcripts.
    pub files: bool,
    /// A signal that does not tell when the call was initiated.
    pub undated: bool,
    /// Earliest start told.
    pub started_at: Option<i64>,
    /// Earliest initiation told.
    pub initiated_at: Option<i64>,
}

impl History {
    pub fn take(&mut self, fact: &CallFact) {
        let (from, until) = fact.reach();
        self.longest = self.longest.max(until.saturating_sub(from));
        match &fact.news {
            News::Started { kind, .. } | News::Ended { kind, .. } | News::Occupant { kind, .. } => match kind {
                Kind::Call => self.calls = true,
                Kind::Meeting => self.meetings = true,
            },
            News::Signal(signal) => {
                self.signals = true;
                self.undated |= signal.initiated_at.is_none();
            }
            News::Recording { .. } | News::Transcript { .. } => self.files = true,
        }
        self.started_at = least(self.started_at, told_start(fact).map(|(_, at)| at));
        self.initiated_at = least(self.initiated_at, initiation(fact));
    }

    /// Whether media that tell no kind are those of a call.
    pub fn is_call(&self) -> bool {
        self.calls || self.signals
    }

    /// Calls and meetings of one id look into each other's slices.
    fn is_mixed(&self) -> bool {
        self.meetings && self.is_call()
    }

    fn has_media(&self) -> bool {
        self.calls || self.meetings || self.files
    }
}

impl CallFact {
    /// The first and the last time that the fact names. Facts of one session id are kept in the order of the first.
    pub fn reach(&self) -> (i64, i64) {
        let mut reach = (self.at, self.at);
        let mut name = |at: Option<i64>| {
            if let Some(at) = at {
                reach = (reach.0.min(at), reach.1.max(at));
            }
        };
        match &self.news {
            News::Started { created_at, .. } => name(Some(*created_at)),
            News::Ended { created_at, ended_at, occupants, .. } => {
                name(*created_at);
                name(Some(*ended_at));
                for occupant in occupants {
                    name(occupant.joined_at);
                    name(occupant.left_at);
                }
            }
            News::Occupant { occupant, .. } => name(occupant.joined_at.or(occupant.left_at)),
            News::Signal(signal) => name(signal.initiated_at),
            News::Recording { started_at, .. } | News::Transcript { started_at, .. } => name(*started_at),
        }
        reach
    }
}

fn least(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}

fn initiation(fact: &CallFact) -> Option<i64> {
    if let News::Signal(signal) = &fact.news { signal.initiated_at } else { None }
}

/// The facts in memory, in the order of their reach. All facts between the first and the last of them are there.
pub struct Facts<'a, F> {
    pub facts: &'a [F],
    /// Where the new fact is.
    pub new: usize,
    /// Facts that are not in memory begin at this time at the latest, or not before that other time.
    pub missing_until: Option<i64>,
    pub missing_from: Option<i64>,
    /// Without the new fact, and with it.
    pub histories: [&'a History; 2],
}

/// A slice, or which side of it more facts are needed of.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Slice {
        facts: Range<usize>,
        /// The start that ends what is open in the slice.
        next: Option<(Kind, i64)>,
    },
    Earlier,
    Later,
}

/// What is known of the facts before a cut.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    /// Latest time named.
    until: Option<i64>,
    /// Newest start and initiation told.
    start: Option<i64>,
    initiation: Option<i64>,
}

impl Before {
    fn take(&mut self, fact: &CallFact) {
        self.until = self.until.max(Some(fact.reach().1));
        self.start = self.start.max(told_start(fact).map(|(_, at)| at));
        self.initiation = self.initiation.max(initiation(fact));
    }
}

/// What is known of the facts after a cut: the earliest of each.
#[derive(Debug, Clone, Copy, Default)]
struct After {
    start: Option<(i64, Kind)>,
    /// Of a participant, recording or transcript: the time by which it is placed.
    placed: Option<i64>,
    /// Of an end that names no start.
    end: Option<i64>,
    initiation: Option<i64>,
    /// A signal that does not tell when the call was initiated.
    undated: Option<i64>,
    has_media: bool,
}

impl After {
    fn take(&mut self, fact: &CallFact) {
        let start = told_start(fact);
        self.start = self.start.into_iter().chain(start.map(|(kind, at)| (at, kind))).min();
        self.placed = least(self.placed, placed_at(&fact.news, fact.at));
        self.end = least(self.end, begin_of(&fact.news).filter(|_| start.is_none()));
        self.initiation = least(self.initiation, initiation(fact));
        match &fact.news {
            News::Signal(signal) if signal.initiated_at.is_none() => self.undated = least(self.undated, Some(fact.at)),
            News::Signal(_) => {}
            _ => self.has_media = true,
        }
    }

    /// Whether the first signal belongs to an initiation before the cut.
    fn rings_on(&self) -> bool {
        self.undated.is_some_and(|at| self.initiation.is_none_or(|initiation| initiation > at))
    }
}

impl<F: Borrow<CallFact>> Facts<'_, F> {
    /// The slice of the new fact: the shortest whose cuts are certain, with the fact and without it.
    pub fn slice(&self) -> Found {
        let [was, history] = self.histories;
        let count = self.facts.len();
        if history.is_mixed() || was.is_call() != history.is_call() {
            return match (self.missing_until, self.missing_from) {
                (Some(_), _) => Found::Earlier,
                (_, Some(_)) => Found::Later,
                (None, None) => Found::Slice { facts: 0..count, next: None },
            };
        }
        let Some((end, next)) = self.end() else { return Found::Later };
        let before = self.before();
        let mut with = After::default();
        let mut without = After::default();
        for at in (0..end).rev() {
            with.take(self.facts[at].borrow());
            if at != self.new {
                without.take(self.facts[at].borrow());
            }
            let cut = self.facts[at].borrow().reach().0;
            let is_cut = |after: &After| self.is_cut(cut, &before[at], after, true);
            if at <= self.new && is_cut(&with) && is_cut(&without) {
                return Found::Slice { facts: at..end, next };
            }
        }
        if self.missing_until.is_some() { Found::Earlier } else { Found::Slice { facts: 0..end, next } }
    }

    /// For each fact what lies before it.
    fn before(&self) -> Vec<Before> {
        let history = self.histories[1];
        let until = self.missing_until.map(|at| at.saturating_add(history.longest));
        let mut before = Before { until, start: None, initiation: until.filter(|_| history.signals) };
        let mut all = Vec::with_capacity(self.facts.len());
        for fact in self.facts {
            all.push(before);
            before.take(fact.borrow());
        }
        all
    }

    /// Where the slice ends, and the start that is told there. `None`: it is not known yet.
    fn end(&self) -> Option<(usize, Option<(Kind, i64)>)> {
        let count = self.facts.len();
        let whole = self.missing_from.is_none().then_some((count, None));
        // A signal that tells no initiation belongs to the newest before it, however long ago that was.
        if self.histories[1].undated || self.new + 1 == count {
            return whole;
        }
        let with = self.before();
        let mut without = with[self.new];
        let without: Vec<Before> = self.facts[self.new + 1..]
            .iter()
            .map(|fact| {
                let before = without;
                without.take(fact.borrow());
                before
            })
            .collect();
        let mut found = None;
        let mut after = After::default();
        for at in (self.new + 1..count).rev() {
            after.take(self.facts[at].borrow());
            let cut = self.facts[at].borrow().reach().0;
            // What is not in memory does not begin earlier than that start.
            let is_first = after.start.is_none_or(|(start, _)| self.missing_from.is_none_or(|from| start <= from));
            let is_cut = |before: &Before| self.is_cut(cut, before, &after, false);
            if is_first && is_cut(&with[at]) && is_cut(&without[at - self.new - 1]) {
                found = Some((at, after.start.map(|(start, kind)| (kind, start))));
            }
        }
        found.or(whole)
    }

    /// Whether nothing at or after this time depends on what is before, nor the other way round. `by_silence`: also where
    /// only a day without news shows it.
    fn is_cut(&self, cut: i64, before: &Before, after: &After, by_silence: bool) -> bool {
        let history = self.histories[1];
        let Some(until) = before.until else { return true };
        let silence = cut.saturating_sub(until);
        let rings_on = after.rings_on() && (silence <= DAY || history.initiated_at.is_some_and(|at| at < cut));
        let may_answer = before
            .initiation
            .is_some_and(|at| cut.saturating_sub(at) <= RINGS && before.start.is_none_or(|it| it < at));
        if silence <= EARLY || rings_on || may_answer {
            return false;
        }
        let starts = after.start.is_some_and(|(start, _)| {
            after.placed.is_none_or(|at| at >= start.saturating_sub(EARLY)) && after.end.is_none_or(|at| at >= start)
        });
        let none_started = history.started_at.is_none_or(|at| at >= cut);
        starts
            || (by_silence && none_started && silence > DAY + LATE && after.has_media)
            || (!history.has_media() && silence > EARLY)
    }
}
