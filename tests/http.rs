//! What the server answers before a delivery reaches the log: credentials, access, types, sizes, methods.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::{Answer, JSON, TestServer, WEBHOOK, basic};

const CREDENTIALS: &str = r#"
[[webhook_credentials]]
name = "old"
username = "vendor"
password = "sesame"

[[webhook_credentials]]
name = "bound"
username = "bound"
password = "pass:word"
apps = ["other-app"]
"#;
/// Not a delivery, so that no test here needs the log: who gets 400 has passed everything before it.
const PAST_THE_DOOR: &str = "[]";

/// The page, asked with a token: credentials are configured.
fn metrics(server: &TestServer) -> String {
    let bearer = format!("Bearer {}", support::pages::token(server, &["--name", "metrics"]));
    server.request("GET", "/metrics", &[("Authorization", &bearer)], b"").body
}

fn authorized(server: &TestServer, pair: &str) -> Answer {
    server.post(WEBHOOK, &[JSON, ("Authorization", &basic(pair))], PAST_THE_DOOR)
}

#[test]
fn good_credentials_pass_and_all_others_get_the_same_401() {
    let server = TestServer::with(CREDENTIALS);
    assert_eq!(authorized(&server, "vendor:sesame").status, 400);
    assert_eq!(authorized(&server, "bound:pass:word").status, 400, "the first colon divides");
    let lower = basic("vendor:sesame").replace("Basic", "basic");
    assert_eq!(server.post(WEBHOOK, &[JSON, ("Authorization", &lower)], PAST_THE_DOOR).status, 400);

    let good = basic("vendor:sesame");
    let double = format!("{}Authorization: {good}\r\n", head(&good));
    let wrong = [
        server.post(WEBHOOK, &[JSON], PAST_THE_DOOR),
        authorized(&server, "vendor:wrong"),
        authorized(&server, "nobody:sesame"),
        authorized(&server, "vendor"),
        authorized(&server, &format!("vendor:sesame{}", "x".repeat(500))),
        server.post(WEBHOOK, &[JSON, ("Authorization", "Bearer sesame")], PAST_THE_DOOR),
        server.post(WEBHOOK, &[JSON, ("Authorization", "Basic !!!")], PAST_THE_DOOR),
        server.raw(format!("{double}\r\n[]")),
        server.post(WEBHOOK, &[("Content-Type", "text/plain")], PAST_THE_DOOR),
    ];
    for answer in &wrong {
        answer.problem(401);
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"chatfold\", charset=\"UTF-8\""));
        assert_eq!(answer.header("server"), None);
        assert_eq!(answer.body, wrong[0].body, "the same for every cause");
    }
    let metrics = metrics(&server);
    assert!(metrics.contains("chatfold_webhook_auth_failures_total{credential=\"old\"} 1\n"), "{metrics}");
    assert!(metrics.contains("chatfold_webhook_responses_total{status=\"401\"} 9\n"), "{metrics}");
    assert!(!server.log().contains("sesame"));
}

fn head(authorization: &str) -> String {
    format!(
        "POST {WEBHOOK} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
         Authorization: {authorization}\r\n"
    )
}

#[test]
fn credentials_are_checked_before_the_body_is_read() {
    let server = TestServer::with(CREDENTIALS);
    let begun = Instant::now();
    let answer = server.raw(
        "POST /webhooks/cometchat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
    );
    answer.problem(401);
    assert!(begun.elapsed() < Duration::from_secs(8), "it waited for the body: {:?}", begun.elapsed());
}

#[test]
fn credentials_rotate_on_sighup_and_a_bad_file_changes_nothing() {
    let server = TestServer::with(CREDENTIALS);
    server.reload("[[webhook_credentials]]\nname = \"new\"\nusername = \"vendor\"\npassword = \"next\"");
    server.wait_for_log("read the webhook credentials again");
    assert_eq!(authorized(&server, "vendor:next").status, 400);
    assert_eq!(authorized(&server, "vendor:sesame").status, 401);
    server.reload("nonsense = 1");
    server.wait_for_log("the old credentials stay");
    assert_eq!(authorized(&server, "vendor:next").status, 400);
    server.reload("");
    server.wait_for_log("restart to run without");
    assert_eq!(server.deliver(PAST_THE_DOOR).status, 401);
}

