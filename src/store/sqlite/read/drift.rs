//! Groups whose number of members differs from what CometChat says.

use super::group::drift;
use super::{Conn, Sql, next, prepare, rows};
use crate::drift::Drift;

/// A group with drift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    pub app_id: String,
    pub guid: String,
    pub name: Option<String>,
    pub drift: Drift,
}

const DRIFTED: &str = "
    SELECT app_id, guid, name, drift_expected, drift_counted, drift_since
    FROM groups
    WHERE drift_since IS NOT NULL AND (:app IS NULL OR app_id = :app)
    ORDER BY app_id, guid";

/// Gives each group with drift, of one app or of all, by app and guid.
pub fn each(conn: &Conn, app: Option<&str>, mut take: impl FnMut(Drifted)) -> Sql<()> {
    let mut statement = prepare(conn, DRIFTED, &[(":app", &app)])?;
    let mut found = statement.raw_query();
    while let Some(row) = next(&mut found)? {
        take(Drifted {
            app_id: row.get("app_id")?,
            guid: row.get("guid")?,
            name: row.get("name")?,
            drift: drift(row)?.unwrap_or_default(),
        });
    }
    Ok(())
}

const COUNT: &str = "SELECT count(*) FROM groups WHERE app_id = :app AND drift_since IS NOT NULL";

/// How many groups of an app have drift.
pub fn count(conn: &Conn, app: &str) -> Sql<i64> {
    let found = rows(conn, COUNT, &[(":app", &app)], |row| row.get(0))?;
    Ok(found.into_iter().next().unwrap_or_default())
}
