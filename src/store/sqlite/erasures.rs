//! `erasures`, and the statements that take a person out of the log.

use crate::envelope::Envelope;
use crate::ids::Time;
use crate::store::StoreError;
use foldhash::HashMap;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OptionalExtension, ToSql, named_params, params_from_iter};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// Which rows of a table are about the person :uid of the app :app.
pub(super) const ROWS: &[(&str, &str)] = &[
    ("users", "uid = :uid"),
    ("presence", "uid = :uid"),
    ("connections", "uid = :uid"),
    ("memberships", "uid = :uid"),
    ("membership_changes", "uid = :uid"),
    ("conversations", "low_uid = :uid OR high_uid = :uid"),
    ("messages", "sender_uid = :uid"),
    ("message_edits", "message_id IN (SELECT message_id FROM messages WHERE app_id = :app AND sender_uid = :uid)"),
    ("mentions", "uid = :uid"),
    ("reactions", "uid = :uid"),
    ("receipts", "uid = :uid"),
    ("read_markers", "uid = :uid"),
    ("blocks", "blocker_uid = :uid OR blocked_uid = :uid"),
    ("call_sessions", "initiator_uid = :uid OR (receiver_type = 'user' AND receiver_id = :uid)"),
    ("call_participants", "uid = :uid"),
];

const BODIES: &str = "SELECT seq, body FROM events WHERE app_id = ?1 ORDER BY seq";
const MESSAGES: &str = "SELECT message_id FROM messages WHERE app_id = ?1 AND sender_uid = ?2";
const SESSIONS: &str = "
    SELECT DISTINCT s.session_id FROM call_participants AS x
    JOIN call_sessions AS s USING (app_id, session_key, kind, anchor)
    WHERE app_id = ?1 AND s.session_id IS NOT NULL
      AND (x.uid = ?2 OR (x.uid IS NULL AND x.name IN (SELECT value FROM json_each(?3))))
    UNION
    SELECT session_id FROM call_sessions
    WHERE app_id = ?1 AND session_id IS NOT NULL
      AND (initiator_uid = ?2 OR (receiver_type = 'user' AND receiver_id = ?2))";
const ABOUT_MESSAGES: &str = "
    SELECT DISTINCT r.seq FROM messages AS m
    JOIN event_refs AS r ON r.app_id = m.app_id AND r.kind = 'message' AND r.key = m.message_id
    WHERE m.app_id = ?1 AND m.sender_uid = ?2";
const ABOUT_SESSIONS: &str = "
    SELECT DISTINCT r.seq FROM json_each(?2) AS j
    JOIN event_refs AS r ON r.app_id = ?1 AND r.kind = 'call' AND r.key = 's:' || j.value";
const NAMESAKES: &str = "
    SELECT count(*) FROM users WHERE app_id = ?1 AND uid <> ?2 AND name IN (SELECT value FROM json_each(?3))";
const REWRITE: &str = "UPDATE events SET body = ?2, fingerprint = ?3, has_secret = ?4 WHERE seq = ?1";
const KEEP: &str = "
    INSERT INTO erasures (app_id, hash, pseudonym, erased_at) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (app_id, hash) DO UPDATE SET pseudonym = excluded.pseudonym, erased_at = excluded.erased_at";
const KEPT: &str = "SELECT app_id, hash, pseudonym, erased_at FROM erasures";
const SALT: &str = "SELECT value FROM settings WHERE name = 'erasure_salt'";
const KEEP_SALT: &str = "INSERT INTO settings (name, value) VALUES ('erasure_salt', ?1) ON CONFLICT DO NOTHING";
const SENDER: &str = "SELECT sender_uid FROM messages WHERE app_id = ?1 AND message_id = ?2";
const EVENT_OF: &str = "
    SELECT seq FROM events WHERE seq = ?1 UNION ALL SELECT seq FROM deliveries WHERE position = ?1 LIMIT 1";
const TOOK_PART: &str = "
    SELECT 1 FROM call_participants AS x, json_each(?3) AS j
    WHERE x.app_id = ?1 AND x.session_key = 's:' || ?2 AND (x.uid = j.value OR x.name = j.value)
    UNION ALL
    SELECT 1 FROM call_sessions AS s, json_each(?3) AS j
    WHERE s.app_id = ?1 AND s.session_key = 's:' || ?2 AND (s.initiator_uid = j.value OR s.receiver_id = j.value)";

/// Hands over the body of each event of an app, in the order of the log.
pub fn bodies<E: From<StoreError>>(
    conn: &Connection,
    app_id: &str,
    mut each: impl FnMut(i64, &str) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |error: rusqlite::Error| E::from(StoreError::from(error));
    let mut statement = conn.prepare(BODIES).map_err(failed)?;
    let mut rows = statement.query([app_id]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let body = row.get_ref(1).map_err(failed)?.as_str();
        let body = body.map_err(|error| StoreError::Damaged("events.body", error.to_string()))?;
        each(row.get(0).map_err(failed)?, body)?;
    }
    Ok(())
}

