//! Calls and meetings.

use super::list::{Scan, run, scan};
use super::{Conn, Found, Key, List, Lookup, Range, Sql, json, rows};
use crate::ids::{CallKind, CallStatus, Time};
use rusqlite::Row;

/// A row of `call_sessions`.
#[derive(Debug, Clone)]
pub struct Call {
    pub key: CallKey,
    pub session_id: Option<String>,
    pub kind: CallKind,
    pub call_type: Option<String>,
    pub status: Option<CallStatus>,
    pub initiator_uid: Option<String>,
    pub receiver_type: Option<String>,
    pub receiver_id: Option<String>,
    pub call_message_id: Option<String>,
    pub initiated_at: Option<Time>,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub duration_seconds: Option<i64>,
}

/// One instance of a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallKey {
    pub session_key: String,
    pub kind: String,
    pub anchor: i64,
}

impl CallKey {
    /// From its place in a list of [`Calls`].
    pub fn from_list(key: &Key) -> Self {
        Self { session_key: key[1].text().to_owned(), kind: key[2].text().to_owned(), anchor: key[3].int() }
    }

    fn read(row: &Row<'_>) -> Sql<Self> {
        Ok(Self { session_key: row.get("session_key")?, kind: row.get("kind")?, anchor: row.get("anchor")? })
    }
}

fn keys_json<'a>(keys: impl Iterator<Item = &'a CallKey>) -> String {
    let keys: Vec<_> = keys.map(|key| serde_json::json!([key.session_key, key.kind, key.anchor])).collect();
    serde_json::Value::Array(keys).to_string()
}

/// Joins a table to the keys asked for.
macro_rules! of_keys {
    ($select:literal, $table:literal, $rest:literal) => {
        concat!(
            "SELECT c.session_key, c.kind, c.anchor, ",
            $select,
            " FROM json_each(:keys) k CROSS JOIN ",
            $table,
            " c ON c.app_id = :app AND c.session_key = json_extract(k.value, '$[0]')
                AND c.kind = json_extract(k.value, '$[1]') AND c.anchor = json_extract(k.value, '$[2]') ",
            $rest
        )
    };
}

const BY_KEY: &str = of_keys!(
    "c.session_id, c.type, c.status, c.initiator_uid, c.receiver_type, c.receiver_id, c.call_message_id,
     c.initiated_at, c.started_at, c.ended_at, c.duration_seconds",
    "call_sessions",
    ""
);

impl Lookup for CallKey {
    type Found = Call;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Call)>> {
        let keys = keys_json(keys.iter());
        rows(conn, BY_KEY, &[(":app", &app), (":keys", &keys)], |row| {
            let key = Self::read(row)?;
            let call = Call {
                session_id: row.get("session_id")?,
                kind: CallKind::from_word(&key.kind).unwrap_or(CallKind::Meeting),
                call_type: row.get("type")?,
                status: row.get("status")?,
                initiator_uid: row.get("initiator_uid")?,
                receiver_type: row.get("receiver_type")?,
                receiver_id: row.get("receiver_id")?,
                call_message_id: row.get("call_message_id")?,
                initiated_at: row.get("initiated_at")?,
                started_at: row.get("started_at")?,
                ended_at: row.get("ended_at")?,
                duration_seconds: row.get("duration_seconds")?,
                key: key.clone(),
            };
            Ok((key, call))
        })
    }
}

/// The newest instance of a session id.
pub fn newest(conn: &Conn, app: &str, session_id: &str) -> Sql<Option<CallKey>> {
    newest_of(conn, app, &format!("s:{session_id}"))
}

/// The newest instance of a session, by its key.
pub fn newest_of(conn: &Conn, app: &str, session_key: &str) -> Sql<Option<CallKey>> {
    let found = NewestOf::look_up(conn, app, &[NewestOf(session_key.to_owned())])?;
    Ok(found.into_iter().next().map(|(_, key)| key))
}

/// The newest instance of a session, by its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NewestOf(pub String);

