//! What no vendor sends: broken framing, bodies that break off, sockets that stall, bodies that are legal and absurd.
//! After each the server is alive, and nothing is in the log but what was answered 200.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};
use support::{TestServer, WEBHOOK, verified};

const BODY: &str = r#"{"trigger":"of_tomorrow","appId":"a","data":{}}"#;

/// Sends bytes, says that no more come, and hears what there is to hear.
fn said(server: &TestServer, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    // It may have been hung up on before the end.
    let _ = socket.write_all(bytes).and_then(|()| socket.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn head(more: &str) -> String {
    format!("POST {WEBHOOK} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}\r\n")
}

/// So many events the log holds.
#[track_caller]
fn assert_events(server: &TestServer, count: usize, claim: &str) {
    assert_eq!(server.get("/healthz").status, 200, "{claim}: {}", server.log());
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains(&format!("chatfold_log_position {count}\n")), "{claim}: {metrics}");
    assert!(!server.log().contains("panicked"), "{claim}: {}", server.log());
}

#[test]
fn what_is_framed_wrongly_is_never_taken() {
    let server = TestServer::start();
    let length = BODY.len();
    let chunked = "Transfer-Encoding: chunked\r\n";
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("white space", b"\r\n\r\n\r\n".to_vec()),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("a version of its own", head("").replace("HTTP/1.1", "HTTP/9.9").into()),
        ("a head that breaks off", format!("POST {WEBHOOK} HTTP/1.1\r\nHost: loc").into()),
        ("a body that breaks off", format!("{}{}", head(&format!("Content-Length: {length}\r\n")), &BODY[..20]).into()),
        ("a body too short", format!("{}{BODY}", head("Content-Length: 1000\r\n")).into()),
        ("no length", format!("{}{BODY}", head("")).into()),
        ("a negative length", format!("{}{BODY}", head("Content-Length: -1\r\n")).into()),
        ("a length with a plus", format!("{}{BODY}", head(&format!("Content-Length: +{length}\r\n"))).into()),
        ("a length in hexadecimal", format!("{}{BODY}", head("Content-Length: 0x2f\r\n")).into()),
        ("a length beyond 64 bits", format!("{}{BODY}", head("Content-Length: 99999999999999999999\r\n")).into()),
        (
            "two lengths",
            format!("{}{BODY}", head(&format!("Content-Length: {length}\r\nContent-Length: 3\r\n"))).into(),
        ),
        (
            "length and chunks",
            format!("{}0\r\n\r\n{BODY}", head(&format!("Content-Length: {length}\r\n{chunked}"))).into(),
        ),
        ("chunks of no size", format!("{}zz\r\n{BODY}\r\n0\r\n\r\n", head(chunked)).into()),
        ("an endless chunk", format!("{}ffffffffffffffff\r\n{BODY}", head(chunked)).into()),
        ("a chunk beyond 64 bits", format!("{}fffffffffffffffff\r\n{BODY}", head(chunked)).into()),
        ("a chunk that breaks off", format!("{}{length:x}\r\n{}", head(chunked), &BODY[..9]).into()),
        ("no last chunk", format!("{}{length:x}\r\n{BODY}\r\n", head(chunked)).into()),
        ("a chunk longer than told", format!("{}5\r\n{BODY}\r\n0\r\n\r\n", head(chunked)).into()),
        ("coded twice", format!("{}{BODY}", head("Transfer-Encoding: gzip, chunked\r\n")).into()),
        ("a header with a NUL", format!("{}{BODY}", head("X-A: a\0b\r\n")).into()),
        ("a header without a name", format!("{}{BODY}", head(": a\r\n")).into()),
        ("a name with a space", format!("{}{BODY}", head("Content-Length : 47\r\n")).into()),
        ("a folded header", format!("{}{BODY}", head("X-A: a\r\n b\r\n")).into()),
        ("a thousand headers", format!("{}{BODY}", head(&"X-A: a\r\n".repeat(1_000))).into()),
        ("a head of a megabyte", format!("{}{BODY}", head(&format!("X-A: {}\r\n", "a".repeat(1 << 20)))).into()),
        ("a path of a megabyte", format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20)).into()),
        ("a path up and out", b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("a path with a NUL", b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("a method of its own", head("").replacen("POST", "P\u{6}ST", 1).into()),
    ];
    for (claim, bytes) in cases {
        let answer = said(&server, &bytes);
        assert!(!answer.contains("HTTP/1.1 2"), "{claim}: {answer}");
        assert!(!answer.contains("HTTP/1.1 5"), "{claim}: {answer}");
        assert_events(&server, 0, claim);
    }
    let whole = format!("{}{BODY}", head(&format!("Connection: close\r\nContent-Length: {length}\r\n")));
    assert!(said(&server, whole.as_bytes()).starts_with("HTTP/1.1 200"), "one that is well framed is taken");
    assert_events(&server, 1, "well framed");
}

