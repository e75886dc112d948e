//! From facts to instances.

use super::files::{recordings, transcripts};
use super::participants::stays;
use super::{CallFact, Instance, Kind, News, Occupant, Parties, RecordingRow, Signal, TranscriptRow, Why};
use crate::ids::{CallKind, CallStatus, ReceiverType, Time, compare_ids};

/// `created_at` of one instance may differ this much between its start and its end.
const SAME_START: i64 = 5_000;
/// A participant may be told to have joined this long before the start.
const EARLY: i64 = 10_000;
/// …or this long after the end.
const LATE: i64 = 60_000;
/// Recordings are told when the session is long over.
const LATE_RECORDING: i64 = 86_400_000;
/// A call that rings longer than this is another.
const RINGS: i64 = 600_000;

/// A fact that is a signal, and the signal.
type Signalled<'a> = (&'a CallFact, &'a Signal);

/// An instance while it is put together.
#[derive(Debug, Default)]
struct Draft<'a> {
    kind: Option<Kind>,
    start: Option<i64>,
    end: Option<i64>,
    /// Start of the instance that followed while this one was open.
    followed: Option<i64>,
    ended: bool,
    signals: Vec<Signalled<'a>>,
    initiated_at: Option<i64>,
    occupants: Vec<&'a Occupant>,
    recordings: Vec<RecordingRow>,
    transcripts: Vec<TranscriptRow>,
    facts: Vec<(&'a CallFact, Why)>,
}

impl Draft<'_> {
    fn holds(&self, at: i64) -> bool {
        self.start.is_some_and(|start| start <= at) && self.span_end().is_none_or(|end| at <= end)
    }

    fn span_end(&self) -> Option<i64> {
        self.end.or(self.followed)
    }
}

/// Decides the instances of one session id over all its facts. Deterministic, whatever order they come in.
pub fn sessions(facts: &[CallFact]) -> Vec<Instance> {
    sessions_with_facts(facts).into_iter().map(|(instance, _)| instance).collect()
}

/// The same, each with the log positions of its facts and why they belong to it, for explanations.
pub fn sessions_with_facts(facts: &[CallFact]) -> Vec<(Instance, Vec<(i64, Why)>)> {
    let mut facts: Vec<&CallFact> = facts.iter().collect();
    facts.sort_by_key(|fact| (fact.at, fact.seq));
    let mut drafts = media(&facts);
    let signalled = signalling(&facts, &mut drafts);
    attach(&facts, &mut drafts, signalled);
    let session_id = facts.iter().find_map(|fact| fact.session_id.clone());
    let finished = drafts.into_iter().map(|draft| {
        let placed = draft.facts.iter().map(|(fact, why)| (fact.seq, *why)).collect();
        (finish(draft, session_id.clone()), placed)
    });
    let mut instances: Vec<(Instance, Vec<(i64, Why)>)> = finished.collect();
    instances.sort_by_key(|(instance, _)| (instance.kind, instance.anchor, instance.started_at.is_none()));
    for at in 1..instances.len() {
        // Two of one instant stay two.
        let before = (instances[at - 1].0.kind, instances[at - 1].0.anchor);
        let (instance, _) = &mut instances[at];
        if (instance.kind, instance.anchor) <= before {
            instance.anchor = Time(before.1.0 + 1);
        }
    }
    instances
}

