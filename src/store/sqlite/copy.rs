//! A copy of a file: one moment of it, in another file that needs no WAL.

use super::marks;
use super::open::{FLAGS, READ_WRITE, harden};
use super::settings::forget_own as own;
use super::state::{self, State};
use crate::ids::Time;
use crate::store::{StoreError, read_json, write_json};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::Path;

/// Pages between two looks at whether to go on.
const STEP: i32 = 2_048;

const NOTE: &str = "SELECT value FROM settings WHERE name = 'copy'";
const KEEP: &str = "INSERT OR REPLACE INTO settings (name, value) VALUES ('copy', ?1)";

/// What a copy says of itself, until somebody writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When it was made, in unix milliseconds.
    pub at: i64,
    /// Its newest log position.
    pub seq: i64,
    /// Its state hash.
    pub state: String,
    /// The hash of its log.
    pub log: String,
}

/// Copies the pages that a reader sees into an empty file. The reader is inside a transaction, so what is written
/// meanwhile is neither copied nor waited for. `progress` hears how many pages of how many are copied, and may break off.
pub fn pages(
    from: &Connection,
    to: &Path,
    mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, StoreError> {
    let mut target = open(to)?;
    let backup = Backup::new(from, &mut target)?;
    loop {
        let step = backup.step(STEP)?;
        let now = backup.progress();
        let [left, total] = [now.remaining, now.pagecount].map(|pages| u64::from(pages.max(0).cast_unsigned()));
        if progress(total - left, total).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            _ => return Err(StoreError::Unusable(format!("{} is used by another process", to.display()))),
        }
    }
    drop(backup);
    Ok(ControlFlow::Continue(()))
}

/// Makes the copied pages a file of its own: it needs no WAL, and is the state of no other file.
pub fn finish(copy: &Path) -> Result<(), StoreError> {
    let conn = open(copy)?;
    conn.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    conn.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
    conn.execute_batch("BEGIN")?;
    marks::put(&conn, true)?;
    Ok(conn.execute_batch("COMMIT")?)
}

/// The same, and the copy says of itself when it was made, and from what.
pub fn finish_noted(copy: &Path, at: Time, state: &State) -> Result<(), StoreError> {
    finish(copy)?;
    let conn = open(copy)?;
    let log = state::of_log(&conn)?.to_string();
    let note = Note { at: at.0, seq: state.seq, state: state.total.to_string(), log };
    conn.execute(KEEP, [write_json(&note)?])?;
    Ok(())
}

/// Makes a copy of a node the file of another node: what belongs to the first one alone is left out.
pub fn finish_as_node(copy: &Path) -> Result<(), StoreError> {
    finish(copy)?;
    let conn = open(copy)?;
    conn.execute_batch("BEGIN; DELETE FROM refused")?;
    own(&conn)?;
    Ok(conn.execute_batch("COMMIT")?)
}

/// What a copy says of itself; `None` where somebody wrote it since, or made it with another program.
pub fn note(conn: &Connection) -> Result<Option<Note>, StoreError> {
    let told: Option<String> = conn.query_row(NOTE, [], |row| row.get(0)).optional()?;
    told.map(|text| read_json("settings.value", &text)).transpose()
}

/// A file that nobody else knows: it is synced as a whole once it is finished, and thrown away if it never is.
fn open(path: &Path) -> Result<Connection, StoreError> {
    let conn = Connection::open_with_flags(path, FLAGS | READ_WRITE)?;
    harden(&conn)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)?;
    conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;")?;
    conn.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
    Ok(conn)
}
