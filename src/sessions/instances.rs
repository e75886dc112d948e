//! From facts to instances.

use super::files::{recordings, transcripts};
use super::participants::stays;
use super::placing::place_all;
use super::signals::{self, Signalled};
use super::slice::History;
use super::{CallFact, Instance, Kind, News, Occupant, RecordingRow, TranscriptRow, Why};
use crate::ids::{CallKind, ReceiverType, Time};

/// `created_at` of one instance may differ this much between its start and its end.
const SAME_START: i64 = 5_000;
/// A participant may join, or an end be told again, this long after the end.
pub(super) const LATE: i64 = 60_000;
/// A session id of which nothing is heard for longer than this is used anew.
pub(super) const DAY: i64 = 86_400_000;

/// An instance while it is put together.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub kind: Kind,
    /// The start as told.
    pub start: Option<i64>,
    /// Where no start is told: the earliest participant, else the first news.
    pub begin: Option<i64>,
    /// The end as told.
    pub end: Option<i64>,
    /// Start of the instance of its kind that came next while this one was open.
    pub followed: Option<i64>,
    pub signals: Vec<Signalled<'a>>,
    pub initiated_at: Option<i64>,
    pub occupants: Vec<&'a Occupant>,
    pub recordings: Vec<RecordingRow>,
    pub transcripts: Vec<TranscriptRow>,
    pub facts: Vec<(&'a CallFact, Why)>,
}

impl<'a> Draft<'a> {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            start: None,
            begin: None,
            end: None,
            followed: None,
            signals: Vec::new(),
            initiated_at: None,
            occupants: Vec::new(),
            recordings: Vec::new(),
            transcripts: Vec::new(),
            facts: Vec::new(),
        }
    }

    /// When its media began; `None` for what only rang.
    pub fn starts_at(&self) -> Option<i64> {
        self.start.or(self.begin)
    }

    /// When it was over, as far as known.
    pub fn span_end(&self) -> Option<i64> {
        self.end.or(self.followed)
    }

    /// No end is told, and at that time no other had followed.
    pub fn is_open_at(&self, at: i64) -> bool {
        self.end.is_none() && self.followed.is_none_or(|followed| at < followed)
    }

    /// Takes an end and the people it lists.
    pub fn end(&mut self, fact: &'a CallFact, why: Why) {
        self.facts.push((fact, why));
        if let News::Ended { ended_at, occupants, .. } = &fact.news {
            self.end = self.end.max(Some(*ended_at));
            self.occupants.extend(occupants);
        }
    }
}

/// What the facts outside a slice say about it.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    /// Media that tell no kind are those of a call.
    pub is_call: bool,
    /// The start that ends what is open in the slice.
    pub next: Option<(Kind, i64)>,
}

impl Around {
    /// Of all facts: there is nothing around them.
    fn none<'a>(facts: impl IntoIterator<Item = &'a CallFact>) -> Self {
        let mut history = History::default();
        facts.into_iter().for_each(|fact| history.take(fact));
        Self { is_call: history.is_call(), next: None }
    }
}

/// Decides the instances of one session id over all its facts. Deterministic, whatever order they come in.
pub fn sessions(facts: &[CallFact]) -> Vec<Instance> {
    sessions_with_facts(facts).into_iter().map(|(instance, _)| instance).collect()
}

/// The same, each with the log positions of its facts and why they belong to it, for explanations.
pub fn sessions_with_facts(facts: &[CallFact]) -> Vec<(Instance, Vec<(i64, Why)>)> {
    decide(facts.iter().collect(), Around::none(facts))
}

/// Decides the instances of a slice.
pub fn sessions_of_slice<'a>(facts: impl IntoIterator<Item = &'a CallFact>, around: Around) -> Vec<Instance> {
    decide(facts.into_iter().collect(), around).into_iter().map(|(instance, _)| instance).collect()
}

fn decide(mut facts: Vec<&CallFact>, around: Around) -> Vec<(Instance, Vec<(i64, Why)>)> {
    facts.sort_by_key(|fact| (fact.at, fact.seq));
    let mut drafts = started(&facts);
    drafts.extend(around.next.map(|(kind, start)| Draft { start: Some(start), ..Draft::new(kind) }));
    let unplaced = close(&facts, &mut drafts);
    follow(&mut drafts);
    place_all(&facts, unplaced, if around.is_call { Kind::Call } else { Kind::Meeting }, &mut drafts);
    follow(&mut drafts);
    signals::place_all(&facts, &mut drafts);
    // The next start has no facts here: the next slice shows it.
    drafts.retain(|draft| !draft.facts.is_empty());
    let session_id = facts.iter().find_map(|fact| fact.session_id.clone());
    let finished = drafts.into_iter().map(|draft| {
        let placed = draft.facts.iter().map(|(fact, why)| (fact.seq, *why)).collect();
        (finish(draft, session_id.clone()), placed)
    });
    let mut instances: Vec<(Instance, Vec<(i64, Why)>)> = finished.collect();
    instances.sort_by_key(|(instance, _)| (instance.kind, instance.anchor, instance.started_at.is_none()));
    for at in 1..instances.len() {
        // Two instances of one kind and instant stay two.
        let before = (instances[at - 1].0.kind, instances[at - 1].0.anchor);
        let (instance, _) = &mut instances[at];
        if (instance.kind, instance.anchor) <= before {
            instance.anchor = Time(before.1.0 + 1);
        }
    }
    instances
}

