//! The tables made anew from the log: aside, to compare them with those that are there ([`verify`]), or to take their
//! place ([`rebuild`]). Always beside, never in place.

mod aside;
mod chunk;
mod host;
mod part;
mod repeat;
mod run;
mod verify;

pub use aside::Aside;
pub use host::Host;
pub use part::refold;
pub use run::{rebuild, sweep};
pub use verify::{Verified, finished, verify};

use crate::store::StoreError;
use crate::store::sqlite::state::State;
use crate::writer::NotRun;
use serde::{Deserialize, Serialize};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub phase: Phase,
    pub done: u64,
    /// 0 where it is not known.
    pub total: u64,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Events of the log are folded aside.
    Fold,
    /// Rows are compared with those of the file.
    Compare,
    /// Rows are copied into shadow tables.
    Copy,
    /// Events that came meanwhile are folded, and their rows copied again.
    CatchUp,
    /// The shadows take the place of the live tables.
    Swap,
    /// Both sets of tables are hashed.
    Hash,
    /// Tables that are not needed any more are emptied.
    Sweep,
}

/// What came of a rebuild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// What the replaced tables said, at the log position of `after`.
    pub before: State,
    pub after: State,
    pub events: u64,
    /// Events of which something else became than the log said.
    pub retried: u64,
    /// Rows of the log that are not what was received: the first of them, in words.
    pub damaged: Vec<String>,
}

impl Rebuilt {
    /// As `chatfold rebuild --json` prints it.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "events": self.events,
            "retried": self.retried,
            "damaged": self.damaged,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
        })
    }
}

/// Why there was no rebuild; the live tables are what they were.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error("{0}; a rebuild needs room for twice the tables; the tables did not change")]
    Full(StoreError),
    #[error(transparent)]
    Store(StoreError),
    #[error("the rebuild was stopped; the tables did not change")]
    Stopped,
}

impl From<StoreError> for RebuildError {
    fn from(error: StoreError) -> Self {
        if error.is_full() { Self::Full(error) } else { Self::Store(error) }
    }
}

impl From<NotRun> for RebuildError {
    fn from(error: NotRun) -> Self {
        match error {
            NotRun::Stopping => Self::Stopped,
            NotRun::Failed(error) => error.into(),
        }
    }
}
