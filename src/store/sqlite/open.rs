//! Opening the file: identity, settings, migrations.

use super::marks::{self, Bare};
use super::place::{beside, real, resolve};
use super::schema::{Schema, bounded};
use crate::store::StoreError;
use crate::tables::FOLD_VERSION;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

/// `application_id` of every file of ours: "CFLD".
const APPLICATION_ID: i32 = 0x4346_4c44;
/// Older ones can corrupt a WAL that two connections write and checkpoint together.
const OLDEST_SQLITE: i32 = 3_051_003;

/// Links are resolved before a file is opened: one that comes between is refused.
pub(super) const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_NO_MUTEX.union(OpenFlags::SQLITE_OPEN_NOFOLLOW);
pub(super) const READ_WRITE: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE;

const MIGRATIONS: &str =
    "CREATE TABLE IF NOT EXISTS migrations (id INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL) STRICT";

/// What no statement of ours comes near; a file from elsewhere might. The longest text of SQL is a migration.
const LIMITS: &[(Limit, i32)] = &[
    (Limit::SQLITE_LIMIT_LENGTH, 64 << 20),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 64 << 10),
    (Limit::SQLITE_LIMIT_COLUMN, 200),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
    (Limit::SQLITE_LIMIT_VDBE_OP, 100_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 100),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 4_096),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 1_000),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 4),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Editions before the first migration of today. chatfold reads no more of such a file than its log.
const EARLIER: i64 = 10;

#[derive(RustEmbed)]
#[folder = "migrations/sqlite"]
struct Migrations;

/// Opens the file to write it, makes it where there is none, and brings it to this edition. One per process.
pub fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(StoreError::Unusable(format!(
            "SQLite {} can corrupt this file. SQLite 3.51.3 or newer is needed",
            rusqlite::version()
        )));
    }
    let real = resolve(path)?;
    let (has_wal, bare) = (marks::has_wal(&real), Bare::of(&real));
    let mut conn = Connection::open_with_flags(&real, FLAGS | READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    if conn.is_readonly(rusqlite::MAIN_DB)? {
        return Err(StoreError::Unusable(format!(
            "{} is read-only for chatfold: check who owns the file, its mode, and how its folder is mounted",
            path.display()
        )));
    }
    // Closing must not write and sync again what failed: `finish` is for what did not.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.busy_timeout(Duration::from_secs(1))?;
    bounded(&mut conn, path, |conn| begin_or_check(conn, path, bare.as_ref()))?;
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
         PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;
         PRAGMA secure_delete = FAST;",
    )?;
    migrate(&mut conn, path, !has_wal)?;
    // The file itself gets the mark, so that no copy of it made before has the same. The WAL begins anew with the next.
    if !has_wal && super::checkpoint(&conn, false)? {
        marks::mark(&conn)?;
    }
    Ok(conn)
}

/// Begins an empty file as one of ours; refuses a file that holds anything else than ours do.
fn begin_or_check(conn: &Connection, path: &Path, bare: Option<&Bare>) -> Result<(), StoreError> {
    harden(conn)?;
    let (application_id, edition) = header(conn)?;
    if application_id == 0 && is_empty(conn)? {
        conn.execute_batch(&format!(
            "PRAGMA page_size = 2048; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = {APPLICATION_ID};"
        ))?;
        return Ok(());
    }
    check_known(application_id, edition, path)?;
    bare.map_or(Ok(()), |bare| bare.check(conn, &real(path)))?;
    check_schema(conn, edition, path)
}

/// Refuses a file that is not ours, of a newer edition, or of one that came before the first migration of today.
fn check_known(application_id: i32, edition: i64, path: &Path) -> Result<(), StoreError> {
    if application_id != APPLICATION_ID {
        return Err(foreign(path));
    }
    if edition > editions() {
        return Err(newer(path));
    }
    if (1..=EARLIER).contains(&edition) {
        return Err(earlier(path, edition));
    }
    Ok(())
}

/// Opens the file to read it; refuses one that is not ours or not of this edition. A copy in a place that cannot be
/// written, where SQLite cannot make the files it needs beside a WAL, is read as what it is: one that nobody writes.
pub fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    open_to_read(&resolve(path)?, path, |conn| {
        check_identity(conn, path)?;
        check_schema(conn, editions(), path)
    })
}

