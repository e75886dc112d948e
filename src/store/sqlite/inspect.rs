//! Reads for `chatfold events` and `chatfold inspect`.

use super::horizon::{self, Reached};
use super::open_reader;
use super::state::{self, State};
use crate::ids::Time;
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params};
use std::path::Path;

/// Which events.
#[derive(Debug, Default)]
pub struct Filter {
    pub app: Option<String>,
    /// None: all.
    pub triggers: Vec<String>,
    /// None: all.
    pub outcomes: Vec<String>,
    pub since: Option<Time>,
    pub until: Option<Time>,
    /// About this entity: kind and key of `event_refs`.
    pub about: Option<(&'static str, String)>,
    /// At this log position.
    pub seq: Option<i64>,
    /// Behind this log position.
    pub after: Option<i64>,
    pub limit: u32,
}

/// One row of the log.
#[derive(Debug)]
pub struct LoggedRow {
    pub seq: i64,
    pub app_id: String,
    pub region: Option<String>,
    pub webhook_id: Option<String>,
    pub trigger: String,
    pub received_at: Time,
    pub occurred_at: Time,
    pub occurred_from: String,
    pub deliveries: i64,
    pub last_received_at: Time,
    pub outcome: String,
    pub reason: Option<String>,
    /// Secrets included.
    pub body: String,
}

/// One delivery that was answered 400.
#[derive(Debug)]
pub struct RefusedRow {
    pub id: i64,
    pub received_at: Time,
    pub problem: String,
    /// How many bytes of it were kept.
    pub bytes: i64,
    /// These bytes; empty unless asked for.
    pub body: Vec<u8>,
}

/// One app.
#[derive(Debug)]
pub struct AppRow {
    pub app_id: String,
    pub region: Option<String>,
    pub first_seen_at: Time,
    pub last_event_at: Time,
    pub events_count: i64,
}

/// What is in a file.
#[derive(Debug)]
pub struct Summary {
    pub bytes: i64,
    pub seq: i64,
    pub first_received_at: Option<Time>,
    pub last_received_at: Option<Time>,
    pub first_occurred_at: Option<Time>,
    pub last_occurred_at: Option<Time>,
    pub apps: Vec<AppRow>,
    /// Most frequent first.
    pub outcomes: Vec<(String, i64)>,
    /// Most frequent first.
    pub triggers: Vec<(String, i64)>,
    pub state: State,
    /// Edition of the fold that made the tables.
    pub fold_version: i64,
    /// Deliveries answered 400 that are kept.
    pub refused: i64,
    /// Up to when events were cut from the log.
    pub horizons: Vec<Reached>,
}

const EVENTS: &str = "
    SELECT seq, app_id, region, webhook_id, trigger, received_at, occurred_at, occurred_from, deliveries,
           last_received_at, outcome, reason, body
    FROM events
    WHERE {about}
      AND (:app IS NULL OR app_id = :app)
      AND (:triggers IS NULL OR trigger IN (SELECT value FROM json_each(:triggers)))
      AND (:outcomes IS NULL OR outcome IN (SELECT value FROM json_each(:outcomes)))
      AND (:since IS NULL OR received_at >= :since)
      AND (:until IS NULL OR received_at < :until)
      AND (:seq IS NULL OR seq = :seq)
      AND seq > :after
    ORDER BY seq DESC
    LIMIT :limit";

/// The index of `event_refs` is led by the app.
const ABOUT: &str =
    "seq IN (SELECT r.seq FROM apps AS a JOIN event_refs AS r USING (app_id) WHERE r.kind = :kind AND r.key = :key)";

const REFUSED: &str = "
    SELECT id, received_at, problem, length(body) AS bytes, iif(:with_body, body, x'') AS body
    FROM refused
    WHERE (:since IS NULL OR received_at >= :since)
      AND (:until IS NULL OR received_at < :until)
    ORDER BY id DESC
    LIMIT :limit";

/// A file opened to look at.
pub struct Inspector(Connection);

/// Opens the file to read it, with words for people where there is none.
pub fn open_file(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Unusable(format!("there is no file {}. Name the file with --db", path.display())));
    }
    open_reader(path)
}

/// Opens the file to look into it.
pub fn open(path: &Path) -> Result<Inspector, StoreError> {
    open_file(path).map(Inspector)
}

