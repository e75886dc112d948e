//! Functions of ours in statements.

use crate::json;
use crate::sessions::{goes_on, length_ms};
use crate::tables::membership::may_be_in;
use crate::tables::registers::{counts_as_online, still_open};
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

/// What each does is a function of its arguments alone, and none is for triggers or views of a file from elsewhere.
const FLAGS: FunctionFlags =
    FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC).union(FunctionFlags::SQLITE_DIRECTONLY);

/// Defines `folded(text)`, letters of any alphabet in one case, for SQLite's own `LIKE` knows the case of ASCII letters
/// only, and `shown(body)`, a body without its secrets, for a search that finds a secret tells it. Each of the others
/// is the rule of its name, which stands with its entity.
pub(super) fn define(conn: &Connection) -> rusqlite::Result<()> {
    conn.create_scalar_function("folded", 1, FLAGS, |ctx| Ok(ctx.get::<Option<String>>(0)?.map(|text| folded(&text))))?;
    conn.create_scalar_function("shown", 1, FLAGS, |ctx| Ok(json::shown(ctx.get_raw(0).as_str()?).into_owned()))?;
    conn.create_scalar_function("may_be_in", 2, FLAGS, |ctx| {
        Ok(may_be_in(ctx.get(0)?, ctx.get::<Option<bool>>(1)?.unwrap_or_default()))
    })?;
    conn.create_scalar_function("still_open", 2, FLAGS, |ctx| Ok(still_open(ctx.get(0)?, ctx.get(1)?)))?;
    conn.create_scalar_function("counts_as_online", 3, FLAGS, |ctx| {
        Ok(counts_as_online(ctx.get(0)?, ctx.get(1)?, ctx.get(2)?))
    })?;
    conn.create_scalar_function("goes_on", 3, FLAGS, |ctx| Ok(goes_on(ctx.get(0)?, ctx.get(1)?, ctx.get(2)?)))?;
    conn.create_scalar_function("length_ms", 2, FLAGS, |ctx| Ok(length_ms(ctx.get(0)?, ctx.get(1)?)))
}

/// `folded`, of a text that is looked for.
pub(super) fn folded(text: &str) -> String {
    text.to_lowercase()
}