/// Opens a copy to put it in place: a file of ours, also of an earlier edition that this chatfold can update. Whether it
/// is of this edition.
pub fn open_copy(path: &Path) -> Result<(Connection, bool), StoreError> {
    let real = resolve(path)?;
    let bare = Bare::of(&real);
    let conn = open_to_read(&real, path, |conn| {
        let (application_id, edition) = header(conn)?;
        check_known(application_id, edition, path)?;
        bare.as_ref().map_or(Ok(()), |bare| bare.check(conn, &real))?;
        if edition == 0 { Err(foreign(path)) } else { check_schema(conn, edition, path) }
    })?;
    let is_new = header(&conn)?.1 == editions();
    Ok((conn, is_new))
}

/// Opens a file of ours of any edition to read its log, and nothing else: its schema is not known.
pub(super) fn open_any_edition(path: &Path) -> Result<Connection, StoreError> {
    open_to_read(&resolve(path)?, path, |conn| match header(conn)? {
        (APPLICATION_ID, _) => Ok(()),
        _ => Err(foreign(path)),
    })
}

/// Opens one more reader of a file that this process has opened with [`open_reader`] before. Names and schema are not
/// looked at again: an index or a hard link that the owner makes while the server runs does not stop the server.
pub fn open_again(path: &Path) -> Result<Connection, StoreError> {
    open_to_read(&real(path), path, |conn| check_identity(conn, path))
}

/// Keeps few pages in memory: for a reader that walks over tables once, in their order.
pub fn keep_few_pages(conn: &Connection) -> Result<(), StoreError> {
    Ok(conn.execute_batch("PRAGMA cache_size = -2048")?)
}

/// Opens the file for a short write of its own, also beside the process that writes it: nothing is made, migrated or
/// checkpointed, and a transaction waits for the other's to end.
pub fn open_beside(path: &Path) -> Result<Connection, StoreError> {
    let mut conn = Connection::open_with_flags(resolve(path)?, FLAGS | READ_WRITE)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    bounded(&mut conn, path, |conn| {
        harden(conn)?;
        check_identity(conn, path)?;
        check_schema(conn, editions(), path)
    })?;
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")?;
    Ok(conn)
}

/// Opens the file itself if `check` lets it; `named` is what the caller calls the file.
fn open_to_read(
    real: &Path,
    named: &Path,
    check: impl Fn(&Connection) -> Result<(), StoreError>,
) -> Result<Connection, StoreError> {
    let open = |name: &Path, flags: OpenFlags| {
        let flags = FLAGS | OpenFlags::SQLITE_OPEN_READ_ONLY | flags;
        let mut conn = Connection::open_with_flags(name, flags)?;
        conn.busy_timeout(Duration::from_millis(250))?;
        bounded(&mut conn, named, |conn| {
            harden(conn)?;
            conn.execute_batch("PRAGMA query_only = ON; PRAGMA application_id;")?;
            check(conn)
        })?;
        conn.execute_batch("PRAGMA cache_size = -32768")?;
        Ok(conn)
    };
    match open(real, OpenFlags::empty()) {
        Err(StoreError::Engine(error)) if cannot_share(&error) && nothing_in_wal(real) => {
            open(Path::new(&immutable(real)), OpenFlags::SQLITE_OPEN_URI)
        }
        opened => opened,
    }
}

/// `application_id` and edition, which stand in the first page: no schema is read.
fn header(conn: &Connection) -> Result<(i32, i64), rusqlite::Error> {
    let application_id = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok((application_id, conn.pragma_query_value(None, "user_version", |row| row.get(0))?))
}

/// Refuses a file that is not ours or not of this edition.
fn check_identity(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let (application_id, edition) = header(conn)?;
    check_known(application_id, edition, path)?;
    if edition != editions() {
        return Err(StoreError::Unusable(format!(
            "{} has edition {edition}, but this chatfold reads edition {}. Start `chatfold serve` once with this file to update it, or use the chatfold that wrote it",
            path.display(),
            editions()
        )));
    }
    Ok(())
}

