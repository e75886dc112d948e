//! `call_facts` and `call_histories`, and what they come to: `call_sessions`, `call_participants`, `recordings`,
//! `transcripts`.

use super::Key;
use crate::ids::{CallKind, CallStatus, ReceiverType, Time};
use crate::sessions::{CallFact, History, Instance, RecordingRow, StayRow, TranscriptRow};
use crate::store::{StoreError, read_json, write_json};
use crate::tables::call::{Decided, Page, Session, place};
use rusqlite::{Connection, OptionalExtension, ToSql, named_params};
use std::collections::BTreeMap;

const HISTORY: &str = "
    SELECT longest, calls, meetings, signals, files, undated, started_at, initiated_at FROM call_histories
    WHERE app_id = ?1 AND session_key = ?2";
const SAVE_HISTORY: &str = "
    INSERT INTO call_histories
        (app_id, session_key, longest, calls, meetings, signals, files, undated, started_at, initiated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    ON CONFLICT (app_id, session_key) DO UPDATE SET
        longest = excluded.longest, calls = excluded.calls, meetings = excluded.meetings, signals = excluded.signals,
        files = excluded.files, undated = excluded.undated, started_at = excluded.started_at,
        initiated_at = excluded.initiated_at";
const APPEND: &str = "INSERT INTO call_facts (app_id, session_key, at, seq, fact) VALUES (?1, ?2, ?3, ?4, ?5)";
const BEFORE: &str = "
    SELECT fact FROM call_facts WHERE app_id = ?1 AND session_key = ?2 AND (at, seq) < (?3, ?4)
    ORDER BY at DESC, seq DESC LIMIT ?5";
const AFTER: &str = "
    SELECT fact FROM call_facts WHERE app_id = ?1 AND session_key = ?2 AND (at, seq) > (?3, ?4)
    ORDER BY at, seq LIMIT ?5";
/// With what a call holds.
const CLEAR: [&str; 4] = [
    "DELETE FROM call_sessions WHERE app_id = ?1 AND session_key = ?2 AND kind = ?3 AND anchor = ?4",
    "DELETE FROM call_participants WHERE app_id = ?1 AND session_key = ?2 AND kind = ?3 AND anchor = ?4",
    "DELETE FROM recordings WHERE app_id = ?1 AND session_key = ?2 AND kind = ?3 AND anchor = ?4",
    "DELETE FROM transcripts WHERE app_id = ?1 AND session_key = ?2 AND kind = ?3 AND anchor = ?4",
];
const SESSION: &str = "
    INSERT OR REPLACE INTO call_sessions
        (app_id, session_key, kind, anchor, session_id, type, status, initiator_uid, receiver_type, receiver_id,
         call_message_id, initiated_at, started_at, ended_at, duration_seconds, order_at, news_at)
    VALUES (:app_id, :session_key, :kind, :anchor, :session_id, :type, :status, :initiator, :receiver_type, :receiver,
         :call_message_id, :initiated_at, :started_at, :ended_at, :duration, :order_at, :news_at)";
const PARTICIPANT: [&str; 2] = [
    "DELETE FROM call_participants
     WHERE app_id = ?1 AND session_key = ?2 AND kind = ?3 AND anchor = ?4 AND person = ?5 AND joined_at = ?6",
    "INSERT OR REPLACE INTO call_participants
         (app_id, session_key, kind, anchor, person, joined_at, uid, name, left_at, audio_only)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
];
const RECORDING: [&str; 2] = [
    "DELETE FROM recordings
     WHERE app_id = ?1 AND session_key = ?2 AND kind = ?3 AND anchor = ?4 AND started_at = ?5 AND url = ?6",
    "INSERT OR REPLACE INTO recordings (app_id, session_key, kind, anchor, started_at, url, duration_seconds)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
];
const TRANSCRIPT: [&str; 2] = [
    "DELETE FROM transcripts
     WHERE app_id = ?1 AND session_key = ?2 AND kind = ?3 AND anchor = ?4 AND transcript_id = ?5",
    "INSERT OR REPLACE INTO transcripts
         (app_id, session_key, kind, anchor, transcript_id, url, started_at, ended_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
];

/// What is known of a session id as a whole.
pub fn load(conn: &Connection, (app, session_key): &Key) -> Result<Option<Session>, StoreError> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok(History {
            longest: row.get(0)?,
            calls: row.get(1)?,
            meetings: row.get(2)?,
            signals: row.get(3)?,
            files: row.get(4)?,
            undated: row.get(5)?,
            started_at: row.get(6)?,
            initiated_at: row.get(7)?,
        })
    };
    let history = conn.prepare_cached(HISTORY)?.query_row((app, session_key), read).optional()?;
    Ok(history.map(Session::stored))
}

