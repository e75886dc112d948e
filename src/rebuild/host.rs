//! Who writes: the server's writer between two batches, or this process alone.

use super::RebuildError;
use crate::store::StoreError;
use crate::store::sqlite::{self, Connection};
use crate::writer::Writer;
use std::cell::Cell;
use std::time::Duration;

/// Units of work between two checkpoints.
const CHECKPOINT_EVERY: u32 = 16;

/// Where units of work on the live file run.
pub enum Host {
    /// Nobody else writes: units may be large.
    Alone { conn: Connection, since_checkpoint: Cell<u32> },
    /// Deliveries wait while a unit runs: units are small.
    Writer(Writer),
}

impl Host {
    pub fn alone(conn: Connection) -> Self {
        Self::Alone { conn, since_checkpoint: Cell::new(0) }
    }

    /// Leaves the file as one, where nobody else writes it.
    pub fn finish(self) -> Result<(), StoreError> {
        match self {
            Self::Alone { conn, .. } => sqlite::finish(&conn),
            Self::Writer(_) => Ok(()),
        }
    }

    /// How long one unit may take.
    pub(super) fn budget(&self) -> Duration {
        Duration::from_millis(if self.is_alone() { 1_000 } else { 15 })
    }

    /// Rows of one unit: what fits into the time.
    pub(super) fn rows(&self) -> usize {
        if self.is_alone() { 5_000 } else { 250 }
    }

    pub fn is_alone(&self) -> bool {
        matches!(self, Self::Alone { .. })
    }

    /// Runs a unit in a transaction of its own.
    pub fn write<T: Send + 'static>(
        &self,
        unit: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, RebuildError> {
        self.run(move |conn| within(conn, unit))
    }

    /// Runs a unit that begins and commits by itself.
    pub fn run<T: Send + 'static>(
        &self,
        unit: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, RebuildError> {
        match self {
            Self::Writer(writer) => writer.run(unit).map_err(RebuildError::from),
            Self::Alone { conn, since_checkpoint } => {
                let done = unit(conn)?;
                since_checkpoint.set(since_checkpoint.get() + 1);
                if since_checkpoint.get() >= CHECKPOINT_EVERY {
                    since_checkpoint.set(0);
                    sqlite::checkpoint(conn, false)?;
                }
                Ok(done)
            }
        }
    }
}

pub(super) fn within<T>(
    conn: &Connection,
    unit: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    sqlite::begin(conn)?;
    let done = unit(conn).and_then(|done| sqlite::commit(conn).map(|()| done));
    if done.is_err() {
        sqlite::rollback(conn);
    }
    done
}