impl Inspector {
    /// Hands over matching events, newest first.
    pub fn events(&self, filter: &Filter, each: &mut dyn FnMut(LoggedRow) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let (triggers, outcomes) = (list(&filter.triggers), list(&filter.outcomes));
        let (since, until) = (filter.since.map(|time| time.0), filter.until.map(|time| time.0));
        let after = filter.after.unwrap_or(0);
        let mut params = named_params! {
            ":app": filter.app,
            ":triggers": triggers,
            ":outcomes": outcomes,
            ":since": since,
            ":until": until,
            ":seq": filter.seq,
            ":after": after,
            ":limit": filter.limit,
        }
        .to_vec();
        let about = match &filter.about {
            None => "true",
            Some((kind, key)) => {
                params.extend_from_slice(&[(":kind", kind as &dyn ToSql), (":key", key)]);
                ABOUT
            }
        };
        let mut statement = self.0.prepare(&EVENTS.replace("{about}", about))?;
        let mut rows = statement.query(params.as_slice())?;
        while let Some(row) = rows.next()? {
            each(logged(row)?)?;
        }
        Ok(())
    }

    /// Hands over refused deliveries, newest first.
    pub fn refused(
        &self,
        filter: &Filter,
        with_body: bool,
        each: &mut dyn FnMut(RefusedRow) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut statement = self.0.prepare(REFUSED)?;
        let mut rows = statement.query(named_params! {
            ":with_body": with_body,
            ":since": filter.since.map(|time| time.0),
            ":until": filter.until.map(|time| time.0),
            ":limit": filter.limit,
        })?;
        while let Some(row) = rows.next()? {
            each(RefusedRow {
                id: row.get("id")?,
                received_at: Time(row.get("received_at")?),
                problem: row.get("problem")?,
                bytes: row.get("bytes")?,
                body: row.get("body")?,
            })?;
        }
        Ok(())
    }

    /// The apps that the file holds.
    pub fn apps(&self) -> Result<Vec<String>, StoreError> {
        Ok(apps(&self.0)?.into_iter().map(|app| app.app_id).collect())
    }

    /// Counts and hashes everything, in one snapshot.
    pub fn summary(&self) -> Result<Summary, StoreError> {
        let conn = self.0.unchecked_transaction()?;
        let pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let span = "SELECT min(received_at), max(last_received_at), min(occurred_at), max(occurred_at) FROM events";
        let time = |row: &Row<'_>, index: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(index)?.map(Time));
        let (first_received_at, last_received_at, first_occurred_at, last_occurred_at) =
            conn.query_row(span, [], |row| Ok((time(row, 0)?, time(row, 1)?, time(row, 2)?, time(row, 3)?)))?;
        let seq =
            conn.query_row("SELECT seq FROM events ORDER BY seq DESC LIMIT 1", [], |row| row.get(0)).optional()?;
        Ok(Summary {
            bytes: pages * page,
            seq: seq.unwrap_or(0),
            first_received_at,
            last_received_at,
            first_occurred_at,
            last_occurred_at,
            apps: apps(&conn)?,
            outcomes: counts(&conn, "SELECT outcome, count(*) FROM events GROUP BY outcome ORDER BY 2 DESC, 1")?,
            triggers: counts(&conn, "SELECT trigger, count(*) FROM events GROUP BY trigger ORDER BY 2 DESC, 1")?,
            state: state::of_file(&conn)?,
            fold_version: super::fold_version(&conn)?,
            refused: conn.query_row("SELECT count(*) FROM refused", [], |row| row.get(0))?,
            horizons: horizon::all(&conn)?,
        })
    }
}

fn logged(row: &Row<'_>) -> rusqlite::Result<LoggedRow> {
    Ok(LoggedRow {
        seq: row.get("seq")?,
        app_id: row.get("app_id")?,
        region: row.get("region")?,
        webhook_id: row.get("webhook_id")?,
        trigger: row.get("trigger")?,
        received_at: Time(row.get("received_at")?),
        occurred_at: Time(row.get("occurred_at")?),
        occurred_from: row.get("occurred_from")?,
        deliveries: row.get("deliveries")?,
        last_received_at: Time(row.get("last_received_at")?),
        outcome: row.get("outcome")?,
        reason: row.get("reason")?,
        body: row.get("body")?,
    })
}

fn apps(conn: &Connection) -> Result<Vec<AppRow>, StoreError> {
    let mut statement =
        conn.prepare("SELECT app_id, region, first_seen_at, last_event_at, events_count FROM apps ORDER BY app_id")?;
    let rows = statement.query_map([], |row| {
        Ok(AppRow {
            app_id: row.get("app_id")?,
            region: row.get("region")?,
            first_seen_at: Time(row.get("first_seen_at")?),
            last_event_at: Time(row.get("last_event_at")?),
            events_count: row.get("events_count")?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn counts(conn: &Connection, sql: &'static str) -> Result<Vec<(String, i64)>, StoreError> {
    let mut statement = conn.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A list as one parameter; null where it names nothing.
fn list(words: &[String]) -> Option<String> {
    (!words.is_empty()).then(|| serde_json::json!(words).to_string())
}

#[cfg(test)]
mod tests;