/// Instances by their told starts, then the ends that tell none.
fn media<'a>(facts: &[&'a CallFact]) -> Vec<Draft<'a>> {
    let mut starts: Vec<(Kind, i64)> = facts.iter().filter_map(|fact| told_start(fact)).collect();
    starts.sort_unstable();
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    for (kind, start) in starts {
        let same = |draft: &Draft<'_>| {
            draft.kind == Some(kind) && draft.start.is_some_and(|first| start - first <= SAME_START)
        };
        if !drafts.last().is_some_and(same) {
            drafts.push(Draft { kind: Some(kind), start: Some(start), ..Draft::default() });
        }
    }
    for fact in facts {
        let Some((kind, start)) = told_start(fact) else { continue };
        let first = |draft: &&mut Draft<'_>| {
            draft.kind == Some(kind) && draft.start.is_some_and(|first| first <= start && start - first <= SAME_START)
        };
        if let Some(draft) = drafts.iter_mut().rfind(first) {
            draft.facts.push((fact, Why::Start));
            end(draft, fact);
        }
    }
    for fact in facts {
        if let News::Ended { kind, created_at: None, ended_at, .. } = &fact.news {
            let begun = |draft: &&mut Draft<'_>| {
                draft.kind == Some(*kind) && draft.start.is_some_and(|start| start <= *ended_at)
            };
            // One that another follows is over by then.
            let newest = drafts.iter_mut().filter(begun).max_by_key(|draft| draft.start);
            let (draft, why) = match newest.filter(|draft| draft.end.is_none()) {
                Some(draft) => (draft, Why::Closes),
                None => (startless(&mut drafts, *kind), Why::Startless),
            };
            draft.facts.push((fact, why));
            end(draft, fact);
        }
    }
    let all: Vec<(Option<Kind>, Option<i64>)> = drafts.iter().map(|draft| (draft.kind, draft.start)).collect();
    for draft in drafts.iter_mut().filter(|draft| draft.end.is_none()) {
        draft.followed = all
            .iter()
            .filter(|(kind, start)| *kind == draft.kind && *start > draft.start && draft.start.is_some())
            .filter_map(|(_, start)| *start)
            .min();
        draft.ended |= draft.followed.is_some();
    }
    drafts
}

fn told_start(fact: &CallFact) -> Option<(Kind, i64)> {
    match &fact.news {
        News::Started { kind, created_at } => Some((*kind, *created_at)),
        News::Ended { kind, created_at: Some(created_at), .. } => Some((*kind, *created_at)),
        _ => None,
    }
}

fn end<'a>(draft: &mut Draft<'a>, fact: &'a CallFact) {
    if let News::Ended { ended_at, occupants, .. } = &fact.news {
        draft.end = draft.end.max(Some(*ended_at));
        draft.ended = true;
        draft.occupants.extend(occupants);
    }
}

/// The one instance of a kind for what belongs to no start.
fn startless<'d, 'a>(drafts: &'d mut Vec<Draft<'a>>, kind: Kind) -> &'d mut Draft<'a> {
    let known =
        drafts.iter().position(|draft| draft.kind == Some(kind) && draft.start.is_none() && draft.signals.is_empty());
    let at = known.unwrap_or_else(|| {
        drafts.push(Draft { kind: Some(kind), ..Draft::default() });
        drafts.len() - 1
    });
    &mut drafts[at]
}

/// Gives each initiation its instance. True if there was any signalling.
fn signalling<'a>(facts: &[&'a CallFact], drafts: &mut Vec<Draft<'a>>) -> bool {
    let signals: Vec<Signalled<'_>> = facts
        .iter()
        .filter_map(|fact| if let News::Signal(signal) = &fact.news { Some((*fact, signal)) } else { None })
        .collect();
    let mut initiations: Vec<i64> = signals.iter().filter_map(|(_, signal)| signal.initiated_at).collect();
    initiations.sort_unstable();
    initiations.dedup();
    let mut groups: Vec<(Option<i64>, Vec<Signalled<'_>>)> =
        initiations.iter().map(|at| (Some(*at), Vec::new())).collect();
    let mut stray = Vec::new();
    for (fact, signal) in &signals {
        let own = signal.initiated_at.or_else(|| initiations.iter().copied().rfind(|at| *at <= fact.at));
        match groups.iter_mut().find(|(at, _)| own.is_some() && *at == own) {
            Some((_, group)) => group.push((fact, signal)),
            None => stray.push((*fact, *signal)),
        }
    }
    if !stray.is_empty() {
        groups.push((None, stray));
    }
    for (initiated_at, group) in groups {
        let (draft, why) = match initiated_at.and_then(|at| answered(drafts, at, &group)) {
            Some(index) => (&mut drafts[index], Why::Answered),
            None => {
                drafts.push(Draft { kind: Some(Kind::Call), ..Draft::default() });
                let last = drafts.len() - 1;
                (&mut drafts[last], Why::Unanswered)
            }
        };
        draft.initiated_at = draft.initiated_at.max(initiated_at);
        draft.facts.extend(group.iter().map(|(fact, _)| (*fact, why)));
        draft.signals.extend(group);
    }
    !signals.is_empty()
}

