//! The one thread that writes: queue, group commit, replies.

use crate::envelope::Envelope;
use crate::ids::{Outcome, Time};
use crate::store::StoreError;
use std::path::Path;

/// What became of a delivery, after its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Log position of the fact (of the first delivery, for a duplicate).
    pub seq: i64,
    /// What the fold did with the fact; `duplicate` deliveries did nothing.
    pub outcome: Outcome,
    pub duplicate: bool,
}

/// Why a delivery was not taken: all are answered 503.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not written: the queue or the disk is full, or its batch did not begin in time.
    #[error("{0}")]
    NotWritten(&'static str),
    /// Its batch had begun and did not end in time: it may yet commit.
    #[error("the commit did not end in time")]
    Unknown,
}

/// Hands deliveries to the writer thread. Cheap to clone.
#[derive(Clone)]
pub struct Writer {}

impl Writer {
    /// Opens the file and starts the thread. `on_failure` runs once after an I/O error that forbids going on.
    pub fn start(_path: &Path, _on_failure: Box<dyn Fn() + Send>) -> Result<Self, StoreError> {
        Ok(Self {})
    }
    /// Durable when it returns `Ok`.
    pub async fn append(&self, _envelope: Envelope, _received_at: Time) -> Result<Receipt, Refusal> {
        Err(Refusal::Unknown)
    }
    /// Keeps the bytes of a body that is no delivery, best effort, without waiting.
    pub fn refuse(&self, _received_at: Time, _problem: String, _body: Vec<u8>) {}
    /// Newest committed log position; changes wake subscribers.
    pub fn seq(&self) -> tokio::sync::watch::Receiver<i64> {
        tokio::sync::watch::channel(0).1
    }
    /// Why a delivery would not be accepted now; `None` when it would.
    pub fn not_ready(&self) -> Option<String> {
        None
    }
    /// Finishes the queue (at most 3 s), checkpoints, closes the file. Blocking.
    pub fn stop(&self) {}
}
