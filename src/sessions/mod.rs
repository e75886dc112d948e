//! Call and meeting instances from the facts of one session id (contract 4.5): a pure function over all of them, or over
//! the slice of time that a new fact can touch.
//!
//! A session id may be used again, and media events, signalling and recordings come by ways of different delay, so an
//! instance is decided over facts, never by arrival.

use crate::ids::{CallKind, CallStatus, ReceiverType, Time};
use serde::{Deserialize, Serialize};

mod files;
mod instances;
mod participants;
mod placing;
mod signals;
mod slice;

pub use instances::{Around, sessions, sessions_of_slice, sessions_with_facts};
pub use slice::{Facts, Found, History};

/// One fact about a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFact {
    /// When it happened, ms.
    pub at: i64,
    pub seq: i64,
    pub session_id: Option<String>,
    #[serde(flatten)]
    pub news: News,
}

impl CallFact {
    /// Bytes in memory, about.
    pub fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let stay = |it: &Occupant| size_of::<Occupant>() + text(&it.uid) + text(&it.name);
        let news = match &self.news {
            News::Started { .. } => 0,
            News::Ended { occupants, .. } => occupants.iter().map(stay).sum(),
            News::Occupant { occupant, .. } => stay(occupant),
            News::Signal(signal) => {
                let parties = signal.parties.iter().chain(&signal.outer);
                let parties: usize = parties.map(|it| it.sender.len() + text(&it.receiver)).sum();
                parties + text(&signal.message_id) + text(&signal.r#type) + text(&signal.status)
            }
            News::Recording { url, .. } => url.len(),
            News::Transcript { id, url, .. } => id.len() + text(url),
        };
        size_of::<Self>() + text(&self.session_id) + news
    }
}

/// What the fact tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    Started { kind: Kind, created_at: i64 },
    Ended { kind: Kind, created_at: Option<i64>, ended_at: i64, occupants: Vec<Occupant> },
    Occupant { kind: Kind, occupant: Occupant },
    Signal(Signal),
    Recording { started_at: Option<i64>, url: String, duration_ms: Option<i64> },
    Transcript { id: String, url: Option<String>, started_at: Option<i64>, ended_at: Option<i64> },
}

/// [`CallKind`], as facts are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Call,
    Meeting,
}

impl From<Kind> for CallKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Call => Self::Call,
            Kind::Meeting => Self::Meeting,
        }
    }
}

/// One stay of one person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occupant {
    pub uid: Option<String>,
    pub name: Option<String>,
    pub joined_at: Option<i64>,
    pub left_at: Option<i64>,
    pub audio_only: Option<bool>,
}

/// What the ringing side tells: parties, status and when it was initiated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// [`CallStatus`] by its word.
    pub status: Option<String>,
    pub initiated_at: Option<i64>,
    /// Only heeded where no media event is known.
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub r#type: Option<String>,
    pub message_id: Option<String>,
    /// The call's own parties.
    pub parties: Option<Parties>,
    /// Sender and receiver of the message around it; they follow the actor.
    pub outer: Option<Parties>,
}

/// Who called whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parties {
    pub sender: String,
    pub receiver: Option<String>,
    /// [`ReceiverType`] by its word.
    pub receiver_type: Option<String>,
}

/// One call or meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub kind: CallKind,
    /// What tells it from others of its session and kind: the start told, else its earliest participant, else (of media
    /// without participants) its first news, else the initiation.
    pub anchor: Time,
    pub session_id: Option<String>,
    pub r#type: Option<String>,
    pub status: Option<CallStatus>,
    pub initiator: Option<String>,
    pub receiver_type: Option<ReceiverType>,
    pub receiver: Option<String>,
    pub call_message_id: Option<String>,
    pub initiated_at: Option<Time>,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub order_at: Time,
    pub news_at: Time,
    pub stays: Vec<StayRow>,
    pub recordings: Vec<RecordingRow>,
    pub transcripts: Vec<TranscriptRow>,
}

/// A stay, with who it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StayRow {
    /// `u:<uid>`, or `n:<joined_at>:<name>`.
    pub person: String,
    pub joined_at: Option<Time>,
    pub uid: Option<String>,
    pub name: Option<String>,
    pub left_at: Option<Time>,
    pub audio_only: Option<bool>,
}

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingRow {
    pub started_at: Option<Time>,
    pub url: String,
    /// Milliseconds: a whole number is the same however often it is stored and read.
    pub duration_ms: Option<i64>,
}

/// A transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptRow {
    pub id: String,
    pub url: Option<String>,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
}

/// How long a call or meeting goes on without news: the end may be lost. One day.
const NEWS_MS: i64 = 24 * 60 * 60 * 1000;

/// Whether a call or meeting of this status goes on. The last news of the instance came at `news_at`.
pub fn goes_on(status: Option<CallStatus>, news_at: i64, now: i64) -> bool {
    matches!(status, Some(CallStatus::Initiated | CallStatus::Ongoing)) && news_at >= now - NEWS_MS
}

/// How long an instance or a stay took, ms: 0 where the end is told before the start. None: nobody told one of them.
pub fn length_ms(start: Option<Time>, end: Option<Time>) -> Option<i64> {
    Some((end?.0 - start?.0).max(0))
}

/// Why a fact belongs to its instance (contract 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It tells when the instance started.
    Start,
    /// An end that tells no start closes the newest open instance, or repeats the end of one just closed.
    Closes,
    /// Signalling: the instance started within ten minutes of the initiation.
    Answered,
    /// Signalling that no start answers is an instance of its own.
    Unanswered,
    /// The instance's end lists that stay.
    Listed,
    /// It happened while the instance lasted, whose end is told.
    Holds,
    /// It starts within 10 s after.
    Early,
    /// The newest that is open.
    Open,
    /// The last before, ended not long ago.
    Late,
    /// No told start fits: what is left makes instances by time.
    Startless,
}

#[cfg(test)]
pub mod model_tests;
#[cfg(test)]
mod tests;
