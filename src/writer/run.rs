//! Notes in the file that the server runs, so that times without a server are known.
//!
//! A note is written beside other commits, at most once a minute. While no delivery comes, a note is a commit of its own
//! once an hour: an idle disk may sleep.

use crate::ids::Time;
use crate::store::StoreError;
use crate::store::sqlite::{Connection, runs};
use std::sync::atomic::{AtomicI64, Ordering};

const BESIDE_COMMITS_MS: i64 = 60_000;
const ALONE_MS: i64 = 3_600_000;

/// The run of this server.
pub(super) struct Run {
    id: i64,
    started_at: Time,
    /// When the newest note was committed; 0: none was.
    noted_at: AtomicI64,
}

impl Run {
    pub fn begin(conn: &Connection, now: Time) -> Result<Self, StoreError> {
        Ok(Self { id: runs::next(conn)?, started_at: now, noted_at: AtomicI64::new(0) })
    }

    /// Whether a note is worth a commit of its own.
    pub fn is_overdue(&self, now: Time) -> bool {
        now.0 - self.noted_at.load(Ordering::Relaxed) >= ALONE_MS
    }

    /// Writes a note inside a transaction, if it is time. Call [`Run::noted`] after the commit.
    pub fn note(&self, conn: &Connection, now: Time) -> Result<(), StoreError> {
        if now.0 - self.noted_at.load(Ordering::Relaxed) < BESIDE_COMMITS_MS {
            return Ok(());
        }
        self.note_now(conn, now)
    }

    /// Writes a note inside a transaction.
    pub fn note_now(&self, conn: &Connection, now: Time) -> Result<(), StoreError> {
        runs::note(conn, self.id, self.started_at, now)
    }

    /// A transaction in which [`Run::note`] was called at this time is committed.
    pub fn noted(&self, now: Time) {
        if now.0 - self.noted_at.load(Ordering::Relaxed) >= BESIDE_COMMITS_MS {
            self.noted_at.store(now.0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::open_writer;

    #[test]
    fn a_note_is_written_once_a_minute_beside_commits_and_once_an_hour_alone() {
        let dir = tempfile::tempdir().unwrap();
        let conn = open_writer(&dir.path().join("t.db")).unwrap();
        let begun = 1_767_614_400_000;
        let run = Run::begin(&conn, Time(begun)).unwrap();
        assert!(run.is_overdue(Time(begun)), "the start is noted at once");
        let mut notes = 0;
        for second in 0..600 {
            let (before, now) = (conn.total_changes(), Time(begun + second * 1_000));
            run.note(&conn, now).unwrap();
            run.noted(now);
            notes += conn.total_changes() - before;
        }
        assert_eq!(notes, 10);
        let newest = begun + 540_000;
        assert!(!run.is_overdue(Time(newest + 3_599_999)) && run.is_overdue(Time(newest + 3_600_000)));
    }
}
