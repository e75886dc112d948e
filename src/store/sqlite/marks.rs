//! Whether a WAL belongs to the file beside it. SQLite does not ask: it replays a WAL over any file.
//!
//! The row `marks` of `settings` holds random numbers. A new one is put into each new WAL, behind the one that the file
//! has by then. So whatever is moved from the WAL into the file, and wherever the process ends, the newest mark of the
//! file is one of the marks of the WAL. Only the process that holds the lock puts marks.

use super::open::{harden, immutable};
use super::place::beside;
use super::schema::bounded;
use crate::store::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, ffi};
use std::path::Path;

const READ: &str = "SELECT value FROM settings WHERE name = 'marks'";
const WRITE: &str = "
    INSERT INTO settings (name, value) VALUES ('marks', ?1 || ' ' || lower(hex(randomblob(8))))
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";
/// A copy that is written is no copy any more.
const UNNOTE: &str = "DELETE FROM settings WHERE name = 'copy'";
/// Stands for the mark of a file that has none yet.
const NONE: &str = "-";
/// Marks of one WAL. With more, a start goes on without a new one.
const MOST: usize = 32;

/// Puts a new mark, inside a transaction. `anew`: the file holds all that was written before the WAL began.
pub(super) fn put(conn: &Connection, anew: bool) -> Result<(), StoreError> {
    let known = read(conn)?.unwrap_or_else(|| NONE.to_owned());
    if !anew && known.split(' ').count() >= MOST {
        return Ok(());
    }
    conn.execute(UNNOTE, [])?;
    conn.execute(WRITE, [if anew { newest(&known) } else { &known }])?;
    // The first page goes into the WAL as well. It tells how often the schema changed, which a copy made by VACUUM counts
    // on.
    let edition: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(conn.pragma_update(None, "user_version", edition)?)
}

/// Puts a new mark into a WAL that began anew.
pub fn mark(conn: &Connection) -> Result<(), StoreError> {
    super::begin(conn)?;
    let marked = put(conn, true).and_then(|()| super::commit(conn));
    if marked.is_err() {
        super::rollback(conn);
    }
    marked
}

fn read(conn: &Connection) -> Result<Option<String>, rusqlite::Error> {
    conn.query_row(READ, [], |row| row.get(0)).optional()
}

fn newest(marks: &str) -> &str {
    marks.rsplit(' ').next().unwrap_or(NONE)
}

/// Whether there is a WAL that holds anything.
pub(super) fn has_wal(real: &Path) -> bool {
    beside(real, "-wal").metadata().is_ok_and(|meta| meta.len() > 0)
}

/// What a file says without the WAL beside it.
pub(super) struct Bare {
    mark: String,
    /// How often the schema changed.
    schema: i64,
}

impl Bare {
    /// Of a file that has a WAL. `None`: there is no WAL, or the file alone cannot be read, as after a checkpoint that a
    /// power loss ended.
    pub(super) fn of(real: &Path) -> Option<Self> {
        if !has_wal(real) {
            return None;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(immutable(real), flags).ok()?;
        let read = bounded(&mut conn, real, |conn| {
            harden(conn)?;
            let schema = conn.pragma_query_value(None, "schema_version", |row| row.get(0))?;
            let has_settings = conn.table_exists(None, "settings")?;
            let marks = if has_settings { read(conn)? } else { None };
            Ok(Self { mark: newest(marks.as_deref().unwrap_or(NONE)).to_owned(), schema })
        });
        read.ok()
    }

    /// Refuses a WAL that was not written beside this state of the file. `conn` reads both.
    pub(super) fn check(&self, conn: &Connection, real: &Path) -> Result<(), StoreError> {
        let both = || -> Result<bool, rusqlite::Error> {
            let schema: i64 = conn.pragma_query_value(None, "schema_version", |row| row.get(0))?;
            let marks = if conn.table_exists(None, "settings")? { read(conn)? } else { None };
            let is_known = marks.is_none_or(|marks| marks.split(' ').any(|mark| mark == self.mark));
            Ok(is_known && self.schema <= schema)
        };
        match both() {
            Ok(true) => return Ok(()),
            // The file alone is sound.
            Ok(false) | Err(rusqlite::Error::SqliteFailure(ffi::Error { code: ErrorCode::DatabaseCorrupt, .. }, _)) => {
            }
            Err(error) => return Err(error.into()),
        }
        let (file, wal) = (real.display(), beside(real, "-wal"));
        Err(StoreError::Unusable(format!(
            "{file} and {} do not belong together: the WAL was written beside another state of the file. Neither was \
             changed. If {file} is a copy that you put there, `chatfold restore` puts a copy in place, and keeps what was \
             there. If it is not, put back the file that was there before",
            wal.display()
        )))
    }
}