/// Refuses a file whose schema is not what the migrations up to its edition make.
fn check_schema(conn: &Connection, edition: i64, path: &Path) -> Result<(), StoreError> {
    static NEWEST: OnceLock<Schema> = OnceLock::new();
    if edition != editions() {
        return made_by(edition)?.check(conn, path);
    }
    if let Some(newest) = NEWEST.get() {
        return newest.check(conn, path);
    }
    let newest = made_by(edition)?;
    NEWEST.get_or_init(|| newest).check(conn, path)
}

/// The schema of a new file that the migrations up to an edition made.
fn made_by(edition: i64) -> Result<Schema, StoreError> {
    let conn = Connection::open_in_memory()?;
    if edition > 0 {
        conn.execute_batch(MIGRATIONS)?;
    }
    for (_, (_, sql)) in (EARLIER + 1..=edition).zip(migrations()) {
        conn.execute_batch(&String::from_utf8_lossy(&sql))?;
    }
    Schema::of(&conn)
}

fn cannot_share(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    matches!(error.sqlite_error_code(), Some(CannotOpen | ReadOnly))
}

fn nothing_in_wal(path: &Path) -> bool {
    path.exists() && std::fs::metadata(beside(path, "-wal")).map_or(true, |meta| meta.len() == 0)
}

/// The file as a URI that says nobody writes it.
pub(super) fn immutable(path: &Path) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    let encoded: String = path
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("file:{encoded}?immutable=1")
}

/// A file of which only the log can be read.
fn earlier(path: &Path, edition: i64) -> StoreError {
    let path = path.display();
    StoreError::Unusable(format!(
        "{path} was written by an earlier chatfold (edition {edition}), and cannot be updated. Read its log into a new file with `chatfold ingest {path} --db NEW.db`"
    ))
}

fn newer(path: &Path) -> StoreError {
    StoreError::Unusable(format!("{} was written by a newer chatfold. Use the newer chatfold", path.display()))
}

fn foreign(path: &Path) -> StoreError {
    StoreError::Unusable(format!("{} is not a chatfold file. Name another file with --db", path.display()))
}

/// Settings against hostile files and statements. Temporary triggers, which a rebuild makes, fire all the same.
pub(super) fn harden(conn: &Connection) -> Result<(), rusqlite::Error> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    // Plans do not depend on bound values: otherwise statements are prepared anew at every other binding.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.execute_batch("PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;")?;
    for (limit, most) in LIMITS {
        conn.set_limit(*limit, *most)?;
    }
    conn.set_prepared_statement_cache_capacity(256);
    super::functions::define(conn)
}

fn is_empty(conn: &Connection) -> Result<bool, StoreError> {
    Ok(conn.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?)
}

/// The newest edition: every migration makes one.
fn editions() -> i64 {
    EARLIER + migrations().count() as i64
}

fn migrations() -> impl Iterator<Item = (String, Vec<u8>)> {
    let mut names: Vec<String> =
        Migrations::iter().map(|name| name.into_owned()).filter(|name| name.ends_with(".sql")).collect();
    names.sort();
    names.into_iter().filter_map(|name| Migrations::get(&name).map(|file| (name, file.data.into_owned())))
}

/// Applies what is missing, and puts a mark, all in one transaction. `user_version` counts; a list with hashes refuses an edited migration.
fn migrate(conn: &mut Connection, path: &Path, anew: bool) -> Result<(), StoreError> {
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    let done: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if done > editions() {
        return Err(newer(path));
    }
    tx.execute_batch(MIGRATIONS)?;
    for (index, (name, sql)) in (EARLIER + 1..).zip(migrations()) {
        let sha256: String = Sha256::digest(&sql).iter().map(|byte| format!("{byte:02x}")).collect();
        if index <= done {
            let known: String =
                tx.query_row("SELECT sha256 FROM migrations WHERE id = ?1", [index], |row| row.get(0))?;
            if known != sha256 {
                return Err(StoreError::Unusable(format!(
                    "migration {name} was changed after it made {}",
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
    marks::put(&tx, anew)?;
    tx.commit()?;
    Ok(())
}
