//! Reads an app from CometChat's API into the log: what was there before chatfold, or while no server ran.
//!
//! A run has stages. How far each came is in the file, so that a run that was stopped goes on there. All that is read
//! becomes events of chatfold's own, and the one writer of the file takes them.

pub mod hand;
mod known;
mod lists;
mod pages;
mod record;
mod stages;

pub use known::Found;
pub use record::Recorder;
pub use stages::run;

use crate::rest::RestError;
use crate::store::StoreError;
use clap::ValueEnum;
use hand::HandError;
use serde::{Deserialize, Serialize};

/// Why a run ended before its end. The next one goes on there.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    #[error(transparent)]
    Rest(#[from] RestError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Hand(#[from] HandError),
}

/// A part of a run, in the order in which they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// People, as they describe themselves
    Users,
    /// Groups: name, owner, description
    Groups,
    /// Who is in each group, and who is banned from it
    Members,
    /// Who blocks whom: one request a person
    Blocks,
    /// Messages and the reactions to them
    Messages,
}

impl Stage {
    pub const ALL: [Self; 5] = [Self::Users, Self::Groups, Self::Members, Self::Blocks, Self::Messages];

    pub fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Groups => "groups",
            Self::Members => "members",
            Self::Blocks => "blocks",
            Self::Messages => "messages",
        }
    }
}

/// What to read.
#[derive(Debug, Clone)]
pub struct Plan {
    pub app_id: String,
    pub region: String,
    pub stages: Vec<Stage>,
    /// Messages sent before this unix second are left out.
    pub since: Option<i64>,
    /// Compare only: nothing is written.
    pub dry_run: bool,
}

/// How far a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub stage: Stage,
    pub done: u64,
    /// 0: not known.
    pub total: u64,
}

/// What a stage read, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub read: u64,
    pub new: u64,
    pub changed: u64,
    pub unchanged: u64,
    /// What could not be read, or not whole.
    pub unreachable: u64,
    /// Why, for the first of these; or why nothing was read.
    pub note: Option<String>,
}

impl Tally {
    fn count(&mut self, found: Found) {
        self.read += 1;
        match found {
            Found::New => self.new += 1,
            Found::Changed => self.changed += 1,
            Found::Unchanged => self.unchanged += 1,
            Found::Strange => self.miss("a row that names nobody, or is no row".into()),
        }
    }

    /// What could not be read of one entity is counted; what would fail for every entity ends the stage.
    pub fn missed(&mut self, what: &str, read: Result<(), BackfillError>) -> Result<(), BackfillError> {
        match read {
            Err(BackfillError::Rest(error)) if !error.is_of_all() && !error.is_of_kind() => {
                self.miss(format!("{what}: {error}"));
                Ok(())
            }
            read => read,
        }
    }

    /// A list that the plan of the app, the key or CometChat leaves out is left out.
    pub fn left_out(&mut self, error: BackfillError) -> Result<(), BackfillError> {
        match error {
            BackfillError::Rest(error) if error.is_of_kind() || error.is_forbidden() => {
                self.miss(error.to_string());
                Ok(())
            }
            error => Err(error),
        }
    }

    /// A list is read again: what its first reading found counts once. A dry run finds the same again.
    fn again(&mut self, dry_run: bool) {
        let (new, changed) = if dry_run { (0, 0) } else { (self.new, self.changed) };
        *self = Self { new, changed, ..Self::default() };
    }

    pub fn incomplete(&mut self, what: &str, why: &str) {
        self.miss(format!("{what} is incomplete: {why}"));
    }

    fn miss(&mut self, why: String) {
        self.unreachable += 1;
        self.note.get_or_insert(why);
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub stages: Vec<(Stage, Tally)>,
    pub requests: u64,
    /// How many of the requests were sent again.
    pub retries: u64,
}
