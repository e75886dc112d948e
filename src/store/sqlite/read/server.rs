//! What the file knows of the server's readers and of what was refused.

use super::{Conn, PLAIN_LIST, Sql, rows};
use crate::ids::Time;
use crate::store::sqlite::tokens;

pub use crate::store::sqlite::tokens::Token;

/// A body that was answered 400.
#[derive(Debug, Clone)]
pub struct Refused {
    pub received_at: Time,
    pub problem: String,
    /// Bytes that are kept of it.
    pub bytes: i64,
}

const REFUSED: &str = "SELECT received_at, problem, length(body) FROM refused ORDER BY id DESC LIMIT :limit";
const EDITION: &str = "SELECT user_version FROM pragma_user_version";

/// The newest tokens first, revoked ones too.
pub fn tokens(conn: &Conn) -> Sql<Vec<Token>> {
    rows(conn, tokens::NEWEST, &[(":limit", &(PLAIN_LIST as i64))], tokens::read)
}

/// The newest bodies that were refused.
pub fn refused(conn: &Conn, first: i64) -> Sql<Vec<Refused>> {
    rows(conn, REFUSED, &[(":limit", &first)], |row| {
        Ok(Refused { received_at: row.get(0)?, problem: row.get(1)?, bytes: row.get(2)? })
    })
}

/// The edition of the schema that the file has.
pub fn edition(conn: &Conn) -> Sql<i64> {
    Ok(rows(conn, EDITION, &[], |row| row.get(0))?.pop().unwrap_or_default())
}
