//! `call_facts` and `call_histories`, and what they come to: `call_sessions`, `call_participants`, `recordings`,
//! `transcripts`.

use super::table::{self, FromColumns, Json, Reader, Stored, ToColumns, bound, collect, table};
use super::{App, Key};
use crate::ids::Time;
use crate::sessions::{CallFact, History, Instance, RecordingRow, StayRow, TranscriptRow, length_ms};
use crate::store::StoreError;
use crate::tables::call::{Decided, Page, Session, place};
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeMap;

table! {
    "call_histories": History by (session_key)
    fields { longest, calls, meetings, signals, files, undated, started_at, initiated_at }
}

table! {
    "call_facts": CallFact by (session_key)
    columns |it| { place => (at, seq) = place(it), fact = Json(it) }
}

impl FromColumns for CallFact {
    fn take(from: &mut Reader<'_>) -> Result<Self, StoreError> {
        from.json("call_facts.fact")
    }
}

table! {
    "call_sessions": Instance by (session_key, kind, anchor)
    derived |it| {
        session_id,
        r#type => (type),
        status,
        initiator => (initiator_uid),
        receiver_type,
        receiver => (receiver_id),
        call_message_id,
        initiated_at,
        started_at,
        ended_at,
        duration_seconds = length_ms(it.started_at, it.ended_at).map(|ms| ms / 1000),
        order_at,
        news_at,
    }
}

table! {
    "call_participants": StayRow by (session_key, kind, anchor) and (person, joined_at)
    derived |it| { uid, name, left_at, audio_only }
}

table! {
    "recordings": RecordingRow by (session_key, kind, anchor) and (started_at, url)
    derived |it| { duration_seconds = it.duration_ms.map(|ms| ms as f64 / 1000.0) }
}

table! {
    "transcripts": TranscriptRow by (session_key, kind, anchor) and (transcript_id)
    derived |it| { url, started_at, ended_at }
}

const BEFORE: &str = "
    SELECT fact FROM call_facts WHERE app_id = ?1 AND session_key = ?2 AND (at, seq) < (?3, ?4)
    ORDER BY at DESC, seq DESC LIMIT ?5";
const AFTER: &str = "
    SELECT fact FROM call_facts WHERE app_id = ?1 AND session_key = ?2 AND (at, seq) > (?3, ?4)
    ORDER BY at, seq LIMIT ?5";
const KEYS: &str =
    "SELECT session_key FROM call_histories WHERE app_id = ?1 AND session_key > ?2 ORDER BY session_key LIMIT ?3";
const NEWEST: &str = "SELECT at FROM call_facts WHERE app_id = ?1 AND session_key = ?2 ORDER BY at DESC LIMIT 1";
const SEQS: &str = "SELECT seq FROM call_facts WHERE app_id = ?1 AND session_key = ?2 ORDER BY seq";
const COUNT: &str = "SELECT count(*) FROM call_facts WHERE app_id = ?1 AND session_key = ?2";
const HOLDING: [&str; 6] =
    ["call_histories", "call_facts", "call_sessions", "call_participants", "recordings", "transcripts"];

/// What is known of a session id as a whole.
pub fn load(conn: &Connection, key: &Key) -> Result<Option<Session>, StoreError> {
    Ok(table::load(conn, key)?.map(Session::stored))
}

/// A page of its facts, the nearest first.
pub fn facts(conn: &Connection, key: &Key, page: Page) -> Result<Vec<CallFact>, StoreError> {
    let (sql, place, most) = match page {
        Page::Before(place, most) => (BEFORE, place, most),
        Page::After(place, most) => (AFTER, place, most),
    };
    collect(&mut bound(conn, sql, &[key, &place, &(most as i64)])?)
}

/// Session ids of an app behind one of them, in their order.
pub fn session_keys(conn: &Connection, app: &App, after: &str, limit: i64) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare_cached(KEYS)?;
    let rows = statement.query_map((app, after, limit), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Log positions of all events about a session id. None: a fact since `before` is known.
pub fn seqs(conn: &Connection, (app, session_key): &Key, before: Time) -> Result<Vec<i64>, StoreError> {
    let newest = conn.prepare_cached(NEWEST)?.query_row((app, session_key), |row| row.get::<_, i64>(0)).optional()?;
    if newest.is_some_and(|newest| newest >= before.0) {
        return Ok(Vec::new());
    }
    let mut statement = conn.prepare_cached(SEQS)?;
    let rows = statement.query_map((app, session_key), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many events are about a session id.
pub fn count_facts(conn: &Connection, (app, session_key): &Key) -> Result<usize, StoreError> {
    let count: i64 = conn.prepare_cached(COUNT)?.query_row((app, session_key), |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Removes all that is known of a session id.
pub fn remove(conn: &Connection, (app, session_key): &Key) -> Result<(), StoreError> {
    for table in HOLDING {
        let sql = format!("DELETE FROM {table} WHERE app_id = ?1 AND session_key = ?2");
        conn.prepare_cached(&sql)?.execute((app, session_key))?;
    }
    Ok(())
}

/// Facts are added and never changed. Of calls and meetings the rows that differ are written.
pub fn save(conn: &Connection, key: &Key, stored: Option<&Session>, now: &Session) -> Result<(), StoreError> {
    now.added.iter().try_for_each(|fact| CallFact::table().append(conn, key, &**fact))?;
    if stored.is_none_or(|stored| stored.history != now.history) {
        table::save(conn, key, &now.history)?;
    }
    for ((kind, anchor), Decided { stored, now }) in now.decided.iter().filter(|(_, it)| it.stored != it.now) {
        let call = (key, kind, anchor);
        match now {
            None => {
                let holding = [Instance::table(), StayRow::table(), RecordingRow::table(), TranscriptRow::table()];
                holding.iter().try_for_each(|table| table.clear(conn, &call))?;
            }
            Some(now) => write(conn, &call, stored.as_deref(), now)?,
        }
    }
    Ok(())
}

/// Writes what differs between a call as the file has it and as it is now.
fn write(
    conn: &Connection,
    call: &impl ToColumns,
    stored: Option<&Instance>,
    now: &Instance,
) -> Result<(), StoreError> {
    table::save(conn, call, now)?;
    let stays = stored.map_or(&[][..], |it| &it.stays);
    differ(conn, call, stays, &now.stays, |it| (it.person.as_str(), it.joined_at.unwrap_or_default()))?;
    let recordings = stored.map_or(&[][..], |it| &it.recordings);
    differ(conn, call, recordings, &now.recordings, |it| (it.started_at.unwrap_or_default(), it.url.as_str()))?;
    let transcripts = stored.map_or(&[][..], |it| &it.transcripts);
    differ(conn, call, transcripts, &now.transcripts, |it| it.id.as_str())
}

/// Removes the rows of a call that are gone, and writes those that are new or differ. Of rows with one key the first
/// counts.
fn differ<'a, K: Ord + ToColumns, R: PartialEq + Stored>(
    conn: &Connection,
    call: &impl ToColumns,
    before: &'a [R],
    now: &'a [R],
    key: impl Fn(&'a R) -> K,
) -> Result<(), StoreError> {
    let by_key = |rows: &'a [R]| -> BTreeMap<K, &'a R> { rows.iter().rev().map(|row| (key(row), row)).collect() };
    let (mut before, mut now) = (by_key(before), by_key(now));
    now.retain(|key, row| before.remove(key) != Some(*row));
    before.keys().try_for_each(|key| R::table().delete(conn, &(call, key)))?;
    now.iter().try_for_each(|(key, row)| R::table().save(conn, &(call, key), *row))
}