fn texts(names: &BTreeSet<String>) -> String {
    serde_json::json!(names).to_string()
}

fn set<T: rusqlite::types::FromSql + Eq + std::hash::Hash>(
    conn: &Connection,
    sql: &str,
    params: &[&dyn ToSql],
) -> Result<HashSet<T>, StoreError> {
    let mut statement = conn.prepare(sql)?;
    Ok(statement.query_map(params_from_iter(params), |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Messages that a person wrote.
pub fn messages(conn: &Connection, app_id: &str, uid: &str) -> Result<HashSet<String>, StoreError> {
    set(conn, MESSAGES, &[&app_id, &uid])
}

/// Sessions that a person took part in, by the uid or by one of these names.
pub fn sessions(
    conn: &Connection,
    app_id: &str,
    uid: &str,
    names: &BTreeSet<String>,
) -> Result<HashSet<String>, StoreError> {
    set(conn, SESSIONS, &[&app_id, &uid, &texts(names)])
}

/// Log positions of the events about messages of a person, and about these sessions.
pub fn about(
    conn: &Connection,
    app_id: &str,
    uid: &str,
    sessions: &HashSet<String>,
) -> Result<HashSet<i64>, StoreError> {
    let mut found: HashSet<i64> = set(conn, ABOUT_MESSAGES, &[&app_id, &uid])?;
    found.extend(set::<i64>(conn, ABOUT_SESSIONS, &[&app_id, &serde_json::json!(sessions).to_string()])?);
    Ok(found)
}

/// How many other people are known by one of these names.
pub fn namesakes(conn: &Connection, app_id: &str, uid: &str, names: &BTreeSet<String>) -> Result<i64, StoreError> {
    Ok(conn.query_row(NAMESAKES, (app_id, uid, texts(names)), |row| row.get(0))?)
}

/// Rows about a person, by table; tables without one are left out.
pub fn rows(conn: &Connection, app_id: &str, uid: &str) -> Result<Vec<(&'static str, i64)>, StoreError> {
    let mut found = Vec::new();
    for (table, about) in ROWS {
        let sql = format!("SELECT count(*) FROM {table} WHERE app_id = :app AND ({about})");
        let count = conn.query_row(&sql, named_params! { ":app": app_id, ":uid": uid }, |row| row.get(0))?;
        found.extend((count > 0).then_some((*table, count)));
    }
    Ok(found)
}

/// Gives an event another body.
pub fn rewrite(conn: &Connection, seq: i64, envelope: &Envelope) -> Result<(), StoreError> {
    let values = (seq, &envelope.body, &envelope.fingerprint, envelope.has_secret);
    conn.prepare_cached(REWRITE)?.execute(values)?;
    Ok(())
}

/// Log position of the event that the delivery at a position tells; `None`: there is no such delivery.
pub fn event_of(conn: &Connection, position: i64) -> Result<Option<i64>, StoreError> {
    Ok(conn.prepare_cached(EVENT_OF)?.query_row([position], |row| row.get(0)).optional()?)
}

/// Removes all deliveries that were answered 400: nobody knows whose they are. How many there were.
pub fn forget_refused(conn: &Connection) -> Result<usize, StoreError> {
    Ok(conn.execute("DELETE FROM refused", [])?)
}

/// Writes the whole file anew, so that no byte of what was deleted stays in it. The WAL may still hold some.
pub fn write_anew(conn: &Connection) -> Result<(), StoreError> {
    // SQLite attaches the copy that it makes, which may be larger than memory.
    let attached = conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
    conn.execute_batch("PRAGMA temp_store = FILE; VACUUM")?;
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, attached)?;
    Ok(())
}

/// The same, and empties the WAL.
pub fn overwrite(conn: &Connection) -> Result<(), StoreError> {
    write_anew(conn)?;
    if super::checkpoint(conn, true)? {
        return Ok(());
    }
    Err(StoreError::Unusable(
        "the WAL still holds what was erased, because another process reads the file. End that process, and erase again"
            .into(),
    ))
}

/// Writes all that the file holds, and nothing that was deleted, into an empty file.
pub fn write_into(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    // SQLite attaches the copy.
    let attached = conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
    conn.execute("VACUUM INTO ?1", [path.to_string_lossy()])?;
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, attached)?;
    Ok(())
}

/// Moves the WAL into the file and removes it. False: somebody else has the file open.
pub fn leave_wal(conn: &Connection) -> Result<bool, StoreError> {
    if !super::checkpoint(conn, true)? {
        return Ok(false);
    }
    let mode = conn.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
    match mode {
        Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == ErrorCode::DatabaseBusy => Ok(false),
        mode => Ok(mode? == "delete"),
    }
}

/// The people erased from a file, as far as the file knows them: by salted hashes of what a late copy may tell.
#[derive(Debug, Default)]
pub struct Erasures {
    salt: String,
    apps: HashMap<String, HashMap<[u8; 32], (String, Time)>>,
}

impl Erasures {
    /// Of the file.
    pub fn load(conn: &Connection) -> Result<Self, StoreError> {
        let salt: Option<String> = conn.query_row(SALT, [], |row| row.get(0)).optional()?;
        let mut apps: HashMap<String, HashMap<_, _>> = HashMap::default();
        let mut statement = conn.prepare(KEPT)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let of_app = apps.entry(row.get(0)?).or_default();
            of_app.insert(row.get(1)?, (row.get(2)?, Time(row.get(3)?)));
        }
        Ok(Self { salt: salt.unwrap_or_default(), apps })
    }

    /// One person of one app.
    pub fn of(app_id: &str, known: &Known, pseudonym: &str, at: Time) -> Self {
        let hashes = known.hashes.iter().map(|hash| (*hash, (pseudonym.to_owned(), at))).collect();
        Self { salt: known.salt.clone(), apps: std::iter::once((app_id.to_owned(), hashes)).collect() }
    }

    /// Whether anybody of an app was erased.
    pub fn has(&self, app_id: &str) -> bool {
        self.apps.contains_key(app_id)
    }

    /// The pseudonym of the person whom a text names, and when the person was erased. `kind` tells uids from names.
    pub fn find(&self, app_id: &str, kind: &str, text: &str) -> Option<(&str, Time)> {
        let (pseudonym, at) = self.apps.get(app_id)?.get(&hash(&self.salt, kind, text))?;
        Some((pseudonym, *at))
    }

    /// The pseudonyms of an app.
    pub fn pseudonyms(&self, app_id: &str) -> BTreeSet<String> {
        self.apps.get(app_id).into_iter().flatten().map(|(_, (pseudonym, _))| pseudonym.clone()).collect()
    }
}