/// A page of its facts, the nearest first.
pub fn facts(conn: &Connection, (app, session_key): &Key, page: Page) -> Result<Vec<CallFact>, StoreError> {
    let (sql, (at, seq), most) = match page {
        Page::Before(place, most) => (BEFORE, place, most),
        Page::After(place, most) => (AFTER, place, most),
    };
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query((app, session_key, at, seq, most as i64))?;
    let mut facts = Vec::new();
    while let Some(row) = rows.next()? {
        facts.push(read_json("call_facts.fact", row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?);
    }
    Ok(facts)
}

/// Facts are added and never changed. Of calls and meetings the rows that differ are written.
pub fn save(conn: &Connection, key: &Key, stored: Option<&Session>, now: &Session) -> Result<(), StoreError> {
    let (app, session_key) = key;
    for fact in &now.added {
        let (at, seq) = place(fact);
        conn.prepare_cached(APPEND)?.execute((app, session_key, at, seq, write_json(&**fact)?))?;
    }
    let history = &now.history;
    if stored.is_none_or(|stored| stored.history != *history) {
        conn.prepare_cached(SAVE_HISTORY)?.execute((
            app,
            session_key,
            history.longest,
            history.calls,
            history.meetings,
            history.signals,
            history.files,
            history.undated,
            history.started_at,
            history.initiated_at,
        ))?;
    }
    for ((kind, anchor), Decided { stored, now }) in now.decided.iter().filter(|(_, it)| it.stored != it.now) {
        match now {
            None => {
                for clear in CLEAR {
                    conn.prepare_cached(clear)?.execute((app, session_key, kind.as_str(), anchor.0))?;
                }
            }
            Some(now) => write(conn, key, stored.as_deref(), now)?,
        }
    }
    Ok(())
}

/// Writes what differs between a call as the file has it and as it is now.
fn write(
    conn: &Connection,
    (app, session_key): &Key,
    stored: Option<&Instance>,
    instance: &Instance,
) -> Result<(), StoreError> {
    let (kind, anchor) = (CallKind::as_str(instance.kind), instance.anchor.0);
    let ms = |time: Option<Time>| time.map(|time| time.0);
    let duration = instance.started_at.zip(instance.ended_at).map(|(start, end)| (end.0 - start.0).max(0) / 1000);
    conn.prepare_cached(SESSION)?.execute(named_params! {
        ":app_id": app, ":session_key": session_key, ":kind": kind, ":anchor": anchor, ":session_id": instance.session_id,
        ":type": instance.r#type, ":status": instance.status.map(CallStatus::as_str), ":initiator": instance.initiator,
        ":receiver_type": instance.receiver_type.map(ReceiverType::as_str), ":receiver": instance.receiver,
        ":call_message_id": instance.call_message_id, ":initiated_at": ms(instance.initiated_at),
        ":started_at": ms(instance.started_at), ":ended_at": ms(instance.ended_at), ":duration": duration,
        ":order_at": instance.order_at.0, ":news_at": instance.news_at.0,
    })?;
    let run = |sql: &str, own: &[&dyn ToSql]| -> Result<(), StoreError> {
        let of_call: [&dyn ToSql; 4] = [app, session_key, &kind, &anchor];
        let all: Vec<&dyn ToSql> = of_call.into_iter().chain(own.iter().copied()).collect();
        conn.prepare_cached(sql)?.execute(&*all)?;
        Ok(())
    };
    fn stay(row: &StayRow) -> (&str, i64) {
        (&row.person, row.joined_at.unwrap_or_default().0)
    }
    fn recording(row: &RecordingRow) -> (i64, &str) {
        (row.started_at.unwrap_or_default().0, &row.url)
    }
    let (gone, new) = differ(stored.map_or(&[], |it| &it.stays), &instance.stays, stay);
    gone.iter().try_for_each(|(person, joined_at)| run(PARTICIPANT[0], &[person, joined_at]))?;
    for row in new {
        let (person, joined_at) = stay(row);
        let left_at = ms(row.left_at);
        run(PARTICIPANT[1], &[&person, &joined_at, &row.uid, &row.name, &left_at, &row.audio_only])?;
    }
    let (gone, new) = differ(stored.map_or(&[], |it| &it.recordings), &instance.recordings, recording);
    gone.iter().try_for_each(|(started_at, url)| run(RECORDING[0], &[started_at, url]))?;
    for row in new {
        let (started_at, url) = recording(row);
        run(RECORDING[1], &[&started_at, &url, &row.duration_ms.map(|ms| ms as f64 / 1000.0)])?;
    }
    let id = |row: &TranscriptRow| row.id.clone();
    let (gone, new) = differ(stored.map_or(&[], |it| &it.transcripts), &instance.transcripts, id);
    gone.iter().try_for_each(|id| run(TRANSCRIPT[0], &[id]))?;
    for row in new {
        run(TRANSCRIPT[1], &[&row.id, &row.url, &ms(row.started_at), &ms(row.ended_at)])?;
    }
    Ok(())
}

/// The keys that are gone, and the rows that are new or differ. Of rows with one key the first counts.
fn differ<'a, K: Ord, R: PartialEq>(before: &'a [R], now: &'a [R], key: impl Fn(&'a R) -> K) -> (Vec<K>, Vec<&'a R>) {
    let by_key = |rows: &'a [R]| -> BTreeMap<K, &'a R> { rows.iter().rev().map(|row| (key(row), row)).collect() };
    let (mut before, now) = (by_key(before), by_key(now));
    let new = now.into_iter().filter(|(key, row)| before.remove(key) != Some(*row)).map(|(_, row)| row).collect();
    (before.into_keys().collect(), new)
}
