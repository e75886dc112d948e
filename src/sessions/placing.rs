//! Which instance a participant, a recording, a transcript, or an end that closes nothing belongs to.

use super::instances::{DAY, Draft, LATE};
use super::{CallFact, Kind, News, Occupant, RecordingRow, TranscriptRow, Why};
use crate::ids::Time;
use std::collections::BTreeMap;

/// A participant may be told to have joined this long before the start.
pub(super) const EARLY: i64 = 10_000;
/// Recordings are told when the session is long over.
const LATE_RECORDING: i64 = DAY;

/// What no told start explains.
struct Leftover<'a> {
    /// `None`: a recording or transcript, which tells no kind.
    kind: Option<Kind>,
    at: i64,
    /// How long after the end of an instance it may still belong to it.
    late: i64,
    fact: &'a CallFact,
    /// Of an end: the facts about those whom it lists.
    about_listed: Vec<&'a CallFact>,
}

/// Who lists a stay: an instance with a told start, or an end that closes none.
#[derive(Clone, Copy)]
enum Lister {
    Draft(usize),
    End(usize),
}

/// Whom the ends list, by when they came or, where that is not told, went.
type Listed<'a> = BTreeMap<(bool, i64), Vec<(Kind, &'a Occupant, Lister)>>;

/// Places all but starts and signalling. `ends` are those that close no instance with a told start. `unknown` is the kind
/// of what tells none.
pub(super) fn place_all<'a>(
    facts: &[&'a CallFact],
    ends: Vec<&'a CallFact>,
    unknown: Kind,
    drafts: &mut Vec<Draft<'a>>,
) {
    let mut leftovers: Vec<Leftover<'a>> = ends.into_iter().filter_map(unplaced_end).collect();
    let listed = listed(drafts, &leftovers);
    for fact in facts {
        let Some(at) = placed_at(&fact.news, fact.at) else { continue };
        let (kind, late) = match &fact.news {
            News::Occupant { kind, .. } => (Some(*kind), LATE),
            News::Recording { .. } => (None, LATE_RECORDING),
            _ => (None, LATE),
        };
        match lister(&listed, fact) {
            Some(Lister::Draft(index)) => put(&mut drafts[index], fact, Why::Listed),
            Some(Lister::End(index)) => leftovers[index].about_listed.push(fact),
            None => match by_time(drafts, kind, at, late) {
                Some((index, why)) => put(&mut drafts[index], fact, why),
                None => leftovers.push(Leftover { kind, at, late, fact, about_listed: Vec::new() }),
            },
        }
    }
    gather(leftovers, unknown, drafts);
}

/// The time by which a participant, recording or transcript is placed.
pub(super) fn placed_at(news: &News, told_at: i64) -> Option<i64> {
    match news {
        News::Occupant { occupant, .. } => Some(occupant.joined_at.or(occupant.left_at).unwrap_or(told_at)),
        News::Recording { started_at, .. } | News::Transcript { started_at, .. } => Some(started_at.unwrap_or(told_at)),
        News::Started { .. } | News::Ended { .. } | News::Signal(_) => None,
    }
}

/// What an end is about began with the earliest participant that it lists.
pub(super) fn begin_of(news: &News) -> Option<i64> {
    let News::Ended { ended_at, occupants, .. } = news else { return None };
    occupants.iter().filter_map(|occupant| occupant.joined_at).chain([*ended_at]).min()
}

fn unplaced_end(fact: &CallFact) -> Option<Leftover<'_>> {
    let News::Ended { kind, .. } = &fact.news else { return None };
    let at = begin_of(&fact.news)?;
    Some(Leftover { kind: Some(*kind), at, late: LATE, fact, about_listed: Vec::new() })
}

fn listed<'a>(drafts: &[Draft<'a>], ends: &[Leftover<'a>]) -> Listed<'a> {
    let mut listed = Listed::new();
    let mut add = |kind: Kind, occupant: &'a Occupant, lister: Lister| {
        let times = [(true, occupant.joined_at), (false, occupant.left_at)];
        for (joined, at) in times.into_iter().filter_map(|(joined, at)| Some((joined, at?))) {
            listed.entry((joined, at)).or_default().push((kind, occupant, lister));
        }
    };
    for (index, draft) in drafts.iter().enumerate() {
        draft.occupants.iter().for_each(|occupant| add(draft.kind, occupant, Lister::Draft(index)));
    }
    for (index, end) in ends.iter().enumerate() {
        if let News::Ended { kind, occupants, .. } = &end.fact.news {
            occupants.iter().for_each(|occupant| add(*kind, occupant, Lister::End(index)));
        }
    }
    listed
}

