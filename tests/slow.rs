//! Peers that stop in the middle, and heads without an end: each costs only itself, and for some seconds only.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use support::{TestServer, raw};

const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn connect(server: &TestServer) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Reads until the server closes, which it must.
#[track_caller]
fn closes(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}: it stays open"),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Reads one answer.
fn answer(mut stream: &TcpStream) -> String {
    let (mut bytes, mut text) = ([0; 1024], String::new());
    while !text.ends_with('}') {
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "{text}");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    text
}

#[test]
fn a_head_that_stops_ends_the_connection_though_one_request_was_answered_before() {
    let server = TestServer::start();
    // The rest comes at once, later, or in drops.
    let mut after = connect(&server);
    after.write_all(ASK).unwrap();
    answer(&after);
    after.write_all(b"GET /healthz HTTP/1.1\r\nHo").unwrap();
    let mut with = connect(&server);
    with.write_all(&[ASK, b"GET /healthz HTTP/1.1\r\nHo"].concat()).unwrap();
    let mut drops = connect(&server);
    drops.write_all(ASK).unwrap();
    answer(&drops);
    let dripping = std::thread::spawn(move || {
        let mut sent = 0;
        // A closed connection refuses the second byte after it.
        while drops.write_all(b"x").is_ok() {
            sent += 1;
            assert!(sent < 120, "it stays open");
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    closes(&after);
    closes(&with);
    dripping.join().unwrap();
}

#[test]
fn a_connection_with_many_whole_requests_stays_open() {
    let server = TestServer::start();
    let mut stream = connect(&server);
    for _ in 0..6 {
        stream.write_all(ASK).unwrap();
        assert!(answer(&stream).starts_with("HTTP/1.1 200 "));
        std::thread::sleep(Duration::from_secs(2));
    }
}

#[test]
fn who_does_not_read_the_answer_loses_the_connection() {
    let server = TestServer::start();
    let mut stream = connect(&server);
    let ask = b"GET /assets/console.css HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
    // Requests until the answers fill both sockets and the server reads no more. Then it waits for us, and ends.
    let refused = loop {
        if let Err(error) = stream.write_all(&ask.repeat(1000)) {
            break error;
        }
    };
    assert!(matches!(refused.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{refused}");
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn heads_are_bounded() {
    let server = TestServer::start();
    let long = "x".repeat(200_000);
    let many: String = (0..97).map(|n| format!("X-{n}: 1\r\n")).collect();
    for (what, head) in [("a long header", format!("X: {long}\r\n")), ("many headers", many)] {
        let answer = raw(server.address, format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{head}\r\n"));
        assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    }
    let answer = raw(server.address, format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert!((400..500).contains(&answer.status), "a long path: {answer:?}");
    assert_eq!(server.get("/healthz").status, 200);
}
