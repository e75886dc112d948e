//! Nodes of one log, and what they say.

use super::postgres::Postgres;
use super::{Answer, TestServer, chatfold, verified};
use rusqlite::Connection;
use std::path::Path;
use std::time::{Duration, Instant};

/// A log with its tables; `None`: there is no PostgreSQL.
pub fn log() -> Option<Postgres> {
    let postgres = Postgres::start("")?;
    let (code, out, err) = chatfold(&["log", "init", "--json", "--log", &postgres.address()]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(r#""isNew":true"#), "{out}");
    Some(postgres)
}

/// The configuration of a node.
pub fn of(postgres: &Postgres) -> String {
    format!("log = \"{}\"\n", postgres.address())
}

pub fn ready(node: TestServer) -> TestServer {
    until("a node that is ready", || node.get("/readyz").status == 200);
    node
}

#[track_caller]
pub fn until(what: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !so() {
        assert!(Instant::now() < deadline, "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn message(id: usize) -> String {
    format!(
        r#"{{"trigger":"message_sent","appId":"a","webhook":"w","data":{{"message":{{"id":"{id}","sender":"u{}","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{},"data":{{"text":"x"}}}}}}}}"#,
        id % 7,
        1_767_614_400 + id
    )
}

pub fn ask(db: &Path, sql: &str) -> String {
    let conn = Connection::open(db).unwrap();
    conn.busy_timeout(Duration::from_secs(30)).unwrap();
    conn.query_row(sql, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
}

pub fn change(db: &Path, sql: &str) {
    let conn = Connection::open(db).unwrap();
    conn.busy_timeout(Duration::from_secs(30)).unwrap();
    conn.execute_batch(sql).unwrap();
}

pub fn hash(db: &Path) -> String {
    let (code, out, err) = chatfold(&["inspect", "--json", "--db", db.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str::<serde_json::Value>(&out).unwrap()["state"]["hash"].as_str().unwrap().to_owned()
}

/// The position up to which a node has folded.
pub fn position(db: &Path) -> i64 {
    ask(db, "SELECT CAST(position AS TEXT) FROM shared_log").parse().unwrap()
}

/// All nodes have folded the whole log, say the same, and are sound.
pub fn agree(postgres: &Postgres, nodes: &[&TestServer]) {
    // What waits in an outbox is no part of the log yet.
    for node in nodes {
        until("empty outbox", || node.get("/readyz").json()["outbox"].as_u64().unwrap_or(0) == 0);
    }
    let newest: i64 = postgres.ask("SELECT position FROM chatfold_head").parse().unwrap();
    for node in nodes {
        until("node at the end of the log", || position(&node.db()) == newest);
    }
    let first = hash(&nodes[0].db());
    for node in nodes {
        assert_eq!(hash(&node.db()), first);
        verified(&node.db());
    }
}

/// Like the vendor: a 503 is tried again.
pub fn deliver(node: &TestServer, body: &str) -> Answer {
    for _ in 0..50 {
        let answer = node.deliver(body);
        if answer.status == 200 {
            return answer;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("no answer 200");
}
