//! What belongs to all nodes travels through their log: tokens, erasures, requests to make the tables again. And nodes of
//! different builds are equal again after the last upgrade.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "orders/erasures.rs"]
mod erasures;
mod harness;
mod support;
#[path = "erase/told.rs"]
mod told;
#[path = "orders/settings.rs"]
mod settings;
#[path = "orders/tokens.rs"]
mod tokens;
#[path = "orders/upgrades.rs"]
mod upgrades;

use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::postgres::Postgres;
use support::{Answer, TestServer, chatfold, verified};
use tempfile::TempDir;

/// A log with its tables; `None`: there is no PostgreSQL.
fn log() -> Option<Postgres> {
    let postgres = Postgres::start("")?;
    let (code, _, err) = chatfold(&["log", "init", "--log", &postgres.address()]);
    assert_eq!(code, 0, "{err}");
    Some(postgres)
}

fn node(postgres: &Postgres) -> TestServer {
    within(Arc::new(tempfile::tempdir().unwrap()), postgres)
}

fn within(dir: Arc<TempDir>, postgres: &Postgres) -> TestServer {
    let node = TestServer::within(dir, &format!("log = \"{}\"", postgres.address()));
    until("a node that is ready", || node.get("/readyz").status == 200);
    node
}

/// Ends a node without a word. Its folder stays.
fn killed(node: TestServer) -> Arc<TempDir> {
    let dir = node.dir();
    drop(node);
    dir
}

#[track_caller]
fn until(what: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !so() {
        assert!(Instant::now() < deadline, "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Like the vendor: a 503 is tried again.
fn deliver(node: &TestServer, body: &str) -> Answer {
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

fn message(id: usize) -> String {
    format!(
        r#"{{"trigger":"message_sent","appId":"a","data":{{"message":{{"id":"{id}","sender":"u{}","receiverType":"group","receiver":"g","category":"message","type":"text","sentAt":{},"data":{{"text":"x"}}}}}}}}"#,
        id % 7,
        1_767_614_400 + id
    )
}

fn ask(db: &Path, sql: &str) -> String {
    let conn = Connection::open(db).unwrap();
    conn.busy_timeout(Duration::from_secs(20)).unwrap();
    conn.query_row(sql, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
}

fn hash(db: &Path) -> String {
    let (code, out, err) = chatfold(&["inspect", "--json", "--db", db.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str::<serde_json::Value>(&out).unwrap()["state"]["hash"].as_str().unwrap().to_owned()
}

/// Waits until all nodes have read the whole log, and erased whom it told to erase.
#[track_caller]
fn caught_up(postgres: &Postgres, nodes: &[&TestServer]) {
    let newest = postgres.ask("SELECT position FROM chatfold_head");
    for node in nodes {
        let at = "SELECT position || ' ' || (SELECT count(*) FROM settings WHERE name = 'erasing') FROM shared_log";
        until("node at the end of the log", || ask(&node.db(), at) == format!("{newest} 0"));
    }
}

/// All nodes have read the whole log, say the same, and are sound.
#[track_caller]
fn agree(postgres: &Postgres, nodes: &[&TestServer]) {
    caught_up(postgres, nodes);
    let first = hash(&nodes[0].db());
    for (place, node) in nodes.iter().enumerate() {
        assert_eq!(hash(&node.db()), first, "node {place}");
        verified(&node.db());
    }
}

#[test]
fn a_node_stops_at_an_order_that_it_does_not_know_and_says_so() {
    let Some(postgres) = log() else { return };
    let node = node(&postgres);
    deliver(&node, &message(1));
    postgres.ask(
        "WITH head AS (UPDATE chatfold_head SET position = position + 1 RETURNING position)
         INSERT INTO chatfold_deliveries (position, id, received_at, app_id, body)
         SELECT position, decode(repeat('ab', 16), 'hex'), 1, '', convert_to('{\"trigger\":\"chatfold.order.paint\",\"data\":{}}', 'UTF8')
         FROM head",
    );
    until("unready node", || node.get("/readyz").status == 503);
    assert!(node.get("/readyz").problem(503).contains("position 2 that this chatfold does not know"));
    assert_eq!(ask(&node.db(), "SELECT CAST(position AS TEXT) FROM shared_log"), "1");
}
