//! Functions of ours in statements.

use crate::json;
use crate::tables::membership::may_be_in;
use crate::tables::registers::still_open;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

/// What each does is a function of its arguments alone, and none is for triggers or views of a file from elsewhere.
const FLAGS: FunctionFlags =
    FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC).union(FunctionFlags::SQLITE_DIRECTONLY);

/// Defines `folded(text)`, letters of any alphabet in one case, for SQLite's own `LIKE` knows the case of ASCII letters
/// only, and `shown(body)`, a body without its secrets, for a search that finds a secret tells it. The rules of two
/// entities have their names here too: `may_be_in(current, members_known)` and `still_open(seen_at, offline_at)`.
pub(super) fn define(conn: &Connection) -> rusqlite::Result<()> {
    conn.create_scalar_function("folded", 1, FLAGS, |ctx| Ok(ctx.get::<Option<String>>(0)?.map(|text| folded(&text))))?;
    conn.create_scalar_function("shown", 1, FLAGS, |ctx| Ok(json::shown(ctx.get_raw(0).as_str()?).into_owned()))?;
    conn.create_scalar_function("may_be_in", 2, FLAGS, |ctx| {
        Ok(may_be_in(ctx.get(0)?, ctx.get::<Option<bool>>(1)?.unwrap_or_default()))
    })?;
    conn.create_scalar_function("still_open", 2, FLAGS, |ctx| Ok(still_open(ctx.get(0)?, ctx.get(1)?)))
}

/// The same, of what is looked for.
pub(super) fn folded(text: &str) -> String {
    text.to_lowercase()
}