/// Instances by their told starts, in the order of their kinds and starts.
fn started<'a>(facts: &[&'a CallFact]) -> Vec<Draft<'a>> {
    let mut starts: Vec<(Kind, i64)> = facts.iter().filter_map(|fact| told_start(fact)).collect();
    starts.sort_unstable();
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    for (kind, start) in starts {
        let same =
            |draft: &Draft<'_>| draft.kind == kind && draft.start.is_some_and(|first| start - first <= SAME_START);
        if !drafts.last().is_some_and(same) {
            drafts.push(Draft { start: Some(start), ..Draft::new(kind) });
        }
    }
    for fact in facts {
        let Some((kind, start)) = told_start(fact) else { continue };
        let first = |draft: &&mut Draft<'_>| {
            draft.kind == kind && draft.start.is_some_and(|first| first <= start && start - first <= SAME_START)
        };
        if let Some(draft) = drafts.iter_mut().rfind(first) {
            draft.end(fact, Why::Start);
        }
    }
    drafts
}

pub(super) fn told_start(fact: &CallFact) -> Option<(Kind, i64)> {
    match &fact.news {
        News::Started { kind, created_at } => Some((*kind, *created_at)),
        News::Ended { kind, created_at: Some(created_at), .. } => Some((*kind, *created_at)),
        _ => None,
    }
}

/// Gives the ends that tell no start to the newest instance that started before them, if that one was open or ended
/// a moment ago. Hands back the others.
fn close<'a>(facts: &[&'a CallFact], drafts: &mut [Draft<'a>]) -> Vec<&'a CallFact> {
    let mut unplaced = Vec::new();
    for fact in facts {
        let News::Ended { kind, created_at: None, ended_at, .. } = &fact.news else { continue };
        let begun = |draft: &&mut Draft<'_>| draft.kind == *kind && draft.start.is_some_and(|start| start <= *ended_at);
        let newest = drafts.iter_mut().filter(begun).max_by_key(|draft| draft.start);
        match newest.filter(|draft| draft.end.is_none_or(|end| ended_at - end <= LATE)) {
            Some(draft) => draft.end(fact, Why::Closes),
            None => unplaced.push(*fact),
        }
    }
    unplaced
}

/// An instance without a told end is over when the next one of its kind starts.
fn follow(drafts: &mut [Draft<'_>]) {
    let all: Vec<(Kind, i64)> = drafts.iter().filter_map(|draft| Some((draft.kind, draft.starts_at()?))).collect();
    for draft in drafts.iter_mut().filter(|draft| draft.end.is_none()) {
        let Some(start) = draft.starts_at() else { continue };
        let later = all.iter().filter(|(kind, other)| *kind == draft.kind && *other > start);
        draft.followed = later.map(|(_, other)| *other).min();
    }
}

fn finish(draft: Draft<'_>, session_id: Option<String>) -> Instance {
    let mut signals = draft.signals.clone();
    signals.sort_by_key(|(fact, _)| (fact.at, fact.seq));
    let told_by_media = draft.start.is_some() || draft.end.is_some();
    let signalled = |pick: fn(&super::Signal) -> Option<i64>| {
        signals.iter().rev().find_map(|(_, signal)| pick(signal)).filter(|_| !told_by_media)
    };
    let first_join = draft.occupants.iter().filter_map(|occupant| occupant.joined_at).min();
    let started_at = draft.start.or(first_join).or_else(|| signalled(|signal| signal.started_at));
    let ended_at = draft.end.or_else(|| signalled(|signal| signal.ended_at));
    let first = draft.facts.iter().map(|(fact, _)| fact.at).min().unwrap_or(0);
    let initiated_at = draft.initiated_at;
    let anchor = draft.starts_at().or(initiated_at).unwrap_or(first);
    let parties = signals::parties(&signals);
    let occupants: Vec<Occupant> = draft.occupants.iter().map(|occupant| (*occupant).clone()).collect();
    let has_media = told_by_media || !occupants.is_empty();
    let status = signals::verdict(draft.span_end().is_some(), has_media, &signals);
    Instance {
        kind: CallKind::from(draft.kind),
        anchor: Time(anchor),
        session_id,
        r#type: signals.iter().rev().find_map(|(_, signal)| signal.r#type.clone()),
        status,
        initiator: parties.as_ref().map(|parties| parties.sender.clone()),
        receiver_type: parties
            .as_ref()
            .and_then(|parties| parties.receiver_type.as_deref())
            .and_then(ReceiverType::from_word),
        receiver: parties.and_then(|parties| parties.receiver),
        call_message_id: signals::call_message_id(&signals),
        initiated_at: initiated_at.map(Time),
        started_at: started_at.map(Time),
        ended_at: ended_at.map(Time),
        order_at: Time(started_at.or(initiated_at).unwrap_or(first)),
        news_at: Time(draft.facts.iter().map(|(fact, _)| fact.at).max().unwrap_or(first)),
        stays: stays(&occupants),
        recordings: recordings(draft.recordings),
        transcripts: transcripts(draft.transcripts),
    }
}
