//! The log folded into a file of its own, beside the one it is read from.

use crate::batch::Batch;
use crate::envelope::Envelope;
use crate::fold;
use crate::store::StoreError;
use crate::store::sqlite::{self, Connection, aside as store, log};
use std::path::{Path, PathBuf};

/// Events in one transaction.
const CHUNK: usize = 1_000;
/// Damaged rows that are told one by one.
const TOLD: usize = 20;

/// Tables made of the log from its beginning up to a position. The file goes when this is dropped.
pub struct Aside {
    pub(super) conn: Connection,
    batch: Batch,
    path: PathBuf,
    /// Log position folded last.
    pub seq: i64,
    pub events: u64,
    /// Rows of the log that are not what was received: the first of them, in words.
    pub damaged: Vec<String>,
}

impl Aside {
    /// Begins with empty tables in a new file at `path`, whatever was there.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        remove(path)?;
        let mut options = std::fs::OpenOptions::new();
        // Chats are in it: made new, for its owner alone.
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).map_err(|error| StoreError::Unusable(format!("cannot make {}: {error}", path.display())))?;
        let conn = store::create(path)?;
        Ok(Self { conn, batch: Batch::default(), path: path.to_owned(), seq: 0, events: 0, damaged: Vec::new() })
    }

    /// Folds the next events of the log, none later than `until`. False when there are no more.
    pub fn fold_some(&mut self, log: &Connection, until: i64) -> Result<bool, StoreError> {
        let limit = usize::try_from(until - self.seq).unwrap_or(0).min(CHUNK);
        let chunk = if limit == 0 { Vec::new() } else { log::after(log, self.seq, limit)? };
        let chunk: Vec<_> = chunk.into_iter().filter(|logged| logged.fact.seq <= until).collect();
        let Some(last) = chunk.last() else { return Ok(false) };
        let seq = last.fact.seq;
        sqlite::begin(&self.conn)?;
        for logged in &chunk {
            if let Err(error) = self.fold(logged) {
                sqlite::rollback(&self.conn);
                self.batch.forget();
                return Err(error);
            }
        }
        self.batch.save(&self.conn)?;
        sqlite::commit(&self.conn)?;
        self.seq = seq;
        self.events += chunk.len() as u64;
        Ok(true)
    }

    fn fold(&mut self, logged: &log::Logged) -> Result<(), StoreError> {
        let seq = logged.fact.seq;
        let envelope = match Envelope::parse(logged.body.as_bytes()) {
            Ok(envelope) => envelope,
            Err(problem) => {
                self.damage(format!("events {seq}: the body is no delivery any more: {problem}"));
                return Ok(());
            }
        };
        for (column, differs) in logged.differs(&envelope) {
            if differs {
                self.damage(format!("events {seq}: {column} is not what the body gives"));
            }
        }
        if logged.has_secret != envelope.has_secret {
            store::mark(&self.conn, seq, envelope.has_secret)?;
        }
        let verdict = fold::fold(&mut self.batch, &self.conn, &envelope, &logged.fact)?;
        if (verdict.outcome, &verdict.reason) != (logged.outcome, &logged.reason) {
            store::note(&self.conn, seq, &verdict)?;
        }
        Ok(())
    }

    fn damage(&mut self, words: String) {
        if self.damaged.len() < TOLD {
            self.damaged.push(words);
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(%error, "a file made to fold the log aside stays");
        }
    }
}

/// Removes what an earlier run left.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Unusable(format!("cannot remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}