#[test]
fn legal_and_absurd_bodies_are_taken_and_others_are_refused() {
    let server = TestServer::start();
    let data = |data: &str| format!(r#"{{"trigger":"message_sent","appId":"a","data":{data}}}"#).into_bytes();
    let message = |more: &str| data(&format!(r#"{{"message":{{"id":"1","sentAt":1767614400,{more}}}}}"#));
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let taken = [
        ("100,000 deep", data(&format!("{open}{close}"))),
        ("100,000 deep in a message", message(&format!(r#""data":{{"customData":{open}{close}}}"#))),
        ("objects 100,000 deep", data(&format!("{}1{}", "{\"\":".repeat(100_000), "}".repeat(100_000)))),
        ("100,000 times the same key", data(&format!("{{{}\"a\":1}}", "\"a\":0,".repeat(100_000)))),
        ("a megabyte of text", message(&format!(r#""data":{{"text":"{}"}}"#, "\\u0041".repeat(170_000)))),
        ("doubled keys", message(r#""sender":"x","sender":"y","id":"2""#)),
        ("half a surrogate pair", message(r#""sender":"\ud83d","data":{"text":"\udc00\ud83d"}"#)),
        ("NULs", message(r#""sender":"a\u0000b","receiver":"\u0000","data":{"text":"\u0000"}"#)),
        (
            "numbers out of range",
            message(r#""editedAt":1e999,"parentId":99999999999999999999,"deletedAt":-9223372036854775809"#),
        ),
        ("an id that is SQL", message(r#""sender":"'; DROP TABLE events; --""#)),
        ("keys of a prototype", message(r#""__proto__":{"id":"3"},"constructor":null"#)),
    ];
    for (index, (claim, body)) in taken.iter().enumerate() {
        let begun = Instant::now();
        let answer = server.deliver(body);
        assert_eq!(answer.status, 200, "{claim}: {answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{claim} took {:?}", begun.elapsed());
        assert_events(&server, index + 1, claim);
    }
    let refused = [
        ("not closed", data(&open)),
        ("not UTF-8", [&b"{\"trigger\":\"t\",\"appId\":\"a"[..], b"\xff\"}"].concat()),
        ("an encoded surrogate", b"{\"trigger\":\"t\",\"appId\":\"\xed\xa0\x80\"}".to_vec()),
        ("UTF-16", BODY.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a byte order mark", format!("\u{feff}{BODY}").into_bytes()),
        ("a bare NUL", format!("{BODY}\0").into_bytes()),
        ("two values", format!("{BODY}{BODY}").into_bytes()),
        ("two megabytes of brackets", vec![b'['; 2 << 20]),
        ("two megabytes of quotes", vec![b'"'; 2 << 20]),
    ];
    for (claim, body) in refused {
        assert_eq!(server.deliver(body).status, 400, "{claim}");
        assert_events(&server, taken.len(), claim);
    }
    verified(&server.db());
}

#[test]
fn sockets_that_stall_or_drip_cost_nobody_else() {
    let server = TestServer::start();
    let starts = [
        format!("POST {WEBHOOK} HTTP/1.1\r\nHost: loc"),
        format!("{}{}", head("Content-Length: 1000\r\n"), &BODY[..20]),
        format!("{}5\r\n{{", head("Transfer-Encoding: chunked\r\n")),
        String::new(),
    ];
    let mut stalled: Vec<TcpStream> = (0..400)
        .map(|index| {
            let mut socket = TcpStream::connect(server.address).unwrap();
            socket.write_all(starts[index % starts.len()].as_bytes()).unwrap();
            socket
        })
        .collect();
    for id in 0..60 {
        // One byte more from each of some.
        stalled.iter_mut().skip(id).step_by(60).for_each(|socket| drop(socket.write(b" ")));
        let begun = Instant::now();
        let answer = server.deliver(BODY.replace("{}", &format!("[{id}]")));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    }
    drop(stalled);
    assert_events(&server, 60, "stalled sockets");
}
