//! Hostile bytes on the wire: each is answered as the contract says or cut off, nothing of it is in the log that should
//! not be, and the server goes on.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};
use support::{TestServer, WEBHOOK};

fn delivery(id: usize) -> String {
    format!(r#"{{"trigger":"of_tomorrow","appId":"a","data":{{"id":{id}}}}}"#)
}

fn events(server: &TestServer) -> i64 {
    let conn = rusqlite::Connection::open(server.db()).unwrap();
    conn.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap()
}

/// Everything that comes back until the other side ends; empty where it just ends.
fn exchange(server: &TestServer, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    // The server may have had enough before it has all.
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    let mut text = Vec::new();
    let _ = socket.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn wrong_framing_and_huge_heads_put_nothing_into_the_log() {
    let server = TestServer::start();
    let body = delivery(1);
    let length = body.len();
    let post = |head: &str, body: &str| {
        format!("POST {WEBHOOK} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{head}\r\n{body}")
    };
    let chunked = "Transfer-Encoding: chunked\r\n";
    let requests = [
        ("no length", post("", &body)),
        ("a length that is no number", post("Content-Length: many\r\n", &body)),
        ("a negative length", post("Content-Length: -1\r\n", &body)),
        ("a length over 64 bits", post("Content-Length: 99999999999999999999999\r\n", &body)),
        ("a length with a sign", post(&format!("Content-Length: +{length}\r\n"), &body)),
        ("two lengths", post(&format!("Content-Length: {length}\r\nContent-Length: 2\r\n"), &body)),
        ("length and chunks", post(&format!("Content-Length: {length}\r\n{chunked}"), &body)),
        ("an unknown transfer coding", post("Transfer-Encoding: gzip, chunked\r\n", &body)),
        ("a chunk size that is none", post(chunked, &format!("xyz\r\n{body}\r\n0\r\n\r\n"))),
        ("a chunk size over 64 bits", post(chunked, &format!("fffffffffffffffff\r\n{body}\r\n0\r\n\r\n"))),
        ("a chunk longer than it says", post(chunked, &format!("2\r\n{body}\r\n0\r\n\r\n"))),
        ("chunks without an end", post(chunked, &format!("{length:x}\r\n{body}\r\n"))),
        ("less than it says", post(&format!("Content-Length: {}\r\n", length + 1), &body)),
        ("a head of 200 KiB", post(&format!("X: {}\r\nContent-Length: {length}\r\n", "x".repeat(200 << 10)), &body)),
        ("500 headers", post(&format!("{}Content-Length: {length}\r\n", "X: y\r\n".repeat(500)), &body)),
        ("a path of 100 KiB", format!("POST /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100 << 10))),
        ("a header with a NUL", post(&format!("X: a\0b\r\nContent-Length: {length}\r\n"), &body)),
        ("a header without a colon", post(&format!("nonsense\r\nContent-Length: {length}\r\n"), &body)),
        ("a folded header", post(&format!("X: a\r\n b\r\nContent-Length: {length}\r\n"), &body)),
        ("an older protocol", format!("POST {WEBHOOK}\r\n\r\n{body}")),
        ("a newer protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, request) in requests {
        let answer = exchange(&server, request.as_bytes());
        let status = answer.get(9..12).unwrap_or("");
        assert!(answer.is_empty() || status.starts_with('4'), "{what}: {answer}");
        assert_eq!(events(&server), 0, "{what}: {answer}");
        assert_eq!(server.get("/readyz").status, 200, "after {what}");
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn legal_bodies_that_other_parsers_refuse_are_200_and_kept_byte_for_byte() {
    let server = TestServer::start();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let of = |data: &str| format!(r#"{{"trigger":"message_sent","appId":"a","data":{data}}}"#);
    let bodies = [
        of(&deep),
        of(&nested),
        of(&format!(r#"{{"message":{{"id":"1","metadata":{nested}}}}}"#)),
        of(r#"{"message":{"id":"2","sender":"\ud83d","data":{"text":"\udc00\ud800"}}}"#),
        of(r#"{"message":{"id":"3\u0000","sender":"u\u0000","data":{"text":"\u0000"}}}"#),
        of(r#"{"message":{"id":"4","id":"5","sentAt":1,"sentAt":1767614400}}"#),
        of(r#"{"message":{"id":"6","sentAt":1e999,"editedAt":-1e-999,"deletedAt":99999999999999999999999}}"#),
        of(r#"{"message":{"id":99999999999999999999999,"sender":-0}}"#),
        of(&format!(r#"{{"":0{}}}"#, r#","":0"#.repeat(100_000))),
        r#"{"trigger":"x","trigger":"message_sent","appId":1,"appId":"a","data":{"message":{"id":"7"}}}"#.to_owned(),
        format!(r#"{{"trigger":"{}","appId":"a\u0000\ud800","data":null}}"#, "t".repeat(100_000)),
        " \r\n\t{\"trigger\" : \"\\u0074\" , \"appId\":\"\" }\n ".to_owned(),
    ];
    for body in &bodies {
        let answer = server.deliver(body);
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"), "{}", &body[..body.len().min(200)]);
        let seq: i64 = answer.header("chatfold-seq").unwrap().parse().unwrap();
        let conn = rusqlite::Connection::open(server.db()).unwrap();
        let kept: String = conn.query_row("SELECT body FROM events WHERE seq = ?1", [seq], |row| row.get(0)).unwrap();
        assert!(kept == *body);
    }
    for failed in ["kept as a dead letter", "chatfold panicked"] {
        assert!(!server.log().contains(failed), "{}", server.log());
    }
    for command in [&["events", "--json"][..], &["events"], &["inspect"]] {
        assert_eq!(server.run(command).0, 0, "{command:?}");
    }
}

#[test]
fn bodies_that_are_no_json_are_400_and_kept_aside() {
    let server = TestServer::start();
    let good = delivery(1);
    let bad: [&[u8]; 9] = [
        b"\xef\xbb\xbf{\"trigger\":\"t\",\"appId\":\"a\"}",
        b"{\"trigger\":\"t\",\"appId\":\"\xff\"}",
        b"{\"trigger\":\"t\",\"appId\":\"\xed\xa0\x80\"}",
        b"{\"trigger\":\"t\0\",\"appId\":\"a\"}",
        b"{\"trigger\":\"t\",\"appId\":\"a\",\"data\":NaN}",
        b"{\"trigger\":\"t\",\"appId\":\"a\"}{}",
        b"{'trigger':'t','appId':'a'}",
        b"trigger=t&appId=a",
        &good.as_bytes()[..good.len() - 1],
    ];
    for body in bad {
        server.deliver(body).problem(400);
    }
    let deep = "[".repeat(1_000_000);
    server.deliver(format!(r#"{{"trigger":"t","appId":"a","data":{deep}"#)).problem(400);
    assert_eq!(events(&server), 0);
    let (_, stdout, _) = server.run(&["events", "--refused", "--json"]);
    assert_eq!(stdout.lines().count(), bad.len() + 1);
}

#[test]
fn slow_and_stalled_senders_cost_only_themselves() {
    let server = TestServer::start();
    let head = format!("POST {WEBHOOK} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    let starts = [
        "POST /webho".to_owned(),
        format!("{head}Content-Length: 100\r\n\r\n{{\"trigger\""),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"tri"),
        format!("{head}Content-Length: 100\r\n\r\n"),
    ];
    let mut stalled: Vec<TcpStream> = (0..400)
        .map(|n| {
            let mut socket = TcpStream::connect(server.address).unwrap();
            socket.write_all(starts[n % starts.len()].as_bytes()).unwrap();
            socket
        })
        .collect();
    for (id, socket) in stalled.iter_mut().enumerate().take(50) {
        // Some drip.
        let _ = socket.write_all(b" ");
        assert_eq!(server.deliver(delivery(id)).status, 200);
    }
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(events(&server), 50);
    // All go away in the middle.
    drop(stalled);
    assert_eq!(server.deliver(delivery(50)).status, 200);
    assert_eq!(events(&server), 51);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !server.get("/metrics").body.contains("chatfold_intake_bytes 0\n") {
        assert!(Instant::now() < deadline, "bytes in flight are given back");
    }
}

#[test]
fn requests_sent_in_one_go_are_each_answered_in_order() {
    let server = TestServer::start();
    let one = |id| {
        let body = delivery(id);
        let length = body.len();
        format!(
            "POST {WEBHOOK} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let answers = exchange(&server, (0..10).map(one).collect::<String>().as_bytes());
    let seqs: Vec<&str> = answers.lines().filter_map(|line| line.strip_prefix("chatfold-seq: ")).collect();
    assert_eq!(seqs, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"], "{answers}");
}
