//! What one stranger, one sender or one reader can do to the others. The figures of a release build, which take time, are
//! in `strangers/table.rs`: `tests/strangers.sh` prints them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
#[path = "strangers/table.rs"]
mod table;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use support::TestServer;
use support::feed::{Client, message};

fn token(server: &TestServer, args: &[&str]) -> String {
    let (code, out, err) = server.run(&[&["token", "create"], args].concat());
    assert_eq!(code, 0, "{err}");
    out.trim().to_owned()
}

fn hello(server: &TestServer, token: &str) -> Client {
    let mut client = Client::connect(server);
    client.say(&json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {token}")}}));
    client
}

/// Connections that say nothing.
fn silent(server: &TestServer, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(server.address).unwrap()).collect()
}

/// Whether the server has not closed it.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = (&*stream).read(&mut [0; 1]);
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn silent_connections_keep_no_delivery_waiting() {
    // What a worker took at most, and a few.
    let server = TestServer::with("workers = 1");
    let silent = silent(&server, 1_100);
    assert_eq!(server.deliver(message(1, "g")).status, 200);
    let closed = silent.iter().filter(|stream| !is_open(stream)).count();
    assert_eq!(closed, 0, "the delivery was answered while all of them were open");
}

#[test]
fn the_oldest_silent_connections_of_an_address_give_way() {
    let server = TestServer::with("workers = 1\nconnections_per_address = 10");
    let silent = silent(&server, 30);
    for n in 1..=3 {
        assert_eq!(server.deliver(message(n, "g")).status, 200);
    }
    let open: Vec<usize> = (0..30).filter(|n| is_open(&silent[*n])).collect();
    assert!(open.len() <= 10 && open.iter().all(|n| *n >= 20), "{open:?}");
}

#[test]
fn half_a_head_is_as_good_as_silence() {
    let server = TestServer::with("workers = 1\nconnections_per_address = 10");
    let slow: Vec<TcpStream> = silent(&server, 30);
    for mut stream in &slow {
        stream.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    }
    assert_eq!(server.deliver(message(1, "g")).status, 200);
    assert!(slow.iter().filter(|stream| is_open(stream)).count() <= 10);
}

#[test]
fn a_websocket_that_shows_no_token_takes_no_seat() {
    let server = TestServer::with("[graphql]\nsubscribers = 2");
    let token = token(&server, &["--name", "reader"]);
    let strangers: Vec<Client> = (0..3).map(|_| Client::connect(&server)).collect();
    assert_eq!(hello(&server, &token).hear()["type"], "connection_ack");
    drop(strangers);
}

#[test]
fn the_oldest_of_too_many_strangers_gives_way() {
    let server = TestServer::start();
    let token = token(&server, &["--name", "reader"]);
    let mut strangers: Vec<Client> = (0..257).map(|_| Client::connect(&server)).collect();
    assert_eq!(strangers[0].closed(), 1013);
    assert_eq!(hello(&server, &token).hear()["type"], "connection_ack");
}

#[test]
fn each_subscription_of_a_websocket_but_the_first_takes_a_seat() {
    let server = TestServer::with("[graphql]\nsubscribers_per_token = 3");
    server.deliver(message(1, "g"));
    let token = token(&server, &["--name", "reader"]);
    let mut client = hello(&server, &token);
    assert_eq!(client.hear()["type"], "connection_ack");
    let follow = "subscription { changes(appId: \"a\", afterSeq: \"0\") { seq } }";
    for id in ["1", "2", "3", "4"] {
        client.subscribe(id, follow);
    }
    let heard: Vec<Value> = (0..4).map(|_| client.hear()).collect();
    let (refused, others): (Vec<&Value>, Vec<&Value>) = heard.iter().partition(|heard| heard["type"] == "error");
    assert_eq!(refused.len(), 1, "{heard:?}");
    assert_eq!(refused[0]["payload"][0]["extensions"]["code"], "BUSY", "{refused:?}");
    let served: BTreeSet<&str> = others.iter().map(|heard| heard["id"].as_str().unwrap()).collect();
    assert!(served.len() == 3 && others.iter().all(|heard| heard["type"] == "next"), "{heard:?}");
    assert_eq!(hello(&server, &token).closed(), 4429, "nor is there one for another websocket");
}

#[test]
fn an_event_stream_ends_with_its_token_though_nothing_happens() {
    let server = TestServer::start();
    server.deliver(message(1, "g"));
    let token = token(&server, &["--name", "reader"]);
    let mut stream = TcpStream::connect(server.address).unwrap();
    // Between two signs of life of a stream that goes on are 15 s.
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET /changes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.next().unwrap().unwrap().contains("200"));
    assert_eq!(server.run(&["token", "revoke", "reader"]).0, 0);
    let rest: Vec<String> = lines.map_while(Result::ok).skip_while(|line| !line.is_empty()).collect();
    assert_eq!(rest[..2], ["", "0"], "nothing but its end");
}
