//! Retention: old events are cut from the log, and what the tables say of the present stays.
//!
//! The tables are a function of the log, also after a cut. What is cut, by family:
//!
//! - `ignored`: events that fill no tables. Only the row of the app counts them.
//! - `presence`: events whose every value lost to a newer one. A connection that ended before the horizon goes with all
//!   its events.
//! - `message`: messages that were sent before the horizon, with all events about them. What such an event tells of people
//!   and groups stays if a row still needs it: an event `chatfold.kept` takes its place in the log, without the message.
//!   The tables are made anew from the log that is left.
//! - `call`: session ids of which nothing was heard since the horizon, each with its calls, its meetings and all events
//!   about it. What such an event tells of people and groups stays in the same way.
//!
//! An event `chatfold.retention` tells the horizon first. The fold refuses older events of the family that arrive behind
//! it ([`crate::fold`]), because what they would change may be gone.

mod call;
mod described;
mod kept;
mod message;
mod needs;
mod plan;
mod presence;
mod run;

pub use run::{cut, survey};

use crate::ids::Time;
use crate::rebuild::{Progress, RebuildError};
use crate::store::StoreError;
use crate::trigger::family;
use serde::Serialize;
use std::time::Duration;

/// The event that tells of a horizon.
pub const TRIGGER: &str = "chatfold.retention";

/// Events that are cut alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Events that fill no tables.
    Ignored,
    /// Who is online, through which connections.
    Presence,
    /// Messages, and all that hangs on them.
    Message,
    /// Calls and meetings.
    Call,
}

impl Family {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Presence => family::PRESENCE,
            Self::Message => family::MESSAGE,
            Self::Call => family::CALL,
        }
    }
}

/// How old events may get. `None`: events of the family stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    pub ignored: Option<Duration>,
    pub presence: Option<Duration>,
    pub message: Option<Duration>,
    pub call: Option<Duration>,
}

impl Rules {
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    fn all(&self) -> impl Iterator<Item = (Family, Duration)> {
        let all = [
            (Family::Ignored, self.ignored),
            (Family::Presence, self.presence),
            (Family::Message, self.message),
            (Family::Call, self.call),
        ];
        all.into_iter().filter_map(|(family, age)| Some((family, age?)))
    }
}

/// What is cut, or would be cut, of one family of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    pub app_id: String,
    pub family: Family,
    /// The horizon.
    #[serde(serialize_with = "rfc3339")]
    pub before: Time,
    pub events: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Rows of connections that go with them.
    pub connections: u64,
    /// Messages that go with them.
    pub messages: u64,
    /// Session ids that go with them.
    pub sessions: u64,
    /// Older events that stay, because a table still needs them.
    pub kept: u64,
}

fn rfc3339<S: serde::Serializer>(time: &Time, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&time.rfc3339())
}

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub enum At {
    /// So many events were cut.
    Cutting(u64),
    /// The tables are made anew.
    Folding(Progress),
}

/// What was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub lines: Vec<Line>,
    /// Bytes of the file before and after.
    pub bytes_before: i64,
    pub bytes_after: i64,
    /// Whether the WAL is empty. If not, it may hold bytes of what was cut until it is written over.
    pub wal_is_empty: bool,
}

/// Why not everything was cut. What was cut stays cut, and the next run goes on.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    #[error("stopped; what was cut stays cut, and the next run goes on")]
    Stopped,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RebuildError> for RetentionError {
    fn from(error: RebuildError) -> Self {
        match error {
            RebuildError::Stopped => Self::Stopped,
            RebuildError::Full(error) | RebuildError::Store(error) => Self::Store(error),
        }
    }
}
