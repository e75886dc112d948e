//! Functions of ours in statements.

use crate::json;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

/// What each does is a function of its arguments alone, and none is for triggers or views of a file from elsewhere.
const FLAGS: FunctionFlags =
    FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC).union(FunctionFlags::SQLITE_DIRECTONLY);

/// Defines `folded(text)`, letters of any alphabet in one case, for SQLite's own `LIKE` knows the case of ASCII letters
/// only, and `shown(body)`, a body without its secrets, for a search that finds a secret tells it.
pub(super) fn define(conn: &Connection) -> rusqlite::Result<()> {
    conn.create_scalar_function("folded", 1, FLAGS, |ctx| Ok(ctx.get::<Option<String>>(0)?.map(|text| folded(&text))))?;
    conn.create_scalar_function("shown", 1, FLAGS, |ctx| Ok(json::shown(ctx.get_raw(0).as_str()?).into_owned()))
}

/// The same, of what is looked for.
pub(super) fn folded(text: &str) -> String {
    text.to_lowercase()
}
