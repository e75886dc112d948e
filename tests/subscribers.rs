//! What subscribers may take, and what they are told where they ask for what is not there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use std::time::{Duration, Instant};
use support::TestServer;
use support::feed::{Client, Events, message};

const FOLLOW: &str = "subscription { changes(appId: \"a\") { seq } }";

/// Until a place that was given up is free.
fn soon(what: impl Fn() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn of_token(server: &TestServer, token: &str) -> Client {
    let mut client = Client::connect(server);
    client.say(&json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {token}")}}));
    client
}

#[test]
fn one_more_subscriber_than_may_be_is_told_to_come_later() {
    let server = TestServer::with("[graphql]\nsubscribers = 2");
    server.deliver(message(1, "g"));
    let client = Client::greeted(&server);
    let mut events = Events::follow(&server, "/changes?afterSeq=0", "");
    let refused = server.get("/changes?afterSeq=0");
    assert!(refused.problem(503).contains("too many subscribers"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let upgrade = "GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
    server.raw(upgrade).problem(503);
    assert_eq!(events.next().0, 1, "who is there stays");
    drop(client);
    assert!(soon(|| !server
        .raw("GET /changes?afterSeq=9 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .body
        .contains("too many")));
    let mut client = Client::greeted(&server);
    client.subscribe("1", "subscription { changes(afterSeq: \"0\") { seq } }");
    assert_eq!(client.seq(), 1);
}

#[test]
fn one_token_does_not_take_the_places_of_another() {
    let server = TestServer::with("[graphql]\nsubscribers_per_token = 2");
    server.deliver(message(1, "g"));
    let token = |name: &str| server.run(&["token", "create", "--name", name]).1.trim().to_owned();
    let (one, other) = (token("one"), token("other"));
    let mut first = of_token(&server, &one);
    assert_eq!(first.hear()["type"], "connection_ack");
    let bearer = format!("Authorization: Bearer {one}\r\n");
    let mut second = Events::follow(&server, "/changes?afterSeq=0", &bearer);
    assert_eq!(of_token(&server, &one).closed(), 4429);
    let value = format!("Bearer {one}");
    let refused = server.request("GET", "/changes?afterSeq=0", &[("Authorization", &value)], b"");
    assert!(refused.problem(429).contains("one token"));
    assert_eq!(of_token(&server, &other).hear()["type"], "connection_ack", "another token");
    assert_eq!(second.next().0, 1, "who is there stays");
    drop(first);
    assert!(soon(|| of_token(&server, &one).hear_or_close().is_ok()), "a place given up is free again");
}

#[test]
fn one_more_operation_than_may_be_closes_the_socket() {
    let server = TestServer::with("[graphql]\noperations = 2");
    server.deliver(message(1, "g"));
    let mut client = Client::greeted(&server);
    client.subscribe("1", FOLLOW);
    for id in ["2", "3", "4"] {
        client.subscribe(id, "{ apps { appId } }");
        assert_eq!(client.hear()["id"], *id);
        assert_eq!(client.hear()["type"], "complete", "what is complete counts no more");
    }
    client.subscribe("5", FOLLOW);
    client.subscribe("6", FOLLOW);
    assert_eq!(client.closed(), 4429);
}

#[test]
fn a_position_that_is_not_in_the_log_is_told_from_one_that_is_gone() {
    let mut server = TestServer::start();
    for id in 1..=6 {
        server.deliver(message(id, "g"));
    }
    server.sigterm();
    let conn = rusqlite::Connection::open(server.db()).unwrap();
    conn.execute_batch("DELETE FROM events WHERE seq <= 3").unwrap();
    drop(conn);
    let server = TestServer::within(server.dir(), "");
    let mut client = Client::greeted(&server);
    for (position, code, told) in [
        ("0", "BEFORE_HISTORY", "begins after position 3"),
        ("2", "BEFORE_HISTORY", "events after 2 are missing"),
        ("7", "BAD_INPUT", "7 is newer than its newest, 6"),
        ("-1", "BAD_INPUT", "0 or greater"),
    ] {
        client.subscribe("1", &format!("subscription {{ changes(afterSeq: \"{position}\") {{ seq }} }}"));
        let heard = client.hear();
        assert_eq!((&heard["type"], &heard["payload"][0]["extensions"]["code"]), (&"error".into(), &code.into()));
        assert!(heard["payload"][0]["message"].as_str().unwrap().contains(told), "{heard}");
        let status = if code == "BEFORE_HISTORY" { 410 } else { 400 };
        assert!(server.get(&format!("/changes?afterSeq={position}")).problem(status).contains(told), "{position}");
    }
    client.subscribe("2", "subscription { changes(afterSeq: \"3\") { seq } }");
    assert_eq!((client.seq(), client.seq(), client.seq()), (4, 5, 6), "nothing behind 3 is gone");
    assert_eq!(Events::follow(&server, "/changes", "Last-Event-ID: 3\r\n").next().0, 4);
}

#[test]
fn who_has_seen_the_newest_events_goes_on_after_they_were_deleted() {
    let mut server = TestServer::start();
    for id in 1..=6 {
        server.deliver(message(id, "g"));
    }
    server.sigterm();
    let conn = rusqlite::Connection::open(server.db()).unwrap();
    conn.execute_batch("DELETE FROM events WHERE seq > 4").unwrap();
    drop(conn);
    let server = TestServer::within(server.dir(), "");
    let mut client = Client::greeted(&server);
    client.subscribe("1", "subscription { changes(afterSeq: \"6\") { seq } }");
    let mut events = Events::follow(&server, "/changes", "Last-Event-ID: 5\r\n");
    assert_eq!(server.deliver(message(7, "g")).header("chatfold-seq"), Some("7"), "no position is given twice");
    assert_eq!((client.seq(), events.next().0), (7, 7));
    assert!(server.get("/changes?afterSeq=8").problem(400).contains("8 is newer than its newest, 7"));
}

#[test]
fn positions_of_further_deliveries_before_the_oldest_event_are_no_events_that_are_gone() {
    let mut server = TestServer::start();
    for id in [1, 2, 1, 2, 3] {
        server.deliver(message(id, "g"));
    }
    server.sigterm();
    let conn = rusqlite::Connection::open(server.db()).unwrap();
    conn.execute_batch("DELETE FROM events WHERE seq <= 2").unwrap();
    drop(conn);
    let server = TestServer::within(server.dir(), "");
    assert_eq!(Events::follow(&server, "/changes", "Last-Event-ID: 2\r\n").next().0, 5);
    assert!(server.get("/changes?afterSeq=1").problem(410).contains("events after 1 are missing"));
}
