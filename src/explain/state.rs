//! What the tables hold about one entity: read from them, or made anew from deliveries, and compared.

use crate::blocks;
use crate::change::Dated;
use crate::edits::Version;
use crate::ids::{Scope, State as Place, Time, TimeSource};
use crate::lifecycle::Lifecycle;
use crate::merge::{Row, Value};
use crate::reactions;
use crate::sessions::{CallFact, Instance};
use crate::standing::{Change, Roster, Standing};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that decides what an entity's rows say.
#[derive(Debug, PartialEq)]
pub enum State {
    Message(Message),
    User(User),
    Group(Group),
    Membership(Membership),
    Call(Call),
}

/// A message and what hangs on it.
#[derive(Debug, Default, PartialEq)]
pub struct Message {
    pub row: Option<Row>,
    pub deleted: bool,
    pub verdict: Option<Row>,
    /// What was told as an edit, in order, and whether it is one; the texts go when the message is deleted.
    pub edits: Vec<(Version, bool)>,
    /// By reaction and uid.
    pub reactions: BTreeMap<(String, String), reactions::Facts>,
    /// By uid: earliest delivery and read time.
    pub receipts: BTreeMap<String, [Option<Dated>; 2]>,
}

/// A person, as far as snapshots, presence and blocks tell.
#[derive(Debug, Default, PartialEq)]
pub struct User {
    pub row: Option<Row>,
    pub presence: Option<Row>,
    /// By platform and connect time.
    pub connections: BTreeMap<(String, Time), Row>,
    /// By blocker and blocked.
    pub blocks: BTreeMap<(String, String), blocks::Facts>,
}

/// A group but for its members.
#[derive(Debug, Default, PartialEq)]
pub struct Group {
    pub row: Option<Row>,
    pub lifecycle: Lifecycle,
}

/// One person in one group.
#[derive(Debug, Default, PartialEq)]
pub struct Membership {
    /// In the order of the log.
    pub changes: Vec<Change>,
    /// With their log positions, in the order of the log.
    pub rosters: Vec<(i64, Roster)>,
    pub standing: Option<Standing>,
}

/// The facts of one session id, and the instances they came to.
#[derive(Debug, Default, PartialEq)]
pub struct Call {
    /// In the order of the log.
    pub facts: Vec<CallFact>,
    pub instances: Vec<Outline>,
}

/// What tells whether two instances say the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Outline {
    pub kind: String,
    pub anchor: i64,
    pub status: Option<String>,
    pub initiator: Option<String>,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub news_at: i64,
}

impl From<&Instance> for Outline {
    fn from(instance: &Instance) -> Self {
        let ms = |time: Option<Time>| time.map(|time| time.0);
        Self {
            kind: instance.kind.as_str().to_owned(),
            anchor: instance.anchor.0,
            status: instance.status.map(|status| status.as_str().to_owned()),
            initiator: instance.initiator.clone(),
            started_at: ms(instance.started_at),
            ended_at: ms(instance.ended_at),
            news_at: instance.news_at.0,
        }
    }
}

impl State {
    /// Log positions of the facts that decide.
    pub fn seqs(&self) -> BTreeSet<i64> {
        let rows: Vec<&Row> = match self {
            Self::Message(message) => message.row.iter().chain(&message.verdict).collect(),
            Self::User(user) => user.row.iter().chain(&user.presence).chain(user.connections.values()).collect(),
            Self::Group(group) => group.row.iter().collect(),
            Self::Membership(_) | Self::Call(_) => Vec::new(),
        };
        let keys = rows.into_iter().flat_map(|row| {
            row.keys.iter().flatten().map(|key| key.seq).chain(row.named.values().map(|(_, key)| key.seq))
        });
        let own: Vec<i64> = match self {
            Self::Message(message) => message.edits.iter().map(|(version, _)| version.key.seq).collect(),
            Self::User(_) => Vec::new(),
            Self::Group(group) => group.lifecycle.deleted.iter().map(|deletion| deletion.seq).collect(),
            Self::Membership(it) => {
                it.changes.iter().map(|change| change.seq).chain(it.rosters.iter().map(|(seq, _)| *seq)).collect()
            }
            Self::Call(call) => call.facts.iter().map(|fact| fact.seq).collect(),
        };
        keys.chain(own).collect()
    }

    /// Without rows that only say that there is such an entity: any delivery that names it makes one.
    pub(super) fn without_stubs(mut self) -> Self {
        let row = match &mut self {
            Self::Message(message) => &mut message.row,
            Self::User(user) => &mut user.row,
            Self::Group(group) => &mut group.row,
            Self::Membership(_) | Self::Call(_) => return self,
        };
        row.take_if(|row| {
            row.keys.iter().all(Option::is_none)
                && row.named.is_empty()
                && row.values.iter().all(|value| *value == Value::Null)
        });
        self
    }

    /// Whether anything at all is known.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Message(message) => message.row.is_some(),
            Self::User(user) => user.row.is_some(),
            Self::Group(group) => group.row.is_some(),
            Self::Membership(membership) => membership.standing.is_some(),
            Self::Call(call) => !call.facts.is_empty(),
        }
    }
}

/// State and scope of a person in a group, in words.
pub(super) fn place((state, scope): (Option<Place>, Option<Scope>)) -> String {
    match (state, scope) {
        (None, _) => "nothing known".to_owned(),
        (Some(Place::Joined), Some(scope)) => format!("joined as {}", scope.as_str()),
        (Some(state), _) => state.as_str().to_owned(),
    }
}

/// How a time is known, in words.
pub(super) fn source(from: TimeSource) -> &'static str {
    match from {
        TimeSource::Told => "told by the fact itself.",
        TimeSource::Arrival => "the fact tells no time, this is when it arrived.",
        TimeSource::Feed => "the fact tells no time, it was dated by the feed that replayed it.",
    }
}