const NEWEST_OF: &str = "
    SELECT c.session_key, c.kind, c.anchor
    FROM json_each(:keys) k CROSS JOIN call_sessions c ON c.app_id = :app AND c.session_key = k.value
    WHERE (c.kind, c.anchor) = (
        SELECT kind, anchor FROM call_sessions WHERE app_id = :app AND session_key = k.value
        ORDER BY order_at DESC, kind DESC, anchor DESC LIMIT 1)";

impl Lookup for NewestOf {
    type Found = CallKey;

    fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, CallKey)>> {
        let keys = json(keys.iter().map(|key| key.0.as_str()).collect::<Vec<&str>>());
        let found = rows(conn, NEWEST_OF, &[(":app", &app), (":keys", &keys)], CallKey::read)?;
        Ok(found.into_iter().map(|key| (Self(key.session_key.clone()), key)).collect())
    }
}

/// Calls and meetings, newest first.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    pub app: String,
    pub kinds: Option<Vec<&'static str>>,
    pub statuses: Option<Vec<&'static str>>,
    pub uid: Option<String>,
    pub guid: Option<String>,
    pub call_message_id: Option<String>,
    pub started_after: Option<i64>,
    pub started_before: Option<i64>,
    pub active: Option<bool>,
}

/// Whether a call is of a group, and of a person: who began the call, was called, or was in the call.
macro_rules! of_group_and_person {
    () => {
        "(:guid IS NULL OR coalesce(c.receiver_type = 'group' AND c.receiver_id = :guid, 0))
         AND (:uid IS NULL OR coalesce(c.initiator_uid = :uid, 0)
             OR coalesce(c.receiver_type = 'user' AND c.receiver_id = :uid, 0)
             OR EXISTS (
                 SELECT 1 FROM call_participants p WHERE p.app_id = :app AND p.uid = :uid
                 AND p.session_key = c.session_key AND p.kind = c.kind AND p.anchor = c.anchor))"
    };
}
pub(super) use of_group_and_person;

/// The conditions of a request on an instance. The start of the instance is its place in the list.
macro_rules! matching {
    () => {
        concat!(
            "((:kinds IS NULL OR c.kind IN (SELECT value FROM json_each(:kinds)))
         AND (:statuses IS NULL OR coalesce(c.status IN (SELECT value FROM json_each(:statuses)), 0))
         AND (:after IS NULL OR c.order_at >= :after) AND (:before IS NULL OR c.order_at < :before)
         AND (:active IS NULL OR :active = goes_on(c.status, c.news_at, :now))
         AND ",
            $crate::store::sqlite::read::call::of_group_and_person!(),
            ")"
        )
    };
}

const ALL: Scan = scan!("itti", by ["c.order_at", "c.session_key", "c.kind", "c.anchor"] from ":k1, :k2, :k3, :k4",
    matching matching!(), of "call_sessions c WHERE c.app_id = :app");
const OF_MESSAGE: Scan = scan!("itti", by ["c.order_at", "c.session_key", "c.kind", "c.anchor"]
    from ":k1, :k2, :k3, :k4", matching matching!(),
    of "call_sessions c WHERE c.app_id = :app AND c.call_message_id = :message");

impl List for Calls {
    fn name(&self) -> &'static str {
        "callSessions"
    }

    fn falling(&self) -> bool {
        true
    }

    fn kinds(&self) -> &'static str {
        "itti"
    }

    fn scan(&self, conn: &Conn, range: Range<'_>) -> Sql<Found> {
        let kinds = self.kinds.as_ref().map(json);
        let statuses = self.statuses.as_ref().map(json);
        let now = crate::clock::now().0;
        let params: super::Params<'_> = &[
            (":app", &self.app),
            (":kinds", &kinds),
            (":statuses", &statuses),
            (":uid", &self.uid),
            (":guid", &self.guid),
            (":message", &self.call_message_id),
            (":after", &self.started_after),
            (":before", &self.started_before),
            (":active", &self.active),
            (":now", &now),
        ];
        run(conn, if self.call_message_id.is_some() { &OF_MESSAGE } else { &ALL }, params, range)
    }
}

