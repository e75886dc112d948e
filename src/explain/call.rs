//! A session id: its instances, and to which instance each fact belongs and why.

use super::Effect;
use super::state::Call;
use crate::change::Change;
use crate::ids::Time;
use crate::sessions::{CallFact, Instance, News, Occupant, Why, sessions_with_facts};
use crate::store::sqlite::read::explain::Outline;
use serde_json::json;

impl Call {
    /// Applies a change; true if the change is about this session.
    pub(super) fn take(&mut self, which: &str, change: Change) -> bool {
        let Change::Call { session_key, fact } = change else { return false };
        let own = session_key == which;
        self.facts.extend(own.then_some(*fact));
        own
    }

    /// Decides the instances, and tells of each fact where it went, by log position.
    pub(super) fn place(&mut self) -> Vec<(i64, Effect)> {
        let found = sessions_with_facts(&self.facts);
        self.instances = found.iter().map(|(instance, _)| Outline::from(instance)).collect();
        let mut effects = Vec::new();
        for (instance, placed) in &found {
            let name = name(instance, placed);
            for (seq, why) in placed {
                let told = self.facts.iter().find(|fact| fact.seq == *seq).map(said).unwrap_or_default();
                let value = json!({ "told": told, "ledTo": name });
                effects.push((*seq, Effect::new("instance", value, true, words(*why))));
            }
        }
        effects
    }
}

/// What an instance is called.
fn name(instance: &Instance, placed: &[(i64, Why)]) -> String {
    let kind = instance.kind.as_str();
    let is_startless = placed.iter().any(|(_, why)| *why == Why::Startless);
    let unknown = if is_startless { " (start not known)" } else { "" };
    format!("the {kind} of {}{unknown}", instance.anchor)
}

fn words(why: Why) -> &'static str {
    match why {
        Why::Start => "it has the same start (starts within 5 s of each other count as one)",
        Why::Closes => "an end without a start ends the newest instance that is open or has just ended",
        Why::Answered => {
            "the session started within 10 minutes after the call began to ring, and the call had not failed before"
        }
        Why::Unanswered => {
            "no session started within 10 minutes after the call began to ring, before the call failed: an instance of its own"
        }
        Why::Listed => "the event that ended this instance lists this stay",
        Why::Holds => "it happened during this instance",
        Why::Early => "this instance starts within 10 s after it",
        Why::Open => "this was the newest instance still open",
        Why::Late => "this was the last instance before it, and had ended not long ago",
        Why::Startless => "no known start fits it, so it is grouped with other facts by its time",
    }
}

fn said(fact: &CallFact) -> String {
    let time = |ms: &Option<i64>| ms.map_or_else(|| "an unknown time".to_owned(), |ms| Time(ms).to_string());
    match &fact.news {
        News::Started { created_at, .. } => format!("started at {}", Time(*created_at)),
        News::Ended { ended_at, occupants, .. } => {
            format!("ended at {}, {} occupants", Time(*ended_at), occupants.len())
        }
        News::Occupant { occupant, .. } if occupant.left_at.is_some() => {
            format!("{} left at {}", who(occupant), time(&occupant.left_at))
        }
        News::Occupant { occupant, .. } => format!("{} joined at {}", who(occupant), time(&occupant.joined_at)),
        News::Signal(signal) => {
            let status =
                signal.status.as_deref().map_or_else(|| "signal".to_owned(), |status| format!("status {status}"));
            let initiated = signal.initiated_at.map(|at| format!(", initiated at {}", Time(at))).unwrap_or_default();
            format!("{status}{initiated}")
        }
        News::Recording { started_at, .. } => format!("recording from {}", time(started_at)),
        News::Transcript { id, started_at, .. } => format!("transcript {id} from {}", time(started_at)),
    }
}

fn who(occupant: &Occupant) -> &str {
    occupant.uid.as_deref().or(occupant.name.as_deref()).unwrap_or("somebody")
}