/// What a person is known by, as salted hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub salt: String,
    pub hashes: Vec<[u8; 32]>,
}

fn hash(salt: &str, kind: &str, text: &str) -> [u8; 32] {
    Sha256::digest(format!("{salt}/{kind}/{text}")).into()
}

/// Keeps whom a late copy must not bring back. `salt` counts if the file has none yet.
pub fn keep<'a>(
    conn: &Connection,
    (app_id, pseudonym, erased_at): (&str, &str, Time),
    salt: &str,
    known: impl IntoIterator<Item = (&'static str, &'a str)>,
) -> Result<(), StoreError> {
    keep_hashes(conn, (app_id, pseudonym, erased_at), &hashes(conn, salt, known)?)
}

/// The hashes that [`keep`] would keep.
pub fn hashes<'a>(
    conn: &Connection,
    salt: &str,
    known: impl IntoIterator<Item = (&'static str, &'a str)>,
) -> Result<Known, StoreError> {
    let kept: Option<String> = conn.query_row(SALT, [], |row| row.get(0)).optional()?;
    let salt = kept.unwrap_or_else(|| salt.to_owned());
    let hashes = known.into_iter().map(|(kind, text)| hash(&salt, kind, text)).collect();
    Ok(Known { salt, hashes })
}

/// Keeps a person of whom only hashes are known. The salt of all people in a file is one.
pub fn keep_hashes(
    conn: &Connection,
    (app_id, pseudonym, erased_at): (&str, &str, Time),
    known: &Known,
) -> Result<(), StoreError> {
    conn.execute(KEEP_SALT, [&known.salt])?;
    let kept: String = conn.query_row(SALT, [], |row| row.get(0))?;
    if kept != known.salt {
        return Err(StoreError::Unusable(
            "the shared log and this file know erased people by different salts: begin the node with a new file".into(),
        ));
    }
    for hash in &known.hashes {
        conn.prepare_cached(KEEP)?.execute((app_id, hash, pseudonym, erased_at.0))?;
    }
    Ok(())
}

/// Who sent a message, as far as the tables tell.
pub fn sender(conn: &Connection, app_id: &str, message_id: &str) -> Result<Option<String>, StoreError> {
    let sender = conn.prepare_cached(SENDER)?.query_row((app_id, message_id), |row| row.get(0));
    Ok(sender.optional()?.flatten())
}

/// Whether one of these people took part in a session.
pub fn took_part(conn: &Connection, app_id: &str, session: &str, who: &BTreeSet<String>) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(TOOK_PART)?.exists((app_id, session, texts(who)))?)
}
