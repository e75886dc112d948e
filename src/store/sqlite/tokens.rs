//! `tokens`: who may read.

use crate::ids::{Time, TokenScope};
use crate::store::StoreError;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};

/// A token to be kept.
#[derive(Debug)]
pub struct NewToken<'a> {
    pub name: &'a str,
    pub hash: [u8; 32],
    pub scope: TokenScope,
    /// The apps it may read; `None`: all.
    pub apps: Option<&'a [String]>,
    pub created_at: Time,
    pub expires_at: Option<Time>,
}

/// A row.
#[derive(Debug, Clone)]
pub struct Token {
    pub id: i64,
    pub name: String,
    pub hash: [u8; 32],
    pub scope: TokenScope,
    pub apps: Option<Vec<String>>,
    pub created_at: Time,
    pub expires_at: Option<Time>,
    pub last_used_at: Option<Time>,
    pub revoked_at: Option<Time>,
}

impl Token {
    /// Whether it opens anything at that time.
    pub fn is_valid(&self, at: Time) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| at < end)
    }
}

const INSERT: &str = "
    INSERT INTO tokens (name, hash, scope, apps, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT DO NOTHING
    RETURNING id";
const ALL: &str = "
    SELECT id, name, hash, scope, apps, created_at, expires_at, last_used_at, revoked_at FROM tokens ORDER BY id";
pub(super) const NEWEST: &str = "
    SELECT id, name, hash, scope, apps, created_at, expires_at, last_used_at, revoked_at FROM tokens
    ORDER BY id DESC LIMIT :limit";
const REVOKE: &str = "
    UPDATE tokens SET revoked_at = coalesce(revoked_at, :at) WHERE name = :which OR CAST(id AS TEXT) = :which
    RETURNING name";
const REVOKE_HASH: &str = "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?2) WHERE hash = ?1";
const USED: &str = "UPDATE tokens SET last_used_at = ?2 WHERE id = ?1";

/// Keeps a token; its id, or `None` where the name is taken.
pub fn create(conn: &Connection, new: &NewToken<'_>) -> Result<Option<i64>, StoreError> {
    let apps = new.apps.map(|apps| serde_json::json!(apps).to_string());
    let values = (new.name, new.hash, new.scope.as_str(), apps, new.created_at.0, new.expires_at.map(|at| at.0));
    Ok(conn.prepare_cached(INSERT)?.query_row(values, |row| row.get(0)).optional()?)
}

/// All of them, revoked ones too.
pub fn all(conn: &Connection) -> Result<Vec<Token>, StoreError> {
    let mut statement = conn.prepare_cached(ALL)?;
    Ok(statement.query_map([], read)?.collect::<Result<_, _>>()?)
}

/// Ends a token, by name or id; its name, or `None` where there is none.
pub fn revoke(conn: &Connection, which: &str, at: Time) -> Result<Option<String>, StoreError> {
    let values = rusqlite::named_params! { ":which": which, ":at": at.0 };
    Ok(conn.prepare_cached(REVOKE)?.query_row(values, |row| row.get(0)).optional()?)
}

/// Ends the token with this hash, if there is one.
pub fn revoke_hash(conn: &Connection, hash: &[u8; 32], at: Time) -> Result<(), StoreError> {
    conn.prepare_cached(REVOKE_HASH)?.execute((hash, at.0))?;
    Ok(())
}

/// Notes that it was used.
pub fn used(conn: &Connection, id: i64, at: Time) -> Result<(), StoreError> {
    conn.prepare_cached(USED)?.execute((id, at.0))?;
    Ok(())
}

/// Another number whenever another connection has changed the file.
pub fn version(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.pragma_query_value(None, "data_version", |row| row.get(0))?)
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Token> {
    let time = |column: &str| row.get::<_, Option<i64>>(column).map(|at| at.map(Time));
    let scope: String = row.get("scope")?;
    let unknown = || rusqlite::Error::FromSqlConversionFailure(3, Type::Text, "an unknown scope".into());
    let apps: Option<String> = row.get("apps")?;
    Ok(Token {
        id: row.get("id")?,
        name: row.get("name")?,
        hash: row.get("hash")?,
        scope: TokenScope::from_word(&scope).ok_or_else(unknown)?,
        // A list that cannot be read allows no app.
        apps: apps.map(|list| serde_json::from_str(&list).unwrap_or_default()),
        created_at: Time(row.get("created_at")?),
        expires_at: time("expires_at")?,
        last_used_at: time("last_used_at")?,
        revoked_at: time("revoked_at")?,
    })
}