/// The first instance that starts within ten minutes of the initiation, unless it failed before.
fn answered(drafts: &[Draft<'_>], initiated_at: i64, group: &[Signalled<'_>]) -> Option<usize> {
    let (index, start) = drafts
        .iter()
        .enumerate()
        .filter(|(_, draft)| draft.kind == Some(Kind::Call))
        .filter_map(|(index, draft)| Some((index, draft.start?)))
        .filter(|(_, start)| (0..=RINGS).contains(&(start - initiated_at)))
        .min_by_key(|(_, start)| *start)?;
    let failed_first = group.iter().any(|(fact, signal)| fact.at <= start && status(signal).is_some_and(failed));
    (!failed_first).then_some(index)
}

fn status(signal: &Signal) -> Option<CallStatus> {
    signal.status.as_deref().and_then(CallStatus::from_word)
}

fn failed(status: CallStatus) -> bool {
    matches!(status, CallStatus::Rejected | CallStatus::Busy | CallStatus::Cancelled | CallStatus::Unanswered)
}

/// Participants, recordings and transcripts find the instance of their time.
fn attach<'a>(facts: &[&'a CallFact], drafts: &mut Vec<Draft<'a>>, signalled: bool) {
    let alone =
        if signalled || drafts.iter().any(|draft| draft.kind == Some(Kind::Call)) { Kind::Call } else { Kind::Meeting };
    for fact in facts {
        let (kind, at, late) = match &fact.news {
            News::Occupant { kind, occupant } => (Some(*kind), occupant.joined_at.or(occupant.left_at), LATE),
            News::Recording { started_at, .. } => (None, *started_at, LATE_RECORDING),
            News::Transcript { started_at, .. } => (None, *started_at, LATE),
            _ => continue,
        };
        let (draft, why) = match place(drafts, kind, at.unwrap_or(fact.at), late) {
            Some((index, why)) => (&mut drafts[index], why),
            None => (startless(drafts, kind.unwrap_or(alone)), Why::Startless),
        };
        draft.facts.push((fact, why));
        match &fact.news {
            News::Occupant { occupant, .. } => draft.occupants.push(occupant),
            News::Recording { started_at, url, duration } => {
                draft.recordings.push(RecordingRow {
                    started_at: started_at.map(Time),
                    url: url.clone(),
                    duration: *duration,
                });
            }
            News::Transcript { id, url, started_at, ended_at } => draft.transcripts.push(TranscriptRow {
                id: id.clone(),
                url: url.clone(),
                started_at: started_at.map(Time),
                ended_at: ended_at.map(Time),
            }),
            _ => {}
        }
    }
}

