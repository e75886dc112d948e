//! Apps heard of.

use super::{Conn, Sql, json, rows};
use crate::ids::Time;

/// A row of `apps`.
#[derive(Debug, Clone)]
pub struct App {
    pub app_id: String,
    pub region: Option<String>,
    pub first_seen_at: Time,
    pub last_event_at: Time,
    pub events_count: i64,
}

const ALL: &str = "
    SELECT app_id, region, first_seen_at, last_event_at, events_count
    FROM apps
    WHERE :only IS NULL OR app_id IN (SELECT value FROM json_each(:only))
    ORDER BY app_id
    LIMIT 200";

/// All apps, or those of them that are named.
pub fn all(conn: &Conn, only: Option<&[String]>) -> Sql<Vec<App>> {
    let only = only.map(json);
    rows(conn, ALL, &[(":only", &only)], |row| {
        Ok(App {
            app_id: row.get("app_id")?,
            region: row.get("region")?,
            first_seen_at: row.get("first_seen_at")?,
            last_event_at: row.get("last_event_at")?,
            events_count: row.get("events_count")?,
        })
    })
}

const FIRST: &str = "SELECT app_id FROM apps ORDER BY first_seen_at, app_id LIMIT :most";

/// The ids of the apps that were heard of first.
pub fn first(conn: &Conn, most: usize) -> Sql<Vec<String>> {
    rows(conn, FIRST, &[(":most", &(most as i64))], |row| row.get(0))
}

const TWO: &str =
    "SELECT app_id FROM apps WHERE :only IS NULL OR app_id IN (SELECT value FROM json_each(:only)) LIMIT 2";

/// The file's only app, or the only one of those named.
pub fn only(conn: &Conn, named: Option<&[String]>) -> Sql<Option<String>> {
    let named = named.map(json);
    let ids = rows(conn, TWO, &[(":only", &named)], |row| row.get::<_, String>(0))?;
    Ok(if ids.len() == 1 { ids.into_iter().next() } else { None })
}

const CLOCK_OFFSETS: &str = "
    SELECT app_id, clock_offset FROM feeds
    WHERE clock_offset <> 0 AND (:only IS NULL OR app_id IN (SELECT value FROM json_each(:only)))
    ORDER BY app_id
    LIMIT 200";

/// By app, how many milliseconds arrivals are ahead of the vendor's clock; those in which that counts.
pub fn clock_offsets(conn: &Conn, only: Option<&[String]>) -> Sql<Vec<(String, i64)>> {
    let only = only.map(json);
    rows(conn, CLOCK_OFFSETS, &[(":only", &only)], |row| Ok((row.get(0)?, row.get(1)?)))
}

const HORIZONS: &str = "
    SELECT app_id, family, before FROM horizons
    WHERE :only IS NULL OR app_id IN (SELECT value FROM json_each(:only))
    ORDER BY app_id, family
    LIMIT 200";

/// By app and family, up to when events were cut from the log.
pub fn horizons(conn: &Conn, only: Option<&[String]>) -> Sql<Vec<(String, String, Time)>> {
    let only = only.map(json);
    rows(conn, HORIZONS, &[(":only", &only)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

const MESSAGES_HORIZON: &str = "SELECT before FROM horizons WHERE app_id = :app AND family = 'message'";

/// Up to when messages of an app were cut from the log.
pub fn messages_horizon(conn: &Conn, app: &str) -> Sql<Option<Time>> {
    Ok(rows(conn, MESSAGES_HORIZON, &[(":app", &app)], |row| Ok(Time(row.get(0)?)))?.pop())
}

/// Bytes of the file.
pub fn file_bytes(conn: &Conn) -> Sql<i64> {
    let bytes = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    Ok(rows(conn, bytes, &[], |row| row.get(0))?.pop().unwrap_or_default())
}
