//! Opening the file: identity, settings, migrations.

use super::place::beside;
use super::search;
use crate::fold::FOLD_VERSION;
use crate::store::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;

/// `application_id` of every file of ours: "CFLD".
const APPLICATION_ID: i32 = 0x4346_4c44;
/// Older ones can corrupt a WAL that two connections write and checkpoint together.
const OLDEST_SQLITE: i32 = 3_051_003;

#[derive(RustEmbed)]
#[folder = "migrations/sqlite"]
struct Migrations;

/// Opens the file to write it, makes it where there is none, and brings it to this edition. One per process.
pub fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(StoreError::Unusable(format!(
            "SQLite {} can corrupt this file: 3.51.3 or newer is needed",
            rusqlite::version()
        )));
    }
    let mut conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    if conn.is_readonly(rusqlite::MAIN_DB)? {
        return Err(StoreError::Unusable(format!("{} cannot be written by this user, only read", path.display())));
    }
    harden(&conn)?;
    // Closing must not write and sync again what failed: `finish` is for what did not.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.busy_timeout(Duration::from_secs(1))?;
    let application_id: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application_id == 0 && is_empty(&conn)? {
        conn.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;"
        ))?;
    } else if application_id != APPLICATION_ID {
        return Err(foreign(path));
    }
    // Where it fails it says so by its answer, or only after it.
    let answer = conn.prepare("PRAGMA journal_mode = WAL")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>();
    let mode: Vec<String> = answer?;
    if mode != ["wal"] {
        return Err(StoreError::Unusable(format!(
            "{} cannot be written with a WAL: the disk failed, or it is a network file system",
            path.display()
        )));
    }
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;",
    )?;
    migrate(&mut conn, path)?;
    search::prepare(&conn)?;
    Ok(conn)
}

/// Opens the file to read it; refuses one that is not ours or not of this edition. A copy in a place that cannot be
/// written, where SQLite cannot make the files it needs beside a WAL, is read as what it is: one that nobody writes.
pub fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = match open_to_read(Connection::open_with_flags(path, flags)?) {
        Err(error) if cannot_share(&error) && nothing_in_wal(path) => {
            open_to_read(Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI)?)?
        }
        opened => opened?,
    };
    check_identity(&conn, path)?;
    Ok(conn)
}

/// Opens the file for a short write of its own, also beside the process that writes it: nothing is made, migrated or
/// checkpointed, and a transaction waits for the other's to end.
pub fn open_beside(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    harden(&conn)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")?;
    check_identity(&conn, path)?;
    Ok(conn)
}

fn open_to_read(conn: Connection) -> Result<Connection, rusqlite::Error> {
    harden(&conn)?;
    conn.busy_timeout(Duration::from_millis(250))?;
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -32768; PRAGMA application_id;")?;
    Ok(conn)
}

/// Refuses a file that is not ours or not of this edition.
fn check_identity(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let application_id: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application_id != APPLICATION_ID {
        return Err(foreign(path));
    }
    let edition: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if edition != migrations().count() as i64 {
        return Err(StoreError::Unusable(format!(
            "{} is of edition {edition}, this chatfold reads edition {}: start `chatfold serve` on it once to bring it up, or use the chatfold that wrote it",
            path.display(),
            migrations().count()
        )));
    }
    Ok(())
}

fn cannot_share(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    matches!(error.sqlite_error_code(), Some(CannotOpen | ReadOnly))
}

fn nothing_in_wal(path: &Path) -> bool {
    path.exists() && std::fs::metadata(beside(path, "-wal")).map_or(true, |meta| meta.len() == 0)
}

/// The file as a URI that says nobody writes it.
fn immutable(path: &Path) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    let encoded: String = path
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("file:{encoded}?immutable=1")
}

fn foreign(path: &Path) -> StoreError {
    StoreError::Unusable(format!("{} is not a chatfold file: name another with --db", path.display()))
}

/// Settings against hostile files and statements.
fn harden(conn: &Connection) -> Result<(), rusqlite::Error> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Plans do not depend on bound values: otherwise statements are prepared anew at every other binding.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.execute_batch("PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;")?;
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, 64 << 20)?;
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    conn.set_prepared_statement_cache_capacity(256);
    super::functions::define(conn)
}

fn is_empty(conn: &Connection) -> Result<bool, StoreError> {
    Ok(conn.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?)
}

fn migrations() -> impl Iterator<Item = (String, Vec<u8>)> {
    let mut names: Vec<String> =
        Migrations::iter().map(|name| name.into_owned()).filter(|name| name.ends_with(".sql")).collect();
    names.sort();
    names.into_iter().filter_map(|name| Migrations::get(&name).map(|file| (name, file.data.into_owned())))
}

/// Applies what is missing, all in one transaction. `user_version` counts; a list with hashes refuses an edited migration.
fn migrate(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    let done: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if done > migrations().count() as i64 {
        return Err(StoreError::Unusable(format!("{} was written by a newer chatfold: use that one", path.display())));
    }
    tx.execute_batch("CREATE TABLE IF NOT EXISTS migrations (id INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL) STRICT;")?;
    for (index, (name, sql)) in (1i64..).zip(migrations()) {
        let sha256: String = Sha256::digest(&sql).iter().map(|byte| format!("{byte:02x}")).collect();
        if index <= done {
            let known: String =
                tx.query_row("SELECT sha256 FROM migrations WHERE id = ?1", [index], |row| row.get(0))?;
            if known != sha256 {
                return Err(StoreError::Unusable(format!(
                    "migration {name} was edited after {} was made with it",
                    path.display()
                )));
            }
            continue;
        }
        tx.execute_batch(&String::from_utf8_lossy(&sql))?;
        tx.execute("INSERT INTO migrations (id, name, sha256) VALUES (?1, ?2, ?3)", (index, &name, &sha256))?;
        tx.pragma_update(None, "user_version", index)?;
    }
    if done == 0 {
        super::stamp_fold_version(&tx, FOLD_VERSION)?;
    }
    tx.commit()?;
    Ok(())
}
