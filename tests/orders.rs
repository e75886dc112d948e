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

use std::sync::Arc;
use support::nodes::{ask, deliver, hash, log, message, until};
use support::postgres::Postgres;
use support::{TestServer, verified};
use tempfile::TempDir;

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