/// One stay of one person.
#[derive(Debug, Clone)]
pub struct Stay {
    pub person: String,
    pub uid: Option<String>,
    pub name: Option<String>,
    pub joined_at: Option<Time>,
    pub left_at: Option<Time>,
    pub audio_only: Option<bool>,
}

/// A row of `recordings`.
#[derive(Debug, Clone)]
pub struct Recording {
    pub url: Option<String>,
    pub started_at: Option<Time>,
    pub duration_seconds: Option<f64>,
}

/// A row of `transcripts`.
#[derive(Debug, Clone)]
pub struct Transcript {
    pub transcript_id: String,
    pub url: Option<String>,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
}

/// Declares a question about instances whose answer is a list.
macro_rules! lists {
    ($(#[$doc:meta] $key:ident -> $row:ty: $sql:expr, $group:expr, $map:expr;)+) => { $(
        #[$doc]
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $key(pub CallKey);

        impl Lookup for $key {
            type Found = Vec<$row>;

            fn look_up(conn: &Conn, app: &str, keys: &[Self]) -> Sql<Vec<(Self, Vec<$row>)>> {
                let json = keys_json(keys.iter().map(|key| &key.0));
                let map: fn(&Row<'_>) -> Sql<$row> = $map;
                let found = rows(conn, $sql, &[(":app", &app), (":keys", &json)], |row| {
                    Ok((Self(CallKey::read(row)?), map(row)?))
                })?;
                let group: fn(&[Self], Vec<(Self, $row)>) -> Vec<(Self, Vec<$row>)> = $group;
                Ok(group(keys, found))
            }
        }
    )+ };
}

/// Zero stands for "not told" where the column is part of a key.
fn told(at: i64) -> Option<Time> {
    (at != 0).then_some(Time(at))
}

lists! {
    /// Stays in an instance, person by person; all of them, since they are counted per person.
    StaysOf -> Stay: of_keys!(
        "c.person, c.joined_at, c.uid, c.name, c.left_at, c.audio_only", "call_participants",
        "ORDER BY c.session_key, c.kind, c.anchor, c.person, c.joined_at"
    ), all, |row| Ok(Stay {
        person: row.get("person")?,
        uid: row.get("uid")?,
        name: row.get("name")?,
        joined_at: told(row.get("joined_at")?),
        left_at: row.get("left_at")?,
        audio_only: row.get("audio_only")?,
    });
    /// Recordings of an instance.
    RecordingsOf -> Recording: of_keys!(
        "c.started_at, c.url, c.duration_seconds", "recordings",
        "ORDER BY c.session_key, c.kind, c.anchor, c.started_at, c.url"
    ), all, |row| Ok(Recording {
        url: Some(row.get::<_, String>("url")?).filter(|url| !url.is_empty()),
        started_at: told(row.get("started_at")?),
        duration_seconds: row.get("duration_seconds")?,
    });
    /// Transcripts of an instance.
    TranscriptsOf -> Transcript: of_keys!(
        "c.transcript_id, c.url, c.started_at, c.ended_at", "transcripts",
        "ORDER BY c.session_key, c.kind, c.anchor, c.started_at, c.transcript_id"
    ), all, |row| Ok(Transcript {
        transcript_id: row.get("transcript_id")?,
        url: row.get("url")?,
        started_at: row.get("started_at")?,
        ended_at: row.get("ended_at")?,
    });
}

/// Rows of many keys, gathered per key, all of them.
fn all<K: Clone + Eq + std::hash::Hash, T>(keys: &[K], found: Vec<(K, T)>) -> Vec<(K, Vec<T>)> {
    let mut by_key: std::collections::HashMap<K, Vec<T>> = keys.iter().map(|key| (key.clone(), Vec::new())).collect();
    for (key, value) in found {
        by_key.entry(key).or_default().push(value);
    }
    by_key.into_iter().collect()
}
