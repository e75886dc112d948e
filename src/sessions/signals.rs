//! Signalling: which instance an initiation rang for, and what the signals of an instance say.

use super::instances::{DAY, Draft};
use super::{CallFact, Kind, News, Parties, Signal, Why};
use crate::ids::{CallStatus, compare_ids};

/// A call that rings longer than this is another.
pub(super) const RINGS: i64 = 600_000;

/// A fact that is a signal, and the signal.
pub(super) type Signalled<'a> = (&'a CallFact, &'a Signal);

/// Gives each initiation, and what belongs to it, its instance.
pub(super) fn place_all<'a>(facts: &[&'a CallFact], drafts: &mut Vec<Draft<'a>>) {
    let signals: Vec<Signalled<'_>> = facts
        .iter()
        .filter_map(|fact| if let News::Signal(signal) = &fact.news { Some((*fact, signal)) } else { None })
        .collect();
    let mut initiations: Vec<i64> = signals.iter().filter_map(|(_, signal)| signal.initiated_at).collect();
    initiations.sort_unstable();
    initiations.dedup();
    let mut groups: Vec<(Option<i64>, Vec<Signalled<'_>>)> =
        initiations.iter().map(|at| (Some(*at), Vec::new())).collect();
    for (fact, signal) in &signals {
        let own = signal.initiated_at.or_else(|| initiations.iter().copied().rfind(|at| *at <= fact.at));
        let known = match own {
            Some(_) => groups.iter_mut().find(|(at, _)| *at == own),
            // Of no initiation: together with what came at most a day before.
            None => groups
                .iter_mut()
                .rfind(|(at, group)| at.is_none() && group.last().is_some_and(|(last, _)| fact.at - last.at <= DAY)),
        };
        match known {
            Some((_, group)) => group.push((fact, signal)),
            None => groups.push((None, vec![(*fact, *signal)])),
        }
    }
    for (initiated_at, group) in groups {
        let (draft, why) = match initiated_at.and_then(|at| answered(drafts, at, &group)) {
            Some(index) => (&mut drafts[index], Why::Answered),
            None => {
                drafts.push(Draft::new(Kind::Call));
                let last = drafts.len() - 1;
                (&mut drafts[last], Why::Unanswered)
            }
        };
        draft.initiated_at = draft.initiated_at.max(initiated_at);
        draft.facts.extend(group.iter().map(|(fact, _)| (*fact, why)));
        draft.signals.extend(group);
    }
}

/// The first instance that starts within ten minutes of the initiation, unless it failed before.
fn answered(drafts: &[Draft<'_>], initiated_at: i64, group: &[Signalled<'_>]) -> Option<usize> {
    let (index, start) = drafts
        .iter()
        .enumerate()
        .filter(|(_, draft)| draft.kind == Kind::Call)
        .filter_map(|(index, draft)| Some((index, draft.starts_at()?)))
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

/// A terminal state stays; the end of the media wins over all.
pub(super) fn verdict(over: bool, media: bool, signals: &[Signalled<'_>]) -> Option<CallStatus> {
    if over {
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
pub(super) fn parties(signals: &[Signalled<'_>]) -> Option<Parties> {
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
pub(super) fn call_message_id(signals: &[Signalled<'_>]) -> Option<String> {
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