/// The earliest that lists the stay this fact is about: a room that is used again may list those of before once more.
fn lister(listed: &Listed<'_>, fact: &CallFact) -> Option<Lister> {
    let News::Occupant { kind, occupant } = &fact.news else { return None };
    let key = occupant.joined_at.map(|at| (true, at)).or(occupant.left_at.map(|at| (false, at)))?;
    let same = |other: &Occupant| match (&occupant.uid, &other.uid) {
        (Some(uid), Some(other)) => uid == other,
        _ => occupant.name.is_some() && occupant.name == other.name,
    };
    let found = listed.get(&key)?.iter().find(|(of, other, _)| of == kind && same(other));
    found.map(|(_, _, lister)| *lister)
}

/// The instance with a told start to which something of that time belongs.
fn by_time(drafts: &[Draft<'_>], kind: Option<Kind>, at: i64, late: i64) -> Option<(usize, Why)> {
    let all: Vec<(usize, &Draft<'_>, i64)> = drafts
        .iter()
        .enumerate()
        .filter(|(_, draft)| kind.is_none_or(|kind| draft.kind == kind))
        .filter_map(|(index, draft)| Some((index, draft, draft.start?)))
        .collect();
    let order = |(_, draft, start): &&(usize, &Draft<'_>, i64)| (*start, draft.kind);
    let begun = || all.iter().filter(|(_, _, start)| *start <= at);
    let holding = begun().filter(|(_, draft, _)| draft.end.is_some_and(|end| at <= end)).max_by_key(order);
    let soon = || all.iter().filter(|(_, _, start)| *start > at && start - at <= EARLY).min_by_key(order);
    let open = || begun().filter(|(_, draft, _)| draft.is_open_at(at)).max_by_key(order);
    let last =
        || begun().max_by_key(order).filter(|(_, draft, _)| draft.span_end().is_some_and(|end| at - end <= late));
    let as_index = |why: Why| move |(index, _, _): &(usize, &Draft<'_>, i64)| (*index, why);
    (holding.map(as_index(Why::Holds)))
        .or_else(|| soon().map(as_index(Why::Early)))
        .or_else(|| open().map(as_index(Why::Open)))
        .or_else(|| last().map(as_index(Why::Late)))
}

/// Makes instances without a told start of what is left, in the order of time.
fn gather<'a>(mut leftovers: Vec<Leftover<'a>>, unknown: Kind, drafts: &mut Vec<Draft<'a>>) {
    let told = drafts.len();
    // The newest news of each instance made here.
    let mut news: Vec<i64> = Vec::new();
    // What tells its kind comes first, so that what tells none can join it.
    leftovers.sort_by_key(|it| (it.at, it.kind.is_none(), it.fact.at, it.fact.seq));
    for leftover in leftovers {
        let (before, made) = drafts.split_at(told);
        let fitting = made.iter().zip(&news).rposition(|(draft, news)| fits(&leftover, draft, *news, before));
        let index = fitting.unwrap_or_else(|| {
            drafts.push(Draft { begin: Some(leftover.at), ..Draft::new(leftover.kind.unwrap_or(unknown)) });
            news.push(leftover.at);
            news.len() - 1
        });
        let heard = leftover.about_listed.iter().map(|fact| fact.at).chain([leftover.fact.at, news[index]]).max();
        news[index] = heard.unwrap_or(leftover.at);
        let draft = &mut drafts[told + index];
        put(draft, leftover.fact, Why::Startless);
        leftover.about_listed.into_iter().for_each(|fact| put(draft, fact, Why::Listed));
    }
    for draft in &mut drafts[told..] {
        let came = draft.occupants.iter().filter_map(|occupant| occupant.joined_at.or(occupant.left_at)).min();
        draft.begin = came.or(draft.begin);
    }
}

/// Whether an instance without a told start goes on with this.
fn fits(leftover: &Leftover<'_>, draft: &Draft<'_>, news: i64, told: &[Draft<'_>]) -> bool {
    let begin = draft.begin.unwrap_or(leftover.at);
    let replaced = |other: &Draft<'_>| {
        other.kind == draft.kind && other.start.is_some_and(|start| begin < start && start <= leftover.at)
    };
    leftover.kind.is_none_or(|kind| kind == draft.kind)
        && leftover.at - news <= DAY
        && draft.end.is_none_or(|end| leftover.at - end <= leftover.late)
        && !told.iter().any(replaced)
}

fn put<'a>(draft: &mut Draft<'a>, fact: &'a CallFact, why: Why) {
    if matches!(fact.news, News::Ended { .. }) {
        draft.end(fact, why);
        return;
    }
    draft.facts.push((fact, why));
    match &fact.news {
        News::Occupant { occupant, .. } => draft.occupants.push(occupant),
        News::Recording { started_at, url, duration_ms } => draft.recordings.push(RecordingRow {
            started_at: started_at.map(Time),
            url: url.clone(),
            duration_ms: *duration_ms,
        }),
        News::Transcript { id, url, started_at, ended_at } => draft.transcripts.push(TranscriptRow {
            id: id.clone(),
            url: url.clone(),
            started_at: started_at.map(Time),
            ended_at: ended_at.map(Time),
        }),
        News::Started { .. } | News::Ended { .. } | News::Signal(_) => {}
    }
}