fn place(drafts: &[Draft<'_>], kind: Option<Kind>, at: i64, late: i64) -> Option<(usize, Why)> {
    let mine = || {
        drafts.iter().enumerate().filter(|(_, draft)| draft.start.is_some() && (kind.is_none() || draft.kind == kind))
    };
    let newest = |(_, draft): &(usize, &Draft<'_>)| (draft.start, draft.kind);
    let holding = mine().filter(|(_, draft)| draft.holds(at)).max_by_key(newest);
    let soon = || {
        mine()
            .filter(|(_, draft)| draft.start.is_some_and(|start| start > at && start - at <= EARLY))
            .min_by_key(newest)
    };
    let open = || {
        mine()
            .filter(|(_, draft)| {
                draft.end.is_none() && draft.followed.is_none() && draft.start.is_some_and(|start| start <= at)
            })
            .max_by_key(newest)
    };
    let before = || {
        mine()
            .filter(|(_, draft)| draft.start.is_some_and(|start| start <= at))
            .max_by_key(newest)
            .filter(|(_, draft)| draft.span_end().is_some_and(|end| at - end <= late))
    };
    let found = |why| move |(index, _): (usize, &Draft<'_>)| (index, why);
    (holding.map(found(Why::Holds)))
        .or_else(|| soon().map(found(Why::Early)))
        .or_else(|| open().map(found(Why::Open)))
        .or_else(|| before().map(found(Why::Late)))
}

fn finish(draft: Draft<'_>, session_id: Option<String>) -> Instance {
    let kind = draft.kind.unwrap_or(Kind::Call);
    let mut signals = draft.signals.clone();
    signals.sort_by_key(|(fact, _)| (fact.at, fact.seq));
    let has_media = draft.start.is_some() || draft.end.is_some();
    let told = |pick: fn(&Signal) -> Option<i64>| {
        signals.iter().rev().find_map(|(_, signal)| pick(signal)).filter(|_| !has_media)
    };
    let started_at = draft.start.or_else(|| told(|signal| signal.started_at));
    let ended_at = draft.end.or_else(|| told(|signal| signal.ended_at));
    let first = draft.facts.iter().map(|(fact, _)| fact.at).min().unwrap_or(0);
    let initiated_at = draft.initiated_at;
    let orphan = draft.start.is_none() && draft.signals.is_empty();
    let anchor = if orphan { 0 } else { draft.start.or(initiated_at).unwrap_or(first) };
    let parties = parties(&signals);
    let occupants: Vec<Occupant> = draft.occupants.iter().map(|occupant| (*occupant).clone()).collect();
    let status = verdict(&draft, &signals, has_media || !occupants.is_empty());
    Instance {
        kind: CallKind::from(kind),
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
        call_message_id: call_message_id(&signals),
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

/// A terminal state stays; the end of the media wins over all.
fn verdict(draft: &Draft<'_>, signals: &[Signalled<'_>], media: bool) -> Option<CallStatus> {
    if draft.ended {
        return Some(CallStatus::Ended);
    }
    let terminal = signals
        .iter()
        .filter_map(|(_, signal)| status(signal))
        .find(|status| failed(*status) || *status == CallStatus::Ended);
    let newest =
        || signals.iter().filter_map(|(_, signal)| status(signal)).max_by_key(|status| *status == CallStatus::Ongoing);
    terminal.or(media.then_some(CallStatus::Ongoing)).or_else(newest)
}

/// The call's own parties where any fact names them, else those of the initiation, else of the newest fact.
fn parties(signals: &[Signalled<'_>]) -> Option<Parties> {
    let own = signals.iter().rev().find_map(|(_, signal)| signal.parties.as_ref());
    let initiation = || {
        signals
            .iter()
            .filter(|(_, signal)| status(signal) == Some(CallStatus::Initiated))
            .find_map(|(_, signal)| signal.outer.as_ref())
    };
    let newest = || signals.iter().rev().find_map(|(_, signal)| original(signal));
    own.or_else(initiation).cloned().or_else(newest)
}

/// The outer parties follow the actor: who rejects, or is busy, is the one who was called.
fn original(signal: &Signal) -> Option<Parties> {
    let outer = signal.outer.clone()?;
    let swapped = matches!(status(signal), Some(CallStatus::Rejected | CallStatus::Busy));
    match outer.receiver.clone().filter(|_| swapped && outer.receiver_type.as_deref() == Some("user")) {
        Some(caller) => {
            Some(Parties { sender: caller, receiver: Some(outer.sender), receiver_type: outer.receiver_type })
        }
        None => Some(outer),
    }
}

/// Every action on a call has a message id of its own; the initiation's names the call, else the least.
fn call_message_id(signals: &[Signalled<'_>]) -> Option<String> {
    let of = |initiated: bool| {
        signals
            .iter()
            .filter(|(_, signal)| !initiated || status(signal) == Some(CallStatus::Initiated))
            .filter_map(|(_, signal)| signal.message_id.as_deref())
            .min_by(|a, b| compare_ids(a, b))
            .map(str::to_owned)
    };
    of(true).or_else(|| of(false))
}