#[test]
fn content_type_is_json_in_any_case_and_nothing_is_encoded() {
    let server = TestServer::start();
    for good in ["application/json", "Application/json", "APPLICATION/JSON; charset=utf-8"] {
        assert_eq!(server.post(WEBHOOK, &[("Content-Type", good)], PAST_THE_DOOR).status, 400, "{good}");
    }
    for bad in
        ["text/plain", "application/jsonp", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        server.post(WEBHOOK, &[("Content-Type", bad)], PAST_THE_DOOR).problem(415);
        server.post("/graphql", &[("Content-Type", bad)], "{}").problem(415);
    }
    server
        .raw(format!("POST {WEBHOOK} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]"))
        .problem(415);
    for bad in ["gzip", "br", "identity, gzip", "unknown"] {
        server.post(WEBHOOK, &[JSON, ("Content-Encoding", bad)], PAST_THE_DOOR).problem(415);
    }
    assert_eq!(server.post(WEBHOOK, &[JSON, ("Content-Encoding", "Identity")], PAST_THE_DOOR).status, 400);
}

#[test]
fn sizes_are_limited_as_declared_and_as_counted() {
    let server = TestServer::with("body_limit = 1024");
    assert_eq!(server.deliver(vec![b' '; 1024]).status, 400);
    server.deliver(vec![b' '; 1025]).problem(413);
    let start = format!(
        "POST {WEBHOOK} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    );
    server.raw(format!("{start}Content-Length: 10000000000\r\n\r\n")).problem(413);
    let chunk = format!("200\r\n{}\r\n", " ".repeat(512));
    server.raw(format!("{start}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(3))).problem(413);
    server.raw(format!("{start}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(2))).problem(400);
    assert!(server.get("/metrics").body.contains("chatfold_intake_bytes 0\n"));
}

#[test]
fn bytes_in_flight_are_limited_and_given_back() {
    let server = TestServer::with("bytes_in_flight = 2097152");
    let stalled = || {
        let mut socket = TcpStream::connect(server.address).unwrap();
        let start = format!(
            "POST {WEBHOOK} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1100000\r\n\r\n"
        );
        socket.write_all(start.as_bytes()).unwrap();
        socket.write_all(&vec![b' '; 1_050_000]).unwrap();
        socket
    };
    let first = stalled();
    wait(|| server.get("/metrics").body.contains("chatfold_intake_bytes 1050000\n"));
    let answer = server.deliver(vec![b' '; 1_050_000]);
    answer.problem(503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    drop(first);
    wait(|| server.get("/metrics").body.contains("chatfold_intake_bytes 0\n"));
}

#[test]
fn an_early_answer_ends_the_connection_of_an_endless_body() {
    let server = TestServer::with(CREDENTIALS);
    for (path, status) in [(WEBHOOK, 401), ("/graphql", 401), ("/nothing", 404), ("/healthz", 405)] {
        let mut socket = TcpStream::connect(server.address).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).expect("closed");
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        assert!(text.to_lowercase().contains("\r\nconnection: close\r\n"), "{text}");
    }
}

fn wait(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn slow_bodies_and_heads_end() {
    let server = TestServer::start();
    let mut head = TcpStream::connect(server.address).unwrap();
    head.write_all(b"POST /webhooks/cometchat HTTP/1.1\r\nHost: local").unwrap();
    let begun = Instant::now();
    let start = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[";
    server.raw(format!("POST {WEBHOOK} HTTP/1.1\r\n{start}")).problem(408);
    assert!((9..13).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    head.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut rest = Vec::new();
    head.read_to_end(&mut rest).expect("closed long ago");
}

#[test]
fn other_methods_and_unknown_paths() {
    let server = TestServer::start();
    for (path, allowed, methods) in [
        (WEBHOOK, "POST", &["GET", "PUT", "DELETE", "OPTIONS"][..]),
        ("/graphql", "GET, HEAD, POST", &["PUT", "OPTIONS"]),
        ("/changes", "GET, HEAD", &["POST"]),
        ("/healthz", "GET, HEAD", &["POST", "DELETE"]),
        ("/readyz", "GET, HEAD", &["POST"]),
        ("/metrics", "GET, HEAD", &["POST"]),
    ] {
        for method in methods {
            let answer = server.raw(format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            ));
            answer.problem(405);
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        }
    }
    server.get("/nothing").problem(404);
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/healthz").header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn with_credentials_the_webhook_takes_proxied_requests_and_graphql_does_not() {
    let server = TestServer::with(CREDENTIALS);
    let good = basic("vendor:sesame");
    let proxied = [JSON, ("Authorization", good.as_str()), ("Host", "chat.example"), ("X-Forwarded-For", "1.2.3.4")];
    assert_eq!(server.post(WEBHOOK, &proxied, PAST_THE_DOOR).status, 400);
    server.post("/graphql", &proxied, "{}").problem(401);
}
