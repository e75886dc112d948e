//! A file with rows put in by plain SQL, and an API over it.

use chatfold::graphql::{Api, Caller, Limits};
use chatfold::store::sqlite::open_writer;
use serde_json::Value;
use std::time::Duration;

pub struct File {
    dir: tempfile::TempDir,
    pub conn: rusqlite::Connection,
}

/// 2026-01-05T08:00:00Z in milliseconds.
pub const T0: i64 = 1_767_600_000_000;

impl File {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let conn = open_writer(&dir.path().join("test.db")).unwrap();
        Self { dir, conn }
    }

    /// A query may take a minute: the machine may be slow.
    pub fn api(&self) -> Api {
        self.api_with(Limits { timeout: Duration::from_secs(60), ..Limits::default() })
    }

    pub fn api_with(&self, limits: Limits) -> Api {
        Api::open(&self.dir.path().join("test.db"), limits).unwrap()
    }

    pub fn sql(&self, sql: &str) -> &Self {
        self.conn.execute_batch(sql).unwrap();
        self
    }

    pub fn app(&self, app: &str) -> &Self {
        self.sql(&format!("INSERT INTO apps VALUES ('{app}', 'eu', 0, {T0}, {T0}, 1)"))
    }

    pub fn user(&self, app: &str, uid: &str) -> &Self {
        self.sql(&format!(
            "INSERT INTO users (app_id, uid, name, registers) VALUES ('{app}', '{uid}', 'Name of {uid}', x'')"
        ))
    }

    /// A group whose members are known since `T0`.
    pub fn group(&self, app: &str, guid: &str) -> &Self {
        self.sql(&format!(
            "INSERT INTO groups (app_id, guid, name, type, owner_uid, created_at, history_since, lifecycle, registers)
             VALUES ('{app}', '{guid}', 'Group {guid}', 'public', 'owner', {T0}, {T0}, '[]', x'')"
        ))
    }

    pub fn member(&self, app: &str, guid: &str, uid: &str, state: &str) -> &Self {
        let joined = state == "joined";
        let scope = if joined { "'participant'" } else { "NULL" };
        self.sql(&format!(
            "INSERT INTO memberships VALUES
             ('{app}', '{guid}', '{uid}', '{state}', {scope}, {T0}, 'told', {T0}, 'told', NULL, {joined});
             UPDATE groups SET members_count = members_count + {joined} WHERE app_id = '{app}' AND guid = '{guid}'"
        ))
    }

    /// Chat of `sender`, `second` seconds after `T0`.
    pub fn message(&self, app: &str, conversation: &str, id: &str, sender: &str, second: i64) -> &Self {
        let no = id.parse().unwrap_or(i64::MAX);
        let at = T0 + second * 1000;
        self.sql(&format!(
            "INSERT INTO messages (app_id, message_id, message_no, conversation_id, low_length, sender_uid, receiver_type, receiver_id,
                 category, type, text, data, sent_at, deleted, blocked, chat, listed, registers)
             VALUES ('{app}', '{id}', {no}, '{conversation}', max(instr('{conversation}', '_user_') - 1, 0), '{sender}', 'group', 'g', 'message', 'text', 'text {id}',
                 '{{\"z\":1,\"a\":2}}', {at}, 0, 0, 1, 1, x'')"
        ))
    }

    pub fn event(&self, app: &str, seq: i64, trigger: &str, outcome: &str, body: &str) -> &Self {
        self.conn
            .execute(
                "INSERT INTO events (seq, app_id, trigger, received_at, occurred_at, occurred_from, fingerprint,
                     last_received_at, outcome, has_secret, body)
                 VALUES (?1, ?2, ?3, ?4, ?4, 'told', x'00', ?4, ?5, 0, ?6)",
                rusqlite::params![seq, app, trigger, T0, outcome, body],
            )
            .unwrap();
        self
    }
}

/// Asks on behalf of somebody who may read everything.
pub fn ask(api: &Api, query: &str) -> Value {
    ask_as(api, query, Caller::default())
}

pub fn ask_as(api: &Api, query: &str, caller: Caller) -> Value {
    serde_json::from_str(&ask_text(api, query, caller)).unwrap()
}

pub fn ask_text(api: &Api, query: &str, caller: Caller) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(api.execute_text(async_graphql::Request::new(query), caller))
}

/// The data of an answer without errors.
pub fn data(api: &Api, query: &str) -> Value {
    let answer = ask(api, query);
    assert!(answer.get("errors").is_none(), "{query}\n{answer:#}");
    answer["data"].clone()
}

/// The code of the first error.
pub fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("none")
}

/// One field of all nodes of a connection.
pub fn all<'a>(connection: &'a Value, field: &str) -> Vec<&'a str> {
    connection["nodes"].as_array().unwrap().iter().map(|node| node[field].as_str().unwrap()).collect()
}
