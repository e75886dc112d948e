//! `call_facts`, and what they come to: `call_sessions`, `call_participants`, `recordings`, `transcripts`.

use super::Key;
use crate::ids::{CallStatus, ReceiverType, Time};
use crate::sessions::{CallFact, Instance};
use crate::store::{StoreError, read_json, write_json};
use crate::tables::call::Session;
use rusqlite::{Connection, named_params};

const APPEND: &str = "INSERT INTO call_facts (app_id, session_key, digest, seq, fact) VALUES (?1, ?2, ?3, ?4, ?5)";
const FACTS: &str = "SELECT digest, fact FROM call_facts WHERE app_id = ?1 AND session_key = ?2 ORDER BY seq";
const CLEAR: [&str; 4] = [
    "DELETE FROM call_sessions WHERE app_id = ?1 AND session_key = ?2 AND kind = ?3 AND anchor = ?4",
    "DELETE FROM call_participants WHERE app_id = ?1 AND session_key = ?2 AND kind = ?3 AND anchor = ?4",
    "DELETE FROM recordings WHERE app_id = ?1 AND session_key = ?2 AND kind = ?3 AND anchor = ?4",
    "DELETE FROM transcripts WHERE app_id = ?1 AND session_key = ?2 AND kind = ?3 AND anchor = ?4",
];
const SESSION: &str = "
    INSERT INTO call_sessions
        (app_id, session_key, kind, anchor, session_id, type, status, initiator_uid, receiver_type, receiver_id,
         call_message_id, initiated_at, started_at, ended_at, duration_seconds, order_at, news_at)
    VALUES (:app_id, :session_key, :kind, :anchor, :session_id, :type, :status, :initiator, :receiver_type, :receiver,
         :call_message_id, :initiated_at, :started_at, :ended_at, :duration, :order_at, :news_at)";
const PARTICIPANT: &str = "
    INSERT INTO call_participants (app_id, session_key, kind, anchor, person, joined_at, uid, name, left_at, audio_only)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING";
const RECORDING: &str = "
    INSERT INTO recordings (app_id, session_key, kind, anchor, started_at, url, duration_seconds)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
const TRANSCRIPT: &str = "
    INSERT INTO transcripts (app_id, session_key, kind, anchor, transcript_id, url, started_at, ended_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";

pub fn load(conn: &Connection, (app, session_key): &Key) -> Result<Option<Session>, StoreError> {
    let mut statement = conn.prepare_cached(FACTS)?;
    let mut rows = statement.query((app, session_key))?;
    let mut facts = Vec::new();
    while let Some(row) = rows.next()? {
        let fact: CallFact = read_json("call_facts.fact", &row.get::<_, String>(1)?)?;
        facts.push((row.get(0)?, fact));
    }
    Ok((!facts.is_empty()).then(|| Session::new(facts)))
}

/// Facts are added and never changed; instances are written anew where they changed.
pub fn save(conn: &Connection, key: &Key, stored: Option<&Session>, now: &Session) -> Result<(), StoreError> {
    let (app, session_key) = key;
    for (fingerprint, fact) in now.facts.iter().skip(stored.map_or(0, |stored| stored.facts.len())) {
        conn.prepare_cached(APPEND)?.execute((app, session_key, fingerprint, fact.seq, write_json(fact)?))?;
    }
    let before = stored.map_or(&[][..], |stored| &stored.instances);
    for gone in before.iter().filter(|instance| !now.instances.contains(instance)) {
        for clear in CLEAR {
            conn.prepare_cached(clear)?.execute((app, session_key, gone.kind.as_str(), gone.anchor.0))?;
        }
    }
    now.instances.iter().filter(|instance| !before.contains(instance)).try_for_each(|it| write(conn, key, it))
}

fn write(conn: &Connection, (app, session_key): &Key, instance: &Instance) -> Result<(), StoreError> {
    let (kind, anchor) = (instance.kind.as_str(), instance.anchor.0);
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
    for stay in &instance.stays {
        let joined_at = stay.joined_at.unwrap_or_default().0;
        let row = (
            app,
            session_key,
            kind,
            anchor,
            &stay.person,
            joined_at,
            &stay.uid,
            &stay.name,
            ms(stay.left_at),
            stay.audio_only,
        );
        conn.prepare_cached(PARTICIPANT)?.execute(row)?;
    }
    for recording in &instance.recordings {
        let started_at = recording.started_at.unwrap_or_default().0;
        conn.prepare_cached(RECORDING)?.execute((
            app,
            session_key,
            kind,
            anchor,
            started_at,
            &recording.url,
            recording.duration_ms.map(|ms| ms as f64 / 1000.0),
        ))?;
    }
    for transcript in &instance.transcripts {
        let (started_at, ended_at) = (ms(transcript.started_at), ms(transcript.ended_at));
        let row = (app, session_key, kind, anchor, &transcript.id, &transcript.url, started_at, ended_at);
        conn.prepare_cached(TRANSCRIPT)?.execute(row)?;
    }
    Ok(())
}
